/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The node configuration: defaults, values from the environment, secrets that never show, where it
 * is looked for, what a reload does, and its refusals word by word.
 */
#include "tests/tap.h"
#include "tests/unit/mutate.h"
#include "daemon/config/config.h"
#include "daemon/config/config_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct parsed {
	struct arena *arena;
	struct report report;
	const struct config *config;
	int result;
	struct buf text;
};

/* The environment of the tests: NAME=value, NULL at the end. */
static const char *environment[16];

static const char *get(void *ctx, const char *name)
{
	size_t n = strlen(name);
	for (const char *const *e = environment; *e; e++)
		if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
			return *e + n + 1;
	return NULL;
}

static const struct config_environment env = {.get = get};

static int clear_environment(void **state)
{
	memset(environment, 0, sizeof(environment));
	return 0;
}

static struct parsed parse(struct span text)
{
	struct parsed p = {.arena = arena_new(16 << 20), .text = buf_init(1 << 20)};
	assert_int_equal(report_init(&p.report, p.arena, "c"), 0);
	p.result = config_parse("c", text, &env, &p.report, &p.config);
	report_text(&p.report, &p.text);
	return p;
}

static void parsed_fini(struct parsed *p)
{
	config_unref(p->config);
	buf_fini(&p->text);
	arena_free(p->arena);
}

static const char *report_of(struct parsed *p)
{
	return p->text.len ? buf_cstr(&p->text) : "";
}

#define HEAD \
	"apiVersion: 100monkeys.ai/v1\nkind: NodeConfig\nmetadata: {name: n}\n" \
	"spec:\n  node: {id: x, type: edge}\n"
#define MODELS "models: [{alias: default, model: m, capabilities: [chat], context_window: 8}]"

/* The spec of an otherwise good configuration, from line 6 on. */
static struct parsed parse_spec(const char *spec)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	buf_puts(&b, HEAD);
	buf_puts(&b, spec);
	return parse(buf_view(&b));
}

static void tables_are_sound(void **state)
{
	int r = table_selfcheck(&config_table);
	if (r)
		print_message("# %s\n", err_message(r));
	assert_int_equal(r, 0);
}

static void embedded_defaults_hold(void **state)
{
	const struct config *c;
	assert_int_equal(config_default(&env, &c), 0);
	assert_null(c->file);
	assert_string_equal(c->name, "aegis");
	assert_string_equal(c->network.bind_address, "127.0.0.1");
	assert_int_equal(c->network.port, 8088);
	assert_int_equal(c->network.grpc_port, 50051);
	assert_int_equal(c->llm_providers.count, 0);
	assert_int_equal(c->llm_selection.max_retries, 3);
	assert_int_equal(c->runtime.default_isolation, CONFIG_ISOLATION_INHERIT);
	assert_string_equal(c->runtime.runtime_registry_path, "runtime-registry.yaml");
	assert_int_equal(c->observability.logging.level, CONFIG_LOG_INFO);
	assert_int_equal(c->storage.backend, CONFIG_STORAGE_LOCAL_HOST);
	assert_string_equal(c->daemon.data_directory, "/var/lib/aegis");
	assert_int_equal(c->daemon.shutdown_grace_ns, 30 * NS_PER_S);
	assert_int_equal(c->audit.fsync, CONFIG_FSYNC_BATCH);
	assert_int_equal(c->audit.segment_bytes, 64 << 20);
	assert_int_equal(c->audit.file_window_ns, NS_PER_S);
	assert_int_equal(c->require.all, CONFIG_REQUIRE_NONE);
	assert_null(c->iam);
	assert_null(c->database);
	assert_int_equal(config_notice_count(c), 0);
	char *path = config_socket_path(c);
	assert_string_equal(path, "/var/lib/aegis/aegisd.sock");
	free(path);
	path = config_api_key_path(c);
	assert_string_equal(path, "/var/lib/aegis/api.key");
	free(path);
	path = config_audit_directory(c);
	assert_string_equal(path, "/var/lib/aegis/audit");
	free(path);
	path = config_volume_directory(c);
	assert_string_equal(path, "/var/lib/aegis/volumes");
	free(path);
	config_unref(c);
}

static void every_section_arrives(void **state)
{
	environment[0] = "KEY=k3y";
	struct parsed p = parse_spec(
		"  llm_providers:\n"
		"    - {name: o, type: openai, api_key: env:KEY, " MODELS ", record: /r}\n"
		"    - {name: l, type: ollama, enabled: false, " MODELS ", record: true}\n"
		"  llm_selection: {strategy: cost-optimized, default_provider: o, max_retries: 0}\n"
		"  runtime: {default_isolation: process, container_socket_path: /s}\n"
		"  network: {bind_address: \"::1\", port: 1, tls: {cert_path: /c, key_path: /k}}\n"
		"  observability: {logging: {level: warn, format: text}, metrics: {enabled: "
		"false}}\n"
		"  storage: {backend: seaweedfs, seaweedfs: {max_size_limit_mb: 2000},\n"
		"    local_host: {base_path: /v}}\n"
		"  mcp_servers:\n"
		"    - {name: w, executable: node, capabilities: [web.search, {name: web.fetch,\n"
		"       skip_judge: true}], credentials: {K: secret:a/b}, environment: {L: "
		"env:KEY}}\n"
		"  builtin_dispatchers: {cmd: {max_timeout_ceiling_secs: 100}}\n"
		"  security_contexts:\n"
		"    - {name: c, capabilities: [{tool_pattern: \"cmd.run\", subcommand_allowlist: "
		"{git:\n"
		"       [add]}, rate_limit: {calls: 3, per_seconds: 60}}], deny_list: "
		"[\"web.*\"]}\n"
		"  seal: {private_key_path: /p, public_key_path: /q}\n"
		"  iam:\n"
		"    realms: [{slug: s, issuer_url: \"https://i.test\", jwks_uri: "
		"\"https://i.test/k\",\n"
		"      audience: a, kind: consumer}]\n"
		"  grpc_auth: {}\n"
		"  secrets: {backend: {address: \"https://b.test\", approle: {role_id: r}, tls: "
		"{ca_cert: "
		"/a}}}\n"
		"  database: {url: \"postgresql://u:p@h/d\"}\n"
		"  temporal: {worker_secret: literal:w}\n"
		"  cortex: {grpc_url: \"http://c:1\"}\n"
		"  smcp_gateway: {url: \"http://g:1\"}\n"
		"  cluster: {enabled: true, role: edge, controller: {endpoint: \"e:1\"}, edge: "
		"{}}\n"
		"  registry_credentials: [{registry: r, username: u, password: env:KEY}]\n"
		"  daemon: {data_directory: /d, socket_path: /s, shutdown_grace: 5s, tcp: false}\n"
		"  audit: {fsync: record, segment_size: 1Mi, file_window: 250ms}\n"
		"  sandbox: {uid_first: 100000, uid_count: 10}\n"
		"  require: {all: detect, probes: {network: prevent}}\n");
	assert_string_equal(report_of(&p),
		"c:10:41: warning: spec.runtime.container_socket_path: another name for "
		"\"docker_socket_path\"; write that\n"
		"c:14:18: warning: spec.storage.local_host.base_path: another name for "
		"\"mount_point\"; write that\n"
		"c:22:3: warning: spec.seal: another name for \"smcp\"; write that\n");
	assert_int_equal(p.result, 0);
	const struct config *c = p.config;
	assert_string_equal(c->file, "c");
	assert_string_equal(c->llm_providers.items[0].endpoint, "https://api.openai.com/v1");
	assert_true(span_is(secret_reveal(c->llm_providers.items[0].api_key.value), "k3y"));
	assert_string_equal(c->llm_providers.items[0].record, "/r");
	assert_false(c->llm_providers.items[0].record_here);
	assert_null(c->llm_providers.items[1].record);
	assert_true(c->llm_providers.items[1].record_here);
	assert_string_equal(c->llm_providers.items[1].endpoint, "http://localhost:11434");
	assert_false(c->llm_providers.items[1].enabled);
	assert_string_equal(
		c->llm_providers.items[0].models.items[0].capabilities.items[0], "chat");
	assert_true(c->llm_providers.items[0].models.items[0].temperature < 0);
	assert_int_equal(c->llm_selection.strategy, CONFIG_COST_OPTIMIZED);
	assert_int_equal(c->llm_selection.max_retries, 0);
	assert_string_equal(c->runtime.container_socket_path, "/s");
	assert_true(c->network.tls->enabled);
	assert_int_equal(c->observability.logging.format, CONFIG_LOG_TEXT);
	assert_int_equal(c->storage.seaweedfs->max_size_limit_mb, 2000);
	assert_string_equal(c->storage.local_host.mount_point, "/v");
	assert_true(c->mcp_servers.items[0].capabilities.items[1].skip_judge);
	assert_int_equal(c->mcp_servers.items[0].credentials.values[0].from, TABLE_SECRET_STORE);
	assert_string_equal(c->mcp_servers.items[0].environment.values[0], "k3y");
	assert_int_equal(c->mcp_servers.items[0].health_check.interval_s, 60);
	assert_int_equal(c->cmd_dispatcher.max_timeout_ceiling_s, 100);
	assert_int_equal(c->security_contexts.items[0].capabilities.items[0].rate_limit.calls, 3);
	assert_int_equal(c->smcp->token_ttl_s, 3600);
	assert_string_equal(c->smcp->audiences.items[0], "aegis-agents");
	assert_int_equal(c->iam->realms.items[0].kind, CONFIG_REALM_CONSUMER);
	assert_string_equal(c->iam->claims.tenant_id, "tenant_id");
	assert_true(c->grpc_auth->enabled);
	assert_string_equal(c->secrets.backend->ca_cert, "/a");
	assert_true(span_is(secret_reveal(c->database->url.value), "postgresql://u:p@h/d"));
	assert_int_equal(c->temporal->worker_secret.from, TABLE_SECRET_LITERAL);
	assert_int_equal(c->cluster->edge->stream_reconnect_backoff_s.items[4], 60);
	assert_int_equal(c->daemon.shutdown_grace_ns, 5 * NS_PER_S);
	assert_int_equal(c->audit.fsync, CONFIG_FSYNC_RECORD);
	assert_int_equal(c->audit.file_window_ns, 250 * NS_PER_MS);
	assert_int_equal(c->sandbox.uid_count, 10);
	assert_int_equal(c->require.all, CONFIG_REQUIRE_DETECT);
	assert_int_equal(c->require.probes.values[0], CONFIG_REQUIRE_PREVENT);
	parsed_fini(&p);
}

/* No form of output may hold a secret's value, wherever it came from. */
static void secrets_never_show(void **state)
{
	environment[0] = "KEY=hush-env";
	struct parsed p = parse_spec(
		"  llm_providers:\n"
		"    - {name: o, type: openai, api_key: env:KEY, " MODELS "}\n"
		"    - {name: p, type: openai, api_key: literal:hush-literal, " MODELS "}\n"
		"    - {name: q, type: openai, api_key: hush-plain, " MODELS "}\n"
		"  database: {url: \"postgresql://u:hush-url@h/d\"}\n"
		"  mcp_servers: [{name: w, executable: x, credentials: {K: hush-map}}]\n");
	assert_int_equal(p.result, 0);
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	struct json_writer w = json_writer(&b);
	config_dump(p.config, &w);
	assert_null(strstr(buf_cstr(&b), "hush"));
	assert_non_null(strstr(buf_cstr(&b), "\"api_key\":\"env:KEY\""));
	assert_non_null(strstr(buf_cstr(&b), "\"api_key\":\"(redacted)\""));
	for (size_t i = 0; i < config_notice_count(p.config); i++)
		assert_null(strstr(config_notice(p.config, i), "hush"));
	parsed_fini(&p);

	p = parse_spec("  database: {url: [hush]}\n  llm_providers: [{name: o, type: openai, "
		       "api_key: 4242, api_kee: hush, " MODELS "}]\n");
	assert_int_equal(p.result, CONFIG_INVALID);
	assert_null(strstr(report_of(&p), "hush"));
	assert_null(strstr(report_of(&p), "4242"));
	parsed_fini(&p);
}

static void variables_hold_where_the_file_is_silent(void **state)
{
	environment[0] = "AEGIS_PORT=9999";
	environment[1] = "AEGIS_LOG_LEVEL=debug";
	struct parsed p = parse_spec("");
	assert_int_equal(p.config->network.port, 9999);
	assert_int_equal(p.config->observability.logging.level, CONFIG_LOG_DEBUG);
	parsed_fini(&p);
	p = parse_spec("  network: {port: 7}\n  observability: {logging: {level: error}}\n");
	assert_int_equal(p.config->network.port, 7);
	assert_int_equal(p.config->observability.logging.level, CONFIG_LOG_ERROR);
	parsed_fini(&p);
	environment[0] = "AEGIS_PORT=no";
	environment[1] = "AEGIS_LOG_LEVEL=loud";
	p = parse_spec("");
	assert_int_equal(p.result, CONFIG_INVALID);
	assert_string_equal(report_of(&p),
		"c: AEGIS_PORT: \"no\" in the environment is no port; accepted: 1 to 65535\n"
		"c: AEGIS_LOG_LEVEL: \"loud\" in the environment is no level; accepted: trace, "
		"debug, info, warn, error\n");
	parsed_fini(&p);
}

static void what_has_no_effect_is_named(void **state)
{
	struct parsed p =
		parse_spec("  iam:\n"
			   "    realms: [{slug: s, issuer_url: \"https://i.test\", jwks_uri: "
			   "\"https://i.test\", audience: a, kind: system}]\n"
			   "  runtime: {default_isolation: docker}\n"
			   "  network: {grpc_port: 50051}\n"
			   "  storage: {backend: local_host}\n");
	assert_int_equal(config_notice_count(p.config), 2);
	assert_string_equal(config_notice(p.config, 0),
		"spec.iam (line 6): tokens of these realms are not accepted; the doors' own keys "
		"are");
	assert_string_equal(config_notice(p.config, 1),
		"spec.runtime.default_isolation (line 8): only process is there yet; agents that "
		"inherit are refused at run");
	parsed_fini(&p);
}

static void refusals(void **state)
{
	static const struct {
		const char *spec, *want;
	} cases[] = {
		{"  llm_provider: []\n",
			"c:6:3: spec.llm_provider: unknown field; did you mean "
			"\"llm_providers\"?\n"},
		{"  llm_providers: [{name: a, type: openai}]\n",
			"c:6:19: spec.llm_providers[0]: the field \"models\" is required: Its "
			"models.\n"},
		{"  llm_providers: [{name: a, type: openai, models: []}]\n",
			"c:6:51: spec.llm_providers[0].models: 0 items are not accepted; accepted: "
			"1 to 256\n"},
		{"  llm_providers: [{name: a, type: openia, " MODELS "}]\n",
			"c:6:35: spec.llm_providers[0].type: \"openia\" is not accepted; accepted: "
			"openai, openai-compatible, ollama, anthropic, gemini, replay; did you "
			"mean \"openai\"?\n"},
		{"  llm_providers: [{name: a, type: openai-compatible, " MODELS "}]\n",
			"c:6:19: spec.llm_providers[0]: type openai-compatible needs \"endpoint\", "
			"the base URL of the API\n"},
		{"  llm_providers: [{name: a, type: ollama, endpoint: localhost, " MODELS "}]\n",
			"c:6:43: spec.llm_providers[0].endpoint: this is no URL; accepted: a URL "
			"that begins with http:// or https://\n"},
		{"  llm_providers: [{name: a, type: ollama, " MODELS
		 "}, {name: a, type: ollama, " MODELS "}]\n",
			"c:6:130: spec.llm_providers[1]: \"a\" is taken by the one on line 6; "
			"accepted: a `name` of its own\n"},
		{"  llm_providers: [{name: local, type: ollama, " MODELS "}]\n"
		 "  llm_selection: {default_provider: locale, fallback_provider: cloud}\n",
			"c:7:19: spec.llm_selection.default_provider: \"locale\" is none of "
			"llm_providers; did you mean \"local\"?\n"
			"c:7:45: spec.llm_selection.fallback_provider: \"cloud\" is none of "
			"llm_providers\n"},
		{"  mcp_servers: [{name: fs, executable: python}]\n",
			"c:6:24: spec.mcp_servers[0].name: \"fs\" is not accepted; accepted: a "
			"name "
			"without *, but fs, cmd and aegis: the built-in tools have those\n"},
		{"  smcp: {private_key_path: /p, audiences: [a, b]}\n",
			"c:6:43: spec.smcp.audiences: 2 items are not accepted; accepted: 1 to "
			"1\n"},
		{"  network: {port: 70000}\n",
			"c:6:19: spec.network.port: 70000 is out of range; accepted: 1 to 65535\n"},
		{"  network: {bind_address: 0.0.0.0}\n",
			"c:6:13: spec.network.bind_address: 0.0.0.0 is no loopback address and "
			"there is no TLS; accepted: 127.0.0.1, or a \"tls\" section, or "
			"allow_insecure_bind: true if something in front ends TLS\n"},
		{"  network: {tls: {cert_path: /c}}\n",
			"c:6:18: spec.network.tls: the field \"key_path\" is required: Private "
			"key, PEM.\n"},
		{"  storage: {local_host: {default_size_limit_mb: 20000}}\n",
			"c:6:26: spec.storage.local_host.default_size_limit_mb: 20000 is more than "
			"max_size_limit_mb (10000); accepted: at most that\n"},
		{"  grpc_auth: {enabled: true}\n",
			"c:6:3: spec.grpc_auth: tokens need a realm that issues them; accepted: a "
			"section \"iam\", or enabled: false\n"},
		{"  cluster: {enabled: true, role: edge}\n",
			"c:6:28: spec.cluster.role: role edge needs the section \"edge\"\n"
			"c:6:28: spec.cluster.role: role edge needs \"controller.endpoint\"\n"},
		{"  sandbox: {uid_first: 500, uid_count: 65536}\n",
			"c:6:24: spec.sandbox.uid_first: 500 is out of range; accepted: 1000 to "
			"2147479551\n"
			"c:6:40: spec.sandbox.uid_count: 65536 is out of range; accepted: 1 to "
			"4096\n"},
		{"  audit: {fsync: always}\n",
			"c:6:18: spec.audit.fsync: \"always\" is not accepted; accepted: record, "
			"batch, never\n"},
		{"  daemon: {data_directory: data}\n",
			"c:6:28: spec.daemon.data_directory: \"data\" is not accepted; accepted: "
			"an "
			"absolute path\n"},
		{"  runtime: {orchestrator_url: env:NOT_SET}\n",
			"c:6:31: spec.runtime.orchestrator_url: the environment variable NOT_SET "
			"is "
			"not set; set it, or write the value\n"},
		{"  require: strict\n",
			"c:6:12: spec.require: \"strict\" is not accepted; accepted: none, detect, "
			"prevent\n"},
		{"  secrets: {backend: {address: \"https://b.test\", approle: {role_id: r}, tls: "
		 "{client_cert: /c}}}\n",
			"c:6:79: spec.secrets.backend.tls.client_cert: needs \"client_key\" too; "
			"accepted: both, or none\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct parsed p = parse_spec(cases[i].spec);
		assert_string_equal(report_of(&p), cases[i].want);
		assert_int_equal(p.result, CONFIG_INVALID);
		assert_null(p.config);
		parsed_fini(&p);
	}
}

static void sections_at_the_top_are_sent_home(void **state)
{
	struct parsed p =
		parse(SPAN("apiVersion: 100monkeys.ai/v1\nkind: NodeConfig\n"
			   "metadata: {name: n}\niam: {}\nspec: {node: {id: x, type: edge}}\n"));
	assert_string_equal(report_of(&p), "c:4:1: iam: unknown field; write spec.iam instead\n");
	parsed_fini(&p);
}

static void doubts_are_warnings(void **state)
{
	struct parsed p = parse_spec(
		"  network: {bind_address: 10.0.0.1, allow_insecure_bind: true}\n"
		"  llm_providers: [{name: a, type: openai, api_key: secret:k, " MODELS "}]\n");
	assert_int_equal(p.result, 0);
	assert_string_equal(report_of(&p),
		"c:6:37: warning: spec.network.allow_insecure_bind: everybody who reaches 10.0.0.1 "
		"can read what passes; this is meant for a machine in front that ends TLS\n"
		"c:7:52: warning: spec.secrets: a value comes from the secret store (secret:k), "
		"but "
		"there is no secrets.backend\n");
	parsed_fini(&p);
}

static void the_guide_has_another_name(void **state)
{
	struct parsed p = parse_spec("  llm_providers: [{name: a, type: openai, base_url: "
				     "\"http://127.0.0.1:1/v1\", " MODELS "}]\n");
	assert_int_equal(p.result, 0);
	assert_string_equal(p.config->llm_providers.items[0].endpoint, "http://127.0.0.1:1/v1");
	assert_string_equal(report_of(&p),
		"c:6:43: warning: spec.llm_providers[0].base_url: another name for \"endpoint\"; "
		"write that\n");
	parsed_fini(&p);
}

static void loopback_is_told_apart(void **state)
{
	static const struct {
		const char *address;
		bool want;
	} cases[] = {{"127.0.0.1", true}, {"127.8.9.1", true}, {"::1", true}, {"localhost", true},
		{"0.0.0.0", false}, {"::", false}, {"10.0.0.1", false}, {"127.0.0.1.x.test", false},
		{"::ffff:127.0.0.1", false}, {"", false}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(config_is_loopback(cases[i].address), cases[i].want);
}

/* ---- files ---- */

static char folder[] = "/tmp/aegis-config-XXXXXX";
static char original[4096];

static int enter_folder(void **state)
{
	clear_environment(state);
	strcpy(folder, "/tmp/aegis-config-XXXXXX");
	if (!getcwd(original, sizeof(original)) || !mkdtemp(folder))
		return -1;
	return chdir(folder);
}

static int leave_folder(void **state)
{
	if (chdir(original))
		return -1;
	return fd_remove_tree(-1, folder);
}

static void write_file(const char *path, const char *text)
{
	assert_int_equal(fd_replace_file(path, span_cstr(text), 0600), 0);
}

static void the_first_place_wins(void **state)
{
	struct config_search s;
	const char *path;
	char home[64];
	snprintf(home, sizeof(home), "HOME=%s", folder);
	environment[0] = home;
	assert_int_equal(mkdir(".aegis", 0700), 0);

	bool system_wide = access("/etc/aegis/config.yaml", F_OK) == 0 ||
		access("/etc/aegis/aegis-config.yaml", F_OK) == 0;
	assert_int_equal(config_discover(NULL, &env, &s, &path), 0);
	if (!system_wide) {
		assert_null(path);
		assert_int_equal(s.count, 5);
	}
	write_file(".aegis/aegis-config.yaml", HEAD);
	assert_int_equal(config_discover(NULL, &env, &s, &path), 0);
	assert_non_null(strstr(path, "/.aegis/aegis-config.yaml"));
	write_file(".aegis/config.yaml", HEAD);
	assert_int_equal(config_discover(NULL, &env, &s, &path), 0);
	assert_non_null(strstr(path, "/.aegis/config.yaml"));
	write_file("aegis-config.yaml", HEAD);
	assert_int_equal(config_discover(NULL, &env, &s, &path), 0);
	assert_string_equal(path, "./aegis-config.yaml");
	write_file("named.yaml", HEAD);
	environment[1] = "AEGIS_CONFIG_PATH=named.yaml";
	assert_int_equal(config_discover(NULL, &env, &s, &path), 0);
	assert_string_equal(path, "named.yaml");
	assert_int_equal(config_discover("aegis-config.yaml", &env, &s, &path), 0);
	assert_string_equal(path, "aegis-config.yaml");
}

/* A file that is asked for by name is not replaced by another one in silence. */
static void named_files_must_exist(void **state)
{
	struct config_search s;
	const char *path;
	write_file("aegis-config.yaml", HEAD);
	assert_int_equal(config_discover("gone.yaml", &env, &s, &path), CONFIG_NOT_FOUND);
	assert_string_equal(err_message(-ENOENT), "--config names gone.yaml, which does not exist");
	environment[0] = "AEGIS_CONFIG_PATH=gone.yaml";
	assert_int_equal(config_discover(NULL, &env, &s, &path), CONFIG_NOT_FOUND);
	assert_null(path);
	err_clear();
}

static void reload_keeps_the_old_one(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 << 20);
	struct report r;
	const struct config *old, *new = NULL;
	struct buf text CLEANUP(buf_fini) = buf_init(1 << 16);
	write_file("c.yaml", HEAD "  network: {port: 1000}\n  daemon: {max_executions: 1}\n");
	assert_int_equal(report_init(&r, a, "c.yaml"), 0);
	assert_int_equal(config_load("c.yaml", &env, &r, &old), 0);

	write_file("c.yaml", HEAD "  network: {port: none}\n");
	assert_int_equal(config_reload(old, &env, &r, &new), CONFIG_INVALID);
	assert_null(new);
	assert_int_equal(old->network.port, 1000);

	write_file("c.yaml", HEAD "  network: {port: 2000}\n  daemon: {max_executions: 2}\n");
	assert_int_equal(report_init(&r, a, "c.yaml"), 0);
	assert_int_equal(config_reload(old, &env, &r, &new), 0);
	report_text(&r, &text);
	assert_string_equal(buf_cstr(&text),
		"c.yaml: warning: spec.network.port: changed, but only a restart of the daemon "
		"takes it up\n"
		"c.yaml: warning: spec.daemon.max_executions: changed, but only a restart of the "
		"daemon takes it up\n");
	assert_int_equal(old->daemon.max_executions, 1);
	assert_int_equal(new->daemon.max_executions, 2);
	config_unref(config_ref(new));
	assert_int_equal(new->network.port, 2000);
	config_unref(new);

	/* Compared is what runs: as it was is no change, and what a reload takes up is none either.
	 */
	write_file("c.yaml",
		HEAD "  network: {port: 1000}\n  daemon: {max_executions: 1}\n"
		     "  security_contexts: [{name: c, capabilities: [{tool_pattern: fs.read}]}]\n");
	buf_reset(&text);
	assert_int_equal(report_init(&r, a, "c.yaml"), 0);
	assert_int_equal(config_reload(old, &env, &r, &new), 0);
	report_text(&r, &text);
	assert_string_equal(buf_cstr(&text), "");
	config_unref(new);
	write_file("c.yaml",
		HEAD
		"  network: {port: 1000}\n  daemon: {max_executions: 1}\n"
		"  llm_providers: [{name: p, type: openai, api_key: 'literal:k', enabled: true, "
		"models: [{alias: default, model: m, capabilities: [code], context_window: "
		"8000}]}]\n");
	assert_int_equal(report_init(&r, a, "c.yaml"), 0);
	assert_int_equal(config_reload(old, &env, &r, &new), 0);
	report_text(&r, &text);
	assert_non_null(strstr(buf_cstr(&text), "spec.llm_providers: changed, but only a restart"));
	config_unref(new);

	assert_int_equal(unlink("c.yaml"), 0);
	assert_int_equal(config_reload(old, &env, &r, &new), -ENOENT);
	err_clear();
	config_unref(old);
}

static void samples_load(void **state)
{
	for (int all = 0; all <= 1; all++) {
		struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
		config_sample(all, &b);
		struct parsed p = parse(buf_view(&b));
		assert_string_equal(report_of(&p), "");
		assert_int_equal(p.result, 0);
		parsed_fini(&p);
	}
}

static void parse_damaged(struct span damaged, const char *what, void *arg)
{
	struct parsed p = parse(damaged);
	assert_true(p.result == 0 || p.result == CONFIG_INVALID);
	assert_int_equal(p.result == 0, p.config != NULL);
	parsed_fini(&p);
}

static void damaged_files_are_survived(void **state)
{
	mutate(SPAN(HEAD "  llm_providers: [{name: o, type: openai, api_key: literal:k, " MODELS
			 "}]\n"),
		MUTATE_DROP_BYTE | MUTATE_SET_BYTE | MUTATE_CUT_END, parse_damaged, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(tables_are_sound, clear_environment),
		cmocka_unit_test_setup(embedded_defaults_hold, clear_environment),
		cmocka_unit_test_setup(every_section_arrives, clear_environment),
		cmocka_unit_test_setup(secrets_never_show, clear_environment),
		cmocka_unit_test_setup(variables_hold_where_the_file_is_silent, clear_environment),
		cmocka_unit_test_setup(what_has_no_effect_is_named, clear_environment),
		cmocka_unit_test_setup(refusals, clear_environment),
		cmocka_unit_test_setup(sections_at_the_top_are_sent_home, clear_environment),
		cmocka_unit_test_setup(doubts_are_warnings, clear_environment),
		cmocka_unit_test_setup(the_guide_has_another_name, clear_environment),
		cmocka_unit_test_setup(loopback_is_told_apart, clear_environment),
		cmocka_unit_test_setup_teardown(the_first_place_wins, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(named_files_must_exist, enter_folder, leave_folder),
		cmocka_unit_test_setup_teardown(
			reload_keeps_the_old_one, enter_folder, leave_folder),
		cmocka_unit_test_setup(samples_load, clear_environment),
		cmocka_unit_test_setup(damaged_files_are_survived, clear_environment),
	};
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
