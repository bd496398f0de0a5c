/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the record says of a decision, the same for every way that a call comes in: who allowed or
 * denied it, by which policies, and who vouches for the question.
 */
#include "daemon/audit/audit.h"
#include "daemon/tool/internal.h"

int tool_decision_put(struct json_writer *w, const struct decision *decision,
	struct span canonical_request, enum tool_signer signer)
{
	struct audit_decision d = {
		.allowed = decision->allowed,
		.code = (int)decision->code,
		.reason = decision->reason,
		.policy_set = decision->policy_set,
		.policies = decision->policy_count ? decision->policy_ids : &decision->policy_id,
		.policy_count = MAX(decision->policy_count, (size_t)1),
		.request = canonical_request,
		.signer = signer == TOOL_SIGNED_BY_AGENT ? SPAN("agent") : SPAN("daemon"),
	};

	if (decision->policy_set.n == 0)
		return 0;
	return err_trace(audit_decision_put(w, &d));
}
