/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A call of SMCP or MCP that is cancelled behind its connection's back: nobody knows how it ended,
 * so the client sees the connection close, and never an answer that claims to know.
 */
#include "daemon/api/api.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

struct node {
	char folder[64], url[128], keys[128], address[64];
	struct store *store;
	struct event_bus *bus;
	struct offload *files;
	struct group group;
	struct smcp_service *smcp;
	struct mcp_service *mcp;
	struct api *api;
	struct api_door door;
	struct http_server *server;
	struct http_client *client;
	struct arena *arena;
	int asked; /* how often the context was looked up */
};

/* What a look-up says whose own work was cancelled. */
static int context(void *ctx, struct span name, struct rule_set **ret, int64_t deadline_ns)
{
	struct node *f = ctx;

	f->asked++;
	return -ECANCELED;
}

static void services_start(struct node *f)
{
	struct store_options so = {.url = f->url,
		.states = {
			&agent_states, &execution_states, &iteration_states, &smcp_session_states}};
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
		.store = f->store, .bus = f->bus, .tenant_id = "local", .smcp = f->smcp};
	EXPECT_INT(mcp_service_new(&m, &f->mcp), 0);
}

static void begin(struct node *f)
{
	*f = (struct node){.door = {.kind = API_DOOR_UNIX}};
	struct sockaddr_in at;

	strcpy(f->folder, "/tmp/aegis-api-XXXXXX");
	EXPECT(mkdtemp(f->folder) != NULL);
	snprintf(f->url, sizeof(f->url), "sqlite:%s/aegis.db", f->folder);
	snprintf(f->keys, sizeof(f->keys), "%s/keys", f->folder);
	f->arena = arena_new(64 * 1024 * 1024);
	services_start(f);
	struct api_deps deps = {.store = f->store,
		.bus = f->bus,
		.smcp = f->smcp,
		.mcp = f->mcp,
		.tenant_id = "local",
		.node_id = "node",
		.list_max = 100};
	EXPECT_INT(api_new(&deps, &f->api), 0);
	struct http_server_options o = {.handler = api_handle, .ctx = f->api, .stack = FIBER_LARGE};
	EXPECT_INT(http_server_start(&o, &f->server), 0);
	int fd = listen_loopback(&at, 16);
	EXPECT_INT(
		http_server_listen(f->server, fd, &(struct http_listen){.tag = &f->door}, NULL), 0);
	snprintf(f->address, sizeof(f->address), "http://127.0.0.1:%d", ntohs(at.sin_port));
	EXPECT_INT(http_client_start(&(struct http_client_options){0}, &f->client), 0);
}

static void end(struct node *f)
{
	http_client_stop(f->client);
	http_server_stop(f->server, rt_now_ns());
	api_free(f->api);
	mcp_service_free(f->mcp);
	group_close(&f->group);
	smcp_service_free(f->smcp);
	event_bus_stop(f->bus);
	store_close(f->store);
	offload_stop(f->files);
	arena_free(f->arena);
	EXPECT_INT(fd_remove_tree(AT_FDCWD, f->folder), 0);
}

/* The status of the answer; 0 if the connection ended without one. */
static int ask(struct node *f, const char *method, const char *path, const char *body)
{
	struct http_answer *answer;
	struct http_call call = {
		.method = method,
		.url = arena_printf(f->arena, "%s%s", f->address, path),
		.body = body ? span_cstr(body) : (struct span){0},
		.deadline_ns = deadline_in_ms(60000),
	};
	int r = http_call(f->client, f->arena, &call, &answer);

	err_clear();
	return r == -EPIPE || r == -ECONNRESET ? 0 : r < 0 ? r : answer->status;
}

static void body_dropped(void *arg)
{
	struct node f;

	begin(&f);
	EXPECT_INT(ask(&f, "POST", "/mcp?security_context=tester",
			   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{"
			   "\"protocolVersion\":\"2025-06-18\"}}"),
		0);
	EXPECT_INT(f.asked, 1);
	EXPECT_INT(ask(&f, "POST", "/v1/smcp/attest",
			   "{\"public_key\":\"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\","
			   "\"workload_id\":\"client\",\"requested_scope\":\"tester\"}"),
		0);
	EXPECT_INT(f.asked, 2);
	/* What is whole is answered as ever. */
	EXPECT_INT(ask(&f, "POST", "/mcp", "no JSON"), 400);
	EXPECT_INT(ask(&f, "POST", "/v1/smcp/invoke", "no JSON"), 401);
	end(&f);
}

static void calls_without_an_end_get_no_answer(void **state)
{
	in_fiber(body_dropped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_without_an_end_get_no_answer),
	};
	return cmocka_run_group_tests_name("daemon/api", tests, NULL, NULL);
}
