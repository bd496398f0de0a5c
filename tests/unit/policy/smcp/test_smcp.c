/* SPDX-License-Identifier: AGPL-3.0-only */
/* policy/smcp beyond the vectors of the conformance pack: our own tokens, keys, replays, floors. */
#include "policy/smcp/smcp.h"
#include "tests/tap.h"
#include <sodium.h>

static const int64_t now_s = 1800000000;

static struct arena *arena;
static struct smcp_key *eddsa, *rs256;
static uint8_t public_key[SMCP_PUBLIC_KEY_BYTES], secret_key[crypto_sign_SECRETKEYBYTES];

static int setup(void **state)
{
	(void)state;
	arena = arena_new(16 * 1024 * 1024);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_free(arena);
	err_clear();
	return 0;
}

static int setup_keys(void **state)
{
	(void)state;
	if (sodium_init() < 0 || crypto_sign_keypair(public_key, secret_key) != 0)
		return -1;
	return smcp_key_generate(SMCP_EDDSA, &eddsa) < 0 ||
			smcp_key_generate(SMCP_RS256, &rs256) < 0
		? -1
		: 0;
}

static int teardown_keys(void **state)
{
	(void)state;
	smcp_key_free(eddsa);
	smcp_key_free(rs256);
	return 0;
}

/* ---- tokens ---- */

static struct smcp_claims claims_of(int64_t lifetime_s)
{
	return (struct smcp_claims){
		.subject = SPAN("agent-1"),
		.scope = SPAN("code-assistant"),
		.workload_id = SPAN("execution:1"),
		.token_id = SPAN("j-1"),
		.issuer = SPAN("aegis"),
		.audience = SPAN("aegis"),
		.execution_id = SPAN("e-1"),
		.tenant_id = SPAN("local"),
		.issued_s = now_s,
		.expires_s = now_s + lifetime_s,
	};
}

static struct span issue(const struct smcp_key *k, int64_t lifetime_s)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_SMCP_TOKEN_BYTES);
	struct smcp_claims c = claims_of(lifetime_s);

	assert_int_equal(smcp_token_issue(k, &c, &b), 0);
	return arena_span(arena, buf_view(&b));
}

static int verify_at(struct span token, struct smcp_key *const *keys, size_t count, int64_t at_s,
	struct smcp_claims *ret)
{
	struct smcp_refusal why;
	return smcp_token_verify(token, keys, count, at_s * NS_PER_S, arena, ret, &why);
}

static void token_round_trip(void **state)
{
	(void)state;
	struct smcp_key *const keys[] = {eddsa, rs256};
	struct smcp_claims got;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct smcp_claims want = claims_of(3600);
		assert_int_equal(verify_at(issue(keys[i], 3600), keys, 2, now_s, &got), 0);
		assert_true(span_eq(got.subject, want.subject));
		assert_true(span_eq(got.scope, want.scope));
		assert_true(span_eq(got.workload_id, want.workload_id));
		assert_true(span_eq(got.token_id, want.token_id));
		assert_true(span_eq(got.execution_id, want.execution_id));
		assert_true(span_eq(got.tenant_id, want.tenant_id));
		assert_int_equal(got.expires_s, want.expires_s);
	}
}

static void token_of_other_keys(void **state)
{
	(void)state;
	struct smcp_key *other;
	struct smcp_claims got;

	assert_int_equal(smcp_key_generate(SMCP_EDDSA, &other), 0);
	assert_int_equal(verify_at(issue(other, 60), &eddsa, 1, now_s, &got),
		SMCP_TOKEN_VERIFICATION_FAILED);
	assert_int_equal(verify_at(issue(eddsa, 60), &rs256, 1, now_s, &got),
		SMCP_TOKEN_VERIFICATION_FAILED);
	smcp_key_free(other);
}

static void token_times(void **state)
{
	(void)state;
	struct smcp_claims got;
	struct span token = issue(eddsa, 60);

	assert_int_equal(verify_at(token, &eddsa, 1, now_s + 59, &got), 0);
	assert_int_equal(verify_at(token, &eddsa, 1, now_s + 60, &got), SMCP_TOKEN_EXPIRED);
	assert_int_equal(
		verify_at(token, &eddsa, 1, now_s - 31, &got), SMCP_TOKEN_VERIFICATION_FAILED);
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_SMCP_TOKEN_BYTES);
	struct smcp_claims too_long = claims_of(SMCP_TOKEN_MAX_S + 1);
	assert_int_equal(smcp_token_issue(eddsa, &too_long, &b), -EINVAL);
}

/* ---- keys ---- */

static void key_survives_its_file(void **state)
{
	(void)state;
	struct smcp_key *const keys[] = {eddsa, rs256};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct secret *pem;
		struct smcp_key *again;
		struct smcp_claims got;
		assert_int_equal(smcp_key_private(keys[i], &pem), 0);
		assert_int_equal(smcp_key_from_private(secret_reveal(pem), &again), 0);
		assert_true(span_eq(smcp_key_id(keys[i]), smcp_key_id(again)));
		assert_int_equal(verify_at(issue(again, 60), &keys[i], 1, now_s, &got), 0);
		smcp_key_free(again);
		secret_free(pem);
	}
	struct smcp_key *none;
	assert_int_equal(smcp_key_from_private(SPAN("-----BEGIN"), &none), -EINVAL);
}

/* RFC 8037, appendix A.3: the thumbprint of this key. */
static void key_id_is_the_thumbprint(void **state)
{
	(void)state;
	struct buf raw CLEANUP(buf_fini) = buf_init(64);
	struct buf out CLEANUP(buf_fini) = buf_init(4096);
	struct json_writer w = json_writer(&out);
	struct smcp_key *k;
	const struct json *set;

	assert_int_equal(base64_decode(&raw, SPAN("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
				 BASE64_URL),
		0);
	assert_int_equal(smcp_key_from_ed25519((const uint8_t *)raw.data, &k), 0);
	assert_true(span_is(smcp_key_id(k), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
	smcp_jwks_put(&w, (struct smcp_key *const[]){k, rs256}, 2);
	assert_int_equal(json_parse(arena, buf_view(&out), NULL, &set), 0);
	const struct json *keys = json_get(set, "keys");
	assert_int_equal(keys->count, 2);
	assert_true(span_is(json_str(&keys->items[0], "x", SPAN("")),
		"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
	assert_true(span_is(json_str(&keys->items[0], "alg", SPAN("")), "EdDSA"));
	assert_true(span_is(json_str(&keys->items[1], "kty", SPAN("")), "RSA"));
	assert_null(json_get(&keys->items[1], "d"));
	struct secret *pem;
	assert_int_equal(smcp_key_private(k, &pem), -EINVAL);
	smcp_key_free(k);
}

static void client_key_forms(void **state)
{
	(void)state;
	static const char raw[] = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
	static const char *const forms[] = {raw, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
		"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
		"-----BEGIN PUBLIC KEY-----\n"
		"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
		"-----END PUBLIC KEY-----\n"};
	static const char *const refused[] = {"", "AA==", "not base64!",
		"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", /* the identity */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", /* of order 4 */
		"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=AA"};
	uint8_t first[SMCP_PUBLIC_KEY_BYTES], key[SMCP_PUBLIC_KEY_BYTES];
	struct smcp_refusal why;

	assert_int_equal(smcp_public_key_parse(span_cstr(raw), first, &why), 0);
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		assert_int_equal(smcp_public_key_parse(span_cstr(forms[i]), key, &why), 0);
		assert_memory_equal(key, first, sizeof(key));
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		assert_int_equal(smcp_public_key_parse(span_cstr(refused[i]), key, &why),
			SMCP_ATTESTATION_FAILED);
}

/* ---- envelopes ---- */

static struct span envelope_of(const char *protocol, const char *payload, int64_t stamp_s)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1024 * 1024);
	struct buf text CLEANUP(buf_fini) = buf_init(1024);
	uint8_t signature[SMCP_SIGNATURE_BYTES];
	char stamp[CLOCK_RFC3339_BYTES];
	const struct json *v;

	assert_int_equal(json_parse(arena, span_cstr(payload), NULL, &v), 0);
	smcp_canonical(&b, v, SPAN("t.o.k"), stamp_s);
	crypto_sign_detached(signature, NULL, (const uint8_t *)b.data, b.len, secret_key);
	base64_encode(&text, span_of(signature, sizeof(signature)), BASE64_STANDARD);
	clock_rfc3339(stamp_s * NS_PER_S, 3, stamp);
	char *body = arena_printf(arena,
		"{\"protocol\":\"%s\",\"security_token\":\"t.o.k\",\"signature\":\"" SPAN_FMT
		"\",\"payload\":%s,\"timestamp\":\"%s\"}",
		protocol, SPAN_ARG(buf_view(&text)), payload, stamp);
	return span_cstr(body);
}

static const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":\"r\",\"method\":\"tools/call\"}";

static int verify_envelope(struct span body, enum smcp_protocol p, int64_t at_s, int64_t floor_s)
{
	struct smcp_envelope e;
	struct smcp_refusal why;
	struct span signed_bytes;
	int r = smcp_envelope_parse(body, p, arena, &e, &why);

	return r != 0 ? r
		      : smcp_envelope_verify(&e, public_key, at_s * NS_PER_S, floor_s, arena,
				&signed_bytes, &why);
}

static void envelope_of_both_protocols(void **state)
{
	(void)state;
	struct span smcp = envelope_of("smcp/v1", call, now_s);
	struct span seal = envelope_of("seal/v1", call, now_s);

	assert_int_equal(verify_envelope(smcp, SMCP_V1, now_s, 0), 0);
	assert_int_equal(verify_envelope(seal, SEAL_V1, now_s, 0), 0);
	assert_int_equal(verify_envelope(smcp, SEAL_V1, now_s, 0), SMCP_MALFORMED_ENVELOPE);
	/* Each SDK has its own number for a stale stamp. */
	assert_int_equal(
		verify_envelope(smcp, SMCP_V1, now_s + 31, 0), SMCP_TOKEN_VERIFICATION_FAILED);
	assert_int_equal(verify_envelope(seal, SEAL_V1, now_s + 31, 0), SMCP_TOKEN_EXPIRED);
}

static void envelope_at_or_below_the_floor(void **state)
{
	(void)state;
	struct span body = envelope_of("smcp/v1", call, now_s);

	assert_int_equal(verify_envelope(body, SMCP_V1, now_s, now_s - 1), 0);
	assert_int_equal(
		verify_envelope(body, SMCP_V1, now_s, now_s), SMCP_TOKEN_VERIFICATION_FAILED);
}

static void envelope_payloads(void **state)
{
	(void)state;
	static const char *const refused[] = {
		"{\"jsonrpc\":\"2.0\",\"method\":\"m\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"m\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[]}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\"}",
		"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"m\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"a\":[1e400]}}",
	};

	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		assert_int_equal(verify_envelope(envelope_of("smcp/v1", refused[i], now_s), SMCP_V1,
					 now_s, 0),
			SMCP_MALFORMED_ENVELOPE);
}

/* ---- replays ---- */

static void signature_of(uint32_t n, uint8_t ret[SMCP_SIGNATURE_BYTES])
{
	memset(ret, 7, SMCP_SIGNATURE_BYTES);
	memcpy(ret, &n, sizeof(n));
}

static void replay_is_seen_while_it_could_pass(void **state)
{
	(void)state;
	struct smcp_replay *r = smcp_replay_new(100000);
	struct smcp_refusal why;
	uint8_t s[SMCP_SIGNATURE_BYTES];
	int64_t at_ns = now_s * NS_PER_S;

	/* Many, so that the table grows under them. */
	for (uint32_t i = 0; i < 5000; i++) {
		signature_of(i, s);
		assert_int_equal(smcp_replay_admit(r, s, at_ns, &why), 0);
	}
	/* Stamped 30 s ahead, an envelope passes until 60 s later. */
	for (int64_t later_s = 0; later_s <= 2 * SMCP_WINDOW_S; later_s += 10)
		for (uint32_t i = 0; i < 5000; i++) {
			signature_of(i, s);
			assert_int_equal(smcp_replay_admit(r, s, at_ns + later_s * NS_PER_S, &why),
				SMCP_TOKEN_VERIFICATION_FAILED);
		}
	/* It does not grow for ever. */
	signature_of(1, s);
	assert_int_equal(smcp_replay_admit(r, s, at_ns + 63 * NS_PER_S, &why),
		SMCP_TOKEN_VERIFICATION_FAILED);
	assert_int_equal(smcp_replay_admit(r, s, at_ns + 200 * NS_PER_S, &why), 0);
	smcp_replay_free(r);
}

static void replay_fails_closed_when_full(void **state)
{
	(void)state;
	struct smcp_replay *r = smcp_replay_new(2);
	struct smcp_refusal why;
	uint8_t s[SMCP_SIGNATURE_BYTES];

	for (uint32_t i = 1; i <= 2; i++) {
		signature_of(i, s);
		assert_int_equal(smcp_replay_admit(r, s, 0, &why), 0);
	}
	signature_of(3, s);
	assert_int_equal(smcp_replay_admit(r, s, 0, &why), -ENOSPC);
	signature_of(1, s);
	assert_int_equal(smcp_replay_admit(r, s, 0, &why), SMCP_TOKEN_VERIFICATION_FAILED);
	smcp_replay_free(r);
}

static void replay_under_a_clock_set_back(void **state)
{
	(void)state;
	struct smcp_replay *r = smcp_replay_new(10);
	struct smcp_refusal why;
	uint8_t s[SMCP_SIGNATURE_BYTES];

	signature_of(1, s);
	assert_int_equal(smcp_replay_admit(r, s, now_s * NS_PER_S, &why), 0);
	assert_int_equal(smcp_replay_admit(r, s, (now_s - 3600) * NS_PER_S, &why),
		SMCP_TOKEN_VERIFICATION_FAILED);
	smcp_replay_free(r);
}

static void tables(void **state)
{
	(void)state;
	assert_int_equal(state_table_check(&smcp_session_states), 0);
	assert_true(smcp_scope_name_valid(SPAN("read-only-research2")));
	assert_false(smcp_scope_name_valid(SPAN("")));
	assert_false(smcp_scope_name_valid(SPAN("Admin")));
	assert_false(smcp_scope_name_valid(SPAN("2x")));
	assert_string_equal(smcp_code_name(2002), "POLICY_VIOLATION_PATH_NOT_ALLOWED");
	assert_int_equal(smcp_code_http(2005), 403);
	assert_int_equal(smcp_code_http(3001), 401);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(token_round_trip),
		CASE(token_of_other_keys),
		CASE(token_times),
		CASE(key_survives_its_file),
		CASE(key_id_is_the_thumbprint),
		CASE(client_key_forms),
		CASE(envelope_of_both_protocols),
		CASE(envelope_at_or_below_the_floor),
		CASE(envelope_payloads),
		CASE(replay_is_seen_while_it_could_pass),
		CASE(replay_fails_closed_when_full),
		CASE(replay_under_a_clock_set_back),
		CASE(tables),
	};
	return cmocka_run_group_tests(tests, setup_keys, teardown_keys);
}
