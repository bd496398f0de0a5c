/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A frame proves itself: it carries the hash of the record before it and ends with a hash over
 * everything in front, so a valid frame is recognised anywhere, also behind damage, and the chain
 * is checked by comparing two hashes. All integers are big-endian.
 */
#include "daemon/audit/frame.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>

static const char segment_magic[8] = "AEGISAJ1";
static const uint8_t frame_marker[4] = {0xa7, 0xe9, 0x15, 0xed};

enum {
	FIXED_BYTES = 112,
	FIND_FACTOR = 64, /* how often frame_find may hash what it is given */
};

static void hash_of(const void *p, size_t n, struct audit_hash *ret)
{
	crypto_generichash(ret->bytes, sizeof(ret->bytes), p, n, NULL, 0);
}

void segment_header_encode(const struct segment_header *h, uint8_t ret[SEGMENT_HEADER_BYTES])
{
	struct buf b CLEANUP(buf_fini) = buf_init(SEGMENT_HEADER_BYTES);

	buf_put(&b, segment_magic, sizeof(segment_magic));
	buf_put(&b, h->journal.bytes, sizeof(h->journal.bytes));
	buf_u64be(&b, h->segment);
	buf_u64be(&b, h->first);
	buf_put(&b, h->previous.bytes, sizeof(h->previous.bytes));
	buf_u64be(&b, h->last_event);
	buf_u64be(&b, h->gaps);
	buf_u64be(&b, h->head_record);
	buf_put(&b, h->head_hash.bytes, sizeof(h->head_hash.bytes));
	buf_u64be(&b, 0); /* spare */
	CHECK(b.error == 0 && b.len == SEGMENT_HEADER_BYTES - AUDIT_HASH_BYTES);
	memcpy(ret, b.data, b.len);
	hash_of(ret, b.len, (struct audit_hash *)(ret + b.len));
}

static void take(struct cursor *c, void *p, size_t n)
{
	struct span s = cursor_bytes(c, n);

	if (s.n == n)
		memcpy(p, s.p, n);
}

int segment_header_decode(struct span bytes, struct segment_header *ret)
{
	struct cursor c = cursor_of(bytes);
	struct audit_hash computed;
	struct audit_hash stored;
	struct segment_header h = {0};

	if (bytes.n < SEGMENT_HEADER_BYTES)
		return err_raise(-EINVAL, "segment header of %zu bytes, not %d", bytes.n,
			SEGMENT_HEADER_BYTES);
	if (!span_eq(cursor_bytes(&c, sizeof(segment_magic)),
		    span_of(segment_magic, sizeof(segment_magic))))
		return err_raise(-EINVAL, "not a segment of an audit journal");
	take(&c, h.journal.bytes, sizeof(h.journal.bytes));
	h.segment = cursor_u64be(&c);
	h.first = cursor_u64be(&c);
	take(&c, h.previous.bytes, sizeof(h.previous.bytes));
	h.last_event = cursor_u64be(&c);
	h.gaps = cursor_u64be(&c);
	h.head_record = cursor_u64be(&c);
	take(&c, h.head_hash.bytes, sizeof(h.head_hash.bytes));
	(void)cursor_u64be(&c);
	take(&c, stored.bytes, sizeof(stored.bytes));
	hash_of(bytes.p, SEGMENT_HEADER_BYTES - AUDIT_HASH_BYTES, &computed);
	if (c.bad || memcmp(&computed, &stored, sizeof(stored)) != 0)
		return err_raise(-EINVAL, "segment header does not have the hash it carries");
	*ret = h;
	return 0;
}

void frame_encode(struct buf *b, struct audit_record *r, uint64_t synced)
{
	size_t start = b->len;

	CHECK(r->kind.n <= LIMIT_AUDIT_KIND_BYTES && r->payload.n <= LIMIT_AUDIT_PAYLOAD_BYTES);
	buf_put(b, frame_marker, sizeof(frame_marker));
	buf_u32be(b, (uint32_t)(FIXED_BYTES + r->kind.n + r->payload.n));
	buf_u64be(b, r->number);
	buf_u64be(b, (uint64_t)r->wall_ns);
	buf_u64be(b, (uint64_t)r->mono_ns);
	buf_putc(b, (char)r->source);
	buf_putc(b, (char)r->kind.n);
	buf_u16be(b, 0); /* spare */
	buf_u32be(b, r->iteration);
	buf_u64be(b, r->event_number);
	buf_u64be(b, synced);
	buf_put(b, r->execution_id.bytes, sizeof(r->execution_id.bytes));
	buf_put(b, r->call_id.bytes, sizeof(r->call_id.bytes));
	buf_put(b, r->previous.bytes, sizeof(r->previous.bytes));
	buf_span(b, r->kind);
	buf_span(b, r->payload);
	if (b->error)
		return;
	hash_of(b->data + start, b->len - start, &r->hash);
	buf_put(b, r->hash.bytes, sizeof(r->hash.bytes));
}

static void decode_body(struct span body, struct audit_record *r, uint64_t *ret_synced)
{
	struct cursor c = cursor_of(body);
	size_t kind_bytes;

	*r = (struct audit_record){.number = cursor_u64be(&c)};
	r->wall_ns = (int64_t)cursor_u64be(&c);
	r->mono_ns = (int64_t)cursor_u64be(&c);
	r->source = (enum audit_source)cursor_u8(&c);
	kind_bytes = cursor_u8(&c);
	(void)cursor_u16be(&c);
	r->iteration = cursor_u32be(&c);
	r->event_number = cursor_u64be(&c);
	*ret_synced = cursor_u64be(&c);
	take(&c, r->execution_id.bytes, sizeof(r->execution_id.bytes));
	take(&c, r->call_id.bytes, sizeof(r->call_id.bytes));
	take(&c, r->previous.bytes, sizeof(r->previous.bytes));
	r->kind = cursor_bytes(&c, MIN(kind_bytes, cursor_left(&c)));
	r->payload = cursor_bytes(&c, cursor_left(&c));
}

/* Tells a frame that is cut short from bytes that never were one. */
static int sound_so_far(struct span bytes)
{
	size_t n = MIN(bytes.n, sizeof(frame_marker));

	if (memcmp(bytes.p ? bytes.p : "", frame_marker, n) != 0)
		return err_raise(-EINVAL, "no record begins here");
	return FRAME_INCOMPLETE;
}

int frame_decode(
	struct span bytes, struct audit_record *ret, uint64_t *ret_synced, size_t *ret_consumed)
{
	struct cursor c = cursor_of(bytes);
	struct audit_hash computed;
	struct audit_record r;
	uint64_t synced;

	if (bytes.n < 8)
		return sound_so_far(bytes);
	if (memcmp(bytes.p, frame_marker, sizeof(frame_marker)) != 0)
		return err_raise(-EINVAL, "no record begins here");
	cursor_bytes(&c, sizeof(frame_marker));
	size_t body_bytes = cursor_u32be(&c);
	if (body_bytes < FIXED_BYTES || body_bytes > FRAME_BODY_MAX)
		return err_raise(-EINVAL, "a record of %zu bytes", body_bytes);
	if (cursor_left(&c) < body_bytes + AUDIT_HASH_BYTES)
		return FRAME_INCOMPLETE;
	struct span body = cursor_bytes(&c, body_bytes);
	struct span hash = cursor_bytes(&c, AUDIT_HASH_BYTES);
	hash_of(bytes.p, 8 + body_bytes, &computed);
	if (memcmp(hash.p, computed.bytes, AUDIT_HASH_BYTES) != 0)
		return err_raise(-EINVAL, "a record does not have the hash it carries");
	decode_body(body, &r, &synced);
	if (r.source >= AUDIT_SOURCE_COUNT || r.kind.n > LIMIT_AUDIT_KIND_BYTES ||
		r.payload.n > LIMIT_AUDIT_PAYLOAD_BYTES || r.number == 0)
		return err_raise(-EINVAL, "a record with a field out of range");
	r.hash = computed;
	*ret = r;
	if (ret_synced)
		*ret_synced = synced;
	*ret_consumed = 8 + body_bytes + AUDIT_HASH_BYTES;
	return 0;
}

ssize_t frame_find(struct span bytes, size_t from)
{
	struct span marker = span_of(frame_marker, sizeof(frame_marker));
	struct audit_record r;
	size_t budget = FIND_FACTOR * bytes.n; /* of bytes to hash */
	size_t consumed;

	for (ssize_t at = span_find(bytes, marker, from); at >= 0;
		at = span_find(bytes, marker, (size_t)at + 1)) {
		struct span rest = span_sub(bytes, (size_t)at, bytes.n);
		size_t cost = MIN(rest.n, (size_t)FRAME_BODY_MAX);
		if (cost > budget)
			return -2;
		budget -= cost;
		int outcome = frame_decode(rest, &r, NULL, &consumed);
		if (outcome == 0)
			return at;
		if (outcome < 0)
			err_clear();
	}
	return -1;
}

void segment_name(uint64_t first, char ret[SEGMENT_NAME_BYTES])
{
	snprintf(ret, SEGMENT_NAME_BYTES, "%020llu.journal", (unsigned long long)first);
}

bool segment_name_parse(const char *name, uint64_t *ret_first)
{
	struct span s = span_cstr(name);

	return s.n == SEGMENT_NAME_BYTES - 1 && span_ends(s, SPAN(".journal")) &&
		span_to_u64(span_sub(s, 0, 20), ret_first) == 0 && *ret_first > 0;
}
