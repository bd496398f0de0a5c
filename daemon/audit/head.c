/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The one place that knows which bytes a head's signature covers: the helper signs them, the
 * verifier checks them, and neither can drift from the other.
 */
#include "daemon/audit/head.h"

#include <sodium.h>

static uint8_t *put_bytes(uint8_t *at, const void *p, size_t n)
{
	memcpy(at, p, n);
	return at + n;
}

static uint8_t *put_u64(uint8_t *at, uint64_t v)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		*at++ = (uint8_t)(v >> shift);
	return at;
}

void head_statement(const struct head *h, uint64_t counter, uint8_t ret[HEAD_STATEMENT_BYTES])
{
	static const char name[24] = "AEGIS-AUDIT-HEAD-V1";
	uint8_t *at = put_bytes(ret, name, sizeof(name));

	at = put_bytes(at, h->journal.bytes, sizeof(h->journal.bytes));
	at = put_u64(at, h->segment);
	at = put_u64(at, h->record);
	at = put_bytes(at, h->hash, HEAD_HASH_BYTES);
	at = put_bytes(at, h->previous, HEAD_HASH_BYTES);
	at = put_u64(at, counter);
	CHECK(at == ret + HEAD_STATEMENT_BYTES);
}

bool head_verify(const struct head_signed *s, const uint8_t public_key[HEAD_PUBLIC_KEY_BYTES])
{
	uint8_t statement[HEAD_STATEMENT_BYTES];

	head_statement(&s->head, s->counter, statement);
	return crypto_sign_ed25519_verify_detached(
		       s->signature, statement, sizeof(statement), public_key) == 0;
}
