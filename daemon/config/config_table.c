/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The table of `kind: NodeConfig`, first part: the envelope, the node, runtime and network, and
 * `spec` itself. Every section of upstream's node configuration reference stands in these files,
 * what only its code (domain/node_config.rs) knows, and our own sections. What a field does today
 * stands in its `effect`; flip it where the feature lands.
 */
#include "daemon/config/config_internal.h"

const struct table_field config_any_string = {.name = "text", .type = TABLE_STRING};
const struct table_field config_some_string = {.name = "text", .type = TABLE_STRING, .min = 1};
const struct table_field config_secret_item = {.name = "secret", .type = TABLE_SECRET};

/* ---- node ---- */

static const char *const node_words[] = {"edge", "orchestrator", "hybrid", NULL};

static const struct table_field node_resources_fields[] = {
	ROW(TABLE_INT, config_node_resources, cpu_cores, "cpu_cores", "Processor cores.", .min = 1),
	ROW(TABLE_INT, config_node_resources, memory_gb, "memory_gb", "Memory in GB.", .min = 1),
	ROW(TABLE_INT, config_node_resources, disk_gb, "disk_gb", "Disk in GB.", .min = 1),
	ROW(TABLE_INT, config_node_resources, gpu_count, "gpu_count", "Graphics processors."),
	ROW(TABLE_INT, config_node_resources, vram_gb, "vram_gb", "Their memory in GB."),
	ROW(TABLE_BOOL, config_node_resources, gpu, "gpu", "Whether there is a graphics processor.",
		.otherwise = "false"),
	{0}};
static const struct table node_resources_table = {
	.name = "NodeResources",
	.doc = "What this machine has.",
	.bytes = sizeof(struct config_node_resources),
	.fields = node_resources_fields,
};

static const struct table_field node_fields[] = {
	ROW(TABLE_STRING, config_node, id, "id", "Stable id of this node; a UUID is a good choice.",
		.flags = TABLE_REQUIRED, NAME, .example = "node-1"),
	ROW(TABLE_ENUM, config_node, type, "type", "Role of this node.", .flags = TABLE_REQUIRED,
		.values = node_words),
	ROW(TABLE_STRING, config_node, region, "region", "Geographic region.", NAME, LATER),
	ROW(TABLE_LIST, config_node, tags, "tags", "What execution_targets of manifests match.",
		STRINGS, LATER),
	ROW(TABLE_OBJECT, config_node, resources, "resources", "What this machine has.",
		.table = &node_resources_table, .flags = TABLE_POINTER, LATER),
	{0}};
static const struct table node_table = {
	.name = "Node",
	.doc = "Which node this is.",
	.bytes = sizeof(struct config_node),
	.fields = node_fields,
};

/* ---- runtime ---- */

static const char *const isolation_words[] = {"inherit", "process", "docker", "firecracker", NULL};

static const struct table_field runtime_fields[] = {
	ROW(TABLE_STRING, config_runtime, bootstrap_script, "bootstrap_script",
		"Bootstrap script of container agents.", FILE_PATH,
		.otherwise = "assets/bootstrap.py", LATER),
	ROW(TABLE_ENUM, config_runtime, default_isolation, "default_isolation",
		"What holds agents that say `inherit`; inherit here means process.",
		.values = isolation_words, .otherwise = "inherit", LATER,
		.effect_values = BIT(CONFIG_ISOLATION_DOCKER) | BIT(CONFIG_ISOLATION_FIRECRACKER),
		.effect_says = "only process is there yet; agents that inherit are refused at run"),
	ROW(TABLE_STRING, config_runtime, container_socket_path, "docker_socket_path",
		"Socket of the container engine.", FILE_PATH, LATER),
	ROW(TABLE_STRING, config_runtime, container_network_mode, "docker_network_mode",
		"Network of agent containers.", NAME, LATER),
	ROW(TABLE_STRING, config_runtime, orchestrator_url, "orchestrator_url",
		"URL of this daemon as seen from inside containers.", URL,
		.otherwise = "http://localhost:8088", LATER),
	ROW(TABLE_STRING, config_runtime, nfs_server_host, "nfs_server_host",
		"NFS server as the container engine sees it.", NAME, LATER),
	ROW(TABLE_INT, config_runtime, nfs_port, "nfs_port", "Port of the NFS server.", PORT,
		.otherwise = "2049", LATER),
	ROW(TABLE_INT, config_runtime, nfs_mountport, "nfs_mountport", "Port of its mount service.",
		PORT, .otherwise = "2049", LATER),
	ROW(TABLE_STRING, config_runtime, runtime_registry_path, "runtime_registry_path",
		"Registry of interpreters, by language and version.", FILE_PATH,
		.otherwise = "runtime-registry.yaml", LATER,
		.effect_says = "interpreters come from the helper's registry, which is root's"),
	ROW(TABLE_STRING, config_runtime, fuse_mount_prefix, "fuse_mount_prefix",
		"Where the FUSE daemon mounts.", FILE_PATH, LATER),
	ROW(TABLE_STRING, config_runtime, fuse_daemon_endpoint, "fuse_daemon_endpoint",
		"Endpoint of the FUSE daemon.", NAME, LATER),
	{0}};
static const struct table_renamed runtime_renamed[] = {
	{"container_socket_path", "docker_socket_path", true},
	{"container_network_mode", "docker_network_mode", true},
	{"isolation", "default_isolation", false}, {0}};
static const struct table runtime_table = {
	.name = "Runtime",
	.doc = "How agents are launched.",
	.bytes = sizeof(struct config_runtime),
	.fields = runtime_fields,
	.renamed = runtime_renamed,
};

/* ---- network ---- */

static const struct table_field tls_fields[] = {
	ROW(TABLE_BOOL, config_tls, enabled, "enabled", "Whether TLS is on.", .otherwise = "true"),
	ROW(TABLE_STRING, config_tls, cert_path, "cert_path", "Certificate chain, PEM.",
		.flags = TABLE_REQUIRED, FILE_PATH, .example = "/etc/aegis/tls/server.crt"),
	ROW(TABLE_STRING, config_tls, key_path, "key_path", "Private key, PEM.",
		.flags = TABLE_REQUIRED, FILE_PATH, .example = "/etc/aegis/tls/server.key"),
	ROW(TABLE_STRING, config_tls, ca_path, "ca_path", "Authorities of client certificates.",
		FILE_PATH, LATER),
	{0}};
static const struct table tls_table = {
	.name = "Tls",
	.doc = "TLS of the network door.",
	.bytes = sizeof(struct config_tls),
	.fields = tls_fields,
};

static const struct table_field network_fields[] = {
	ROW(TABLE_STRING, config_network, bind_address, "bind_address",
		"Address to listen on; other than loopback needs `tls`.", NAME,
		.otherwise = "127.0.0.1"),
	ROW(TABLE_INT, config_network, port, "port", "Port of the HTTP API.", PORT,
		.otherwise = "8088"),
	ROW(TABLE_INT, config_network, grpc_port, "grpc_port", "Port of the gRPC API.", PORT,
		.otherwise = "50051", LATER),
	ROW(TABLE_BOOL, config_network, allow_insecure_bind, "allow_insecure_bind",
		"Accept an address other than loopback without TLS: something in front ends it.",
		.otherwise = "false"),
	ROW(TABLE_STRING, config_network, orchestrator_endpoint, "orchestrator_endpoint",
		"Orchestrator that an edge node connects to.", URL, LATER),
	ROW(TABLE_SECRET, config_network, api_key, "api_key", "Key for the orchestrator.", LATER),
	ROW(TABLE_INT, config_network, heartbeat_interval_s, "heartbeat_interval_seconds",
		"Seconds between heartbeats to it.", .otherwise = "30", .min = 1, .max = 86400,
		LATER),
	ROW(TABLE_STRING, config_network, http_proxy, "http_proxy", "Proxy for http.", URL, LATER),
	ROW(TABLE_STRING, config_network, https_proxy, "https_proxy", "Proxy for https.", URL,
		LATER),
	ROW(TABLE_STRING, config_network, no_proxy, "no_proxy", "Hosts reached without a proxy.",
		LATER),
	ROW(TABLE_OBJECT, config_network, tls, "tls", "TLS of the network door.",
		.table = &tls_table, .flags = TABLE_POINTER),
	{0}};
static const struct table_renamed network_renamed[] = {{"host", "bind_address", false},
	{"bind", "bind_address", false}, {"http_port", "port", false}, {0}};
static const struct table network_table = {
	.name = "Network",
	.doc = "Where this daemon listens.",
	.bytes = sizeof(struct config_network),
	.fields = network_fields,
	.renamed = network_renamed,
	.check = config_check_network,
};

/* ---- spec ---- */

static const struct table_field provider_item = {
	.name = "provider", .type = TABLE_OBJECT, .table = &config_provider_table};
static const struct table_field mcp_server_item = {
	.name = "server", .type = TABLE_OBJECT, .table = &config_mcp_server_table};
static const struct table_field dispatcher_item = {
	.name = "dispatcher", .type = TABLE_OBJECT, .table = &config_dispatcher_table};
static const struct table_field registry_item = {
	.name = "registry", .type = TABLE_OBJECT, .table = &config_registry_table};
static const struct table_field security_context_item = {
	.name = "context", .type = TABLE_OBJECT, .table = &config_security_context_table};

static const struct table_field dispatcher_forms[] = {
	{.name = "list",
		.type = TABLE_LIST,
		LIST(dispatcher_item, sizeof(struct config_dispatcher)),
		.flags = TABLE_UNIQUE,
		.effect = TABLE_GUARDED,
		.effect_says =
			"the built-in tools are there whatever it says; use the mapping form",
		.offset = offsetof(struct config, builtin_dispatchers)},
	{.name = "mapping",
		.type = TABLE_OBJECT,
		.table = &config_cmd_map_table,
		.offset = offsetof(struct config, cmd_dispatcher)},
	{0}};
static const struct table_field require_forms[] = {
	{.name = "all",
		.type = TABLE_ENUM,
		.values = (const char *const[]){"none", "detect", "prevent", NULL},
		.otherwise = "none",
		.offset = offsetof(struct config, require.all)},
	{.name = "probes",
		.type = TABLE_OBJECT,
		.table = &config_require_table,
		.offset = offsetof(struct config, require)},
	{0}};

static const struct table_field spec_fields[] = {
	ROW(TABLE_OBJECT, config, node, "node", "Which node this is.", .table = &node_table,
		.flags = TABLE_REQUIRED),
	ROW(TABLE_LIST, config, llm_providers, "llm_providers",
		"Language models; agents name them by alias.",
		LIST(provider_item, sizeof(struct config_provider)), .flags = TABLE_UNIQUE,
		.max = 64),
	ROW(TABLE_OBJECT, config, llm_selection, "llm_selection", "Which provider is asked.",
		.table = &config_llm_selection_table),
	ROW(TABLE_OBJECT, config, runtime, "runtime", "How agents are launched.",
		.table = &runtime_table),
	ROW(TABLE_OBJECT, config, network, "network", "Where this daemon listens.",
		.table = &network_table),
	ROW(TABLE_OBJECT, config, daemon, "daemon", "This daemon itself (our addition).",
		.table = &config_daemon_table),
	ROW(TABLE_OBJECT, config, audit, "audit", "The audit journal (our addition).",
		.table = &config_audit_table),
	ROW(TABLE_OBJECT, config, sandbox, "sandbox", "Sandboxes of kind process (our addition).",
		.table = &config_sandbox_table),
	ROW(TABLE_OBJECT, config, policy, "policy", "Policies of this node (our addition).",
		.table = &config_policy_table),
	{.name = "require",
		.type = TABLE_FORMS,
		.forms = require_forms,
		.doc = "Least level (none, detect, prevent) that `aegis doctor` must find, for all "
		       "probes or by name (our addition)."},
	ROW(TABLE_OBJECT, config, observability, "observability", "Logs, metrics, traces.",
		.table = &config_observability_table),
	ROW(TABLE_OBJECT, config, storage, "storage", "Where volumes are kept.",
		.table = &config_storage_table),
	ROW(TABLE_OBJECT, config, database, "database",
		"PostgreSQL; without it SQLite in the data directory.",
		.table = &config_database_table, .flags = TABLE_POINTER, LATER,
		.effect_says = "SQLite in the data directory is used"),
	ROW(TABLE_LIST, config, mcp_servers, "mcp_servers", "External MCP tool servers.",
		LIST(mcp_server_item, sizeof(struct config_mcp_server)), .flags = TABLE_UNIQUE,
		.max = LIMIT_TOOLSERVERS),
	{.name = "builtin_dispatchers",
		.type = TABLE_FORMS,
		.forms = dispatcher_forms,
		.doc = "Settings of the built-in tools."},
	ROW(TABLE_LIST, config, security_contexts, "security_contexts",
		"Named permission boundaries: the ceiling of agents that name one, all that "
		"other callers have. `default` is that of agents that name none.",
		LIST(security_context_item, sizeof(struct config_security_context)),
		.flags = TABLE_UNIQUE, .max = 256),
	ROW(TABLE_OBJECT, config, smcp, "smcp", "Keys and tokens of SMCP.",
		.table = &config_smcp_table, .flags = TABLE_POINTER),
	ROW(TABLE_OBJECT, config, smcp_gateway, "smcp_gateway", "Gateway for external tools.",
		.table = &config_smcp_gateway_table, .flags = TABLE_POINTER, LATER),
	ROW(TABLE_OBJECT, config, iam, "iam", "OIDC realms that are trusted.",
		.table = &config_iam_table, .flags = TABLE_POINTER, .effect = TABLE_GUARDED,
		.effect_says = "tokens of these realms are not accepted; the doors' own keys are"),
	ROW(TABLE_OBJECT, config, grpc_auth, "grpc_auth", "Tokens on the gRPC API.",
		.table = &config_grpc_auth_table, .flags = TABLE_POINTER, .effect = TABLE_GUARDED),
	ROW(TABLE_OBJECT, config, secrets, "secrets", "The secret store.",
		.table = &config_secrets_table, LATER),
	ROW(TABLE_OBJECT, config, temporal, "temporal", "Temporal, for workflows.",
		.table = &config_temporal_table, .flags = TABLE_POINTER, LATER),
	ROW(TABLE_OBJECT, config, cortex, "cortex", "Cortex, for memory.",
		.table = &config_cortex_table, .flags = TABLE_POINTER, LATER),
	ROW(TABLE_OBJECT, config, cluster, "cluster", "Several nodes together.",
		.table = &config_cluster_table, .flags = TABLE_POINTER, LATER),
	ROW(TABLE_LIST, config, registry_credentials, "registry_credentials",
		"Logins of container registries.",
		LIST(registry_item, sizeof(struct config_registry_credential)), .max = 64, LATER),
	ROW(TABLE_STRING, config, image_tag, "image_tag", "Tag of upstream's stack images.", NAME,
		.flags = TABLE_HIDDEN, LATER),
	ROW(TABLE_BOOL, config, deploy_builtins, "deploy_builtins",
		"Deploy upstream's built-in agents at start.", .otherwise = "false",
		.flags = TABLE_HIDDEN, LATER),
	ROW(TABLE_STRING, config, force_deploy_builtins, "force_deploy_builtins",
		"Deploy them even if they are there.", .flags = TABLE_HIDDEN, LATER),
	ROW(TABLE_INT, config, max_execution_list_limit, "max_execution_list_limit",
		"Most executions that one request lists.", .otherwise = "1000", .min = 1,
		.max = 100000),
	ROW(TABLE_OBJECT, config, billing, "billing", "Billing of upstream's hosted service.",
		.table = &config_billing_table, .flags = TABLE_POINTER | TABLE_HIDDEN, LATER),
	ROW(TABLE_OBJECT, config, zaru, "zaru", "Upstream's hosted client.",
		.table = &config_zaru_table, .flags = TABLE_POINTER | TABLE_HIDDEN, LATER),
	{0}};
static const struct table_renamed spec_renamed[] = {{"seal", "smcp", true},
	{"seal_gateway", "smcp_gateway", true},
	{"llm", "spec.llm_providers and spec.llm_selection", false},
	{"providers", "spec.llm_providers", false}, {"nfs_gateway", "spec.storage.nfs_port", false},
	{"telemetry", "spec.observability", false},
	{"logging", "spec.observability.logging", false}, {"auth", "spec.iam", false},
	{"data_directory", "spec.daemon.data_directory", false}, {0}};
static const struct table spec_table = {
	.name = "NodeConfigSpec",
	.doc = "All sections.",
	.bytes = sizeof(struct config),
	.fields = spec_fields,
	.renamed = spec_renamed,
	.check = config_check_spec,
};

/* ---- envelope ---- */

static const struct table_field metadata_fields[] = {
	ROW(TABLE_STRING, config, name, "name", "Name of this node, for people.",
		.flags = TABLE_REQUIRED, NAME, .example = "my-aegis-node"),
	ROW(TABLE_STRING, config, version, "version", "Version of this configuration.", NAME),
	ROW(TABLE_MAP, config, labels, "labels", "For categorization.", ANY_STRINGS,
		.example = "{environment: development}"),
	{0}};
static const struct table metadata_table = {
	.name = "Metadata",
	.doc = "Name and labels.",
	.bytes = sizeof(struct config),
	.fields = metadata_fields,
};

static const char *const version_words[] = {"100monkeys.ai/v1", NULL};
static const char *const kind_words[] = {"NodeConfig", NULL};

static const struct table_field config_fields[] = {
	ROW(TABLE_ENUM, config_written, api_version, "apiVersion", "Version of this format.",
		.flags = TABLE_REQUIRED, .values = version_words),
	ROW(TABLE_ENUM, config_written, kind, "kind", "What this document describes.",
		.flags = TABLE_REQUIRED, .values = kind_words),
	ROW(TABLE_OBJECT, config_written, config, "metadata", "Name and labels.",
		.flags = TABLE_REQUIRED, .table = &metadata_table),
	ROW(TABLE_OBJECT, config_written, config, "spec", "All sections.", .flags = TABLE_REQUIRED,
		.table = &spec_table),
	{0}};
static const struct table_renamed config_renamed[] = {{"node", "spec.node", false},
	{"llm_providers", "spec.llm_providers", false},
	{"llm_selection", "spec.llm_selection", false}, {"runtime", "spec.runtime", false},
	{"network", "spec.network", false}, {"storage", "spec.storage", false},
	{"observability", "spec.observability", false}, {"database", "spec.database", false},
	{"mcp_servers", "spec.mcp_servers", false},
	{"builtin_dispatchers", "spec.builtin_dispatchers", false},
	{"security_contexts", "spec.security_contexts", false}, {"smcp", "spec.smcp", false},
	{"seal", "spec.smcp", false}, {"smcp_gateway", "spec.smcp_gateway", false},
	{"seal_gateway", "spec.smcp_gateway", false}, {"iam", "spec.iam", false},
	{"grpc_auth", "spec.grpc_auth", false}, {"secrets", "spec.secrets", false},
	{"temporal", "spec.temporal", false}, {"cortex", "spec.cortex", false},
	{"cluster", "spec.cluster", false}, {"daemon", "spec.daemon", false},
	{"audit", "spec.audit", false}, {"sandbox", "spec.sandbox", false},
	{"policy", "spec.policy", false}, {"require", "spec.require", false},
	{"name", "metadata.name", false}, {"labels", "metadata.labels", false}, {0}};
const struct table config_table = {
	.name = "NodeConfig",
	.doc = "The configuration of a node.",
	.bytes = sizeof(struct config_written),
	.fields = config_fields,
	.renamed = config_renamed,
	.credentials = true,
};
