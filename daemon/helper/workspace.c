/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A workspace is on disk what it is for aegisd: its own files. The sandbox sees the same files as
 * its own through an idmapped mount, which needs a file system that knows how (ext4, xfs, btrfs,
 * f2fs; tmpfs from Linux 6.3, overlayfs from 5.19).
 */
#include "daemon/helper/workspace.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int workspaces_init(struct workspaces *w, int state_dir, uid_t uid, gid_t gid)
{
	*w = (struct workspaces){
		.dir = -1, .uid = uid, .gid = gid, .making = {.pidfd = -1, .file = -1, .dir = -1}};
	w->state = fcntl(state_dir, F_DUPFD_CLOEXEC, 0);
	if (w->state < 0)
		return err_sys(-errno, "keep the state directory");
	if (mkdirat(state_dir, "workspaces", 0700) < 0 && errno != EEXIST)
		return err_sys(-errno, "make workspaces/ in the state directory");
	w->dir = openat(state_dir, "workspaces", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (w->dir < 0 || fstat(w->dir, &st) < 0)
		return err_sys(-errno, "open workspaces/ in the state directory");
	if (st.st_uid != 0 || (st.st_mode & 022) != 0)
		return err_raise(-EPERM,
			"workspaces/ in the state directory must belong to root and be writable "
			"by nobody else; it has owner %u and mode %03o",
			st.st_uid, st.st_mode & 0777);
	/* Nobody walks here: what an agent makes, set-user-id files too, belongs to aegisd's uid,
	 * which gets each workspace by descriptor. */
	if (fchmod(w->dir, 0700) < 0)
		return err_sys(-errno, "close workspaces/ to everybody else");
	images_sweep(w->state);
	return 0;
}

void workspaces_fini(struct workspaces *w)
{
	image_making_stop(&w->making);
	images_detach(w);
	fd_cleanup(&w->state);
	fd_cleanup(&w->dir);
}

/* A new one belongs to root until this is done, and so does one whose making was interrupted. */
static int give(const struct workspaces *w, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(-errno, "look at a workspace");
	if (st.st_uid == w->uid)
		return 0;
	if (st.st_uid != 0)
		return err_raise(
			-EPERM, "a workspace belongs to uid %u, aegisd is %u", st.st_uid, w->uid);
	if (fchown(fd, w->uid, w->gid) < 0)
		return err_sys(-errno, "give a workspace to aegisd");
	return 0;
}

int workspace_open(const struct workspaces *w, struct uuid execution, bool make, int *ret_fd)
{
	char name[UUID_TEXT_BYTES];
	uuid_text(execution, name);
	if (make && mkdirat(w->dir, name, 0700) < 0 && errno != EEXIST)
		return err_sys(-errno, "make workspace %s", name);
	AUTO_FD fd = openat(w->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(-errno, "open workspace %s", name);
	int r = give(w, fd);
	if (r == 0)
		r = image_restore(w, name, &fd);
	if (r < 0)
		return err_trace(r);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Whether `fd` lies below `root`, by the paths that the kernel knows. One that it has not met under
 * any name since it was cached has none: no. */
static bool lies_below(int root, int fd)
{
	char self[32];
	char path[LIMIT_PATH_BYTES], above[256];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(self, path, sizeof(path));
	snprintf(self, sizeof(self), "/proc/self/fd/%d", root);
	ssize_t m = readlink(self, above, sizeof(above));
	return m > 0 && m < (ssize_t)sizeof(above) && n > m && n < (ssize_t)sizeof(path) &&
		memcmp(path, above, (size_t)m) == 0 && path[m] == '/';
}

int workspace_object(const struct workspaces *w, struct uuid execution, int type,
	struct span handle, int *ret_fd)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + 64];
	} u = {.h = {.handle_bytes = (unsigned)handle.n, .handle_type = type}};
	struct stat st;
	int root;
	CHECK(handle.n <= sizeof(u) - sizeof(u.h));
	memcpy(u.h.f_handle, handle.p, handle.n);
	int r = workspace_open(w, execution, false, &root);
	if (r < 0)
		return err_trace(r);
	AUTO_FD fd = open_by_handle_at(root, &u.h, O_PATH | O_CLOEXEC);
	if (fd < 0)
		r = err_sys(-errno, "open an object of a workspace by its handle");
	else if (fstat(fd, &st) < 0 || st.st_uid != w->uid || S_ISBLK(st.st_mode) ||
		S_ISCHR(st.st_mode) || !lies_below(root, fd))
		r = err_raise(-EPERM, "an object that is not known to lie in the workspace");
	close(root);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return err_trace(r);
}

int workspace_remove(struct workspaces *w, struct uuid execution)
{
	char name[UUID_TEXT_BYTES];
	uuid_text(execution, name);
	int r = image_remove(w, execution);
	if (r < 0)
		return err_trace(r);
	if (unlinkat(w->dir, name, AT_REMOVEDIR) < 0)
		return err_sys(-errno, "remove workspace %s", name);
	return 0;
}

int workspace_mount(
	const struct workspaces *w, struct uuid id, bool read_only, int idmap_ns, int *ret_tree)
{
	int fd;
	int r = workspace_open(w, id, false, &fd);
	if (r < 0)
		return err_trace(r);
	AUTO_FD tree = (int)syscall(
		SYS_open_tree, fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	r = tree < 0 ? err_sys(-errno, "take a copy of the mount of a workspace") : 0;
	close(fd);
	if (r < 0)
		return err_trace(r);
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
			(read_only ? MOUNT_ATTR_RDONLY : 0),
		.userns_fd = (unsigned)idmap_ns,
	};
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) {
		if (errno == EINVAL || errno == EOPNOTSUPP)
			return err_raise(-EOPNOTSUPP,
				"the file system of the helper's state directory has no idmapped "
				"mounts: put --state-dir on ext4, xfs or btrfs");
		return err_sys(-errno, "map the ids of a workspace");
	}
	*ret_tree = TAKE_FD(tree);
	return 0;
}
