/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Volumes below /workspace. Where they are mounted is a folder of the workspace, which the agent of
 * an earlier iteration may have furnished, so the walk follows no link and leaves the workspace
 * nowhere.
 */
#include "daemon/helper/launch.h"
#include "daemon/helper/transport.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

struct placing {
	int sandbox; /* pidfd */
	const struct wire_place *places;
	size_t count;
	const int *trees;
};

static int place(int workspace, const struct wire_place *p, int tree)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	AUTO_FD at = (int)syscall(SYS_openat2, workspace, p->at, &how, sizeof(how));
	if (at < 0)
		return err_sys(
			-errno, "find the place of a volume, " LAUNCH_WORKSPACE "/%s", p->at);
	if (syscall(SYS_move_mount, tree, "", at, "",
		    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_sys(-errno, "mount a volume at " LAUNCH_WORKSPACE "/%s", p->at);
	return 0;
}

static int place_all(const void *arg, int *ret_fd)
{
	const struct placing *p = arg;
	if (setns(p->sandbox, CLONE_NEWNS) < 0)
		return err_sys(-errno, "enter the mount namespace of a sandbox");
	AUTO_FD workspace = open(LAUNCH_WORKSPACE, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = workspace < 0 ? err_sys(-errno, "open " LAUNCH_WORKSPACE) : 0;
	for (size_t i = 0; r == 0 && i < p->count; i++)
		r = place(workspace, &p->places[i], p->trees[i]);
	return err_trace(r);
}

int files_place(int sandbox_pidfd, const struct wire_place *places, size_t count, const int *trees,
	int hangup)
{
	const struct placing p = {sandbox_pidfd, places, count, trees};
	int keep[1 + HELPER_PLACES_MAX] = {sandbox_pidfd};
	int none;
	CHECK(count <= HELPER_PLACES_MAX);
	memcpy(keep + 1, trees, count * sizeof(*trees));
	return err_trace(files_child_run(
		"mounts volumes in a sandbox", place_all, &p, keep, 1 + count, hangup, &none));
}
