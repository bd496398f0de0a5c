/* SPDX-License-Identifier: AGPL-3.0-only */
/* Entries of directories: made, linked, taken away, renamed, replaced. */
#include "nfs/backend/local.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int local_settle(const struct fsal_io *io, struct fsal_node *n, int fd)
{
	if (!io->sync)
		return 0;
	if (n)
		local_node(n)->busy++;
	int r = rt_fsync(fd, false, io->deadline_ns);
	if (n)
		local_node(n)->busy--;
	return r;
}

bool local_must_park(const struct fsal_io *io)
{
	return io->sync && !io->may_park;
}

/* ---- make ---- */

static int make_link(int dir, const char *name, struct span target)
{
	char text[LIMIT_PATH_BYTES];

	if (target.n >= sizeof(text))
		return -ENAMETOOLONG;
	memcpy(text, target.p, target.n);
	text[target.n] = '\0';
	return symlinkat(text, dir, name) < 0 ? -errno : 0;
}

/* What was made, opened: a directory or file for its content, others for their attributes. */
static int create(int dir, const char *name, const struct fsal_make *m, uint32_t mode)
{
	uint32_t type = m->mode & S_IFMT;
	int r;

	/* What is made anew leads nowhere: openat2 would only take longer. */
	if (type == S_IFREG) {
		int fd = openat(dir, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC,
			mode & 07777);
		return fd < 0 ? -errno : fd;
	}
	if (type == S_IFDIR)
		r = mkdirat(dir, name, mode & 07777) < 0 ? -errno : 0;
	else if (type == S_IFLNK)
		r = make_link(dir, name, m->target);
	else
		r = mknodat(dir, name, mode, makedev(m->rdev_major, m->rdev_minor)) < 0 ? -errno
											: 0;
	if (r < 0)
		return r;
	return local_beneath(dir, name, type == S_IFDIR ? O_RDONLY | O_DIRECTORY : O_PATH, 0);
}

/* An exclusive create keeps its verifier in the times, as long as nobody sets them. */
static void times_of(const uint8_t *verifier, struct timespec ret[2])
{
	uint32_t halves[2];
	memcpy(halves, verifier, sizeof(halves));
	for (int i = 0; i < 2; i++)
		ret[i] = (struct timespec){.tv_sec = halves[i] & INT32_MAX};
}

bool local_made_by(void *volume, const struct fsal_attr *attr, const uint8_t *verifier)
{
	struct timespec t[2];
	times_of(verifier, t);
	return attr->atime_ns == t[0].tv_sec * NS_PER_S && attr->mtime_ns == t[1].tv_sec * NS_PER_S;
}

static int finish(struct local_volume *v, int fd, const struct fsal_make *m, struct fsal_new *ret)
{
	uint32_t type = m->mode & S_IFMT;
	struct timespec times[2];

	if (m->set_owner && fchownat(fd, "", m->uid, m->gid, AT_EMPTY_PATH) < 0)
		return -errno;
	int r = local_statx(v, fd, "", &ret->attr);
	bool other = (ret->attr.mode & 07777) != local_disk_mode(v, type, m->mode & 07777) ||
		local_disk_mode(v, type, m->mode & 07777) != (m->mode & 07777);
	if (r == 0 && type != S_IFLNK && other) {
		r = local_set_mode(v, fd, type, m->mode & 07777);
		if (r == 0)
			r = local_statx(v, fd, "", &ret->attr);
	}
	if (r == 0 && m->verifier) {
		times_of(m->verifier, times);
		r = utimensat(fd, "", times, AT_EMPTY_PATH) < 0
			? -errno
			: local_statx(v, fd, "", &ret->attr);
	}
	if (r < 0)
		return r;
	return local_identify(v, fd, "", ret->attr.file_id, ret->attr.born_ns, &ret->id);
}

int local_make(void *volume, const struct fsal_io *io, struct fsal_node *dir, struct span name,
	const struct fsal_make *m, struct fsal_new *ret)
{
	struct local_volume *v = volume;
	struct local_name n;
	uint32_t type = m->mode & S_IFMT;
	int parent = local_fd(v, dir, ACCESS_PATH), r = local_name(name, &n);

	if (parent < 0 || r < 0)
		return parent < 0 ? parent : r;
	if (local_must_park(io))
		return FSAL_WOULD_PARK;
	uint32_t mode = type | local_disk_mode(v, type, m->mode & 07777);
	int fd = create(parent, n.text, m, mode);
	if (fd < 0)
		return fd;
	local_node(dir)->busy++;
	r = finish(v, fd, m, ret);
	if (r == 0 && type == S_IFREG)
		r = local_settle(io, NULL, fd);
	if (r == 0)
		r = local_settle(io, dir, parent);
	local_node(dir)->busy--;
	if (r != 0) {
		close(fd);
		(void)unlinkat(parent, n.text, type == S_IFDIR ? AT_REMOVEDIR : 0);
		return r;
	}
	enum access access = type == S_IFREG ? ACCESS_WRITE
		: type == S_IFDIR            ? ACCESS_READ
					     : ACCESS_PATH;
	ret->carry = (intptr_t)fd << 2 | (intptr_t)access;
	return 0;
}

void local_adopt(void *volume, struct fsal_node *n, intptr_t carry)
{
	int fd = (int)(carry >> 2);

	if (carry == 0)
		return;
	if (n)
		local_fd_put(volume, n, fd, (enum access)(carry & 3));
	else
		close(fd);
}

/* ---- link, remove, rename ---- */

int local_link(void *volume, const struct fsal_io *io, struct fsal_node *n, struct fsal_node *dir,
	struct span name)
{
	struct local_name to;
	char self[FD_PATH_BYTES];
	int r = local_name(name, &to), fd = local_fd(volume, n, ACCESS_PATH);

	if (r < 0 || fd < 0)
		return r < 0 ? r : fd;
	if (local_must_park(io))
		return FSAL_WOULD_PARK;
	local_node(n)->busy++;
	int parent = local_fd(volume, dir, ACCESS_PATH);
	local_node(n)->busy--;
	if (parent < 0)
		return parent;
	local_fd_path(fd, self);
	if (linkat(AT_FDCWD, self, parent, to.text, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return local_settle(io, dir, parent);
}

int local_remove(void *volume, const struct fsal_io *io, struct fsal_node *dir, struct span name,
	bool directory)
{
	struct local_name n;
	int r = local_name(name, &n), parent = local_fd(volume, dir, ACCESS_PATH);

	if (r < 0 || parent < 0)
		return r < 0 ? r : parent;
	if (local_must_park(io))
		return FSAL_WOULD_PARK;
	if (unlinkat(parent, n.text, directory ? AT_REMOVEDIR : 0) < 0)
		return -errno;
	return local_settle(io, dir, parent);
}

int local_rename(void *volume, const struct fsal_io *io, struct fsal_node *from,
	struct span from_name, struct fsal_node *to, struct span to_name)
{
	struct local_volume *v = volume;
	struct local_name a, b;
	int r = local_name(from_name, &a), source, target;

	if (r == 0)
		r = local_name(to_name, &b);
	if (r < 0)
		return r;
	source = local_fd(v, from, ACCESS_PATH);
	if (source < 0)
		return source;
	local_node(from)->busy++;
	target = local_fd(v, to, ACCESS_PATH);
	local_node(from)->busy--;
	if (target < 0)
		return target;
	if (local_must_park(io))
		return FSAL_WOULD_PARK;
	v->moves++;
	if (renameat(source, a.text, target, b.text) < 0)
		return -errno;
	local_node(to)->busy++;
	r = local_settle(io, from, source);
	local_node(to)->busy--;
	return r == 0 && target != source ? local_settle(io, to, target) : r;
}

/* ---- replace ---- */

/* The content is complete before it has a name. The name it gets first stands there for the moment
 * between link and rename, since nothing in the kernel links over an existing name. */
static int put_in_place(int fd, int parent, const char *name)
{
	char self[FD_PATH_BYTES], temporary[64], id[UUID_TEXT_BYTES];

	uuid_text(uuid_new(), id);
	local_fd_path(fd, self);
	snprintf(temporary, sizeof(temporary), ".aegis-%s", id);
	if (linkat(AT_FDCWD, self, parent, temporary, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	if (renameat(parent, temporary, parent, name) == 0)
		return 0;
	int r = -errno;
	(void)unlinkat(parent, temporary, 0);
	return r;
}

static int write_all(int fd, struct span content)
{
	for (size_t done = 0; done < content.n;) {
		ssize_t n = write(fd, content.p + done, content.n - done);
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int local_replace(void *volume, const struct fsal_io *io, struct fsal_node *dir, struct span name,
	struct span content, uint32_t mode, struct fsal_new *ret)
{
	struct local_volume *v = volume;
	struct fsal_make m = {.mode = S_IFREG | mode};
	struct local_name n;
	int r = local_name(name, &n), parent = local_fd(v, dir, ACCESS_PATH);

	if (r < 0 || parent < 0)
		return r < 0 ? r : parent;
	if (local_must_park(io))
		return FSAL_WOULD_PARK;
	int fd = openat(parent, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	local_node(dir)->busy++;
	r = write_all(fd, content);
	if (r == 0)
		r = finish(v, fd, &m, ret);
	if (r == 0)
		r = local_settle(io, NULL, fd);
	if (r == 0)
		r = put_in_place(fd, parent, n.text);
	if (r == 0)
		r = local_statx(v, fd, "", &ret->attr);
	if (r == 0)
		r = local_settle(io, dir, parent);
	local_node(dir)->busy--;
	if (r != 0) {
		close(fd);
		return r;
	}
	ret->carry = (intptr_t)fd << 2 | ACCESS_WRITE;
	return 0;
}
