/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/smcp/client.h"
#include <sodium.h>
#include <stdio.h>

void smcp_client_init(struct smcp_client *c, enum smcp_protocol p)
{
	*c = (struct smcp_client){.protocol = p};
	CHECK(sodium_init() >= 0);
	crypto_sign_keypair(c->public_key, c->secret_key);
}

static void text_of(const void *bytes, size_t n, char *ret, size_t max)
{
	struct buf b CLEANUP(buf_fini) = buf_init(max - 1);
	base64_encode(&b, span_of(bytes, n), BASE64_STANDARD);
	snprintf(ret, max, "%s", buf_cstr(&b));
}

struct span smcp_client_attest(
	struct smcp_client *c, const char *workload_id, const char *scope, struct arena *a)
{
	char key[64];
	text_of(c->public_key, sizeof(c->public_key), key, sizeof(key));
	const char *member = c->protocol == SEAL_V1 ? "security_context" : "requested_scope";
	char *text = scope
		? arena_printf(a, "{\"public_key\":\"%s\",\"workload_id\":\"%s\",\"%s\":\"%s\"}",
			  key, workload_id, member, scope)
		: arena_printf(
			  a, "{\"public_key\":\"%s\",\"workload_id\":\"%s\"}", key, workload_id);
	return span_cstr(text);
}

bool smcp_client_take(struct smcp_client *c, struct span answer, struct arena *a)
{
	const struct json *v;
	if (json_parse(a, answer, NULL, &v) < 0)
		return false;
	struct span token = json_str(v, "security_token", SPAN(""));
	snprintf(c->token, sizeof(c->token), SPAN_FMT, SPAN_ARG(token));
	return token.n > 0;
}

struct span smcp_client_envelope(struct smcp_client *c, const char *id, const char *method,
	const char *params, int64_t stamp_s, struct arena *a)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1024 * 1024);
	uint8_t signature[64];
	char text[128], stamp[CLOCK_RFC3339_BYTES];
	const struct json *v;
	char *payload = params
		? arena_printf(a,
			  "{\"jsonrpc\":\"2.0\",\"id\":\"%s\",\"method\":\"%s\",\"params\":%s}", id,
			  method, params)
		: arena_printf(
			  a, "{\"jsonrpc\":\"2.0\",\"id\":\"%s\",\"method\":\"%s\"}", id, method);
	CHECK(payload && json_parse(a, span_cstr(payload), NULL, &v) == 0);
	smcp_canonical(&b, v, span_cstr(c->token), stamp_s);
	crypto_sign_detached(signature, NULL, (const uint8_t *)b.data, b.len, c->secret_key);
	text_of(signature, sizeof(signature), text, sizeof(text));
	clock_rfc3339(stamp_s * NS_PER_S, 3, stamp);
	return span_cstr(arena_printf(a,
		"{\"protocol\":\"%s\",\"security_token\":\"%s\",\"signature\":\"%s\",\"payload\":%"
		"s,"
		"\"timestamp\":\"%s\"}",
		smcp_protocol_name(c->protocol), c->token, text, payload, stamp));
}
