/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Descriptors and identities.
 *
 * A node is opened relative to the nearest ancestor that is open, one name or several, without
 * following links and without leaving the volume (openat2), and what was opened is compared with
 * the node's id: if somebody moved it, the answer is -ESTALE and never another file. Descriptors
 * are kept, the most recently used ones, up to a maximum. One that was opened for its attributes
 * only is opened again for reading and writing through /proc/self/fd, whatever its name is then.
 *
 * An id is a type, the inode's number, and the kernel's file handle (name_to_handle_at), which
 * names the inode's generation too. Where a file system has none, number and time of birth serve.
 */
#include "nfs/backend/local.h"
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TRIES = 16, GIVEN_UP = 16, TYPE_BORN = 0xff, KERNEL_BYTES_MAX = FSAL_ID_BYTES - 9 };

#ifndef AT_HANDLE_FID
#define AT_HANDLE_FID AT_REMOVEDIR
#endif

int local_beneath(int dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	for (int tries = 0;; tries++) {
		long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		/* A rename elsewhere in the tree meanwhile: again, but not for ever. */
		if ((errno != EAGAIN && errno != EINTR) || tries == TRIES)
			return -errno;
	}
}

void local_fd_path(int fd, char ret[FD_PATH_BYTES])
{
	snprintf(ret, FD_PATH_BYTES, "/proc/self/fd/%d", fd);
}

int local_name(struct span name, struct local_name *ret)
{
	if (name.n > LIMIT_PATH_COMPONENT_BYTES)
		return -ENAMETOOLONG;
	if (name.n == 0 || memchr(name.p, '\0', name.n) || memchr(name.p, '/', name.n))
		return -EINVAL;
	memcpy(ret->text, name.p, name.n);
	ret->text[name.n] = '\0';
	return 0;
}

/* ---- identities ---- */

int local_identify(struct local_volume *v, int dir, const char *name, uint64_t file_id,
	int64_t born_ns, struct fsal_id *ret)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u;
	int mount, flags = name[0] ? 0 : AT_EMPTY_PATH;

	u.h.handle_bytes = KERNEL_BYTES_MAX;
	int r = name_to_handle_at(dir, name, &u.h, &mount, flags);
	if (r < 0 && errno == EOPNOTSUPP)
		r = name_to_handle_at(dir, name, &u.h, &mount, flags | AT_HANDLE_FID);
	if (r < 0 && errno != EOPNOTSUPP && errno != EOVERFLOW && errno != EINVAL)
		return -errno;
	memcpy(ret->bytes + 1, &file_id, sizeof(file_id));
	if (r < 0 || u.h.handle_type < 0 || u.h.handle_type >= TYPE_BORN) {
		ret->bytes[0] = TYPE_BORN;
		memcpy(ret->bytes + 9, &born_ns, sizeof(born_ns));
		ret->n = 9 + sizeof(born_ns);
		return 0;
	}
	ret->bytes[0] = (uint8_t)u.h.handle_type;
	memcpy(ret->bytes + 9, u.h.f_handle, u.h.handle_bytes);
	ret->n = (uint8_t)(9 + u.h.handle_bytes);
	return 0;
}

static bool is_node(struct local_volume *v, int fd, const struct fsal_node *n)
{
	struct fsal_id id;
	return local_identify(v, fd, "", n->file_id, n->born_ns, &id) == 0 &&
		span_eq(span_of(id.bytes, id.n), n->id);
}

/* ---- the cache of descriptors ---- */

void local_fd_close(struct local_volume *v, struct fsal_node *n)
{
	struct local_node *l = local_node(n);

	if (l->access == ACCESS_NONE)
		return;
	close(l->fd);
	l->access = ACCESS_NONE;
	list_remove(&l->link);
	v->open_count--;
}

/* Closes up to `count` of those that were not used for long. */
static void shrink(struct local_volume *v, size_t count)
{
	size_t looks = 2 * v->open_count;

	while (count > 0 && looks-- > 0 && !list_empty(&v->open)) {
		struct local_node *l = list_first(&v->open, struct local_node, link);
		list_remove(&l->link);
		if (l->used || l->busy) {
			l->used = false;
			list_push_back(&v->open, &l->link);
			continue;
		}
		close(l->fd);
		l->access = ACCESS_NONE;
		v->open_count--;
		count--;
	}
}

void local_fd_put(struct local_volume *v, struct fsal_node *n, int fd, enum access access)
{
	struct local_node *l = local_node(n);

	l->used = true;
	if (l->access != ACCESS_NONE && dup3(fd, l->fd, O_CLOEXEC) >= 0) {
		/* Operations that are parked go on under the same number. */
		close(fd);
		l->access = (uint8_t)access;
		return;
	}
	local_fd_close(v, n);
	if (v->open_count >= v->open_max)
		shrink(v, v->open_count - v->open_max + 1);
	l->fd = fd;
	l->access = (uint8_t)access;
	list_push_back(&v->open, &l->link);
	v->open_count++;
}

static int open_again(struct local_volume *v, int dir, const char *path, int flags)
{
	int fd = local_beneath(dir, path, flags, 0);
	if (fd == -EMFILE || fd == -ENFILE) {
		shrink(v, GIVEN_UP);
		fd = local_beneath(dir, path, flags, 0);
	}
	return fd;
}

/* ---- opening ---- */

/* "a/b/c": from the nearest ancestor that is open, whose descriptor is returned. */
static int way_to(struct local_volume *v, const struct fsal_node *n, struct buf *ret)
{
	const struct fsal_node *at = n;
	size_t bytes = 0, end;

	do {
		bytes += at->name.n + 1;
		at = at->parent;
	} while (at->parent && local_node(at)->access == ACCESS_NONE);
	if (bytes > LIMIT_PATH_BYTES)
		return -ENAMETOOLONG;
	char *p = buf_reserve(ret, bytes);
	if (!p)
		return -ENOMEM;
	end = bytes;
	p[--end] = '\0';
	for (const struct fsal_node *i = n; i != at; i = i->parent) {
		end -= i->name.n;
		memcpy(p + end, i->name.p, i->name.n);
		if (end > 0)
			p[--end] = '/';
	}
	buf_commit(ret, bytes);
	if (!at->parent)
		return v->root;
	local_node(at)->used = true;
	return local_node(at)->fd;
}

static int open_node(struct local_volume *v, struct fsal_node *n)
{
	struct buf way CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES + 1);
	bool is_dir = n->type == S_IFDIR;
	int from = way_to(v, n, &way);

	if (from < 0)
		return from;
	int fd = open_again(v, from, way.data, is_dir ? O_RDONLY | O_DIRECTORY : O_PATH);
	if (fd == -EACCES && is_dir && v->widens) {
		/* Somebody took our own permissions away; they are ours to take back. */
		fd = open_again(v, from, way.data, O_PATH);
		if (fd >= 0) {
			char self[FD_PATH_BYTES];
			local_fd_path(fd, self);
			int r = is_node(v, fd, n) ? chmod(self, 0700) : -1;
			close(fd);
			fd = r < 0 ? -EACCES
				   : open_again(v, from, way.data, O_RDONLY | O_DIRECTORY);
		}
	}
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -EXDEV)
		return -ESTALE;
	if (fd < 0)
		return fd;
	if (!is_node(v, fd, n)) {
		close(fd);
		return -ESTALE;
	}
	local_fd_put(v, n, fd, is_dir ? ACCESS_READ : ACCESS_PATH);
	return fd;
}

/* For the content: reading and writing, or reading alone where that is all there is. */
static int open_content(struct local_volume *v, struct fsal_node *n, enum access want)
{
	struct local_node *l = local_node(n);
	char self[FD_PATH_BYTES];
	struct stat st;

	local_fd_path(l->fd, self);
	int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd = open(self, O_RDWR | flags);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		l->busy++;
		shrink(v, GIVEN_UP);
		l->busy--;
		fd = open(self, O_RDWR | flags);
	}
	if (fd < 0 && errno == EACCES && v->widens && fstat(l->fd, &st) == 0 &&
		chmod(self, st.st_mode | S_IRUSR | S_IWUSR) == 0)
		fd = open(self, O_RDWR | flags);
	enum access access = ACCESS_WRITE;
	if (fd < 0 && want == ACCESS_READ &&
		(errno == EROFS || errno == ETXTBSY || errno == EACCES)) {
		fd = open(self, O_RDONLY | flags);
		access = ACCESS_READ;
	}
	if (fd < 0)
		return -errno;
	local_fd_put(v, n, fd, access);
	return l->fd;
}

int local_fd(struct local_volume *v, struct fsal_node *n, enum access want)
{
	struct local_node *l = local_node(n);
	int fd;

	if (!n->parent)
		return v->root;
	if (l->access >= want) {
		l->used = true;
		return l->fd;
	}
	if (l->access == ACCESS_NONE) {
		fd = open_node(v, n);
		if (fd < 0 || l->access >= want)
			return fd;
	}
	if (n->type != S_IFREG)
		return n->type == S_IFDIR ? -EISDIR : -EINVAL;
	return open_content(v, n, want);
}
