/* SPDX-License-Identifier: AGPL-3.0-only */
/* What operations have in common: names, the quota's books, weak cache consistency data. */
#include "nfs/fsal/internal.h"

enum { BLOCK_BYTES = 4096 };

bool name_is_dots(struct span name)
{
	return span_is(name, ".") || span_is(name, "..");
}

int name_check(struct span name)
{
	if (name.n == 0)
		return -EACCES; /* what the kernel's server says of it */
	if (name.n > LIMIT_PATH_COMPONENT_BYTES)
		return -ENAMETOOLONG;
	if (memchr(name.p, '/', name.n) || memchr(name.p, '\0', name.n))
		return -EINVAL;
	return 0;
}

struct fsal_io io_of(const struct fsal_call *c, const struct fsal_object *o)
{
	return (struct fsal_io){
		.may_park = c->may_park, .sync = o && o->at->o.sync, .deadline_ns = c->deadline_ns};
}

bool is_posix(const struct fsal_object *o)
{
	return o->at->o.kind == FSAL_POSIX;
}

/* ---- quota ---- */

int quota_room(struct fsal_volume *v, uint64_t bytes, uint64_t inodes)
{
	uint64_t blocks = (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;

	if (v->quota.bytes && bytes && v->used.bytes + v->reserved_bytes + blocks > v->quota.bytes)
		return -EDQUOT;
	if (v->quota.inodes && inodes && v->used.inodes + inodes > v->quota.inodes)
		return -EDQUOT;
	return 0;
}

/* Brings the books up to what the object takes now. All that know the same file know the same. */
void quota_count(struct fsal_object *o, const struct fsal_attr *attr)
{
	struct fsal_volume *v = o->at->volume;
	struct fsal_object *peer = NULL;

	if (!o->counted) {
		peer = object_peer(o, NULL);
		o->counted_bytes = peer && peer->counted ? peer->counted_bytes : attr->used_bytes;
		o->counted = true;
	}
	if (o->counted_bytes == attr->used_bytes)
		return;
	/* Modulo 2^64; what others deleted in the meantime may not make it negative. */
	uint64_t used = v->used.bytes + attr->used_bytes - o->counted_bytes;
	v->used.bytes = used > UINT64_MAX / 2 ? 0 : used;
	o->counted_bytes = attr->used_bytes;
	for (peer = object_peer(o, NULL); peer; peer = object_peer(o, peer)) {
		peer->counted_bytes = attr->used_bytes;
		peer->counted = true;
	}
}

void quota_gone(struct fsal_object *o, const struct fsal_attr *before)
{
	struct fsal_volume *v = o->at->volume;
	uint64_t bytes = o->counted ? o->counted_bytes : before->used_bytes;

	v->used.bytes -= MIN(v->used.bytes, bytes);
	v->used.inodes -= MIN(v->used.inodes, UINT64_C(1));
}

/* ---- weak cache consistency ---- */

void wcc_before(struct fsal_wcc *w, const struct fsal_attr *a)
{
	w->before_present = true;
	w->before_size_bytes = a->size_bytes;
	w->before_mtime_ns = a->mtime_ns;
	w->before_ctime_ns = a->ctime_ns;
}

void wcc_after(struct fsal_call *c, struct fsal_object *o, struct fsal_wcc *w)
{
	w->after.present = object_attr(c, o, &w->after.attr) == 0;
}
