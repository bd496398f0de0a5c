/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/rt/in_fiber.h"
#include <string.h>
#include <unistd.h>

static void count_up(void *arg)
{
	++*(int *)arg;
}

static void yield_then_count(void *arg)
{
	for (int i = 0; i < 10; i++)
		fiber_yield();
	++*(int *)arg;
}

static void body_join(void *arg)
{
	struct group g;
	int n = 0;
	group_init(&g);
	for (int i = 0; i < 100; i++)
		EXPECT_INT(group_spawn(&g, "count", FIBER_SMALL,
				   i % 2 ? count_up : yield_then_count, &n),
			0);
	EXPECT_INT(n, 0);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	EXPECT_INT(n, 100);
	group_close(&g);
}

static void test_join_waits_for_all(void **state)
{
	in_fiber(body_join);
}

struct sleeper {
	int result;
	int again;
	int in_shield;
};

static void sleep_long(void *arg)
{
	struct sleeper *s = arg;
	s->result = rt_sleep_until(deadline_in_ms(100000));
	s->again = rt_sleep_until(deadline_in_ms(100000));
	fiber_shield_begin();
	s->in_shield = rt_sleep_until(deadline_in_ms(5));
	fiber_shield_end();
}

static void body_cancel(void *arg)
{
	struct group g;
	struct sleeper s[50];
	group_init(&g);
	memset(s, 1, sizeof(s));
	for (int i = 0; i < 50; i++)
		EXPECT_INT(group_spawn(&g, "sleep", FIBER_SMALL, sleep_long, &s[i]), 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(5)), 0);
	group_close(&g);
	for (int i = 0; i < 50; i++) {
		EXPECT_INT(s[i].result, -ECANCELED);
		EXPECT_INT(s[i].again, -ECANCELED);
		EXPECT_INT(s[i].in_shield, 0);
	}
	int n = 0;
	EXPECT_INT(group_spawn(&g, "late", FIBER_SMALL, count_up, &n), -ECANCELED);
}

static void test_cancel_ends_waits_at_once(void **state)
{
	in_fiber(body_cancel);
}

static void body_echo(void *arg)
{
	int fds[2];
	char got[16];
	socket_pair(fds);
	EXPECT_INT(rt_recv(fds[0], got, sizeof(got), 0, deadline_in_ms(10)), -ETIME);
	EXPECT_INT(rt_send_all(fds[1], "hello", 5, DEADLINE_NONE), 0);
	EXPECT_INT(rt_recv(fds[0], got, sizeof(got), 0, deadline_in_ms(1000)), 5);
	EXPECT(memcmp(got, "hello", 5) == 0);
	struct stream *s;
	struct span view;
	EXPECT_INT(stream_start(fds[0], &s), 0);
	EXPECT_INT(stream_peek(s, 0, &view, deadline_in_ms(10)), -ETIME);
	EXPECT_INT(rt_send_all(fds[1], "ping", 4, DEADLINE_NONE), 0);
	EXPECT_INT(stream_peek(s, 0, &view, deadline_in_ms(1000)), 0);
	EXPECT(span_is(view, "ping"));
	EXPECT_INT(stream_send(s, view, DEADLINE_NONE), 0);
	stream_consume(s, view.n);
	EXPECT_INT(rt_recv(fds[1], got, sizeof(got), 0, deadline_in_ms(1000)), 4);
	rt_close(fds[1]);
	EXPECT_INT(stream_peek(s, 0, &view, deadline_in_ms(1000)), 0);
	EXPECT(view.n == 0);
	stream_stop(s);
}

static void test_sockets_echo(void **state)
{
	in_fiber(body_echo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join_waits_for_all),
		cmocka_unit_test(test_cancel_ends_waits_at_once),
		cmocka_unit_test(test_sockets_echo),
	};
	return cmocka_run_group_tests_name("rt", tests, NULL, NULL);
}
