/* SPDX-License-Identifier: AGPL-3.0-only */
/* The table of `kind: NodeConfig`, third part: what this node talks to. */
#include "daemon/config/config_internal.h"

/* ---- observability ---- */

static const char *const level_words[] = {"trace", "debug", "info", "warn", "error", NULL};
static const char *const log_format_words[] = {"json", "text", NULL};
static const char *const otlp_words[] = {"grpc", "http", NULL};

static const struct table_field batch_fields[] = {
	ROW(TABLE_INT, config_logging, batch.max_queue_size, "max_queue_size", "Records that wait.",
		.otherwise = "2048", .min = 1, .max = 1000000),
	ROW(TABLE_INT, config_logging, batch.scheduled_delay_ms, "scheduled_delay_ms",
		"Milliseconds between exports.", .otherwise = "5000", .min = 1, .max = 3600000),
	ROW(TABLE_INT, config_logging, batch.max_export_batch_size, "max_export_batch_size",
		"Records of one export.", .otherwise = "512", .min = 1, .max = 1000000),
	ROW(TABLE_INT, config_logging, batch.export_timeout_ms, "export_timeout_ms",
		"Milliseconds for an export.", .otherwise = "10000", .min = 1, .max = 3600000),
	{0}};
static const struct table batch_table = {
	.name = "OtlpBatch",
	.doc = "How records are gathered.",
	.bytes = sizeof(struct config_logging),
	.fields = batch_fields,
};
static const struct table_field otlp_tls_fields[] = {
	ROW(TABLE_BOOL, config_logging, tls.verify, "verify", "Check the certificate.",
		.otherwise = "true"),
	ROW(TABLE_STRING, config_logging, tls.ca_cert_path, "ca_cert_path",
		"Authority of the certificate.", FILE_PATH),
	{0}};
static const struct table otlp_tls_table = {
	.name = "OtlpTls",
	.doc = "TLS of the export.",
	.bytes = sizeof(struct config_logging),
	.fields = otlp_tls_fields,
};

static const struct table_field logging_fields[] = {
	ROW(TABLE_ENUM, config_logging, level, "level", "Least level that is logged.",
		.values = level_words, .otherwise = "info"),
	ROW(TABLE_ENUM, config_logging, format, "format", "Form of a line.",
		.values = log_format_words, .otherwise = "json"),
	ROW(TABLE_STRING, config_logging, file, "file", "File instead of stderr.", FILE_PATH,
		LATER),
	ROW(TABLE_STRING, config_logging, otlp_endpoint, "otlp_endpoint",
		"OpenTelemetry collector for logs.", URL, LATER),
	ROW(TABLE_ENUM, config_logging, otlp_protocol, "otlp_protocol", "Its protocol.",
		.values = otlp_words, .otherwise = "grpc", LATER),
	ROW(TABLE_MAP, config_logging, otlp_headers, "otlp_headers", "Headers for it.", SECRETS,
		LATER),
	ROW(TABLE_ENUM, config_logging, min_level, "min_level", "Least level that is exported.",
		.values = level_words, .otherwise = "info", LATER),
	ROW(TABLE_STRING, config_logging, service_name, "service_name", "Name in exports.", NAME,
		LATER),
	{.name = "batch",
		.type = TABLE_OBJECT,
		.table = &batch_table,
		.doc = "How records are gathered.",
		LATER},
	{.name = "tls",
		.type = TABLE_OBJECT,
		.table = &otlp_tls_table,
		.doc = "TLS of the export.",
		LATER},
	{0}};
static const struct table logging_table = {
	.name = "Logging",
	.doc = "Logs.",
	.bytes = sizeof(struct config_logging),
	.fields = logging_fields,
};

static const struct table_field metrics_fields[] = {
	ROW(TABLE_BOOL, config_metrics, enabled, "enabled", "Whether metrics are served.",
		.otherwise = "true"),
	ROW(TABLE_STRING, config_metrics, bind_address, "bind_address", "Address to listen on.",
		NAME, .otherwise = "127.0.0.1"),
	ROW(TABLE_INT, config_metrics, port, "port", "Port.", PORT, .otherwise = "9090"),
	ROW(TABLE_STRING, config_metrics, path, "path", "Path of the request.", NAME,
		.otherwise = "/metrics"),
	{0}};
static const struct table metrics_table = {
	.name = "Metrics",
	.doc = "Metrics for Prometheus.",
	.bytes = sizeof(struct config_metrics),
	.fields = metrics_fields,
};

static const struct table_field tracing_fields[] = {
	ROW(TABLE_BOOL, config_tracing, enabled, "enabled", "Whether traces are exported.",
		.otherwise = "false", LATER),
	ROW(TABLE_STRING, config_tracing, otlp_endpoint, "otlp_endpoint",
		"OpenTelemetry collector for traces.", URL, LATER),
	{0}};
static const struct table tracing_table = {
	.name = "Tracing",
	.doc = "Traces.",
	.bytes = sizeof(struct config_tracing),
	.fields = tracing_fields,
};

static const struct table_field observability_fields[] = {
	ROW(TABLE_OBJECT, config_observability, logging, "logging", "Logs.",
		.table = &logging_table),
	ROW(TABLE_OBJECT, config_observability, metrics, "metrics", "Metrics for Prometheus.",
		.table = &metrics_table, LATER),
	ROW(TABLE_OBJECT, config_observability, tracing, "tracing", "Traces.",
		.table = &tracing_table),
	{0}};
static const struct table_renamed observability_renamed[] = {
	{"otel_endpoint", "tracing.otlp_endpoint", false}, {0}};
const struct table config_observability_table = {
	.name = "Observability",
	.doc = "Logs, metrics, traces.",
	.bytes = sizeof(struct config_observability),
	.fields = observability_fields,
	.renamed = observability_renamed,
};

/* ---- storage ---- */

static const char *const backend_words[] = {"local_host", "seaweedfs", "opendal", NULL};

static const struct table_field seaweedfs_fields[] = {
	ROW(TABLE_STRING, config_seaweedfs, filer_url, "filer_url", "Filer.", URL,
		.otherwise = "http://localhost:8888"),
	ROW(TABLE_STRING, config_seaweedfs, mount_point, "mount_point", "Where it is mounted.",
		FILE_PATH, .otherwise = "/var/lib/aegis/storage"),
	ROW(TABLE_INT, config_seaweedfs, default_ttl_hours, "default_ttl_hours",
		"Life of ephemeral volumes.", .otherwise = "24", .min = 1, .max = 8784),
	ROW(TABLE_INT, config_seaweedfs, default_size_limit_mb, "default_size_limit_mb",
		"Quota of a volume that says nothing.", .otherwise = "1000", .min = 1),
	ROW(TABLE_INT, config_seaweedfs, max_size_limit_mb, "max_size_limit_mb", "Largest quota.",
		.otherwise = "10000", .min = 1),
	ROW(TABLE_INT, config_seaweedfs, gc_interval_minutes, "gc_interval_minutes",
		"Minutes between clean-ups.", .otherwise = "60", .min = 1, .max = 44640),
	ROW(TABLE_STRING, config_seaweedfs, s3_endpoint, "s3_endpoint", "S3 gateway.", URL),
	ROW(TABLE_STRING, config_seaweedfs, s3_region, "s3_region", "Its region.", NAME,
		.otherwise = "us-east-1"),
	{0}};
static const struct table seaweedfs_table = {
	.name = "SeaweedFs",
	.doc = "Volumes in SeaweedFS.",
	.bytes = sizeof(struct config_seaweedfs),
	.fields = seaweedfs_fields,
};

static const struct table_field local_host_fields[] = {
	ROW(TABLE_STRING, config_local_host, mount_point, "mount_point",
		"Directory; by default `volumes` in the data directory.", FILE_PATH),
	ROW(TABLE_INT, config_local_host, default_ttl_hours, "default_ttl_hours",
		"Life of ephemeral volumes.", .otherwise = "24", .min = 1, .max = 8784, LATER),
	ROW(TABLE_INT, config_local_host, default_size_limit_mb, "default_size_limit_mb",
		"Quota of a volume that says nothing.", .otherwise = "1000", .min = 1, LATER),
	ROW(TABLE_INT, config_local_host, max_size_limit_mb, "max_size_limit_mb", "Largest quota.",
		.otherwise = "10000", .min = 1, LATER),
	{0}};
static const struct table_renamed local_host_renamed[] = {
	{"base_path", "mount_point", true}, {"path", "mount_point", false}, {0}};
static const struct table local_host_table = {
	.name = "LocalHost",
	.doc = "Volumes in a local directory.",
	.bytes = sizeof(struct config_local_host),
	.fields = local_host_fields,
	.renamed = local_host_renamed,
};

static const struct table_field opendal_fields[] = {
	ROW(TABLE_STRING, config_opendal, provider, "provider", "Scheme.", NAME,
		.otherwise = "memory"),
	ROW(TABLE_MAP, config_opendal, options, "options", "Its options.", ANY_STRINGS, .max = 256),
	{0}};
static const struct table opendal_table = {
	.name = "OpenDal",
	.doc = "Volumes through OpenDAL.",
	.bytes = sizeof(struct config_opendal),
	.fields = opendal_fields,
};

static const struct table_field storage_fields[] = {
	ROW(TABLE_ENUM, config_storage, backend, "backend", "Where volumes are kept.",
		.values = backend_words, .otherwise = "local_host", LATER,
		.effect_values = BIT(CONFIG_STORAGE_SEAWEEDFS) | BIT(CONFIG_STORAGE_OPENDAL),
		.effect_says = "volumes are kept in a local directory"),
	ROW(TABLE_BOOL, config_storage, fallback_to_local, "fallback_to_local",
		"Use a local directory if the backend is away.", .otherwise = "true", LATER),
	ROW(TABLE_INT, config_storage, nfs_port, "nfs_port", "Port of the NFS server.", PORT,
		.otherwise = "2049", LATER),
	ROW(TABLE_OBJECT, config_storage, seaweedfs, "seaweedfs", "Volumes in SeaweedFS.",
		.table = &seaweedfs_table, .flags = TABLE_POINTER, LATER),
	ROW(TABLE_OBJECT, config_storage, local_host, "local_host", "Volumes in a local directory.",
		.table = &local_host_table),
	ROW(TABLE_OBJECT, config_storage, opendal, "opendal", "Volumes through OpenDAL.",
		.table = &opendal_table, .flags = TABLE_POINTER, LATER),
	{0}};
static const struct table_renamed storage_renamed[] = {{"local", "local_host", true}, {0}};
const struct table config_storage_table = {
	.name = "Storage",
	.doc = "Where volumes are kept.",
	.bytes = sizeof(struct config_storage),
	.fields = storage_fields,
	.renamed = storage_renamed,
	.check = config_check_storage,
};

static const struct table_field database_fields[] = {
	ROW(TABLE_SECRET, config_database, url, "url", "Connection URL.", .flags = TABLE_REQUIRED,
		.example = "postgresql://localhost/aegis"),
	ROW(TABLE_INT, config_database, max_connections, "max_connections", "Connections.",
		.otherwise = "5", .min = 1, .max = 1000),
	ROW(TABLE_INT, config_database, connect_timeout_s, "connect_timeout_seconds",
		"Seconds to connect.", .otherwise = "5", .min = 1, .max = 3600),
	{0}};
const struct table config_database_table = {
	.name = "Database",
	.doc = "PostgreSQL.",
	.bytes = sizeof(struct config_database),
	.fields = database_fields,
};

/* ---- identity ---- */

static const struct table_field smcp_fields[] = {
	ROW(TABLE_STRING, config_smcp, private_key_path, "private_key_path",
		"Key that signs security tokens of its kind (Ed25519 or RSA), in place of the "
		"node's "
		"own, PEM.",
		.flags = TABLE_REQUIRED, FILE_PATH, .example = "/etc/aegis/smcp/private.pem"),
	ROW(TABLE_STRING, config_smcp, public_key_path, "public_key_path",
		"Key that verifies them, PEM. It is derived from the private key.", FILE_PATH,
		LATER, .example = "/etc/aegis/smcp/public.pem"),
	ROW(TABLE_STRING, config_smcp, issuer, "issuer", "Their iss claim.", NAME,
		.otherwise = "aegis-orchestrator"),
	ROW(TABLE_LIST, config_smcp, audiences, "audiences", "Their aud claim: one.", STRINGS,
		.otherwise = "[aegis-agents]", .min = 1, .max = 1),
	ROW(TABLE_INT, config_smcp, token_ttl_s, "token_ttl_seconds", "Their life in seconds.",
		.otherwise = "3600", .min = 1, .max = 86400),
	{0}};
const struct table config_smcp_table = {
	.name = "Smcp",
	.doc = "Keys and tokens of SMCP.",
	.bytes = sizeof(struct config_smcp),
	.fields = smcp_fields,
};

static const char *const realm_words[] = {"system", "consumer", "tenant", NULL};
static const struct table_field realm_fields[] = {
	ROW(TABLE_STRING, config_realm, slug, "slug", "Name of the realm.", .flags = TABLE_REQUIRED,
		NAME, .example = "aegis-system"),
	ROW(TABLE_STRING, config_realm, issuer_url, "issuer_url", "Issuer.",
		.flags = TABLE_REQUIRED, URL, .example = "https://auth.example.com/realms/aegis"),
	ROW(TABLE_STRING, config_realm, jwks_uri, "jwks_uri", "Keys of the issuer.",
		.flags = TABLE_REQUIRED, URL,
		.example = "https://auth.example.com/realms/aegis/certs"),
	ROW(TABLE_STRING, config_realm, audience, "audience", "aud claim that is expected.",
		.flags = TABLE_REQUIRED, NAME, .example = "aegis-orchestrator"),
	ROW(TABLE_ENUM, config_realm, kind, "kind", "Whose identities these are.",
		.flags = TABLE_REQUIRED, .values = realm_words),
	{0}};
static const struct table realm_table = {
	.name = "Realm",
	.doc = "An OIDC realm that is trusted.",
	.bytes = sizeof(struct config_realm),
	.fields = realm_fields,
};
static const struct table_field realm_item = {
	.name = "realm", .type = TABLE_OBJECT, .table = &realm_table};

static const struct table_field claims_fields[] = {
	ROW(TABLE_STRING, config_iam, claims.zaru_tier, "zaru_tier", "Claim with the tier.", NAME,
		.otherwise = "zaru_tier"),
	ROW(TABLE_STRING, config_iam, claims.aegis_role, "aegis_role", "Claim with the role.", NAME,
		.otherwise = "aegis_role"),
	ROW(TABLE_STRING, config_iam, claims.tenant_id, "tenant_id", "Claim with the tenant.", NAME,
		.otherwise = "tenant_id"),
	{0}};
static const struct table claims_table = {
	.name = "Claims",
	.doc = "Names of claims.",
	.bytes = sizeof(struct config_iam),
	.fields = claims_fields,
};

static const struct table_field keycloak_fields[] = {
	ROW(TABLE_STRING, config_keycloak_admin, host, "host", "Keycloak.", .flags = TABLE_REQUIRED,
		NAME),
	ROW(TABLE_STRING, config_keycloak_admin, admin_username, "admin_username", "User.",
		.flags = TABLE_REQUIRED, NAME),
	ROW(TABLE_SECRET, config_keycloak_admin, admin_password, "admin_password", "Password.",
		.flags = TABLE_REQUIRED),
	{0}};
static const struct table keycloak_table = {
	.name = "KeycloakAdmin",
	.doc = "Administration of Keycloak.",
	.bytes = sizeof(struct config_keycloak_admin),
	.fields = keycloak_fields,
};

static const struct table_field iam_fields[] = {
	ROW(TABLE_LIST, config_iam, realms, "realms", "Realms that are trusted.",
		.flags = TABLE_REQUIRED | TABLE_UNIQUE,
		LIST(realm_item, sizeof(struct config_realm)), .min = 1, .max = 64),
	ROW(TABLE_INT, config_iam, jwks_cache_ttl_s, "jwks_cache_ttl_seconds",
		"Seconds that keys are kept.", .otherwise = "300", .min = 1, .max = 86400),
	{.name = "claims", .type = TABLE_OBJECT, .table = &claims_table, .doc = "Names of claims."},
	ROW(TABLE_OBJECT, config_iam, keycloak_admin, "keycloak_admin",
		"Administration of Keycloak.", .table = &keycloak_table,
		.flags = TABLE_POINTER | TABLE_HIDDEN),
	{0}};
const struct table config_iam_table = {
	.name = "Iam",
	.doc = "OIDC realms that are trusted.",
	.bytes = sizeof(struct config_iam),
	.fields = iam_fields,
};

static const struct table_field grpc_auth_fields[] = {
	ROW(TABLE_BOOL, config_grpc_auth, enabled, "enabled", "Whether tokens are asked for.",
		.otherwise = "true"),
	ROW(TABLE_LIST, config_grpc_auth, exempt_methods, "exempt_methods",
		"Methods that need none.", STRINGS, .max = 256,
		.otherwise = "[/aegis.v1.InnerLoop/Generate]"),
	{0}};
const struct table config_grpc_auth_table = {
	.name = "GrpcAuth",
	.doc = "Tokens on the gRPC API.",
	.bytes = sizeof(struct config_grpc_auth),
	.fields = grpc_auth_fields,
};

static const char *const auth_words[] = {"approle", NULL};
static const struct table_field approle_fields[] = {
	ROW(TABLE_STRING, config_secret_backend, role_id, "role_id", "AppRole id.",
		.flags = TABLE_REQUIRED, NAME, .example = "aegis"),
	ROW(TABLE_STRING, config_secret_backend, secret_id_env_var, "secret_id_env_var",
		"Variable with the AppRole secret.", NAME, .otherwise = "OPENBAO_SECRET_ID"),
	{0}};
static const struct table approle_table = {
	.name = "AppRole",
	.doc = "How this node logs in.",
	.bytes = sizeof(struct config_secret_backend),
	.fields = approle_fields,
};
static const struct table_field secret_tls_fields[] = {
	ROW(TABLE_STRING, config_secret_backend, ca_cert, "ca_cert", "Authority.", FILE_PATH),
	ROW(TABLE_STRING, config_secret_backend, client_cert, "client_cert", "Client certificate.",
		FILE_PATH),
	ROW(TABLE_STRING, config_secret_backend, client_key, "client_key", "Its key.", FILE_PATH),
	{0}};
static const struct table_rule secret_tls_rules[] = {
	{TABLE_RULE_TOGETHER, "client_cert", "client_key", "both, or none"}, {0}};
static const struct table secret_tls_table = {
	.name = "SecretTls",
	.doc = "TLS to the store.",
	.bytes = sizeof(struct config_secret_backend),
	.fields = secret_tls_fields,
	.rules = secret_tls_rules,
};
static const struct table_field secret_backend_fields[] = {
	ROW(TABLE_STRING, config_secret_backend, address, "address", "OpenBao.",
		.flags = TABLE_REQUIRED, URL, .example = "https://openbao.internal:8200"),
	ROW(TABLE_ENUM, config_secret_backend, auth_method, "auth_method", "How it logs in.",
		.values = auth_words, .otherwise = "approle"),
	{.name = "approle",
		.type = TABLE_OBJECT,
		.table = &approle_table,
		.flags = TABLE_REQUIRED,
		.doc = "How this node logs in."},
	ROW(TABLE_STRING, config_secret_backend, namespace, "namespace", "Namespace.", NAME),
	{.name = "tls",
		.type = TABLE_OBJECT,
		.table = &secret_tls_table,
		.doc = "TLS to the store."},
	{0}};
static const struct table secret_backend_table = {
	.name = "SecretBackend",
	.doc = "OpenBao.",
	.bytes = sizeof(struct config_secret_backend),
	.fields = secret_backend_fields,
};
static const struct table_field secrets_fields[] = {
	ROW(TABLE_OBJECT, config_secrets, backend, "backend", "OpenBao.",
		.table = &secret_backend_table, .flags = TABLE_POINTER),
	{0}};
const struct table config_secrets_table = {
	.name = "Secrets",
	.doc = "The secret store.",
	.bytes = sizeof(struct config_secrets),
	.fields = secrets_fields,
};

/* ---- other services ---- */

static const struct table_field temporal_fields[] = {
	ROW(TABLE_STRING, config_temporal, address, "address", "Temporal server.", NAME,
		.otherwise = "temporal:7233"),
	ROW(TABLE_STRING, config_temporal, worker_http_endpoint, "worker_http_endpoint", "Worker.",
		URL, .otherwise = "http://localhost:3000"),
	ROW(TABLE_SECRET, config_temporal, worker_secret, "worker_secret", "Secret of the worker."),
	ROW(TABLE_STRING, config_temporal, namespace, "namespace", "Namespace.", NAME,
		.otherwise = "default"),
	ROW(TABLE_STRING, config_temporal, task_queue, "task_queue", "Task queue.", NAME,
		.otherwise = "aegis-agents"),
	ROW(TABLE_INT, config_temporal, max_connection_retries, "max_connection_retries",
		"Attempts to connect.", .min = -1, .max = 1000000),
	{0}};
const struct table config_temporal_table = {
	.name = "Temporal",
	.doc = "Temporal, for workflows.",
	.bytes = sizeof(struct config_temporal),
	.fields = temporal_fields,
};

static const struct table_field cortex_fields[] = {
	ROW(TABLE_STRING, config_cortex, grpc_url, "grpc_url", "Cortex.", URL),
	ROW(TABLE_SECRET, config_cortex, api_key, "api_key", "Its key."), {0}};
const struct table config_cortex_table = {
	.name = "Cortex",
	.doc = "Cortex, for memory.",
	.bytes = sizeof(struct config_cortex),
	.fields = cortex_fields,
};

static const struct table_field smcp_gateway_fields[] = {
	ROW(TABLE_STRING, config_smcp_gateway, url, "url", "Gateway.", URL,
		.example = "http://aegis-smcp-gateway:50055"),
	{0}};
const struct table config_smcp_gateway_table = {
	.name = "SmcpGateway",
	.doc = "Gateway for external tools.",
	.bytes = sizeof(struct config_smcp_gateway),
	.fields = smcp_gateway_fields,
};

static const struct table_field registry_fields[] = {
	ROW(TABLE_STRING, config_registry_credential, registry, "registry", "Registry.",
		.flags = TABLE_REQUIRED, NAME, .example = "ghcr.io"),
	ROW(TABLE_STRING, config_registry_credential, username, "username", "User.",
		.flags = TABLE_REQUIRED, NAME, .example = "me"),
	ROW(TABLE_SECRET, config_registry_credential, password, "password", "Password.",
		.flags = TABLE_REQUIRED, .example = "literal:replace-me"),
	{0}};
const struct table config_registry_table = {
	.name = "RegistryCredential",
	.doc = "Login of a container registry.",
	.bytes = sizeof(struct config_registry_credential),
	.fields = registry_fields,
};

static const struct table_field billing_fields[] = {
	ROW(TABLE_SECRET, config_billing, stripe_secret_key, "stripe_secret_key", "Stripe key.",
		.flags = TABLE_REQUIRED),
	ROW(TABLE_SECRET, config_billing, stripe_webhook_secret, "stripe_webhook_secret",
		"Secret of Stripe's webhooks."),
	ROW(TABLE_SECRET, config_billing, invitation_hmac_key, "invitation_hmac_key",
		"Key of invitations."),
	{0}};
const struct table config_billing_table = {
	.name = "Billing",
	.doc = "Billing of upstream's hosted service.",
	.bytes = sizeof(struct config_billing),
	.fields = billing_fields,
};

static const struct table_field zaru_fields[] = {
	ROW(TABLE_STRING, config_zaru, public_url, "public_url", "Client.", .flags = TABLE_REQUIRED,
		URL),
	ROW(TABLE_SECRET, config_zaru, internal_secret, "internal_secret", "Secret shared with it.",
		.flags = TABLE_REQUIRED),
	{0}};
const struct table config_zaru_table = {
	.name = "Zaru",
	.doc = "Upstream's hosted client.",
	.bytes = sizeof(struct config_zaru),
	.fields = zaru_fields,
};
