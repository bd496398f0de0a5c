/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a record keeps of a decision, so that it can be decided again. */
#include "daemon/audit/audit.h"

#include <errno.h>

int audit_decision_put(struct json_writer *w, const struct audit_decision *d)
{
	if (d->policy_set.n == 0 || d->policy_count == 0 || d->request.n == 0)
		return err_raise(-EINVAL,
			"a decision record needs the policy set's hash, the deciding policies and "
			"the canonical request");
	json_key(w, "decision");
	json_object(w);
	json_field_bool(w, "allowed", d->allowed);
	json_field_i64(w, "code", d->code);
	json_field_span(w, "reason", d->reason);
	json_field_span(w, "policy_set", d->policy_set);
	json_key(w, "policies");
	json_array(w);
	for (size_t i = 0; i < d->policy_count; i++)
		json_put_span(w, d->policies[i]);
	json_end(w);
	/* As text: its very bytes were decided on. */
	json_field_span(w, "request", d->request);
	if (d->signer.n)
		json_field_span(w, "signer", d->signer);
	json_end(w);
	return 0;
}
