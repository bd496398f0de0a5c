/* SPDX-License-Identifier: AGPL-3.0-only */
/* The life of layers, volumes and attachments. */
#include "nfs/fsal/internal.h"
#include <sodium.h>
#include <stdlib.h>

enum {
	SCRATCH_BYTES = 1024 * 1024,
	DECISION_BYTES = 256 * 1024,
	OPTION_BYTES = 16 * 1024,
};

int fsal_start(const struct fsal_options *o, struct fsal **ret)
{
	struct fsal *f = calloc(1, sizeof(*f));

	if (!f || sodium_init() < 0) {
		free(f);
		return err_raise(-ENOMEM, "file layer: out of memory");
	}
	memcpy(f->key, o->key, sizeof(f->key));
	f->objects_max = o->objects_max ? o->objects_max : LIMIT_FSAL_OBJECTS;
	list_init(&f->lru);
	list_init(&f->attachments);
	f->scratch = arena_new(SCRATCH_BYTES);
	if (layer_tables_init(f) < 0 || !f->scratch ||
		!(f->records = trace_start(
			  f, o->record_bytes ? o->record_bytes : LIMIT_FSAL_RECORD_BYTES))) {
		fsal_stop(f);
		return err_raise(-ENOMEM, "file layer: out of memory");
	}
	*ret = f;
	return 0;
}

void fsal_stop(struct fsal *f)
{
	if (!f)
		return;
	trace_stop(f->records);
	CHECK(list_empty(&f->attachments));
	layer_tables_fini(f);
	arena_free(f->scratch);
	secret_wipe(f->key, sizeof(f->key));
	free(f);
}

void fsal_stats_get(const struct fsal *f, struct fsal_stats *ret)
{
	*ret = (struct fsal_stats){.objects = f->pool.used, .hits = f->hits, .misses = f->misses};
	trace_stats(f->records, &ret->records, &ret->records_dropped);
}

/* ---- volumes ---- */

static void keyed_hash(const struct fsal *f, struct span a, struct span b, uint8_t ret[8])
{
	uint8_t first[8], text[16];

	_Static_assert(crypto_shorthash_siphash24_BYTES == 8, "SipHash-2-4");
	crypto_shorthash(first, (const uint8_t *)(a.n ? a.p : ""), a.n, f->key + 16);
	memcpy(text, first, 8);
	crypto_shorthash(text + 8, (const uint8_t *)(b.n ? b.p : ""), b.n, f->key + 16);
	crypto_shorthash(ret, text, sizeof(text), f->key + 16);
}

int fsal_volume_new(struct fsal *f, const struct fsal_backend *b, void *state, struct span id,
	struct fsal_volume **ret)
{
	struct fsal_volume *v = calloc(1, sizeof(*v));
	char *copy = span_dup(id);

	CHECK(b->root && b->lookup && b->identify && b->forget && b->getattr && b->read);
	CHECK(b->readdir && b->statfs && b->usage && b->close);
	if (!v || !copy) {
		free(v);
		free(copy);
		b->close(state);
		return err_raise(-ENOMEM, "volume: out of memory");
	}
	*v = (struct fsal_volume){.layer = f, .backend = b, .state = state, .id = copy, .refs = 1};
	keyed_hash(f, id, SPAN("fsid"), (uint8_t *)&v->fsid);
	*ret = v;
	return 0;
}

static void volume_unref(struct fsal_volume *v)
{
	if (--v->refs > 0)
		return;
	v->backend->close(v->state);
	free(v->id);
	free(v);
}

struct fsal_volume *fsal_volume_free(struct fsal_volume *v)
{
	if (v)
		volume_unref(v);
	return NULL;
}

int fsal_volume_set_quota(struct fsal_volume *v, const struct fsal_quota *q, int64_t deadline_ns)
{
	struct fsal_io io = {.may_park = true, .deadline_ns = deadline_ns};
	struct fsal_usage used;
	int r = v->backend->usage(v->state, &io, &used);

	if (r < 0)
		return err_raise(r, "count what volume '%s' holds: %s", v->id, strerror(-r));
	v->used = used;
	v->quota = *q;
	return 0;
}

void fsal_volume_usage(const struct fsal_volume *v, struct fsal_usage *ret)
{
	*ret = v->used;
}

/* ---- attachments ---- */

static bool copy_texts(struct fsal_attachment *at, const struct fsal_attach_options *o)
{
	at->arena = arena_new(OPTION_BYTES);
	at->decisions = arena_new(DECISION_BYTES);
	if (!at->arena || !at->decisions)
		return false;
	at->o = *o;
	at->o.execution_id = arena_span(at->arena, o->execution_id);
	at->o.agent = arena_span(at->arena, o->agent);
	at->o.tenant = arena_span(at->arena, o->tenant);
	at->o.mount_path = arena_span(at->arena, o->mount_path);
	struct span *pinned = arena_make_array(at->arena, struct span, o->pinned_count + 1);
	at->o.pinned = pinned;
	for (size_t i = 0; pinned && i < o->pinned_count; i++) {
		pinned[i] = arena_span(at->arena, o->pinned[i]);
		if (!pinned[i].p)
			return false;
	}
	return at->o.mount_path.p != NULL && pinned;
}

/* The object that everything hangs on; the attachment holds it. */
static int root_open(struct fsal_attachment *at)
{
	struct fsal_io io = {.may_park = true, .deadline_ns = DEADLINE_NONE};
	struct fsal_new root;
	int r = at->volume->backend->root(at->volume->state, &io, &root);

	if (r < 0)
		return err_raise(
			r, "open the root of volume '%s': %s", at->volume->id, strerror(-r));
	struct fsal_object *o = object_insert(at, NULL, SPAN(""), &root.id, &root.attr);
	if (!o)
		return err_raise(-ENOMEM, "attach volume: out of memory");
	at->root = fsal_ref(o);
	return 0;
}

static int tag_make(struct fsal_attachment *at)
{
	struct fsal *f = at->volume->layer;

	keyed_hash(f, at->o.execution_id, span_cstr(at->volume->id), at->tag);
	list_for_each (l, &f->attachments) {
		struct fsal_attachment *other = list_entry(l, struct fsal_attachment, link);
		if (memcmp(other->tag, at->tag, sizeof(at->tag)) == 0)
			return err_raise(-EEXIST,
				"volume '%s' is attached to execution '" SPAN_FMT "' already",
				at->volume->id, SPAN_ARG(at->o.execution_id));
	}
	return 0;
}

int fsal_attach(
	struct fsal_volume *v, const struct fsal_attach_options *o, struct fsal_attachment **ret)
{
	if (!o->rules != o->open)
		return err_raise(-EINVAL, "attach volume '%s': %s", v->id,
			o->open ? "it has rules, so that it cannot be open to all"
				: "without rules nothing is allowed");
	struct fsal_attachment *at = calloc(1, sizeof(*at));
	if (!at)
		return err_raise(-ENOMEM, "attach volume: out of memory");
	at->volume = v;
	at->refs = 1;
	at->epoch = 1;
	v->refs++;
	list_init(&at->link);
	list_init(&at->objects);
	map_init(&at->interned, DECISIONS_MAX);
	int r = copy_texts(at, o) ? 0 : err_raise(-ENOMEM, "attach volume: out of memory");
	if (at->o.rules)
		rule_set_ref(at->o.rules);
	if (r == 0)
		r = tag_make(at);
	if (r == 0) {
		list_push_back(&v->layer->attachments, &at->link);
		r = root_open(at);
	}
	if (r < 0) {
		fsal_detach(at);
		return err_trace(r);
	}
	*ret = at;
	return 0;
}

void attachment_unref(struct fsal_attachment *at)
{
	if (--at->refs > 0)
		return;
	rule_set_unref(at->o.rules);
	map_fini(&at->interned);
	arena_free(at->decisions);
	arena_free(at->arena);
	free(at->call_id);
	volume_unref(at->volume);
	free(at);
}

void fsal_detach(struct fsal_attachment *at)
{
	if (!at)
		return;
	at->detached = true;
	list_remove(&at->link);
	fsal_unref(at->root);
	objects_detach(at);
	trace_end(at);
	attachment_unref(at);
}

void fsal_attachment_set_rules(struct fsal_attachment *at, struct rule_set *rules)
{
	CHECK(!at->o.open);
	struct rule_set *old = at->o.rules;
	trace_flush_all(at); /* their decisions are the old rules' */
	at->o.rules = rule_set_ref(rules);
	rule_set_unref(old);
	at->changed_ns = rt_wall_ns();
	verdicts_forget(at, true);
}

void fsal_attachment_set_read_only(struct fsal_attachment *at, bool read_only)
{
	at->o.read_only = read_only;
	at->changed_ns = rt_wall_ns();
}

void fsal_attachment_set_owner(struct fsal_attachment *at, uint32_t uid, uint32_t gid)
{
	at->o.uid = uid;
	at->o.gid = gid;
}

int fsal_attachment_set_origin(struct fsal_attachment *at, uint32_t iteration, struct span call_id)
{
	char *copy = NULL;

	if (call_id.n && !(copy = span_dup(call_id)))
		return err_raise(-ENOMEM, "origin of file operations: out of memory");
	trace_flush_all(at); /* what was summed up is the old one's */
	free(at->call_id);
	at->call_id = copy;
	at->iteration = iteration;
	return 0;
}

struct fsal_object *fsal_root(struct fsal_attachment *at)
{
	return at->root;
}

struct fsal_attachment *fsal_object_attachment(const struct fsal_object *o)
{
	return o->at;
}

struct span fsal_handle(const struct fsal_object *o)
{
	return span_of(o->handle, o->handle_bytes);
}

uint32_t fsal_object_type(const struct fsal_object *o)
{
	return o->node.type;
}

void fsal_limits_get(const struct fsal_object *o, struct fsal_limits *ret)
{
	*ret = o->at->volume->backend->limits;
}
