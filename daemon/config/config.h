/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Node configuration: `kind: NodeConfig` of `100monkeys.ai/v1` (upstream's node configuration
 * reference; domain/node_config.rs for fields that only its code knows), and our own sections
 * `daemon`, `audit`, `sandbox`, `policy` and `require`. A configuration is an immutable snapshot,
 * shared by reference count between threads; a reload builds a new one and leaves the old one
 * alone.
 *
 * Every string may be written as `env:NAME`, which is looked up when the file is loaded and is an
 * error if unset, or `literal:TEXT`. Secrets may also be `secret:PATH`, looked up in the secret
 * store when they are used.
 */
#pragma once

#include "daemon/schema/schema.h"

typedef TABLE_LIST_OF(const char *) config_strings;
typedef TABLE_MAP_OF(const char *) config_string_map;
typedef TABLE_MAP_OF(struct table_secret) config_secret_map;

enum config_node_type { CONFIG_EDGE, CONFIG_ORCHESTRATOR, CONFIG_HYBRID };
struct config_node {
	const char *id;
	int type; /* enum config_node_type */
	const char *region;
	config_strings tags;
	struct config_node_resources {
		int64_t cpu_cores, memory_gb, disk_gb, gpu_count, vram_gb;
		bool gpu;
	} * resources; /* NULL if absent */
};

enum config_provider_type {
	CONFIG_PROVIDER_OPENAI,
	CONFIG_PROVIDER_OPENAI_COMPATIBLE,
	CONFIG_PROVIDER_OLLAMA,
	CONFIG_PROVIDER_ANTHROPIC,
	CONFIG_PROVIDER_GEMINI,
	CONFIG_PROVIDER_REPLAY, /* own addition: plays the recording in `endpoint` back */
};
const char *config_provider_type_name(int type);
struct config_model {
	const char *alias;
	const char *model;
	config_strings capabilities;
	int64_t context_window; /* tokens */
	double cost_per_1k_tokens;
	int64_t max_output_tokens; /* 0: the provider's own */
	double temperature; /* negative: the provider's own */
};
struct config_provider {
	const char *name;
	int type; /* enum config_provider_type */
	const char *endpoint; /* base URL; the provider's own if absent; for replay a file */
	struct table_secret api_key;
	bool enabled;
	TABLE_LIST_OF(struct config_model) models;
	const char *record; /* own addition: file that a recording goes to; NULL: none, unless */
	bool record_here; /* one in the data directory, recording-NAME.jsonl */
	bool stream;
};

enum config_strategy {
	CONFIG_PREFER_LOCAL,
	CONFIG_PREFER_CLOUD,
	CONFIG_COST_OPTIMIZED,
	CONFIG_LATENCY_OPTIMIZED,
};
struct config_llm_selection {
	int strategy; /* enum config_strategy */
	const char *default_provider;
	const char *fallback_provider;
	int64_t max_retries;
	int64_t retry_delay_ms;
	int64_t overall_timeout_s;
};

enum config_isolation {
	CONFIG_ISOLATION_INHERIT, /* means process, decisions [10] */
	CONFIG_ISOLATION_PROCESS,
	CONFIG_ISOLATION_DOCKER,
	CONFIG_ISOLATION_FIRECRACKER,
};
struct config_runtime {
	const char *bootstrap_script;
	int default_isolation; /* enum config_isolation */
	const char *container_socket_path;
	const char *container_network_mode;
	const char *orchestrator_url;
	const char *nfs_server_host;
	int64_t nfs_port, nfs_mountport;
	const char *runtime_registry_path;
	const char *fuse_mount_prefix;
	const char *fuse_daemon_endpoint;
};

struct config_tls {
	bool enabled;
	const char *cert_path, *key_path;
	const char *ca_path;
};
struct config_network {
	const char *bind_address;
	int64_t port;
	int64_t grpc_port;
	bool allow_insecure_bind;
	const char *orchestrator_endpoint;
	struct table_secret api_key;
	int64_t heartbeat_interval_s;
	const char *http_proxy, *https_proxy, *no_proxy;
	struct config_tls *tls; /* NULL if absent */
};

enum config_log_level {
	CONFIG_LOG_TRACE,
	CONFIG_LOG_DEBUG,
	CONFIG_LOG_INFO,
	CONFIG_LOG_WARN,
	CONFIG_LOG_ERROR
};
enum config_log_format { CONFIG_LOG_JSON, CONFIG_LOG_TEXT };
enum config_otlp_protocol { CONFIG_OTLP_GRPC, CONFIG_OTLP_HTTP };
struct config_observability {
	struct config_logging {
		int level; /* enum config_log_level */
		int format; /* enum config_log_format */
		const char *file;
		const char *otlp_endpoint;
		int otlp_protocol; /* enum config_otlp_protocol */
		config_secret_map otlp_headers;
		int min_level; /* enum config_log_level */
		const char *service_name;
		struct {
			int64_t max_queue_size, scheduled_delay_ms, max_export_batch_size,
				export_timeout_ms;
		} batch;
		struct {
			bool verify;
			const char *ca_cert_path;
		} tls;
	} logging;
	struct config_metrics {
		bool enabled;
		const char *bind_address;
		int64_t port;
		const char *path;
	} metrics;
	struct config_tracing {
		bool enabled;
		const char *otlp_endpoint;
	} tracing;
};

enum config_storage_backend {
	CONFIG_STORAGE_LOCAL_HOST,
	CONFIG_STORAGE_SEAWEEDFS,
	CONFIG_STORAGE_OPENDAL
};
struct config_storage {
	int backend; /* enum config_storage_backend */
	bool fallback_to_local;
	int64_t nfs_port;
	struct config_seaweedfs {
		const char *filer_url;
		const char *mount_point;
		int64_t default_ttl_hours;
		int64_t default_size_limit_mb, max_size_limit_mb;
		int64_t gc_interval_minutes;
		const char *s3_endpoint, *s3_region;
	} * seaweedfs; /* NULL if absent */
	struct config_local_host {
		const char *mount_point; /* NULL: `volumes` in daemon.data_directory */
		int64_t default_ttl_hours;
		int64_t default_size_limit_mb, max_size_limit_mb;
	} local_host;
	struct config_opendal {
		const char *provider;
		config_string_map options;
	} * opendal; /* NULL if absent */
};

struct config_capability {
	const char *name;
	bool skip_judge;
	/* Own additions, of tool servers: what policy is asked about. */
	config_strings path_arguments;
	const char *domain_argument, *url_argument; /* NULL: none */
};
struct config_mcp_server {
	const char *name;
	bool enabled;
	const char *executable; /* NULL: url */
	config_strings args;
	int64_t http_port; /* own addition: the program speaks Streamable HTTP there; 0: no */
	const char *http_path; /* own addition; NULL: "/mcp" */
	const char *url; /* own addition: of an endpoint of Streamable HTTP */
	int64_t call_timeout_s; /* own addition */
	TABLE_LIST_OF(struct config_capability) capabilities;
	config_secret_map credentials;
	config_string_map environment;
	config_strings network_allowlist; /* own addition */
	struct {
		int64_t interval_s, timeout_s;
		const char *method;
	} health_check;
	struct {
		int64_t cpu_millicores, memory_mb;
	} resource_limits;
};

/* One of the list form, or what the mapping form (`cmd:`) says. */
struct config_dispatcher {
	const char *name;
	const char *description;
	bool enabled;
	TABLE_LIST_OF(struct config_capability) capabilities;
	struct table_secret api_key;
};
struct config_cmd_dispatcher {
	bool enabled;
	int64_t default_timeout_s;
	int64_t max_timeout_ceiling_s;
	int64_t max_output_bytes;
	int64_t max_concurrent_per_execution;
	config_strings global_env_denylist;
};

struct config_grant {
	const char *tool_pattern;
	config_strings path_allowlist;
	TABLE_MAP_OF(config_strings) subcommand_allowlist;
	config_strings command_allowlist;
	config_strings domain_allowlist;
	struct {
		int64_t calls; /* 0: unlimited */
		int64_t per_seconds;
	} rate_limit;
	int64_t max_response_bytes; /* 0: unlimited */
	int line; /* where it is written */
};
struct config_security_context {
	int line; /* where it is written */
	const char *name;
	const char *description;
	TABLE_LIST_OF(struct config_grant) capabilities;
	config_strings deny_list;
};

struct config_smcp {
	const char *private_key_path, *public_key_path;
	const char *issuer;
	config_strings audiences;
	int64_t token_ttl_s;
};

enum config_realm_kind { CONFIG_REALM_SYSTEM, CONFIG_REALM_CONSUMER, CONFIG_REALM_TENANT };
struct config_realm {
	const char *slug, *issuer_url, *jwks_uri, *audience;
	int kind; /* enum config_realm_kind */
};
struct config_iam {
	TABLE_LIST_OF(struct config_realm) realms;
	int64_t jwks_cache_ttl_s;
	struct {
		const char *zaru_tier, *aegis_role, *tenant_id;
	} claims;
	struct config_keycloak_admin {
		const char *host, *admin_username;
		struct table_secret admin_password;
	} * keycloak_admin;
};

struct config_secrets {
	struct config_secret_backend {
		const char *address;
		int auth_method; /* 0: AppRole, the only one */
		const char *role_id;
		const char *secret_id_env_var;
		const char *namespace;
		const char *ca_cert, *client_cert, *client_key;
	} * backend; /* NULL if absent */
};

struct config_database {
	struct table_secret url; /* it may hold a password */
	int64_t max_connections;
	int64_t connect_timeout_s;
};

struct config_temporal {
	const char *address;
	const char *worker_http_endpoint;
	struct table_secret worker_secret;
	const char *namespace, *task_queue;
	int64_t max_connection_retries;
};

enum config_cluster_role {
	CONFIG_ROLE_CONTROLLER,
	CONFIG_ROLE_WORKER,
	CONFIG_ROLE_HYBRID,
	CONFIG_ROLE_EDGE,
	CONFIG_ROLE_RELAY_COORDINATOR
};
struct config_cluster {
	bool enabled;
	int role; /* enum config_cluster_role */
	struct config_controller {
		const char *endpoint;
		struct table_secret token;
		struct {
			bool enabled;
		} tls;
	} * controller;
	int64_t cluster_grpc_port;
	config_strings peers;
	const char *node_keypair_path;
	int64_t heartbeat_interval_s, token_refresh_margin_s;
	int64_t stale_threshold_s, sweep_interval_s; /* 0 if absent */
	struct config_cluster_tls {
		bool enabled;
		const char *cert_path, *key_path, *ca_cert;
	} * tls;
	struct config_edge {
		const char *tenant_id;
		const char *enrollment_token_path, *node_security_token_path;
		TABLE_LIST_OF(int64_t) stream_reconnect_backoff_s;
		struct {
			const char *os, *arch;
			config_strings local_tools, mount_points;
			config_string_map custom_labels;
		} capabilities;
	} * edge;
	const char *public_endpoint; /* ingress */
	const char *relay_coordinator_endpoint;
};

/* ---- our own sections ---- */

struct config_daemon {
	const char *data_directory;
	const char *socket_path; /* the Unix door; NULL: aegisd.sock in the data directory */
	const char *socket_group; /* group of the socket, which is 0660; NULL: the daemon's own */
	const char
		*api_key_path; /* bearer key of the TCP door; NULL: api.key in the data directory */
	bool tcp; /* false: no TCP door at all */
	int64_t workers; /* threads; 0: one per core */
	int64_t shutdown_grace_ns; /* running executions get so long */
	int64_t max_executions; /* running at once */
};

enum config_fsync { CONFIG_FSYNC_RECORD, CONFIG_FSYNC_BATCH, CONFIG_FSYNC_NEVER };
enum config_recording { CONFIG_RECORDING_COUNTED, CONFIG_RECORDING_STRICT };
struct config_audit {
	const char *directory; /* NULL: `audit` in the data directory */
	int fsync; /* enum config_fsync */
	int64_t fsync_interval_ns; /* CONFIG_FSYNC_BATCH: at the latest after so long */
	int64_t segment_bytes; /* a segment is closed at this size */
	int64_t checkpoint_interval_ns; /* a head is signed at least so often */
	int64_t file_window_ns; /* file operations within are summed up; 0: none are */
	int recording; /* enum config_recording: of what sandboxes' programs do */
};

struct config_sandbox {
	int64_t uid_first, uid_count; /* host ids that sandboxes run under */
	int64_t pool_size; /* prepared sandboxes; 0: made on demand */
	int64_t max_memory_bytes, max_disk_bytes; /* ceilings for what a manifest asks */
	int64_t max_pids;
};

enum config_require_level { CONFIG_REQUIRE_NONE, CONFIG_REQUIRE_DETECT, CONFIG_REQUIRE_PREVENT };
struct config_require {
	int all; /* enum config_require_level, for probes that are not named */
	TABLE_MAP_OF(int) probes; /* probe of `aegis doctor` -> enum config_require_level */
};

struct config_policy {
	const char *directory; /* NULL: see config_policy_directory() */
};

struct config_registry_credential {
	const char *registry, *username;
	struct table_secret password;
};

struct config {
	/* metadata */
	const char *name, *version;
	config_string_map labels;
	/* spec */
	struct config_node node;
	const char *image_tag;
	TABLE_LIST_OF(struct config_provider) llm_providers;
	struct config_llm_selection llm_selection;
	struct config_runtime runtime;
	struct config_network network;
	struct config_observability observability;
	struct config_storage storage;
	TABLE_LIST_OF(struct config_mcp_server) mcp_servers;
	TABLE_LIST_OF(struct config_dispatcher) builtin_dispatchers;
	struct config_cmd_dispatcher cmd_dispatcher;
	TABLE_LIST_OF(struct config_registry_credential) registry_credentials;
	TABLE_LIST_OF(struct config_security_context) security_contexts;
	struct config_smcp *smcp; /* NULL if absent, as all pointers below */
	struct config_iam *iam;
	struct config_grpc_auth {
		bool enabled;
		config_strings exempt_methods;
	} * grpc_auth;
	struct config_secrets secrets;
	struct config_database *database;
	struct config_temporal *temporal;
	struct config_cortex {
		const char *grpc_url;
		struct table_secret api_key;
	} * cortex;
	struct config_smcp_gateway {
		const char *url;
	} * smcp_gateway;
	struct config_cluster *cluster;
	struct config_billing {
		struct table_secret stripe_secret_key, stripe_webhook_secret, invitation_hmac_key;
	} * billing;
	struct config_zaru {
		const char *public_url;
		struct table_secret internal_secret;
	} * zaru;
	bool deploy_builtins;
	const char *force_deploy_builtins;
	int64_t max_execution_list_limit;
	/* our own */
	struct config_daemon daemon;
	struct config_audit audit;
	struct config_sandbox sandbox;
	struct config_require require;
	struct config_policy policy;

	const char *file; /* where it came from; NULL: embedded defaults */
};

/* How the environment is asked; tests give their own. NULL function: getenv. */
struct config_environment {
	const char *(*get)(void *ctx, const char *name); /* NULL: not set */
	void *ctx;
	bool may_be_unset; /* a variable that is not set is a warning: to check a file elsewhere */
};

enum config_outcome {
	CONFIG_INVALID = 1, /* findings are in the report */
	CONFIG_NOT_FOUND, /* the file named on the command line or in AEGIS_CONFIG_PATH is absent */
};

/* ---- discovery ---- */

enum { CONFIG_SEARCH_MAX = 8 };
struct config_search {
	size_t count;
	struct {
		const char *why; /* "--config", "AEGIS_CONFIG_PATH", "working directory", ... */
		char path[LIMIT_PATH_BYTES];
		bool exists;
	} tried[CONFIG_SEARCH_MAX]; /* in order; the last is the one found, if any exists */
};

/* --config PATH, AEGIS_CONFIG_PATH, ./aegis-config.yaml, ~/.aegis/config.yaml (and the name
 * upstream's `init` writes, ~/.aegis/aegis-config.yaml), /etc/aegis/config.yaml (and
 * /etc/aegis/aegis-config.yaml). The first that exists wins; the first two must exist if given.
 * 0 with *ret_path pointing into *ret, or NULL if there is none; CONFIG_NOT_FOUND. */
int config_discover(const char *flag, const struct config_environment *env,
	struct config_search *ret, const char **ret_path) MUST_USE;

/* ---- loading: blocking, for start-up, tools and offload threads ---- */

/* 0 with a reference in *ret; CONFIG_INVALID; -errno with the path if the file cannot be read.
 * Then AEGIS_PORT and AEGIS_LOG_LEVEL apply where the file is silent. */
int config_load(const char *path, const struct config_environment *env, struct report *report,
	const struct config **ret) MUST_USE;
int config_parse(const char *file, struct span text, const struct config_environment *env,
	struct report *report, const struct config **ret) MUST_USE;

/* What holds without a file: SQLite, a data directory, process sandboxes, no model. */
int config_default(const struct config_environment *env, const struct config **ret) MUST_USE;

/* Any thread. */
const struct config *config_ref(const struct config *c);
const struct config *config_unref(const struct config *c); /* always NULL */

/* Loads the file of `c`, with which the daemon started, again. 0 with a new snapshot; the outcomes
 * of config_load otherwise, and then the old snapshot goes on to hold. Fields that differ and that
 * only a restart takes up (all but policies, contexts and tool servers) are named in the report as
 * warnings. */
int config_reload(const struct config *c, const struct config_environment *env,
	struct report *report, const struct config **ret) MUST_USE;

/* ---- what people see ---- */

/* Sections and fields that the file sets and that have no effect yet: named at start, never
 * silently ignored. In document order. */
size_t config_notice_count(const struct config *c);
const char *config_notice(const struct config *c, size_t i); /* "spec.iam (line 12): ..." */

/* The configuration as resolved, secrets as their reference or "(redacted)". */
void config_dump(const struct config *c, struct json_writer *w);
void config_schema(struct json_writer *w); /* JSON Schema, draft 2020-12 */
void config_reference(struct buf *b); /* Markdown */
void config_sample(bool all, struct buf *b); /* commented YAML that loads */

/* The door's files, with the data directory filled in where the file is silent. NULL if out of
 * memory; free() it. */
char *config_socket_path(const struct config *c);
char *config_api_key_path(const struct config *c);
char *config_audit_directory(const struct config *c);
char *config_volume_directory(const struct config *c);
/* policy.d beside the configuration's file; without one, in the data directory. */
char *config_policy_directory(const struct config *c);
bool config_is_loopback(const char *bind_address); /* 127.0.0.0/8, ::1, localhost */
