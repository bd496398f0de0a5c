/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A whole execution over the simulated ring: real store, events, gateway, tools, files and model
 * client; the model and the sandbox are played, over simulated sockets. The database's writes to
 * its disk are operations like all others. Under every seed it does
 * its work with the same events in the same order. With faults it ends once, with its work done or
 * with a reason; what was acknowledged is on record, events are in order, and nothing is left: no
 * sandbox, no descriptor, no fiber. A daemon that cannot go on is started again, and goes on.
 */
#include "tests/sim/daemon/execution/disk.h"
#include "tests/sim/scenario.h"
#include "tests/unit/daemon/execution/bench.h"
#include <stdio.h>

static struct bench b; /* too large for a stack; one run at a time */
static int restarts; /* of this run: each may make a call begin again */

/* What the played parts expect holds where nothing is made to fail. */
void expect_failed(const char *what, const char *file, int line)
{
	if (!scenario_faulty())
		scenario_failed(what, file, line);
}

void expect_int(long actual, long wanted, const char *what, const char *file, int line)
{
	if (actual != wanted)
		expect_failed(what, file, line);
}

int listen_loopback(struct sockaddr_in *ret_addr, int backlog)
{
	socklen_t n = sizeof(*ret_addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*ret_addr = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	SCENARIO_CHECK(bind(fd, (struct sockaddr *)ret_addr, n) == 0 && listen(fd, backlog) == 0 &&
		getsockname(fd, (struct sockaddr *)ret_addr, &n) == 0);
	return fd;
}

/* ---- what must be true of a history ---- */

static bool is_end(struct span type)
{
	return span_is(type, "ExecutionCompleted") || span_is(type, "ExecutionFailed") ||
		span_is(type, "ExecutionCancelled") || span_is(type, "ExecutionTimedOut");
}

struct history {
	int starts, ends, calls, answers; /* of the execution; of tool calls */
	bool in_order;
};

/* Tool calls are answered one after the other, each once; a failed iteration ends the one that was
 * under way. One that a restart interrupted is begun again, and says so. */
static void follow(struct history *h, const struct store_event *e)
{
	struct span type = e->type;
	bool again = span_find(e->details, SPAN("\"repeated\":true"), 0) >= 0;
	h->in_order = h->in_order && h->ends == 0 && (h->starts == 1 || h->calls == 0);
	h->starts += span_is(type, "ExecutionStarted");
	h->ends += is_end(type);
	h->calls += span_is(type, "InvocationStarted") && !again;
	h->answers += span_is(type, "InvocationCompleted") || span_is(type, "InvocationFailed") ||
		span_is(type, "ToolPolicyViolation");
	if (span_is(type, "IterationFailed"))
		h->answers = h->calls;
	h->in_order = h->in_order && h->answers <= h->calls && h->calls <= h->answers + 1;
}

static void check_history(struct uuid id, bool completed)
{
	struct store_event_query q = {.execution_id = id, .limit = 1000};
	struct store_events events = {0};
	struct history h = {.in_order = true};
	SCENARIO_CHECK(store_event_list(b.store, &q, b.arena, &events, DEADLINE_NONE) == 0);
	for (size_t i = 0; i < events.count; i++) {
		SCENARIO_CHECK(i == 0 || events.items[i].number > events.items[i - 1].number);
		follow(&h, &events.items[i]);
	}
	if (!h.in_order || h.starts != 1 || h.ends != 1 ||
		(completed && (h.calls != h.answers || !h.calls)))
		scenario_failed(history_of(&b, id), __FILE__, __LINE__);
}

#define WHOLE_HISTORY \
	"ExecutionStarted IterationStarted InstanceSpawned LlmInteraction InvocationStarted " \
	"InvocationCompleted InvocationStarted CommandExecutionStarted CommandExecutionCompleted " \
	"InvocationCompleted LlmInteraction InvocationStarted ToolPolicyViolation LlmInteraction " \
	"InstanceTerminated GradientValidationPerformed IterationFailed RefinementApplied " \
	"IterationStarted InstanceSpawned LlmInteraction InvocationStarted " \
	"CommandExecutionStarted CommandExecutionCompleted InvocationCompleted LlmInteraction " \
	"InstanceTerminated GradientValidationPerformed IterationCompleted ExecutionCompleted"

static void check_end(struct uuid id)
{
	struct store_execution row = row_of(&b, id);
	bool completed = strcmp(row.status, "completed") == 0;
	SCENARIO_CHECK(completed || scenario_faulty());
	SCENARIO_CHECK(completed || strcmp(row.status, "failed") == 0);
	if (completed)
		SCENARIO_CHECK(span_is(row.final_output, "good"));
	else
		SCENARIO_CHECK(row.error_message.n > 0);
	check_history(id, completed);
	if (scenario_faulty())
		return;
	SCENARIO_CHECK(b.host.ran == 2);
	if (restarts)
		return;
	if (strcmp(history_of(&b, id), WHOLE_HISTORY) != 0)
		scenario_failed(history_of(&b, id), __FILE__, __LINE__);
}

/* ---- the scenario ---- */

static void write_script(void)
{
	b.model.turns[0][0] =
		(struct script_turn){.calls = {{"fs.create_dir", "{\"path\":\"/workspace/out\"}"},
					     {"cmd.run", "{\"command\":\"python3 a.py\"}"}}};
	b.model.turns[0][1] = (struct script_turn){
		.calls = {{"fs.write", "{\"path\":\"/workspace/no\",\"content\":\"text\"}"}}};
	b.model.turns[0][2].content = "bad";
	b.model.turns[1][0] =
		(struct script_turn){.calls = {{"cmd.run", "{\"command\":\"make all\"}"}}};
	b.model.turns[1][1].content = "good";
}

static int ask(struct uuid *ret_id)
{
	struct execution_request q = {.agent_id = b.agent, .input = SPAN("\"work\"")};
	struct span why = {0};
	int r = execution_start(b.x, &q, b.arena, ret_id, &why, deadline_in_ms(60000));
	SCENARIO_CHECK(r == 0 || (scenario_faulty() && r < 0 && *err_message(r)));
	return r;
}

/* It ends; if a fault keeps it from that, it does after a restart. */
static void see_it_end(struct uuid id)
{
	int r = execution_wait(b.x, id, deadline_in_ms(120000));
	sim_faults(false);
	if (r < 0) {
		SCENARIO_CHECK(scenario_faulty());
		err_clear();
		daemon_down(&b);
		daemon_up(&b);
		r = execution_wait(b.x, id, deadline_in_ms(120000));
	}
	SCENARIO_CHECK(r == 0);
	check_end(id);
}

static void begin(void)
{
	sim_faults(false);
	restarts = 0;
	bench_begin(&b);
	deploy(&b,
		"mode: iterative, max_iterations: 3, validation: [{type: exit_code}, "
		"{type: regex, pattern: good}]",
		"tools: [\"fs.*\", \"cmd.run\"]");
	write_script();
	/* The model's listener listens. */
	SCENARIO_CHECK(rt_sleep_until(deadline_in_ms(500)) == 0);
	sim_faults(true);
}

static void end(void)
{
	sim_faults(false);
	err_clear();
	SCENARIO_CHECK(store_check(b.store, DEADLINE_NONE) == 0);
	SCENARIO_CHECK(host_boxes(&b.host) == 0);
	bench_end(&b);
}

static void run_one(void *arg)
{
	struct uuid id = {{0}};
	begin();
	if (ask(&id) == 0)
		see_it_end(id);
	end();
}

/* The daemon goes away and comes again, at moments that the seed chooses. */
static void run_restarted(void *arg)
{
	struct uuid id = {{0}};
	begin();
	if (ask(&id) == 0) {
		for (int i = 0; i < 3; i++) {
			int64_t at_ns = rt_now_ns() + (int64_t)sim_below(30 * NS_PER_MS);
			SCENARIO_CHECK(rt_sleep_until(at_ns) == 0);
			daemon_down(&b);
			daemon_up(&b);
			restarts++;
		}
		see_it_end(id);
	}
	end();
}

static const struct scenario flow = {.name = "execution", .body = run_one};
static const struct scenario restarted = {.name = "restarted", .body = run_restarted};

static void it_works_under_every_seed(void **state)
{
	scenario_seeds(&flow, 20);
}

static void it_is_taken_up_under_every_seed(void **state)
{
	scenario_seeds(&restarted, 40);
}

static void any_operation_may_fail(void **state)
{
	scenario_failures(&flow, 1);
}

static void many_operations_may_fail(void **state)
{
	scenario_chaos(&flow, 20, 20);
}

int main(void)
{
	log_setup(LOG_ERROR, LOG_TEXT, "execution");
	disk_may_fail();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_works_under_every_seed),
		cmocka_unit_test(it_is_taken_up_under_every_seed),
		cmocka_unit_test(any_operation_may_fail),
		cmocka_unit_test(many_operations_may_fail),
	};
	return cmocka_run_group_tests_name("execution", tests, NULL, NULL);
}
