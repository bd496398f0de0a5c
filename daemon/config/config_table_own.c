/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The table of `kind: NodeConfig`, fourth part: clusters, and the sections that upstream does not
 * have: the daemon itself, its audit journal, its sandboxes, its policies, and what the host must
 * offer.
 */
#include "daemon/config/config_internal.h"

/* ---- cluster ---- */

static const char *const role_words[] = {
	"controller", "worker", "hybrid", "edge", "relay-coordinator", NULL};

static const struct table_field controller_tls_fields[] = {
	ROW(TABLE_BOOL, config_controller, tls.enabled, "enabled", "Whether TLS is on.",
		.otherwise = "true"),
	{0}};
static const struct table controller_tls_table = {
	.name = "ControllerTls",
	.doc = "TLS to the controller.",
	.bytes = sizeof(struct config_controller),
	.fields = controller_tls_fields,
};
static const struct table_field controller_fields[] = {
	ROW(TABLE_STRING, config_controller, endpoint, "endpoint", "Controller.",
		.flags = TABLE_REQUIRED, NAME, .example = "controller.internal:50056"),
	ROW(TABLE_SECRET, config_controller, token, "token", "Token for it."),
	{.name = "tls",
		.type = TABLE_OBJECT,
		.table = &controller_tls_table,
		.doc = "TLS to the controller."},
	{0}};
static const struct table controller_table = {
	.name = "Controller",
	.doc = "The controller of the cluster.",
	.bytes = sizeof(struct config_controller),
	.fields = controller_fields,
};

static const struct table_field cluster_tls_fields[] = {
	ROW(TABLE_BOOL, config_cluster_tls, enabled, "enabled", "Whether TLS is on.",
		.otherwise = "true"),
	ROW(TABLE_STRING, config_cluster_tls, cert_path, "cert_path", "Certificate chain, PEM.",
		.flags = TABLE_REQUIRED, FILE_PATH),
	ROW(TABLE_STRING, config_cluster_tls, key_path, "key_path", "Private key, PEM.",
		.flags = TABLE_REQUIRED, FILE_PATH),
	ROW(TABLE_STRING, config_cluster_tls, ca_cert, "ca_cert", "Authority of peers.",
		.flags = TABLE_REQUIRED, FILE_PATH),
	{0}};
static const struct table cluster_tls_table = {
	.name = "ClusterTls",
	.doc = "TLS between nodes.",
	.bytes = sizeof(struct config_cluster_tls),
	.fields = cluster_tls_fields,
};

static const struct table_field edge_capabilities_fields[] = {
	ROW(TABLE_STRING, config_edge, capabilities.os, "os", "Operating system.", .otherwise = ""),
	ROW(TABLE_STRING, config_edge, capabilities.arch, "arch", "Architecture.", .otherwise = ""),
	ROW(TABLE_LIST, config_edge, capabilities.local_tools, "local_tools",
		"Tools on this machine.", STRINGS, .max = 1024),
	ROW(TABLE_LIST, config_edge, capabilities.mount_points, "mount_points",
		"Directories that it offers.", STRINGS, .max = 1024),
	ROW(TABLE_MAP, config_edge, capabilities.custom_labels, "custom_labels", "Labels.",
		ANY_STRINGS, .max = 256),
	{0}};
static const struct table edge_capabilities_table = {
	.name = "EdgeCapabilities",
	.doc = "What an edge node offers.",
	.bytes = sizeof(struct config_edge),
	.fields = edge_capabilities_fields,
};
static const struct table_field backoff_item = {
	.name = "seconds", .type = TABLE_INT, .min = 1, .max = 86400};
static const struct table_field edge_fields[] = {
	ROW(TABLE_STRING, config_edge, tenant_id, "tenant_id", "Tenant of this node.", NAME),
	ROW(TABLE_STRING, config_edge, enrollment_token_path, "enrollment_token_path",
		"Token that enrols this node.", FILE_PATH),
	ROW(TABLE_STRING, config_edge, node_security_token_path, "node_security_token_path",
		"Token that it gets.", FILE_PATH, .otherwise = "~/.aegis/edge/node.token"),
	ROW(TABLE_LIST, config_edge, stream_reconnect_backoff_s, "stream_reconnect_backoff_secs",
		"Seconds before each attempt to connect again.",
		LIST(backoff_item, sizeof(int64_t)), .otherwise = "[1, 2, 5, 15, 60]", .max = 64),
	{.name = "capabilities",
		.type = TABLE_OBJECT,
		.table = &edge_capabilities_table,
		.doc = "What this node offers."},
	{0}};
static const struct table edge_table = {
	.name = "Edge",
	.doc = "An edge node.",
	.bytes = sizeof(struct config_edge),
	.fields = edge_fields,
};

static const struct table_field ingress_fields[] = {
	ROW(TABLE_STRING, config_cluster, public_endpoint, "public_endpoint",
		"Endpoint in enrolment tokens.", .flags = TABLE_REQUIRED, NAME),
	{0}};
static const struct table ingress_table = {
	.name = "Ingress",
	.doc = "Where edge nodes come in.",
	.bytes = sizeof(struct config_cluster),
	.fields = ingress_fields,
};

static const struct table_field cluster_fields[] = {
	ROW(TABLE_BOOL, config_cluster, enabled, "enabled", "Whether this node is in a cluster.",
		.otherwise = "false"),
	ROW(TABLE_ENUM, config_cluster, role, "role", "Its role there.", .values = role_words,
		.otherwise = "hybrid"),
	ROW(TABLE_OBJECT, config_cluster, controller, "controller", "The controller.",
		.table = &controller_table, .flags = TABLE_POINTER),
	ROW(TABLE_INT, config_cluster, cluster_grpc_port, "cluster_grpc_port",
		"Port between nodes.", PORT, .otherwise = "50056"),
	ROW(TABLE_LIST, config_cluster, peers, "peers", "Other nodes.", STRINGS, .max = 1024),
	ROW(TABLE_STRING, config_cluster, node_keypair_path, "node_keypair_path",
		"Key pair of this node.", FILE_PATH, .otherwise = "~/.aegis/node_keypair"),
	ROW(TABLE_INT, config_cluster, heartbeat_interval_s, "heartbeat_interval_secs",
		"Seconds between heartbeats.", .otherwise = "30", .min = 1, .max = 86400),
	ROW(TABLE_INT, config_cluster, token_refresh_margin_s, "token_refresh_margin_secs",
		"Seconds before a token ends that it is renewed.", .otherwise = "120", .min = 1,
		.max = 86400),
	ROW(TABLE_INT, config_cluster, stale_threshold_s, "stale_threshold_secs",
		"Seconds of silence after which a node counts as gone.", .min = 1, .max = 86400),
	ROW(TABLE_INT, config_cluster, sweep_interval_s, "sweep_interval_secs",
		"Seconds between looks for silent nodes.", .min = 1, .max = 86400),
	ROW(TABLE_OBJECT, config_cluster, tls, "tls", "TLS between nodes.",
		.table = &cluster_tls_table, .flags = TABLE_POINTER),
	ROW(TABLE_OBJECT, config_cluster, edge, "edge", "An edge node.", .table = &edge_table,
		.flags = TABLE_POINTER),
	{.name = "ingress",
		.type = TABLE_OBJECT,
		.table = &ingress_table,
		.doc = "Where edge nodes come in."},
	ROW(TABLE_STRING, config_cluster, relay_coordinator_endpoint, "relay_coordinator_endpoint",
		"Relay coordinator.", NAME),
	{0}};
const struct table config_cluster_table = {
	.name = "Cluster",
	.doc = "Several nodes together.",
	.bytes = sizeof(struct config_cluster),
	.fields = cluster_fields,
	.check = config_check_cluster,
};

/* ---- our own ---- */

static const struct table_field daemon_fields[] = {
	ROW(TABLE_STRING, config_daemon, data_directory, "data_directory",
		"Where everything is kept: store, audit journal, volumes, keys.",
		.pattern = "/[^\\x00]*", .pattern_says = "an absolute path", FILE_PATH,
		.otherwise = "/var/lib/aegis"),
	ROW(TABLE_STRING, config_daemon, socket_path, "socket_path",
		"Unix socket of the CLI; by default aegisd.sock in the data directory.",
		.pattern = "/[^\\x00]*", .pattern_says = "an absolute path of at most 107 bytes",
		.min = 1, .max = 107),
	ROW(TABLE_STRING, config_daemon, socket_group, "socket_group",
		"Group that may use that socket.", NAME),
	ROW(TABLE_STRING, config_daemon, api_key_path, "api_key_path",
		"Bearer key of the network door, made at first start; by default api.key in the "
		"data directory.",
		FILE_PATH),
	ROW(TABLE_BOOL, config_daemon, tcp, "tcp", "Whether there is a network door at all.",
		.otherwise = "true"),
	ROW(TABLE_INT, config_daemon, workers, "workers", "Threads; 0: one per processor.",
		.otherwise = "0", .min = 0, .max = 1024),
	ROW(TABLE_DURATION, config_daemon, shutdown_grace_ns, "shutdown_grace",
		"How long running executions get at a stop.", .otherwise = "30s", .min = 0,
		.max = 3600 * NS_PER_S, LATER),
	ROW(TABLE_INT, config_daemon, max_executions, "max_executions",
		"Executions that run at once.", .otherwise = "64", .min = 1, .max = 100000),
	{0}};
const struct table config_daemon_table = {
	.name = "Daemon",
	.doc = "This daemon itself.",
	.bytes = sizeof(struct config_daemon),
	.fields = daemon_fields,
};

static const char *const recording_words[] = {"counted", "strict", NULL};
static const char *const fsync_words[] = {"record", "batch", "never", NULL};
static const struct table_field audit_fields[] = {
	ROW(TABLE_STRING, config_audit, directory, "directory",
		"Segments of the journal; by default audit in the data directory.",
		.pattern = "/[^\\x00]*", .pattern_says = "an absolute path", FILE_PATH),
	ROW(TABLE_ENUM, config_audit, fsync, "fsync",
		"When records are forced to disk: each, in batches, or by the kernel alone.",
		.values = fsync_words, .otherwise = "batch"),
	ROW(TABLE_DURATION, config_audit, fsync_interval_ns, "fsync_interval",
		"Longest wait of a batch.", .otherwise = "50ms", .min = NS_PER_MS,
		.max = 60 * NS_PER_S),
	ROW(TABLE_SIZE, config_audit, segment_bytes, "segment_size",
		"Size at which a segment is closed.", .otherwise = "64Mi", .min = 64 * 1024,
		.max = INT64_C(4) << 30),
	ROW(TABLE_DURATION, config_audit, file_window_ns, "file_window",
		"Reads, writes and look-ups of a file within this time, of no tool call of their "
		"own, "
		"are one record; 0: each is one.",
		.otherwise = "1s", .min = 0, .max = 3600 * NS_PER_S),
	ROW(TABLE_ENUM, config_audit, recording, "recording",
		"What becomes of processes, programs and rings for which the kernel has no room to "
		"record them. counted: they are counted as lost; strict: whoever makes them is "
		"killed, in every sandbox, and where the kernel cannot record, none starts. A "
		"manifest asks for it by spec.security.recording.",
		.values = recording_words, .otherwise = "counted"),
	ROW(TABLE_DURATION, config_audit, checkpoint_interval_ns, "checkpoint_interval",
		"A head is signed at least so often.", .otherwise = "10s", .min = 100 * NS_PER_MS,
		.max = 3600 * NS_PER_S),
	{0}};
const struct table config_audit_table = {
	.name = "Audit",
	.doc = "The audit journal.",
	.bytes = sizeof(struct config_audit),
	.fields = audit_fields,
};

static const struct table_field sandbox_fields[] = {
	ROW(TABLE_INT, config_sandbox, uid_first, "uid_first",
		"First of the host user ids that sandboxes run under.", .otherwise = "1000000",
		.min = 1000, .max = INT32_MAX - 4096),
	ROW(TABLE_INT, config_sandbox, uid_count, "uid_count", "How many there are.",
		.otherwise = "256", .min = 1, .max = 4096),
	ROW(TABLE_INT, config_sandbox, pool_size, "pool_size",
		"Sandboxes that are kept ready; 0: none.", .otherwise = "4", .min = 0, .max = 10000,
		LATER),
	ROW(TABLE_SIZE, config_sandbox, max_memory_bytes, "max_memory",
		"Most memory that a manifest may ask for.", .otherwise = "64Gi",
		.min = 4 * 1024 * 1024, .effect = TABLE_GUARDED),
	ROW(TABLE_SIZE, config_sandbox, max_disk_bytes, "max_disk",
		"Most disk that a manifest may ask for.", .otherwise = "1Ti", .min = 1024 * 1024,
		.effect = TABLE_GUARDED),
	ROW(TABLE_INT, config_sandbox, max_pids, "max_pids", "Processes of one sandbox.",
		.otherwise = "512", .min = 8, .max = 100000, .effect = TABLE_GUARDED),
	{0}};
const struct table config_sandbox_table = {
	.name = "Sandbox",
	.doc = "Sandboxes of kind process.",
	.bytes = sizeof(struct config_sandbox),
	.fields = sandbox_fields,
};

static const char *const require_words[] = {"none", "detect", "prevent", NULL};
static const struct table_field require_item = {
	.name = "level", .type = TABLE_ENUM, .values = require_words};
static const struct table_field require_fields[] = {
	ROW(TABLE_ENUM, config_require, all, "all", "Level of every probe that is not named.",
		.values = require_words, .otherwise = "none"),
	ROW(TABLE_MAP, config_require, probes, "probes", "Levels by probe.",
		LIST(require_item, sizeof(int)), .max = 256,
		.example = "{files.mediation: prevent}"),
	{0}};
const struct table config_require_table = {
	.name = "Require",
	.doc = "Least level of protection that `aegis doctor` must find.",
	.bytes = sizeof(struct config_require),
	.fields = require_fields,
};

static const struct table_field policy_fields[] = {
	ROW(TABLE_STRING, config_policy, directory, "dir",
		"Folder of *.cedar and *.cedarschema files; by default policy.d beside this file.",
		.pattern = "/[^\\x00]*", .pattern_says = "an absolute path", FILE_PATH,
		.example = "/etc/aegis/policy.d"),
	{0}};
const struct table config_policy_table = {
	.name = "Policy",
	.doc = "Policies of this node.",
	.bytes = sizeof(struct config_policy),
	.fields = policy_fields,
};
