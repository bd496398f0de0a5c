/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static int run(struct cli *c)
{
	return session_do(c, "DELETE", "/v1/smcp/sessions/", "", "revoked");
}

const struct verb verb_smcp_revoke = {
	.group = "smcp",
	.name = "revoke",
	.arguments = "SESSION",
	.min_args = 1,
	.max_args = 1,
	.summary = "End a session at once",
	.help = "Ends one session, or all sessions of an execution if its id is given. No call is "
		"accepted\n"
		"under it any more; its holder may attest again.",
	.examples = "aegis smcp revoke 0b7c4f5e-3f1d-4a55-9d0c-0b5a1c1f2a33",
	.run = run,
};
