/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The table of `kind: Agent`, first part: metadata, runtime, task, security, and `spec` itself.
 * Every field of upstream's agent manifest reference stands in these files, those that only its
 * code (domain/agent.rs, domain/output_handler.rs) or its Python SDK knows, and our own additions.
 * What a field does today stands in its `effect`; flip it where the feature lands.
 */
#include "daemon/agent/agent_internal.h"

#define SECONDS_NS(s) ((s)*NS_PER_S)

const struct table_field agent_any_string = {.name = "text", .type = TABLE_STRING};
const struct table_field agent_some_string = {.name = "text", .type = TABLE_STRING, .min = 1};

/* ---- metadata ---- */

static const struct table_field metadata_fields[] = {
	{.name = "name",
		.type = TABLE_STRING,
		AT(agent_metadata, name),
		.flags = TABLE_REQUIRED,
		.pattern = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
		.pattern_says = "1 to 63 lower-case letters, digits and hyphens, no "
				"hyphen at either end",
		.example = "hello-world",
		.doc = "Unique name of the agent, a DNS label."},
	{.name = "version",
		.type = TABLE_STRING,
		AT(agent_metadata, version),
		.flags = TABLE_REQUIRED,
		.pattern = "(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)"
			   "(-[0-9A-Za-z.-]+)?(\\+[0-9A-Za-z.-]+)?",
		.pattern_says = "a semantic version like \"1.0.0\"",
		.max = 64,
		.example = "1.0.0",
		.doc = "Version of the manifest; name and version together are unique."},
	{.name = "description",
		.type = TABLE_STRING,
		AT(agent_metadata, description),
		.doc = "What the agent is for."},
	{.name = "labels",
		STRING_MAP,
		AT(agent_metadata, labels),
		.example = "{role: worker}",
		.doc = "For filtering and discovery."},
	{.name = "annotations",
		STRING_MAP,
		AT(agent_metadata, annotations),
		.doc = "Notes that identify nothing."},
	{0}};
static const struct table_renamed metadata_renamed[] = {{"tags", "metadata.labels", false},
	{"author", "metadata.annotations.author", false},
	{"namespace", "nothing here: an agent belongs to the tenant that deploys it", false}, {0}};
static const struct table metadata_table = {
	.name = "Metadata",
	.doc = "Who the agent is.",
	.bytes = sizeof(struct agent_metadata),
	.fields = metadata_fields,
	.renamed = metadata_renamed,
};

/* ---- runtime ---- */

static const char *const isolation_words[] = {"inherit", "firecracker", "docker", "process", NULL};
static const char *const pull_words[] = {"IfNotPresent", "Always", "Never", NULL};

static const struct table_field runtime_fields[] = {
	{.name = "language",
		.type = TABLE_STRING,
		AT(agent_runtime, language),
		.pattern = "[a-z][a-z0-9+#._-]{0,31}",
		.pattern_says = "a language of the runtime registry, like python or "
				"javascript",
		.example = "python",
		.doc = "Language, as the runtime registry names it."},
	{.name = "version",
		.type = TABLE_STRING,
		AT(agent_runtime, version),
		.min = 1,
		.max = 32,
		.example = "3.11",
		.doc = "Version of the language, in quotes."},
	{.name = "image",
		.type = TABLE_STRING,
		AT(agent_runtime, image),
		.pattern = "[^/\\s]+/[^\\s]*[^/\\s]",
		.pattern_says = "a fully qualified image like ghcr.io/org/agent:v1.0",
		.effect = TABLE_GUARDED,
		.effect_says = "container images are not run yet; write language and version",
		.doc = "Container image instead of language and version."},
	{.name = "image_pull_policy",
		.type = TABLE_ENUM,
		AT(agent_runtime, image_pull_policy),
		.values = pull_words,
		.otherwise = "IfNotPresent",
		.effect = TABLE_NOTED,
		.doc = "When the image is pulled."},
	{.name = "isolation",
		.type = TABLE_ENUM,
		AT(agent_runtime, isolation),
		.values = isolation_words,
		.otherwise = "inherit",
		.effect = TABLE_GUARDED,
		.effect_values = BIT(AGENT_ISOLATION_FIRECRACKER) | BIT(AGENT_ISOLATION_DOCKER),
		.effect_says = "only process (or inherit) is there yet",
		.doc = "What holds the agent; inherit is the node's default."},
	{.name = "model",
		.type = TABLE_STRING,
		AT(agent_runtime, model),
		.min = 1,
		.otherwise = "default",
		.doc = "Alias of a model in the node configuration."},
	{.name = "temperature",
		.type = TABLE_NUMBER,
		AT(agent_runtime, temperature),
		.least = 0,
		.most = 2,
		.doc = "Sampling temperature of the model."},
	{0}};
static const struct table_rule runtime_rules[] = {
	{TABLE_RULE_TOGETHER, "language", "version",
		"language and version together, or image alone"},
	{TABLE_RULE_APART, "language", "image", "language and version together, or image alone"},
	{TABLE_RULE_ONE_OF, "language", "image", "language and version together, or image alone"},
	{0}};
static const struct table_renamed runtime_renamed[] = {
	{"autopull", "image_pull_policy: IfNotPresent (or Never)", false},
	{"type", "language and version, or image", false},
	{"timeout", "spec.security.resources.timeout", false},
	{"memory", "spec.security.resources.memory", false},
	{"cpu", "spec.security.resources.cpu", false}, {0}};
static const struct table runtime_table = {
	.check = agent_check_runtime,
	.name = "Runtime",
	.doc = "What the agent runs on: an interpreter of the runtime registry (language and "
	       "version), or a container image.",
	.bytes = sizeof(struct agent_runtime),
	.fields = runtime_fields,
	.rules = runtime_rules,
	.renamed = runtime_renamed,
};

/* ---- task ---- */

static const struct table_field task_fields[] = {
	{.name = "agentskills",
		STRINGS,
		AT(agent_task, agentskills),
		.effect = TABLE_NOTED,
		.doc = "Skill packages, as \"namespace:skill\"."},
	{.name = "instruction",
		.type = TABLE_STRING,
		AT(agent_task, instruction),
		.pattern = "(?s).*\\S.*",
		.pattern_says = "a text that is not blank",
		.example = "Say hello, and write it to /workspace/hello.txt.",
		.doc = "What the agent shall do; alone it also asks for semantic "
		       "validation."},
	{.name = "prompt_template",
		.type = TABLE_STRING,
		AT(agent_task, prompt_template),
		.min = 1,
		.doc = "Handlebars template of the prompt: {{instruction}}, {{input}}, "
		       "{{iteration_number}}, {{previous_error}}, {{context}}."},
	{.name = "input_data",
		.type = TABLE_JSON,
		AT(agent_task, input_data),
		.doc = "Input of an execution that is given none."},
	{0}};
static const struct table_renamed task_renamed[] = {{"instructions", "instruction", false},
	{"prompt", "prompt_template", false}, {"system_prompt", "instruction", false},
	{"skills", "agentskills", false}, {"input", "input_data", false}, {0}};
static const struct table task_table = {
	.name = "Task",
	.doc = "What the agent is told.",
	.bytes = sizeof(struct agent_task),
	.fields = task_fields,
	.renamed = task_renamed,
};

/* ---- security ---- */

static const char *const network_words[] = {"allow", "deny", "none", NULL};

static const struct table_field network_fields[] = {
	{.name = "mode",
		.type = TABLE_ENUM,
		AT(agent_security, network.mode),
		.values = network_words,
		.otherwise = "allow",
		.doc = "allow: only the allowlist; deny: all but the denylist; none: no "
		       "network."},
	{.name = "allowlist",
		STRINGS,
		AT(agent_security, network.allowlist),
		.doc = "Domain names and address blocks that may be reached."},
	{.name = "denylist",
		STRINGS,
		AT(agent_security, network.denylist),
		.doc = "Domain names that may not be reached."},
	{0}};
static const struct table_renamed network_renamed[] = {{"allow", "allowlist", false},
	{"deny", "denylist", false}, {"allowed_domains", "allowlist", false}, {0}};
static const struct table network_table = {
	.check = agent_check_network,
	.name = "Network",
	.doc = "What the agent may reach. An allow list that is empty allows nothing.",
	.bytes = sizeof(struct agent_security),
	.fields = network_fields,
	.renamed = network_renamed,
};

static const struct table_field filesystem_fields[] = {{.name = "read",
							       STRINGS,
							       AT(agent_security, filesystem.read),
							       .example = "[/workspace]",
							       .doc = "What may be read."},
	{.name = "write",
		STRINGS,
		AT(agent_security, filesystem.write),
		.example = "[/workspace]",
		.doc = "What may be written."},
	{.name = "read_only",
		.type = TABLE_BOOL,
		AT(agent_security, filesystem.read_only),
		.otherwise = "false",
		.doc = "Nothing may be written, whatever else is said."},
	{0}};
static const struct table_renamed filesystem_renamed[] = {
	{"allowed_paths", "read and write", false}, {0}};
static const struct table filesystem_table = {
	.name = "Filesystem",
	.doc = "Paths inside the sandbox; globs are understood.",
	.bytes = sizeof(struct agent_security),
	.fields = filesystem_fields,
	.renamed = filesystem_renamed,
};

static const struct table_field resources_fields[] = {
	{.name = "cpu",
		.type = TABLE_INT,
		AT(agent_security, resources.cpu_millicores),
		.otherwise = "1000",
		.min = 1,
		.max = 1024 * 1000,
		.doc = "Thousandths of a processor."},
	{.name = "memory",
		.type = TABLE_SIZE,
		AT(agent_security, resources.memory_bytes),
		.otherwise = "512Mi",
		.min = 4 * 1024 * 1024,
		.doc = "Memory, page cache included."},
	{.name = "disk",
		.type = TABLE_SIZE,
		AT(agent_security, resources.disk_bytes),
		.otherwise = "1Gi",
		.min = 1,
		.doc = "Disk quota of the workspace."},
	{.name = "timeout",
		.type = TABLE_DURATION,
		AT(agent_security, resources.timeout_ns),
		.otherwise = "1h",
		.min = SECONDS_NS(1),
		.max = SECONDS_NS(3600),
		.doc = "Of the whole execution; every other timeout must fit into it."},
	{0}};
static const struct table_renamed resources_renamed[] = {
	{"timeout_seconds", "timeout, like \"300s\"", false},
	{"memory_mb", "memory, like \"512Mi\"", false}, {"cpu_millicores", "cpu", false},
	{"max_iterations", "spec.execution.max_iterations", false}, {0}};
static const struct table resources_table = {
	.name = "Resources",
	.doc = "What the agent may use up.",
	.bytes = sizeof(struct agent_security),
	.fields = resources_fields,
	.renamed = resources_renamed,
};

static const struct table_field lease_fields[] = {
	{.name = "tool",
		.type = TABLE_STRING,
		AT(agent_lease, tool),
		.pattern = "cmd\\.run",
		.pattern_says = "cmd.run, the tool whose calls run in the sandbox",
		.otherwise = "cmd.run",
		.doc = "Whose calls have it."},
	{.name = "programs",
		STRINGS,
		AT(agent_lease, programs),
		.flags = TABLE_REQUIRED,
		.min = 1,
		.example = "[git]",
		.doc = "Which of its calls: those that run one of these programs, named as the "
		       "call names it. A name without a folder is a program of the runtime."},
	{.name = "destinations",
		STRINGS,
		AT(agent_lease, destinations),
		.flags = TABLE_REQUIRED,
		.min = 1,
		.example = "[\"github.com:443\"]",
		.doc = "Domain names and address blocks that processes of such a call may reach, "
		       "and nobody else, until it ends."},
	{0}};
static const struct table lease_table = {
	.check = agent_check_lease,
	.name = "Lease",
	.doc = "Rights that exist only while a single call runs.",
	.bytes = sizeof(struct agent_lease),
	.fields = lease_fields,
};
static const struct table_field lease_item = {
	.name = "lease", .type = TABLE_OBJECT, .table = &lease_table};

static const char *const recording_words[] = {"counted", "strict", NULL};

static const struct table_field security_fields[] = {{.name = "network",
							     .type = TABLE_OBJECT,
							     .table = &network_table,
							     .doc = "What it may reach."},
	{.name = "filesystem",
		.type = TABLE_OBJECT,
		.table = &filesystem_table,
		.doc = "What it may read and write."},
	{.name = "resources",
		.type = TABLE_OBJECT,
		.table = &resources_table,
		.doc = "What it may use up."},
	{.name = "leases",
		.type = TABLE_LIST,
		.item = &lease_item,
		.item_bytes = sizeof(struct agent_lease),
		.max = 64,
		AT(agent_security, leases),
		.doc = "What single calls may reach besides, each while it runs."},
	{.name = "recording",
		.type = TABLE_ENUM,
		AT(agent_security, recording),
		.values = recording_words,
		.otherwise = "counted",
		.doc = "What becomes of processes, programs and rings for which the kernel has no "
		       "room to record them. counted: they are counted as lost; strict: whoever "
		       "makes them is killed, and where the kernel cannot record, nothing runs."},
	{0}};
static const struct table security_table = {
	.name = "Security",
	.doc = "What the agent may do. What is not allowed is denied.",
	.bytes = sizeof(struct agent_security),
	.fields = security_fields,
};

/* ---- spec ---- */

static const struct table_field context_item = {
	.name = "item", .type = TABLE_OBJECT, .table = &agent_context_table};
static const struct table_field volume_item = {
	.name = "volume", .type = TABLE_OBJECT, .table = &agent_volume_table};
static const struct table_field tool_item = {
	.name = "tool", .type = TABLE_OBJECT, .table = &agent_tool_table};
static const struct table_field destination_item = {
	.name = "destination", .type = TABLE_OBJECT, .table = &agent_destination_table};

static const struct table_field delivery_forms[] = {
	{.name = "list",
		.type = TABLE_LIST,
		.item = &destination_item,
		.item_bytes = sizeof(struct agent_delivery),
		.flags = TABLE_UNIQUE,
		.max = 32,
		AT(written_spec, spec.delivery)},
	{.name = "mapping",
		.type = TABLE_OBJECT,
		.table = &agent_deliveries_table,
		.flags = TABLE_POINTER,
		AT(written_spec, delivery)},
	{0}};

static const char *const require_words[] = {"detect", "prevent", NULL};
static const struct table_field require_item = {
	.name = "level", .type = TABLE_ENUM, .values = require_words};

static const struct table_field spec_fields[] = {{.name = "runtime",
							 .type = TABLE_OBJECT,
							 .table = &runtime_table,
							 AT(written_spec, spec.runtime),
							 .flags = TABLE_REQUIRED,
							 .doc = "What the agent runs on."},
	{.name = "task",
		.type = TABLE_OBJECT,
		.table = &task_table,
		AT(written_spec, spec.task),
		.doc = "What the agent is told."},
	{.name = "security",
		.type = TABLE_OBJECT,
		.table = &security_table,
		AT(written_spec, spec.security),
		.doc = "What the agent may do; nothing, if this is absent."},
	{.name = "volumes",
		.type = TABLE_LIST,
		.item = &volume_item,
		.item_bytes = sizeof(struct agent_volume),
		.flags = TABLE_UNIQUE,
		.max = 32,
		AT(written_spec, spec.volumes),
		.doc = "What is mounted into the sandbox."},
	{.name = "execution",
		.type = TABLE_OBJECT,
		.table = &agent_execution_table,
		AT(written_spec, execution),
		.doc = "How the agent is run."},
	{.name = "tools",
		.type = TABLE_LIST,
		.item = &tool_item,
		.item_bytes = sizeof(struct agent_tool),
		.max = 256,
		AT(written_spec, spec.tools),
		.example = "[fs.read, fs.write]",
		.doc = "Tools that it may call; others are refused."},
	{.name = "env",
		STRING_MAP,
		AT(written_spec, spec.env),
		.max = 256,
		.doc = "Environment of the agent; values may be secret:NAME or config:KEY."},
	{.name = "context",
		.type = TABLE_LIST,
		.item = &context_item,
		.item_bytes = sizeof(struct agent_context),
		.max = 64,
		AT(written_spec, spec.context),
		.doc = "What is put in front of the agent."},
	{.name = "schedule",
		.type = TABLE_OBJECT,
		.table = &agent_schedule_table,
		.flags = TABLE_POINTER,
		AT(written_spec, spec.schedule),
		.effect = TABLE_NOTED,
		.doc = "When it runs by itself."},
	{.name = "delivery",
		.type = TABLE_FORMS,
		.forms = delivery_forms,
		.effect = TABLE_NOTED,
		.doc = "Where results go."},
	{.name = "input_schema",
		.type = TABLE_JSON,
		AT(written_spec, spec.input_schema),
		.doc = "JSON Schema of an execution's input."},
	{.name = "security_context",
		.type = TABLE_STRING,
		AT(written_spec, spec.security_context),
		.min = 1,
		.max = LIMIT_NAME_BYTES,
		.doc = "Named security context of the node configuration: nothing is allowed "
		       "beyond it. Without a name it is `default`, if there is one."},
	{.name = "output_handler",
		.type = TABLE_OBJECT,
		.table = &agent_output_handler_table,
		.flags = TABLE_POINTER,
		AT(written_spec, spec.output_handler),
		.effect = TABLE_NOTED,
		.doc = "What takes the output."},
	{.name = "execution_targets",
		STRINGS,
		AT(written_spec, spec.execution_targets),
		.effect = TABLE_NOTED,
		.doc = "Tags that a node must have."},
	{.name = "require",
		.type = TABLE_MAP,
		.item = &require_item,
		.item_bytes = sizeof(int),
		AT(written_spec, spec.require),
		.example = "{sandbox.seccomp: prevent, files.mediation: detect}",
		.doc = "Least level (detect or prevent) of named `aegis doctor` probes; `all` for "
		       "the "
		       "rest (our addition)."},
	{.name = "advanced",
		.type = TABLE_OBJECT,
		.table = &agent_advanced_table,
		.flags = TABLE_POINTER,
		AT(written_spec, spec.advanced),
		.doc = "Rarely needed."},
	{0}};
static const struct table_renamed spec_renamed[] = {{"resources", "spec.security.resources", false},
	{"permissions", "spec.security", false}, {"network", "spec.security.network", false},
	{"validation", "spec.execution.validation", false},
	{"instruction", "spec.task.instruction", false},
	{"prompt", "spec.task.prompt_template", false}, {"model", "spec.runtime.model", false},
	{"image", "spec.runtime.image", false}, {"language", "spec.runtime.language", false},
	{"timeout", "spec.security.resources.timeout", false},
	{"timeout_seconds", "spec.security.resources.timeout", false},
	{"max_iterations", "spec.execution.max_iterations", false},
	{"environment", "spec.env", false}, {"mcp_servers", "spec.tools", false},
	{"capabilities", "spec.tools", false}, {0}};
static const struct table spec_table = {
	.name = "AgentSpec",
	.doc = "What the agent is.",
	.bytes = sizeof(struct written_spec),
	.fields = spec_fields,
	.renamed = spec_renamed,
	.check = agent_check_spec,
};

static const char *const version_words[] = {"100monkeys.ai/v1", NULL};
static const char *const kind_words[] = {"Agent", NULL};

static const struct table_field manifest_fields[] = {{.name = "apiVersion",
							     .type = TABLE_ENUM,
							     AT(written_manifest, api_version),
							     .values = version_words,
							     .flags = TABLE_REQUIRED,
							     .doc = "Version of this format."},
	{.name = "kind",
		.type = TABLE_ENUM,
		AT(written_manifest, kind),
		.values = kind_words,
		.flags = TABLE_REQUIRED,
		.doc = "What this document describes."},
	{.name = "metadata",
		.type = TABLE_OBJECT,
		.table = &metadata_table,
		AT(written_manifest, metadata),
		.flags = TABLE_REQUIRED,
		.doc = "Who the agent is."},
	{.name = "spec",
		.type = TABLE_OBJECT,
		.table = &spec_table,
		AT(written_manifest, spec),
		.flags = TABLE_REQUIRED,
		.doc = "What the agent is."},
	{0}};
static const struct table_renamed manifest_renamed[] = {{"name", "metadata.name", false},
	{"version", "metadata.version", false}, {"description", "metadata.description", false},
	{"labels", "metadata.labels", false}, {"agent", "metadata and spec", false},
	{"runtime", "spec.runtime", false}, {"task", "spec.task", false},
	{"security", "spec.security", false}, {"permissions", "spec.security", false},
	{"execution", "spec.execution", false}, {"tools", "spec.tools", false},
	{"volumes", "spec.volumes", false}, {"env", "spec.env", false}, {0}};
const struct table agent_manifest_table = {
	.name = "Agent",
	.doc = "The manifest of an agent.",
	.bytes = sizeof(struct written_manifest),
	.fields = manifest_fields,
	.renamed = manifest_renamed,
};
