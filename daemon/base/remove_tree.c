/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Removing what an agent left behind. The tree is hostile: it may be deeper than any path or
 * descriptor limit, hold folders without permissions, links and mounts. So one folder is open at
 * a time, entered by name without following links or crossing mounts, and left through "..",
 * which must lead to the very folder that it was entered from.
 */
#include "daemon/base/err.h"
#include "daemon/base/fd.h"
#include "daemon/base/limits.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The folders above the current one, to recognise them on the way up. */
struct parents {
	struct parent {
		dev_t dev;
		ino_t ino;
	} * at;
	size_t count;
	size_t capacity;
};

static void parents_fini(struct parents *p)
{
	free(p->at);
}

static int open_folder(int dirfd, const char *name, int flags)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW),
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

/* Gives the owner, which we are, the right to empty a folder. */
static int make_writable(int dirfd, const char *name)
{
	char link[64];
	AUTO_FD fd = open_folder(dirfd, name, O_PATH);
	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return chmod(link, 0700) < 0 ? -errno : 0;
}

static int enter(int dirfd, const char *name)
{
	struct stat st;
	int fd = open_folder(dirfd, name, O_RDONLY);
	if (fd == -EACCES) {
		int r = make_writable(dirfd, name);
		if (r < 0)
			return r;
		fd = open_folder(dirfd, name, O_RDONLY);
	}
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700 && fchmod(fd, 0700) < 0) {
		int r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static int push(struct parents *p, int fd)
{
	struct stat st;
	if (p->count == p->capacity) {
		size_t capacity = p->capacity ? p->capacity * 2 : 64;
		void *at = reallocarray(p->at, capacity, sizeof(*p->at));
		if (!at)
			return -ENOMEM;
		p->at = at;
		p->capacity = capacity;
	}
	if (fstat(fd, &st) < 0)
		return -errno;
	p->at[p->count++] = (struct parent){st.st_dev, st.st_ino};
	return 0;
}

/* Leaves *dir for the folder above, which must be the one on the stack. */
static int leave(struct parents *p, int *fd)
{
	struct stat st;
	struct parent expected = p->at[--p->count];
	AUTO_FD up = open_folder(*fd, "..", O_RDONLY);
	if (up < 0)
		return up;
	if (fstat(up, &st) < 0)
		return -errno;
	if (st.st_dev != expected.dev || st.st_ino != expected.ino)
		return -EBUSY; /* somebody moves folders about while we remove them */
	close(*fd);
	*fd = TAKE_FD(up);
	return 0;
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int remove_entry(int dirfd, const char *name)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	/* Linux says EISDIR for a folder, POSIX lets a file system say EPERM. */
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	int r = -errno;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return errno == ENOTDIR ? r : -errno;
}

/* Removes entries of *fd until one is a folder that is not empty, and enters that: 1. 0 if the
 * folder is empty. Everything before such an entry is gone, so starting over costs nothing. */
static int empty_until_folder(int *fd, struct parents *p)
{
	int copy = fcntl(*fd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	int r = 0;
	if (!dir) {
		r = -errno;
		fd_cleanup(&copy);
		return r;
	}
	rewinddir(dir);
	for (struct dirent *e; r == 0 && (errno = 0, e = readdir(dir));) {
		if (is_dot(e->d_name))
			continue;
		r = remove_entry(*fd, e->d_name);
		if (r != -ENOTEMPTY && r != -EEXIST)
			continue;
		AUTO_FD inner = enter(*fd, e->d_name);
		r = inner < 0 ? inner : push(p, *fd);
		if (r < 0)
			break;
		close(*fd);
		*fd = TAKE_FD(inner);
		r = 1;
	}
	if (r == 0)
		r = -errno;
	closedir(dir);
	return r;
}

static int empty_folder(int dirfd, const char *name)
{
	struct parents p CLEANUP(parents_fini) = {0};
	AUTO_FD fd = enter(dirfd, name);
	if (fd < 0)
		return fd;
	for (;;) {
		int r = empty_until_folder(&fd, &p);
		if (r < 0)
			return r;
		if (r == 0 && p.count == 0)
			return 0;
		if (r == 0)
			r = leave(&p, &fd);
		if (r < 0)
			return r;
	}
}

/* The folder that the tree stands in, which may itself be reached across mounts; dirfd if the name
 * is no path. */
static int open_above(int dirfd, const char *path, const char **ret_name)
{
	char above[LIMIT_PATH_BYTES];
	const char *slash = strrchr(path, '/');

	*ret_name = path;
	if (!slash)
		return dirfd;
	size_t n = (size_t)(slash - path) + 1;
	if (n >= sizeof(above))
		return -ENAMETOOLONG;
	memcpy(above, path, n);
	above[n] = '\0';
	*ret_name = slash + 1;
	int fd = openat(dirfd, above, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int remove_below(int dirfd, const char *name)
{
	int r = remove_entry(dirfd, name);
	if (r != -ENOTEMPTY && r != -EEXIST)
		return r;
	r = empty_folder(dirfd, name);
	return r < 0 ? r : remove_entry(dirfd, name);
}

int fd_remove_tree(int dirfd, const char *path)
{
	const char *name;
	int above = open_above(dirfd, path, &name), r;

	if (above == -ENOENT)
		return 0;
	r = above < 0 && above != dirfd ? above : remove_below(above, name);
	if (above != dirfd)
		fd_cleanup(&above);
	return r < 0 ? err_sys(r, "remove %s", path) : 0;
}
