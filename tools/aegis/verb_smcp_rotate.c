/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static const struct cli_column columns[] = {
	{"key", "kid"},
	{"algorithm", "alg"},
	{"type", "kty"},
	{NULL, NULL},
};

static int run(struct cli *c)
{
	struct session s;
	const struct json *set = NULL;
	int code = session_open(&s, c);

	if (code == CLI_OK)
		code = session_call(&s, "POST", "/v1/smcp/keys/rotate", NULL, SPAN(""), &set);
	if (code == CLI_OK)
		code = cli_print(c, json_get(set, "keys"), columns);
	session_close(&s);
	return code;
}

const struct verb verb_smcp_rotate = {
	.group = "smcp",
	.name = "rotate",
	.arguments = "",
	.summary = "Make new keys for signing tokens",
	.help = "Makes new keys that sign the tokens of SMCP and SEAL, and shows all that are "
		"published.\n"
		"The daemon does so by itself every 90 days. Tokens under the old keys stay good "
		"for 24 hours.",
	.examples = "aegis smcp rotate",
	.run = run,
};
