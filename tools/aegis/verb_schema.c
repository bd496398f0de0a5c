/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "daemon/agent/agent.h"
#include "daemon/config/config.h"
#include "policy/context/context.h"
#include <errno.h>

static int reference(bool agent)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	if (agent)
		agent_manifest_reference(&b);
	else
		config_reference(&b);
	return cli_write(buf_view(&b));
}

static int run(struct cli *c)
{
	if (strcmp(c->args[0], "policy") == 0) {
		if (cli_value(c, "reference"))
			return cli_fail(CLI_INVALID, "the schema of policies is its own reference");
		return cli_write(context_schema());
	}
	bool agent = strcmp(c->args[0], "agent") == 0;
	if (cli_value(c, "reference"))
		return reference(agent);
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);
	if (agent)
		agent_manifest_schema(&w);
	else
		config_schema(&w);
	struct cli json = *c;
	if (c->format != CLI_YAML)
		json.format = CLI_JSON;
	return cli_print_text(&json, buf_view(&b), NULL);
}

static const struct cli_option options[] = {
	{"reference", 0, NULL, "Print a reference in Markdown instead", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_schema = {
	.name = "schema",
	.arguments = "agent|config|policy",
	.min_args = 1,
	.max_args = 1,
	.words = "agent config policy",
	.options = options,
	.summary = "Print the schema of manifests, of the node configuration, or of policies",
	.help = "Prints the JSON Schema (draft 2020-12) of agent manifests or of the node\n"
		"configuration. It comes from the table that checks these documents, so editors\n"
		"and CI accept what the daemon accepts. The schema of policies is a Cedar schema:\n"
		"the entities, actions and contexts that policies may speak of.",
	.examples = "aegis schema agent > agent.schema.json\n"
		    "aegis schema config --reference > node-config.md\n"
		    "aegis schema policy > aegis.cedarschema",
	.run = run,
};
