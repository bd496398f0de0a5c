/* SPDX-License-Identifier: AGPL-3.0-only */
/* The table of `kind: NodeConfig`, second part: models, tools, security contexts. */
#include "daemon/config/config_internal.h"

/* ---- language models ---- */

static const char *const provider_words[] = {
	"openai", "openai-compatible", "ollama", "anthropic", "gemini", "replay", NULL};
static const char *const strategy_words[] = {
	"prefer-local", "prefer-cloud", "cost-optimized", "latency-optimized", NULL};

const char *config_provider_type_name(int type)
{
	CHECK(type >= 0 && type <= CONFIG_PROVIDER_REPLAY);
	return provider_words[type];
}

static const struct table_field model_fields[] = {
	ROW(TABLE_STRING, config_model, alias, "alias", "Name that manifests use.",
		.flags = TABLE_REQUIRED, NAME, .example = "default"),
	ROW(TABLE_STRING, config_model, model, "model", "Name that the provider uses.",
		.flags = TABLE_REQUIRED, NAME, .example = "gpt-4o"),
	ROW(TABLE_LIST, config_model, capabilities, "capabilities",
		"What it can do: chat, embedding, reasoning, vision, code.",
		.flags = TABLE_REQUIRED, STRINGS, .example = "[chat, code]"),
	ROW(TABLE_INT, config_model, context_window, "context_window",
		"Tokens that it can take in.", .flags = TABLE_REQUIRED, .min = 1,
		.max = 1000 * 1000 * 1000, .example = "128000"),
	ROW(TABLE_NUMBER, config_model, cost_per_1k_tokens, "cost_per_1k_tokens",
		"Price of 1000 tokens.", .otherwise = "0.0", .least = 0, .most = 1e6, LATER),
	ROW(TABLE_INT, config_model, max_output_tokens, "max_output_tokens",
		"Most tokens of one answer. Without it the provider's own limit holds; type "
		"anthropic, which must be told one, gets 4096.",
		.min = 1, .max = 1000 * 1000 * 1000),
	ROW(TABLE_NUMBER, config_model, temperature, "temperature",
		"Sampling temperature, where the manifest gives none.", .least = 0, .most = 2),
	{0}};
static const struct table model_table = {
	.name = "Model",
	.doc = "A model of a provider.",
	.bytes = sizeof(struct config_model),
	.fields = model_fields,
	.check = config_check_model,
};
static const struct table_field model_item = {
	.name = "model", .type = TABLE_OBJECT, .table = &model_table};

static const struct table_field record_forms[] = {
	{.name = "switch",
		.type = TABLE_BOOL,
		.offset = offsetof(struct config_provider, record_here)},
	{.name = "file",
		.type = TABLE_STRING,
		FILE_PATH,
		.offset = offsetof(struct config_provider, record)},
	{0}};

static const struct table_field provider_fields[] = {
	ROW(TABLE_STRING, config_provider, name, "name", "Name of the provider on this node.",
		.flags = TABLE_REQUIRED, NAME, .example = "openai"),
	ROW(TABLE_ENUM, config_provider, type, "type",
		"Kind of API; replay plays a recording back (our addition).",
		.flags = TABLE_REQUIRED, .values = provider_words),
	ROW(TABLE_STRING, config_provider, endpoint, "endpoint",
		"Base URL of the API; for replay the file of the recording.", FILE_PATH,
		.example = "https://api.openai.com/v1"),
	ROW(TABLE_SECRET, config_provider, api_key, "api_key", "Key of the API.",
		.example = "literal:replace-me"),
	ROW(TABLE_BOOL, config_provider, enabled, "enabled", "Whether it is used.",
		.otherwise = "true"),
	ROW(TABLE_LIST, config_provider, models, "models", "Its models.", .flags = TABLE_REQUIRED,
		LIST(model_item, sizeof(struct config_model)), .min = 1, .max = 256),
	ROW(TABLE_BOOL, config_provider, stream, "stream",
		"Whether answers are asked for in pieces, so that nothing on the way takes a long "
		"one for a dead connection (our addition).",
		.otherwise = "false"),
	{.name = "record",
		.type = TABLE_FORMS,
		.forms = record_forms,
		.example = "true",
		.doc = "Whether all conversations are recorded, for type replay: true "
		       "(recording-NAME.jsonl in the data directory) or a file (our addition)."},
	{0}};
/* As upstream's guide to providers has it, against its own reference. */
static const struct table_renamed provider_renamed[] = {{"base_url", "endpoint", true}, {0}};
const struct table config_provider_table = {
	.name = "LlmProvider",
	.doc = "A provider of language models.",
	.bytes = sizeof(struct config_provider),
	.fields = provider_fields,
	.renamed = provider_renamed,
	.check = config_check_provider,
};

static const struct table_field llm_selection_fields[] = {
	ROW(TABLE_ENUM, config_llm_selection, strategy, "strategy",
		"How a provider is chosen where several offer an alias.", .values = strategy_words,
		.otherwise = "prefer-local", LATER),
	ROW(TABLE_STRING, config_llm_selection, default_provider, "default_provider",
		"Provider that is asked first.", NAME),
	ROW(TABLE_STRING, config_llm_selection, fallback_provider, "fallback_provider",
		"Provider that is asked if another fails.", NAME),
	ROW(TABLE_INT, config_llm_selection, max_retries, "max_retries",
		"Times that a failed request is repeated.", .otherwise = "3", .min = 0, .max = 20),
	ROW(TABLE_INT, config_llm_selection, retry_delay_ms, "retry_delay_ms",
		"Milliseconds before the first repetition; it doubles.", .otherwise = "1000",
		.min = 0, .max = 600000),
	ROW(TABLE_INT, config_llm_selection, overall_timeout_s, "llm_overall_timeout_secs",
		"Seconds for a request with all its repetitions.", .otherwise = "300", .min = 1,
		.max = 3600, LATER),
	{0}};
const struct table config_llm_selection_table = {
	.name = "LlmSelection",
	.doc = "Which provider is asked.",
	.bytes = sizeof(struct config_llm_selection),
	.fields = llm_selection_fields,
};

/* ---- tools ---- */

static const struct table_field capability_fields[] = {
	ROW(TABLE_STRING, config_capability, name, "name", "Name of the tool, or a pattern.",
		.flags = TABLE_REQUIRED, NAME, .example = "web.search"),
	ROW(TABLE_BOOL, config_capability, skip_judge, "skip_judge",
		"Calls of it are not judged beforehand.", .otherwise = "false"),
	{0}};
static const struct table capability_table = {
	.name = "Capability",
	.doc = "A tool that a server offers. A bare string is its name.",
	.bytes = sizeof(struct config_capability),
	.fields = capability_fields,
	.shorthand = "name",
};
static const struct table_field capability_item = {
	.name = "capability", .type = TABLE_OBJECT, .table = &capability_table};

static const struct table_field server_capability_fields[] = {
	ROW(TABLE_STRING, config_capability, name, "name", "Name of the tool, or a pattern.",
		.flags = TABLE_REQUIRED, NAME, .example = "web.search"),
	ROW(TABLE_BOOL, config_capability, skip_judge, "skip_judge",
		"Calls of it are not judged beforehand.", .otherwise = "false"),
	ROW(TABLE_LIST, config_capability, path_arguments, "path_arguments",
		"Arguments that are paths, or lists of paths: policy judges them like those of the "
		"built-in tools (our addition).",
		ANY_STRINGS, .max = 64, .example = "[path]"),
	ROW(TABLE_STRING, config_capability, domain_argument, "domain_argument",
		"Argument that is a host name, which policy judges (our addition).", NAME),
	ROW(TABLE_STRING, config_capability, url_argument, "url_argument",
		"Argument that is a URL, whose host name policy judges (our addition).", NAME),
	{0}};
static const struct table_rule server_capability_rules[] = {
	{TABLE_RULE_APART, "domain_argument", "url_argument", "one of them"}, {0}};
static const struct table server_capability_table = {
	.rules = server_capability_rules,
	.name = "McpCapability",
	.doc = "A tool that a tool server offers. A bare string is its name.",
	.bytes = sizeof(struct config_capability),
	.fields = server_capability_fields,
	.shorthand = "name",
};
static const struct table_field server_capability_item = {
	.name = "capability", .type = TABLE_OBJECT, .table = &server_capability_table};

static const struct table_field health_check_fields[] = {
	ROW(TABLE_INT, config_mcp_server, health_check.interval_s, "interval_seconds",
		"Seconds between checks.", .otherwise = "60", .min = 1, .max = 86400),
	ROW(TABLE_INT, config_mcp_server, health_check.timeout_s, "timeout_seconds",
		"Seconds for an answer.", .otherwise = "5", .min = 1, .max = 3600),
	ROW(TABLE_STRING, config_mcp_server, health_check.method, "method", "MCP method to call.",
		.otherwise = "tools/list", NAME),
	{0}};
static const struct table health_check_table = {
	.name = "McpHealthCheck",
	.doc = "How a server is asked whether it lives.",
	.bytes = sizeof(struct config_mcp_server),
	.fields = health_check_fields,
};

static const struct table_field resource_limits_fields[] = {
	ROW(TABLE_INT, config_mcp_server, resource_limits.cpu_millicores, "cpu_millicores",
		"Thousandths of a processor.", .otherwise = "1000", .min = 1, .max = 1024000),
	ROW(TABLE_INT, config_mcp_server, resource_limits.memory_mb, "memory_mb",
		"Memory in megabytes.", .otherwise = "512", .min = 1, .max = 1024 * 1024),
	{0}};
static const struct table resource_limits_table = {
	.name = "McpResourceLimits",
	.doc = "What a server may use up.",
	.bytes = sizeof(struct config_mcp_server),
	.fields = resource_limits_fields,
};

static const struct table_field mcp_server_fields[] = {
	ROW(TABLE_STRING, config_mcp_server, name, "name", "Name of the server on this node.",
		.flags = TABLE_REQUIRED, NAME, .pattern = "(?!(fs|cmd|aegis)([.]|$))[^*]+",
		.pattern_says = "a name without *, but fs, cmd and aegis: the built-in tools have "
				"those",
		.example = "web-search"),
	ROW(TABLE_BOOL, config_mcp_server, enabled, "enabled", "Whether it is started.",
		.otherwise = "true"),
	ROW(TABLE_STRING, config_mcp_server, executable, "executable",
		"Program that speaks over its standard input and output, or on http_port, in a "
		"sandbox: a language "
		"of "
		"the runtime registry, or the path of one of its interpreters.",
		FILE_PATH, .example = "node"),
	ROW(TABLE_LIST, config_mcp_server, args, "args", "Its arguments.", ANY_STRINGS, .max = 256),
	ROW(TABLE_INT, config_mcp_server, http_port, "http_port",
		"Port of its own loopback on which the program speaks Streamable HTTP, in place of "
		"its standard input and output (our addition).",
		.otherwise = "0", .min = 0, .max = 65535, .example = "3001"),
	ROW(TABLE_STRING, config_mcp_server, http_path, "http_path",
		"Path there; /mcp if it is absent (our addition).", .pattern = "/[!-~]{0,1023}",
		.pattern_says = "a path that begins with /"),
	ROW(TABLE_STRING, config_mcp_server, url, "url",
		"Address that speaks Streamable HTTP, in place of a program (our addition).",
		.pattern = "https?://.{1,2040}", .pattern_says = "http://... or https://..."),
	ROW(TABLE_INT, config_mcp_server, call_timeout_s, "call_timeout_seconds",
		"Longest time that one call may take (our addition).", .otherwise = "60", .min = 1,
		.max = 3600),
	ROW(TABLE_LIST, config_mcp_server, capabilities, "capabilities",
		"Which of its tools are offered: TOOL, SERVER.TOOL or PREFIX.*; none: all of them.",
		LIST(server_capability_item, sizeof(struct config_capability)), .max = 1024,
		.example = "[]"),
	ROW(TABLE_MAP, config_mcp_server, credentials, "credentials",
		"Secrets in its environment; with url, in headers.", SECRETS, .max = 256),
	ROW(TABLE_MAP, config_mcp_server, environment, "environment",
		"The rest of it; with url, other headers.", ANY_STRINGS, .max = 256),
	ROW(TABLE_LIST, config_mcp_server, network_allowlist, "network_allowlist",
		"Names and address blocks that a program may reach, as in a manifest's "
		"spec.security.network; none: no network (our addition).",
		ANY_STRINGS, .max = 1024, .example = "[api.example.org:443]"),
	{.name = "health_check",
		.type = TABLE_OBJECT,
		.table = &health_check_table,
		.doc = "How it is asked whether it lives."},
	{.name = "resource_limits",
		.type = TABLE_OBJECT,
		.table = &resource_limits_table,
		.doc = "What it may use up."},
	{0}};
static const struct table_rule mcp_server_rules[] = {
	{TABLE_RULE_ONE_OF, "executable", "url", "one of them"},
	{TABLE_RULE_APART, "executable", "url", "one of them"},
	{TABLE_RULE_APART, "url", "http_port", "http_port is for programs"},
	{TABLE_RULE_APART, "url", "network_allowlist", "network_allowlist is for programs"}, {0}};
const struct table config_mcp_server_table = {
	.rules = mcp_server_rules,
	.name = "McpServer",
	.doc = "An external MCP tool server.",
	.bytes = sizeof(struct config_mcp_server),
	.fields = mcp_server_fields,
};

static const struct table_field dispatcher_fields[] = {
	ROW(TABLE_STRING, config_dispatcher, name, "name", "cmd, fs or web.",
		.flags = TABLE_REQUIRED, NAME, .example = "cmd"),
	ROW(TABLE_STRING, config_dispatcher, description, "description",
		"What the model is told about it.", .otherwise = ""),
	ROW(TABLE_BOOL, config_dispatcher, enabled, "enabled", "Whether it is there.",
		.otherwise = "true"),
	ROW(TABLE_LIST, config_dispatcher, capabilities, "capabilities", "Its tools.",
		LIST(capability_item, sizeof(struct config_capability)), .max = 1024,
		.example = "[]"),
	ROW(TABLE_SECRET, config_dispatcher, api_key, "api_key", "Key of the service behind it."),
	{0}};
const struct table config_dispatcher_table = {
	.name = "BuiltinDispatcher",
	.doc = "A built-in handler of tools.",
	.bytes = sizeof(struct config_dispatcher),
	.fields = dispatcher_fields,
};

static const struct table_field cmd_fields[] = {
	ROW(TABLE_BOOL, config_cmd_dispatcher, enabled, "enabled", "Whether cmd.run is there.",
		.otherwise = "true", .effect = TABLE_GUARDED),
	ROW(TABLE_INT, config_cmd_dispatcher, default_timeout_s, "default_timeout_secs",
		"Seconds for a command that asks for nothing.", .otherwise = "60", .min = 1,
		.max = 3600, LATER),
	ROW(TABLE_INT, config_cmd_dispatcher, max_timeout_ceiling_s, "max_timeout_ceiling_secs",
		"Most seconds that a manifest may ask for.", .otherwise = "300", .min = 1,
		.max = 3600),
	ROW(TABLE_INT, config_cmd_dispatcher, max_output_bytes, "max_output_bytes",
		"Bytes of output that are kept.", .otherwise = "524288", .min = 1024,
		.max = 16 * 1024 * 1024),
	ROW(TABLE_INT, config_cmd_dispatcher, max_concurrent_per_execution,
		"max_concurrent_per_execution", "Commands at once.", .otherwise = "1", .min = 1,
		.max = 64, LATER),
	ROW(TABLE_LIST, config_cmd_dispatcher, global_env_denylist, "global_env_denylist",
		"Variables that no command gets.", STRINGS, .max = 256, .effect = TABLE_GUARDED),
	{0}};
static const struct table cmd_table = {
	.name = "CmdDispatcher",
	.doc = "Settings of cmd.run.",
	.bytes = sizeof(struct config_cmd_dispatcher),
	.fields = cmd_fields,
};
static const struct table_field cmd_map_fields[] = {
	{.name = "cmd", .type = TABLE_OBJECT, .table = &cmd_table, .doc = "Settings of cmd.run."},
	{0}};
const struct table config_cmd_map_table = {
	.name = "BuiltinDispatchers",
	.doc = "Settings of the built-in tools, as a mapping.",
	.bytes = sizeof(struct config_cmd_dispatcher),
	.fields = cmd_map_fields,
};

/* ---- security contexts ---- */

static const struct table_field command_item = {
	.name = "arguments", .type = TABLE_LIST, ANY_STRINGS};

static const struct table_field rate_limit_fields[] = {
	ROW(TABLE_INT, config_grant, rate_limit.calls, "calls", "Calls per window.",
		.flags = TABLE_REQUIRED, .min = 1, .max = 1000 * 1000 * 1000, .example = "30"),
	ROW(TABLE_INT, config_grant, rate_limit.per_seconds, "per_seconds", "Length of the window.",
		.flags = TABLE_REQUIRED, .min = 1, .max = 86400, .example = "60"),
	{0}};
static const struct table rate_limit_table = {
	.name = "RateLimit",
	.doc = "How often.",
	.bytes = sizeof(struct config_grant),
	.fields = rate_limit_fields,
};

static const struct table_field grant_fields[] = {
	ROW(TABLE_STRING, config_grant, tool_pattern, "tool_pattern",
		"Tools: a name, or a pattern like fs.* or *.", .flags = TABLE_REQUIRED, NAME,
		.example = "fs.*"),
	ROW(TABLE_LIST, config_grant, path_allowlist, "path_allowlist",
		"Path prefixes, for fs.* tools.", STRINGS, .max = 1024),
	ROW(TABLE_MAP, config_grant, subcommand_allowlist, "subcommand_allowlist",
		"Commands and their first arguments, for cmd.run.",
		LIST(command_item, sizeof(config_strings)), .max = 1024),
	ROW(TABLE_LIST, config_grant, command_allowlist, "command_allowlist",
		"Commands with any argument, for cmd.run.", STRINGS, .max = 1024),
	ROW(TABLE_LIST, config_grant, domain_allowlist, "domain_allowlist",
		"Domain suffixes, for web.* tools.", STRINGS, .max = 1024),
	{.name = "rate_limit",
		.type = TABLE_OBJECT,
		.table = &rate_limit_table,
		.doc = "How often."},
	ROW(TABLE_INT, config_grant, max_response_bytes, "max_response_size",
		"Bytes of a response.", .min = 1),
	{0}};
static const struct table_renamed grant_renamed[] = {{"tool", "tool_pattern", false}, {0}};
static const struct table grant_table = {
	.name = "Grant",
	.doc = "Tools that a context allows.",
	.bytes = sizeof(struct config_grant),
	.fields = grant_fields,
	.renamed = grant_renamed,
	.check = config_check_grant,
};
static const struct table_field grant_item = {
	.name = "grant", .type = TABLE_OBJECT, .table = &grant_table};

static const struct table_field security_context_fields[] = {
	ROW(TABLE_STRING, config_security_context, name, "name", "Name of the context.",
		.flags = TABLE_REQUIRED, NAME, .example = "coder-default"),
	ROW(TABLE_STRING, config_security_context, description, "description", "What it is for.",
		.otherwise = ""),
	ROW(TABLE_LIST, config_security_context, capabilities, "capabilities", "What it allows.",
		LIST(grant_item, sizeof(struct config_grant)), .max = 1024),
	ROW(TABLE_LIST, config_security_context, deny_list, "deny_list",
		"Tools that it denies, whatever else is said.", STRINGS, .max = 1024),
	{0}};
const struct table config_security_context_table = {
	.name = "SecurityContext",
	.doc = "A named permission boundary.",
	.bytes = sizeof(struct config_security_context),
	.fields = security_context_fields,
	.check = config_check_security_context,
};
