/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Envelopes: one JSON object around a JSON-RPC request, whose signature covers the request, the
 * token and the second of the stamp in canonical form.
 *
 * Canonical is what both official SDKs sign. They write each number on the wire as they sign it,
 * so tokens are kept as written; they sort keys differently only where a key beyond the BMP meets
 * one in U+E000..U+FFFF, so there, and only there, a signature that fails in the order of UTF-8
 * bytes (Python) is tried in the order of UTF-16 units (TypeScript). Both orders say the same
 * value.
 */
#include "policy/smcp/internal.h"
#include <sodium.h>

enum { USUAL_BYTES = 1024 }; /* of a canonical envelope, without its token */

void smcp_canonical(struct buf *b, const struct json *payload, struct span token, int64_t stamp_s)
{
	struct json_writer w;

	buf_puts(b, "{\"payload\":");
	json_canonical(b, payload);
	buf_puts(b, ",\"security_token\":");
	w = json_writer(b);
	json_put_span(&w, token);
	buf_puts(b, ",\"timestamp\":");
	w = json_writer(b);
	json_put_i64(&w, stamp_s);
	buf_putc(b, '}');
}

/* ---- parsing ---- */

static int member(
	const struct json *v, const char *name, struct span *ret, struct smcp_refusal *why)
{
	const struct json *m = json_get(v, name);

	if (!m || m->type != JSON_STRING || m->text.n == 0)
		return smcp_refuse(why, SMCP_MALFORMED_ENVELOPE, "%s: %s", name,
			m ? "a string that is not empty is expected" : "this member is missing");
	*ret = m->text;
	return 0;
}

static int protocol_check(const struct json *v, enum smcp_protocol p, struct smcp_refusal *why)
{
	struct span said = json_str(v, "protocol", SPAN(""));

	if (span_is(said, smcp_protocol_name(p)))
		return 0;
	return smcp_refuse(why, SMCP_MALFORMED_ENVELOPE, "protocol: \"%s\" is expected here",
		smcp_protocol_name(p));
}

static int signature_decode(struct smcp_envelope *e, struct smcp_refusal *why)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_SMCP_KEY_TEXT_BYTES);

	if (base64_decode(&b, e->signature_text, BASE64_STANDARD) < 0) {
		err_clear();
		return smcp_refuse(why, SMCP_MALFORMED_ENVELOPE,
			"signature: base64 with padding is expected (RFC 4648 section 4)");
	}
	if (b.len != SMCP_SIGNATURE_BYTES)
		return smcp_refuse(why, SMCP_INVALID_SIGNATURE,
			"signature: 64 bytes are expected, not %zu", b.len);
	memcpy(e->signature, b.data, SMCP_SIGNATURE_BYTES);
	return 0;
}

static int members_read(const struct json *v, struct smcp_envelope *e, struct smcp_refusal *why)
{
	struct span stamp;
	int r = protocol_check(v, e->protocol, why);

	if (r == 0)
		r = member(v, "security_token", &e->security_token, why);
	if (r == 0)
		r = member(v, "signature", &e->signature_text, why);
	if (r == 0)
		r = member(v, "timestamp", &stamp, why);
	if (r != 0)
		return r;
	e->payload = json_get(v, "payload");
	if (!e->payload || e->payload->type != JSON_OBJECT)
		return smcp_refuse(
			why, SMCP_MALFORMED_ENVELOPE, "payload: a JSON-RPC object is expected");
	if (smcp_stamp_parse(stamp, &e->stamp_s) < 0)
		return smcp_refuse(why, SMCP_MALFORMED_ENVELOPE,
			"timestamp: a text such as \"2026-02-17T14:32:01.583Z\" is expected");
	r = smcp_rpc_check(e, why);
	return r != 0 ? r : signature_decode(e, why);
}

int smcp_envelope_parse(struct span body, enum smcp_protocol protocol, struct arena *a,
	struct smcp_envelope *ret, struct smcp_refusal *why)
{
	struct smcp_envelope e = {.protocol = protocol};
	const struct json_limits limits = {LIMIT_SMCP_BODY_BYTES, LIMIT_JSON_DEPTH - 1};
	const struct json *v;
	int r = json_parse(a, body, &limits, &v);

	if (r == -ENOMEM)
		return err_trace(r);
	if (r < 0) {
		r = smcp_refuse(why, SMCP_MALFORMED_ENVELOPE,
			"the body is no JSON that is accepted: %s", err_message(r));
		err_clear();
		return r;
	}
	if (v->type != JSON_OBJECT)
		return smcp_refuse(why, SMCP_MALFORMED_ENVELOPE, "an object is expected, not %s",
			json_type_name(v->type));
	r = members_read(v, &e, why);
	if (r == 0)
		*ret = e;
	return r;
}

/* ---- the other order of keys ---- */

/* UTF-16 puts the surrogates of U+10000 and above before U+E000..U+FFFF, whose UTF-8 begins with EE
 * or EF; everything else is in the order of bytes. */
static int utf16_rank(char c)
{
	int byte = (unsigned char)c;
	return byte == 0xee || byte == 0xef ? byte + 0x10 : byte;
}

static int utf16_cmp(struct span a, struct span b)
{
	for (size_t i = 0; i < MIN(a.n, b.n); i++)
		if (a.p[i] != b.p[i])
			return utf16_rank(a.p[i]) - utf16_rank(b.p[i]);
	return a.n < b.n ? -1 : a.n > b.n;
}

bool smcp_has_wide_keys(const struct json *v)
{
	if (v->type != JSON_OBJECT && v->type != JSON_ARRAY)
		return false;
	json_for_each (item, v) {
		for (size_t i = 0; i < item->key.n; i++)
			if ((unsigned char)item->key.p[i] >= 0xf0)
				return true;
		if (smcp_has_wide_keys(item))
			return true;
	}
	return false;
}

/* Few members are out of place, so insertion is quick. */
static void sort_members(const struct json **members, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		const struct json *moving = members[i];
		size_t at = i;
		for (; at > 0 && utf16_cmp(members[at - 1]->key, moving->key) > 0; at--)
			members[at] = members[at - 1];
		members[at] = moving;
	}
}

/* *v holds a shallow copy whose children still are the original's. As deep as the parser allows. */
static bool sort_children(struct json *v, struct arena *a)
{
	if ((v->type != JSON_OBJECT && v->type != JSON_ARRAY) || v->count == 0)
		return true;
	struct json *items = arena_make_array(a, struct json, v->count);
	if (!items)
		return false;
	for (size_t i = 0; i < v->count; i++) {
		items[i] = v->items[i];
		if (!sort_children(&items[i], a))
			return false;
	}
	if (v->type == JSON_OBJECT) {
		const struct json **sorted = arena_make_array(a, const struct json *, v->count);
		if (!sorted)
			return false;
		for (size_t i = 0; i < v->count; i++)
			sorted[i] = &items[v->sorted[i] - v->items];
		sort_members(sorted, v->count);
		v->sorted = sorted;
	}
	v->items = items;
	return true;
}

const struct json *smcp_sort_utf16(const struct json *v, struct arena *a)
{
	struct json *copy = arena_make(a, struct json);

	if (!copy)
		return NULL;
	*copy = *v;
	return sort_children(copy, a) ? copy : NULL;
}

/* ---- verifying ---- */

bool smcp_signature_good(const uint8_t public_key[SMCP_PUBLIC_KEY_BYTES], struct span message,
	const uint8_t signature[SMCP_SIGNATURE_BYTES])
{
	return crypto_sign_verify_detached(
		       signature, (const uint8_t *)message.p, message.n, public_key) == 0;
}

static int stamp_check(
	const struct smcp_envelope *e, int64_t now_ns, int64_t floor_s, struct smcp_refusal *why)
{
	/* The SDKs number a stale stamp differently: SEAL's 1003, SMCP's 1004. */
	int code = e->protocol == SEAL_V1 ? SMCP_TOKEN_EXPIRED : SMCP_TOKEN_VERIFICATION_FAILED;
	int64_t off_s = e->stamp_s - now_ns / NS_PER_S;

	if (off_s > SMCP_WINDOW_S || off_s < -SMCP_WINDOW_S)
		return smcp_refuse(why, code,
			"timestamp: %lld s %s the gateway's clock; at most %d s are accepted",
			(long long)(off_s < 0 ? -off_s : off_s), off_s < 0 ? "behind" : "ahead of",
			SMCP_WINDOW_S);
	if (e->stamp_s <= floor_s)
		return smcp_refuse(why, code,
			"timestamp: from before the gateway's start, where replays cannot be told; "
			"sign "
			"the call again");
	return 0;
}

static int signature_check(const struct smcp_envelope *e, const struct json *payload,
	const uint8_t *public_key, struct arena *a, struct span *ret_signed, bool *ret_good)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_SMCP_BODY_BYTES);

	(void)buf_reserve(&b, e->security_token.n + USUAL_BYTES);
	smcp_canonical(&b, payload, e->security_token, e->stamp_s);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret_good = smcp_signature_good(public_key, buf_view(&b), e->signature);
	if (!*ret_good)
		return 0;
	*ret_signed = arena_span(a, buf_view(&b));
	return ret_signed->p ? 0 : err_raise(-ENOMEM, "smcp: request memory used up");
}

int smcp_envelope_verify(const struct smcp_envelope *e,
	const uint8_t public_key[SMCP_PUBLIC_KEY_BYTES], int64_t now_ns, int64_t floor_s,
	struct arena *a, struct span *ret_signed, struct smcp_refusal *why)
{
	bool good = false;
	int r = stamp_check(e, now_ns, floor_s, why);

	if (r == 0)
		r = signature_check(e, e->payload, public_key, a, ret_signed, &good);
	if (r != 0)
		return err_trace(r);
	if (!good && smcp_has_wide_keys(e->payload)) {
		const struct json *other = smcp_sort_utf16(e->payload, a);
		if (!other)
			return err_raise(-ENOMEM, "smcp: request memory used up");
		r = signature_check(e, other, public_key, a, ret_signed, &good);
		if (r < 0)
			return err_trace(r);
	}
	return good ? 0
		    : smcp_refuse(why, SMCP_INVALID_SIGNATURE,
			      "signature: not of the session's key over this payload, token and "
			      "timestamp");
}

/* ---- a client's key ---- */

/* RFC 8410: SubjectPublicKeyInfo of an Ed25519 key up to its 32 bytes. */
static const uint8_t spki_prefix[12] = {
	0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

/* What stands between the lines of a PEM text, without its line ends; other texts as they are. */
static void unarmour(struct span text, struct buf *b)
{
	const struct span begin = SPAN("-----BEGIN PUBLIC KEY-----");
	const struct span end = SPAN("-----END PUBLIC KEY-----");

	text = span_trim(text);
	if (span_starts(text, begin) && span_ends(text, end))
		text = span_sub(text, begin.n, text.n - end.n);
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != '\n' && text.p[i] != '\r')
			buf_putc(b, text.p[i]);
}

static bool key_decode(struct span text, struct buf *raw)
{
	struct buf plain CLEANUP(buf_fini) = buf_init(LIMIT_SMCP_KEY_TEXT_BYTES);

	unarmour(text, &plain);
	if (plain.error)
		return false;
	if (base64_decode(raw, buf_view(&plain), BASE64_STANDARD) == 0)
		return true;
	buf_reset(raw);
	return base64_decode(raw, buf_view(&plain), BASE64_URL) == 0;
}

int smcp_public_key_parse(
	struct span text, uint8_t ret[SMCP_PUBLIC_KEY_BYTES], struct smcp_refusal *why)
{
	struct buf raw CLEANUP(buf_fini) = buf_init(LIMIT_SMCP_KEY_TEXT_BYTES);

	if (text.n > LIMIT_SMCP_KEY_TEXT_BYTES || !key_decode(text, &raw)) {
		err_clear();
		return smcp_refuse(why, SMCP_ATTESTATION_FAILED,
			"public_key: base64 of the 32 bytes of an Ed25519 key is expected");
	}
	struct span key = buf_view(&raw);
	if (key.n == sizeof(spki_prefix) + SMCP_PUBLIC_KEY_BYTES &&
		memcmp(key.p, spki_prefix, sizeof(spki_prefix)) == 0)
		key = span_sub(key, sizeof(spki_prefix), key.n);
	if (key.n != SMCP_PUBLIC_KEY_BYTES)
		return smcp_refuse(why, SMCP_ATTESTATION_FAILED,
			"public_key: 32 bytes of an Ed25519 key are expected, not %zu", key.n);
	/* Keys of small order verify signatures that nobody made. */
	if (!crypto_core_ed25519_is_valid_point((const uint8_t *)key.p))
		return smcp_refuse(why, SMCP_ATTESTATION_FAILED,
			"public_key: not a point of the main subgroup of Ed25519");
	memcpy(ret, key.p, SMCP_PUBLIC_KEY_BYTES);
	return 0;
}
