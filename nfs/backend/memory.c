/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Volumes in memory, for tests: small, slow with many names in one folder, and exact. The number of
 * an inode is its index in a table and is never used again, so that it is its identity.
 *
 * A `slow` volume parks in each operation, as one behind a network does.
 */
#include "nfs/backend/backend.h"
#include "nfs/fsal/backend.h"
#include <stdlib.h>

enum { BYTES_MAX = 64 * 1024 * 1024, BLOCK_BYTES = 4096, DOTS = 2 };

struct inode {
	struct fsal_attr attr;
	char *data; /* of a file, or the target of a link */
	size_t capacity;
	struct list entries; /* of a directory, in order of their cookies */
	uint64_t next_cookie;
	struct inode *parent; /* of a directory */
	uint8_t verifier[FSAL_VERIFIER_BYTES];
	bool verified;
};

struct entry {
	struct list link;
	struct inode *inode;
	uint64_t cookie;
	size_t n;
	char name[LIMIT_PATH_COMPONENT_BYTES];
};

struct memory {
	struct inode **inodes; /* by file_id; NULL: gone */
	size_t count, capacity;
	uint64_t bytes, bytes_max;
	int64_t last_ns;
	bool slow;
};

/* ---- inodes ---- */

static int64_t now_ns(struct memory *m)
{
	int64_t t = rt_wall_ns();
	m->last_ns = t > m->last_ns ? t : m->last_ns + 1;
	return m->last_ns;
}

static int wait_a_little(const struct memory *m, const struct fsal_io *io)
{
	if (!m->slow)
		return 0;
	if (!io->may_park)
		return FSAL_WOULD_PARK;
	fiber_yield();
	return 0;
}

static struct inode *inode_of(const struct memory *m, const struct fsal_node *n)
{
	return n->file_id < m->count ? m->inodes[n->file_id] : NULL;
}

static struct inode *inode_new(struct memory *m, const struct fsal_make *make)
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
	int64_t t = now_ns(m);
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

static void inode_free(struct memory *m, struct inode *i)
{
	m->inodes[i->attr.file_id] = NULL;
	m->bytes -= i->capacity;
	free(i->data);
	for (struct list *l; (l = list_pop_front(&i->entries));)
		free(list_entry(l, struct entry, link));
	free(i);
}

static int inode_resize(struct memory *m, struct inode *i, uint64_t size)
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

static void changed(struct memory *m, struct inode *i, bool content)
{
	i->attr.ctime_ns = now_ns(m);
	if (content)
		i->attr.mtime_ns = i->attr.ctime_ns;
}

/* ---- entries ---- */

static struct entry *entry_get(const struct inode *dir, struct span name)
{
	list_for_each (l, &dir->entries) {
		struct entry *e = list_entry(l, struct entry, link);
		if (span_eq(span_of(e->name, e->n), name))
			return e;
	}
	return NULL;
}

static int entry_add(struct memory *m, struct inode *dir, struct span name, struct inode *i)
{
	struct entry *e = name.n <= LIMIT_PATH_COMPONENT_BYTES ? calloc(1, sizeof(*e)) : NULL;

	if (!e)
		return name.n > LIMIT_PATH_COMPONENT_BYTES ? -ENAMETOOLONG : -ENOMEM;
	e->inode = i;
	e->n = name.n;
	memcpy(e->name, name.p, name.n);
	e->cookie = dir->next_cookie++;
	list_push_back(&dir->entries, &e->link);
	if (S_ISDIR(i->attr.mode)) {
		i->parent = dir;
		dir->attr.nlink++;
	}
	changed(m, dir, true);
	return 0;
}

static void entry_drop(struct memory *m, struct inode *dir, struct entry *e)
{
	if (S_ISDIR(e->inode->attr.mode))
		dir->attr.nlink--;
	list_remove(&e->link);
	free(e);
	changed(m, dir, true);
}

/* Its name is gone; the inode, if it was the last one. */
static void inode_unlinked(struct memory *m, struct inode *i)
{
	changed(m, i, false);
	if (S_ISDIR(i->attr.mode) || --i->attr.nlink == 0)
		inode_free(m, i);
}

static int folder_of(
	struct memory *m, const struct fsal_io *io, const struct fsal_node *n, struct inode **ret)
{
	int r = wait_a_little(m, io);

	if (r != 0)
		return r;
	*ret = inode_of(m, n);
	if (!*ret)
		return -ESTALE;
	return S_ISDIR((*ret)->attr.mode) ? 0 : -ENOTDIR;
}

static void id_of(const struct inode *i, struct fsal_id *ret)
{
	ret->n = sizeof(i->attr.file_id);
	memcpy(ret->bytes, &i->attr.file_id, sizeof(i->attr.file_id));
}

/* ---- finding ---- */

static int memory_root(void *volume, const struct fsal_io *io, struct fsal_new *ret)
{
	struct memory *m = volume;

	*ret = (struct fsal_new){.attr = m->inodes[0]->attr};
	id_of(m->inodes[0], &ret->id);
	return 0;
}

static int memory_lookup(void *volume, const struct fsal_io *io, struct fsal_node *dir,
	struct span name, struct fsal_attr *ret)
{
	struct inode *d;
	int r = folder_of(volume, io, dir, &d);
	struct entry *e = r == 0 ? entry_get(d, name) : NULL;

	if (r != 0 || !e)
		return r != 0 ? r : name.n > LIMIT_PATH_COMPONENT_BYTES ? -ENAMETOOLONG : -ENOENT;
	*ret = e->inode->attr;
	return 0;
}

static int memory_identify(void *volume, const struct fsal_io *io, struct fsal_node *dir,
	struct span name, const struct fsal_attr *attr, struct fsal_id *ret)
{
	ret->n = sizeof(attr->file_id);
	memcpy(ret->bytes, &attr->file_id, sizeof(attr->file_id));
	return 0;
}

static struct entry *entry_of(const struct memory *m, const struct inode *i, struct inode **ret_dir)
{
	for (size_t n = 0; n < m->count; n++) {
		if (!m->inodes[n] || !S_ISDIR(m->inodes[n]->attr.mode))
			continue;
		list_for_each (l, &m->inodes[n]->entries) {
			struct entry *e = list_entry(l, struct entry, link);
			if (e->inode != i)
				continue;
			*ret_dir = m->inodes[n];
			return e;
		}
	}
	return NULL;
}

static int memory_find(void *volume, const struct fsal_io *io, struct span id, struct buf *ret_path)
{
	struct memory *m = volume;
	const struct entry *chain[64];
	size_t depth = 0;
	uint64_t number;
	int r = wait_a_little(m, io);

	if (r != 0)
		return r;
	if (id.n != sizeof(number))
		return -ESTALE;
	memcpy(&number, id.p, sizeof(number));
	struct inode *i = number < m->count ? m->inodes[number] : NULL;
	while (i && i != m->inodes[0]) {
		struct inode *dir;
		struct entry *e = entry_of(m, i, &dir);
		if (!e || depth == ARRAY_LEN(chain))
			return -ESTALE;
		chain[depth++] = e;
		i = dir;
	}
	if (!i)
		return -ESTALE;
	while (depth > 0) {
		const struct entry *e = chain[--depth];
		buf_put(ret_path, e->name, e->n);
		if (depth)
			buf_putc(ret_path, '/');
	}
	return ret_path->error ? -ENAMETOOLONG : 0;
}

static void memory_forget(void *volume, struct fsal_node *n)
{
}

/* ---- one object ---- */

static int memory_getattr(
	void *volume, const struct fsal_io *io, struct fsal_node *n, struct fsal_attr *ret)
{
	int r = wait_a_little(volume, io);
	struct inode *i = r == 0 ? inode_of(volume, n) : NULL;

	if (r != 0 || !i)
		return r != 0 ? r : -ESTALE;
	*ret = i->attr;
	return 0;
}

static int64_t time_for(struct memory *m, enum fsal_time_how how, int64_t old_ns, int64_t ns)
{
	return how == FSAL_TIME_KEEP ? old_ns : how == FSAL_TIME_SET ? ns : now_ns(m);
}

static int memory_setattr(
	void *volume, const struct fsal_io *io, struct fsal_node *n, const struct fsal_sattr *s)
{
	struct memory *m = volume;
	int r = wait_a_little(m, io);
	struct inode *i = r == 0 ? inode_of(m, n) : NULL;

	if (r != 0 || !i)
		return r != 0 ? r : -ESTALE;
	if (s->set_size) {
		r = inode_resize(m, i, s->size_bytes);
		if (r < 0)
			return r;
		changed(m, i, true);
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
	changed(m, i, false);
	return 0;
}

static int memory_read(void *volume, const struct fsal_io *io, struct fsal_node *n, uint64_t offset,
	void *p, size_t size, size_t *ret_n)
{
	int r = wait_a_little(volume, io);
	struct inode *i = r == 0 ? inode_of(volume, n) : NULL;

	if (r != 0 || !i)
		return r != 0 ? r : -ESTALE;
	uint64_t left = i->attr.size_bytes - MIN(offset, i->attr.size_bytes);
	*ret_n = (size_t)MIN((uint64_t)size, left);
	if (*ret_n)
		memcpy(p, i->data + offset, *ret_n);
	return 0;
}

static int memory_readlink(void *volume, const struct fsal_io *io, struct fsal_node *n, char *p,
	size_t size, size_t *ret_n)
{
	return memory_read(volume, io, n, 0, p, size, ret_n);
}

static int memory_write(void *volume, const struct fsal_io *io, struct fsal_node *n,
	uint64_t offset, struct span bytes)
{
	struct memory *m = volume;
	int r = wait_a_little(m, io);
	struct inode *i = r == 0 ? inode_of(m, n) : NULL;

	if (r != 0 || !i)
		return r != 0 ? r : -ESTALE;
	if (offset + bytes.n > i->attr.size_bytes) {
		r = inode_resize(m, i, offset + bytes.n);
		if (r < 0)
			return r;
	}
	memcpy(i->data + offset, bytes.p, bytes.n);
	changed(m, i, true);
	return 0;
}

static int memory_commit(void *volume, const struct fsal_io *io, struct fsal_node *n)
{
	return wait_a_little(volume, io);
}

/* ---- names ---- */

static int add_new(struct memory *m, struct inode *dir, struct span name,
	const struct fsal_make *make, struct span content, struct fsal_new *ret)
{
	struct inode *i = inode_new(m, make);

	if (!i)
		return -ENOMEM;
	int r = content.n ? inode_resize(m, i, content.n) : 0;
	if (r == 0 && content.n) {
		CHECK(i->data);
		memcpy(i->data, content.p, content.n);
	}
	if (r == 0)
		r = entry_add(m, dir, name, i);
	if (r < 0) {
		inode_free(m, i);
		return r;
	}
	*ret = (struct fsal_new){.attr = i->attr};
	id_of(i, &ret->id);
	return 0;
}

static int memory_make(void *volume, const struct fsal_io *io, struct fsal_node *dir,
	struct span name, const struct fsal_make *make, struct fsal_new *ret)
{
	struct inode *d;
	int r = folder_of(volume, io, dir, &d);

	if (r != 0)
		return r;
	if (entry_get(d, name))
		return -EEXIST;
	return add_new(volume, d, name, make, make->target, ret);
}

static bool memory_made_by(void *volume, const struct fsal_attr *attr, const uint8_t *verifier)
{
	const struct memory *m = volume;
	const struct inode *i = attr->file_id < m->count ? m->inodes[attr->file_id] : NULL;
	return i && i->verified && memcmp(i->verifier, verifier, sizeof(i->verifier)) == 0;
}

static int memory_link(void *volume, const struct fsal_io *io, struct fsal_node *n,
	struct fsal_node *dir, struct span name)
{
	struct memory *m = volume;
	struct inode *d;
	int r = folder_of(m, io, dir, &d);
	struct inode *i = r == 0 ? inode_of(m, n) : NULL;

	if (r != 0 || !i)
		return r != 0 ? r : -ESTALE;
	if (entry_get(d, name))
		return -EEXIST;
	r = entry_add(m, d, name, i);
	if (r < 0)
		return r;
	i->attr.nlink++;
	changed(m, i, false);
	return 0;
}

static int memory_remove(void *volume, const struct fsal_io *io, struct fsal_node *dir,
	struct span name, bool directory)
{
	struct memory *m = volume;
	struct inode *d;
	int r = folder_of(m, io, dir, &d);
	struct entry *e = r == 0 ? entry_get(d, name) : NULL;

	if (r != 0 || !e)
		return r != 0 ? r : -ENOENT;
	struct inode *i = e->inode;
	if (directory != S_ISDIR(i->attr.mode))
		return directory ? -ENOTDIR : -EISDIR;
	if (directory && !list_empty(&i->entries))
		return -ENOTEMPTY;
	entry_drop(m, d, e);
	inode_unlinked(m, i);
	return 0;
}

static bool is_below(const struct inode *i, const struct inode *ancestor)
{
	for (; i; i = i->parent)
		if (i == ancestor)
			return true;
	return false;
}

static int may_take_place(const struct inode *source, const struct inode *target)
{
	bool is_dir = S_ISDIR(source->attr.mode);

	if (is_dir != S_ISDIR(target->attr.mode))
		return is_dir ? -ENOTDIR : -EISDIR;
	return is_dir && !list_empty(&target->entries) ? -ENOTEMPTY : 0;
}

static int memory_rename(void *volume, const struct fsal_io *io, struct fsal_node *from,
	struct span from_name, struct fsal_node *to, struct span to_name)
{
	struct memory *m = volume;
	struct inode *a, *b;
	int r = folder_of(m, io, from, &a);
	if (r == 0)
		r = folder_of(m, io, to, &b);
	struct entry *source = r == 0 ? entry_get(a, from_name) : NULL;
	if (r != 0 || !source)
		return r != 0 ? r : -ENOENT;
	struct entry *target = entry_get(b, to_name);
	struct inode *i = source->inode, *old = target ? target->inode : NULL;
	if (i == old)
		return 0;
	if (S_ISDIR(i->attr.mode) && is_below(b, i))
		return -EINVAL;
	if (old && is_below(a, old))
		return -ENOTEMPTY;
	r = old ? may_take_place(i, old) : 0;
	if (r == 0)
		r = entry_add(m, b, to_name, i);
	if (r < 0)
		return r;
	if (old) {
		entry_drop(m, b, target);
		inode_unlinked(m, old);
	}
	entry_drop(m, a, source);
	changed(m, i, false);
	return 0;
}

static int memory_replace(void *volume, const struct fsal_io *io, struct fsal_node *dir,
	struct span name, struct span content, uint32_t mode, struct fsal_new *ret)
{
	struct memory *m = volume;
	struct fsal_make make = {.mode = S_IFREG | mode};
	struct inode *d;
	int r = folder_of(m, io, dir, &d);
	struct entry *old = r == 0 ? entry_get(d, name) : NULL;

	if (r == 0 && old && S_ISDIR(old->inode->attr.mode))
		r = -EISDIR;
	if (r == 0)
		r = add_new(m, d, name, &make, content, ret);
	if (r == 0 && old) {
		struct inode *i = old->inode;
		entry_drop(m, d, old);
		inode_unlinked(m, i);
	}
	return r;
}

static int memory_readdir(void *volume, const struct fsal_io *io, struct fsal_node *dir,
	uint64_t cookie, fsal_backend_dirent_fn fn, void *ctx, bool *ret_eof)
{
	struct inode *d;
	int r = folder_of(volume, io, dir, &d);

	if (r != 0)
		return r;
	*ret_eof = false;
	uint64_t up = d->parent ? d->parent->attr.file_id : d->attr.file_id;
	if (cookie < 1 && !fn(ctx, SPAN("."), d->attr.file_id, 1))
		return 0;
	if (cookie < DOTS && !fn(ctx, SPAN(".."), up, DOTS))
		return 0;
	list_for_each (l, &d->entries) {
		const struct entry *e = list_entry(l, struct entry, link);
		if (e->cookie > cookie &&
			!fn(ctx, span_of(e->name, e->n), e->inode->attr.file_id, e->cookie))
			return 0;
	}
	*ret_eof = true;
	return 0;
}

/* ---- the volume ---- */

static int memory_statfs(void *volume, const struct fsal_io *io, struct fsal_statfs *ret)
{
	struct memory *m = volume;

	*ret = (struct fsal_statfs){
		.bytes_total = m->bytes_max,
		.bytes_free = m->bytes_max - m->bytes,
		.bytes_available = m->bytes_max - m->bytes,
	};
	return 0;
}

static int memory_usage(void *volume, const struct fsal_io *io, struct fsal_usage *ret)
{
	struct memory *m = volume;

	*ret = (struct fsal_usage){0};
	for (size_t i = 0; i < m->count; i++) {
		if (!m->inodes[i])
			continue;
		ret->inodes += i > 0;
		ret->bytes += m->inodes[i]->attr.used_bytes;
	}
	return 0;
}

static void memory_close(void *volume)
{
	struct memory *m = volume;

	for (size_t i = 0; i < m->count; i++)
		if (m->inodes[i])
			inode_free(m, m->inodes[i]);
	free(m->inodes);
	free(m);
}

static const struct fsal_backend memory_backend = {
	.name = "memory",
	.limits = {.file_bytes_max = INT64_MAX,
		.link_max = UINT32_MAX,
		.name_bytes_max = LIMIT_PATH_COMPONENT_BYTES,
		.time_granularity_ns = 1,
		.has_links = true,
		.has_symlinks = true,
		.has_rename = true},
	.root = memory_root,
	.lookup = memory_lookup,
	.identify = memory_identify,
	.find = memory_find,
	.forget = memory_forget,
	.getattr = memory_getattr,
	.setattr = memory_setattr,
	.readlink = memory_readlink,
	.read = memory_read,
	.write = memory_write,
	.commit = memory_commit,
	.make = memory_make,
	.made_by = memory_made_by,
	.link = memory_link,
	.remove = memory_remove,
	.rename = memory_rename,
	.replace = memory_replace,
	.readdir = memory_readdir,
	.statfs = memory_statfs,
	.usage = memory_usage,
	.close = memory_close,
};

int backend_memory_open(struct fsal *f, const struct backend_memory_options *o,
	struct span volume_id, struct fsal_volume **ret)
{
	struct fsal_make root = {.mode = S_IFDIR | 0755};
	struct memory *m = calloc(1, sizeof(*m));

	if (m) {
		m->bytes_max = o->bytes_max ? o->bytes_max : BYTES_MAX;
		m->slow = o->slow;
	}
	if (!m || !inode_new(m, &root)) {
		free(m);
		return err_raise(-ENOMEM, "volume: out of memory");
	}
	return err_trace(fsal_volume_new(f, &memory_backend, m, volume_id, ret));
}
