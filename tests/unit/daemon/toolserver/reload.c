/* SPDX-License-Identifier: AGPL-3.0-only */
/* Another configuration while servers run and are called. */
#include "tests/unit/daemon/toolserver/fake.h"
#include <stdio.h>

enum { PATIENCE_MS = 60000 };

static struct tool_server_config config(void)
{
	return (struct tool_server_config){.name = "small",
		.executable = "x",
		.health_interval_ms = PATIENCE_MS,
		.health_timeout_ms = PATIENCE_MS,
		.health_method = "ping",
		.call_timeout_ms = PATIENCE_MS};
}

static struct tool_servers *start(struct fake *f, const struct tool_server_config *c, size_t count)
{
	struct tool_servers *s = NULL;
	struct tool_servers_options o = {.servers = c,
		.count = count,
		.launcher = fake_launcher(f),
		.backoff_first_ms = PATIENCE_MS};

	EXPECT_INT(tool_servers_new(&o, &s), 0);
	EXPECT_INT(tool_servers_start(s), 0);
	EXPECT_INT(tool_servers_settled(s, deadline_in_ms(PATIENCE_MS)), 0);
	return s;
}

static struct tool_servers_changes reload(
	struct tool_servers *s, const struct tool_server_config *c, size_t count)
{
	struct tool_servers_changes changes = {9, 9, 9};

	EXPECT_INT(tool_servers_reload(s, c, count, &changes), 0);
	EXPECT_INT(tool_servers_settled(s, deadline_in_ms(PATIENCE_MS)), 0);
	return changes;
}

static bool is(struct tool_servers_changes c, size_t added, size_t changed, size_t removed)
{
	return c.added == added && c.changed == changed && c.removed == removed;
}

/* ---- a call under way ---- */

struct call {
	struct tool_servers *s;
	struct tool_catalog *catalog; /* as it was when the call began */
	struct group group;
	bool done, failed;
	int result;
	char text[512];
};

static void call_run(void *arg)
{
	struct call *c = arg;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	const struct tool_source *source = tool_servers_source(c->s);
	const struct tool_offer *o = tool_catalog_find(c->catalog, SPAN("small.add"));
	const struct json *arguments = NULL;
	struct span text = {0};

	EXPECT_INT(json_parse(a, SPAN("{}"), NULL, &arguments), 0);
	c->result = o ? source->call(source->ctx, o, arguments, a, DEADLINE_NONE, &text, &c->failed)
		      : -ENOENT;
	snprintf(c->text, sizeof(c->text), SPAN_FMT, SPAN_ARG(text));
	c->done = true;
}

static void call_begin(struct call *c, struct tool_servers *s)
{
	const struct tool_source *source = tool_servers_source(s);

	*c = (struct call){.s = s, .catalog = source->catalog(source->ctx)};
	group_init(&c->group);
	EXPECT_INT(group_spawn(&c->group, "call", FIBER_LARGE, call_run, c), 0);
	while (!c->done && !s->items[0]->calls)
		fiber_yield();
}

static void call_end(struct call *c, const char *words)
{
	EXPECT_INT(group_join(&c->group, deadline_in_ms(PATIENCE_MS)), 0);
	group_close(&c->group);
	EXPECT_INT(c->result, 0);
	EXPECT(c->failed);
	if (!strstr(c->text, words)) {
		print_message("# '%s' is not in '%s'\n", words, c->text);
		EXPECT(false);
	}
	tool_catalog_unref(c->catalog);
}

/* ---- the cases ---- */

static void the_same_goes_on(void *arg)
{
	struct fake f = {.mode = FAKE_GOOD};
	struct tool_server_config c = config();
	struct tool_servers *s = start(&f, &c, 1);

	EXPECT(is(reload(s, &c, 1), 0, 0, 0));
	EXPECT_INT(f.starts, 1);
	EXPECT_INT(s->items[0]->state, TOOL_SERVER_READY);
	tool_servers_stop(s);
	EXPECT_INT(f.stops, 1);
}

static void expect_restart(
	struct tool_servers *s, const struct fake *f, const struct tool_server_config *c)
{
	int starts = f->starts;

	EXPECT(is(reload(s, c, 1), 0, 1, 0));
	EXPECT_INT(f->starts, starts + 1);
	EXPECT(is(reload(s, c, 1), 0, 0, 0));
	EXPECT_INT(s->items[0]->state, TOOL_SERVER_READY);
}

static void each_difference_counts(void *arg)
{
	static const struct tool_server_variable keys[] = {
		{"KEY", {"old", 3}}, {"KEY", {"new", 3}}};
	static const char *const texts[] = {"add", "example.org"};
	struct fake f = {.mode = FAKE_GOOD};
	const struct tool_server_config plain = config();
	struct tool_server_config rows[13];
	struct tool_servers *s = start(&f, &plain, 1);
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i] = plain;
	rows[n++].executable = "y";
	rows[n].args = texts, rows[n++].arg_count = 1;
	rows[n].args = texts + 1, rows[n++].arg_count = 1;
	rows[n].network = texts + 1, rows[n++].network_count = 1;
	rows[n].variables = keys, rows[n++].variable_count = 1;
	rows[n].variables = keys + 1, rows[n++].variable_count = 1;
	rows[n++].health_method = "tools/list";
	rows[n++].health_interval_ms--;
	rows[n++].health_timeout_ms--;
	rows[n++].call_timeout_ms--;
	rows[n++].cpu_millis = 7;
	rows[n++].memory_bytes = 7;
	rows[n].capabilities = texts, rows[n++].capability_count = 1;
	EXPECT(n == ARRAY_LEN(rows));
	for (size_t i = 0; i < n; i++)
		expect_restart(s, &f, &rows[i]);
	EXPECT(s->catalog->count == 1);
	tool_servers_stop(s);
	EXPECT_INT(f.stops, f.starts);
}

static void a_change_ends_calls(void *arg)
{
	struct fake f = {.mode = FAKE_SLOW};
	struct tool_server_config c = config();
	struct tool_servers *s = start(&f, &c, 1);
	struct call call;

	call_begin(&call, s);
	c.memory_bytes = 1;
	EXPECT(is(reload(s, &c, 1), 0, 1, 0));
	call_end(&call, "broke off: its configuration has changed: it starts again");
	EXPECT_INT(f.starts, 2);
	EXPECT_INT(s->items[0]->state, TOOL_SERVER_READY);
	tool_servers_stop(s);
}

static void a_removal_ends_calls(void *arg)
{
	struct fake f = {.mode = FAKE_SLOW};
	struct tool_server_config c = config();
	struct tool_servers *s = start(&f, &c, 1);
	struct call call;

	call_begin(&call, s);
	EXPECT(is(reload(s, NULL, 0), 0, 0, 1));
	call_end(&call, "broke off: it has been taken out of the configuration");
	EXPECT(s->count == 0);
	EXPECT(s->catalog->count == 0);
	EXPECT(!s->source.has_server(s, SPAN("small"), NULL));
	EXPECT_INT(f.stops, 1);
	EXPECT(is(reload(s, &c, 1), 1, 0, 0));
	EXPECT(s->catalog->count == 2);
	tool_servers_stop(s);
}

/* What was judged by one server's offer is not given to another one of its name. */
static void old_offers_are_void(void *arg)
{
	struct fake f = {.mode = FAKE_GOOD};
	struct tool_server_config c = config();
	struct tool_servers *s = start(&f, &c, 1);
	struct call call = {.s = s, .catalog = s->source.catalog(s)};

	c.memory_bytes = 1;
	reload(s, &c, 1);
	group_init(&call.group);
	EXPECT_INT(group_spawn(&call.group, "call", FIBER_LARGE, call_run, &call), 0);
	call_end(&call, "has been configured anew meanwhile");
	call = (struct call){.s = s, .catalog = s->source.catalog(s)};
	reload(s, NULL, 0);
	group_init(&call.group);
	EXPECT_INT(group_spawn(&call.group, "call", FIBER_LARGE, call_run, &call), 0);
	call_end(&call, "has been taken out of the configuration meanwhile");
	tool_servers_stop(s);
}

static void a_bad_list_changes_nothing(void *arg)
{
	struct fake f = {.mode = FAKE_GOOD};
	struct tool_server_config c[2] = {config(), config()};
	struct tool_servers *s = start(&f, c, 1);
	struct tool_servers_changes changes;

	c[0].memory_bytes = 1;
	EXPECT_INT(tool_servers_reload(s, c, 2, &changes), -EINVAL);
	EXPECT(strstr(err_message(-EINVAL), "'small': that name is another's"));
	err_clear();
	EXPECT(s->count == 1);
	EXPECT_INT(f.starts, 1);
	EXPECT_INT(s->items[0]->state, TOOL_SERVER_READY);
	tool_servers_stop(s);
}

#define IN_FIBER(name) \
	static void name##_case(void **state) \
	{ \
		in_fiber(name); \
	}
IN_FIBER(the_same_goes_on)
IN_FIBER(each_difference_counts)
IN_FIBER(a_change_ends_calls)
IN_FIBER(a_removal_ends_calls)
IN_FIBER(old_offers_are_void)
IN_FIBER(a_bad_list_changes_nothing)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_goes_on_case),
		cmocka_unit_test(each_difference_counts_case),
		cmocka_unit_test(a_change_ends_calls_case),
		cmocka_unit_test(a_removal_ends_calls_case),
		cmocka_unit_test(old_offers_are_void_case),
		cmocka_unit_test(a_bad_list_changes_nothing_case),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
