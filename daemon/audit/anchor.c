/* SPDX-License-Identifier: AGPL-3.0-only */
/* Signed heads as JSON: what a "Head" record holds and what `aegis-audit anchor` exports. */
#include "daemon/audit/frame.h"

#include <errno.h>

enum { ARENA_BYTES = 4 * LIMIT_AUDIT_ANCHOR_BYTES };

static void put_hex(struct json_writer *w, const char *key, const void *p, size_t n)
{
	struct buf hex CLEANUP(buf_fini) = buf_init(2 * HEAD_SIGNATURE_BYTES);

	hex_encode(&hex, span_of(p, n));
	json_field_span(w, key, buf_view(&hex));
}

void audit_anchor_put(struct json_writer *w, const struct audit_anchor *a)
{
	const struct head *h = &a->head.head;
	char journal[UUID_TEXT_BYTES];

	uuid_text(h->journal, journal);
	json_object(w);
	json_field_cstr(w, "journal", journal);
	json_key(w, "segment");
	json_put_u64(w, h->segment);
	json_key(w, "record");
	json_put_u64(w, h->record);
	put_hex(w, "hash", h->hash, HEAD_HASH_BYTES);
	put_hex(w, "previous", h->previous, HEAD_HASH_BYTES);
	json_key(w, "counter");
	json_put_u64(w, a->head.counter);
	put_hex(w, "signature", a->head.signature, HEAD_SIGNATURE_BYTES);
	put_hex(w, "key", a->key, HEAD_PUBLIC_KEY_BYTES);
	json_end(w);
}

static int bad(const char *member, const char *accepted)
{
	return err_raise(-EINVAL, "anchor: \"%s\" must be %s", member, accepted);
}

static int get_hex(const struct json *v, const char *key, uint8_t *ret, size_t n)
{
	return hex_decode(json_str(v, key, SPAN("")), ret, n) < 0
		? bad(key, "a hexadecimal text of the right length")
		: 0;
}

static int get_number(const struct json *v, const char *key, uint64_t *ret)
{
	const struct json *m = json_get(v, key);

	if (!m || m->type != JSON_NUMBER || span_to_u64(m->text, ret) < 0)
		return bad(key, "a number");
	return 0;
}

static int from_json(const struct json *v, struct audit_anchor *ret)
{
	struct audit_anchor a = {0};
	struct head *h = &a.head.head;
	int r = uuid_parse(json_str(v, "journal", SPAN("")), &h->journal);

	if (r < 0)
		return bad("journal", "a UUID");
	r = get_number(v, "segment", &h->segment);
	if (r == 0)
		r = get_number(v, "record", &h->record);
	if (r == 0)
		r = get_hex(v, "hash", h->hash, sizeof(h->hash));
	if (r == 0)
		r = get_hex(v, "previous", h->previous, sizeof(h->previous));
	if (r == 0)
		r = get_number(v, "counter", &a.head.counter);
	if (r == 0)
		r = get_hex(v, "signature", a.head.signature, sizeof(a.head.signature));
	if (r == 0)
		r = get_hex(v, "key", a.key, sizeof(a.key));
	if (r < 0)
		return err_trace(r);
	*ret = a;
	return 0;
}

int audit_anchor_parse(struct span json, struct audit_anchor *ret)
{
	struct arena *arena CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	const struct json_limits limits = {LIMIT_AUDIT_ANCHOR_BYTES, 4};
	const struct json *v;
	int r = arena ? json_parse(arena, json, &limits, &v) : err_raise(-ENOMEM, "out of memory");

	if (r < 0)
		return err_wrap(r, "anchor");
	if (v->type != JSON_OBJECT)
		return err_raise(-EINVAL,
			"anchor: must be a JSON object, as `aegis-audit anchor` "
			"writes it");
	r = from_json(v, ret);
	return r < 0 ? err_trace(r) : 0;
}

int audit_anchor_of_record(const struct audit_record *r, struct audit_anchor *ret)
{
	if (r->source != AUDIT_JOURNAL || !span_is(r->kind, "Head"))
		return err_raise(
			-EINVAL, "record %llu is no signed head", (unsigned long long)r->number);
	int res = audit_anchor_parse(r->payload, ret);
	return res < 0 ? err_trace(res) : 0;
}

uint64_t audit_gap_count(const struct audit_record *r)
{
	struct arena *arena CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	const struct json_limits limits = {LIMIT_AUDIT_ANCHOR_BYTES, 4};
	const struct json *v;

	if (!arena || json_parse(arena, r->payload, &limits, &v) < 0) {
		err_clear();
		return 0;
	}
	return (uint64_t)json_i64(v, "lost", 0);
}
