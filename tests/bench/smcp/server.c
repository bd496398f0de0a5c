/* SPDX-License-Identifier: AGPL-3.0-only */
/* The gateway as the daemon has it: one worker, the API's routes, store, journal, policy. */
#include "daemon/api/api.h"
#include "tests/bench/smcp/load.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static struct {
	const char *folder;
	int port_fd;
	struct rule_set *rules;
} s;

static int context(void *ctx, struct span name, struct rule_set **ret, int64_t deadline_ns)
{
	if (!span_is(name, "bench"))
		return SMCP_SCOPE_NOT_FOUND;
	*ret = rule_set_ref(s.rules);
	return 0;
}

/* Of the size that security contexts have: a few tools, paths, a denial. */
static int rules_make(void)
{
	static const char *const paths[] = {"/workspace"};
	static const char *const denied[] = {"fs.delete"};
	const struct rule_capability list[] = {
		{.tool_pattern = "aegis.*"},
		{.tool_pattern = "fs.*", .paths = {paths, 1}},
		{.tool_pattern = "web.fetch"},
	};
	const struct rule_context c = {
		.name = "bench",
		.capabilities = list,
		.capability_count = ARRAY_LEN(list),
		.deny_list = {denied, 1},
	};
	struct rule_set_builder *b = rule_set_builder_new();
	int r = b ? rule_add_context(b, &c, RULE_CONTEXT_GRANTS) : -ENOMEM;

	s.rules = r == 0 ? rule_set_seal(b) : NULL;
	rule_set_builder_free(b);
	return s.rules ? 0 : -ENOMEM;
}

static int open_door(struct http_server *server, struct api_door *door)
{
	struct door_tcp tcp = {.address = "127.0.0.1"};
	static const char *authorities[] = {"127.0.0.1"};
	uint16_t port;
	int fd, r = door_listen_tcp(&tcp, &fd, &port);

	*door = (struct api_door){.kind = API_DOOR_TCP,
		.open = true,
		.authorities = authorities,
		.authority_count = 1};
	if (r == 0)
		r = http_server_listen(server, fd, &(struct http_listen){.tag = door}, NULL);
	if (r == 0 && write(s.port_fd, &port, sizeof(port)) != sizeof(port))
		r = -EPIPE;
	return r;
}

static void serve(void *arg)
{
	char url[512], keys[512], journal_dir[512];
	struct store *store = NULL;
	struct journal *journal = NULL;
	struct event_bus *bus = NULL;
	struct offload *files = NULL;
	struct smcp_service *smcp = NULL;
	struct api *api = NULL;
	struct http_server *server = NULL;
	struct api_door door;
	struct group g;
	sigset_t set;

	group_init(&g);
	snprintf(url, sizeof(url), "sqlite:%s/aegis.db", s.folder);
	snprintf(keys, sizeof(keys), "%s/keys", s.folder);
	snprintf(journal_dir, sizeof(journal_dir), "%s/journal", s.folder);
	struct store_options so = {.url = url,
		.states = {
			&agent_states, &execution_states, &iteration_states, &smcp_session_states}};
	struct journal_options jo = {.dir = journal_dir};
	struct smcp_service_options o = {.issuer = "bench",
		.audience = "bench",
		.tenant_id = "local",
		.keys_directory = keys,
		.context = context};
	CHECK(rules_make() == 0);
	CHECK(store_open(&so, &store) == 0);
	CHECK(journal_open(&jo, &journal) == 0);
	CHECK(event_bus_start(
		      &(struct event_bus_options){.store = store, .journal = journal}, &bus) == 0);
	CHECK(offload_start("files", 1, 16, &files) == 0);
	o.store = store;
	o.bus = bus;
	o.files = files;
	CHECK(smcp_service_start(&g, &o, &smcp) == 0);
	struct api_deps deps = {.store = store,
		.bus = bus,
		.smcp = smcp,
		.tenant_id = "local",
		.node_id = "bench",
		.list_max = 100};
	CHECK(api_new(&deps, &api) == 0);
	CHECK(http_server_start(&(struct http_server_options){.handler = api_handle,
					.beside = api_beside,
					.ctx = api,
					.stack = FIBER_LARGE},
		      &server) == 0);
	CHECK(open_door(server, &door) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	CHECK(signal_wait(&set, DEADLINE_NONE) == SIGTERM);
	struct store_stats stats = store_stats(store);
	fprintf(stderr, "%llu events in %llu transactions\n", (unsigned long long)stats.events,
		(unsigned long long)stats.groups);
	http_server_stop(server, rt_now_ns());
	api_free(api);
	group_close(&g);
	smcp_service_free(smcp);
	event_bus_stop(bus);
	journal_close(journal);
	store_close(store);
	offload_stop(files);
	rule_set_unref(s.rules);
}

void server_run(const char *folder, int port_fd)
{
	s.folder = folder;
	s.port_fd = port_fd;
	int r = rt_run(&(struct rt_options){.workers = 1}, serve, NULL);
	if (r < 0)
		err_log(r, "server");
	_exit(r < 0);
}
