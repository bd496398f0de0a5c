/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Attributes.
 *
 * Modes: a process that permissions bind must be able to work on what it owns, whatever mode a
 * client gives it. So the owner's bits stay set on disk, and where that differs from what the
 * client wants, the client's mode is kept in an extended attribute. A bit that means nothing on
 * such an object (sticky on a file, set-user-id on a directory) marks those that have one, so that
 * nobody else pays for it. On file systems without extended attributes the owner's bits show as
 * set.
 */
#include "nfs/backend/local.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MODE_XATTR "user.aegis.mode"

static bool is_marked(const struct local_volume *v, uint32_t mode)
{
	if (!v->widens)
		return false;
	return (S_ISREG(mode) && (mode & S_ISVTX)) || (S_ISDIR(mode) && (mode & S_ISUID));
}

static uint32_t marker(uint32_t type)
{
	return type == S_IFDIR ? S_ISUID : S_ISVTX;
}

uint32_t local_disk_mode(const struct local_volume *v, uint32_t type, uint32_t mode)
{
	if (!v->widens || (type != S_IFREG && type != S_IFDIR))
		return mode;
	return (mode | (type == S_IFDIR ? S_IRWXU : S_IRUSR | S_IWUSR)) & ~marker(type);
}

/* The mode that is kept beside, in octal digits; the one on disk if there is none. */
static uint32_t shown_mode(const char *path, uint32_t mode)
{
	char text[8];
	ssize_t n = getxattr(path, MODE_XATTR, text, sizeof(text));
	uint32_t value = 0;

	if (n <= 0)
		return mode;
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '7')
			return mode;
		value = value * 8 + (uint32_t)(text[i] - '0');
	}
	if (value > 07777)
		return mode;
	/* The kernel takes set-id bits away from a file that is written. */
	uint32_t real = S_IFMT | (S_ISREG(mode) ? S_ISUID | S_ISGID : 0);
	return (mode & real) | (value & ~real);
}

int local_set_mode(struct local_volume *v, int fd, uint32_t type, uint32_t mode)
{
	uint32_t disk = local_disk_mode(v, type, mode);
	char self[FD_PATH_BYTES], text[16];

	local_fd_path(fd, self);
	if (chmod(self, disk) < 0)
		return -errno;
	if (disk == mode)
		return 0;
	int n = snprintf(text, sizeof(text), "%o", mode);
	if (setxattr(self, MODE_XATTR, text, (size_t)n, 0) < 0)
		return errno == EOPNOTSUPP || errno == EPERM ? 0 : -errno;
	return chmod(self, disk | marker(type)) < 0 ? -errno : 0;
}

static int64_t ns_of(const struct timespec *t)
{
	return t->tv_sec * NS_PER_S + t->tv_nsec;
}

static int64_t ns_of_x(const struct statx_timestamp *t)
{
	return t->tv_sec * NS_PER_S + t->tv_nsec;
}

static void attr_of_stat(const struct stat *st, struct fsal_attr *ret)
{
	*ret = (struct fsal_attr){
		.file_id = st->st_ino,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.rdev_major = major(st->st_rdev),
		.rdev_minor = minor(st->st_rdev),
		.size_bytes = (uint64_t)st->st_size,
		.used_bytes = (uint64_t)st->st_blocks * 512,
		.atime_ns = ns_of(&st->st_atim),
		.mtime_ns = ns_of(&st->st_mtim),
		.ctime_ns = ns_of(&st->st_ctim),
	};
}

int local_statx(struct local_volume *v, int dir, const char *name, struct fsal_attr *ret)
{
	struct statx st;
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name[0] ? 0 : AT_EMPTY_PATH);

	if (statx(dir, name, flags, STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
		return -errno;
	if (st.stx_dev_major != v->dev_major || st.stx_dev_minor != v->dev_minor)
		return -EXDEV;
	*ret = (struct fsal_attr){
		.file_id = st.stx_ino,
		.mode = st.stx_mode,
		.nlink = st.stx_nlink,
		.uid = st.stx_uid,
		.gid = st.stx_gid,
		.rdev_major = st.stx_rdev_major,
		.rdev_minor = st.stx_rdev_minor,
		.size_bytes = st.stx_size,
		.used_bytes = st.stx_blocks * 512,
		.atime_ns = ns_of_x(&st.stx_atime),
		.mtime_ns = ns_of_x(&st.stx_mtime),
		.ctime_ns = ns_of_x(&st.stx_ctime),
		.born_ns = st.stx_mask & STATX_BTIME ? ns_of_x(&st.stx_btime) : 0,
	};
	if (is_marked(v, ret->mode)) {
		char path[FD_PATH_BYTES + LIMIT_PATH_COMPONENT_BYTES + 2];
		local_fd_path(dir, path);
		if (name[0])
			snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", name);
		ret->mode = shown_mode(path, ret->mode);
	}
	return 0;
}

static int getattr_by_fd(struct local_volume *v, struct fsal_node *n, int fd, struct fsal_attr *ret)
{
	struct local_node *l = local_node(n);
	struct stat st;

	/* The C library's fstat asks by an empty name, which costs a fifth more. */
	if (syscall(SYS_fstat, fd, &st) < 0)
		return -errno;
	attr_of_stat(&st, ret);
	ret->born_ns = n->born_ns;
	if (!is_marked(v, ret->mode))
		return 0;
	if (!l->shown_mode || l->shown_ctime_ns != ret->ctime_ns) {
		char self[FD_PATH_BYTES];
		local_fd_path(fd, self);
		l->shown_mode = shown_mode(self, ret->mode);
		l->shown_ctime_ns = ret->ctime_ns;
	}
	ret->mode = l->shown_mode;
	return 0;
}

enum { ASKED_OFTEN = 8 };

/* With a descriptor this costs half; but where there are more objects than descriptors, opening one
 * for each would cost more than asking by name. So only those that are asked about again and again,
 * before as many others are as there may be descriptors, take another's place. */
static bool worth_opening(struct local_volume *v, struct local_node *l)
{
	if (v->open_count < v->open_max)
		return true;
	if (++v->asks - l->asked_at > v->open_max)
		l->asked = 0;
	l->asked_at = v->asks;
	return ++l->asked >= ASKED_OFTEN;
}

int local_getattr(
	void *volume, const struct fsal_io *io, struct fsal_node *n, struct fsal_attr *ret)
{
	struct local_volume *v = volume;
	struct local_node *l = local_node(n);

	if (l->access != ACCESS_NONE || !n->parent || (!io->passing && worth_opening(v, l))) {
		int fd = local_fd(v, n, ACCESS_PATH);
		return fd < 0 ? fd : getattr_by_fd(v, n, fd, ret);
	}
	int dir = local_fd(v, n->parent, ACCESS_PATH);
	if (dir < 0)
		return dir;
	int r = local_statx(v, dir, n->name.p, ret);
	if (r == -ENOENT || r == -ENOTDIR || r == -EXDEV)
		return -ESTALE;
	if (r == 0 && (ret->file_id != n->file_id || ret->born_ns != n->born_ns))
		return -ESTALE;
	return r;
}

static struct timespec time_for(enum fsal_time_how how, int64_t ns)
{
	if (how == FSAL_TIME_NOW)
		return (struct timespec){.tv_nsec = UTIME_NOW};
	if (how == FSAL_TIME_KEEP)
		return (struct timespec){.tv_nsec = UTIME_OMIT};
	int64_t s = ns / NS_PER_S, rest = ns % NS_PER_S;
	return (struct timespec){
		.tv_sec = rest < 0 ? s - 1 : s, .tv_nsec = rest < 0 ? rest + NS_PER_S : rest};
}

int local_setattr(
	void *volume, const struct fsal_io *io, struct fsal_node *n, const struct fsal_sattr *s)
{
	struct local_volume *v = volume;
	int fd = local_fd(v, n, s->set_size ? ACCESS_WRITE : ACCESS_PATH);

	if (fd < 0)
		return fd;
	if (local_must_park(io))
		return FSAL_WOULD_PARK;
	if (s->set_size && ftruncate(fd, (off_t)s->size_bytes) < 0)
		return -errno;
	if ((s->set_uid || s->set_gid) &&
		fchownat(fd, "", s->set_uid ? s->uid : (uid_t)-1, s->set_gid ? s->gid : (gid_t)-1,
			AT_EMPTY_PATH) < 0)
		return -errno;
	if (s->set_mode) {
		int r = n->type == S_IFLNK ? -EOPNOTSUPP
					   : local_set_mode(v, fd, n->type, s->mode & 07777);
		if (r < 0)
			return r;
		local_node(n)->shown_mode = 0;
	}
	struct timespec times[2] = {
		time_for(s->atime_how, s->atime_ns), time_for(s->mtime_how, s->mtime_ns)};
	bool timed = s->atime_how != FSAL_TIME_KEEP || s->mtime_how != FSAL_TIME_KEEP;
	if (timed && utimensat(fd, "", times, AT_EMPTY_PATH) < 0)
		return -errno;
	/* What has no content has nothing that could be forced out. */
	if (!io->sync || (n->type != S_IFREG && n->type != S_IFDIR))
		return 0;
	fd = local_fd(v, n, ACCESS_READ);
	return fd < 0 ? fd : local_settle(io, n, fd);
}
