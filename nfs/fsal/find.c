/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From handles and names to objects. An object whose place is not known any more (it was evicted,
 * this process was restarted, somebody else moved it) is looked for by its identity; the way to it
 * is then walked from the root, so that its path, and with it what policy says, is known.
 */
#include "nfs/fsal/internal.h"

enum { RELOCATIONS = 3 };

int object_of_name(struct fsal_call *c, struct fsal_object *dir, struct span name,
	struct fsal_object **ret, struct fsal_attr *ret_attr)
{
	struct fsal_volume *v = dir->at->volume;
	struct fsal_io io = io_of(c, NULL);
	struct fsal_id id;
	struct fsal_attr attr;
	int r;

	fsal_ref(dir);
	r = v->backend->lookup(v->state, &io, &dir->node, name, &attr);
	struct fsal_object *o = r == 0 ? object_by_file(dir->at, &attr) : NULL;
	if (r == 0 && o) {
		object_touch(o);
		fsal_ref(o);
		r = object_place(o, dir, name);
		if (r == -ESTALE) {
			r = object_relocate(c, dir);
			if (r == 0)
				r = object_place(o, dir, name);
		}
		fsal_unref(o);
	} else if (r == 0) {
		r = v->backend->identify(v->state, &io, &dir->node, name, &attr, &id);
		if (r == 0 && !dir->at->detached) {
			o = object_insert(dir->at, dir, name, &id, &attr);
			r = o ? 0 : -ENOMEM;
		} else if (r == 0) {
			r = -ESTALE;
		}
	}
	if (r == 0) {
		*ret = o;
		*ret_attr = attr;
	}
	fsal_unref(dir);
	return r;
}

/* Walks a backend's path. The last object is returned borrowed. */
static AWAITS int walk(
	struct fsal_call *c, struct fsal_attachment *at, struct span path, struct fsal_object **ret)
{
	struct span rest = path, name;
	struct fsal_object *o = fsal_ref(at->root), *next;
	struct fsal_attr attr;
	bool done = path.n == 0;
	int r = 0;

	while (r == 0 && span_split(&rest, '/', &done, &name)) {
		r = o->node.type == S_IFDIR ? object_of_name(c, o, name, &next, &attr) : -ENOTDIR;
		if (r == 0) {
			fsal_ref(next);
			fsal_unref(o);
			o = next;
		}
	}
	*ret = o;
	fsal_unref(o);
	return r;
}

/* The object of an id, wherever it is now. */
static AWAITS int find_id(
	struct fsal_call *c, struct fsal_attachment *at, struct span id, struct fsal_object **ret)
{
	struct fsal_volume *v = at->volume;
	struct fsal_io io = io_of(c, NULL);
	struct buf path CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES);
	int r = 0;

	for (int tries = 0; tries < RELOCATIONS; tries++) {
		buf_reset(&path);
		r = v->backend->find ? v->backend->find(v->state, &io, id, &path) : -ESTALE;
		if (r != 0)
			return r;
		r = walk(c, at, buf_view(&path), ret);
		if (r == 0 && !(*ret)->gone && span_eq((*ret)->node.id, id))
			return 0;
		if (r == FSAL_WOULD_PARK || r == -ENOMEM || r == -ECANCELED || r == -ETIME)
			return r;
		/* It moved while it was looked for. */
	}
	return -ESTALE;
}

int fsal_find(struct fsal *f, struct fsal_call *c, struct span handle, struct fsal_object **ret)
{
	struct fsal_object *o = object_by_handle(f, handle);
	struct fsal_attachment *at;
	struct span id;
	uint8_t copy[FSAL_HANDLE_BYTES];
	int r;

	if (o) {
		if (o->at->o.door != c->door)
			return -ESTALE;
		f->hits++;
		object_touch(o);
		*ret = o;
		return 0;
	}
	r = handle_check(f, handle, &at, &id);
	if (r < 0)
		return r;
	if (at->o.door != c->door || handle_dead(f, handle))
		return -ESTALE;
	/* The caller's buffer may change while this waits. */
	memcpy(copy, id.p, id.n);
	id = span_of(copy, id.n);
	f->misses++;
	at->refs++;
	r = find_id(c, at, id, ret);
	if (r == 0 && at->detached)
		r = -ESTALE;
	attachment_unref(at);
	return r;
}

int object_relocate(struct fsal_call *c, struct fsal_object *o)
{
	struct fsal_object *found;
	int r;

	if (o->gone || !o->node.parent)
		return -ESTALE;
	fsal_ref(o);
	r = find_id(c, o->at, o->node.id, &found);
	if (r == 0 && found != o)
		r = -ESTALE;
	if (r == -ESTALE)
		object_gone(o);
	fsal_unref(o);
	return r;
}

void attr_show(const struct fsal_attachment *at, struct fsal_attr *attr)
{
	attr->fsid = at->volume->fsid;
	if (at->o.kind == FSAL_SQUASH) {
		attr->uid = at->o.uid;
		attr->gid = at->o.gid;
	}
	if (attr->ctime_ns < at->changed_ns)
		attr->ctime_ns = at->changed_ns;
}

int object_attr(struct fsal_call *c, struct fsal_object *o, struct fsal_attr *ret)
{
	struct fsal_volume *v = o->at->volume;
	struct fsal_io io = io_of(c, NULL);
	int r;

	if (o->gone)
		return -ESTALE;
	fsal_ref(o);
	r = v->backend->getattr(v->state, &io, &o->node, ret);
	if (r == -ESTALE) {
		r = object_relocate(c, o);
		if (r == 0)
			r = v->backend->getattr(v->state, &io, &o->node, ret);
	}
	if (r == 0 && ret->nlink == 0) {
		object_dead(o);
		r = -ESTALE;
	}
	if (r == 0) {
		if (v->quota.bytes || v->quota.inodes)
			quota_count(o, ret);
		attr_show(o->at, ret);
	}
	fsal_unref(o);
	return r;
}
