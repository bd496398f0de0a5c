/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Volumes in memory, for tests: small, slow with many names in one folder, and exact. The number of
 * an inode is its index in a table and is never used again, so that it is its identity.
 *
 * A `slow` volume parks in each operation, as one behind a network does.
 */
#include "nfs/backend/memory.h"
#include <stdlib.h>

enum { BYTES_MAX = 64 * 1024 * 1024 };

/* ---- finding ---- */

static int memory_root(void *volume, const struct fsal_io *io, struct fsal_new *ret)
{
	struct memory *m = volume;

	*ret = (struct fsal_new){.attr = m->inodes[0]->attr};
	memory_id(m->inodes[0], &ret->id);
	return 0;
}

static int memory_lookup(void *volume, const struct fsal_io *io, struct fsal_node *dir,
	struct span name, struct fsal_attr *ret)
{
	struct inode *d;
	int r = memory_folder(volume, io, dir, &d);
	struct entry *e = r == 0 ? memory_entry(d, name) : NULL;

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
	int r = memory_wait(m, io);

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
			memory_inode_free(m, m->inodes[i]);
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

static struct fsal_backend objects_backend;

/* What a store like S3 has, of the same operations. */
static const struct fsal_backend *objects_of_memory(void)
{
	objects_backend = memory_backend;
	objects_backend.name = "memory objects";
	objects_backend.limits.has_links = false;
	objects_backend.limits.has_symlinks = false;
	objects_backend.limits.has_rename = false;
	objects_backend.find = NULL;
	objects_backend.setattr = NULL;
	objects_backend.readlink = NULL;
	objects_backend.made_by = NULL;
	objects_backend.link = NULL;
	objects_backend.rename = NULL;
	return &objects_backend;
}

int backend_memory_open(struct fsal *f, const struct backend_memory_options *o,
	struct span volume_id, struct fsal_volume **ret)
{
	struct fsal_make root = {.mode = S_IFDIR | 0755};
	struct memory *m = calloc(1, sizeof(*m));

	if (m) {
		m->bytes_max = o->bytes_max ? o->bytes_max : BYTES_MAX;
		m->slow = o->slow;
	}
	if (!m || !memory_inode_new(m, &root)) {
		free(m);
		return err_raise(-ENOMEM, "volume: out of memory");
	}
	const struct fsal_backend *b = o->objects ? objects_of_memory() : &memory_backend;
	return err_trace(fsal_volume_new(f, b, m, volume_id, ret));
}
