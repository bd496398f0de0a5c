/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Any bytes as a security token, and as a client's public key. Nobody but the key's holder makes
 * one that verifies, so whatever verifies here must be in the corpus under the vectors' test key.
 */
#include "policy/smcp/smcp.h"
#include <sodium.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 16 * 1024, MEMORY_BYTES = 16 * 1024 * 1024 };

static struct smcp_key *gateway(void)
{
	static struct smcp_key *key;
	/* The public half of RFC 8032's second test key. */
	static const uint8_t bytes[SMCP_PUBLIC_KEY_BYTES] = {0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43,
		0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98, 0x2c, 0xcf,
		0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c};

	if (!key)
		CHECK(sodium_init() >= 0 && smcp_key_from_ed25519(bytes, &key) == 0);
	return key;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(MEMORY_BYTES);
	struct smcp_key *const keys[] = {gateway()};
	uint8_t key[SMCP_PUBLIC_KEY_BYTES];
	struct smcp_claims claims;
	struct smcp_refusal why;
	struct span text = span_of(data, size);

	if (size > INPUT_BYTES_MAX)
		return 0;
	if (smcp_token_verify(text, keys, 1, 1771338721 * NS_PER_S, a, &claims, &why) == 0)
		CHECK(claims.subject.n && claims.scope.n && claims.workload_id.n &&
			claims.expires_s > 1771338721);
	if (smcp_public_key_parse(text, key, &why) == 0)
		CHECK(crypto_core_ed25519_is_valid_point(key));
	err_clear();
	return 0;
}
