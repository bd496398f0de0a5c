/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Files by their paths: what tools and clients from outside do in several steps. Each step is
 * decided and recorded by itself, so that a tree is only removed as far as each of its parts may
 * be.
 */
#include "nfs/fsal/internal.h"
#include <stdlib.h>

int fsal_parent(struct fsal_call *c, struct fsal_attachment *at, struct span path,
	struct fsal_object **ret, struct span *ret_name)
{
	ssize_t slash = -1;

	if (path.n == 0)
		return -EBUSY; /* the root has no name */
	for (ssize_t i = 0; (i = span_find_byte(path, '/', (size_t)i)) >= 0; i++)
		slash = i;
	*ret_name = span_sub(path, (size_t)(slash + 1), path.n);
	int r = fsal_walk(c, at, span_sub(path, 0, slash < 0 ? 0 : (size_t)slash), true, ret);
	if (r == 0)
		fsal_ref(*ret);
	return r;
}

/* ---- listings ---- */

struct listing {
	struct arena *arena;
	struct fsal_entry *entries;
	size_t count, capacity;
	int error;
};

static bool note(void *ctx, const struct fsal_dirent *e)
{
	struct listing *l = ctx;

	if (span_is(e->name, ".") || span_is(e->name, "..") || !e->object)
		return true;
	if (l->count == LIMIT_FSAL_LIST_ENTRIES) {
		l->error = -EOVERFLOW;
		return false;
	}
	if (l->count == l->capacity) {
		size_t grown = l->capacity ? 2 * l->capacity : 64;
		struct fsal_entry *p = arena_make_array(l->arena, struct fsal_entry, grown);
		if (p && l->count)
			memcpy(p, l->entries, l->count * sizeof(*p));
		l->entries = p;
		l->capacity = p ? grown : 0;
	}
	struct span name = arena_span(l->arena, e->name);
	if (!l->entries || !name.p) {
		l->error = -ENOMEM;
		return false;
	}
	l->entries[l->count++] = (struct fsal_entry){name, e->attr};
	return true;
}

static int in_order(const void *a, const void *b)
{
	return span_cmp(((const struct fsal_entry *)a)->name, ((const struct fsal_entry *)b)->name);
}

static AWAITS int list(struct fsal_call *c, struct fsal_object *dir, struct listing *l)
{
	struct fsal_post post;
	uint64_t verifier = 0;
	bool eof;
	int r = fsal_readdir(c, dir, 0, &verifier, true, note, l, &eof, &post);

	if (r == 0)
		r = l->error;
	if (r == 0 && l->count)
		qsort(l->entries, l->count, sizeof(*l->entries), in_order);
	return r;
}

int fsal_list(struct fsal_call *c, struct fsal_attachment *at, struct span path,
	struct fsal_entry **ret, size_t *ret_count)
{
	struct listing l = {.arena = c->arena};
	struct fsal_object *dir;
	int r = fsal_walk(c, at, path, true, &dir);

	if (r == 0)
		r = list(c, dir, &l);
	if (r != 0)
		return r;
	*ret = l.entries;
	*ret_count = l.count;
	return 0;
}

/* ---- folders ---- */

int fsal_mkdirs(struct fsal_call *c, struct fsal_attachment *at, struct span path)
{
	static const struct fsal_sattr plain = {.set_mode = true, .mode = 0755};
	struct fsal_object *dir = fsal_ref(fsal_root(at)), *next;
	struct span rest = path, name;
	bool end = path.n == 0;
	int r = 0;

	if (path.n == 0) {
		struct fsal_attr attr;
		r = fsal_getattr(c, dir, &attr); /* it is there */
	}
	while (r == 0 && span_split(&rest, '/', &end, &name)) {
		struct span so_far = span_of(path.p, (size_t)(name.p - path.p) + name.n);
		struct fsal_made made;
		/* The last one is asked for in any case, so that it is decided about. */
		r = end ? -ENOENT : fsal_walk(c, at, so_far, true, &next);
		if (r == -ENOENT) {
			r = fsal_mkdir(c, dir, name, &plain, &made);
			next = made.object;
		}
		if (r == -EEXIST) {
			r = fsal_walk(c, at, so_far, true, &next);
			if (r == 0 && fsal_object_type(next) != S_IFDIR)
				r = -EEXIST;
		}
		if (r == 0) {
			fsal_ref(next);
			fsal_unref(dir);
			dir = next;
		}
	}
	fsal_unref(dir);
	return r;
}

struct doomed {
	struct list link;
	struct fsal_object *dir; /* held; the folder that holds it */
	struct span name;
	struct fsal_object *self; /* held once its content was looked at: it is to go then */
};

static int doom(struct arena *a, struct list *stack, struct fsal_object *dir, struct span name)
{
	struct doomed *d = arena_make(a, struct doomed);

	if (!d)
		return -ENOMEM;
	d->dir = fsal_ref(dir);
	d->name = name;
	list_push_front(stack, &d->link);
	return 0;
}

/* The content of a folder goes on the stack, above the folder itself. */
static AWAITS int open_up(
	struct fsal_call *c, struct arena *a, struct list *stack, struct doomed *d)
{
	struct listing l = {.arena = a};
	struct fsal_attr attr;
	struct fsal_post post;
	struct fsal_object *o;
	int r = fsal_lookup(c, d->dir, d->name, &o, &attr, &post);

	if (r != 0 || fsal_object_type(o) != S_IFDIR)
		return r;
	d->self = fsal_ref(o);
	r = list(c, d->self, &l);
	for (size_t i = 0; r == 0 && i < l.count; i++)
		r = doom(a, stack, d->self, l.entries[i].name);
	return r;
}

static AWAITS int remove_tree(struct fsal_call *c, struct fsal_object *dir, struct span name)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_HTTP_REQUEST_ARENA_BYTES);
	struct list stack = LIST_INIT(stack);
	struct fsal_wcc wcc;
	int r = a ? doom(a, &stack, dir, name) : -ENOMEM;

	while (!list_empty(&stack)) {
		struct doomed *d = list_first(&stack, struct doomed, link);
		bool opened = d->self != NULL;
		if (r == 0 && !opened)
			r = open_up(c, a, &stack, d);
		if (r == 0 && d->self && !opened)
			continue;
		if (r == 0)
			r = d->self ? fsal_rmdir(c, d->dir, d->name, &wcc)
				    : fsal_remove(c, d->dir, d->name, &wcc);
		list_remove(&d->link);
		fsal_unref(d->dir);
		fsal_unref(d->self);
	}
	return r;
}

int fsal_remove_path(
	struct fsal_call *c, struct fsal_attachment *at, struct span path, bool recursive)
{
	struct fsal_object *dir;
	struct fsal_wcc wcc;
	struct span name;
	int r = fsal_parent(c, at, path, &dir, &name);

	if (r != 0)
		return r;
	if (recursive) {
		r = remove_tree(c, dir, name);
	} else {
		r = fsal_remove(c, dir, name, &wcc);
		if (r == -EISDIR)
			r = fsal_rmdir(c, dir, name, &wcc);
	}
	fsal_unref(dir);
	return r;
}
