/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A right comes with a path, so that moving an object, or linking it elsewhere, could give rights
 * that nobody granted: a folder that holds something denied, renamed to where all is allowed. A
 * move is denied if anything that moves would gain by it. For a folder that means looking at all
 * that is below.
 */
#include "nfs/fsal/internal.h"

enum { ENTRIES_MAX = 50000, ARENA_BYTES = 16 * 1024 * 1024 };

struct moving {
	struct fsal_call *call;
	struct fsal_attachment *at;
	struct arena *arena;
	struct list folders; /* to be looked at */
	size_t entries;
	bool too_many;
};

struct folder {
	struct list link;
	struct fsal_object *object; /* held */
	struct span from; /* paths */
	struct span to;
	struct list names;
};

struct name {
	struct list link;
	struct span name;
};

static struct span joined(struct arena *a, struct span folder, struct span name)
{
	char *p = arena_bytes(a, folder.n + name.n + 1);
	if (!p)
		return span_of(NULL, 0);
	if (folder.n)
		memcpy(p, folder.p, folder.n);
	p[folder.n] = '/';
	if (name.n)
		memcpy(p + folder.n + 1, name.p, name.n);
	return folder.n ? span_of(p, folder.n + name.n + 1) : span_of(p + 1, name.n);
}

static struct span path_of(struct fsal_object *o, struct arena *a)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES + 1);
	if (fsal_path(o, &b) < 0)
		return span_of(NULL, 0);
	return b.len ? arena_span(a, buf_view(&b)) : SPAN("");
}

static bool gains(struct fsal_attachment *at, struct span from, struct span to)
{
	for (enum fsal_right right = RIGHT_READ; right < RIGHT_COUNT; right++)
		if (verdict_of_path(at, to, right) && !verdict_of_path(at, from, right))
			return true;
	return false;
}

static int denied(struct moving *m, const char *why)
{
	struct decision d = {.code = DECISION_PATH_NOT_ALLOWED,
		.policy_id = SPAN("default"),
		.policy_set = rule_set_hash(m->at->o.rules),
		.reason = span_cstr(why)};

	denial_keep(m->at->volume->layer, &d);
	if (m->call->decision)
		*m->call->decision = m->at->volume->layer->denial;
	return FSAL_DENIED;
}

static int folder_push(struct moving *m, struct fsal_object *o, struct span from, struct span to)
{
	struct folder *f = arena_make(m->arena, struct folder);
	if (!f || !from.p || !to.p)
		return -ENOMEM;
	f->object = fsal_ref(o);
	f->from = from;
	f->to = to;
	list_init(&f->names);
	list_push_back(&m->folders, &f->link);
	return 0;
}

struct listing {
	struct moving *m;
	struct folder *folder;
};

static bool note(void *ctx, struct span name, uint64_t file_id, uint64_t cookie)
{
	struct listing *l = ctx;

	if (name_is_dots(name))
		return true;
	struct name *n = arena_make(l->m->arena, struct name);
	if (++l->m->entries > ENTRIES_MAX || !n) {
		l->m->too_many = true;
		return false;
	}
	n->name = arena_span(l->m->arena, name);
	list_push_back(&l->folder->names, &n->link);
	return n->name.p != NULL;
}

static AWAITS int look(struct moving *m, struct folder *f)
{
	struct fsal_volume *v = m->at->volume;
	struct fsal_io io = {.may_park = true, .deadline_ns = m->call->deadline_ns};
	struct listing l = {m, f};
	bool eof;
	int r = v->backend->readdir(v->state, &io, &f->object->node, 0, note, &l, &eof);

	if (r == 0 && (m->too_many || !eof))
		return denied(m, "the folder holds too much to tell what a rename would give");
	for (struct list *n; r == 0 && (n = list_pop_front(&f->names));) {
		struct span name = list_entry(n, struct name, link)->name;
		struct span from = joined(m->arena, f->from, name);
		struct span to = joined(m->arena, f->to, name);
		struct fsal_object *o;
		struct fsal_attr attr;
		if (!from.p || !to.p)
			return -ENOMEM;
		if (gains(m->at, from, to))
			return denied(m, "the rename would give rights that policy does not");
		r = object_of_name(m->call, f->object, name, &o, &attr);
		if (r == 0 && o->node.type == S_IFDIR)
			r = folder_push(m, o, from, to);
		if (r == -ENOENT)
			r = 0;
		if (m->entries % 64 == 0)
			fiber_yield();
	}
	return r;
}

int verdict_moves(
	struct fsal_call *c, struct fsal_object *o, struct fsal_object *dir, struct span name)
{
	struct moving m = {.call = c, .at = o->at, .folders = LIST_INIT(m.folders)};
	int r = 0;

	if (o->at->o.open)
		return 0;
	if (o->node.type == S_IFDIR && !c->may_park)
		return FSAL_WOULD_PARK;
	m.arena = arena_new(ARENA_BYTES);
	if (!m.arena)
		return -ENOMEM;
	struct span from = path_of(o, m.arena), to = joined(m.arena, path_of(dir, m.arena), name);
	if (!from.p || !to.p)
		r = -ENAMETOOLONG;
	else if (gains(o->at, from, to))
		r = denied(&m, "the new name would give rights that policy does not");
	else if (o->node.type == S_IFDIR)
		r = folder_push(&m, o, from, to);
	for (struct list *l; (l = list_pop_front(&m.folders));) {
		struct folder *f = list_entry(l, struct folder, link);
		if (r == 0)
			r = look(&m, f);
		fsal_unref(f->object);
	}
	arena_free(m.arena);
	return r;
}
