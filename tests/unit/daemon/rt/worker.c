/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/rt/in_fiber.h"
#include "daemon/rt/internal.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void with_workers(int n, fiber_fn body)
{
	struct rt_options options = {.workers = n};
	in_fiber_with(&options, body, NULL);
}

/* ---- messages ---- */

struct ball {
	struct msg msg;
	int bounces;
	struct waitq *done; /* on worker 0 */
	bool finished;
};

static void bounce(struct msg *m)
{
	struct ball *b = container_of(m, struct ball, msg);
	int here = worker_index(worker_self());
	if (here == 0 && b->bounces >= 300) {
		b->finished = true;
		waitq_wake_all(b->done);
		return;
	}
	b->bounces++;
	EXPECT_INT(worker_post(worker_at((here + 1) % worker_count()), &b->msg), 0);
}

static void body_bounce(void *arg)
{
	struct waitq done;
	struct ball b[20];
	waitq_init(&done);
	EXPECT_INT(worker_index(worker_self()), 0);
	for (size_t i = 0; i < ARRAY_LEN(b); i++) {
		b[i] = (struct ball){.msg.fn = bounce, .done = &done};
		EXPECT_INT(worker_post(worker_at((int)i % worker_count()), &b[i].msg), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(b); i++)
		while (!b[i].finished)
			EXPECT_INT(waitq_wait(&done, deadline_in_ms(10000)), 0);
}

static void messages_travel_between_workers(void **state)
{
	assert_null(worker_self());
	with_workers(1, body_bounce);
	with_workers(3, body_bounce);
	assert_null(worker_self());
}

enum { THREADS = 4, EACH = 500 };

struct letter {
	struct msg msg;
	struct post *post;
};

struct post {
	struct worker *to;
	int arrived; /* on `to` */
	struct waitq all;
	struct letter letters[THREADS][EACH];
	atomic_int next_thread;
};

static void letter_arrives(struct msg *m)
{
	struct post *p = container_of(m, struct letter, msg)->post;
	EXPECT(worker_self() == p->to);
	if (++p->arrived == THREADS * EACH)
		waitq_wake_all(&p->all);
}

static void *foreign_thread(void *arg)
{
	struct post *p = arg;
	struct letter *mine = p->letters[atomic_fetch_add(&p->next_thread, 1)];
	for (int i = 0; i < EACH; i++) {
		mine[i] = (struct letter){.msg.fn = letter_arrives, .post = p};
		while (worker_post(p->to, &mine[i].msg) == -EAGAIN)
			usleep(100);
	}
	return NULL;
}

static void body_foreign(void *arg)
{
	static struct post p;
	pthread_t threads[THREADS];
	memset(&p, 0, sizeof(p));
	p.to = worker_self();
	waitq_init(&p.all);
	for (int i = 0; i < THREADS; i++)
		EXPECT_INT(pthread_create(&threads[i], NULL, foreign_thread, &p), 0);
	while (p.arrived < THREADS * EACH)
		EXPECT_INT(waitq_wait(&p.all, deadline_in_ms(20000)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void foreign_threads_post_too(void **state)
{
	with_workers(1, body_foreign);
}

static void ignore(struct msg *m)
{
}

static void body_full(void *arg)
{
	struct msg *m = calloc(MAILBOX_MAX + 1, sizeof(*m));
	for (int i = 0; i <= MAILBOX_MAX; i++) {
		m[i].fn = ignore;
		EXPECT_INT(worker_post(worker_self(), &m[i]), i < MAILBOX_MAX ? 0 : -EAGAIN);
	}
	EXPECT_INT(rt_sleep_until(deadline_in_ms(2)), 0);
	EXPECT_INT(worker_post(worker_self(), &m[MAILBOX_MAX]), 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(2)), 0);
	free(m);
}

static void a_full_mailbox_says_so(void **state)
{
	with_workers(1, body_full);
}

/* ---- calls ---- */

static int where_am_i(void *arg)
{
	EXPECT_INT(rt_sleep_until(deadline_in_ms(1)), 0);
	return 100 + worker_index(worker_self());
}

static int fail_there(void *arg)
{
	return err_raise(-EDOM, "worker %d cannot", worker_index(worker_self()));
}

static int sleep_there(void *arg)
{
	int r = rt_sleep_until(DEADLINE_NONE);
	atomic_fetch_add((atomic_int *)arg, 1);
	return r;
}

static int nested(void *arg)
{
	return worker_call(worker_at(0), "back", where_am_i, NULL, DEADLINE_NONE);
}

static void body_call(void *arg)
{
	atomic_int ended = 0;
	for (int i = 0; i < worker_count(); i++)
		EXPECT_INT(worker_call(worker_at(i), "where", where_am_i, NULL, DEADLINE_NONE),
			100 + i);
	EXPECT_INT(worker_call(worker_at(1), "nested", nested, NULL, deadline_in_ms(10000)), 100);
	EXPECT_INT(worker_call(worker_at(1), "fail", fail_there, NULL, DEADLINE_NONE), -EDOM);
	EXPECT(strcmp(err_message(-EDOM), "worker 1 cannot") == 0);
	EXPECT_INT(
		worker_call(worker_at(1), "sleep", sleep_there, &ended, deadline_in_ms(3)), -ETIME);
	/* The call has really ended there, not merely been abandoned here. */
	EXPECT_INT(atomic_load(&ended), 1);
}

static void a_call_runs_there_and_its_error_comes_home(void **state)
{
	with_workers(2, body_call);
}

struct storm {
	struct group group;
	atomic_int ended;
	int results[60];
	int next;
};

static void storm_call(void *arg)
{
	struct storm *s = arg;
	int i = s->next++;
	s->results[i] = worker_call(
		worker_at(i % worker_count()), "storm", sleep_there, &s->ended, DEADLINE_NONE);
}

static void body_storm(void *arg)
{
	static struct storm s;
	for (int round = 0; round < 20; round++) {
		memset(&s, 0, sizeof(s));
		group_init(&s.group);
		for (int i = 0; i < 60; i++)
			EXPECT_INT(group_spawn(&s.group, "storm", FIBER_SMALL, storm_call, &s), 0);
		for (int i = 0; i < round; i++)
			EXPECT_INT(rt_sleep_until(rt_now_ns() + 10000), 0);
		group_close(&s.group);
		for (int i = 0; i < 60; i++)
			EXPECT_INT(s.results[i], s.next ? -ECANCELED : 0);
	}
}

static void calls_are_cancelled_in_every_phase(void **state)
{
	with_workers(3, body_storm);
}

/* ---- services, start and end ---- */

static atomic_int services_ended;

static void service(void *arg)
{
	EXPECT_INT(rt_sleep_until(DEADLINE_NONE), -ECANCELED);
	fiber_shield_begin();
	EXPECT_INT(rt_sleep_until(deadline_in_ms(3)), 0);
	fiber_shield_end();
	atomic_fetch_add(&services_ended, 1);
}

static int start_service(void *arg)
{
	return group_spawn(worker_services(), "service", FIBER_SMALL, service, NULL);
}

static void body_services(void *arg)
{
	for (int i = 0; i < worker_count(); i++)
		EXPECT_INT(
			worker_call(worker_at(i), "start", start_service, NULL, DEADLINE_NONE), 0);
}

static void services_end_with_the_run(void **state)
{
	atomic_store(&services_ended, 0);
	with_workers(3, body_services);
	assert_int_equal(atomic_load(&services_ended), 3);
}

static void body_count(void *arg)
{
	*(int *)arg = worker_count();
}

static void a_run_has_a_worker_per_core(void **state)
{
	int n = 0;
	struct rt_options options = {0};
	in_fiber_with(&options, body_count, &n);
	assert_int_equal(n, sysconf(_SC_NPROCESSORS_ONLN));
}

static void body_random(void *arg)
{
	uint8_t a[32] = {0};
	uint8_t b[32] = {0};
	rt_random(a, sizeof(a));
	rt_random(b, sizeof(b));
	EXPECT(memcmp(a, b, sizeof(a)) != 0);
	EXPECT(rt_wall_ns() > INT64_C(1700000000) * NS_PER_S);
}

static void chance_and_time_are_at_hand(void **state)
{
	in_fiber(body_random);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_travel_between_workers),
		cmocka_unit_test(foreign_threads_post_too),
		cmocka_unit_test(a_full_mailbox_says_so),
		cmocka_unit_test(a_call_runs_there_and_its_error_comes_home),
		cmocka_unit_test(calls_are_cancelled_in_every_phase),
		cmocka_unit_test(services_end_with_the_run),
		cmocka_unit_test(a_run_has_a_worker_per_core),
		cmocka_unit_test(chance_and_time_are_at_hand),
	};
	return cmocka_run_group_tests_name("rt", tests, NULL, NULL);
}
