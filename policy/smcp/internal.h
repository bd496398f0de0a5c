/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of policy/smcp. */
#pragma once

#include "policy/smcp/smcp.h"

/* Fills *why and returns the code. */
int smcp_refuse(struct smcp_refusal *why, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The one form of time stamps that is accepted, "2026-02-17T14:32:01.583Z" or with an offset.
 * -EINVAL. Starts no trail. */
int smcp_stamp_parse(struct span text, int64_t *ret_s) MUST_USE;

/* The payload as a JSON-RPC 2.0 request. */
int smcp_rpc_check(struct smcp_envelope *e, struct smcp_refusal *why) MUST_USE;

/* The same value, its objects' members sorted by UTF-16 units. NULL: out of memory. */
const struct json *smcp_sort_utf16(const struct json *v, struct arena *a);

/* Whether that order may differ from the order of UTF-8 bytes. */
bool smcp_has_wide_keys(const struct json *v);

/* Signs or checks `message` under the key's algorithm. Verify: true if good. */
int smcp_key_sign(const struct smcp_key *k, struct span message, struct buf *signature) MUST_USE;
bool smcp_key_verify(const struct smcp_key *k, struct span message, struct span signature);
