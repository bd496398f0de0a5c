/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Listings. The backend's entries are taken in batches, so that each can be looked up, and decided
 * about, without the backend being in the middle of something.
 */
#include "nfs/fsal/internal.h"
#include <stdlib.h>

enum { BATCH_ENTRIES = 128, BATCH_BYTES = 16 * 1024, BATCHES_AT_ONCE = 32 };

struct item {
	struct span name;
	uint64_t file_id;
	uint64_t cookie;
};

struct batch {
	size_t count;
	size_t used;
	struct item items[BATCH_ENTRIES];
	char names[BATCH_BYTES];
};

static bool collect(void *ctx, struct span name, uint64_t file_id, uint64_t cookie)
{
	struct batch *b = ctx;

	if (b->count == BATCH_ENTRIES || b->used + name.n > BATCH_BYTES)
		return false;
	memcpy(b->names + b->used, name.p, name.n);
	b->items[b->count++] = (struct item){
		.name = span_of(b->names + b->used, name.n),
		.file_id = file_id,
		.cookie = cookie,
	};
	b->used += name.n;
	return true;
}

struct listing {
	struct fsal_call *call;
	struct fsal_object *dir;
	bool want_objects;
	fsal_dirent_fn fn;
	void *ctx;
	uint64_t cookie;
	bool full;
};

/* One that is known under that name and number is asked about by its descriptor, if it has one,
 * without another walk. */
static AWAITS int object_of_item(struct listing *l, const struct item *i, struct fsal_dirent *e)
{
	struct fsal_volume *v = l->dir->at->volume;
	struct fsal_io io = io_of(l->call, NULL);
	struct fsal_object *o = object_by_place(l->dir, i->name, i->file_id);
	int r = -ESTALE;

	io.passing = true;
	if (o) {
		fsal_ref(o);
		r = v->backend->getattr(v->state, &io, &o->node, &e->attr);
		if (r == 0 && (o->gone || e->attr.nlink == 0))
			r = -ESTALE;
		if (r == 0) {
			object_touch(o);
			e->object = o;
		}
		fsal_unref(o);
	}
	return r == -ESTALE ? object_of_name(l->call, l->dir, i->name, &e->object, &e->attr) : r;
}

static AWAITS int deliver(struct listing *l, const struct item *i)
{
	struct fsal_dirent e = {.name = i->name, .file_id = i->file_id, .cookie = i->cookie};
	bool dots = name_is_dots(i->name);
	int r = 0;

	if (dots && i->name.n == 2)
		e.file_id =
			l->dir->node.parent ? l->dir->node.parent->file_id : l->dir->node.file_id;
	if (!dots && l->want_objects) {
		r = object_of_item(l, i, &e);
		if (r == -ENOENT || r == -EXDEV)
			return 0; /* gone by now, or nothing of the volume */
		if (r != 0)
			return r;
		attr_show(l->dir->at, &e.attr);
		uint32_t type = e.object->node.type;
		if (!is_posix(l->dir) && (type == S_IFCHR || type == S_IFBLK))
			return 0;
	}
	struct fsal_object *known =
		e.object ? e.object : object_by_place(l->dir, i->name, i->file_id);
	if (!dots && !verdict_lists(l->dir, i->name, known))
		return 0;
	if (!l->fn(l->ctx, &e))
		l->full = true;
	return 0;
}

/* Batches until the caller has no room, or there are no more. */
static AWAITS int list(struct listing *l, struct batch *b, bool *ret_eof)
{
	struct fsal_volume *v = l->dir->at->volume;
	struct fsal_io io = io_of(l->call, l->dir);
	bool eof = false;

	for (int batches = 1; !eof && !l->full; batches++) {
		/* A folder in which much is hidden is gone through without an entry delivered. */
		if (batches % BATCHES_AT_ONCE == 0) {
			if (!l->call->may_park)
				return FSAL_WOULD_PARK;
			fiber_yield();
		}
		b->count = b->used = 0;
		int r = v->backend->readdir(
			v->state, &io, &l->dir->node, l->cookie, collect, b, &eof);
		for (size_t i = 0; r == 0 && i < b->count && !l->full; i++) {
			r = deliver(l, &b->items[i]);
			if (!l->full)
				l->cookie = b->items[i].cookie;
		}
		if (r != 0)
			return r;
	}
	*ret_eof = eof && !l->full;
	return 0;
}

static AWAITS int may_list(struct fsal_call *c, struct fsal_object *dir, struct fsal_post *ret)
{
	int r;

	if (dir->node.type != S_IFDIR)
		return -ENOTDIR;
	r = object_attr(c, dir, &ret->attr);
	ret->present = r == 0;
	if (r == 0)
		r = verdict_object(c, dir, RIGHT_READ);
	if (r == 0 && is_posix(dir) && !perm_grants(c->cred, &ret->attr, PERM_READ))
		r = -EACCES;
	return r;
}

int fsal_readdir(struct fsal_call *c, struct fsal_object *dir, uint64_t cookie, uint64_t *verifier,
	bool want_objects, fsal_dirent_fn fn, void *ctx, bool *ret_eof, struct fsal_post *ret)
{
	struct listing l = {.call = c,
		.dir = dir,
		.want_objects = want_objects,
		.fn = fn,
		.ctx = ctx,
		.cookie = cookie};
	int64_t began_ns = trace_begin(dir);
	struct batch *b = NULL;

	fsal_ref(dir);
	*ret = (struct fsal_post){0};
	int r = may_list(c, dir, ret);
	/* Cookies are good for ever here: there is one verifier. */
	if (r == 0 && *verifier != 0)
		r = FSAL_BAD_COOKIE;
	if (r == 0 && !(b = malloc(sizeof(*b))))
		r = -ENOMEM;
	if (r == 0)
		r = list(&l, b, ret_eof);
	free(b);
	if (began_ns && cookie == 0)
		trace_event(c,
			&(struct event){.operation = "DirectoryListed",
				.object = dir,
				.began_ns = began_ns,
				.result = r});
	fsal_unref(dir);
	return r;
}
