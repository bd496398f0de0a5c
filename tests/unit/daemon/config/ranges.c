/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Every range and set of words of the node configuration reference, and of our own sections, from
 * both sides; and every documented default. Fields that depend on each other stand in config.c.
 */
#include "daemon/config/config.h"
#include "tests/tap.h"
#include "tests/unit/ranges.h"
#include <stdio.h>

#define SPEC \
	"apiVersion: 100monkeys.ai/v1\nkind: NodeConfig\nmetadata: {name: n}\n" \
	"spec:\n  node: {id: x, type: edge}\n"
#define MODEL(rest) SPEC "  llm_providers: [{name: o, type: openai, models: [{" rest "}]}]\n"
#define SELECTION(rest) SPEC "  llm_selection: {" rest "}\n"
#define RUNTIME(rest) SPEC "  runtime: {" rest "}\n"
#define NETWORK(rest) SPEC "  network: {" rest "}\n"
#define STORAGE(rest) SPEC "  storage: {" rest "}\n"
#define SERVER(rest) SPEC "  mcp_servers: [{name: w, executable: x, " rest "}]\n"
#define CMD(rest) SPEC "  builtin_dispatchers: {cmd: {" rest "}}\n"
#define CONTEXT(rest) \
	SPEC "  security_contexts: [{name: c, capabilities: [{tool_pattern: \"fs.*\", " rest \
	     "}]}]\n"
#define REALM(rest) \
	SPEC "  iam: {realms: [{slug: s, issuer_url: \"https://i.test\", jwks_uri: " \
	     "\"https://i.test\", audience: a, " rest "}]}\n"
#define IAM(rest) \
	SPEC "  iam: {realms: [{slug: s, issuer_url: \"https://i.test\", jwks_uri: " \
	     "\"https://i.test\", audience: a, kind: system}], " rest "}\n"
#define SMCP(rest) SPEC "  smcp: {private_key_path: /p, public_key_path: /q, " rest "}\n"
#define LOGGING(rest) SPEC "  observability: {logging: {" rest "}}\n"
#define CLUSTER(rest) SPEC "  cluster: {" rest "}\n"
#define BOOLEAN "true | false", "yes | 1", "wanted true or false"
#define PORTS "1 | 65535", "0 | 65536 | -1", "accepted: 1 to 65535"

static const struct range rows[] = {
	{"apiVersion",
		"apiVersion: %s\nkind: NodeConfig\nmetadata: {name: n}\nspec: {node: {id: x, type: "
		"edge}}\n",
		"100monkeys.ai/v1", "v1", "accepted: 100monkeys.ai/v1"},
	{"kind",
		"apiVersion: 100monkeys.ai/v1\nkind: %s\nmetadata: {name: n}\nspec: {node: {id: x, "
		"type: edge}}\n",
		"NodeConfig", "Node", "accepted: NodeConfig"},
	{"spec.node.type",
		"apiVersion: 100monkeys.ai/v1\nkind: NodeConfig\nmetadata: {name: n}\nspec: {node: "
		"{id: x, type: %s}}\n",
		"edge | orchestrator | hybrid", "node", "accepted: edge, orchestrator, hybrid"},
	{"spec.node.resources.cpu_cores",
		"apiVersion: 100monkeys.ai/v1\nkind: NodeConfig\nmetadata: {name: n}\nspec: {node: "
		"{id: x, type: edge, resources: {cpu_cores: %s}}}\n",
		"1 | 64", "0 | -1", "accepted"},

	{"spec.llm_providers[0].type",
		SPEC
		"  llm_providers: [{name: o, endpoint: \"http://x\", type: %s, models: [{alias: a, "
		"model: m, capabilities: [chat], context_window: 8}]}]\n",
		"openai | openai-compatible | ollama | anthropic | gemini", "claude",
		"accepted: openai, openai-compatible, ollama, anthropic, gemini, replay"},
	{"spec.llm_providers[0].enabled",
		SPEC
		"  llm_providers: [{name: o, type: openai, enabled: %s, models: [{alias: a, model: "
		"m, capabilities: [chat], context_window: 8}]}]\n",
		BOOLEAN},
	{"spec.llm_providers[0].models[0].context_window",
		MODEL("alias: a, model: m, capabilities: [chat], context_window: %s"),
		"1 | 128000 | 1000000000", "0 | -1 | 1000000001", "accepted: 1 to 1000000000"},
	{"spec.llm_providers[0].models[0].cost_per_1k_tokens",
		MODEL("alias: a, model: m, capabilities: [chat], context_window: 8, "
		      "cost_per_1k_tokens: %s"),
		"0 | 0.01 | 1000000", "-0.1 | 1000001", "accepted: 0 to 1"},
	{"spec.llm_providers[0].models[0].temperature",
		MODEL("alias: a, model: m, capabilities: [chat], context_window: 8, temperature: "
		      "%s"),
		"0 | 2", "-0.1 | 2.1", "accepted: 0 to 2"},
	{"spec.llm_providers[0].models[0].capabilities",
		MODEL("alias: a, model: m, context_window: 8, capabilities: %s"),
		"[chat] | [chat, embedding, reasoning, vision, code]", "chat", "wanted a list"},
	{"spec.llm_selection.strategy", SELECTION("strategy: %s"),
		"prefer-local | prefer-cloud | cost-optimized | latency-optimized", "cheapest",
		"accepted: prefer-local, prefer-cloud, cost-optimized, latency-optimized"},
	{"spec.llm_selection.max_retries", SELECTION("max_retries: %s"), "0 | 3 | 20", "-1 | 21",
		"accepted: 0 to 20"},
	{"spec.llm_selection.retry_delay_ms", SELECTION("retry_delay_ms: %s"), "0 | 600000",
		"-1 | 600001", "accepted: 0 to 600000"},

	{"spec.runtime.default_isolation", RUNTIME("default_isolation: %s"),
		"inherit | process | docker | firecracker", "vm",
		"accepted: inherit, process, docker, firecracker"},
	{"spec.runtime.nfs_port", RUNTIME("nfs_port: %s"), PORTS},
	{"spec.runtime.nfs_mountport", RUNTIME("nfs_mountport: %s"), PORTS},
	{"spec.runtime.orchestrator_url", RUNTIME("orchestrator_url: %s"), "\"http://h:1\"", "h:1",
		"a URL like"},
	{"spec.network.port", NETWORK("port: %s"), PORTS},
	{"spec.network.grpc_port", NETWORK("grpc_port: %s"), PORTS},
	{"spec.network.allow_insecure_bind", NETWORK("allow_insecure_bind: %s"), BOOLEAN},
	{"spec.network.heartbeat_interval_seconds", NETWORK("heartbeat_interval_seconds: %s"),
		"1 | 86400", "0 | 86401", "accepted: 1 to 86400"},
	{"spec.network.bind_address", NETWORK("bind_address: %s"),
		"127.0.0.1 | \"::1\" | localhost", "0.0.0.0 | 10.0.0.1", "no loopback address"},

	{"spec.storage.backend", STORAGE("backend: %s"), "local_host | seaweedfs | opendal", "s3",
		"accepted: local_host, seaweedfs, opendal"},
	{"spec.storage.fallback_to_local", STORAGE("fallback_to_local: %s"), BOOLEAN},
	{"spec.storage.nfs_port", STORAGE("nfs_port: %s"), PORTS},
	{"spec.storage.seaweedfs.default_ttl_hours", STORAGE("seaweedfs: {default_ttl_hours: %s}"),
		"1 | 8784", "0 | 8785", "accepted: 1 to 8784"},
	{"spec.storage.seaweedfs.max_size_limit_mb", STORAGE("seaweedfs: {max_size_limit_mb: %s}"),
		"1000 | 10000", "0 | -1", "accepted"},
	{"spec.storage.seaweedfs.gc_interval_minutes",
		STORAGE("seaweedfs: {gc_interval_minutes: %s}"), "1 | 44640", "0 | 44641",
		"accepted: 1 to 44640"},

	{"spec.mcp_servers[0].enabled", SERVER("enabled: %s"), BOOLEAN},
	{"spec.mcp_servers[0].http_port", SERVER("http_port: %s"), "0 | 1 | 65535", "-1 | 65536",
		"accepted: 0 to 65535"},
	{"spec.mcp_servers[0].http_path", SERVER("http_path: %s"), "/ | /mcp?a=b", "mcp | \"/a b\"",
		"a path that begins with /"},
	{"spec.mcp_servers[0].call_timeout_seconds", SERVER("call_timeout_seconds: %s"), "1 | 3600",
		"0 | 3601", "accepted: 1 to 3600"},
	{"spec.mcp_servers[0].health_check.interval_seconds",
		SERVER("health_check: {interval_seconds: %s}"), "1 | 86400", "0 | 86401",
		"accepted: 1 to 86400"},
	{"spec.mcp_servers[0].health_check.timeout_seconds",
		SERVER("health_check: {timeout_seconds: %s}"), "1 | 3600", "0 | 3601",
		"accepted: 1 to 3600"},
	{"spec.mcp_servers[0].resource_limits.cpu_millicores",
		SERVER("resource_limits: {cpu_millicores: %s}"), "1 | 1024000", "0 | 1024001",
		"accepted: 1 to 1024000"},
	{"spec.mcp_servers[0].resource_limits.memory_mb",
		SERVER("resource_limits: {memory_mb: %s}"), "1 | 1048576", "0 | 1048577",
		"accepted: 1 to 1048576"},
	{"spec.mcp_servers[0].capabilities[0].skip_judge",
		SERVER("capabilities: [{name: a.b, skip_judge: %s}]"), BOOLEAN},

	{"spec.builtin_dispatchers.cmd.max_timeout_ceiling_secs",
		CMD("max_timeout_ceiling_secs: %s"), "1 | 3600", "0 | 3601", "accepted: 1 to 3600"},
	{"spec.builtin_dispatchers.cmd.default_timeout_secs", CMD("default_timeout_secs: %s"),
		"1 | 3600", "0 | 3601", "accepted: 1 to 3600"},
	{"spec.builtin_dispatchers.cmd.max_concurrent_per_execution",
		CMD("max_concurrent_per_execution: %s"), "1 | 64", "0 | 65", "accepted: 1 to 64"},
	{"spec.security_contexts[0].capabilities[0].rate_limit.calls",
		CONTEXT("rate_limit: {calls: %s, per_seconds: 1}"), "1 | 1000000000",
		"0 | 1000000001", "accepted: 1 to 1000000000"},
	{"spec.security_contexts[0].capabilities[0].rate_limit.per_seconds",
		CONTEXT("rate_limit: {calls: 1, per_seconds: %s}"), "1 | 86400", "0 | 86401",
		"accepted: 1 to 86400"},
	{"spec.security_contexts[0].capabilities[0].max_response_size",
		CONTEXT("max_response_size: %s"), "1 | 1000000", "0 | -1", "accepted"},
	{"spec.security_contexts[0].capabilities[0].path_allowlist", CONTEXT("path_allowlist: %s"),
		"[/workspace]", "[]", "an empty list"},

	{"spec.iam.realms[0].kind", REALM("kind: %s"), "system | consumer | tenant", "user",
		"accepted: system, consumer, tenant"},
	{"spec.iam.jwks_cache_ttl_seconds", IAM("jwks_cache_ttl_seconds: %s"), "1 | 86400",
		"0 | 86401", "accepted: 1 to 86400"},
	{"spec.smcp.token_ttl_seconds", SMCP("token_ttl_seconds: %s"), "1 | 86400", "0 | 86401",
		"accepted: 1 to 86400"},
	{"spec.database.max_connections",
		SPEC "  database: {url: \"postgresql://h/d\", max_connections: %s}\n", "1 | 1000",
		"0 | 1001", "accepted: 1 to 1000"},
	{"spec.database.connect_timeout_seconds",
		SPEC "  database: {url: \"postgresql://h/d\", connect_timeout_seconds: %s}\n",
		"1 | 3600", "0 | 3601", "accepted: 1 to 3600"},

	{"spec.observability.logging.level", LOGGING("level: %s"),
		"trace | debug | info | warn | error", "loud",
		"accepted: trace, debug, info, warn, error"},
	{"spec.observability.logging.format", LOGGING("format: %s"), "json | text", "xml",
		"accepted: json, text"},
	{"spec.observability.metrics.port", SPEC "  observability: {metrics: {port: %s}}\n", PORTS},
	{"spec.observability.metrics.enabled", SPEC "  observability: {metrics: {enabled: %s}}\n",
		BOOLEAN},
	{"spec.observability.tracing.enabled", SPEC "  observability: {tracing: {enabled: %s}}\n",
		BOOLEAN},
	{"spec.cluster.cluster_grpc_port", CLUSTER("cluster_grpc_port: %s"), PORTS},
	{"spec.cluster.role", CLUSTER("role: %s"), "hybrid | worker | controller", "boss",
		"accepted: "},

	{"spec.daemon.workers", SPEC "  daemon: {workers: %s}\n", "0 | 1024", "-1 | 1025",
		"accepted: 0 to 1024"},
	{"spec.daemon.shutdown_grace", SPEC "  daemon: {shutdown_grace: %s}\n", "0s | 1h",
		"3601s | x", "accepted"},
	{"spec.daemon.max_executions", SPEC "  daemon: {max_executions: %s}\n", "1 | 100000",
		"0 | 100001", "accepted: 1 to 100000"},
	{"spec.daemon.socket_path", SPEC "  daemon: {socket_path: %s}\n", "/run/aegisd.sock",
		"aegisd.sock", "an absolute path"},
	{"spec.audit.recording", SPEC "  audit: {recording: %s}\n", "counted | strict", "loose",
		"accepted: counted, strict"},
	{"spec.audit.fsync", SPEC "  audit: {fsync: %s}\n", "record | batch | never", "always",
		"accepted: record, batch, never"},
	{"spec.audit.segment_size", SPEC "  audit: {segment_size: %s}\n", "64Ki | 4Gi",
		"63Ki | 5Gi", "accepted"},
	{"spec.sandbox.uid_first", SPEC "  sandbox: {uid_first: %s}\n", "1000 | 1000000", "999 | 0",
		"accepted"},
	{"spec.sandbox.uid_count", SPEC "  sandbox: {uid_count: %s}\n", "1 | 4096", "0 | 4097",
		"accepted: 1 to 4096"},
	{"spec.require", SPEC "  require: %s\n", "none | detect | prevent | {all: prevent}",
		"strict", "accepted: none, detect, prevent"},
	{"spec.max_execution_list_limit", SPEC "  max_execution_list_limit: %s\n", "1 | 100000",
		"0 | 100001", "accepted: 1 to 100000"},
};

static const char *no_variable(void *ctx, const char *name)
{
	return NULL;
}

static const struct config_environment env = {.get = no_variable};

static bool judge(struct span document, struct buf *ret_report)
{
	const struct config *c = NULL;
	struct report report;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 << 20);
	assert_int_equal(report_init(&report, a, "c"), 0);
	int r = config_parse("c", document, &env, &report, &c);
	report_text(&report, ret_report);
	config_unref(c);
	assert_true(r == 0 || r == CONFIG_INVALID);
	return r == 0;
}

static void each_value_decides(void **state)
{
	assert_int_equal(ranges_wrong(rows, ARRAY_LEN(rows), judge), 0);
}

/* ---- defaults ---- */

/* Whether `want` stands in that section of what config_dump() writes. */
static bool section_says(const char *dump, const char *section, const char *want)
{
	char head[64];
	snprintf(head, sizeof(head), "\"%s\":", section);
	const char *at = strstr(dump, head);
	if (!at)
		return false;
	int depth = 0;
	const char *end = at + strlen(head);
	do {
		depth += (*end == '{' || *end == '[') - (*end == '}' || *end == ']');
		end++;
	} while (depth > 0);
	const char *found = strstr(at, want);
	return found && found < end;
}

/* As `aegis config show` says them. Sections that are absent as a whole are asked for empty. */
static void what_is_absent_has_its_default(void **state)
{
	static const char document[] =
		SPEC "  llm_providers: [{name: o, type: openai, models: [{alias: a, model: m, "
		     "capabilities: "
		     "[chat], context_window: 8}]}]\n"
		     "  mcp_servers: [{name: w, executable: x, capabilities: [a.b]}]\n"
		     "  security_contexts: [{name: c}]\n"
		     "  storage: {seaweedfs: {}}\n"
		     "  smcp: {private_key_path: /p, public_key_path: /q}\n"
		     "  iam: {realms: [{slug: s, issuer_url: \"https://i.test\", jwks_uri: "
		     "\"https://i.test\", audience: a, kind: system}]}\n"
		     "  grpc_auth: {}\n"
		     "  database: {url: \"postgresql://h/d\"}\n"
		     "  temporal: {}\n"
		     "  secrets: {backend: {address: \"https://b.test\", approle: {role_id: r}}}\n";
	static const struct {
		const char *section, *want;
	} cases[] = {
		{"llm_providers", "\"enabled\":true"},
		{"llm_providers", "\"cost_per_1k_tokens\":0"},
		{"llm_selection", "\"strategy\":\"prefer-local\""},
		{"llm_selection", "\"max_retries\":3"},
		{"llm_selection", "\"retry_delay_ms\":1000"},
		{"runtime", "\"bootstrap_script\":\"assets/bootstrap.py\""},
		{"runtime", "\"default_isolation\":\"inherit\""},
		{"runtime", "\"orchestrator_url\":\"http://localhost:8088\""},
		{"runtime", "\"nfs_port\":2049"},
		{"runtime", "\"nfs_mountport\":2049"},
		{"runtime", "\"runtime_registry_path\":\"runtime-registry.yaml\""},
		{"network", "\"port\":8088"},
		{"network", "\"grpc_port\":50051"},
		{"network", "\"heartbeat_interval_seconds\":30"},
		{"storage", "\"backend\":\"local_host\""},
		{"storage", "\"fallback_to_local\":true"},
		{"storage", "\"nfs_port\":2049"},
		{"storage", "\"filer_url\":\"http://localhost:8888\""},
		{"storage", "\"mount_point\":\"/var/lib/aegis/storage\""},
		{"storage", "\"default_ttl_hours\":24"},
		{"storage", "\"default_size_limit_mb\":1000"},
		{"storage", "\"max_size_limit_mb\":10000"},
		{"storage", "\"gc_interval_minutes\":60"},
		{"storage", "\"s3_region\":\"us-east-1\""},
		{"mcp_servers", "\"enabled\":true"},
		{"mcp_servers", "\"skip_judge\":false"},
		{"mcp_servers", "\"interval_seconds\":60"},
		{"mcp_servers", "\"timeout_seconds\":5"},
		{"mcp_servers", "\"method\":\"tools/list\""},
		{"mcp_servers", "\"cpu_millicores\":1000"},
		{"mcp_servers", "\"memory_mb\":512"},
		{"security_contexts", "\"description\":\"\""},
		{"smcp", "\"issuer\":\"aegis-orchestrator\""},
		{"smcp", "\"audiences\":[\"aegis-agents\"]"},
		{"smcp", "\"token_ttl_seconds\":3600"},
		{"iam", "\"jwks_cache_ttl_seconds\":300"},
		{"iam", "\"zaru_tier\":\"zaru_tier\""},
		{"iam", "\"aegis_role\":\"aegis_role\""},
		{"grpc_auth", "\"enabled\":true"},
		{"grpc_auth", "\"exempt_methods\":[\"/aegis.v1.InnerLoop/Generate\"]"},
		{"secrets", "\"auth_method\":\"approle\""},
		{"secrets", "\"secret_id_env_var\":\"OPENBAO_SECRET_ID\""},
		{"database", "\"max_connections\":5"},
		{"database", "\"connect_timeout_seconds\":5"},
		{"temporal", "\"address\":\"temporal:7233\""},
		{"temporal", "\"worker_http_endpoint\":\"http://localhost:3000\""},
		{"temporal", "\"namespace\":\"default\""},
		{"temporal", "\"task_queue\":\"aegis-agents\""},
		{"observability", "\"level\":\"info\""},
		{"observability", "\"format\":\"json\""},
		{"observability", "\"port\":9090"},
		{"observability", "\"path\":\"/metrics\""},
		{"observability", "\"tracing\":{\"enabled\":false"},
	};
	const struct config *c = NULL;
	struct report report;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 << 20);
	assert_int_equal(report_init(&report, a, "c"), 0);
	assert_int_equal(config_parse("c", span_cstr(document), &env, &report, &c), 0);
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	struct json_writer w = json_writer(&b);
	config_dump(c, &w);
	int wrong = 0;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (section_says(buf_cstr(&b), cases[i].section, cases[i].want))
			continue;
		wrong++;
		print_message("# %s: %s is not said\n", cases[i].section, cases[i].want);
	}
	assert_int_equal(wrong, 0);
	config_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_value_decides),
		cmocka_unit_test(what_is_absent_has_its_default),
	};
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
