/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Security tokens: JSON Web Tokens in compact form (RFC 7519, RFC 7515), of the two algorithms that
 * the protocols name. The key decides which algorithm is used, never the token alone: a token whose
 * `alg` is not that of a key we hold has no key. Nothing in the header but alg, typ and kid is
 * looked at; `crit` is refused.
 */
#include "policy/smcp/internal.h"

enum { SIGNATURE_TEXT_BYTES = 2048 };

/* ---- issuing ---- */

static void claim_put(struct json_writer *w, const char *name, struct span value)
{
	if (value.n)
		json_field_span(w, name, value);
}

static void claims_put(struct buf *b, const struct smcp_claims *c)
{
	struct json_writer w = json_writer(b);

	json_object(&w);
	claim_put(&w, "iss", c->issuer);
	claim_put(&w, "aud", c->audience);
	json_field_span(&w, "sub", c->subject);
	json_field_span(&w, "scp", c->scope);
	json_field_span(&w, "wid", c->workload_id);
	claim_put(&w, "exec_id", c->execution_id);
	claim_put(&w, "tenant_id", c->tenant_id);
	claim_put(&w, "jti", c->token_id);
	json_field_i64(&w, "iat", c->issued_s);
	json_field_i64(&w, "exp", c->expires_s);
	json_end(&w);
}

int smcp_token_issue(const struct smcp_key *k, const struct smcp_claims *c, struct buf *b)
{
	struct buf part CLEANUP(buf_fini) = buf_init(LIMIT_SMCP_TOKEN_BYTES);
	size_t begin = b->len;

	if (c->expires_s <= c->issued_s || c->expires_s - c->issued_s > SMCP_TOKEN_MAX_S)
		return err_raise(-EINVAL, "a token lives for 1 to %d seconds", SMCP_TOKEN_MAX_S);
	buf_printf(&part, "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"" SPAN_FMT "\"}",
		smcp_algorithm_name(smcp_key_algorithm(k)), SPAN_ARG(smcp_key_id(k)));
	base64_encode(b, buf_view(&part), BASE64_URL);
	buf_putc(b, '.');
	buf_reset(&part);
	claims_put(&part, c);
	base64_encode(b, buf_view(&part), BASE64_URL);
	int r = buf_error(&part);
	if (r == 0)
		r = buf_error(b);
	if (r < 0)
		return err_trace(r);
	struct buf signature CLEANUP(buf_fini) = buf_init(SIGNATURE_TEXT_BYTES);
	r = smcp_key_sign(k, span_sub(buf_view(b), begin, b->len), &signature);
	if (r < 0)
		return err_trace(r);
	buf_putc(b, '.');
	base64_encode(b, buf_view(&signature), BASE64_URL);
	return err_trace(buf_error(b));
}

/* ---- verifying ---- */

struct token {
	struct span header, claims, signature; /* base64url */
	struct span signed_part;
	struct arena *arena;
	struct smcp_refusal *why;
};

static int refuse(struct token *t, const char *reason)
{
	return smcp_refuse(t->why, SMCP_TOKEN_VERIFICATION_FAILED, "security_token: %s", reason);
}

static int split(struct token *t, struct span text)
{
	ssize_t first = span_find_byte(text, '.', 0);
	ssize_t second = first < 0 ? -1 : span_find_byte(text, '.', (size_t)first + 1);

	if (second < 0 || span_find_byte(text, '.', (size_t)second + 1) >= 0)
		return refuse(t, "three parts with dots between them are expected");
	t->header = span_sub(text, 0, (size_t)first);
	t->claims = span_sub(text, (size_t)first + 1, (size_t)second);
	t->signature = span_sub(text, (size_t)second + 1, text.n);
	t->signed_part = span_sub(text, 0, (size_t)second);
	return 0;
}

/* A part as a JSON object. */
static int part_parse(struct token *t, struct span part, const char *what, struct span *ret_text,
	const struct json **ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_SMCP_TOKEN_BYTES);
	const struct json_limits limits = {LIMIT_SMCP_TOKEN_BYTES, 16};

	int r = base64_decode(&b, part, BASE64_URL);
	if (r < 0) {
		err_clear();
		return refuse(t, "its parts must be base64url without padding");
	}
	*ret_text = arena_span(t->arena, buf_view(&b));
	if (b.len && !ret_text->p)
		return err_raise(-ENOMEM, "token: request memory used up");
	r = json_parse(t->arena, *ret_text, &limits, ret);
	if (r == -ENOMEM)
		return err_trace(r);
	if (r < 0 || (*ret)->type != JSON_OBJECT) {
		err_clear();
		return smcp_refuse(t->why, SMCP_TOKEN_VERIFICATION_FAILED,
			"security_token: its %s must be a JSON object without duplicate members",
			what);
	}
	return 0;
}

struct header {
	struct span algorithm;
	struct span key_id; /* empty: none */
};

static int header_read(struct token *t, struct header *ret)
{
	const struct json *h;
	struct span text;
	int r = part_parse(t, t->header, "header", &text, &h);

	if (r != 0)
		return r;
	/* No issuer writes escapes here, and readers that match text see another name. */
	if (span_find_byte(text, '\\', 0) >= 0)
		return refuse(t, "its header must have no escapes");
	if (!span_is(json_str(h, "typ", SPAN("")), "JWT"))
		return refuse(t, "its header's typ must be \"JWT\"");
	if (json_get(h, "crit"))
		return refuse(t, "its header's crit names extensions, and none is known here");
	const struct json *kid = json_get(h, "kid");
	if (kid && kid->type != JSON_STRING)
		return refuse(t, "its header's kid must be a string");
	ret->algorithm = json_str(h, "alg", SPAN(""));
	ret->key_id = kid ? kid->text : SPAN("");
	return 0;
}

static bool key_fits(const struct smcp_key *k, const struct header *h)
{
	return span_is(h->algorithm, smcp_algorithm_name(smcp_key_algorithm(k))) &&
		(h->key_id.n == 0 || span_eq(h->key_id, smcp_key_id(k)));
}

static int signature_check(
	struct token *t, const struct header *h, struct smcp_key *const *keys, size_t count)
{
	struct buf signature CLEANUP(buf_fini) = buf_init(SIGNATURE_TEXT_BYTES);
	bool fits = false;

	if (base64_decode(&signature, t->signature, BASE64_URL) < 0) {
		err_clear();
		return refuse(t, "its parts must be base64url without padding");
	}
	for (size_t i = 0; i < count; i++) {
		if (!key_fits(keys[i], h))
			continue;
		fits = true;
		if (smcp_key_verify(keys[i], t->signed_part, buf_view(&signature)))
			return 0;
	}
	return refuse(t,
		fits ? "its signature is not this gateway's"
		     : "no key of this gateway has its alg and kid");
}

static int text_claim(
	struct token *t, const struct json *v, const char *name, bool required, struct span *ret)
{
	const struct json *c = json_get(v, name);

	*ret = SPAN("");
	if (!c && !required)
		return 0;
	if (!c || c->type != JSON_STRING || c->text.n == 0 || c->text.n > LIMIT_SMCP_CLAIM_BYTES)
		return smcp_refuse(t->why, SMCP_TOKEN_VERIFICATION_FAILED,
			"security_token: the claim %s must be a text of 1 to %d bytes", name,
			LIMIT_SMCP_CLAIM_BYTES);
	*ret = c->text;
	return 0;
}

static int time_claim(struct token *t, const struct json *v, const char *name, int64_t *ret)
{
	const struct json *c = json_get(v, name);

	if (c && c->type == JSON_NUMBER && json_number_i64(c, ret) == 0)
		return 0;
	err_clear();
	return smcp_refuse(t->why, SMCP_TOKEN_VERIFICATION_FAILED,
		"security_token: the claim %s must be a whole number of seconds", name);
}

static int texts_read(struct token *t, const struct json *v, struct smcp_claims *c)
{
	const struct {
		const char *name;
		bool required;
		struct span *ret;
	} texts[] = {
		{"sub", true, &c->subject},
		{"scp", true, &c->scope},
		{"wid", true, &c->workload_id},
		{"jti", false, &c->token_id},
		{"iss", false, &c->issuer},
		{"exec_id", false, &c->execution_id},
		{"tenant_id", false, &c->tenant_id},
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		int r = text_claim(t, v, texts[i].name, texts[i].required, texts[i].ret);
		if (r != 0)
			return r;
	}
	/* RFC 7519 allows a list here; we issue a text, and read no other. */
	return text_claim(t, v, "aud", false, &c->audience);
}

static int times_check(struct token *t, const struct json *v, int64_t now_s, struct smcp_claims *c)
{
	int64_t not_before_s = INT64_MIN;
	int r = time_claim(t, v, "iat", &c->issued_s);

	if (r == 0)
		r = time_claim(t, v, "exp", &c->expires_s);
	if (r == 0 && json_get(v, "nbf"))
		r = time_claim(t, v, "nbf", &not_before_s);
	if (r != 0)
		return r;
	if (c->expires_s <= now_s || c->expires_s <= c->issued_s)
		return smcp_refuse(
			t->why, SMCP_TOKEN_EXPIRED, "security_token: it has expired; attest again");
	if (c->issued_s < 0 || c->expires_s - c->issued_s > SMCP_TOKEN_MAX_S)
		return refuse(t, "it would live for longer than 24 hours");
	if (c->issued_s > now_s + SMCP_WINDOW_S || not_before_s > now_s)
		return refuse(t, "it is not valid yet");
	return 0;
}

int smcp_token_verify(struct span token, struct smcp_key *const *keys, size_t count, int64_t now_ns,
	struct arena *a, struct smcp_claims *ret, struct smcp_refusal *why)
{
	struct token t = {.arena = a, .why = why};
	struct smcp_claims claims = {0};
	struct header header;
	const struct json *v;
	struct span text;

	if (token.n == 0)
		return smcp_refuse(
			why, SMCP_MALFORMED_ENVELOPE, "security_token: a token is expected");
	if (token.n > LIMIT_SMCP_TOKEN_BYTES)
		return refuse(&t, "it is too long");
	int r = split(&t, token);
	if (r == 0)
		r = header_read(&t, &header);
	if (r == 0)
		r = signature_check(&t, &header, keys, count);
	if (r == 0)
		r = part_parse(&t, t.claims, "claims", &text, &v);
	if (r == 0)
		r = texts_read(&t, v, &claims);
	if (r == 0)
		r = times_check(&t, v, now_ns / NS_PER_S, &claims);
	if (r == 0 || r == SMCP_TOKEN_EXPIRED)
		*ret = claims;
	return err_trace(r);
}
