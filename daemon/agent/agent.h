/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The agent and its manifest, layer 4: `kind: Agent` of `100monkeys.ai/v1` (upstream's agent
 * manifest reference; domain/agent.rs for fields that only its code knows). A manifest is
 * immutable and shared by reference count.
 */
#pragma once

#include "daemon/schema/schema.h"

enum agent_isolation {
	AGENT_ISOLATION_INHERIT, /* the node's default, decisions [10] */
	AGENT_ISOLATION_FIRECRACKER,
	AGENT_ISOLATION_DOCKER,
	AGENT_ISOLATION_PROCESS,
};
enum agent_pull_policy { AGENT_PULL_IF_NOT_PRESENT, AGENT_PULL_ALWAYS, AGENT_PULL_NEVER };
enum agent_mode { AGENT_ONE_SHOT, AGENT_ITERATIVE };
enum agent_network_mode { AGENT_NETWORK_ALLOW, AGENT_NETWORK_DENY, AGENT_NETWORK_NONE };
enum agent_recording { AGENT_RECORDING_COUNTED, AGENT_RECORDING_STRICT };
enum agent_storage_class { AGENT_STORAGE_EPHEMERAL, AGENT_STORAGE_PERSISTENT };
enum agent_access_mode { AGENT_READ_WRITE, AGENT_READ_ONLY };
enum agent_volume_type {
	AGENT_VOLUME_SEAWEEDFS,
	AGENT_VOLUME_OPENDAL,
	AGENT_VOLUME_HOST_PATH,
	AGENT_VOLUME_SMCP,
	AGENT_VOLUME_SEAL, /* its newer name; read as AGENT_VOLUME_SMCP */
};
enum agent_output_format {
	AGENT_OUTPUT_JSON,
	AGENT_OUTPUT_YAML,
	AGENT_OUTPUT_TEXT,
	AGENT_OUTPUT_CSV,
	AGENT_OUTPUT_PDF,
};

typedef TABLE_LIST_OF(const char *) agent_strings;
typedef TABLE_MAP_OF(const char *) agent_string_map;

struct agent_metadata {
	const char *name; /* ^[a-z0-9][a-z0-9-]{0,62}$, no hyphen at the end */
	const char *version; /* semantic version */
	const char *description; /* NULL if absent, as all optional strings below */
	agent_string_map labels;
	agent_string_map annotations;
};

/* Either language and version, or image. */
struct agent_runtime {
	const char *language;
	const char *version;
	const char *image;
	int image_pull_policy; /* enum agent_pull_policy */
	int isolation; /* enum agent_isolation */
	const char *model; /* alias, "default" */
	double temperature; /* negative: the model's own */
};

struct agent_task {
	agent_strings agentskills;
	const char *instruction;
	const char *prompt_template;
	const struct json *input_data; /* object */
};

/* What calls of a tool may besides, each for its own processes and no longer than it runs. */
struct agent_lease {
	const char *tool; /* "cmd.run" */
	agent_strings programs; /* of these calls: argv[0] as it stands there */
	agent_strings destinations;
};

struct agent_security {
	TABLE_LIST_OF(struct agent_lease) leases;
	struct {
		int mode; /* enum agent_network_mode */
		agent_strings allowlist;
		agent_strings denylist;
	} network;
	struct {
		agent_strings read;
		agent_strings write;
		bool read_only;
	} filesystem;
	struct {
		int64_t cpu_millicores;
		int64_t memory_bytes;
		int64_t disk_bytes;
		int64_t timeout_ns; /* of the whole execution; at most an hour */
	} resources;
	int recording; /* enum agent_recording: of what its programs do */
};

struct agent_volume {
	const char *name;
	int type; /* enum agent_volume_type */
	const char *provider;
	const struct json *config;
	int storage_class; /* enum agent_storage_class */
	const char *mount_path;
	int access_mode; /* enum agent_access_mode */
	int64_t ttl_hours; /* 0 if absent */
	int64_t size_limit_bytes; /* 0: no limit */
	const char *source_volume_id; /* a UUID, or a template; NULL if absent */
};

/* What a builtin:cmd tool allows; also the defaults of a plain "cmd.run". */
struct agent_cmd_policy {
	TABLE_MAP_OF(agent_strings) subcommand_allowlist;
	agent_strings env_var_denylist;
	int64_t timeout_ceiling_s;
	int64_t max_output_bytes;
	bool allow_shell; /* own addition: shell operators are accepted */
};

/* What a mcp:filesystem tool allows. */
struct agent_fs_policy {
	agent_strings allowed_paths;
	int access_mode; /* enum agent_access_mode */
	int64_t max_file_size_bytes;
};

struct agent_tool {
	const char *name; /* as written: "fs.read", "mcp:filesystem", "search" */
	const char *server; /* "mcp:NAME" */
	const char *executor; /* "builtin:cmd" */
	const char *server_name; /* "NAME" of a tool server of the node; NULL: none is meant */
	const char *server_pattern; /* "NAME.*" or "NAME.TOOL"; NULL likewise */
	const struct json *config;
	const struct agent_cmd_policy *cmd; /* executor builtin:cmd, else NULL */
	const struct agent_fs_policy *fs; /* server mcp:filesystem, else NULL */
};

/* Both ways to write validators, the mapping and the typed list, become this one ordered list. */
enum agent_validator_type {
	AGENT_VALIDATE_EXIT_CODE,
	AGENT_VALIDATE_STDERR, /* nothing was written to stderr */
	AGENT_VALIDATE_FORMAT, /* the output is well-formed JSON, YAML, ... */
	AGENT_VALIDATE_JSON_SCHEMA,
	AGENT_VALIDATE_REGEX,
	AGENT_VALIDATE_SCRIPT,
	AGENT_VALIDATE_SEMANTIC, /* a judge: an agent (judge_agent) or a model (model) */
	AGENT_VALIDATE_MULTI_JUDGE,
};
enum agent_consensus {
	AGENT_CONSENSUS_WEIGHTED_AVERAGE,
	AGENT_CONSENSUS_MAJORITY,
	AGENT_CONSENSUS_UNANIMOUS,
	AGENT_CONSENSUS_BEST_OF_N,
};
struct agent_validator {
	int type; /* enum agent_validator_type */
	const char *path; /* where it is written, "spec.execution.validation[0]"; for records */
	double min_score; /* 0 to 1; 1 for the deterministic ones */
	double min_confidence;
	int64_t timeout_ns; /* 0: none of its own */
	int64_t expected; /* EXIT_CODE */
	int format; /* FORMAT: enum agent_output_format */
	const struct json *schema; /* JSON_SCHEMA */
	const char *pattern; /* REGEX */
	bool on_stderr; /* REGEX: matched against stderr instead of stdout */
	const char *script; /* SCRIPT: path inside the sandbox */
	const char *judge_agent; /* SEMANTIC: name of an agent; NULL: the daemon asks `model` */
	const char *model; /* SEMANTIC without judge_agent */
	const char *prompt; /* SEMANTIC without judge_agent; NULL: the built-in one */
	const char *criteria; /* SEMANTIC, MULTI_JUDGE */
	bool skip_if_unavailable; /* SEMANTIC: otherwise it fails */
	bool implied; /* not written: task.instruction alone asks for it */
	agent_strings judges; /* MULTI_JUDGE */
	int consensus; /* enum agent_consensus */
	int64_t min_judges;
};
const char *agent_validator_name(int type); /* "exit_code", "json_schema", ... */

struct agent_execution {
	int mode; /* enum agent_mode */
	int64_t max_iterations; /* 1 for AGENT_ONE_SHOT, else 1 to 20 */
	int64_t iteration_timeout_ns;
	int64_t llm_timeout_ns;
	bool memory;
	bool background; /* own addition: what a call leaves running is not killed, [6] */
	TABLE_LIST_OF(struct agent_validator) validators; /* after an iteration, in order */
	TABLE_LIST_OF(struct agent_validator) tool_validators; /* before a tool call */
};

enum agent_context_type {
	AGENT_CONTEXT_TEXT,
	AGENT_CONTEXT_FILE,
	AGENT_CONTEXT_DIRECTORY,
	AGENT_CONTEXT_URL
};
struct agent_context {
	int type; /* enum agent_context_type */
	const char *content, *path, *url, *description;
};

enum agent_schedule_type { AGENT_SCHEDULE_CRON, AGENT_SCHEDULE_INTERVAL, AGENT_SCHEDULE_MANUAL };
struct agent_schedule {
	int type; /* enum agent_schedule_type */
	const char *cron, *timezone;
	int64_t seconds;
	bool enabled;
};

enum agent_delivery_type {
	AGENT_DELIVER_EMAIL,
	AGENT_DELIVER_WEBHOOK,
	AGENT_DELIVER_REST,
	AGENT_DELIVER_SMS
};
enum agent_delivery_condition { AGENT_ON_SUCCESS, AGENT_ON_FAILURE, AGENT_ALWAYS };
struct agent_email {
	const char *to, *subject, *body_template;
	agent_strings attachments;
};
struct agent_webhook {
	const char *url, *method;
	agent_string_map headers;
	const struct json *body;
};
struct agent_sms {
	const char *to, *message;
};
struct agent_delivery {
	const char *name;
	int condition; /* enum agent_delivery_condition */
	int type; /* enum agent_delivery_type; decides which pointer is set */
	struct agent_transform {
		const char *script;
		agent_strings args;
		int64_t timeout_seconds;
	} * transform; /* NULL if absent */
	struct agent_email *email;
	struct agent_webhook *webhook, *rest;
	struct agent_sms *sms;
};

enum agent_output_handler_type {
	AGENT_HANDLER_AGENT,
	AGENT_HANDLER_CONTAINER,
	AGENT_HANDLER_MCP_TOOL,
	AGENT_HANDLER_WEBHOOK,
};
struct agent_output_handler {
	int type; /* enum agent_output_handler_type */
	bool required; /* its failure fails the execution */
	int64_t timeout_seconds; /* 0 if absent */
	const char *agent_id, *input_template; /* AGENT */
	const char *image; /* CONTAINER */
	agent_strings command;
	agent_string_map env;
	const struct json *resources;
	const char *tool_name; /* MCP_TOOL */
	const struct json *arguments;
	const char *url, *method, *body_template; /* WEBHOOK */
	agent_string_map headers;
	const struct json *retry;
};

struct agent_advanced {
	const char *bootstrap_path;
	int64_t warm_pool_size;
	bool swarm_enabled;
	const char *startup_script;
	struct agent_health_check {
		const char *path;
		int64_t interval_seconds, timeout_seconds;
	} * health_check;
};

enum agent_require { AGENT_REQUIRE_DETECT, AGENT_REQUIRE_PREVENT };

struct agent_spec {
	struct agent_runtime runtime;
	struct agent_task task;
	struct agent_security security;
	TABLE_LIST_OF(struct agent_volume) volumes;
	struct agent_execution execution;
	TABLE_LIST_OF(struct agent_context) context;
	struct agent_schedule *schedule; /* NULL if absent */
	TABLE_LIST_OF(struct agent_delivery) delivery;
	TABLE_LIST_OF(struct agent_tool) tools;
	agent_string_map env; /* values may be "secret:NAME" or "config:KEY", unresolved */
	struct agent_advanced *advanced; /* NULL if absent */
	const struct json *input_schema;
	const char *security_context;
	struct agent_output_handler *output_handler; /* NULL if absent */
	agent_strings execution_targets; /* node tags */
	TABLE_MAP_OF(int) require; /* own addition: probe of `aegis doctor` -> enum agent_require */
};

/* A field that is parsed and has no effect yet (decisions, [10]). */
struct agent_notice {
	const char *path; /* "spec.execution.tool_validation" */
	int line;
	const char *reason; /* one sentence */
};

struct agent_manifest {
	struct agent_metadata metadata;
	struct agent_spec spec;
	struct span text; /* as it was given */
	const struct json *json; /* the same document as JSON */
	const struct doc *doc; /* with places */
	size_t notice_count;
	const struct agent_notice *notices; /* deployed all the same, and named at deploy */
	size_t refusal_count;
	const struct agent_notice *refusals; /* deploys, but a run is refused, with these reasons */
};

enum { AGENT_INVALID = 1 };

/* Parses YAML or JSON. `report` collects errors and warnings and must have an arena that is the
 * caller's; the manifest has its own. 0 with a reference in *ret; AGENT_INVALID with at least one
 * error in the report; -ENOMEM. Pure. */
int agent_manifest_parse(
	struct report *report, struct span text, const struct agent_manifest **ret) MUST_USE;
const struct agent_manifest *agent_manifest_ref(const struct agent_manifest *m);
const struct agent_manifest *agent_manifest_unref(const struct agent_manifest *m); /* NULL */

/* Line of the value at a path ("spec.security.filesystem.write[0]"), 0 if it is not written. */
int agent_manifest_line(const struct agent_manifest *m, const char *path);

/* Tool names that the declared tool stands for ("mcp:filesystem" is "fs.*", builtin:cmd is
 * "cmd.run", mcp:NAME is "NAME.*"); NULL if this build does not know it. */
const char *agent_tool_pattern(const struct agent_tool *t);

/* The tool server whose tools these are; NULL: built-in ones. Whether a node has it is the node's
 * to say. */
const char *agent_tool_server(const struct agent_tool *t);

/* Adds what the manifest's `security` and `tools` allow, as rules of policy/context: each with the
 * field and the line it comes from. -EINVAL for a path or command that no rule can express. Pure.
 */
struct rule_set_builder;
int agent_rules(const struct agent_manifest *m, struct rule_set_builder *b) MUST_USE;

/* JSON Schema and reference of the manifest, from the table that parses it. */
void agent_manifest_schema(struct json_writer *w);
void agent_manifest_reference(struct buf *b);
