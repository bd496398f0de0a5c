/* SPDX-License-Identifier: AGPL-3.0-only */
/* Operations that take entries away or move them: remove, rmdir, rename. */
#include "nfs/fsal/internal.h"

/* A directory, and an entry of it. */
struct place {
	struct fsal_object *dir; /* held */
	struct span name;
	struct fsal_attr dir_attr;
	struct fsal_object *object; /* held; NULL if there is nothing */
	struct fsal_attr attr;
	const struct decision *granted; /* that the entry may be written */
	uint64_t rules_changes; /* as of that */
};

/* Another volume is mounted there, or below. */
static int check_pinned(const struct place *p)
{
	const struct fsal_attach_options *o = &p->dir->at->o;
	struct buf b CLEANUP(buf_fini) =
		buf_init(LIMIT_PATH_BYTES + LIMIT_PATH_COMPONENT_BYTES + 1);

	if (!o->pinned_count)
		return 0;
	int r = fsal_path(p->dir, &b);
	if (b.len)
		buf_putc(&b, '/');
	buf_span(&b, p->name);
	if (r == 0)
		r = buf_error(&b);
	struct span path = buf_view(&b);
	for (size_t i = 0; r == 0 && i < o->pinned_count; i++)
		if (span_starts(o->pinned[i], path) &&
			(o->pinned[i].n == path.n || o->pinned[i].p[path.n] == '/'))
			r = -EPERM;
	return r;
}

static AWAITS int place_begin(
	struct fsal_call *c, struct place *p, struct fsal_wcc *wcc, bool must_exist)
{
	int r = p->dir->node.type == S_IFDIR ? object_attr(c, p->dir, &p->dir_attr) : -ENOTDIR;

	if (r == 0) {
		wcc_before(wcc, &p->dir_attr);
		r = name_check(p->name);
	}
	if (r == 0 && name_is_dots(p->name))
		r = -EINVAL;
	if (r == 0) {
		r = verdict_name(c, p->dir, p->name, RIGHT_WRITE);
		p->granted = r == FSAL_DENIED ? NULL : p->dir->at->volume->layer->granted;
		p->rules_changes = p->dir->at->rules_changes;
	}
	if (r == 0)
		r = check_pinned(p);
	if (r != 0)
		return r;
	if (is_posix(p->dir) && !perm_grants(c->cred, &p->dir_attr, PERM_EXEC))
		return -EACCES;
	r = object_of_name(c, p->dir, p->name, &p->object, &p->attr);
	if (r == -ESTALE) {
		r = object_relocate(c, p->dir);
		if (r == 0)
			r = object_of_name(c, p->dir, p->name, &p->object, &p->attr);
	}
	if (r == 0)
		fsal_ref(p->object);
	return r == -ENOENT && !must_exist ? 0 : r;
}

static void place_end(struct place *p)
{
	fsal_unref(p->object);
	fsal_unref(p->dir);
}

/* Its last name is gone. */
static void vanished(struct place *p)
{
	if (!p->object || (p->attr.nlink > 1 && p->object->node.type != S_IFDIR))
		return;
	quota_gone(p->object, &p->attr);
	object_dead(p->object);
}

static AWAITS int take_away(struct fsal_call *c, struct fsal_object *dir, struct span name,
	bool directory, struct fsal_wcc *ret)
{
	struct fsal_volume *v = dir->at->volume;
	struct fsal_io io = io_of(c, dir);
	struct place p = {.dir = fsal_ref(dir), .name = name};
	int64_t began_ns = trace_begin(dir);

	*ret = (struct fsal_wcc){0};
	int r = place_begin(c, &p, ret, true);
	if (r == 0 && is_posix(dir))
		r = perm_unlinks(c->cred, &p.dir_attr, &p.attr);
	if (r == 0 && directory != (p.object->node.type == S_IFDIR))
		r = directory ? -ENOTDIR : -EISDIR;
	if (r == 0)
		r = v->backend->remove
			? v->backend->remove(v->state, &io, &dir->node, name, directory)
			: -EOPNOTSUPP;
	if (r == 0)
		vanished(&p);
	if (r != FSAL_WOULD_PARK)
		wcc_after(c, dir, ret);
	if (began_ns)
		trace_event(c,
			&(struct event){.operation = "FileDeleted",
				.object = dir,
				.name = name,
				.writes = true,
				.began_ns = began_ns,
				.decision = r == FSAL_DENIED ? NULL : p.granted,
				.rules_changes = p.rules_changes,
				.result = r});
	place_end(&p);
	return r;
}

int fsal_remove(
	struct fsal_call *c, struct fsal_object *dir, struct span name, struct fsal_wcc *ret)
{
	return take_away(c, dir, name, false, ret);
}

int fsal_rmdir(struct fsal_call *c, struct fsal_object *dir, struct span name, struct fsal_wcc *ret)
{
	return take_away(c, dir, name, true, ret);
}

/* ---- rename ---- */

static int may_rename(struct fsal_call *c, const struct place *from, const struct place *to)
{
	uint32_t both = PERM_WRITE | PERM_EXEC;
	int r;

	if (!is_posix(from->dir))
		return 0;
	r = perm_unlinks(c->cred, &from->dir_attr, &from->attr);
	if (r == 0 && perm_grants(c->cred, &to->dir_attr, both) != both)
		r = -EACCES;
	if (r == 0 && to->object)
		r = perm_unlinks(c->cred, &to->dir_attr, &to->attr);
	/* Its ".." is written to. */
	if (r == 0 && from->object->node.type == S_IFDIR && from->dir != to->dir &&
		!perm_grants(c->cred, &from->attr, PERM_WRITE))
		r = -EACCES;
	return r;
}

static AWAITS int move(struct fsal_call *c, struct place *from, struct place *to)
{
	struct fsal_volume *v = from->dir->at->volume;
	struct fsal_io io = io_of(c, from->dir);
	int r = may_rename(c, from, to);

	if (r == 0)
		r = verdict_moves(c, from->object, to->dir, to->name);
	if (r == 0)
		r = v->backend->rename ? v->backend->rename(v->state, &io, &from->dir->node,
						 from->name, &to->dir->node, to->name)
				       : -EOPNOTSUPP;
	if (r != 0 || from->object == to->object)
		return r; /* two names of one file: nothing was done */
	if (to->object)
		vanished(to);
	return object_place(from->object, to->dir, to->name);
}

static AWAITS void record(struct fsal_call *c, const struct place *p, int64_t began_ns, int r)
{
	trace_event(c,
		&(struct event){.operation = "FileRenamed",
			.object = p->dir,
			.name = p->name,
			.writes = true,
			.began_ns = began_ns,
			.decision = r == FSAL_DENIED ? NULL : p->granted,
			.rules_changes = p->rules_changes,
			.result = r});
}

int fsal_rename(struct fsal_call *c, struct fsal_object *from, struct span from_name,
	struct fsal_object *to, struct span to_name, struct fsal_wcc *ret_from,
	struct fsal_wcc *ret_to)
{
	struct place a = {.dir = fsal_ref(from), .name = from_name};
	struct place b = {.dir = fsal_ref(to), .name = to_name};
	int64_t began_ns = trace_begin(from);

	*ret_from = *ret_to = (struct fsal_wcc){0};
	int r = from->at == to->at ? place_begin(c, &a, ret_from, true) : -EXDEV;
	int r2 = r == 0 || r == -ENOENT ? place_begin(c, &b, ret_to, false) : 0;
	if (r == 0)
		r = r2;
	if (r == 0)
		r = move(c, &a, &b);
	if (r != FSAL_WOULD_PARK) {
		wcc_after(c, from, ret_from);
		wcc_after(c, to, ret_to);
	}
	if (began_ns) {
		record(c, &a, began_ns, r);
		record(c, &b, began_ns, r);
	}
	place_end(&a);
	place_end(&b);
	return r;
}
