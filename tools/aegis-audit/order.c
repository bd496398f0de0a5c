/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Records in the order in which things happened. The journal has them in the order in which they
 * came: what the kernel tells comes in batches, behind what the daemon wrote meanwhile, and from
 * several processors. So records are held back for a while, and given out by the moment that they
 * are about: of the kernel's, when it happened by the clock of the boot; of others, when they were
 * written.
 *
 * The two clocks of a boot differ by the time that the host slept, which the records themselves
 * show: nothing is written before it happened.
 */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HELD_MAX = 64 * 1024, HELD_BYTES_MAX = 256 * 1024 * 1024 };

struct held {
	struct ordered out;
	size_t bytes;
	char text[]; /* kind, payload */
};

struct order {
	int64_t hold_ns;
	int64_t newest_ns; /* when the last one was written */
	int64_t slept_ns; /* of this boot, at least */
	struct held **heap; /* the one that happened first is on top */
	size_t count, bytes;
};

struct order *order_new(int64_t hold_ns)
{
	struct order *o = calloc(1, sizeof(*o));

	if (o)
		o->heap = calloc(HELD_MAX, sizeof(struct held *));
	if (!o || !o->heap) {
		free(o);
		return NULL;
	}
	o->hold_ns = hold_ns;
	return o;
}

struct order *order_free(struct order *o)
{
	for (size_t i = 0; o && i < o->count; i++)
		free(o->heap[i]);
	if (o)
		free(o->heap);
	free(o);
	return NULL;
}

static bool before(const struct held *a, const struct held *b)
{
	return a->out.happened_ns != b->out.happened_ns
		? a->out.happened_ns < b->out.happened_ns
		: a->out.record.number < b->out.record.number;
}

static void swap(struct order *o, size_t a, size_t b)
{
	struct held *h = o->heap[a];
	o->heap[a] = o->heap[b];
	o->heap[b] = h;
}

static void push(struct order *o, struct held *h)
{
	size_t i = o->count++;

	o->heap[i] = h;
	o->bytes += h->bytes;
	for (; i > 0 && before(o->heap[i], o->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(o, i, (i - 1) / 2);
}

static struct held *pop(struct order *o)
{
	struct held *first = o->heap[0];

	o->heap[0] = o->heap[--o->count];
	o->bytes -= first->bytes;
	for (size_t i = 0, least;; i = least) {
		least = i;
		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < o->count; child++)
			if (before(o->heap[child], o->heap[least]))
				least = child;
		if (least == i)
			return first;
		swap(o, i, least);
	}
}

static int64_t happened(struct order *o, const struct audit_record *r, int64_t boot_time_ns)
{
	if (boot_time_ns <= 0 || r->mono_ns <= 0)
		return r->wall_ns;
	o->slept_ns = MAX(o->slept_ns, boot_time_ns - r->mono_ns);
	return r->wall_ns - (r->mono_ns + o->slept_ns - boot_time_ns);
}

int order_put(struct order *o, const struct audit_record *r, int64_t boot_time_ns, bool shown)
{
	struct held *h = malloc(sizeof(*h) + r->kind.n + r->payload.n);

	if (!h)
		return err_raise(-ENOMEM, "records in their order");
	if (span_is(r->kind, "Opened"))
		o->slept_ns = 0; /* of another boot, perhaps */
	h->bytes = sizeof(*h) + r->kind.n + r->payload.n;
	h->out = (struct ordered){*r, happened(o, r, boot_time_ns), shown};
	memcpy(h->text, r->kind.p, r->kind.n);
	memcpy(h->text + r->kind.n, r->payload.p, r->payload.n);
	h->out.record.kind = span_of(h->text, r->kind.n);
	h->out.record.payload = span_of(h->text + r->kind.n, r->payload.n);
	o->newest_ns = MAX(o->newest_ns, r->wall_ns);
	push(o, h);
	return 0;
}

bool order_is_full(const struct order *o)
{
	return o->count == HELD_MAX || o->bytes >= HELD_BYTES_MAX;
}

struct ordered *order_next(struct order *o, bool all)
{
	bool due = o->count > 0 &&
		(all || order_is_full(o) ||
			o->heap[0]->out.happened_ns + o->hold_ns < o->newest_ns);
	return due ? &pop(o)->out : NULL;
}

void order_done(struct ordered *r)
{
	free(r ? container_of(r, struct held, out) : NULL);
}
