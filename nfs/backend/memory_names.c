/* SPDX-License-Identifier: AGPL-3.0-only */
/* Entries of directories in memory, in order of their cookies. */
#include "nfs/backend/memory.h"
#include <stdlib.h>

/* ---- entries ---- */

struct entry *memory_entry(const struct inode *dir, struct span name)
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
	memory_changed(m, dir, true);
	return 0;
}

static void entry_drop(struct memory *m, struct inode *dir, struct entry *e)
{
	if (S_ISDIR(e->inode->attr.mode))
		dir->attr.nlink--;
	list_remove(&e->link);
	free(e);
	memory_changed(m, dir, true);
}

/* Its name is gone; the inode, if it was the last one. */
static void inode_unlinked(struct memory *m, struct inode *i)
{
	memory_changed(m, i, false);
	if (S_ISDIR(i->attr.mode) || --i->attr.nlink == 0)
		memory_inode_free(m, i);
}

int memory_folder(
	struct memory *m, const struct fsal_io *io, const struct fsal_node *n, struct inode **ret)
{
	int r = memory_wait(m, io);

	if (r != 0)
		return r;
	*ret = memory_inode(m, n);
	if (!*ret)
		return -ESTALE;
	return S_ISDIR((*ret)->attr.mode) ? 0 : -ENOTDIR;
}

/* ---- names ---- */

static int add_new(struct memory *m, struct inode *dir, struct span name,
	const struct fsal_make *make, struct span content, struct fsal_new *ret)
{
	struct inode *i = memory_inode_new(m, make);

	if (!i)
		return -ENOMEM;
	int r = content.n ? memory_resize(m, i, content.n) : 0;
	if (r == 0 && content.n) {
		CHECK(i->data);
		memcpy(i->data, content.p, content.n);
	}
	if (r == 0)
		r = entry_add(m, dir, name, i);
	if (r < 0) {
		memory_inode_free(m, i);
		return r;
	}
	*ret = (struct fsal_new){.attr = i->attr};
	memory_id(i, &ret->id);
	return 0;
}

int memory_make(void *volume, const struct fsal_io *io, struct fsal_node *dir, struct span name,
	const struct fsal_make *make, struct fsal_new *ret)
{
	struct inode *d;
	int r = memory_folder(volume, io, dir, &d);

	if (r != 0)
		return r;
	if (memory_entry(d, name))
		return -EEXIST;
	return add_new(volume, d, name, make, make->target, ret);
}

bool memory_made_by(void *volume, const struct fsal_attr *attr, const uint8_t *verifier)
{
	const struct memory *m = volume;
	const struct inode *i = attr->file_id < m->count ? m->inodes[attr->file_id] : NULL;
	return i && i->verified && memcmp(i->verifier, verifier, sizeof(i->verifier)) == 0;
}

int memory_link(void *volume, const struct fsal_io *io, struct fsal_node *n, struct fsal_node *dir,
	struct span name)
{
	struct memory *m = volume;
	struct inode *d;
	int r = memory_folder(m, io, dir, &d);
	struct inode *i = r == 0 ? memory_inode(m, n) : NULL;

	if (r != 0 || !i)
		return r != 0 ? r : -ESTALE;
	if (memory_entry(d, name))
		return -EEXIST;
	r = entry_add(m, d, name, i);
	if (r < 0)
		return r;
	i->attr.nlink++;
	memory_changed(m, i, false);
	return 0;
}

int memory_remove(void *volume, const struct fsal_io *io, struct fsal_node *dir, struct span name,
	bool directory)
{
	struct memory *m = volume;
	struct inode *d;
	int r = memory_folder(m, io, dir, &d);
	struct entry *e = r == 0 ? memory_entry(d, name) : NULL;

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

int memory_rename(void *volume, const struct fsal_io *io, struct fsal_node *from,
	struct span from_name, struct fsal_node *to, struct span to_name)
{
	struct memory *m = volume;
	struct inode *a, *b;
	int r = memory_folder(m, io, from, &a);
	if (r == 0)
		r = memory_folder(m, io, to, &b);
	struct entry *source = r == 0 ? memory_entry(a, from_name) : NULL;
	if (r != 0 || !source)
		return r != 0 ? r : -ENOENT;
	struct entry *target = memory_entry(b, to_name);
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
	memory_changed(m, i, false);
	return 0;
}

int memory_replace(void *volume, const struct fsal_io *io, struct fsal_node *dir, struct span name,
	struct span content, uint32_t mode, struct fsal_new *ret)
{
	struct memory *m = volume;
	struct fsal_make make = {.mode = S_IFREG | mode};
	struct inode *d;
	int r = memory_folder(m, io, dir, &d);
	struct entry *old = r == 0 ? memory_entry(d, name) : NULL;

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

int memory_readdir(void *volume, const struct fsal_io *io, struct fsal_node *dir, uint64_t cookie,
	fsal_backend_dirent_fn fn, void *ctx, bool *ret_eof)
{
	struct inode *d;
	int r = memory_folder(volume, io, dir, &d);

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
