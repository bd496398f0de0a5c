/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Texts of policy sets in the journal. A text may be longer than a reader wants to hold in one
 * record, so it goes in pieces; none splits a character. The hash is checked before anything is
 * written: a record that claims to be the set of that name is that set.
 */
#include "daemon/audit/journal.h"

#include <errno.h>
#include <sodium.h>

enum {
	PARTS_MAX = LIMIT_RULE_SET_BYTES / LIMIT_AUDIT_POLICY_PART_BYTES + 2,
	HASH_BYTES = 32,
};

static bool is_hash_of(struct span hash, struct span text)
{
	uint8_t claimed[HASH_BYTES];
	uint8_t digest[HASH_BYTES];

	if (hex_decode(hash, claimed, sizeof(claimed)) < 0) {
		err_clear();
		return false;
	}
	crypto_generichash(digest, sizeof(digest), (const uint8_t *)text.p, text.n, NULL, 0);
	return memcmp(claimed, digest, sizeof(digest)) == 0;
}

/* The piece that begins at *at; *at moves behind it. */
static struct span next_piece(struct span text, size_t *at)
{
	size_t end = MIN(text.n, *at + LIMIT_AUDIT_POLICY_PART_BYTES);

	while (end < text.n && ((unsigned char)text.p[end] & 0xc0) == 0x80)
		end--;
	struct span piece = span_sub(text, *at, end);
	*at = end;
	return piece;
}

static uint32_t count_pieces(struct span text)
{
	uint32_t n = 0;

	for (size_t at = 0; at < text.n || n == 0; n++)
		(void)next_piece(text, &at);
	return n;
}

static int part_put(struct arena *a, const struct audit_policy_part *p, struct audit_record *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct json_writer w = json_writer(&b);

	json_object(&w);
	json_field_span(&w, "policy_set", p->policy_set);
	json_field_i64(&w, "part", p->part);
	json_field_i64(&w, "parts", p->parts);
	json_field_span(&w, "text", p->text);
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret = (struct audit_record){.source = AUDIT_DAEMON,
		.kind = SPAN("PolicySet"),
		.payload = arena_span(a, buf_view(&b))};
	return ret->payload.p ? 0 : err_raise(-ENOMEM, "out of memory");
}

int journal_policy_set(struct journal *j, struct span hash, struct span text, int64_t deadline_ns)
{
	struct audit_record records[PARTS_MAX];
	struct audit_policy_part p = {.policy_set = hash};
	size_t at = 0;
	int r = 0;

	if (text.n > LIMIT_RULE_SET_BYTES || !is_hash_of(hash, text))
		return err_raise(-EINVAL,
			"audit journal: a policy set of at most %d bytes goes on record under its "
			"own hash",
			LIMIT_RULE_SET_BYTES);
	struct arena *a CLEANUP(arena_cleanup) = arena_new(PARTS_MAX * LIMIT_AUDIT_PAYLOAD_BYTES);
	if (!a)
		return err_raise(-ENOMEM, "out of memory");
	p.parts = count_pieces(text);
	CHECK(p.parts <= PARTS_MAX);
	for (uint32_t i = 0; r == 0 && i < p.parts; i++) {
		p.part = i + 1;
		p.text = next_piece(text, &at);
		r = part_put(a, &p, &records[i]);
	}
	return r < 0 ? err_trace(r) : err_trace(journal_append(j, records, p.parts, deadline_ns));
}

static bool is_count(int64_t n)
{
	return n >= 1 && n <= PARTS_MAX;
}

int audit_policy_part_of(
	struct arena *a, const struct audit_record *r, struct audit_policy_part *ret)
{
	const struct json *v;

	if (r->source != AUDIT_DAEMON || !span_is(r->kind, "PolicySet"))
		return AUDIT_NO_POLICY_SET;
	int res = json_parse(a, r->payload, NULL, &v);
	if (res == -ENOMEM)
		return err_trace(res);
	if (res < 0) {
		err_clear();
		return AUDIT_NO_POLICY_SET;
	}
	int64_t part = json_i64(v, "part", 0);
	int64_t parts = json_i64(v, "parts", 0);
	struct span hash = json_str(v, "policy_set", SPAN(""));
	if (!is_count(part) || !is_count(parts) || part > parts || hash.n != 2 * HASH_BYTES)
		return AUDIT_NO_POLICY_SET;
	*ret = (struct audit_policy_part){
		hash, (uint32_t)part, (uint32_t)parts, json_str(v, "text", SPAN(""))};
	return 0;
}
