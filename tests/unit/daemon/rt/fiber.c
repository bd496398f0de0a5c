/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/rt/in_fiber.h"
#include "daemon/rt/internal.h"
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
enum { MANY = 2000 }; /* TSan keeps a thread's state for each, and has room for 8,000 */
#else
enum { MANY = 8000 };
#endif

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
	for (int i = 0; i < 100; i++) {
		fiber_fn fn = i % 2 ? count_up : yield_then_count;
		EXPECT_INT(group_spawn(&g, "count", FIBER_SMALL, fn, &n), 0);
	}
	EXPECT_INT(n, 0);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	EXPECT_INT(n, 100);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	group_close(&g);
}

static void join_waits_for_all(void **state)
{
	in_fiber(body_join);
}

static void nap(void *arg)
{
	EXPECT_INT(rt_sleep_until(deadline_in_ms(2)), 0);
	++*(int *)arg;
}

static void body_many(void *arg)
{
	struct group g;
	int n = 0;
	group_init(&g);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++)
			EXPECT_INT(group_spawn(&g, "nap", FIBER_SMALL, nap, &n), 0);
		EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	}
	EXPECT_INT(n, 2 * MANY);
}

static void thousands_sleep_at_once(void **state)
{
	in_fiber(body_many);
}

static void body_exhausted(void *arg)
{
	struct group g;
	int n = 0;
	group_init(&g);
	/* The main fiber has a large stack; seven large ones and eight small ones are left. */
	for (int i = 0; i < 8; i++)
		EXPECT_INT(group_spawn(&g, "nap", FIBER_SMALL, nap, &n), 0);
	EXPECT_INT(group_spawn(&g, "nap", FIBER_SMALL, nap, &n), -EAGAIN);
	for (int i = 0; i < 7; i++)
		EXPECT_INT(group_spawn(&g, "nap", FIBER_LARGE, nap, &n), 0);
	EXPECT_INT(group_spawn(&g, "nap", FIBER_LARGE, nap, &n), -EAGAIN);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	EXPECT_INT(n, 15);
	EXPECT_INT(group_spawn(&g, "nap", FIBER_SMALL, nap, &n), 0);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
}

static void an_exhausted_pool_says_busy(void **state)
{
	struct rt_options options = {.workers = 1, .max_fibers = 8};
	in_fiber_with(&options, body_exhausted, NULL);
}

/* Three scopes, one inside the other; each notes when its own scope has closed. */
struct scope {
	struct scope *inner;
	char *log;
	char letter;
};

static void note(char *log, char letter)
{
	size_t n = strlen(log);
	log[n] = letter;
	log[n + 1] = '\0';
}

static void run_scope(void *arg)
{
	struct scope *s = arg;
	struct group g;
	group_init(&g);
	if (s->inner)
		EXPECT_INT(group_spawn(&g, "inner", FIBER_SMALL, run_scope, s->inner), 0);
	EXPECT_INT(rt_sleep_until(DEADLINE_NONE), -ECANCELED);
	group_close(&g);
	note(s->log, s->letter);
}

static void body_nested(void *arg)
{
	char log[8] = "";
	struct scope c = {NULL, log, 'c'};
	struct scope b = {&c, log, 'b'};
	struct scope a = {&b, log, 'a'};
	struct group g;
	group_init(&g);
	EXPECT_INT(group_spawn(&g, "outer", FIBER_SMALL, run_scope, &a), 0);
	for (int i = 0; i < 5; i++)
		fiber_yield();
	group_close(&g);
	EXPECT(strcmp(log, "cba") == 0);
	EXPECT_INT(group_spawn(&g, "late", FIBER_SMALL, run_scope, &c), -ECANCELED);
}

static void cancel_travels_inwards_and_ends_outwards(void **state)
{
	in_fiber(body_nested);
}

struct order {
	int64_t deadline_ns;
	int64_t began_ns;
	int *next;
	int place;
};

static void sleep_in_order(void *arg)
{
	struct order *o = arg;
	o->began_ns = clock_mono_ns();
	EXPECT_INT(rt_sleep_until(o->deadline_ns), 0);
	EXPECT(rt_now_ns() >= o->deadline_ns);
	o->place = (*o->next)++;
}

/* False if a deadline had passed before its sleeper slept: then the order says nothing. */
static bool woke_in_order(int64_t lead_ms)
{
	enum { N = 40 };
	struct order o[N];
	struct group g;
	int next = 0;
	int64_t first_ns = deadline_in_ms(lead_ms);
	bool in_time = true;
	group_init(&g);
	for (int i = 0; i < N; i++) {
		o[i] = (struct order){
			.deadline_ns = first_ns + (i * 17) % N * NS_PER_MS, .next = &next};
		EXPECT_INT(group_spawn(&g, "sleep", FIBER_SMALL, sleep_in_order, &o[i]), 0);
	}
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	for (int i = 0; i < N; i++)
		in_time = in_time && o[i].began_ns < first_ns;
	for (int i = 0; in_time && i < N; i++)
		EXPECT_INT(o[i].place, (i * 17) % N);
	return in_time;
}

static void body_order(void *arg)
{
	int64_t lead_ms = 5;
	while (!woke_in_order(lead_ms))
		lead_ms *= 2;
}

static void sleepers_wake_by_their_deadlines(void **state)
{
	in_fiber(body_order);
}

static void fail_differently(void *arg)
{
	int code = *(int *)arg;
	char text[32];
	EXPECT_INT(err_raise(-code, "number %d", code), -code);
	snprintf(log_context()->call_id, sizeof(log_context()->call_id), "call-%d", code);
	for (int i = 0; i < 3; i++)
		fiber_yield();
	snprintf(text, sizeof(text), "number %d", code);
	EXPECT(strcmp(err_message(-code), text) == 0);
	snprintf(text, sizeof(text), "call-%d", code);
	EXPECT(strcmp(log_context()->call_id, text) == 0);
}

static void inherit_context(void *arg)
{
	EXPECT(strcmp(log_context()->execution_id, "exec-1") == 0);
}

static void body_trails(void *arg)
{
	int codes[] = {EIO, ENOENT, EPERM};
	struct group g;
	group_init(&g);
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		EXPECT_INT(group_spawn(&g, "fail", FIBER_SMALL, fail_differently, &codes[i]), 0);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	EXPECT(log_context()->call_id[0] == '\0');
	strcpy(log_context()->execution_id, "exec-1");
	EXPECT_INT(group_spawn(&g, "heir", FIBER_SMALL, inherit_context, NULL), 0);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
}

static void each_fiber_has_its_own_trail_and_context(void **state)
{
	in_fiber(body_trails);
}

/* ---- stacks ---- */

struct secret_use {
	size_t deep; /* bytes of stack to fill */
	bool beneath_a_hole; /* of a frame as large as the build allows, with nothing written in it
			      */
	volatile char *where; /* lowest address of the secret */
	char *low; /* of the stack */
	size_t bytes;
};

__attribute__((noinline)) static void leave_secret(struct secret_use *u, size_t left)
{
	volatile char secret[1024];
	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = 0x5e;
	/* That it outlives the array is the point; the compiler must not see it. */
	__asm__("" : "=r"(u->where) : "0"(secret));
	if (left > sizeof(secret))
		leave_secret(u, left - sizeof(secret));
	secret[0] = 0x5e;
}

enum { HOLE_BYTES = 4980 };

__attribute__((noinline)) static void leave_secret_deeper(struct secret_use *u)
{
	volatile char hole[HOLE_BYTES];
	__asm__("" : : "r"(hole));
	leave_secret(u, u->deep);
	__asm__("" : : "r"(hole));
}

static void use_secret(void *arg)
{
	struct secret_use *u = arg;
	const struct fiber *f = fiber_self();
	u->low = f->stack_low;
	u->bytes = f->stack_bytes;
	if (u->beneath_a_hole)
		leave_secret_deeper(u);
	else
		leave_secret(u, u->deep);
	EXPECT(u->where > u->low && u->where < u->low + u->bytes - u->deep / 2);
}

static void body_scrub(void *arg)
{
	static const size_t depths[] = {1024, 6000, 15000, 40000};
	for (size_t i = 0; i < 4 * ARRAY_LEN(depths); i++) {
		enum fiber_stack kind = i % 2 ? FIBER_LARGE : FIBER_SMALL;
		struct secret_use u = {.deep = depths[i / 4], .beneath_a_hole = i % 4 >= 2};
		struct group g;
		group_init(&g);
		EXPECT_INT(group_spawn(&g, "secret", kind, use_secret, &u), 0);
		EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
		fiber_yield();
		size_t dirty = 0;
		for (size_t at = 0; at < u.bytes; at++)
			dirty += u.low[at] != 0;
		EXPECT(dirty == 0);
	}
}

/* As on a processor without AVX2. */
static void body_scrub_narrow(void *arg)
{
	worker_current->small.wide = false;
	body_scrub(arg);
}

static void a_stack_is_wiped_before_reuse(void **state)
{
	in_fiber(body_scrub);
	in_fiber(body_scrub_narrow);
}

__attribute__((noinline)) static int overflow(volatile int depth)
{
	volatile char frame[2048];
	frame[0] = (char)depth;
	return depth > 1000000 ? 0 : overflow(depth + 1) + frame[0];
}

static void run_over(void *arg)
{
	*(int *)arg = overflow(0);
}

static void body_overflow(void *arg)
{
	struct group g;
	int r;
	group_init(&g);
	if (group_spawn(&g, "deep", FIBER_SMALL, run_over, &r) == 0)
		group_close(&g);
}

/* In a child process: the guard page must end it, before it harms the neighbour's stack. */
static void the_guard_page_stops_an_overflow(void **state)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rt_options options = {.workers = 1};
		close(STDERR_FILENO); /* the sanitizer's report of what we provoke */
		signal(SIGSEGV, SIG_DFL);
		_exit(rt_run(&options, body_overflow, NULL) == 0 ? 0 : 3);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		assert_true(WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 3);
	else
		assert_int_equal(WTERMSIG(status), SIGSEGV);
}

/* ---- timers against a plain model ---- */

enum { TIMERS = 64 };

static void body_timers(void *arg)
{
	struct timers t;
	struct fiber f[TIMERS];
	int64_t model[TIMERS];
	uint32_t seed = 1;
	EXPECT_INT(timers_init(&t, TIMERS), 0);
	memset(f, 0, sizeof(f));
	for (int i = 0; i < TIMERS; i++) {
		f[i].timer_index = -1;
		model[i] = DEADLINE_NONE;
	}
	for (int step = 0; step < 20000; step++) {
		seed = seed * 1664525 + 1013904223;
		int i = (int)(seed >> 8) % TIMERS;
		if (model[i] == DEADLINE_NONE) {
			model[i] = (seed >> 16) % 1000;
			timer_start(&t, &f[i], model[i]);
		} else {
			model[i] = DEADLINE_NONE;
			timer_stop(&t, &f[i]);
		}
		int64_t least = DEADLINE_NONE;
		for (int k = 0; k < TIMERS; k++)
			least = deadline_earlier(least, model[k]);
		EXPECT(timers_next(&t) == least);
	}
	for (int i = 0; i < TIMERS; i++)
		timer_stop(&t, &f[i]);
	timers_fini(&t);
}

static void timers_agree_with_a_model(void **state)
{
	in_fiber(body_timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(join_waits_for_all),
		cmocka_unit_test(thousands_sleep_at_once),
		cmocka_unit_test(an_exhausted_pool_says_busy),
		cmocka_unit_test(cancel_travels_inwards_and_ends_outwards),
		cmocka_unit_test(sleepers_wake_by_their_deadlines),
		cmocka_unit_test(each_fiber_has_its_own_trail_and_context),
		cmocka_unit_test(a_stack_is_wiped_before_reuse),
		cmocka_unit_test(the_guard_page_stops_an_overflow),
		cmocka_unit_test(timers_agree_with_a_model),
	};
	return cmocka_run_group_tests_name("rt", tests, NULL, NULL);
}
