/* SPDX-License-Identifier: AGPL-3.0-only */
/* Tool servers that misbehave, in every way that one can, and what becomes of those who call them.
 */
#include "tests/unit/daemon/toolserver/fake.h"
#include <stdio.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 };

static struct tool_servers *start(struct fake *f, struct tool_server_config *c)
{
	struct tool_servers *s = NULL;
	struct tool_servers_options o = {.servers = c,
		.count = 1,
		.launcher = fake_launcher(f),
		.open_ms = f->mode == FAKE_SILENT ? 100 : PATIENCE_MS,
		.backoff_first_ms = f->good_after ? 1 : PATIENCE_MS,
		.backoff_max_ms = PATIENCE_MS};

	EXPECT_INT(tool_servers_new(&o, &s), 0);
	EXPECT_INT(tool_servers_start(s), 0);
	return s;
}

static struct tool_server_config config(void)
{
	return (struct tool_server_config){.name = "small",
		.executable = "x",
		.health_interval_ms = PATIENCE_MS,
		.health_timeout_ms = PATIENCE_MS,
		.health_method = "ping",
		.call_timeout_ms = PATIENCE_MS};
}

static void await_state(struct tool_servers *s, enum tool_server_state state)
{
	int64_t deadline_ns = deadline_in_ms(PATIENCE_MS);
	int r = 0;

	while (r == 0 && s->items[0]->state != (int)state)
		r = waitq_wait(&s->changed, deadline_ns);
	if (r < 0)
		print_message("# it is %s: %s\n",
			state_name(&tool_server_states, s->items[0]->state), s->items[0]->error);
	EXPECT_INT(r, 0);
}

static bool says(const char *text, const char *part)
{
	if (strstr(text, part))
		return true;
	print_message("# '%s' is not in '%s'\n", part, text);
	return false;
}

/* ---- starting ---- */

static void bad_starts(void *arg)
{
	static const struct {
		enum fake_mode mode;
		const char *error;
	} rows[] = {
		{FAKE_SILENT, "did not initialize within 100 ms"},
		{FAKE_GARBAGE, "more than 32 lines are no message"},
		{FAKE_ENDLESS_LINE, "a line is longer than"},
		{FAKE_EXITS, "closed its output"},
		{FAKE_HALF_LINE, "closed its output"},
		{FAKE_OTHER_VERSION, "version '1999-01-01'"},
		{FAKE_REFUSES, "refuses to initialize: no licence"},
		{FAKE_TOO_MANY_TOOLS, "more than 256 tools"},
		{FAKE_TOO_MANY_BAD_TOOLS, "lists more than 4096"},
		{FAKE_CURSOR_LOOPS, "names itself as the next"},
		{FAKE_ENDLESS_PAGES, "more than 64 pages"},
		{FAKE_NO_ARRAY, "an array of tools is expected"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake f = {.mode = rows[i].mode};
		struct tool_server_config c = config();
		struct tool_servers *s = start(&f, &c);
		await_state(s, TOOL_SERVER_BACKING_OFF);
		EXPECT(says(s->items[0]->error, rows[i].error));
		EXPECT(says(s->items[0]->error, "it last said: goodbye"));
		EXPECT(s->catalog->count == 0);
		tool_servers_stop(s);
		EXPECT_INT(f.starts, 1);
		EXPECT_INT(f.stops, 1);
	}
}

/* A server cannot fill the log with tools that are not offered. */
static void the_log_is_not_the_servers(void *arg)
{
	struct fake f = {.mode = FAKE_TOO_MANY_BAD_TOOLS};
	struct tool_server_config c = config();
	FILE *log = tmpfile();
	int outer = dup(STDERR_FILENO), told = 0;
	char line[4096];

	EXPECT(log && outer >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
	struct tool_servers *s = start(&f, &c);
	await_state(s, TOOL_SERVER_BACKING_OFF);
	tool_servers_stop(s);
	EXPECT(dup2(outer, STDERR_FILENO) >= 0);
	close(outer);
	rewind(log);
	while (fgets(line, sizeof(line), log))
		told += strstr(line, "not offered") != NULL;
	fclose(log);
	EXPECT_INT(told, 17);
}

static void good_starts(void *arg)
{
	static const struct {
		enum fake_mode mode;
		size_t tools;
	} rows[] = {{FAKE_GOOD, 2}, {FAKE_CHATTY, 2}, {FAKE_TWICE, 2}, {FAKE_BAD_TOOLS, 1},
		{FAKE_NO_TOOLS, 0}, {FAKE_ASKS, 2}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake f = {.mode = rows[i].mode};
		struct tool_server_config c = config();
		struct tool_servers *s = start(&f, &c);
		await_state(s, TOOL_SERVER_READY);
		EXPECT(s->catalog->count == rows[i].tools);
		if (rows[i].mode == FAKE_ASKS) {
			EXPECT(f.ping_answered > 0);
			EXPECT(f.asked_refused > 0);
		}
		tool_servers_stop(s);
	}
}

static void comes_back(void *arg)
{
	struct fake f = {.mode = FAKE_EXITS, .good_after = 3};
	struct tool_server_config c = config();
	struct tool_servers *s = start(&f, &c);

	await_state(s, TOOL_SERVER_READY);
	EXPECT_INT(f.starts, 4);
	EXPECT_INT(f.stops, 3);
	EXPECT_INT(s->items[0]->failures, 3);
	tool_servers_stop(s);
	EXPECT_INT(f.stops, 4);
}

/* ---- health ---- */

static void is_asked_for_its_health(void *arg)
{
	struct fake f = {.mode = FAKE_SICK};
	struct tool_server_config c = config();

	c.health_interval_ms = 20;
	c.health_timeout_ms = 50;
	struct tool_servers *s = start(&f, &c);
	await_state(s, TOOL_SERVER_UNHEALTHY);
	await_state(s, TOOL_SERVER_BACKING_OFF);
	EXPECT(says(s->items[0]->error, "did not answer 'ping' within 50 ms, twice"));
	EXPECT(f.cancelled > 0);
	tool_servers_stop(s);
}

/* A machine that stands still may make it miss the second check, too: then again, with more time.
 */
static void may_recover(void *arg)
{
	int starts = 0;

	for (int64_t timeout_ms = 50; starts != 1 && timeout_ms < PATIENCE_MS; timeout_ms *= 2) {
		struct fake f = {.mode = FAKE_SICK_ONCE, .good_after = 1};
		struct tool_server_config c = config();
		c.health_interval_ms = 20;
		c.health_timeout_ms = timeout_ms;
		struct tool_servers *s = start(&f, &c);
		await_state(s, TOOL_SERVER_UNHEALTHY);
		await_state(s, TOOL_SERVER_READY);
		starts = f.starts;
		tool_servers_stop(s);
	}
	EXPECT_INT(starts, 1);
}

/* ---- calls ---- */

struct answer {
	int result;
	bool failed;
	char text[512];
};

static struct answer call(struct tool_servers *s, const char *tool, int64_t deadline_ns)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	const struct tool_source *source = tool_servers_source(s);
	struct tool_catalog *catalog = source->catalog(source->ctx);
	const struct tool_offer *o = tool_catalog_find(catalog, span_cstr(tool));
	struct answer answer = {.result = -ENOENT};
	const struct json *arguments;
	struct span text = {0};

	if (o && json_parse(a, SPAN("{}"), NULL, &arguments) == 0)
		answer.result = source->call(
			source->ctx, o, arguments, a, deadline_ns, &text, &answer.failed);
	snprintf(answer.text, sizeof(answer.text), SPAN_FMT, SPAN_ARG(text));
	tool_catalog_unref(catalog);
	return answer;
}

static void bad_calls(void *arg)
{
	static const struct {
		enum fake_mode mode;
		const char *text;
	} rows[] = {
		{FAKE_EXITS_WHEN_CALLED, "broke off: it closed its output"},
		{FAKE_FLOODS, "messages a second that nobody asked for"},
		{FAKE_SLOW, "no answer within"},
		{FAKE_RESULT_NO_OBJECT, "no answer within"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake f = {.mode = rows[i].mode};
		struct tool_server_config c = config();
		if (rows[i].mode == FAKE_SLOW || rows[i].mode == FAKE_RESULT_NO_OBJECT)
			c.call_timeout_ms = 100;
		struct tool_servers *s = start(&f, &c);
		struct answer a;
		await_state(s, TOOL_SERVER_READY);
		a = call(s, "small.add", DEADLINE_NONE);
		EXPECT_INT(a.result, 0);
		EXPECT(a.failed);
		EXPECT(says(a.text, rows[i].text));
		EXPECT_INT(s->items[0]->calls, 0);
		tool_servers_stop(s);
	}
}

static void good_calls(void *arg)
{
	struct fake f = {.mode = FAKE_TWICE};
	struct tool_server_config c = config();
	struct tool_servers *s = start(&f, &c);

	await_state(s, TOOL_SERVER_READY);
	for (int i = 0; i < 20; i++) {
		struct answer a = call(s, i % 2 ? "small.add" : "small.sub.two", DEADLINE_NONE);
		EXPECT_INT(a.result, 0);
		EXPECT(!a.failed);
		EXPECT(says(a.text, "fine"));
	}
	tool_servers_stop(s);
}

static void callers_give_up(void *arg)
{
	struct fake f = {.mode = FAKE_SLOW};
	struct tool_server_config c = config();
	struct tool_servers *s = start(&f, &c);

	await_state(s, TOOL_SERVER_READY);
	EXPECT_INT(call(s, "small.add", deadline_in_ms(50)).result, -ETIME);
	for (int64_t until = deadline_in_ms(PATIENCE_MS); !f.cancelled && rt_now_ns() < until;)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(5)), 0);
	EXPECT_INT(f.cancelled, 1);
	tool_servers_stop(s);
}

static void its_tools_stay_while_it_is_down(void *arg)
{
	struct fake f = {.mode = FAKE_EXITS_WHEN_CALLED};
	struct tool_server_config c = config();
	struct tool_servers *s = start(&f, &c);

	await_state(s, TOOL_SERVER_READY);
	EXPECT(call(s, "small.add", DEADLINE_NONE).failed);
	await_state(s, TOOL_SERVER_BACKING_OFF);
	struct answer a = call(s, "small.add", DEADLINE_NONE);
	EXPECT_INT(a.result, 0);
	EXPECT(a.failed);
	EXPECT(says(a.text, "is backing_off: it closed its output"));
	tool_servers_stop(s);
}

static void arguments_are_checked(void *arg)
{
	static const struct {
		const char *text;
		int result;
	} rows[] = {
		{"{}", 0}, {"{\"n\":1}", 0}, {"{\"n\":\"x\"}", -EINVAL}, {"{\"m\":1}", -EINVAL}};
	struct fake f = {.mode = FAKE_GOOD};
	struct tool_server_config c = config();
	struct tool_servers *s = start(&f, &c);

	await_state(s, TOOL_SERVER_READY);
	const struct tool_source *source = tool_servers_source(s);
	const struct tool_offer *o = tool_catalog_find(s->catalog, SPAN("small.add"));
	for (size_t i = 0; o && i < ARRAY_LEN(rows); i++) {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 16);
		const struct json *v;
		EXPECT_INT(json_parse(a, span_cstr(rows[i].text), NULL, &v), 0);
		EXPECT_INT(source->check(source->ctx, o, v, DEADLINE_NONE), rows[i].result);
		err_clear();
	}
	tool_servers_stop(s);
}

static void a_catalog_outlives_its_server(void *arg)
{
	struct fake f = {.mode = FAKE_GOOD};
	struct tool_server_config c = config();
	struct tool_servers *s = start(&f, &c);

	await_state(s, TOOL_SERVER_READY);
	struct tool_catalog *catalog = s->source.catalog(s);
	tool_servers_stop(s);
	EXPECT(catalog->count == 2);
	EXPECT(strcmp(catalog->items[0].name, "small.add") == 0);
	tool_catalog_unref(catalog);
}

/* ---- names ---- */

static void names_are_refused(void *arg)
{
	static const struct {
		const char *name, *method, *words;
	} rows[] = {
		{"fs", "ping", "belongs to built-in tools"},
		{"cmd", "ping", "belongs to built-in tools"},
		{"aegis", "ping", "belongs to built-in tools"},
		{"a.b", "ping", "without a dot"},
		{"small", "tools/call", "ping and tools/list are accepted"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tool_server_config c = config();
		struct tool_servers *s = NULL;
		c.name = rows[i].name;
		c.health_method = rows[i].method;
		EXPECT_INT(tool_servers_new(
				   &(struct tool_servers_options){.servers = &c, .count = 1}, &s),
			-EINVAL);
		EXPECT(says(err_message(-EINVAL), rows[i].words));
		err_clear();
	}
	struct tool_server_config ports[] = {config(), config()};
	ports[0].http_port = 8088;
	ports[1].http_path = "/mcp";
	for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
		struct tool_servers *s = NULL;
		EXPECT_INT(tool_servers_new(
				   &(struct tool_servers_options){.servers = &ports[i], .count = 1},
				   &s),
			-EINVAL);
		EXPECT(says(err_message(-EINVAL), i ? "with http_port" : "choose another one"));
		err_clear();
	}
	struct tool_server_config bad = config();
	bad.network = (const char *const[]){"a b"};
	bad.network_count = 1;
	struct tool_servers *none = NULL;
	EXPECT_INT(tool_servers_new(
			   &(struct tool_servers_options){.servers = &bad, .count = 1}, &none),
		-EINVAL);
	EXPECT(says(err_message(-EINVAL), "network_allowlist[0]"));
	err_clear();
	struct tool_server_config twice[] = {config(), config()};
	struct tool_servers *s = NULL;
	EXPECT_INT(
		tool_servers_new(&(struct tool_servers_options){.servers = twice, .count = 2}, &s),
		-EINVAL);
	EXPECT(says(err_message(-EINVAL), "another's"));
	err_clear();
}

static void capabilities_choose(void **state)
{
	static const struct {
		const char *capability, *tool;
		bool offered;
	} rows[] = {{"add", "add", true}, {"small.add", "add", true}, {"small.*", "add", true},
		{"ad", "add", false}, {"other.add", "add", false}, {"web.*", "web.fetch", true},
		{"web.*", "webx", false}, {"small.web.*", "web.fetch", true},
		{"smaller.add", "add", false}};
	struct tool_server_config c = config();

	assert_true(toolset_offers(&c, "anything"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		c.capabilities = &rows[i].capability;
		c.capability_count = 1;
		assert_int_equal(toolset_offers(&c, rows[i].tool), rows[i].offered);
	}
}

/* ---- pure parts ---- */

static void lines_are_cut(void **state)
{
	static const char text[] = "one\ntw"
				   "o\r\n\n"
				   "three";
	for (size_t step = 1; step < sizeof(text); step++) {
		struct rpc_lines l = rpc_lines_init(8);
		char got[64] = "";
		for (size_t at = 0; at < sizeof(text) - 1;) {
			size_t used;
			struct span line;
			size_t n = MIN(step, sizeof(text) - 1 - at);
			int r = rpc_lines_next(&l, span_of(text + at, n), &used, &line);
			assert_true(r == 0 || r == RPC_LINE);
			if (r == RPC_LINE)
				snprintf(got + strlen(got), sizeof(got) - strlen(got),
					"[" SPAN_FMT "]", SPAN_ARG(line));
			at += used;
		}
		assert_string_equal(got, "[one][two][]");
		rpc_lines_fini(&l);
	}
	struct rpc_lines l = rpc_lines_init(8);
	struct span line;
	size_t used;
	assert_int_equal(rpc_lines_next(&l, SPAN("123456789"), &used, &line), -E2BIG);
	err_clear();
	rpc_lines_fini(&l);
}

static void messages_are_judged(void **state)
{
	static const struct {
		const char *text;
		int result; /* kind, or negative */
	} rows[] = {
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", RPC_RESULT},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1,\"message\":\"m\"}}",
			RPC_ERROR},
		{"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1,\"message\":\"m\"}}",
			RPC_ERROR},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"n\"}", RPC_NOTIFICATION},
		{"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"n\",\"params\":{}}", RPC_REQUEST},
		{"{\"jsonrpc\":\"2.0\",\"id\":1}", -EINVAL},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}", -EINVAL},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}", -EINVAL},
		{"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"n\"}", -EINVAL},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\"}", -EINVAL},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", -EINVAL},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"n\",\"params\":[]}", -EINVAL},
		{"{\"jsonrpc\":\"1.0\",\"id\":1,\"result\":{}}", -EINVAL},
		{"[]", -EINVAL},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"result\":{}}", -EINVAL},
		{"x", -EINVAL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 16);
		struct rpc_message m = {0};
		int r = rpc_parse(a, span_cstr(rows[i].text), &m);
		assert_int_equal(r < 0 ? r : (int)m.kind, rows[i].result);
		err_clear();
	}
}

static void answers_become_text(void **state)
{
	static const struct {
		const char *json, *text;
		bool failed;
	} rows[] = {
		{"{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":"
		 "\"b\"}]}",
			"a\nb", false},
		{"{\"content\":[{\"type\":\"text\",\"text\":\"a\"}],\"isError\":true}", "a", true},
		{"{\"content\":[{\"type\":\"image\",\"data\":\"AAAA\",\"mimeType\":\"image/"
		 "png\"}]}",
			"[an image, image/png, 3 bytes, not shown]", false},
		{"{\"content\":[{\"type\":\"audio\",\"data\":\"AAAA\",\"mimeType\":\"audio/"
		 "wav\"}]}",
			"[a sound, audio/wav, 3 bytes, not shown]", false},
		{"{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"u:1\",\"text\":"
		 "\"t\"}}]}",
			"t", false},
		{"{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"u:1\",\"blob\":"
		 "\"AA\"}}]}",
			"[resource u:1, not shown]", false},
		{"{\"content\":[{\"type\":\"resource_link\",\"uri\":\"u:2\"}]}", "[resource u:2]",
			false},
		{"{\"content\":[{\"type\":\"new\"}]}", "[content of an unknown type, not shown]",
			false},
		{"{\"content\":[],\"structuredContent\":{\"a\":1}}", "{\"a\":1}", false},
		{"{}", "", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 16);
		const struct json *v;
		struct span text;
		bool failed;
		assert_int_equal(json_parse(a, span_cstr(rows[i].json), NULL, &v), 0);
		assert_int_equal(toolset_answer(v, a, &text, &failed), 0);
		assert_true(span_is(text, rows[i].text));
		assert_int_equal(failed, rows[i].failed);
	}
}

static void the_table_is_sound(void **state)
{
	assert_int_equal(state_table_check(&tool_server_states), 0);
}

#define IN_FIBER(name) \
	static void name##_case(void **state) \
	{ \
		in_fiber(name); \
	}
IN_FIBER(bad_starts)
IN_FIBER(the_log_is_not_the_servers)
IN_FIBER(good_starts)
IN_FIBER(comes_back)
IN_FIBER(is_asked_for_its_health)
IN_FIBER(may_recover)
IN_FIBER(bad_calls)
IN_FIBER(good_calls)
IN_FIBER(callers_give_up)
IN_FIBER(its_tools_stay_while_it_is_down)
IN_FIBER(arguments_are_checked)
IN_FIBER(a_catalog_outlives_its_server)
IN_FIBER(names_are_refused)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_sound),
		cmocka_unit_test(lines_are_cut),
		cmocka_unit_test(messages_are_judged),
		cmocka_unit_test(answers_become_text),
		cmocka_unit_test(capabilities_choose),
		cmocka_unit_test(names_are_refused_case),
		cmocka_unit_test(bad_starts_case),
		cmocka_unit_test(the_log_is_not_the_servers_case),
		cmocka_unit_test(good_starts_case),
		cmocka_unit_test(comes_back_case),
		cmocka_unit_test(is_asked_for_its_health_case),
		cmocka_unit_test(may_recover_case),
		cmocka_unit_test(bad_calls_case),
		cmocka_unit_test(good_calls_case),
		cmocka_unit_test(callers_give_up_case),
		cmocka_unit_test(its_tools_stay_while_it_is_down_case),
		cmocka_unit_test(arguments_are_checked_case),
		cmocka_unit_test(a_catalog_outlives_its_server_case),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
