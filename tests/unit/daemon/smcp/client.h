/* SPDX-License-Identifier: AGPL-3.0-only */
/* The other end of SMCP: a key made here, and bodies as the official SDKs write them. */
#pragma once

#include "policy/smcp/smcp.h"

struct smcp_client {
	enum smcp_protocol protocol;
	uint8_t public_key[32], secret_key[64];
	char token[LIMIT_SMCP_TOKEN_BYTES];
};

void smcp_client_init(struct smcp_client *c, enum smcp_protocol p);

/* Body of an attestation; `scope` may be NULL. */
struct span smcp_client_attest(
	struct smcp_client *c, const char *workload_id, const char *scope, struct arena *a);

/* Takes the token out of the answer; false if there is none. */
bool smcp_client_take(struct smcp_client *c, struct span answer, struct arena *a);

/* Body of an invoke, signed, stamped with that second. `params` is JSON text, NULL for none. */
struct span smcp_client_envelope(struct smcp_client *c, const char *id, const char *method,
	const char *params, int64_t stamp_s, struct arena *a);
