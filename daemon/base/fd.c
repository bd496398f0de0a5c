/* SPDX-License-Identifier: AGPL-3.0-only */
/* Whole files and folders, with plain blocking system calls. */
#include "daemon/base/fd.h"
#include "daemon/base/check.h"
#include "daemon/base/err.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 16 * 1024 };

void fd_raise_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

void fd_cleanup(int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

/* 1 if the descriptor has no more bytes, 0 if it has. */
static int at_end(int fd)
{
	char probe;
	ssize_t n;
	do
		n = read(fd, &probe, 1);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n == 0;
}

static int read_all(int fd, const char *path, struct buf *b)
{
	for (;;) {
		size_t want = MIN((size_t)READ_BYTES, b->max - b->len);
		if (want == 0) {
			int end = at_end(fd);
			if (end < 0)
				return err_sys(end, "read %s", path);
			return end ? 0
				   : err_raise(-E2BIG, "%s is too long: at most %zu bytes are read",
					     path, b->max);
		}
		void *p = buf_reserve(b, want);
		if (!p)
			return err_wrap(buf_error(b), "read %s", path);
		ssize_t n = read(fd, p, want);
		if (n < 0 && errno != EINTR)
			return err_sys(-errno, "read %s", path);
		if (n == 0)
			return 0;
		if (n > 0)
			buf_commit(b, (size_t)n);
	}
}

int fd_read_file(const char *path, struct buf *b)
{
	size_t before = b->len;
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_sys(-errno, "open %s", path);
	int r = read_all(fd, path, b);
	if (r < 0)
		b->len = before;
	return r;
}

int fd_write_all(int fd, struct span s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(-errno, "write %zu bytes", s.n);
		s = span_sub(s, (size_t)n, s.n);
	}
	return 0;
}

static void free_text(char **text)
{
	free(*text);
}

/* The folder part of a path, for free(): "." if it has none. NULL if out of memory. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return span_dup(SPAN("."));
	return span_dup(span_of(path, slash == path ? 1 : (size_t)(slash - path)));
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static int write_temporary(int dirfd, const char *name, struct span content, mode_t mode)
{
	AUTO_FD fd =
		openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(-errno, "create %s", name);
	int r = fd_write_all(fd, content);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = err_sys(-errno, "set the mode of %s", name);
	if (r == 0 && fsync(fd) < 0)
		r = err_sys(-errno, "fsync %s", name);
	if (r < 0)
		unlinkat(dirfd, name, 0);
	return r;
}

int fd_replace_file(const char *path, struct span content, mode_t mode)
{
	char temporary[64];
	uint64_t random;
	char *dir CLEANUP(free_text) = folder_of(path);
	if (!dir)
		return err_sys(-ENOMEM, "replace %s", path);
	AUTO_FD dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_sys(-errno, "open %s", dir);
	CHECK(getrandom(&random, sizeof(random), 0) == (ssize_t)sizeof(random));
	snprintf(temporary, sizeof(temporary), ".tmp-%016llx", (unsigned long long)random);
	int r = write_temporary(dirfd, temporary, content, mode);
	if (r < 0)
		return err_wrap(r, "replace %s", path);
	if (renameat(dirfd, temporary, dirfd, last_component(path)) < 0) {
		r = err_sys(-errno, "replace %s", path);
		unlinkat(dirfd, temporary, 0);
		return r;
	}
	if (fsync(dirfd) < 0)
		return err_sys(-errno, "fsync %s", dir);
	return 0;
}

static int make_dir(const char *path, mode_t mode)
{
	struct stat st;
	if (mkdir(path, mode) == 0)
		return 0;
	int r = -errno;
	/* Whatever mkdir complains about (EEXIST, EROFS, EACCES), a folder that is there will do.
	 */
	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 : err_raise(-ENOTDIR, "%s is not a folder", path);
	return err_sys(r, "create folder %s", path);
}

int fd_make_dirs(const char *path, mode_t mode)
{
	if (!path[0])
		return err_raise(-ENOENT, "create folder: the path is empty");
	char *copy CLEANUP(free_text) = span_dup(span_cstr(path));
	if (!copy)
		return err_sys(-ENOMEM, "create folder %s", path);
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int r = make_dir(copy, mode);
		if (r < 0)
			return err_trace(r);
		*slash = '/';
	}
	return make_dir(copy, mode);
}
