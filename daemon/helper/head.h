/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A signed head of the audit journal, pure: what the helper signs, and how anybody verifies it
 * with the public key. The signature is Ed25519 over head_statement(): a fixed layout with a name
 * in front, so that no other signature of this key can be taken for one of a head.
 */
#pragma once

#include "daemon/base/base.h"

enum {
	HEAD_HASH_BYTES = 32, /* BLAKE2b-256 of the chain */
	HEAD_PUBLIC_KEY_BYTES = 32,
	HEAD_SIGNATURE_BYTES = 64,
	HEAD_STATEMENT_BYTES = 24 + 16 + 8 + 8 + 32 + 32 + 8,
	HEAD_JOURNALS_MAX = 64, /* that one helper keeps heads of */
};

struct head {
	struct uuid journal;
	uint64_t segment; /* never decreases */
	uint64_t record; /* number of the last record covered; always increases; from 1 */
	uint8_t hash[HEAD_HASH_BYTES]; /* of the chain up to that record */
	uint8_t previous[HEAD_HASH_BYTES]; /* hash of the head signed before; zeros for the first */
};

struct head_signed {
	struct head head;
	uint64_t
		counter; /* heads signed by this key so far, this one included, over all journals */
	uint8_t signature[HEAD_SIGNATURE_BYTES];
};

/* "AEGIS-AUDIT-HEAD-V1" and NULs to 24 bytes, then journal, segment, record, hash, previous,
 * counter; integers big-endian. */
void head_statement(const struct head *h, uint64_t counter, uint8_t ret[HEAD_STATEMENT_BYTES]);

bool head_verify(const struct head_signed *s, const uint8_t public_key[HEAD_PUBLIC_KEY_BYTES]);
