/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a holder of the bearer key can and cannot take by opening sessions. */
#include "daemon/mcp/mcp.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include "tests/unit/daemon/store/fixture.h"
#include <stdio.h>
#include <string.h>

enum { SESSIONS = 3 };

struct gate {
	char folder[64], url[128], keys[128];
	struct store *store;
	struct event_bus *bus;
	struct offload *files;
	struct group group;
	struct smcp_service *smcp;
	struct mcp_service *mcp;
	struct rule_set *rules;
	struct arena *arena;
	struct buf reply;
};

static int context(void *ctx, struct span name, struct rule_set **ret, int64_t deadline_ns)
{
	struct gate *f = ctx;

	if (!span_is(name, "tester") && !span_is(name, "other"))
		return SMCP_SCOPE_NOT_FOUND;
	*ret = rule_set_ref(f->rules);
	return 0;
}

/* aegis.system.info twice in an hour. */
static struct rule_set *rules_new(void)
{
	static const struct rule_capability list[] = {
		{.tool_pattern = "aegis.*", .calls = 2, .window_ms = 3600 * 1000}};
	const struct rule_context c = {
		.name = "tester", .capabilities = list, .capability_count = ARRAY_LEN(list)};
	struct rule_set_builder *b = rule_set_builder_new();

	EXPECT_INT(rule_add_context(b, &c, RULE_CONTEXT_GRANTS), 0);
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	EXPECT(s != NULL);
	return s;
}

static void begin(struct gate *f)
{
	*f = (struct gate){.reply = buf_init(1 << 20)};
	test_folder(f->folder);
	snprintf(f->url, sizeof(f->url), "sqlite:%s/aegis.db", f->folder);
	snprintf(f->keys, sizeof(f->keys), "%s/keys", f->folder);
	f->arena = arena_new(64 * 1024 * 1024);
	f->rules = rules_new();
	struct store_options so = {.url = f->url, .states = test_states};
	so.states.session = &smcp_session_states;
	EXPECT_INT(offload_start("files", 1, 64, &f->files), 0);
	EXPECT_INT(store_open(&so, &f->store), 0);
	EXPECT_INT(event_bus_start(&(struct event_bus_options){.store = f->store}, &f->bus), 0);
	group_init(&f->group);
	struct smcp_service_options o = {
		.store = f->store,
		.bus = f->bus,
		.files = f->files,
		.keys_directory = f->keys,
		.issuer = "node",
		.audience = "agents",
		.tenant_id = "local",
		.context = context,
		.context_ctx = f,
	};
	EXPECT_INT(smcp_service_start(&f->group, &o, &f->smcp), 0);
	struct mcp_service_options m = {
		.store = f->store,
		.bus = f->bus,
		.tenant_id = "local",
		.smcp = f->smcp,
		.sessions_per_context = SESSIONS,
	};
	EXPECT_INT(mcp_service_new(&m, &f->mcp), 0);
}

static void end(struct gate *f)
{
	mcp_service_free(f->mcp);
	group_close(&f->group);
	smcp_service_free(f->smcp);
	event_bus_stop(f->bus);
	store_close(f->store);
	offload_stop(f->files);
	rule_set_unref(f->rules);
	arena_free(f->arena);
	buf_fini(&f->reply);
	test_folder_remove(f->folder);
}

/* The status; the answer's text stands in f->reply. */
static int ask(struct gate *f, const char *session, const char *scope, const char *method,
	char *ret_session)
{
	struct mcp_exchange x = {
		.session_id = span_cstr(session),
		.context_name = span_cstr(scope),
		.arena = f->arena,
		.deadline_ns = deadline_in_ms(60000),
		.reply = &f->reply,
	};

	buf_reset(&f->reply);
	x.body = span_cstr(arena_printf(f->arena,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{\"name\":"
		"\"aegis.system.info\",\"arguments\":{}}}",
		method));
	EXPECT_INT(mcp_post(f->mcp, &x), 0);
	if (ret_session)
		memcpy(ret_session, x.new_session, sizeof(x.new_session));
	return x.status;
}

static bool says(const struct gate *f, const char *text)
{
	return span_find(buf_view(&f->reply), span_cstr(text), 0) >= 0;
}

static void body_share(void *arg)
{
	char ids[SESSIONS + 1][UUID_TEXT_BYTES], other[UUID_TEXT_BYTES];
	struct gate f;

	begin(&f);
	EXPECT_INT(ask(&f, "", "other", "initialize", other), 200);
	for (int i = 0; i < SESSIONS; i++)
		EXPECT_INT(ask(&f, "", "tester", "initialize", ids[i]), 200);
	EXPECT_INT(ask(&f, ids[0], "", "ping", NULL), 200);
	/* One more closes the one that was unused for the longest time, in its own context. */
	EXPECT_INT(ask(&f, "", "tester", "initialize", ids[SESSIONS]), 200);
	EXPECT_INT(ask(&f, ids[1], "", "ping", NULL), 404);
	EXPECT_INT(ask(&f, ids[0], "", "ping", NULL), 200);
	EXPECT_INT(ask(&f, ids[2], "", "ping", NULL), 200);
	EXPECT_INT(ask(&f, ids[SESSIONS], "", "ping", NULL), 200);
	EXPECT_INT(ask(&f, other, "", "ping", NULL), 200);
	end(&f);
}

static void body_limits(void *arg)
{
	char a[UUID_TEXT_BYTES], b[UUID_TEXT_BYTES], other[UUID_TEXT_BYTES];
	struct gate f;

	begin(&f);
	EXPECT_INT(ask(&f, "", "tester", "initialize", a), 200);
	EXPECT_INT(ask(&f, a, "", "tools/call", NULL), 200);
	EXPECT(says(&f, "\"isError\":false"));
	EXPECT_INT(ask(&f, "", "tester", "initialize", b), 200);
	EXPECT_INT(ask(&f, b, "", "tools/call", NULL), 200);
	EXPECT(says(&f, "\"isError\":false"));
	EXPECT_INT(ask(&f, "", "tester", "initialize", b), 200);
	EXPECT_INT(ask(&f, b, "", "tools/call", NULL), 200);
	EXPECT(says(&f, "\"isError\":true") && says(&f, "2005"));
	/* What one context has taken is not another's. */
	EXPECT_INT(ask(&f, "", "other", "initialize", other), 200);
	EXPECT_INT(ask(&f, other, "", "tools/call", NULL), 200);
	EXPECT(says(&f, "\"isError\":false"));
	end(&f);
}

static void sessions_make_room_for_each_other(void **state)
{
	in_fiber(body_share);
}

static void limits_are_those_of_the_context(void **state)
{
	in_fiber(body_limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_make_room_for_each_other),
		cmocka_unit_test(limits_are_those_of_the_context),
	};
	return cmocka_run_group_tests_name("daemon/mcp", tests, NULL, NULL);
}
