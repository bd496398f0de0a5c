/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What single commands may, while they end, policies change and the daemon goes away: rules reach
 * the call that they were made for and no other, and whoever is not permitted any more is ended.
 */
#include "tests/unit/daemon/execution/expect.h"
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LONG_MS = 20000, PASSED_MS = 300 };

#define LEASE "{programs: [make], destinations: [\"a.example:443\"]}"
#define ABOUT_CALLS \
	"forbid (principal, action == Action::\"net:connect\", resource) when { context has " \
	"call };"

static struct bench b; /* too large for a stack */

static struct uuid begin(const char *leases, const char *policies, int64_t command_ms)
{
	bench_begin(&b);
	b.leases = leases;
	set_policies(&b, policies);
	b.host.command_ms = command_ms;
	b.model.turns[0][0].calls[0] = (struct script_call){"cmd.run", "{\"command\":\"make\"}"};
	b.model.turns[0][1].content = "good";
	deploy(&b, "mode: one-shot", TOOLS);
	return start(&b, "\"work\"");
}

static void end(struct uuid id, const char *status)
{
	wait_end(&b, id);
	EXPECT_TEXT(row_of(&b, id).status, status);
	bench_end(&b);
}

static void restart_under(const char *policies)
{
	daemon_down(&b);
	b.host.ruled = b.host.closed = b.host.killed = 0;
	set_policies(&b, policies);
	daemon_up(&b);
}

/* ---- over a restart ---- */

static void denied_after_a_restart(void *arg)
{
	struct uuid id = begin(LEASE, "", LONG_MS);
	wait_type(&b, id, EVENT_COMMAND_STARTED);
	restart_under("forbid (principal, action == Action::\"tool:cmd.run\", resource);");
	wait_type(&b, id, EVENT_COMMAND_FAILED);
	EXPECT_INT(b.host.killed, 1);
	EXPECT_HAS(detail_of(&b, id, EVENT_COMMAND_FAILED, 0, "reason"), "policy did not let it");
	EXPECT_INT(count_of_type(&b, id, EVENT_TOOL_DENIED), 1);
	end(id, "completed");
}

/* Policy says nothing of calls any more: what the kernel has is to be replaced. */
static void no_lease_after_a_restart(void *arg)
{
	struct uuid id = begin(NULL, ABOUT_CALLS, LONG_MS);
	wait_type(&b, id, EVENT_COMMAND_STARTED);
	restart_under("");
	for (int64_t until_ns = deadline_in_ms(LONG_MS);
		b.host.ruled == 0 && rt_now_ns() < until_ns;)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(1)), 0);
	EXPECT(b.host.rules.again && !b.host.rules.own);
	waitq_wake_all(&host_box(&b.host)->killed); /* it ends */
	end(id, "completed");
}

/* ---- policies change ---- */

static void one_that_comes_late_is_short(void *arg)
{
	struct uuid id = begin(NULL, "", LONG_MS);
	wait_type(&b, id, EVENT_COMMAND_STARTED);
	EXPECT_INT(b.host.ruled, 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(PASSED_MS)), 0);
	set_policies(&b, ABOUT_CALLS);
	EXPECT_INT(b.host.ruled, 1);
	EXPECT(b.host.rules.own && !b.host.rules.again);
	EXPECT_TEXT(b.host.rules.program, "make");
	/* A command may take 30 s here, and its report 15 s more. */
	EXPECT(b.host.rules.lasts_ms > 0 && b.host.rules.lasts_ms <= 45000 - PASSED_MS);
	waitq_wake_all(&host_box(&b.host)->killed);
	end(id, "completed");
}

/* The threads that lower rules are busy from when the sandbox has its own until `released`. */
static struct group busy;
static int released;

static int wait_for_release(void *arg)
{
	struct pollfd p = {.fd = released, .events = POLLIN};
	return poll(&p, 1, -1) == 1 ? 0 : -errno;
}

static void occupy(void *arg)
{
	EXPECT_INT(offload_call(b.files, wait_for_release, NULL, DEADLINE_NONE), 0);
}

static void occupy_all(void)
{
	for (int i = 0; i < 2; i++)
		EXPECT_INT(group_spawn(&busy, "busy", FIBER_LARGE, occupy, NULL), 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(10)), 0);
}

static void change_policies(void *arg)
{
	set_policies(&b, ABOUT_CALLS);
}

static void over_while_rules_are_made(void *arg)
{
	struct group reload;
	struct uuid id = begin(NULL, "", LONG_MS);
	uint64_t one = 1;

	group_init(&busy);
	group_init(&reload);
	released = eventfd(0, EFD_CLOEXEC);
	wait_type(&b, id, EVENT_COMMAND_STARTED);
	b.host.before_rules = occupy_all;
	EXPECT_INT(group_spawn(&reload, "reload", FIBER_LARGE, change_policies, NULL), 0);
	wait_type(&b, id, EVENT_EXECUTION_POLICY_CHANGED);
	while (busy.count == 0)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(1)), 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(50)), 0);
	waitq_wake_all(&host_box(&b.host)->killed);
	wait_type(&b, id, EVENT_COMMAND_COMPLETED);
	b.host.before_rules = NULL;
	EXPECT(write(released, &one, sizeof(one)) == sizeof(one));
	EXPECT_INT(group_join(&busy, DEADLINE_NONE), 0);
	EXPECT_INT(group_join(&reload, DEADLINE_NONE), 0);
	EXPECT_INT(b.host.ruled, 0);
	close(released);
	end(id, "completed");
}

/* ---- what fails ---- */

static void closed_when_it_gets_no_rules(void *arg)
{
	struct uuid id = begin(LEASE, "", 0);
	b.host.rules_error = -ENOSPC;
	wait_end(&b, id);
	EXPECT_INT(b.host.ran, 0);
	EXPECT_INT(b.host.closed, 1);
	EXPECT_HAS(detail_of(&b, id, EVENT_ITERATION_FAILED, 0, "error"), "table is full");
	end(id, "failed");
}

#define TEST(name) \
	static void test_##name(void **state) \
	{ \
		in_fiber(name); \
	}

TEST(denied_after_a_restart)
TEST(no_lease_after_a_restart)
TEST(one_that_comes_late_is_short)
TEST(over_while_rules_are_made)
TEST(closed_when_it_gets_no_rules)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_denied_after_a_restart),
		cmocka_unit_test(test_no_lease_after_a_restart),
		cmocka_unit_test(test_one_that_comes_late_is_short),
		cmocka_unit_test(test_over_while_rules_are_made),
		cmocka_unit_test(test_closed_when_it_gets_no_rules),
	};
	return cmocka_run_group_tests_name("execution calls", tests, NULL, NULL);
}
