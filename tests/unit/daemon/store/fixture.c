/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/store/fixture.h"

#include <fcntl.h>
#include <stdio.h>

static const struct state_row agent_rows[] = {
	{"active", STATE_BIT(1) | STATE_BIT(2) | STATE_BIT(3), 0},
	{"paused", STATE_BIT(0) | STATE_BIT(2), 0},
	{"archived", 0, STATE_FINAL},
	{"failed", STATE_BIT(0) | STATE_BIT(2), 0},
};
const struct state_table agent_states = {"agent", agent_rows, ARRAY_LEN(agent_rows)};

static const struct state_row execution_rows[] = {
	{"pending", STATE_BIT(1) | STATE_BIT(3) | STATE_BIT(4), 0},
	{"running", STATE_BIT(2) | STATE_BIT(3) | STATE_BIT(4), 0},
	{"completed", 0, STATE_FINAL},
	{"failed", 0, STATE_FINAL},
	{"cancelled", 0, STATE_FINAL},
};
const struct state_table execution_states = {
	"execution", execution_rows, ARRAY_LEN(execution_rows)};

static const struct state_row iteration_rows[] = {
	{"running", STATE_BIT(1) | STATE_BIT(2) | STATE_BIT(3), 0},
	{"success", 0, STATE_FINAL},
	{"failed", 0, STATE_FINAL},
	{"refining", STATE_BIT(2), 0},
};
const struct state_table iteration_states = {
	"iteration", iteration_rows, ARRAY_LEN(iteration_rows)};

static const struct state_row session_rows[] = {
	{"active", STATE_BIT(1) | STATE_BIT(2), 0},
	{"expired", 0, STATE_FINAL},
	{"revoked", 0, STATE_FINAL},
};
static const struct state_table session_states = {"session", session_rows, ARRAY_LEN(session_rows)};

const struct store_states test_states = {
	&agent_states, &execution_states, &iteration_states, &session_states};

void test_folder(char ret_dir[64])
{
	snprintf(ret_dir, 64, "/tmp/aegis-test-XXXXXX");
	if (!mkdtemp(ret_dir))
		fail_msg("mkdtemp: %s", strerror(errno));
}

void test_folder_remove(const char *dir)
{
	int r = fd_remove_tree(AT_FDCWD, dir);

	if (r < 0)
		fail_msg("remove %s: %s", dir, err_message(r));
}

int fixture_open(struct fixture *f)
{
	struct store_options o = {.url = f->url, .states = test_states};

	return store_open(&o, &f->store);
}

void fixture_reopen(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
	int r = fixture_open(f);
	if (r < 0)
		fail_msg("store_open: %s", err_message(r));
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	test_folder(f->dir);
	snprintf(f->path, sizeof(f->path), "%s/aegis.db", f->dir);
	snprintf(f->url, sizeof(f->url), "sqlite:%s", f->path);
	f->arena = arena_new(64 * 1024 * 1024);
	int r = fixture_open(f);
	if (r < 0)
		print_error("store_open: %s\n", err_message(r));
	*state = f;
	return r;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->store);
	arena_free(f->arena);
	test_folder_remove(f->dir);
	free(f);
	return 0;
}

int put(struct store *s, const char *type, struct uuid execution,
	const struct store_change *changes, size_t count, char *ret_refusal)
{
	struct store_event e = {.type = span_cstr(type), .execution_id = execution};
	struct store_commit c = {
		.events = &e, .event_count = 1, .changes = changes, .change_count = count};
	int r = store_append(s, &c, DEADLINE_NONE);

	if (ret_refusal)
		memcpy(ret_refusal, c.refusal, sizeof(c.refusal));
	return r;
}

int put_agent(struct store *s, struct uuid id, const char *name)
{
	struct store_agent a = {
		.id = id,
		.tenant_id = SPAN("default"),
		.name = span_cstr(name),
		.version = SPAN("1.0.0"),
		.manifest_yaml = SPAN("kind: Agent\n"),
		.manifest_json = SPAN("{\"kind\":\"Agent\"}"),
		.labels = SPAN("{\"team\":\"a\"}"),
		.timeout_ms = 600000,
		.status = "active",
	};
	struct store_change c = {.kind = STORE_AGENT_CREATE, .agent = &a};

	return put(s, "AgentDeployed", (struct uuid){{0}}, &c, 1, NULL);
}

int put_execution(struct store *s, struct uuid id, struct uuid agent)
{
	struct store_execution x = {
		.id = id,
		.agent_id = agent,
		.tenant_id = SPAN("default"),
		.input = SPAN("\"do it\""),
		.status = "pending",
		.max_iterations = 10,
	};
	struct store_change c = {.kind = STORE_EXECUTION_CREATE, .execution = &x};

	return put(s, "ExecutionStarted", id, &c, 1, NULL);
}

int move_execution(struct store *s, struct uuid id, const char *status, int64_t revision)
{
	struct store_execution x = {.id = id, .status = status};
	struct store_change c = {
		.kind = STORE_EXECUTION_UPDATE, .expect_revision = revision, .execution = &x};

	return put(s, "ExecutionMoved", id, &c, 1, NULL);
}
