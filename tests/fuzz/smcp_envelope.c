/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Any bytes as the body of an invoke request. What is parsed must have canonical bytes that are
 * JSON again, canonical again, and the same under both orders of keys where these cannot differ.
 */
#include "policy/smcp/smcp.h"
#include <sodium.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 64 * 1024, MEMORY_BYTES = 64 * 1024 * 1024 };

static void check(struct arena *a, const struct smcp_envelope *e)
{
	struct buf first CLEANUP(buf_fini) = buf_init(MEMORY_BYTES);
	struct buf again CLEANUP(buf_fini) = buf_init(MEMORY_BYTES);
	static const uint8_t key[SMCP_PUBLIC_KEY_BYTES] = {9};
	struct smcp_refusal why;
	struct span signed_bytes;
	const struct json *v;

	smcp_canonical(&first, e->payload, e->security_token, e->stamp_s);
	CHECK(json_parse(a, buf_view(&first), NULL, &v) == 0);
	json_canonical(&again, v);
	CHECK(span_eq(buf_view(&first), buf_view(&again)));
	CHECK(smcp_envelope_verify(e, key, e->stamp_s * NS_PER_S, 0, a, &signed_bytes, &why) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(MEMORY_BYTES);
	struct smcp_envelope e;
	struct smcp_refusal why;

	CHECK(sodium_init() >= 0);
	for (int p = SMCP_V1; p <= SEAL_V1 && size <= INPUT_BYTES_MAX; p++)
		if (smcp_envelope_parse(span_of(data, size), (enum smcp_protocol)p, a, &e, &why) ==
			0)
			check(a, &e);
	err_clear();
	return 0;
}
