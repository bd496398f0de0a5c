/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Sandboxes with network on a node that this test makes: real ones, by the real helper, whose
 * agents are shells and python. The world outside has a web server and a resolver, played by this
 * program.
 */
#include "daemon/sandbox/process_internal.h"
#include "tests/integration/daemon/sandbox/fixture.h"
#include "tests/integration/daemon/sandbox/gateway.h"
#include "tests/unit/daemon/helper/node.h"
#include <arpa/inet.h>

enum { MS = 30000, PORT = 8080, DNS_PORT = 5353 };

static struct runtime_registry *registry;
static struct node node;
static int web = -1, names = -1; /* sockets outside, made while this was root */
static int executions;

/* ---- the world outside ---- */

static struct group outside;
static int visitors, questions;

static void serve_web(void *arg)
{
	for (;;) {
		int fd = rt_accept(web, DEADLINE_NONE);
		if (fd < 0)
			return;
		visitors++;
		(void)!rt_send(fd, "hello\n", 6, 0, deadline_in_ms(1000));
		rt_close(fd);
	}
}

/* Every name is at the web server's address. */
static void serve_names(void *arg)
{
	for (;;) {
		struct buf b CLEANUP(buf_fini) = buf_init(1024);
		struct sockaddr_in from;
		char message[1024];
		struct iovec io = {message, sizeof(message)};
		struct msghdr m = {.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &io,
			.msg_iovlen = 1};
		ssize_t n = rt_recvmsg(names, &m, 0, DEADLINE_NONE);
		if (n <= 0)
			return;
		struct dns_query q;
		uint16_t id;
		uint8_t address[1][16] = {{[10] = 0xff, 0xff, 203, 0, 113, 2}};
		questions++;
		EXPECT(dns_query_parse(span_of(message, (size_t)n), &q, &id) == 0);
		dns_reply_write(&b, &q, DNS_NOERROR, 60, address, q.type == DNS_A ? 1 : 0);
		io = (struct iovec){b.data, b.len};
		EXPECT(rt_sendmsg(names, &m, 0, deadline_in_ms(1000)) > 0);
	}
}

/* ---- sandboxes ---- */

static struct helper_link *to_helper;
static struct resolver_servers servers;
static char denied[4096], resolved[4096], leased[4096];

static void on_denied(void *ctx, const struct sandbox_origin *o, const struct net_denial *d,
	struct span policy_id)
{
	size_t n = strlen(denied);
	snprintf(denied + n, sizeof(denied) - n, "%u.%u.%u.%u:%u by %.*s;", d->address[12],
		d->address[13], d->address[14], d->address[15], d->port, (int)policy_id.n,
		policy_id.n ? policy_id.p : "");
}

static void on_resolved(void *ctx, const struct sandbox_origin *o, const struct resolver_record *r)
{
	size_t n = strlen(resolved);
	snprintf(resolved + n, sizeof(resolved) - n, "%.*s %s;", (int)r->name.n, r->name.p,
		r->denied ? "denied" : "answered");
}

static void on_leased(void *ctx, const struct sandbox_origin *o, const struct sandbox_lease *l)
{
	size_t n = strlen(leased);
	EXPECT(!uuid_is_nil(o->call) && l->identity != 0);
	snprintf(leased + n, sizeof(leased) - n, "%.*s %s;", (int)o->call_program.n,
		o->call_program.p, l->opened ? "opened" : l->why);
}

static struct sandbox_driver *open_driver(void)
{
	struct sandbox_process_options o = {.registry = registry,
		.resolvers = &servers,
		.observer = {.denied = on_denied, .resolved = on_resolved, .leased = on_leased}};
	struct sandbox_driver *d = NULL;

	denied[0] = resolved[0] = leased[0] = '\0';
	visitors = questions = 0;
	group_init(&outside);
	EXPECT(group_spawn(&outside, "web", FIBER_LARGE, serve_web, NULL) == 0);
	EXPECT(group_spawn(&outside, "names", FIBER_LARGE, serve_names, NULL) == 0);
	EXPECT_INT(helper_link_new(fixture_socket(), &to_helper), 0);
	o.link = to_helper;
	EXPECT_INT(sandbox_process_open(&o, &d), 0);
	return d;
}

static void close_driver(struct sandbox_driver *d)
{
	sandbox_driver_close(d);
	to_helper = helper_link_free(to_helper);
	group_close(&outside);
}

static struct sandbox_spec spec_of(const struct kernel_rules *rules)
{
	return (struct sandbox_spec){.execution = {{0xe2, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0,
					     0, (uint8_t)(getpid() & 255), (uint8_t)++executions}},
		.iteration = 1,
		.language = SPAN("python"),
		.version = SPAN("3"),
		.prompt = "do it",
		.network = rules,
		.limits = {.cpu_millis = 2000,
			.pids = 64,
			.memory_bytes = 256 << 20,
			.tmp_bytes = 16 << 20,
			.file_bytes = 64 << 20,
			.open_files = 256}};
}

static bool begin(struct play *p, struct sandbox_driver *d, const struct sandbox_spec *spec)
{
	int r = sandbox_start(d, spec, &p->sandbox, deadline_in_ms(MS));

	if (r < 0)
		print_message("# sandbox_start: %s\n", err_message(r));
	EXPECT_INT(r, 0);
	if (r == 0)
		play_start(p);
	return r == 0;
}

static void finish(struct play *p, struct sandbox_driver *d)
{
	struct sandbox_ending e = {0};
	struct uuid execution = p->sandbox->execution;

	EXPECT_INT(sandbox_wait(p->sandbox, &e, deadline_in_ms(60000)), 0);
	EXPECT_INT(e.status, 0);
	play_stop(p);
	EXPECT_INT(sandbox_release(p->sandbox, deadline_in_ms(MS)), 0);
	EXPECT_INT(sandbox_workspace_remove(d, execution, deadline_in_ms(MS)), 0);
}

#define FETCH(host) \
	"import socket\n" \
	"try:\n" \
	"    s = socket.create_connection(('" host "', 8080), 3)\n" \
	"    print(s.recv(100).decode().strip())\n" \
	"except OSError as e:\n" \
	"    print('failed', e.errno, type(e).__name__)\n"

static const struct kernel_net_rule by_address[] = {{.address = {[10] = 0xff, 0xff, 203, 0, 113, 2},
	.prefix_bits = 128,
	.port_first = PORT,
	.port_last = PORT,
	.protocol = IPPROTO_TCP,
	.policy_id = SPAN("web")}};

static const struct kernel_net_rule by_name[] = {
	{.name = SPAN("*.example.test"),
		.port_first = PORT,
		.port_last = PORT,
		.policy_id = SPAN("example")},
	{.name = SPAN("secret.example.test"),
		.forbid = true,
		.port_last = 65535,
		.policy_id = SPAN("no-secret")},
	{.address = {[10] = 0xff, 0xff, 203, 0, 113, 0},
		.prefix_bits = 120,
		.port_first = 1,
		.port_last = 1,
		.policy_id = SPAN("the-inside-is-meant")},
};

static void without_network(void *arg)
{
	static struct play_step steps[] = {
		{.argv = {"python3", "-c", FETCH("203.0.113.2")}},
		{.argv = {"sh", "-c", "ls /sys/class/net 2>/dev/null; cat /proc/net/dev | wc -l"}},
	};
	struct play p = {.steps = steps, .count = ARRAY_LEN(steps)};
	struct sandbox_driver *d = open_driver();
	struct sandbox_spec spec = spec_of(NULL);

	if (begin(&p, d, &spec))
		finish(&p, d);
	EXPECT(strncmp(steps[0].out, "failed", 6) == 0);
	EXPECT(strcmp(steps[1].out, "3\n") == 0); /* two lines of heading, and lo */
	EXPECT_INT(visitors, 0);
	close_driver(d);
}

static void what_rules_permit(void *arg)
{
	static struct play_step steps[] = {
		{.argv = {"python3", "-c", FETCH("203.0.113.2")}},
		{.argv = {"python3", "-c", FETCH("203.0.113.1")}},
		{.argv = {"python3", "-c", FETCH("10.231.0.1")}},
		{.argv = {"python3", "-c",
			 "import socket\n"
			 "l = socket.create_server(('127.0.0.1', 9000))\n"
			 "c = socket.create_connection(('127.0.0.1', 9000), 3)\n"
			 "print('loopback', l.accept()[0] is not None)\n"}},
		{.argv = {"python3", "-c",
			 "import socket\n"
			 "for kind in ((2, 3, 1), (2, 2, 1), (2, 2, 136), (2, 1, 262)):\n"
			 "    try:\n"
			 "        socket.socket(*kind); print('made', kind)\n"
			 "    except OSError: pass\n"}},
	};
	struct play p = {.steps = steps, .count = ARRAY_LEN(steps)};
	struct kernel_rules rules = {.net = by_address, .net_count = 1};
	struct sandbox_driver *d = open_driver();
	struct sandbox_spec spec = spec_of(&rules);

	if (begin(&p, d, &spec))
		finish(&p, d);
	EXPECT(strcmp(steps[0].out, "hello\n") == 0);
	EXPECT(strcmp(steps[1].out, "failed 1 PermissionError\n") == 0);
	EXPECT(strcmp(steps[2].out, "failed 1 PermissionError\n") == 0);
	EXPECT(strcmp(steps[3].out, "loopback True\n") == 0);
	EXPECT(strcmp(steps[4].out, "") == 0);
	EXPECT_INT(visitors, 1);
	EXPECT(strstr(denied, "203.0.113.1:8080 by ;"));
	close_driver(d);
}

static void names_are_resolved(void *arg)
{
	static struct play_step steps[] = {
		{.argv = {"python3", "-c", FETCH("203.0.113.2")}},
		{.argv = {"python3", "-c", FETCH("www.example.test")}},
		{.argv = {"python3", "-c", FETCH("secret.example.test")}},
		{.argv = {"python3", "-c", FETCH("data.attacker.test")}},
	};
	struct play p = {.steps = steps, .count = ARRAY_LEN(steps)};
	struct kernel_rules rules = {.net = by_name, .net_count = ARRAY_LEN(by_name)};
	struct sandbox_driver *d = open_driver();
	struct sandbox_spec spec = spec_of(&rules);

	if (begin(&p, d, &spec))
		finish(&p, d);
	EXPECT(strcmp(steps[0].out, "failed 1 PermissionError\n") == 0); /* not asked for yet */
	EXPECT(strcmp(steps[1].out, "hello\n") == 0);
	EXPECT(strncmp(steps[2].out, "failed", 6) == 0);
	EXPECT(strncmp(steps[3].out, "failed", 6) == 0);
	EXPECT_INT(visitors, 1);
	EXPECT(strstr(resolved, "www.example.test answered;"));
	EXPECT(strstr(resolved, "secret.example.test denied;"));
	EXPECT(strstr(resolved, "data.attacker.test denied;"));
	EXPECT(questions > 0 && questions <= 4); /* of www alone */
	close_driver(d);
}

/* Each under its own rules, at the same time; then one is tightened while it talks. */
static void two_side_by_side(void *arg)
{
	static struct play_step first_steps[] = {
		{.argv = {"python3", "-c", FETCH("203.0.113.2")}},
		{.argv = {"sleep", "2"}},
		{.argv = {"python3", "-c", FETCH("203.0.113.2")}},
	};
	static struct play_step second_steps[] = {
		{.argv = {"python3", "-c", FETCH("203.0.113.2")}},
		{.argv = {"python3", "-c", FETCH("10.231.1.0")}},
	};
	struct play p1 = {.steps = first_steps, .count = ARRAY_LEN(first_steps)},
		    p2 = {.steps = second_steps, .count = ARRAY_LEN(second_steps)};
	struct kernel_rules rules = {.net = by_address, .net_count = 1},
			    others = {.net = by_name, .net_count = ARRAY_LEN(by_name)};
	struct sandbox_driver *d = open_driver();
	struct sandbox_spec one = spec_of(&rules), two = spec_of(&others);

	bool first = begin(&p1, d, &one), second = begin(&p2, d, &two);
	if (first) {
		for (int i = 0; i < 500 && p1.at < 1; i++)
			EXPECT_INT(rt_sleep_until(deadline_in_ms(10)), 0);
		EXPECT_INT(sandbox_set_network(p1.sandbox, NULL, deadline_in_ms(MS)), 0);
		finish(&p1, d);
	}
	if (second)
		finish(&p2, d);
	EXPECT(strcmp(first_steps[0].out, "hello\n") == 0);
	EXPECT(strcmp(first_steps[2].out, "failed 1 PermissionError\n") == 0);
	EXPECT(strcmp(second_steps[0].out, "failed 1 PermissionError\n") == 0);
	EXPECT(strncmp(second_steps[1].out, "failed", 6) == 0);
	close_driver(d);
}

/* What single calls may, over a real link, while the rest of the sandbox has nothing. */
static void leases(void *arg)
{
	static const struct kernel_rules addresses = {.net = by_address, .net_count = 1},
					 some_names = {.net = by_name, .net_count = 2},
					 inside = {.net = by_name + 2, .net_count = 1};
	static const struct sandbox_call_rules to_web = {.network = &addresses,
						       .own = true,
						       .tool = SPAN("cmd.run"),
						       .program = SPAN("sh"),
						       .lasts_ms = MS},
					       to_names = {.network = &some_names,
						       .own = true,
						       .tool = SPAN("cmd.run"),
						       .program = SPAN("python3"),
						       .lasts_ms = MS},
					       over = {.network = &addresses,
						       .own = true,
						       .tool = SPAN("cmd.run"),
						       .program = SPAN("late"),
						       .lasts_ms = 0};
	static struct play_step steps[] = {
		{.argv = {"python3", "-c", FETCH("203.0.113.2")}},
		{.rules = &to_web,
			.argv = {"sh", "-c",
				"setsid -f python3 -c \"$0\" > /tmp/child; python3 -c \"$0\"; "
				"while ! [ -s /tmp/child ]; do sleep 0.05; done; cat /tmp/child",
				FETCH("203.0.113.2")}},
		{.argv = {"python3", "-c", FETCH("203.0.113.2")}},
		{.rules = &to_names, .argv = {"python3", "-c", FETCH("www.example.test")}},
		{.argv = {"python3", "-c", FETCH("www.example.test")}},
		{.rules = &over, .argv = {"python3", "-c", FETCH("203.0.113.2")}},
	};
	struct play p = {.steps = steps, .count = ARRAY_LEN(steps)};
	struct sandbox_driver *d = open_driver();
	struct sandbox_spec spec = spec_of(&inside);
	spec.network_in_calls = true;

	if (begin(&p, d, &spec))
		finish(&p, d);
	EXPECT(strcmp(steps[0].out, "failed 1 PermissionError\n") == 0);
	EXPECT(strcmp(steps[1].out, "hello\nhello\n") == 0);
	EXPECT(strcmp(steps[2].out, "failed 1 PermissionError\n") == 0);
	EXPECT(strcmp(steps[3].out, "hello\n") == 0);
	EXPECT(strncmp(steps[4].out, "failed", 6) == 0);
	EXPECT(strcmp(steps[5].out, "failed 1 PermissionError\n") == 0);
	EXPECT_INT(visitors, 3);
	EXPECT(strcmp(leased,
		       "sh opened;sh its result came;python3 opened;python3 its result came;"
		       "late opened;late its time was over;") == 0);
	close_driver(d);
}

/* ---- calls that are over, with processes that go on ---- */

enum { KEPT_STEPS = LIMIT_SANDBOX_KEPT_CALLS + 1 };
static struct play *watched;

static bool kernel_knows(const struct play_step *s)
{
	return sensor_agent_has_call(process_of(watched->sandbox)->agent, s->identity);
}

/* What no rule of its own binds any further has no entry; what is forbidden more than outside has
 * one, and of these only so many are kept. */
static void look_at_kept(void *arg)
{
	const struct play_step *s = &watched->steps[watched->at - 1];

	if (watched->at == 1)
		EXPECT(!kernel_knows(s));
	else
		EXPECT_INT(kernel_knows(s), watched->at - 1 <= LIMIT_SANDBOX_KEPT_CALLS);
}

static void kept_calls(void *arg)
{
	static const struct kernel_rules own = {.net = by_address, .net_count = 1};
	static struct kernel_net_rule less[1];
	static const struct kernel_rules more = {.net = by_address, .net_count = 1},
					 forbidding = {.net = less, .net_count = 1};
	static const struct sandbox_call_rules looser = {.network = &more,
						       .own = true,
						       .lasts_ms = MS},
					       bound = {.network = &forbidding,
						       .own = true,
						       .lasts_ms = MS};
	static struct play_step steps[KEPT_STEPS + 2];
	struct play p = {.steps = steps, .count = ARRAY_LEN(steps)};
	struct sandbox_driver *d = open_driver();
	struct sandbox_spec spec = spec_of(&own);

	less[0] = by_address[0];
	less[0].forbid = true;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		steps[i] = (struct play_step){.background = true,
			.rules = i == 0 ? &looser : &bound,
			.before_reply = i > 0 ? look_at_kept : NULL,
			.argv = {"sh", "-c",
				"sleep 1000 < /dev/null > /dev/null 2>&1 & echo $! >> /tmp/pids"}};
	/* The last one looks who is left. */
	steps[KEPT_STEPS + 1].rules = NULL;
	steps[KEPT_STEPS + 1].argv[2] =
		"for p in $(cat /tmp/pids); do grep -qs 'State:.[RSD]' /proc/$p/status && "
		"echo alive || echo dead; done";
	watched = &p;
	if (begin(&p, d, &spec))
		finish(&p, d);
	for (int i = 0; i < KEPT_STEPS; i++)
		EXPECT(strncmp(steps[KEPT_STEPS + 1].out + i * 6, "alive\n", 6) == 0);
	EXPECT(strcmp(steps[KEPT_STEPS + 1].out + KEPT_STEPS * 6, "dead\n") == 0);
	close_driver(d);
}

/* Who comes back does not go on with a call: what it had ends, though nothing is known of it. */
static void a_former_call(void *arg)
{
	static const struct kernel_rules addresses = {.net = by_address, .net_count = 1};
	static const struct sandbox_call_rules to_web = {
		.network = &addresses, .own = true, .lasts_ms = MS};
	static struct play_step steps[] = {
		{.rules = &to_web,
			.argv = {"sh", "-c", "python3 -c \"$0\"; sleep 1000",
				FETCH("203.0.113.2")}},
		{.argv = {"true"}},
	};
	struct play p = {.steps = steps, .count = 1};
	struct kernel_rules none = {0};
	struct sandbox_driver *d = open_driver();
	struct sandbox_spec spec = spec_of(&none);
	struct sandbox_entry *entries;
	struct sandbox_usage usage;
	size_t count;
	spec.network_in_calls = true;

	if (!begin(&p, d, &spec)) {
		close_driver(d);
		return;
	}
	watched = &p;
	for (int i = 0; i < 6000 && visitors == 0; i++)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(10)), 0);
	play_stop(&p);
	p.sandbox = sandbox_forget(p.sandbox);
	close_driver(d);

	d = open_driver();
	EXPECT_INT(sandbox_list(d, &entries, &count, deadline_in_ms(MS)), 0);
	EXPECT_INT((long)count, 1);
	EXPECT_INT(sandbox_adopt(d, &entries[0], &p.sandbox, deadline_in_ms(MS)), 0);
	free(entries);
	EXPECT_INT(sandbox_set_network(p.sandbox, &none, deadline_in_ms(MS)), 0);
	EXPECT(kernel_knows(&steps[0]));
	EXPECT_INT(sandbox_call_close(p.sandbox, play_call(0), false, &usage, deadline_in_ms(MS)),
		SANDBOX_CALL_HAD_REST);
	EXPECT(!kernel_knows(&steps[0]));
	EXPECT(strstr(leased, "it was not taken up after a restart;"));
	p = (struct play){.steps = steps, .count = 2, .sandbox = p.sandbox};
	play_start(&p);
	finish(&p, d);
	close_driver(d);
}

/* Enforcement goes on while nobody is there, and after both came back. */
static void restarts(void *arg)
{
	static struct play_step steps[] = {
		{.argv = {"python3", "-c", FETCH("203.0.113.2")}},
		{.argv = {"python3", "-c", FETCH("203.0.113.1")}},
	};
	struct play p = {.steps = steps, .count = 1};
	struct kernel_rules rules = {.net = by_address, .net_count = 1};
	struct sandbox_driver *d = open_driver();
	struct sandbox_spec spec = spec_of(&rules);
	struct sandbox_entry *entries;
	size_t count;

	if (!begin(&p, d, &spec)) {
		close_driver(d);
		return;
	}
	play_stop(&p); /* the daemon goes */
	p.sandbox = sandbox_forget(p.sandbox);
	close_driver(d);
	fixture_restart_helper(); /* and the helper dies */

	d = open_driver();
	EXPECT_INT(sandbox_list(d, &entries, &count, deadline_in_ms(MS)), 0);
	EXPECT_INT((long)count, 1);
	EXPECT_INT(sandbox_adopt(d, &entries[0], &p.sandbox, deadline_in_ms(MS)), 0);
	free(entries);
	EXPECT_INT(sandbox_set_network(p.sandbox, &rules, deadline_in_ms(MS)), 0);
	p = (struct play){.steps = steps, .count = 2, .sandbox = p.sandbox};
	play_start(&p);
	finish(&p, d);
	EXPECT(strcmp(steps[0].out, "hello\n") == 0);
	EXPECT(strcmp(steps[1].out, "failed 1 PermissionError\n") == 0);
	EXPECT(strstr(denied, "203.0.113.1:8080"));
	close_driver(d);
}

struct beginner {
	struct play play;
	struct sandbox_driver *driver;
	struct sandbox_spec spec;
	struct play_step step;
};

static void run_one(void *arg)
{
	struct beginner *b = arg;

	if (begin(&b->play, b->driver, &b->spec))
		finish(&b->play, b->driver);
	EXPECT(strcmp(b->step.out, "hello\n") == 0);
}

static void run_some(struct sandbox_driver *d, size_t count)
{
	static struct beginner all[4];
	static const struct kernel_rules rules = {.net = by_address, .net_count = 1};
	struct group g;

	group_init(&g);
	for (size_t i = 0; i < count; i++) {
		all[i] = (struct beginner){.driver = d,
			.spec = spec_of(&rules),
			.step = {.argv = {"python3", "-c", FETCH("203.0.113.2")}}};
		all[i].play = (struct play){.steps = &all[i].step, .count = 1};
		EXPECT_INT(group_spawn(&g, "run", FIBER_LARGE, run_one, &all[i]), 0);
	}
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
}

/* Its maps die with it while no sandbox has network; several look for the new ones at once. */
static void new_maps_for_several(void *arg)
{
	struct sandbox_driver *d = open_driver();

	run_some(d, 1);
	fixture_restart_helper();
	run_some(d, 4);
	close_driver(d);
}

#define CASE(body) \
	static void body##_case(void **state) \
	{ \
		in_fiber(body); \
	}
CASE(without_network)
CASE(what_rules_permit)
CASE(names_are_resolved)
CASE(two_side_by_side)
CASE(leases)
CASE(kept_calls)
CASE(a_former_call)
CASE(restarts)
CASE(new_maps_for_several)

static int outside_socket(int type, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (setns(node.outside, CLONE_NEWNET) < 0)
		return -1;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (setns(node.own, CLONE_NEWNET) < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		(type == SOCK_STREAM && listen(fd, 8) < 0))
		return -1;
	return fd;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_network_case),
		cmocka_unit_test(what_rules_permit_case),
		cmocka_unit_test(names_are_resolved_case),
		cmocka_unit_test(two_side_by_side_case),
		cmocka_unit_test(leases_case),
		cmocka_unit_test(kept_calls_case),
		cmocka_unit_test(a_former_call_case),
		cmocka_unit_test(restarts_case),
		cmocka_unit_test(new_maps_for_several_case),
	};
	struct sockaddr_in *server = (struct sockaddr_in *)&servers.address[0];

	*server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(DNS_PORT)};
	inet_pton(AF_INET, "203.0.113.2", &server->sin_addr);
	servers.count = 1;
	if (node_up(&node) < 0 || (web = outside_socket(SOCK_STREAM, PORT)) < 0 ||
		(names = outside_socket(SOCK_DGRAM, DNS_PORT)) < 0) {
		printf("1..1\nnot ok 1 - a node of the test's own\n");
		return 1;
	}
	/* By its descriptor the namespace lives on; the name must not be left when this ends. */
	if (node_forget(&node) < 0)
		return 1;
	fixture_split_with_network("10.231.0.0/19");
	registry = fixture_registry();
	int r = cmocka_run_group_tests_name("sandbox network", tests, NULL, NULL);
	runtime_registry_free(registry);
	return r;
}
