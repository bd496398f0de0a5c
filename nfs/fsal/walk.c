/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Whole paths, for callers that have texts and no handles. Links are followed inside of the volume:
 * an absolute target, or one that climbs above the root, leads out of it and is refused.
 */
#include "nfs/fsal/internal.h"

enum { LINKS_MAX = 40 };

struct walk {
	struct fsal_call *call;
	struct fsal_object *at; /* held */
	struct buf rest; /* what is still to be walked */
	bool follow;
	int links;
};

/* Puts a link's target in front of the rest. */
static AWAITS int follow_link(struct walk *w, struct fsal_object *link)
{
	struct fsal_volume *v = link->at->volume;
	struct fsal_io io = io_of(w->call, NULL);
	struct buf target CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_PATH_BYTES + 2);
	char *p = buf_reserve(&target, LIMIT_PATH_BYTES);
	size_t n;

	if (++w->links > LINKS_MAX)
		return -ELOOP;
	if (!p)
		return -ENOMEM;
	int r = v->backend->readlink
		? v->backend->readlink(v->state, &io, &link->node, p, LIMIT_PATH_BYTES, &n)
		: -EINVAL;
	if (r != 0)
		return r;
	if (n > 0 && p[0] == '/')
		return -EXDEV;
	buf_commit(&target, n);
	if (w->rest.len) {
		buf_putc(&target, '/');
		buf_span(&target, buf_view(&w->rest));
	}
	if (target.error || target.len > LIMIT_PATH_BYTES)
		return -ENAMETOOLONG;
	buf_reset(&w->rest);
	buf_span(&w->rest, buf_view(&target));
	return 0;
}

static void stand_at(struct walk *w, struct fsal_object *o)
{
	fsal_ref(o);
	fsal_unref(w->at);
	w->at = o;
}

static AWAITS int component(struct walk *w, struct span name)
{
	struct fsal_object *next;
	struct fsal_attr attr;
	int r;

	if (name.n == 0 || span_is(name, "."))
		return 0;
	if (w->at->node.type != S_IFDIR)
		return -ENOTDIR;
	if (span_is(name, "..")) {
		if (!w->at->node.parent)
			return -EXDEV;
		stand_at(w, (struct fsal_object *)w->at->node.parent);
		return 0;
	}
	r = name_check(name);
	if (r == 0)
		r = object_of_name(w->call, w->at, name, &next, &attr);
	if (r != 0)
		return r;
	if (next->node.type == S_IFLNK && (w->rest.len || w->follow)) {
		fsal_ref(next);
		r = follow_link(w, next);
		fsal_unref(next);
		return r;
	}
	stand_at(w, next);
	return 0;
}

int fsal_walk(struct fsal_call *c, struct fsal_attachment *at, struct span path, bool follow,
	struct fsal_object **ret)
{
	struct walk w = {.call = c,
		.at = fsal_ref(at->root),
		.rest = buf_init(2 * (size_t)LIMIT_PATH_BYTES),
		.follow = follow};
	int r = path.n > LIMIT_PATH_BYTES ? -ENAMETOOLONG : 0;

	if (r == 0)
		buf_span(&w.rest, path);
	if (w.rest.error)
		r = -ENOMEM;
	while (r == 0 && w.rest.len) {
		char name[LIMIT_PATH_COMPONENT_BYTES + 2];
		ssize_t slash = span_find_byte(buf_view(&w.rest), '/', 0);
		size_t n = slash < 0 ? w.rest.len : (size_t)slash;
		size_t kept = MIN(n, sizeof(name));
		memcpy(name, w.rest.data, kept);
		buf_consume(&w.rest, slash < 0 ? n : n + 1);
		r = component(&w, span_of(name, kept));
	}
	buf_fini(&w.rest);
	if (r == 0)
		*ret = w.at;
	fsal_unref(w.at);
	return r;
}
