/* SPDX-License-Identifier: AGPL-3.0-only */
/* Operations that change an object: its attributes and its content. */
#include "nfs/fsal/internal.h"

/* ---- attributes ---- */

/* On a squash export everything has one owner: naming that one changes nothing. */
static int squash_setattr(const struct fsal_attachment *at, struct fsal_sattr *s)
{
	if ((s->set_uid && s->uid != at->o.uid) || (s->set_gid && s->gid != at->o.gid))
		return -EPERM;
	s->set_uid = s->set_gid = false;
	s->mode &= ~(uint32_t)SQUASH_NEVER;
	return 0;
}

static int may_setattr(struct fsal_call *c, struct fsal_object *o, const struct fsal_attr *before,
	struct fsal_sattr *s)
{
	int r = is_posix(o) ? perm_setattr(c->cred, before, s) : squash_setattr(o->at, s);

	if (r == 0 && s->set_size && o->node.type != S_IFREG)
		r = o->node.type == S_IFDIR ? -EISDIR : -EINVAL;
	if (r == 0 && s->set_size && s->size_bytes > o->at->volume->backend->limits.file_bytes_max)
		r = -EFBIG;
	return r;
}

int fsal_setattr(struct fsal_call *c, struct fsal_object *o, const struct fsal_sattr *s,
	const int64_t *guard_ctime_ns, struct fsal_wcc *ret)
{
	struct fsal_volume *v = o->at->volume;
	struct fsal_io io = io_of(c, o);
	int64_t began_ns = trace_begin(o);
	struct fsal_sattr changes = *s;
	struct fsal_attr before;

	fsal_ref(o);
	*ret = (struct fsal_wcc){0};
	int r = verdict_object(c, o, RIGHT_WRITE);
	int seen = object_attr(c, o, &before);
	if (seen == 0)
		wcc_before(ret, &before);
	if (r == 0)
		r = seen;
	if (r == 0 && guard_ctime_ns && *guard_ctime_ns != before.ctime_ns)
		r = FSAL_CHANGED;
	if (r == 0)
		r = may_setattr(c, o, &before, &changes);
	if (r == 0)
		r = v->backend->setattr ? v->backend->setattr(v->state, &io, &o->node, &changes)
					: -EOPNOTSUPP;
	if (r != FSAL_WOULD_PARK)
		wcc_after(c, o, ret);
	if (began_ns)
		trace_event(c,
			&(struct event){.operation = "AttributesChanged",
				.object = o,
				.writes = true,
				.began_ns = began_ns,
				.result = r});
	fsal_unref(o);
	return r;
}

/* ---- content ---- */

/* Who has a file open may write it, whatever its mode says now: the owner of one that was made
 * 0444. Others' writes need the bit. */
static int may_write(struct fsal_call *c, struct fsal_object *o, const struct fsal_attr *a)
{
	if (!is_posix(o) || perm_owns(c->cred, a))
		return 0;
	return perm_grants(c->cred, a, PERM_WRITE) ? 0 : -EACCES;
}

/* A bound on what the write adds to the blocks of the file. */
static uint64_t growth(const struct fsal_attr *a, uint64_t offset, size_t n)
{
	bool dense = a->used_bytes >= a->size_bytes;
	return dense && offset + n <= a->size_bytes ? 0 : n;
}

/* What the kernel does to a file before somebody without privilege writes to it; on a squash export
 * nobody has any. */
static AWAITS int drop_set_id(struct fsal_call *c, struct fsal_object *o, const struct fsal_attr *a)
{
	struct fsal_volume *v = o->at->volume;
	struct fsal_io io = io_of(c, NULL);
	struct fsal_sattr s = {.set_mode = true, .mode = a->mode & 07777 & ~(uint32_t)S_ISUID};

	if (!(a->mode & (S_ISUID | S_ISGID)) || (is_posix(o) && perm_is_root(c->cred)))
		return 0;
	if (!is_posix(o))
		s.mode &= ~(uint32_t)SQUASH_NEVER;
	else if (a->mode & S_IXGRP)
		s.mode &= ~(uint32_t)S_ISGID;
	if (s.mode == (a->mode & 07777))
		return 0;
	return v->backend->setattr ? v->backend->setattr(v->state, &io, &o->node, &s) : -EOPNOTSUPP;
}

static AWAITS int write_content(struct fsal_call *c, struct fsal_object *o,
	const struct fsal_attr *before, uint64_t offset, struct span bytes)
{
	struct fsal_volume *v = o->at->volume;
	struct fsal_io io = io_of(c, NULL);
	uint64_t more;
	int r;

	if (o->node.type != S_IFREG)
		return o->node.type == S_IFDIR ? -EISDIR : -EINVAL;
	if (offset > INT64_MAX - bytes.n || offset + bytes.n > v->backend->limits.file_bytes_max)
		return -EFBIG;
	if (!v->backend->write)
		return -EOPNOTSUPP;
	r = may_write(c, o, before);
	if (r == 0)
		r = drop_set_id(c, o, before);
	if (r != 0 || bytes.n == 0)
		return r;
	more = growth(before, offset, bytes.n);
	r = quota_room(v, more, 0);
	if (r != 0)
		return r;
	v->reserved_bytes += more;
	r = v->backend->write(v->state, &io, &o->node, offset, bytes);
	if (r == -ESTALE) {
		r = object_relocate(c, o);
		if (r == 0)
			r = v->backend->write(v->state, &io, &o->node, offset, bytes);
	}
	v->reserved_bytes -= more;
	return r;
}

static AWAITS int make_stable(struct fsal_call *c, struct fsal_object *o)
{
	struct fsal_volume *v = o->at->volume;
	struct fsal_io io = io_of(c, NULL);
	return v->backend->commit ? v->backend->commit(v->state, &io, &o->node) : 0;
}

int fsal_write(struct fsal_call *c, struct fsal_object *o, uint64_t offset, struct span bytes,
	enum fsal_stability stable, enum fsal_stability *ret_committed, struct fsal_wcc *ret)
{
	int64_t began_ns = trace_begin(o);
	struct fsal_attr before;

	/* What is to be stable waits for a disk. */
	if (stable != FSAL_UNSTABLE && !c->may_park)
		return FSAL_WOULD_PARK;
	fsal_ref(o);
	*ret = (struct fsal_wcc){0};
	int r = verdict_object(c, o, RIGHT_WRITE);
	int seen = object_attr(c, o, &before);
	if (seen == 0)
		wcc_before(ret, &before);
	if (r == 0)
		r = seen;
	if (r == 0)
		r = write_content(c, o, &before, offset, bytes);
	if (r == 0 && stable != FSAL_UNSTABLE)
		r = make_stable(c, o);
	*ret_committed = stable == FSAL_UNSTABLE ? FSAL_UNSTABLE : FSAL_FILE_SYNC;
	if (r != FSAL_WOULD_PARK)
		wcc_after(c, o, ret);
	if (began_ns)
		trace_event(c,
			&(struct event){.kind = EVENT_WRITE,
				.operation = "FileWritten",
				.object = o,
				.writes = true,
				.offset = offset,
				.bytes = r == 0 || r == -EDQUOT ? bytes.n : 0,
				.began_ns = began_ns,
				.result = r});
	fsal_unref(o);
	return r;
}

int fsal_commit(struct fsal_call *c, struct fsal_object *o, struct fsal_wcc *ret)
{
	struct fsal_attr before;

	if (!c->may_park)
		return FSAL_WOULD_PARK;
	fsal_ref(o);
	*ret = (struct fsal_wcc){0};
	int r = object_attr(c, o, &before);
	if (r == 0)
		wcc_before(ret, &before);
	if (r == 0 && o->node.type == S_IFREG)
		r = make_stable(c, o);
	wcc_after(c, o, ret);
	fsal_unref(o);
	return r;
}
