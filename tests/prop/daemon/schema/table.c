/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The JSON Schema that a table yields accepts exactly what the table accepts. Documents are grown
 * from good ones: members and items are dropped, doubled under other names, and given values of
 * other kinds. Both sides judge the same document; what the schema cannot say is left out of the
 * table's judgement (shape_only), and values with a unit stay within their bounds.
 */
#include "tests/tap.h"
#include "tests/prop/random.h"
#include "daemon/schema/schema.h"
#include <stdio.h>

/* Not in the rooms' public headers: their tables. */
extern const struct table agent_manifest_table, config_table;

enum { ROUNDS = 3000, ARENA_BYTES = 32 << 20 };

static const char *const manifests[] = {
	"{\"apiVersion\":\"100monkeys.ai/v1\",\"kind\":\"Agent\",\"metadata\":{\"name\":\"a\","
	"\"version\":\"1.0.0\",\"labels\":{\"x\":\"y\"}},\"spec\":{\"runtime\":{\"language\":"
	"\"python\","
	"\"version\":\"3.11\",\"isolation\":\"process\",\"temperature\":0.5},\"task\":{"
	"\"instruction\":"
	"\"do\",\"agentskills\":[\"a:b\"],\"input_data\":{}},\"security\":{\"network\":{\"mode\":"
	"\"none\","
	"\"allowlist\":[]},\"filesystem\":{\"read\":[\"/"
	"w\"],\"read_only\":false},\"resources\":{\"cpu\":"
	"500,\"memory\":\"512Mi\",\"timeout\":\"300s\"}},\"volumes\":[{\"name\":\"w\",\"storage_"
	"class\":"
	"\"ephemeral\",\"mount_path\":\"/"
	"workspace\",\"access_mode\":\"read-write\",\"ttl_hours\":1,"
	"\"size_limit\":\"1Gi\",\"source\":{\"volume_id\":\"v\"}}],\"execution\":{\"mode\":"
	"\"iterative\","
	"\"max_iterations\":5,\"iteration_timeout\":60,\"validation\":[{\"type\":\"exit_code\","
	"\"expected\":0},{\"type\":\"semantic\",\"judge_agent\":\"j\",\"criteria\":\"c\",\"min_"
	"score\":0.8"
	"},{\"type\":\"regex\",\"pattern\":\"a\",\"target\":\"stderr\"}],\"tool_validation\":[]},"
	"\"tools\":"
	"[\"fs.read\",{\"name\":\"w\",\"server\":\"mcp:w\",\"config\":{}}],\"env\":{\"A\":\"b\"},"
	"\"context\":"
	"[{\"type\":\"text\",\"content\":\"c\"},{\"type\":\"url\",\"url\":\"http://"
	"x\"}],\"schedule\":{"
	"\"type\":\"interval\",\"seconds\":5},\"delivery\":[{\"name\":\"n\",\"condition\":"
	"\"always\","
	"\"type\":\"sms\",\"sms\":{\"to\":\"123\",\"message\":\"m\"}}],\"require\":{\"n\":"
	"\"detect\"},"
	"\"output_handler\":{\"type\":\"agent\",\"agent_id\":\"x\"},\"advanced\":{\"warm_pool_"
	"size\":1}}}",
	"{\"apiVersion\":\"100monkeys.ai/v1\",\"kind\":\"Agent\",\"metadata\":{\"name\":\"b-2\","
	"\"version\":\"0.1.0\"},\"spec\":{\"runtime\":{\"image\":\"r/"
	"i:t\",\"image_pull_policy\":\"Never\"},"
	"\"execution\":{\"max_retries\":3,\"validation\":{\"system\":{\"must_succeed\":true},"
	"\"output\":{"
	"\"format\":\"json\",\"schema\":{}},\"script\":{\"path\":\"/"
	"c\"},\"semantic\":{\"threshold\":0.5,"
	"\"fallback_on_unavailable\":\"skip\"}}},\"delivery\":{\"destinations\":[{\"name\":\"n\","
	"\"condition\":\"on_success\",\"type\":\"webhook\",\"webhook\":{\"url\":\"http://x\"}}]}}}",
};

static const char *const configs[] = {
	"{\"apiVersion\":\"100monkeys.ai/"
	"v1\",\"kind\":\"NodeConfig\",\"metadata\":{\"name\":\"n\"},"
	"\"spec\":{\"node\":{\"id\":\"env:SET\",\"type\":\"edge\",\"tags\":[\"a\"],\"resources\":{"
	"\"cpu_cores\":8,\"gpu\":true}},\"llm_providers\":[{\"name\":\"o\",\"type\":\"openai\","
	"\"endpoint\":\"http://"
	"x\",\"api_key\":\"secret:k\",\"enabled\":true,\"models\":[{\"alias\":\"d\","
	"\"model\":\"m\",\"capabilities\":[\"chat\"],\"context_window\":8,\"cost_per_1k_tokens\":0."
	"5}]}],"
	"\"llm_selection\":{\"strategy\":\"prefer-cloud\",\"max_retries\":0},\"runtime\":{"
	"\"container_socket_path\":\"/s\",\"orchestrator_url\":\"literal:http://x\"},\"network\":{"
	"\"bind_address\":\"::1\",\"port\":80,\"tls\":{\"cert_path\":\"/c\",\"key_path\":\"/k\"}},"
	"\"observability\":{\"logging\":{\"level\":\"warn\",\"batch\":{\"max_queue_size\":5}},"
	"\"metrics\":{"
	"\"port\":1}},\"storage\":{\"local\":{\"base_path\":\"/"
	"v\"},\"opendal\":{\"options\":{\"a\":\"b\"}}},"
	"\"mcp_servers\":[{\"name\":\"w\",\"executable\":\"x\",\"capabilities\":[\"a\",{\"name\":"
	"\"b\","
	"\"skip_judge\":true}],\"credentials\":{\"K\":\"s\"},\"health_check\":{\"timeout_seconds\":"
	"5}}],"
	"\"builtin_dispatchers\":[{\"name\":\"cmd\",\"enabled\":true}],\"security_contexts\":[{"
	"\"name\":"
	"\"c\",\"capabilities\":[{\"tool_pattern\":\"*\",\"rate_limit\":{\"calls\":1,\"per_"
	"seconds\":2},"
	"\"subcommand_allowlist\":{\"git\":[\"add\"]}}]}],\"seal\":{\"private_key_path\":\"/p\","
	"\"public_key_path\":\"/q\"},\"iam\":{\"realms\":[{\"slug\":\"s\",\"issuer_url\":\"http://"
	"i\","
	"\"jwks_uri\":\"http://"
	"j\",\"audience\":\"a\",\"kind\":\"tenant\"}]},\"secrets\":{\"backend\":{"
	"\"address\":\"http://b\",\"approle\":{\"role_id\":\"r\"},\"tls\":{\"client_cert\":\"/c\","
	"\"client_key\":\"/k\"}}},\"cluster\":{\"edge\":{\"stream_reconnect_backoff_secs\":[1,2]}},"
	"\"daemon\":{\"shutdown_grace\":\"5s\",\"workers\":2},\"audit\":{\"fsync\":\"never\","
	"\"segment_size\":\"1Mi\"},\"require\":\"detect\"}}",
	"{\"apiVersion\":\"100monkeys.ai/v1\",\"kind\":\"NodeConfig\",\"metadata\":{\"name\":\"n\","
	"\"labels\":{\"a\":\"b\"}},\"spec\":{\"node\":{\"id\":\"i\",\"type\":\"hybrid\"},"
	"\"require\":{\"all\":"
	"\"none\",\"probes\":{\"network\":\"prevent\"}},\"builtin_dispatchers\":{\"cmd\":{"
	"\"enabled\":false,"
	"\"global_env_denylist\":[\"A\"]}},\"database\":{\"url\":\"u\",\"max_connections\":1}}}",
};

/* Values of every kind; those with a unit lie within every bound. */
static const char *const values[] = {"null", "true", "false", "0", "1", "5", "-3", "2.5", "21",
	"100000000000", "\"\"", "\"x\"", "\"A b\"", "\"60s\"", "\"1m30s\"", "\"5x\"", "\"30m1h\"",
	"\"64Mi\"", "\"1Xi\"", "\"env:SET\"", "\"literal:x\"", "\"http://h/p\"", "\"/workspace/a\"",
	"\"/workspace/..\"", "\"text\"", "\"cron\"", "\"semantic\"", "\"webhook\"", "\"process\"",
	"[]", "[1]", "[\"a\"]", "{}", "{\"a\":1}", "{\"name\":\"x\"}",
	"[{\"type\":\"exit_code\"}]"};

static const char *const names[] = {"name", "type", "enabled", "max_iterations", "max_retries",
	"image", "language", "version", "url", "pattern", "criteria", "timeout_seconds", "local",
	"local_host", "smcp", "tls", "x"};

/* ---- a document, damaged once ---- */

struct damage {
	struct random *random;
	size_t at; /* the value, in writing order, at which it happens */
	size_t seen;
};

static void put_damaged(struct json_writer *w, const struct json *v, struct damage *d);

static void put_random_value(struct json_writer *w, struct random *r)
{
	json_put_raw(w, span_cstr(values[random_below(r, ARRAY_LEN(values))]));
}

static void put_object(struct json_writer *w, const struct json *v, struct damage *d, bool here)
{
	size_t dropped = v->count && here ? random_below(d->random, v->count * 2) : v->count;
	bool add = here && random_chance(d->random, 2);
	const char *added = names[random_below(d->random, ARRAY_LEN(names))];
	json_object(w);
	for (size_t i = 0; i < v->count; i++) {
		if (i == dropped || (add && span_is(v->items[i].key, added)))
			continue;
		json_key_span(w, v->items[i].key);
		put_damaged(w, &v->items[i], d);
	}
	if (add) {
		json_key(w, added);
		put_random_value(w, d->random);
	}
	json_end(w);
}

static void put_damaged(struct json_writer *w, const struct json *v, struct damage *d)
{
	bool here = d->seen++ == d->at;
	bool container = v->type == JSON_OBJECT || v->type == JSON_ARRAY;
	if (here && (!container || random_chance(d->random, 3))) {
		put_random_value(w, d->random);
		return;
	}
	if (v->type == JSON_OBJECT) {
		put_object(w, v, d, here);
	} else if (v->type == JSON_ARRAY) {
		json_array(w);
		json_for_each (item, v)
			put_damaged(w, item, d);
		if (here)
			put_random_value(w, d->random);
		json_end(w);
	} else {
		json_put(w, v);
	}
}

static size_t count_values(const struct json *v)
{
	size_t n = 1;
	if (v->type == JSON_OBJECT || v->type == JSON_ARRAY)
		json_for_each (item, v)
			n += count_values(item);
	return n;
}

/* ---- the two judges ---- */

static const char *env(void *ctx, const char *name)
{
	return "http://from-env";
}

static bool table_accepts(struct arena *a, const struct table *t, struct span text, struct buf *why)
{
	struct report report;
	const struct doc *d;
	struct table_secrets secrets = {0};
	assert_int_equal(report_init(&report, a, "t"), 0);
	int r = doc_parse_json(&report, text, &d);
	void *room = arena_alloc(a, t->bytes);
	struct table_run run = {
		.report = &report, .env = env, .secrets = &secrets, .shape_only = true};
	if (r == 0)
		r = table_load(&run, t, d, room);
	assert_true(r >= 0);
	report_text(&report, why);
	table_secrets_fini(&secrets);
	return r == 0;
}

static bool schema_accepts(
	struct arena *a, const struct jsonschema *s, struct span text, struct buf *why)
{
	const struct json *v;
	struct jsonschema_error e = {{0}, {0}, {0}};
	assert_int_equal(json_parse(a, text, NULL, &v), 0);
	int r = jsonschema_check(s, v, &e);
	assert_true(r >= 0);
	if (r)
		buf_printf(why, "%s: %s (%s)", e.instance_path, e.message, e.schema_path);
	return r == 0;
}

static void compare(const struct table *t, const struct jsonschema *s, struct span text)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	struct buf table_says CLEANUP(buf_fini) = buf_init(1 << 20);
	struct buf schema_says CLEANUP(buf_fini) = buf_init(1 << 20);
	bool by_table = table_accepts(a, t, text, &table_says);
	bool by_schema = schema_accepts(a, s, text, &schema_says);
	if (by_table == by_schema)
		return;
	fprintf(stderr, "# table: %s\n# schema: %s\n# " SPAN_FMT "\n",
		by_table ? "accepted" : buf_cstr(&table_says),
		by_schema ? "accepted" : buf_cstr(&schema_says), SPAN_ARG(text));
	fail();
}

static struct jsonschema *schema_of(struct arena *a, const struct table *t)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	struct json_writer w = json_writer(&b);
	const struct json *v;
	struct jsonschema *s;
	table_json_schema(t, "https://x.test/s", &w);
	assert_int_equal(json_parse(a, buf_view(&b), NULL, &v), 0);
	int r = jsonschema_new(v, JSONSCHEMA_2020_12, &s);
	if (r)
		print_message("# %s\n", err_message(r));
	assert_int_equal(r, 0);
	return s;
}

static void agree(const struct table *t, const char *const *documents, size_t count)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	struct jsonschema *s = schema_of(a, t);
	for (size_t i = 0; i < count; i++) {
		const struct json *v;
		struct buf why CLEANUP(buf_fini) = buf_init(1 << 20);
		assert_int_equal(json_parse(a, span_cstr(documents[i]), NULL, &v), 0);
		struct arena *scratch CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
		bool good = table_accepts(scratch, t, span_cstr(documents[i]), &why);
		if (!good)
			print_message("# %s\n", buf_cstr(&why));
		assert_true(good);
		compare(t, s, span_cstr(documents[i]));
		for_each_seed (seed, ROUNDS) {
			struct random random = {seed};
			struct damage d = {&random, random_below(&random, count_values(v)), 0};
			struct buf text CLEANUP(buf_fini) = buf_init(1 << 20);
			struct json_writer w = json_writer(&text);
			put_damaged(&w, v, &d);
			compare(t, s, buf_view(&text));
		}
	}
	jsonschema_free(s);
}

static void schema_of_manifests_agrees(void **state)
{
	agree(&agent_manifest_table, manifests, ARRAY_LEN(manifests));
}

static void schema_of_configurations_agrees(void **state)
{
	agree(&config_table, configs, ARRAY_LEN(configs));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schema_of_manifests_agrees),
		cmocka_unit_test(schema_of_configurations_agrees),
	};
	return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
