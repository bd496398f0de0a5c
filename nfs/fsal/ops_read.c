/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Operations that change nothing. Each takes the same steps: verdict, permission (posix), backend,
 * record. Bits of a mode stop nobody on a squash export; there policy alone decides.
 */
#include "nfs/fsal/internal.h"

static void record(struct fsal_call *c, struct fsal_object *o, const char *operation,
	enum event_kind kind, int64_t began_ns, int result)
{
	if (began_ns == 0)
		return;
	trace_event(c,
		&(struct event){.kind = kind,
			.operation = operation,
			.object = o,
			.began_ns = began_ns,
			.result = result});
}

int fsal_getattr(struct fsal_call *c, struct fsal_object *o, struct fsal_attr *ret)
{
	int64_t began_ns = trace_begin(o);

	fsal_ref(o);
	int r = verdict_visible(c, o);
	if (r == 0)
		r = object_attr(c, o, ret);
	record(c, o, "FileStat", EVENT_LOOK, began_ns, r);
	fsal_unref(o);
	return r;
}

/* ---- lookup ---- */

static AWAITS int look_up(struct fsal_call *c, struct fsal_object *dir, struct span name,
	struct fsal_object **ret, struct fsal_attr *ret_attr)
{
	struct fsal_object *parent = (struct fsal_object *)dir->node.parent;
	int r;

	if (name_is_dots(name)) {
		*ret = name.n == 2 && parent ? parent : dir;
		return object_attr(c, *ret, ret_attr);
	}
	r = object_of_name(c, dir, name, ret, ret_attr);
	if (r == -ESTALE) {
		r = object_relocate(c, dir);
		if (r == 0)
			r = object_of_name(c, dir, name, ret, ret_attr);
	}
	if (r != 0)
		return r;
	if ((*ret)->at->volume->quota.bytes)
		quota_count(*ret, ret_attr);
	attr_show((*ret)->at, ret_attr);
	uint32_t type = (*ret)->node.type;
	/* A device that the server reports can be opened by who may clear `nodev`. */
	if (!is_posix(dir) && (type == S_IFCHR || type == S_IFBLK))
		return -EACCES;
	return verdict_visible(c, *ret);
}

int fsal_lookup(struct fsal_call *c, struct fsal_object *dir, struct span name,
	struct fsal_object **ret, struct fsal_attr *ret_attr, struct fsal_post *ret_dir)
{
	int64_t began_ns = trace_begin(dir);
	int r = 0;

	fsal_ref(dir);
	*ret_dir = (struct fsal_post){0};
	if (dir->node.type != S_IFDIR)
		r = -ENOTDIR;
	if (r == 0) {
		r = object_attr(c, dir, &ret_dir->attr);
		ret_dir->present = r == 0;
	}
	if (r == 0)
		r = name_check(name);
	if (r == 0 && is_posix(dir) && !perm_grants(c->cred, &ret_dir->attr, PERM_EXEC))
		r = -EACCES;
	if (r == 0)
		r = look_up(c, dir, name, ret, ret_attr);
	if (began_ns && r != -ENOENT)
		record(c, r == 0 || r == FSAL_DENIED ? *ret : dir, "FileStat", EVENT_LOOK, began_ns,
			r);
	fsal_unref(dir);
	return r;
}

/* ---- access ---- */

static uint32_t by_policy(struct fsal_call *c, struct fsal_object *o)
{
	uint32_t granted = o->node.type == S_IFDIR ? FSAL_ACCESS_LOOKUP : 0;
	struct fsal_call quiet = *c;

	quiet.decision = NULL;
	if (verdict_object(&quiet, o, RIGHT_READ) == 0)
		granted |= FSAL_ACCESS_READ | FSAL_ACCESS_EXECUTE;
	if (verdict_object(&quiet, o, RIGHT_WRITE) == 0)
		granted |= FSAL_ACCESS_MODIFY | FSAL_ACCESS_EXTEND | FSAL_ACCESS_DELETE;
	return granted;
}

static uint32_t by_mode(
	const struct fsal_cred *cred, const struct fsal_attr *a, bool is_dir, bool posix)
{
	uint32_t bits = posix ? perm_grants(cred, a, PERM_READ | PERM_WRITE | PERM_EXEC)
			      : perm_grants(NULL, a, PERM_READ | PERM_WRITE | PERM_EXEC);
	uint32_t granted = 0;

	if (bits & PERM_READ)
		granted |= FSAL_ACCESS_READ;
	if (bits & PERM_WRITE)
		granted |=
			FSAL_ACCESS_MODIFY | FSAL_ACCESS_EXTEND | (is_dir ? FSAL_ACCESS_DELETE : 0);
	if (bits & PERM_EXEC)
		granted |= is_dir ? FSAL_ACCESS_LOOKUP : FSAL_ACCESS_EXECUTE;
	return granted;
}

int fsal_access(struct fsal_call *c, struct fsal_object *o, uint32_t wanted, uint32_t *ret_granted,
	struct fsal_post *ret)
{
	int64_t began_ns = trace_begin(o);

	fsal_ref(o);
	*ret = (struct fsal_post){0};
	int r = verdict_visible(c, o);
	if (r == 0)
		r = object_attr(c, o, &ret->attr);
	if (r == 0) {
		ret->present = true;
		*ret_granted = wanted & by_policy(c, o) &
			by_mode(c->cred, &ret->attr, o->node.type == S_IFDIR, is_posix(o));
	}
	record(c, o, "FileStat", EVENT_LOOK, began_ns, r);
	fsal_unref(o);
	return r;
}

/* ---- content ---- */

int fsal_readlink(struct fsal_call *c, struct fsal_object *o, char *p, size_t n, size_t *ret_n,
	struct fsal_post *ret)
{
	struct fsal_volume *v = o->at->volume;
	struct fsal_io io = io_of(c, o);
	int64_t began_ns = trace_begin(o);

	fsal_ref(o);
	*ret = (struct fsal_post){0};
	int r = verdict_object(c, o, RIGHT_READ);
	if (r == 0 && o->node.type != S_IFLNK)
		r = -EINVAL;
	if (r == 0)
		r = object_attr(c, o, &ret->attr);
	ret->present = r == 0;
	if (r == 0)
		r = v->backend->readlink
			? v->backend->readlink(v->state, &io, &o->node, p, n, ret_n)
			: -EOPNOTSUPP;
	record(c, o, "FileRead", EVENT_LOOK, began_ns, r);
	fsal_unref(o);
	return r;
}

/* Whoever holds a file open may read it, whatever its mode says now; so may who may run it. */
static AWAITS int may_read(struct fsal_call *c, struct fsal_object *o)
{
	struct fsal_attr a;

	if (!is_posix(o) || perm_is_root(c->cred))
		return 0;
	int r = object_attr(c, o, &a);
	if (r != 0)
		return r;
	return perm_owns(c->cred, &a) || perm_grants(c->cred, &a, PERM_READ | PERM_EXEC) ? 0
											 : -EACCES;
}

static AWAITS int read_content(struct fsal_call *c, struct fsal_object *o, uint64_t offset, void *p,
	size_t n, size_t *ret_n)
{
	struct fsal_volume *v = o->at->volume;
	struct fsal_io io = io_of(c, o);
	int r;

	if (o->gone)
		return -ESTALE;
	if (o->node.type != S_IFREG)
		return o->node.type == S_IFDIR ? -EISDIR : -EINVAL;
	if (offset > INT64_MAX - n)
		return -EINVAL;
	r = v->backend->read(v->state, &io, &o->node, offset, p, n, ret_n);
	if (r == -ESTALE) {
		r = object_relocate(c, o);
		if (r == 0)
			r = v->backend->read(v->state, &io, &o->node, offset, p, n, ret_n);
	}
	return r;
}

int fsal_read(struct fsal_call *c, struct fsal_object *o, uint64_t offset, void *p, size_t n,
	size_t *ret_n, bool *ret_eof, struct fsal_post *ret)
{
	int64_t began_ns = trace_begin(o);
	size_t got = 0;

	fsal_ref(o);
	ret->present = false;
	int r = verdict_object(c, o, RIGHT_READ);
	if (r == 0)
		r = may_read(c, o);
	if (r == 0)
		r = read_content(c, o, offset, p, n, &got);
	if (r == 0)
		r = object_attr(c, o, &ret->attr);
	if (r == 0) {
		ret->present = true;
		*ret_n = got;
		*ret_eof = got < n || offset + got >= ret->attr.size_bytes;
	}
	if (began_ns)
		trace_event(c,
			&(struct event){.kind = EVENT_READ,
				.operation = "FileRead",
				.object = o,
				.offset = offset,
				.bytes = got,
				.began_ns = began_ns,
				.result = r});
	fsal_unref(o);
	return r;
}

/* ---- the file system ---- */

static void quota_shown(const struct fsal_volume *v, struct fsal_statfs *s)
{
	const struct fsal_quota *q = &v->quota;

	if (q->bytes && q->bytes < s->bytes_total) {
		uint64_t left = q->bytes - MIN(q->bytes, v->used.bytes);
		s->bytes_total = q->bytes;
		s->bytes_free = MIN(s->bytes_free, left);
		s->bytes_available = MIN(s->bytes_available, left);
	}
	if (q->inodes && (q->inodes < s->files_total || s->files_total == 0)) {
		uint64_t left = q->inodes - MIN(q->inodes, v->used.inodes);
		s->files_total = q->inodes;
		s->files_free = left;
		s->files_available = left;
	}
}

int fsal_fsstat(struct fsal_call *c, struct fsal_object *o, struct fsal_statfs *ret,
	struct fsal_post *ret_attr)
{
	struct fsal_volume *v = o->at->volume;
	struct fsal_io io = io_of(c, o);

	fsal_ref(o);
	*ret_attr = (struct fsal_post){0};
	int r = object_attr(c, o, &ret_attr->attr);
	ret_attr->present = r == 0;
	if (r == 0)
		r = v->backend->statfs(v->state, &io, ret);
	if (r == 0)
		quota_shown(v, ret);
	fsal_unref(o);
	return r;
}
