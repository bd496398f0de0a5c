/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One directory per sandbox and hierarchy. Nouns: the host's two shapes (unified: controllers are
 * in v2; hybrid: v2 names and kills, v1 limits), the parent, the sandbox's directory, the mark.
 *
 * Invariants: every directory that the helper makes lies below the parent and has a mark before a
 * process enters it; limits sit on the sandbox's directory and hold for the calls' directories
 * below it, which have no controllers of their own, so that both may hold processes.
 */
#include "daemon/helper/cgroup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define MARK_XATTR "trusted.aegis.sandbox"

enum { V1_CPU, V1_MEMORY, V1_PIDS, CPU_PERIOD_US = 100000 };
static const char *const v1_names[CGROUP_V1_MAX] = {"cpu", "memory", "pids"};

int cgroup_write(int dir, const char *file, const char *text)
{
	AUTO_FD fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(-errno, "open %s", file);
	size_t n = strlen(text);
	ssize_t done = write(fd, text, n);
	if (done != (ssize_t)n)
		return err_sys(done < 0 ? -errno : -EIO, "write %s to %s", text, file);
	return 0;
}

int cgroup_read(int dir, const char *file, char *ret, size_t bytes)
{
	AUTO_FD fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(-errno, "open %s", file);
	ssize_t n = read(fd, ret, bytes - 1);
	if (n < 0)
		return err_sys(-errno, "read %s", file);
	ret[n] = '\0';
	return 0;
}

static bool is_cgroup2(const char *path)
{
	struct statfs fs;
	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static bool is_cgroup1(const char *path)
{
	struct statfs fs;
	return statfs(path, &fs) == 0 && fs.f_type == CGROUP_SUPER_MAGIC;
}

/* Enables the controllers for the children of `dir`; fails if one is not there. */
static int enable_controllers(int dir, const char *where)
{
	for (int i = 0; i < CGROUP_V1_MAX; i++) {
		char word[16];
		snprintf(word, sizeof(word), "+%s", v1_names[i]);
		int r = cgroup_write(dir, "cgroup.subtree_control", word);
		if (r < 0)
			return err_wrap(
				r, "controller %s cannot be enabled below %s", v1_names[i], where);
	}
	return 0;
}

/* mkdir -p of `parent` below `root`, each level's controllers enabled if asked. */
static int open_parent(const char *root, const char *parent, bool enable, int *ret)
{
	AUTO_FD dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(-errno, "open %s", root);
	struct span rest = span_cstr(parent), piece;
	bool done = false;
	int r = enable ? enable_controllers(dir, root) : 0;
	while (r == 0 && span_split(&rest, '/', &done, &piece)) {
		char name[NAME_MAX + 1];
		if (piece.n == 0 || piece.n > NAME_MAX || span_is(piece, ".."))
			return err_raise(-EINVAL,
				"cgroup parent %s: names separated by single slashes are accepted",
				parent);
		snprintf(name, sizeof(name), SPAN_FMT, SPAN_ARG(piece));
		if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
			return err_sys(-errno, "make cgroup %s in %s", parent, root);
		int below = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (below < 0)
			return err_sys(-errno, "open cgroup %s in %s", parent, root);
		close(dir);
		dir = below;
		if (enable)
			r = enable_controllers(dir, parent);
	}
	if (r < 0)
		return err_trace(r);
	*ret = TAKE_FD(dir);
	return 0;
}

static int open_hybrid(struct cgroup_host *h, const char *parent)
{
	int r = open_parent(CGROUP_ROOT "/unified", parent, false, &h->v2);
	for (int i = 0; r == 0 && i < CGROUP_V1_MAX; i++) {
		char root[64];
		snprintf(root, sizeof(root), CGROUP_ROOT "/%s", v1_names[i]);
		if (!is_cgroup1(root))
			return err_raise(-EOPNOTSUPP,
				"cgroup controller %s is at neither %s nor in the v2 hierarchy: "
				"mount it, or boot with cgroup v2 only",
				v1_names[i], root);
		r = open_parent(root, parent, false, &h->v1[i]);
	}
	return err_trace(r);
}

int cgroup_host_open(struct cgroup_host *h, const char *parent)
{
	*h = (struct cgroup_host){.v2 = -1, .v1 = {-1, -1, -1}};
	int r;
	if (is_cgroup2(CGROUP_ROOT)) {
		h->mode = HELPER_CGROUP_UNIFIED;
		r = open_parent(CGROUP_ROOT, parent, true, &h->v2);
	} else if (is_cgroup2(CGROUP_ROOT "/unified")) {
		h->mode = HELPER_CGROUP_HYBRID;
		r = open_hybrid(h, parent);
	} else {
		r = err_raise(-EOPNOTSUPP,
			"no cgroup v2 hierarchy at " CGROUP_ROOT " or " CGROUP_ROOT
			"/unified: mount one");
	}
	if (r < 0)
		cgroup_host_close(h);
	return err_trace(r);
}

void cgroup_host_close(struct cgroup_host *h)
{
	fd_cleanup(&h->v2);
	for (int i = 0; i < CGROUP_V1_MAX; i++)
		fd_cleanup(&h->v1[i]);
}

static int make_v1(const struct cgroup_host *h, const char *name, struct cgroup_dirs *d)
{
	for (int i = 0; i < CGROUP_V1_MAX && h->v1[i] >= 0; i++) {
		char procs[CGROUP_NAME_BYTES + 16];
		snprintf(procs, sizeof(procs), "%s/cgroup.procs", name);
		if (mkdirat(h->v1[i], name, 0755) < 0 && errno != EEXIST)
			return err_sys(-errno, "make cgroup %s in %s", name, v1_names[i]);
		d->join[i] = openat(h->v1[i], procs, O_WRONLY | O_CLOEXEC);
		if (d->join[i] < 0)
			return err_sys(-errno, "open %s in %s", procs, v1_names[i]);
	}
	return 0;
}

int cgroup_make(const struct cgroup_host *h, const char *name, struct cgroup_dirs *ret)
{
	struct cgroup_dirs d = {.v2 = -1, .join = {-1, -1, -1}};
	struct stat st;
	int r = 0;
	if (mkdirat(h->v2, name, 0755) < 0)
		return err_sys(-errno, "make cgroup %s", name);
	d.v2 = openat(h->v2, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (d.v2 < 0 || fstat(d.v2, &st) < 0)
		r = err_sys(-errno, "open cgroup %s", name);
	else
		r = make_v1(h, name, &d);
	if (r < 0) {
		cgroup_dirs_close(&d);
		if (cgroup_remove(h, name) < 0)
			log_warn("cgroup %s is left behind", name);
		return err_trace(r);
	}
	d.id = st.st_ino;
	*ret = d;
	return 0;
}

void cgroup_dirs_close(struct cgroup_dirs *d)
{
	fd_cleanup(&d->v2);
	for (int i = 0; i < CGROUP_V1_MAX; i++)
		fd_cleanup(&d->join[i]);
}

/* One limit: the file `name/file` below `parent`. */
static int limit(int parent, const char *name, const char *file, const char *format, uint64_t v)
{
	char path[CGROUP_NAME_BYTES + 40], text[64];
	snprintf(path, sizeof(path), "%s/%s", name, file);
	snprintf(text, sizeof(text), format, (unsigned long long)v);
	return err_trace(cgroup_write(parent, path, text));
}

/* Swap is not counted by every kernel: where the file is missing there is no swap to limit. */
static int limit_if_there(int parent, const char *name, const char *file, uint64_t v)
{
	int r = limit(parent, name, file, "%llu", v);
	if (r == -ENOENT) {
		err_clear();
		return 0;
	}
	return err_trace(r);
}

static int limit_v2(const struct cgroup_host *h, const char *name, const struct helper_limits *l)
{
	uint64_t quota = (uint64_t)l->cpu_millis * (CPU_PERIOD_US / 1000);
	int r = limit(h->v2, name, "cpu.max", "%llu 100000", quota);
	if (r == 0)
		r = limit(h->v2, name, "memory.max", "%llu", l->memory_bytes);
	if (r == 0)
		r = limit_if_there(h->v2, name, "memory.swap.max", 0);
	if (r == 0)
		r = limit(h->v2, name, "pids.max", "%llu", l->pids);
	return err_trace(r);
}

static int limit_v1(const struct cgroup_host *h, const char *name, const struct helper_limits *l)
{
	uint64_t quota = (uint64_t)l->cpu_millis * (CPU_PERIOD_US / 1000);
	int r = limit(h->v1[V1_CPU], name, "cpu.cfs_period_us", "%llu", CPU_PERIOD_US);
	if (r == 0)
		r = limit(h->v1[V1_CPU], name, "cpu.cfs_quota_us", "%llu", quota);
	/* The limit of memory and swap together is never below memory's own, so it makes way for
	 * one that grows. At last it is the same number, which leaves no swap. */
	if (r == 0)
		r = limit_if_there(
			h->v1[V1_MEMORY], name, "memory.memsw.limit_in_bytes", INT64_MAX);
	if (r == 0)
		r = limit(h->v1[V1_MEMORY], name, "memory.limit_in_bytes", "%llu", l->memory_bytes);
	if (r == 0)
		r = limit_if_there(
			h->v1[V1_MEMORY], name, "memory.memsw.limit_in_bytes", l->memory_bytes);
	if (r == 0)
		r = limit(h->v1[V1_PIDS], name, "pids.max", "%llu", l->pids);
	return err_trace(r);
}

int cgroup_limit(const struct cgroup_host *h, const char *name, const struct helper_limits *limits)
{
	int r = h->mode == HELPER_CGROUP_UNIFIED ? limit_v2(h, name, limits)
						 : limit_v1(h, name, limits);
	return err_wrap(r, "limits of %s", name);
}

int cgroup_kill(int v2_dir)
{
	return err_trace(cgroup_write(v2_dir, "cgroup.kill", "1"));
}

bool cgroup_populated(int v2_dir)
{
	char text[256];
	if (cgroup_read(v2_dir, "cgroup.events", text, sizeof(text)) < 0) {
		err_clear();
		return true;
	}
	return strstr(text, "populated 0") == NULL;
}

bool cgroup_wait_empty(int v2_dir, int timeout_ms)
{
	int64_t end = clock_mono_ns() + timeout_ms * NS_PER_MS;
	AUTO_FD events = openat(v2_dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	while (cgroup_populated(v2_dir)) {
		int64_t left = end - clock_mono_ns();
		if (left <= 0 || events < 0)
			return false;
		/* Each read arms the next notification. */
		char text[256];
		struct pollfd p = {events, POLLPRI, 0};
		if (pread(events, text, sizeof(text) - 1, 0) < 0)
			return false;
		if (!cgroup_populated(v2_dir))
			return true;
		(void)poll(&p, 1, (int)(left / NS_PER_MS) + 1);
	}
	return true;
}

static int remove_dir(int parent, const char *name)
{
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return err_sys(-errno, "remove cgroup %s", name);
}

int cgroup_remove_v1(const struct cgroup_host *h, const char *name)
{
	int r = 0;
	for (int i = 0; r == 0 && i < CGROUP_V1_MAX && h->v1[i] >= 0; i++)
		r = remove_dir(h->v1[i], name);
	return err_trace(r);
}

/* The calls' directories; they have none below. */
static int remove_children(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(-errno, "open cgroup %s", name);
	DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return err_sys(-ENOMEM, "list cgroup %s", name);
	}
	int r = 0;
	for (struct dirent *e; r == 0 && (e = readdir(d));) {
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			r = remove_dir(dirfd(d), e->d_name);
	}
	closedir(d);
	return err_trace(r);
}

int cgroup_remove(const struct cgroup_host *h, const char *name)
{
	int r = cgroup_remove_v1(h, name);
	if (r == 0)
		r = remove_children(h->v2, name);
	/* Last: its mark is what a restarted helper finds the others by. */
	if (r == 0)
		r = remove_dir(h->v2, name);
	return err_trace(r);
}

/* The number behind `key` in a file of "key number" lines, or the file's only number. */
static uint64_t number_in(int dir, const char *file, const char *key)
{
	char text[1024];
	if (cgroup_read(dir, file, text, sizeof(text)) < 0) {
		err_clear();
		return 0;
	}
	const char *at = key ? strstr(text, key) : text;
	return at ? strtoull(at + (key ? strlen(key) : 0), NULL, 10) : 0;
}

struct helper_usage cgroup_usage(const struct cgroup_host *h, const char *name, int v2_dir)
{
	struct helper_usage u = {.cpu_us = number_in(v2_dir, "cpu.stat", "usage_usec ")};
	if (h->mode == HELPER_CGROUP_UNIFIED) {
		u.memory_peak_bytes = number_in(v2_dir, "memory.peak", NULL);
		u.oom_kills = number_in(v2_dir, "memory.events", "oom_kill ");
		return u;
	}
	char path[CGROUP_NAME_BYTES + 40];
	snprintf(path, sizeof(path), "%s/memory.max_usage_in_bytes", name);
	u.memory_peak_bytes = number_in(h->v1[V1_MEMORY], path, NULL);
	snprintf(path, sizeof(path), "%s/memory.oom_control", name);
	u.oom_kills = number_in(h->v1[V1_MEMORY], path, "oom_kill ");
	return u;
}

int cgroup_mark_set(int v2_dir, const struct mark *m)
{
	if (fsetxattr(v2_dir, MARK_XATTR, m, sizeof(*m), 0) < 0)
		return err_sys(
			-errno, "mark the cgroup of sandbox %016llx", (unsigned long long)m->id);
	return 0;
}

int cgroup_mark_get(int v2_dir, struct mark *ret)
{
	struct mark m;
	ssize_t n = fgetxattr(v2_dir, MARK_XATTR, &m, sizeof(m));
	if (n != (ssize_t)sizeof(m) || m.magic != MARK_MAGIC || m.version != MARK_VERSION)
		return -ENODATA;
	*ret = m;
	return 0;
}
