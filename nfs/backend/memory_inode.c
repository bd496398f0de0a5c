/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inodes in memory, and the operations on one. */
#include "nfs/backend/memory.h"
#include <stdlib.h>

/* ---- inodes ---- */

int64_t memory_now_ns(struct memory *m)
{
	int64_t t = rt_wall_ns();
	m->last_ns = t > m->last_ns ? t : m->last_ns + 1;
	return m->last_ns;
}

int memory_wait(const struct memory *m, const struct fsal_io *io)
{
	if (!m->slow)
		return 0;
	if (!io->may_park)
		return FSAL_WOULD_PARK;
	fiber_yield();
	return 0;
}

struct inode *memory_inode(const struct memory *m, const struct fsal_node *n)
{
	return n->file_id < m->count ? m->inodes[n->file_id] : NULL;
}

struct inode *memory_inode_new(struct memory *m, const struct fsal_make *make)
{
	struct inode *i = calloc(1, sizeof(*i));

	if (i && m->count == m->capacity) {
		size_t capacity = m->capacity ? 2 * m->capacity : 64;
		struct inode **grown = realloc(m->inodes, capacity * sizeof(struct inode *));
		if (!grown) {
			free(i);
			return NULL;
		}
		m->inodes = grown;
		m->capacity = capacity;
	}
	if (!i)
		return NULL;
	int64_t t = memory_now_ns(m);
	bool is_dir = (make->mode & S_IFMT) == S_IFDIR;
	list_init(&i->entries);
	i->next_cookie = DOTS + 1;
	i->attr = (struct fsal_attr){
		.file_id = m->count,
		.mode = make->mode,
		.nlink = is_dir ? 2 : 1,
		.uid = make->uid,
		.gid = make->gid,
		.rdev_major = make->rdev_major,
		.rdev_minor = make->rdev_minor,
		.used_bytes = is_dir ? BLOCK_BYTES : 0,
		.atime_ns = t,
		.mtime_ns = t,
		.ctime_ns = t,
		.born_ns = t,
	};
	if (make->verifier) {
		memcpy(i->verifier, make->verifier, sizeof(i->verifier));
		i->verified = true;
	}
	m->inodes[m->count++] = i;
	return i;
}

void memory_inode_free(struct memory *m, struct inode *i)
{
	m->inodes[i->attr.file_id] = NULL;
	m->bytes -= i->capacity;
	free(i->data);
	for (struct list *l; (l = list_pop_front(&i->entries));)
		free(list_entry(l, struct entry, link));
	free(i);
}

int memory_resize(struct memory *m, struct inode *i, uint64_t size)
{
	size_t capacity = (size_t)((size + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES);

	if (size > m->bytes_max || m->bytes - i->capacity + capacity > m->bytes_max)
		return -ENOSPC;
	if (capacity != i->capacity) {
		if (capacity == 0) {
			free(i->data);
			i->data = NULL;
		} else {
			char *grown = realloc(i->data, capacity);
			if (!grown)
				return -ENOSPC;
			i->data = grown;
		}
		m->bytes += capacity - i->capacity;
		i->capacity = capacity;
	}
	if (size > i->attr.size_bytes)
		memset(i->data + i->attr.size_bytes, 0, (size_t)(size - i->attr.size_bytes));
	i->attr.size_bytes = size;
	i->attr.used_bytes = capacity;
	return 0;
}

void memory_changed(struct memory *m, struct inode *i, bool content)
{
	i->attr.ctime_ns = memory_now_ns(m);
	if (content)
		i->attr.mtime_ns = i->attr.ctime_ns;
}

void memory_id(const struct inode *i, struct fsal_id *ret)
{
	ret->n = sizeof(i->attr.file_id);
	memcpy(ret->bytes, &i->attr.file_id, sizeof(i->attr.file_id));
}

/* ---- one object ---- */

int memory_getattr(
	void *volume, const struct fsal_io *io, struct fsal_node *n, struct fsal_attr *ret)
{
	int r = memory_wait(volume, io);
	struct inode *i = r == 0 ? memory_inode(volume, n) : NULL;

	if (r != 0 || !i)
		return r != 0 ? r : -ESTALE;
	*ret = i->attr;
	return 0;
}

static int64_t time_for(struct memory *m, enum fsal_time_how how, int64_t old_ns, int64_t ns)
{
	return how == FSAL_TIME_KEEP ? old_ns : how == FSAL_TIME_SET ? ns : memory_now_ns(m);
}

int memory_setattr(
	void *volume, const struct fsal_io *io, struct fsal_node *n, const struct fsal_sattr *s)
{
	struct memory *m = volume;
	int r = memory_wait(m, io);
	struct inode *i = r == 0 ? memory_inode(m, n) : NULL;

	if (r != 0 || !i)
		return r != 0 ? r : -ESTALE;
	if (s->set_size) {
		r = memory_resize(m, i, s->size_bytes);
		if (r < 0)
			return r;
		memory_changed(m, i, true);
	}
	if (s->set_uid || s->set_gid) {
		i->attr.uid = s->set_uid ? s->uid : i->attr.uid;
		i->attr.gid = s->set_gid ? s->gid : i->attr.gid;
		if (!S_ISDIR(i->attr.mode))
			i->attr.mode &=
				~(uint32_t)(S_ISUID | (i->attr.mode & S_IXGRP ? S_ISGID : 0));
	}
	if (s->set_mode && S_ISLNK(i->attr.mode))
		return -EOPNOTSUPP;
	if (s->set_mode)
		i->attr.mode = (i->attr.mode & S_IFMT) | (s->mode & 07777);
	i->attr.atime_ns = time_for(m, s->atime_how, i->attr.atime_ns, s->atime_ns);
	i->attr.mtime_ns = time_for(m, s->mtime_how, i->attr.mtime_ns, s->mtime_ns);
	if (s->atime_how != FSAL_TIME_KEEP || s->mtime_how != FSAL_TIME_KEEP)
		i->verified = false;
	memory_changed(m, i, false);
	return 0;
}

int memory_read(void *volume, const struct fsal_io *io, struct fsal_node *n, uint64_t offset,
	void *p, size_t size, size_t *ret_n)
{
	int r = memory_wait(volume, io);
	struct inode *i = r == 0 ? memory_inode(volume, n) : NULL;

	if (r != 0 || !i)
		return r != 0 ? r : -ESTALE;
	uint64_t left = i->attr.size_bytes - MIN(offset, i->attr.size_bytes);
	*ret_n = (size_t)MIN((uint64_t)size, left);
	if (*ret_n)
		memcpy(p, i->data + offset, *ret_n);
	return 0;
}

int memory_readlink(void *volume, const struct fsal_io *io, struct fsal_node *n, char *p,
	size_t size, size_t *ret_n)
{
	return memory_read(volume, io, n, 0, p, size, ret_n);
}

int memory_write(void *volume, const struct fsal_io *io, struct fsal_node *n, uint64_t offset,
	struct span bytes)
{
	struct memory *m = volume;
	int r = memory_wait(m, io);
	struct inode *i = r == 0 ? memory_inode(m, n) : NULL;

	if (r != 0 || !i)
		return r != 0 ? r : -ESTALE;
	if (offset + bytes.n > i->attr.size_bytes) {
		r = memory_resize(m, i, offset + bytes.n);
		if (r < 0)
			return r;
	}
	memcpy(i->data + offset, bytes.p, bytes.n);
	memory_changed(m, i, true);
	return 0;
}

int memory_commit(void *volume, const struct fsal_io *io, struct fsal_node *n)
{
	return memory_wait(volume, io);
}
