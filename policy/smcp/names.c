/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the protocol calls things: its versions, its codes, the states of a session. */
#include "policy/context/context.h"
#include "policy/smcp/internal.h"
#include <stdio.h>

const char *smcp_protocol_name(enum smcp_protocol p)
{
	switch (p) {
	case SMCP_V1:
		return "smcp/v1";
	case SEAL_V1:
		return "seal/v1";
	}
	UNREACHABLE();
}

static const struct {
	int code;
	const char *name;
} codes[] = {
	{SMCP_MALFORMED_ENVELOPE, "MALFORMED_ENVELOPE"},
	{SMCP_INVALID_SIGNATURE, "INVALID_SIGNATURE"},
	{SMCP_SIGNATURE_VERIFICATION_FAILED, "SIGNATURE_VERIFICATION_FAILED"},
	{SMCP_TOKEN_EXPIRED, "TOKEN_EXPIRED"},
	{SMCP_TOKEN_VERIFICATION_FAILED, "TOKEN_VERIFICATION_FAILED"},
	{SMCP_SESSION_NOT_FOUND, "SESSION_NOT_FOUND"},
	{SMCP_SESSION_INACTIVE, "SESSION_INACTIVE"},
	{DECISION_TOOL_NOT_ALLOWED, "POLICY_VIOLATION_TOOL_NOT_ALLOWED"},
	{DECISION_TOOL_DENIED, "POLICY_VIOLATION_TOOL_DENIED"},
	{DECISION_PATH_NOT_ALLOWED, "POLICY_VIOLATION_PATH_NOT_ALLOWED"},
	{DECISION_COMMAND_NOT_ALLOWED, "POLICY_VIOLATION_COMMAND_NOT_ALLOWED"},
	{DECISION_DOMAIN_NOT_ALLOWED, "POLICY_VIOLATION_DOMAIN_NOT_ALLOWED"},
	{DECISION_RATE_LIMIT_EXCEEDED, "POLICY_VIOLATION_RATE_LIMIT_EXCEEDED"},
	{DECISION_NO_MATCHING_CAPABILITY, "POLICY_VIOLATION_NO_MATCHING_CAPABILITY"},
	{SMCP_WORKLOAD_VERIFICATION_FAILED, "WORKLOAD_VERIFICATION_FAILED"},
	{SMCP_SCOPE_NOT_FOUND, "SCOPE_NOT_FOUND"},
	{SMCP_ATTESTATION_FAILED, "ATTESTATION_FAILED"},
};

const char *smcp_code_name(int code)
{
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (codes[i].code == code)
			return codes[i].name;
	return "UNKNOWN";
}

int smcp_code_http(int code)
{
	return code / 1000 == 2 ? 403 : 401;
}

int smcp_refuse(struct smcp_refusal *why, int code, const char *fmt, ...)
{
	va_list args;

	why->code = code;
	va_start(args, fmt);
	vsnprintf(why->reason, sizeof(why->reason), fmt, args);
	va_end(args);
	return code;
}

static const struct state_row session_rows[] = {
	[SMCP_ACTIVE] = {"active", STATE_BIT(SMCP_EXPIRED) | STATE_BIT(SMCP_REVOKED), 0},
	[SMCP_EXPIRED] = {"expired", 0, STATE_FINAL},
	[SMCP_REVOKED] = {"revoked", 0, STATE_FINAL},
};

const struct state_table smcp_session_states = {"session", session_rows, ARRAY_LEN(session_rows)};

bool smcp_scope_name_valid(struct span name)
{
	if (name.n == 0 || name.n > LIMIT_NAME_BYTES || name.p[0] < 'a' || name.p[0] > 'z')
		return false;
	for (size_t i = 1; i < name.n; i++) {
		char c = name.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return true;
}
