/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Whether a process belongs to a sandbox, by what the kernel says of its cgroup: /proc/PID/cgroup
 * names the directory, whose inode number, or that of one above it, is the cgroup's id. Both are
 * kernel memory and never wait for a disk. Processes of a sandbox cannot leave its cgroup.
 */
#include "daemon/sandbox/membership.h"
#include "daemon/base/base.h"
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROC_CGROUP_BYTES = 64 * 1024 };

/* Where the v2 hierarchy is: alone, or beside those of v1. */
static const char *root(void)
{
	static const char unified[] = "/sys/fs/cgroup/unified";
	return access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup" : unified;
}

static bool has_id(struct span below, uint64_t cgroup)
{
	char path[PATH_MAX];
	struct stat st;
	int n = snprintf(path, sizeof(path), "%s" SPAN_FMT, root(), SPAN_ARG(below));
	return n > 0 && n < (int)sizeof(path) && stat(path, &st) == 0 && st.st_ino == cgroup;
}

/* "0::/a/b" is the line of the v2 hierarchy. */
static struct span path_of(struct span lines)
{
	struct span rest = lines, line;
	bool done = false;
	while (span_split(&rest, '\n', &done, &line))
		if (span_starts(line, SPAN("0::/")))
			return span_sub(line, 3, line.n);
	return SPAN("");
}

bool membership_in(pid_t pid, uint64_t cgroup)
{
	struct buf b CLEANUP(buf_fini) = buf_init(PROC_CGROUP_BYTES);
	char name[64];
	struct span path;
	snprintf(name, sizeof(name), "/proc/%ld/cgroup", (long)pid);
	if (pid <= 0 || fd_read_file(name, &b) < 0) {
		err_clear();
		return false;
	}
	path = path_of(buf_view(&b));
	for (size_t end = path.n; end > 0; end--)
		if ((end == path.n || path.p[end] == '/') && has_id(span_sub(path, 0, end), cgroup))
			return true;
	return false;
}
