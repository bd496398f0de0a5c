/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * SMCP v1, and SEAL v1, its later name, as pure functions: who sent this tool call, is it fresh, is
 * it new, and which session does it belong to. No I/O, no clock, no threads: keys, time and memory
 * are arguments. Sources: smcp-v1-specification sections 4 to 9, seal-v1-specification, the
 * official SDKs; where they disagree both SDKs' envelopes verify.
 *
 * A call is accepted if these hold, checked in this order, the first failure deciding the code:
 *	1. smcp_envelope_parse: strict JSON, the five members, their forms	1000, 1001
 *	2. smcp_token_verify: signature of the gateway, claims, expiry		1003, 1004
 *	3. the session exists and is active				1005, 1006
 *	4. smcp_envelope_verify: stamped within 30 s, signed by the session's key	1004 (SEAL
 *1003), 1001
 *	5. smcp_replay_admit: not seen before				1004
 * What the caller may do is asked afterwards (policy/context).
 */
#pragma once

#include "daemon/base/base.h"

/* ---- protocols, codes ---- */

enum smcp_protocol { SMCP_V1, SEAL_V1 };

const char *smcp_protocol_name(enum smcp_protocol p); /* "smcp/v1", "seal/v1" */

/* Specification, section 8.2.3. The 2xxx ones are those of enum decision_code. */
enum smcp_code {
	SMCP_MALFORMED_ENVELOPE = 1000,
	SMCP_INVALID_SIGNATURE = 1001,
	SMCP_SIGNATURE_VERIFICATION_FAILED = 1002,
	SMCP_TOKEN_EXPIRED = 1003,
	SMCP_TOKEN_VERIFICATION_FAILED =
		1004, /* also stale and replayed envelopes, as in the SDKs */
	SMCP_SESSION_NOT_FOUND = 1005,
	SMCP_SESSION_INACTIVE = 1006,
	SMCP_WORKLOAD_VERIFICATION_FAILED = 3000,
	SMCP_SCOPE_NOT_FOUND = 3001,
	SMCP_ATTESTATION_FAILED = 3002,
};

const char *smcp_code_name(int code); /* "INVALID_SIGNATURE"; 2xxx: "POLICY_VIOLATION_..." */
int smcp_code_http(int code); /* 1xxx and 3xxx: 401, 2xxx: 403 */

/* Why something was refused. A function that fills one returns its code, which is positive. */
struct smcp_refusal {
	int code; /* enum smcp_code */
	char reason[256]; /* a sentence for people; quotes no secret */
};

/* ---- envelopes ---- */

enum {
	SMCP_SIGNATURE_BYTES = 64,
	SMCP_PUBLIC_KEY_BYTES = 32,
	SMCP_WINDOW_S = 30, /* an envelope's stamp may be that far off, both ways */
};

struct smcp_envelope {
	enum smcp_protocol protocol;
	struct span security_token;
	uint8_t signature[SMCP_SIGNATURE_BYTES];
	struct span signature_text; /* base64 as sent: the proof that the record keeps */
	const struct json *payload; /* JSON-RPC 2.0 request: `id`, `method` and `params` below */
	const struct json *id; /* string or number */
	struct span method;
	const struct json *params; /* an object, or NULL */
	int64_t stamp_s; /* Unix seconds: what is signed */
};

/* Reads the body of an invoke request made to `protocol`'s address. 0; SMCP_MALFORMED_ENVELOPE or
 * SMCP_INVALID_SIGNATURE (not 64 bytes) with *why; -ENOMEM. Spans live in the arena. */
int smcp_envelope_parse(struct span body, enum smcp_protocol protocol, struct arena *a,
	struct smcp_envelope *ret, struct smcp_refusal *why) MUST_USE;

/* Appends the bytes that a client signs: {"payload":..,"security_token":..,"timestamp":seconds},
 * keys in order of UTF-8 bytes, number tokens as written (section 7.3.1). */
void smcp_canonical(struct buf *b, const struct json *payload, struct span token, int64_t stamp_s);

/* Ed25519 (RFC 8032), strict: no malleable signatures, no keys of small order. */
bool smcp_signature_good(const uint8_t public_key[SMCP_PUBLIC_KEY_BYTES], struct span message,
	const uint8_t signature[SMCP_SIGNATURE_BYTES]);

/* Stamp and signature. `floor_s`: envelopes stamped at or before that second are refused, whatever
 * the window says (the daemon's start, a session's horizon). *ret_signed are the bytes under the
 * signature, in the arena. 0; a code with *why; -ENOMEM. */
int smcp_envelope_verify(const struct smcp_envelope *e,
	const uint8_t public_key[SMCP_PUBLIC_KEY_BYTES], int64_t now_ns, int64_t floor_s,
	struct arena *a, struct span *ret_signed, struct smcp_refusal *why) MUST_USE;

/* A client's Ed25519 key: base64 of the 32 bytes, of the SubjectPublicKeyInfo, or that in PEM.
 * Keys of small order, not on the curve or not canonical are refused: SMCP_ATTESTATION_FAILED. */
int smcp_public_key_parse(
	struct span text, uint8_t ret[SMCP_PUBLIC_KEY_BYTES], struct smcp_refusal *why) MUST_USE;

/* ---- the gateway's keys ---- */

enum smcp_algorithm { SMCP_EDDSA, SMCP_RS256 };

const char *smcp_algorithm_name(enum smcp_algorithm a); /* "EdDSA", "RS256" */

struct smcp_key; /* a private key, wiped on free, or a public one */

int smcp_key_generate(
	enum smcp_algorithm a, struct smcp_key **ret) MUST_USE; /* RS256: 0.1 to 1 s */
/* From what smcp_key_private gave (PKCS#8, PEM). -EINVAL: neither Ed25519 nor RSA of 2048..8192
 * bits. */
int smcp_key_from_private(struct span pem, struct smcp_key **ret) MUST_USE;
int smcp_key_from_ed25519(
	const uint8_t public_key[SMCP_PUBLIC_KEY_BYTES], struct smcp_key **ret) MUST_USE;
int smcp_key_private(const struct smcp_key *k, struct secret **ret_pem) MUST_USE; /* -EINVAL: a
										     public one */
struct smcp_key *smcp_key_free(struct smcp_key *k); /* always NULL */

enum smcp_algorithm smcp_key_algorithm(const struct smcp_key *k);
struct span smcp_key_id(const struct smcp_key *k); /* RFC 7638 thumbprint, base64url */

/* The JSON Web Key Set of these keys' public halves (RFC 7517, RFC 8037). */
void smcp_jwks_put(struct json_writer *w, struct smcp_key *const *keys, size_t count);

/* ---- security tokens ---- */

enum {
	SMCP_TOKEN_MAX_S = 24 * 3600, /* section 4.2.4: MUST NOT exceed */
	SMCP_TOKEN_DEFAULT_S = 3600, /* SHOULD */
};

struct smcp_claims {
	struct span subject; /* sub */
	struct span scope; /* scp: the security context's name */
	struct span workload_id; /* wid */
	struct span token_id; /* jti; may be empty, as all below */
	struct span issuer; /* iss */
	struct span audience; /* aud */
	struct span execution_id; /* exec_id */
	struct span tenant_id; /* tenant_id */
	int64_t issued_s; /* iat */
	int64_t expires_s; /* exp */
};

/* Appends a signed JWT with the key's kid. */
int smcp_token_issue(const struct smcp_key *k, const struct smcp_claims *c, struct buf *b) MUST_USE;

/* Under one of these keys, chosen by alg and, where given, kid. 0; SMCP_TOKEN_EXPIRED,
 * SMCP_TOKEN_VERIFICATION_FAILED or SMCP_MALFORMED_ENVELOPE (empty) with *why; -ENOMEM. The claims
 * of an expired token are given too: its signature was good. */
int smcp_token_verify(struct span token, struct smcp_key *const *keys, size_t count, int64_t now_ns,
	struct arena *a, struct smcp_claims *ret, struct smcp_refusal *why) MUST_USE;

/* ---- replays ---- */

/* Remembers the signatures of accepted envelopes for as long as their stamps may pass. One thread
 * only: a session has one home worker [12]. */
struct smcp_replay;

struct smcp_replay *smcp_replay_new(size_t max_entries); /* NULL if out of memory */
struct smcp_replay *smcp_replay_free(struct smcp_replay *r); /* always NULL */

/* 0: new, and remembered; SMCP_TOKEN_VERIFICATION_FAILED with *why: seen before; -ENOSPC: it
 * remembers max_entries already, so the caller must refuse; -ENOMEM likewise. */
int smcp_replay_admit(struct smcp_replay *r, const uint8_t signature[SMCP_SIGNATURE_BYTES],
	int64_t now_ns, struct smcp_refusal *why) MUST_USE;

/* ---- sessions ---- */

enum smcp_session_state { SMCP_ACTIVE, SMCP_EXPIRED, SMCP_REVOKED };
extern const struct state_table smcp_session_states; /* "active" "expired" "revoked" */

/* "read-only-research": ^[a-z][a-z0-9-]*$, at most LIMIT_NAME_BYTES. */
bool smcp_scope_name_valid(struct span name);
