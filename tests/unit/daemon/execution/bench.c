/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/execution/bench.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct state_row agent_rows[] = {
	{"active", STATE_BIT(1) | STATE_BIT(2) | STATE_BIT(3), 0},
	{"paused", STATE_BIT(0) | STATE_BIT(2), 0},
	{"archived", 0, STATE_FINAL},
	{"failed", STATE_BIT(0) | STATE_BIT(2), 0},
};
static const struct state_table agent_table = {"agent", agent_rows, ARRAY_LEN(agent_rows)};

static void played_up(struct bench *b)
{
	EXPECT_INT(fake_driver_open(&b->host, &b->driver), 0);
}

static void played_down(struct bench *b)
{
	sandbox_driver_close(b->driver);
}

void bench_begin(struct bench *b)
{
	bench_begin_with(b, played_up, played_down);
}

void bench_begin_with(struct bench *b, void (*up)(struct bench *b), void (*down)(struct bench *b))
{
	*b = (struct bench){
		.running_max = 8, .timeout = "60s", .driver_up = up, .driver_down = down};
	snprintf(b->dir, sizeof(b->dir), "/tmp/aegis-execution-XXXXXX");
	EXPECT(mkdtemp(b->dir) != NULL);
	snprintf(b->url, sizeof(b->url), "sqlite:%s/aegis.db", b->dir);
	snprintf(b->recording, sizeof(b->recording), "%s/recording.jsonl", b->dir);
	host_init(&b->host, b->dir);
	model_start(&b->model);
	b->arena = arena_new(512 << 20);
	daemon_up(b);
}

void bench_end(struct bench *b)
{
	daemon_down(b);
	host_fini(&b->host);
	model_stop(&b->model);
	arena_free(b->arena);
	EXPECT_INT(fd_remove_tree(AT_FDCWD, b->dir), 0);
}

static void models_up(struct bench *b)
{
	char url[64];
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/v1", b->model.port);
	struct llm_provider_options p = {.name = "scripted",
		.type = b->replay ? "replay" : "openai-compatible",
		.endpoint = b->replay ? b->recording : url,
		.record_to = b->record ? b->recording : NULL};
	struct llm_alias_options a = {.alias = "default",
		.provider = "scripted",
		.model = "scripted-1",
		.temperature = -1};
	struct llm_options o = {
		.providers = &p, .provider_count = 1, .aliases = &a, .alias_count = 1};
	EXPECT_INT(llm_new(&o, &b->llm), 0);
}

/* As if it stood in the directory of the bench: policy.d beside it is the node's. */
static const struct config *config_of(struct bench *b)
{
	static const char text[] = "apiVersion: 100monkeys.ai/v1\nkind: NodeConfig\n"
				   "metadata: {name: n}\nspec:\n  node: {id: n, type: edge}\n";
	const struct config_environment env = {0};
	struct report report;
	const struct config *c = NULL;
	char *file = arena_printf(b->arena, "%s/node.yaml", b->dir);

	EXPECT_INT(report_init(&report, b->arena, "node.yaml"), 0);
	EXPECT_INT(config_parse(file, span_cstr(text), &env, &report, &c), 0);
	return c;
}

static void policies_up(struct bench *b)
{
	struct buf findings CLEANUP(buf_fini) = buf_init(4096);
	const struct config *c = config_of(b);
	EXPECT_INT(policies_open(b->files, c, &findings, &b->policies, DEADLINE_NONE), 0);
	config_unref(c);
}

void set_policies(struct bench *b, const char *text)
{
	struct buf findings CLEANUP(buf_fini) = buf_init(4096);
	char *folder = arena_printf(b->arena, "%s/policy.d", b->dir);
	EXPECT(mkdir(folder, 0755) == 0 || errno == EEXIST);
	char *path = arena_printf(b->arena, "%s/all.cedar", folder);
	EXPECT_INT(fd_replace_file(path, span_cstr(text), 0644), 0);
	if (!b->x)
		return;
	const struct config *c = config_of(b);
	EXPECT_INT(policies_reload(b->policies, c, &findings, DEADLINE_NONE), 0);
	config_unref(c);
	EXPECT(executions_renew_rules(b->x) == 0);
}

void daemon_up(struct bench *b)
{
	char path[96];
	struct store_options o = {
		.url = b->url, .states = {&agent_table, &execution_states, &iteration_states}};
	group_init(&b->group);
	EXPECT_INT(store_open(&o, &b->store), 0);
	EXPECT_INT(event_bus_start(&(struct event_bus_options){.store = b->store}, &b->bus), 0);
	EXPECT_INT(offload_start("files", 2, 64, &b->files), 0);
	EXPECT_INT(fsal_start(&(struct fsal_options){.key = {7}}, &b->fsal), 0);
	policies_up(b);
	models_up(b);
	b->driver_up(b);
	snprintf(path, sizeof(path), "%s/snapshots", b->dir);
	mkdir(path, 0700);
	b->snapshots_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct execution_deps deps = {
		.store = b->store,
		.bus = b->bus,
		.sandboxes = b->driver,
		.llm = b->llm,
		.files = b->files,
		.fsal = b->fsal,
		.policies = b->policies,
		.snapshots_fd = b->snapshots_fd,
		.replies_fd = -1,
		.node_id = SPAN("node-1"),
		.limits = {.running_max = b->running_max,
			.timeout_ns = 60 * NS_PER_S,
			.cmd_timeout_ms = 30000,
			.cmd_output_bytes = 1 << 20,
			.cancel_grace_ns = 200 * NS_PER_MS},
	};
	int r = executions_start(&b->group, &deps, &b->x);
	if (r < 0)
		err_log(r, "executions_start");
	EXPECT_INT(r, 0);
}

void daemon_down(struct bench *b)
{
	executions_stop(b->x);
	group_close(&b->group);
	fsal_stop(b->fsal);
	llm_stop(b->llm);
	b->driver_down(b);
	b->policies = policies_free(b->policies);
	offload_stop(b->files);
	event_bus_stop(b->bus);
	store_close(b->store);
	rt_close(b->snapshots_fd);
	b->x = NULL;
	b->bus = NULL;
	b->store = NULL;
}

void deploy(struct bench *b, const char *execution, const char *spec)
{
	deploy_as(b, "tester", execution, spec);
}

void deploy_as(struct bench *b, const char *name, const char *execution, const char *spec)
{
	char *yaml = arena_printf(b->arena,
		"apiVersion: 100monkeys.ai/v1\n"
		"kind: Agent\n"
		"metadata: {name: %s, version: 1.0.0}\n"
		"spec:\n"
		"  runtime: {language: python, version: \"3.11\"}\n"
		"  task:\n"
		"    prompt_template: \"Do {{input}}\"\n"
		"  execution: {%s}\n"
		"  security:\n"
		"    resources: {timeout: %s}\n"
		"    network: {mode: none}\n"
		"    leases: [%s]\n"
		"    filesystem: {read: [/workspace], write: [/workspace/out]}\n"
		"  %s\n",
		name, execution, b->timeout, b->leases ? b->leases : "", spec);
	b->agent = uuid_new();
	struct store_agent row = {
		.id = b->agent,
		.tenant_id = SPAN("default"),
		.name = span_cstr(name),
		.version = SPAN("1.0.0"),
		.manifest_yaml = span_cstr(yaml),
		.manifest_json = SPAN("{}"),
		.labels = SPAN("{}"),
		.timeout_ms = 60000,
		.status = "active",
	};
	struct store_event e = event_of(EVENT_AGENT_DEPLOYED, (struct uuid){{0}}, b->agent, 0);
	e.details = SPAN("{\"name\":\"tester\",\"version\":\"1.0.0\"}");
	struct store_change c = {.kind = STORE_AGENT_CREATE, .agent = &row};
	struct store_commit commit = {
		.events = &e, .event_count = 1, .changes = &c, .change_count = 1};
	EXPECT_INT(event_publish(b->bus, &commit, DEADLINE_NONE), 0);
}

struct uuid start(struct bench *b, const char *input)
{
	struct execution_request q = {.agent_id = b->agent, .input = span_cstr(input)};
	struct uuid id = {{0}};
	struct span why = {0};
	int r = execution_start(b->x, &q, b->arena, &id, &why, DEADLINE_NONE);
	if (r != 0)
		log_error("start: %d %.*s %s", r, (int)why.n, why.p, r < 0 ? err_message(r) : "");
	EXPECT_INT(r, 0);
	return id;
}

void wait_end(struct bench *b, struct uuid id)
{
	EXPECT_INT(execution_wait(b->x, id, deadline_in_ms(20000)), 0);
}

struct store_execution row_of(struct bench *b, struct uuid id)
{
	struct store_execution row = {.status = "none"};
	EXPECT_INT(store_execution_get(b->store, id, b->arena, &row, DEADLINE_NONE), 0);
	return row;
}

static struct store_events events_of(struct bench *b, struct uuid id)
{
	struct store_event_query q = {.execution_id = id, .limit = 1000};
	struct store_events events = {0};
	EXPECT_INT(store_event_list(b->store, &q, b->arena, &events, DEADLINE_NONE), 0);
	return events;
}

const char *history_of(struct bench *b, struct uuid id)
{
	struct store_events events = events_of(b, id);
	struct buf text CLEANUP(buf_fini) = buf_init(1 << 16);
	for (size_t i = 0; i < events.count; i++) {
		buf_puts(&text, i ? " " : "");
		buf_span(&text, events.items[i].type);
	}
	return arena_cstr(b->arena, buf_view(&text));
}

int count_of_type(struct bench *b, struct uuid id, enum event_type t)
{
	struct store_events events = events_of(b, id);
	int n = 0;
	for (size_t i = 0; i < events.count; i++)
		n += span_is(events.items[i].type, event_info(t)->name);
	return n;
}

const char *detail_of(struct bench *b, struct uuid id, enum event_type t, int n, const char *member)
{
	struct store_events events = events_of(b, id);
	for (size_t i = 0; i < events.count; i++) {
		const struct json *v;
		if (!span_is(events.items[i].type, event_info(t)->name) || n-- > 0)
			continue;
		EXPECT_INT(json_parse(b->arena, events.items[i].details, NULL, &v), 0);
		v = json_get(v, member);
		if (!v)
			return "(absent)";
		if (v->type == JSON_STRING || v->type == JSON_NUMBER)
			return arena_cstr(b->arena, v->text);
		struct buf text CLEANUP(buf_fini) = buf_init(1 << 20);
		struct json_writer w = json_writer(&text);
		json_put(&w, v);
		return arena_cstr(b->arena, buf_view(&text));
	}
	return "(no such event)";
}

void wait_type(struct bench *b, struct uuid id, enum event_type t)
{
	int64_t deadline_ns = deadline_in_ms(30000);
	while (count_of_type(b, id, t) == 0 && rt_now_ns() < deadline_ns)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(1)), 0);
	EXPECT(count_of_type(b, id, t) > 0);
}
