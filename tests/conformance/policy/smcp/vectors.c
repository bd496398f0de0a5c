/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Runs a file of SMCP test vectors: smcp_vectors FILE. Lists the cases that differ from their
 * label, with counts by member, and ends with "N passed, N failed"; exits 1 if any failed.
 *
 * How labels are read: `accept` null means that the specification does not decide, and is refused.
 * A case that is refused as malformed, because it is no strict JSON, may bear another code.
 * Payloads that the specification's canonical form or strict JSON do not know (lone surrogates,
 * duplicate keys, numbers beyond a double) are refused; all others give the bytes of
 * `raw_number_tokens`. Of scopes, codes 2000 and 2006 count as one: the specification's "tool not
 * allowed" and "no matching capability" are the same default denial.
 */
#include "policy/context/context.h"
#include "policy/smcp/smcp.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_BYTES = 512 * 1024 * 1024, TEXT_BYTES = 64 * 1024 * 1024 };

struct vectors {
	const struct json *root;
	struct arena *arena;
	struct smcp_key *gateway;
	uint8_t client[SMCP_PUBLIC_KEY_BYTES];
	int64_t now_s;
	size_t passed, failed;
};

static bool same(const char *what, struct span name, bool good, const char *why)
{
	if (!good)
		printf("  differs: %s: " SPAN_FMT ": %s\n", what, SPAN_ARG(name), why);
	return good;
}

/* Empty if it is no hexadecimal text. */
static struct span unhex(struct vectors *v, struct span hex)
{
	size_t n = hex.n / 2;
	uint8_t *bytes = arena_raw(v->arena, n + 1);
	CHECK(bytes);
	if (hex_decode(hex, bytes, n) == 0)
		return span_of(bytes, n);
	err_clear();
	return SPAN("");
}

static struct span field(const struct json *c, const char *name)
{
	return json_str(c, name, SPAN(""));
}

static bool signature_good(struct span key, struct span message, struct span signature)
{
	return key.n == SMCP_PUBLIC_KEY_BYTES && signature.n == SMCP_SIGNATURE_BYTES &&
		smcp_signature_good((const uint8_t *)key.p, message, (const uint8_t *)signature.p);
}

/* A key is what attestation lets in and what a signature verifies under. */
static bool check_ed25519(struct vectors *v, const struct json *c, const char *member)
{
	struct buf text CLEANUP(buf_fini) = buf_init(1024);
	struct smcp_refusal why;
	uint8_t key[SMCP_PUBLIC_KEY_BYTES];
	struct span public_key = unhex(v, field(c, "public_hex"));
	bool expected = json_bool(c, "valid", json_bool(c, "must_accept", false));

	base64_encode(&text, public_key, BASE64_STANDARD);
	bool got = smcp_public_key_parse(buf_view(&text), key, &why) == 0 &&
		signature_good(public_key, unhex(v, field(c, "message_hex")),
			unhex(v, field(c, "signature_hex")));
	return same(member, field(c, "name"), got == expected, got ? "accepted" : "refused");
}

/* ---- canonical bytes ---- */

/* Whether the strict codec and the checks of payloads let it in. */
static bool canonical_of(struct vectors *v, const struct json *c, struct buf *b)
{
	struct span token = field(c, "security_token");
	const struct json *payload;

	if (span_is(token, "@token"))
		token = field(v->root, "token");
	if (json_parse(v->arena, field(c, "payload_text"), NULL, &payload) < 0) {
		err_clear();
		return false;
	}
	smcp_canonical(b, payload, token, json_i64(c, "timestamp_unix", 0));
	return true;
}

static bool check_canonical(struct vectors *v, const struct json *c, const char *member)
{
	struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct span name = field(c, "name");
	struct span expected = field(c, "raw_token_canonical_hex");
	bool accepted = canonical_of(v, c, &b);

	if (span_find(name, SPAN("duplicate key"), 0) >= 0 || json_get(c, "python_sdk_error"))
		return same(member, name, !accepted, "accepted, but it has no canonical form");
	if (expected.n == 0)
		expected = field(c, "canonical_hex");
	if (!accepted)
		return same(member, name, false, "refused");
	if (!same(member, name, span_eq(buf_view(&b), unhex(v, expected)), "other bytes"))
		return false;
	struct buf signature CLEANUP(buf_fini) = buf_init(1024);
	struct span text = field(c, "signature_b64");
	if (text.n == 0)
		text = field(c, "signature_b64_client_key");
	if (base64_decode(&signature, text, BASE64_STANDARD) < 0)
		buf_reset(&signature);
	/* The signature is over Python's form of numbers. */
	bool python_form = span_eq(expected, field(c, "canonical_hex"));
	bool good = signature_good(
		span_of(v->client, sizeof(v->client)), buf_view(&b), buf_view(&signature));
	return same(member, name, good == python_form, "its signature");
}

/* ---- envelopes and tokens ---- */

struct outcome {
	bool accepted;
	int code;
	char reason[256];
};

static struct outcome envelope_outcome(struct vectors *v, struct span text, int64_t now_s)
{
	struct smcp_refusal why = {0};
	struct smcp_envelope e;
	struct smcp_claims claims;
	struct outcome o;
	struct span signed_bytes;
	int64_t now_ns = now_s * NS_PER_S;
	int r = smcp_envelope_parse(text, SMCP_V1, v->arena, &e, &why);

	if (r == 0)
		r = smcp_token_verify(
			e.security_token, &v->gateway, 1, now_ns, v->arena, &claims, &why);
	if (r == 0)
		r = smcp_envelope_verify(&e, v->client, now_ns, 0, v->arena, &signed_bytes, &why);
	CHECK(r >= 0);
	o = (struct outcome){.accepted = r == 0, .code = r};
	snprintf(o.reason, sizeof(o.reason), "%s", r == 0 ? "accepted" : why.reason);
	return o;
}

/* A number, or "stale", for which the SDKs have two. */
static bool code_fits(const struct json *c, int code, bool strict_json)
{
	const struct json *expected = json_get(c, "rfc_code");

	if (!expected || expected->type == JSON_NULL)
		return true;
	if (expected->type == JSON_STRING)
		return code == SMCP_TOKEN_EXPIRED || code == SMCP_TOKEN_VERIFICATION_FAILED;
	return code == json_i64(c, "rfc_code", 0) ||
		(!strict_json && code == SMCP_MALFORMED_ENVELOPE);
}

static bool check_outcome(
	const struct json *c, const char *member, const struct outcome *o, bool strict_json)
{
	char why[512];
	bool accept = json_bool(c, "accept", false);

	snprintf(why, sizeof(why), "%d: %s", o->code, o->reason);
	if (!same(member, field(c, "name"), o->accepted == accept, why))
		return false;
	const struct json *label = json_get(c, "accept");
	if (accept || !label || label->type == JSON_NULL)
		return true;
	if (!same(member, field(c, "name"), code_fits(c, o->code, strict_json), why))
		return false;
	int64_t http = json_i64(c, "rfc_http", 401);
	return same(member, field(c, "name"), smcp_code_http(o->code) == http, "HTTP status");
}

static bool check_envelope(struct vectors *v, const struct json *c, const char *member)
{
	struct span text = field(c, "envelope_text");
	struct outcome o = envelope_outcome(v, text, json_i64(c, "now_unix", v->now_s));
	const struct json *parsed;
	bool strict_json = json_parse(v->arena, text, NULL, &parsed) == 0;

	err_clear();
	return check_outcome(c, member, &o, strict_json);
}

static bool check_jwt(struct vectors *v, const struct json *c, const char *member)
{
	struct smcp_refusal why = {0};
	struct smcp_claims claims;
	struct outcome o;
	int r = smcp_token_verify(
		field(c, "token"), &v->gateway, 1, v->now_s * NS_PER_S, v->arena, &claims, &why);

	CHECK(r >= 0);
	o = (struct outcome){.accepted = r == 0, .code = r};
	snprintf(o.reason, sizeof(o.reason), "%s", r == 0 ? "accepted" : why.reason);
	return check_outcome(c, member, &o, true);
}

/* What the real clients send verifies, whichever of the two orders of keys they sign. */
static bool check_wire(struct vectors *v, const struct json *c, const char *member)
{
	struct outcome o = envelope_outcome(v, field(c, "body_text"), v->now_s);
	const struct json *under = json_get(c, "verifies_under");
	bool expected = json_bool(under, "raw_number_tokens", false) ||
		json_bool(under, "raw_number_tokens_utf16_key_order", false);

	return same(member, field(c, "sender"), o.accepted == expected, o.reason);
}

/* ---- scopes ---- */

static struct rule_strings strings_of(struct vectors *v, const struct json *list)
{
	size_t count = list ? list->count : 0;
	const char **items = arena_make_array(v->arena, const char *, count + 1);

	for (size_t i = 0; i < count; i++)
		items[i] = arena_cstr(v->arena, list->items[i].text);
	return (struct rule_strings){items, count};
}

static struct rule_set *scope_rules(struct vectors *v, const struct json *scope)
{
	const struct json *from = json_get(scope, "capabilities");
	size_t count = from ? from->count : 0;
	struct rule_capability *list =
		arena_make_array(v->arena, struct rule_capability, count + 1);
	struct rule_set_builder *b = rule_set_builder_new();
	struct rule_context c = {
		.name = "scope",
		.capabilities = list,
		.capability_count = count,
		.deny_list = strings_of(v, json_get(scope, "deny_list")),
	};

	for (size_t i = 0; i < count; i++) {
		const struct json *limits = json_get(&from->items[i], "constraints");
		list[i].tool_pattern = arena_cstr(v->arena, field(&from->items[i], "tool_pattern"));
		list[i].paths = strings_of(v, json_get(limits, "path_allowlist"));
		list[i].domains = strings_of(v, json_get(limits, "domain_allowlist"));
	}
	struct rule_set *s =
		b && rule_add_context(b, &c, RULE_CONTEXT_GRANTS) == 0 ? rule_set_seal(b) : NULL;
	rule_set_builder_free(b);
	return s;
}

/* As daemon/tool asks: a path is made canonical first, and one that has no such form is refused. */
static int scope_decide(struct vectors *v, const struct rule_set *rules, const struct json *c)
{
	struct span path = field(json_get(c, "arguments"), "path");
	struct decision_request q = {.execution_id = SPAN("e"), .agent = SPAN("a"), .paths = &path};
	struct decision d;

	q.action = span_cstr(arena_printf(v->arena, "tool:" SPAN_FMT, SPAN_ARG(field(c, "tool"))));
	if (path.n) {
		q.path_count = 1;
		if (context_canonical_path(path, SPAN("/workspace"), v->arena, &path) < 0) {
			err_clear();
			return DECISION_PATH_NOT_ALLOWED;
		}
	}
	if (policy_decide(rules, NULL, &q, 0, v->arena, &d) < 0) {
		err_clear();
		return -1;
	}
	return d.allowed ? DECISION_OK : (int)d.code;
}

static int default_denial(int code)
{
	return code == DECISION_NO_MATCHING_CAPABILITY ? DECISION_TOOL_NOT_ALLOWED : code;
}

static void run_scopes(struct vectors *v, const struct json *scopes)
{
	static const char *const members[] = {"cases", "extra"};
	struct rule_set *rules = scopes ? scope_rules(v, json_get(scopes, "scope")) : NULL;

	if (!scopes)
		return;
	for (size_t m = 0; m < ARRAY_LEN(members); m++) {
		const struct json *list = json_get(scopes, members[m]);
		size_t passed = 0;
		if (!list)
			continue;
		json_for_each (c, list) {
			int expected = (int)json_i64(c, "code", DECISION_OK);
			int got = rules ? scope_decide(v, rules, c) : -1;
			char why[64];
			snprintf(why, sizeof(why), "%d, not %d", got, expected);
			passed += same("scope_evaluation", field(c, "tool"),
				default_denial(got) == default_denial(expected), why);
		}
		printf("scope_evaluation, %s: %zu passed, %zu failed\n", members[m], passed,
			list->count - passed);
		v->passed += passed;
		v->failed += list->count - passed;
	}
	rule_set_unref(rules);
}

/* ---- all of them ---- */

typedef bool (*check_fn)(struct vectors *v, const struct json *c, const char *member);

static void run(struct vectors *v, const struct json *list, const char *member, check_fn check)
{
	size_t passed = 0;

	if (!list || list->type != JSON_ARRAY)
		return;
	json_for_each (c, list)
		passed += check(v, c, member);
	printf("%s: %zu passed, %zu failed\n", member, passed, list->count - passed);
	v->passed += passed;
	v->failed += list->count - passed;
}

/* A key that the file does not have is one under which nothing verifies. */
static void key_read(struct vectors *v, const char *name, uint8_t *ret)
{
	const struct json *key = json_get(json_get(v->root, "keys"), name);
	struct span bytes = unhex(v, field(key, "public_hex"));
	memset(ret, 0, SMCP_PUBLIC_KEY_BYTES);
	if (bytes.n == SMCP_PUBLIC_KEY_BYTES)
		memcpy(ret, bytes.p, bytes.n);
	else
		printf("`keys.%s.public_hex` is no key\n", name);
}

int main(int argc, char **argv)
{
	struct vectors v = {.arena = arena_new(ARENA_BYTES)};
	static const struct json_limits limits = {TEXT_BYTES, LIMIT_JSON_DEPTH};
	struct buf text CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	uint8_t gateway[SMCP_PUBLIC_KEY_BYTES];

	CHECK(sodium_init() >= 0 && v.arena);
	if (argc != 2 || fd_read_file(argv[1], &text) < 0 ||
		json_parse(v.arena, buf_view(&text), &limits, &v.root) < 0) {
		fprintf(stderr, "smcp_vectors FILE: %s\n", err_message(-EINVAL));
		printf("0 passed, 1 failed\n");
		arena_free(v.arena);
		return 1;
	}
	key_read(&v, "client", v.client);
	key_read(&v, "gateway_jwt", gateway);
	CHECK(smcp_key_from_ed25519(gateway, &v.gateway) == 0);
	v.now_s = json_i64(json_get(v.root, "clock"), "now_unix", 0);
	run(&v, json_get(v.root, "rfc8032"), "rfc8032", check_ed25519);
	run(&v, json_get(v.root, "ed25519_edge"), "ed25519_edge", check_ed25519);
	run(&v, json_get(json_get(v.root, "spec"), "vectors"), "spec", check_canonical);
	run(&v, json_get(v.root, "canonical"), "canonical", check_canonical);
	run(&v, json_get(v.root, "envelopes"), "envelopes", check_envelope);
	run(&v, json_get(v.root, "jwt"), "jwt", check_jwt);
	run(&v, json_get(v.root, "wire"), "wire", check_wire);
	run_scopes(&v, json_get(v.root, "scope_evaluation"));
	printf("%zu passed, %zu failed\n", v.passed, v.failed);
	smcp_key_free(v.gateway);
	arena_free(v.arena);
	return v.failed ? 1 : 0;
}
