/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Handles, and the table of the objects that they name.
 *
 * A handle is version, length of the id, tag of the attachment, id, MAC. It is checked by its MAC
 * when it is not in the table; what is in the table was checked or made here, so that a hit costs
 * one comparison. The MAC's last bytes are as good as random and serve as the hash.
 *
 * Objects without a holder stay until there are too many, and then those go first that were not
 * used for long. A child holds its parent, so that a path can always be told. What was touched
 * within the last KEEP insertions is kept in any case: that is how long a borrowed pointer is good.
 *
 * With many objects an operation costs what it misses in the processor's caches. So holding an
 * object does not touch its neighbours in the list (who is held is found out when one has to go),
 * chains are short, and objects stand in one block of memory with large pages.
 */
#include "nfs/fsal/internal.h"
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DEAD = 16 * 1024 }; /* a power of two */
enum {
	VERSION = 1,
	TAG_AT = 2,
	ID_AT = 10,
	MAC_BYTES = 16,
	KEEP = 2048,
	SWEEP = 64,
	CACHE_LINE = 64
};
enum { MORE = 4 * KEEP }; /* objects beyond the maximum: those that cannot go just then */

_Static_assert(ID_AT + FSAL_ID_BYTES + MAC_BYTES <= FSAL_HANDLE_BYTES, "RFC 1813, section 2.4");
_Static_assert(MAC_BYTES == crypto_shorthash_siphashx24_BYTES, "SipHash-2-4 with 128 bits");

/* A wish: where the kernel has no large pages to give, it goes on with small ones. */
static void use_large_pages(void *p, size_t n)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = ((uintptr_t)p + page - 1) & ~(page - 1);
	uintptr_t end = ((uintptr_t)p + n) & ~(page - 1);

	if (end > begin)
		(void)madvise((char *)p + (begin - (uintptr_t)p), end - begin, MADV_HUGEPAGE);
}

static int table_init(struct table *t, size_t objects)
{
	size_t n = 1024;
	while (n < objects + objects / 2)
		n *= 2;
	t->buckets = calloc(n, sizeof(struct fsal_object *));
	t->mask = n - 1;
	if (!t->buckets)
		return -ENOMEM;
	use_large_pages(t->buckets, n * sizeof(struct fsal_object *));
	return 0;
}

int layer_tables_init(struct fsal *f)
{
	int r = table_init(&f->by_handle, f->objects_max);
	if (r == 0)
		r = table_init(&f->by_file, f->objects_max);
	if (r == 0)
		r = pool_init(&f->pool, sizeof(struct fsal_object), f->objects_max + MORE);
	if (r == 0)
		use_large_pages(f->pool.memory, f->pool.stride * f->pool.count);
	f->dead = calloc(DEAD, sizeof(*f->dead));
	return f->dead ? r : -ENOMEM;
}

void layer_tables_fini(struct fsal *f)
{
	pool_fini(&f->pool);
	free(f->by_handle.buckets);
	free(f->by_file.buckets);
	free(f->dead);
}

/* ---- handles ---- */

static void mac(const struct fsal *f, const uint8_t *p, size_t n, uint8_t ret[MAC_BYTES])
{
	crypto_shorthash_siphashx24(ret, p, n, f->key);
}

void handle_make(const struct fsal_attachment *at, struct span id, uint8_t ret[FSAL_HANDLE_BYTES],
	uint8_t *ret_n)
{
	size_t n = ID_AT + id.n;

	ret[0] = VERSION;
	ret[1] = (uint8_t)id.n;
	memcpy(ret + TAG_AT, at->tag, sizeof(at->tag));
	memcpy(ret + ID_AT, id.p, id.n);
	mac(at->volume->layer, ret, n, ret + n);
	*ret_n = (uint8_t)(n + MAC_BYTES);
}

int handle_check(
	struct fsal *f, struct span handle, struct fsal_attachment **ret, struct span *ret_id)
{
	const uint8_t *p = (const uint8_t *)handle.p;
	uint8_t wanted[MAC_BYTES];

	if (handle.n < ID_AT + MAC_BYTES || handle.n > FSAL_HANDLE_BYTES || p[0] != VERSION ||
		handle.n != (size_t)ID_AT + p[1] + MAC_BYTES)
		return -EBADMSG;
	mac(f, p, handle.n - MAC_BYTES, wanted);
	if (sodium_memcmp(wanted, p + handle.n - MAC_BYTES, MAC_BYTES) != 0)
		return -EBADMSG;
	list_for_each (l, &f->attachments) {
		struct fsal_attachment *at = list_entry(l, struct fsal_attachment, link);
		if (memcmp(at->tag, p + TAG_AT, sizeof(at->tag)) != 0)
			continue;
		*ret = at;
		*ret_id = span_sub(handle, ID_AT, handle.n - MAC_BYTES);
		return 0;
	}
	return -ESTALE;
}

/* ---- the tables ---- */

static uint64_t handle_hash(struct span handle)
{
	uint64_t hash;
	memcpy(&hash, handle.p + handle.n - sizeof(hash), sizeof(hash));
	return hash;
}

static struct fsal_object **handle_bucket(struct fsal *f, struct span handle)
{
	return &f->by_handle.buckets[handle_hash(handle) & f->by_handle.mask];
}

bool handle_dead(const struct fsal *f, struct span handle)
{
	uint64_t hash = handle_hash(handle);
	return f->dead[hash & (DEAD - 1)] == hash;
}

static struct fsal_object **file_bucket(const struct fsal_volume *v, uint64_t file_id)
{
	uint64_t hash = (file_id ^ v->fsid) * UINT64_C(0x9E3779B97F4A7C15);
	return &v->layer->by_file.buckets[(hash >> 20) & v->layer->by_file.mask];
}

struct fsal_object *object_by_handle(struct fsal *f, struct span handle)
{
	if (handle.n < ID_AT + MAC_BYTES)
		return NULL;
	struct fsal_object *o = *handle_bucket(f, handle);
	/* All that the operation will look at is fetched side by side. */
	for (size_t i = 0; o && i < offsetof(struct fsal_object, by_file); i += CACHE_LINE)
		__builtin_prefetch((const char *)o + i);
	for (; o; o = o->by_handle)
		if (o->handle_bytes == handle.n && memcmp(o->handle, handle.p, handle.n) == 0)
			return o;
	return NULL;
}

struct fsal_object *object_by_file(struct fsal_attachment *at, const struct fsal_attr *attr)
{
	struct fsal_object *o = *file_bucket(at->volume, attr->file_id);
	for (; o; o = o->by_file)
		if (o->at == at && o->node.file_id == attr->file_id &&
			o->node.born_ns == attr->born_ns && o->node.type == (attr->mode & S_IFMT))
			return o;
	return NULL;
}

struct fsal_object *object_by_place(struct fsal_object *dir, struct span name, uint64_t file_id)
{
	struct fsal_object *o = *file_bucket(dir->at->volume, file_id);
	for (; o; o = o->by_file)
		if (o->node.parent == &dir->node && o->node.file_id == file_id &&
			span_eq(o->node.name, name))
			return o;
	return NULL;
}

struct fsal_object *object_peer(const struct fsal_object *o, struct fsal_object *after)
{
	struct fsal_object *p =
		after ? after->by_file : *file_bucket(o->at->volume, o->node.file_id);
	for (; p; p = p->by_file)
		if (p != o && p->at->volume == o->at->volume && span_eq(p->node.id, o->node.id))
			return p;
	return NULL;
}

static void unchain(struct fsal *f, struct fsal_object *o)
{
	struct fsal_object **p = handle_bucket(f, fsal_handle(o));
	while (*p != o)
		p = &(*p)->by_handle;
	*p = o->by_handle;
	p = file_bucket(o->at->volume, o->node.file_id);
	while (*p != o)
		p = &(*p)->by_file;
	*p = o->by_file;
}

/* ---- life ---- */

static void release(struct fsal_object *o);

static void queue(struct fsal_object *o)
{
	struct fsal *f = o->at->volume->layer;

	list_remove(&o->lru);
	o->queued = f->tick;
	list_push_back(&f->lru, &o->lru);
}

/* Nobody holds it: it waits for its next use, or goes. */
static void idle(struct fsal_object *o)
{
	if (o->gone)
		release(o);
	else if (list_empty(&o->lru))
		queue(o);
}

static void drop(struct fsal_object *o)
{
	CHECK(o->refs > 0);
	if (--o->refs == 0)
		idle(o); /* may free it */
}

/* The name is kept in the object if it is short. */
static int name_set(struct fsal_object *o, struct span name)
{
	char *old = (char *)(uintptr_t)o->node.name.p;
	char *copy = name.n < NAME_ROOM ? o->short_name : span_dup(name);

	if (!copy)
		return -ENOMEM;
	if (copy == o->short_name) {
		memcpy(copy, name.n ? name.p : "", name.n);
		copy[name.n] = '\0';
	}
	if (old != o->short_name)
		free(old);
	o->node.name = span_of(copy, name.n);
	return 0;
}

static void object_free(struct fsal_object *o)
{
	if (o->node.name.p != o->short_name)
		free((void *)(uintptr_t)o->node.name.p);
	pool_put(&o->at->volume->layer->pool, o);
}

/* Frees o, then those above it that were kept for its sake alone. */
static void release(struct fsal_object *o)
{
	while (o) {
		struct fsal_attachment *at = o->at;
		struct fsal_volume *v = at->volume;
		struct fsal_object *parent = (struct fsal_object *)o->node.parent;

		trace_flush(o);
		v->backend->forget(v->state, &o->node);
		list_remove(&o->lru);
		list_remove(&o->own);
		object_free(o);
		bool last = !parent || --parent->refs > 0;
		if (!last && !parent->gone) {
			idle(parent);
			last = true;
		}
		attachment_unref(at); /* may free it, and the volume */
		if (last)
			return;
		o = parent;
	}
}

static void evict(struct fsal *f)
{
	for (int i = 0; f->pool.used >= f->objects_max && i < SWEEP && !list_empty(&f->lru); i++) {
		struct fsal_object *o = list_first(&f->lru, struct fsal_object, lru);
		if (o->refs > 0) {
			list_remove(&o->lru); /* whoever drops it puts it back */
			continue;
		}
		if (f->tick - o->touched < KEEP) {
			queue(o);
			continue;
		}
		if (o->touched != o->queued && o->touched - o->queued < UINT32_MAX / 2) {
			queue(o);
			o->queued = o->touched;
			continue;
		}
		unchain(f, o);
		o->gone = true;
		release(o);
	}
}

static struct fsal_object *object_alloc(struct fsal_attachment *at, struct span name)
{
	struct fsal *f = at->volume->layer;

	evict(f);
	/* Those in front may have been used too lately to go. */
	for (int i = 0; i < KEEP / SWEEP && f->pool.used == f->pool.count; i++)
		evict(f);
	struct fsal_object *o = pool_get(&f->pool);
	if (!o)
		return NULL;
	o->at = at;
	o->node.name = span_of(o->short_name, 0);
	if (name_set(o, name) < 0) {
		object_free(o);
		return NULL;
	}
	at->refs++;
	o->node.state = o->state;
	list_init(&o->lru);
	list_init(&o->own);
	return o;
}

struct fsal_object *object_insert(struct fsal_attachment *at, struct fsal_object *parent,
	struct span name, const struct fsal_id *id, const struct fsal_attr *attr)
{
	struct fsal *f = at->volume->layer;
	struct fsal_object *o = object_alloc(at, name);
	if (!o)
		return NULL;
	handle_make(at, span_of(id->bytes, id->n), o->handle, &o->handle_bytes);
	o->node.id = span_of(o->handle + ID_AT, id->n);
	o->node.parent = parent ? &parent->node : NULL;
	o->node.file_id = attr->file_id;
	o->node.born_ns = attr->born_ns;
	o->node.type = attr->mode & S_IFMT;
	struct fsal_object **bucket = handle_bucket(f, fsal_handle(o));
	o->by_handle = *bucket;
	*bucket = o;
	bucket = file_bucket(at->volume, attr->file_id);
	o->by_file = *bucket;
	*bucket = o;
	list_push_back(&at->objects, &o->own);
	o->touched = ++f->tick;
	if (parent)
		fsal_ref(parent);
	idle(o);
	return o;
}

int object_place(struct fsal_object *o, struct fsal_object *parent, struct span name)
{
	struct fsal_object *old = (struct fsal_object *)o->node.parent;

	if (old == parent && span_eq(o->node.name, name))
		return 0;
	/* Below itself: then the parent is not where it was any more. */
	for (const struct fsal_node *n = &parent->node; o->node.type == S_IFDIR && n; n = n->parent)
		if (n == &o->node)
			return -ESTALE;
	/* Under the paths that they had. */
	if (o->node.type == S_IFDIR)
		trace_flush_all(o->at);
	trace_flush(o);
	if (name_set(o, name) < 0)
		return -ENOMEM;
	fsal_ref(parent);
	o->node.parent = &parent->node;
	if (old)
		drop(old);
	o->verdict.epoch = 0;
	if (o->node.type == S_IFDIR)
		verdicts_forget(o->at, false);
	return 0;
}

void object_touch(struct fsal_object *o)
{
	o->touched = o->at->volume->layer->tick;
}

struct fsal_object *fsal_ref(struct fsal_object *o)
{
	o->refs++;
	return o;
}

void fsal_unref(struct fsal_object *o)
{
	if (o)
		drop(o);
}

void object_gone(struct fsal_object *o)
{
	if (o->gone)
		return;
	unchain(o->at->volume->layer, o);
	o->gone = true;
	if (o->refs == 0)
		release(o);
}

void object_dead(struct fsal_object *o)
{
	uint64_t hash = handle_hash(fsal_handle(o));

	o->node.gone = true;
	o->at->volume->layer->dead[hash & (DEAD - 1)] = hash;
	object_gone(o);
}

/* All of an attachment: children are released before their parents by their holding them. */
void objects_detach(struct fsal_attachment *at)
{
	while (!list_empty(&at->objects)) {
		struct fsal_object *o = list_first(&at->objects, struct fsal_object, own);
		list_remove(&o->own);
		object_gone(o); /* may free it, and those above it */
	}
}
