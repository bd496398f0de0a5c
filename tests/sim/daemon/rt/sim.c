/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the simulator itself promises. */
#include "tests/sim/scenario.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void run(fiber_fn body, struct sim_options options, int wanted, struct sim_result *ret)
{
	struct sim_result none;
	int r = sim_run(&options, body, NULL, ret ? ret : &none);
	assert_int_equal(r, wanted);
}

static char trouble[256];

#define HOLDS(cond) \
	do { \
		if (!(cond) && !trouble[0]) \
			snprintf(trouble, sizeof(trouble), "line %d: %s is false", __LINE__, \
				#cond); \
	} while (0)

static void run_well(fiber_fn body, struct sim_options options)
{
	trouble[0] = '\0';
	run(body, options, 0, NULL);
	if (trouble[0])
		fail_msg("%s", trouble);
}

static void sleep_a_year(void *arg)
{
	int64_t began_ns = rt_now_ns();
	HOLDS(rt_wall_ns() >= SIM_EPOCH_NS && rt_wall_ns() < SIM_EPOCH_NS + NS_PER_S);
	HOLDS(rt_sleep_until(deadline_in_ms(INT64_C(365) * 86400000)) == 0);
	HOLDS(rt_now_ns() - began_ns >= INT64_C(365) * 86400 * NS_PER_S);
}

static void time_is_virtual(void **state)
{
	int64_t before_ns = clock_mono_ns();
	run_well(sleep_a_year, (struct sim_options){.time_limit_ns = INT64_MAX / 4});
	assert_true(clock_mono_ns() - before_ns < 60 * NS_PER_S);
}

/* ---- what goes wrong in a scenario is told ---- */

static void wait_for_ever(void *arg)
{
	struct waitq q;
	waitq_init(&q);
	HOLDS(waitq_wait(&q, DEADLINE_NONE) == -ECANCELED);
}

static void a_deadlock_is_found(void **state)
{
	struct sim_result result;
	run(wait_for_ever, (struct sim_options){.seed = 3}, -EDEADLK, &result);
	assert_non_null(strstr(result.report, "main waits for waitq"));
}

static void nap_for_ever(void *arg)
{
	while (rt_sleep_until(deadline_in_ms(1000)) == 0)
		continue;
}

static void spin_for_ever(void *arg)
{
	while (!fiber_cancelled())
		fiber_yield();
}

static void a_livelock_is_found(void **state)
{
	struct sim_result result;
	struct sim_options options = {.time_limit_ns = 3600 * NS_PER_S};
	run(nap_for_ever, options, -ETIME, &result);
	assert_non_null(strstr(result.report, "main waits for sleep"));
	options.time_limit_ns = 5 * NS_PER_MS;
	run(spin_for_ever, options, -ETIME, &result);
}

static void leak_one(void *arg)
{
	int fds[2];
	HOLDS(sim_socketpair(fds) == 0);
	rt_close(fds[0]);
}

static void a_leaked_descriptor_is_found(void **state)
{
	struct sim_result result;
	run(leak_one, (struct sim_options){.seed = 1}, 0, &result);
	assert_int_equal(result.leaked_fds, 1);
}

/* ---- faults ---- */

static void write_twice(void *arg)
{
	int *results = arg;
	int fds[2];
	HOLDS(sim_socketpair(fds) == 0);
	results[0] = (int)rt_send(fds[0], "a", 1, 0, DEADLINE_NONE);
	results[1] = (int)rt_send(fds[0], "b", 1, 0, DEADLINE_NONE);
	rt_close(fds[0]);
	rt_close(fds[1]);
}

static void exactly_the_chosen_operation_fails(void **state)
{
	for (int k = 0; k <= 3; k++) {
		struct sim_result result;
		struct sim_options options = {.seed = 7, .fail_at = k, .fail_errno = EUCLEAN};
		int results[2];
		assert_int_equal(sim_run(&options, write_twice, results, &result), 0);
		assert_int_equal(results[0], k == 1 ? -EUCLEAN : 1);
		assert_int_equal(results[1], k == 2 ? -EUCLEAN : 1);
		assert_int_equal(result.operations, 2);
		assert_int_equal(result.failed != NULL, k == 1 || k == 2);
		if (result.failed)
			assert_string_equal(result.failed, "send");
	}
}

static void write_spared(void *arg)
{
	int *results = arg;
	int fds[2];
	HOLDS(sim_socketpair(fds) == 0);
	sim_faults(false);
	HOLDS(!sim_fails("play"));
	results[0] = (int)rt_send(fds[0], "a", 1, 0, DEADLINE_NONE);
	sim_faults(true);
	results[1] = (int)rt_send(fds[0], "b", 1, 0, DEADLINE_NONE);
	results[2] = sim_fails("play");
	rt_close(fds[0]);
	rt_close(fds[1]);
}

static void operations_may_be_spared(void **state)
{
	struct sim_result result;
	int results[3];
	for (int k = 1; k <= 2; k++) {
		struct sim_options options = {.seed = 7, .fail_at = k, .fail_errno = EUCLEAN};
		assert_int_equal(sim_run(&options, write_spared, results, &result), 0);
		assert_int_equal(results[0], 1);
		assert_int_equal(results[1], k == 1 ? -EUCLEAN : 1);
		assert_int_equal(results[2], k == 2);
		assert_int_equal(result.operations, 2);
		assert_string_equal(result.failed, k == 1 ? "send" : "play");
	}
}

/* ---- sockets ---- */

static void talk(void *arg)
{
	int fds[2];
	char got[16];
	HOLDS(sim_socketpair(fds) == 0);
	struct stream *s;
	struct span view;
	HOLDS(stream_start(fds[0], &s) == 0);
	HOLDS(rt_recv(fds[1], got, 10, 0, deadline_in_ms(50)) == -ETIME);
	HOLDS(rt_send_all(fds[1], "hello", 5, DEADLINE_NONE) == 0);
	HOLDS(stream_peek(s, 4, &view, DEADLINE_NONE) == 0 && span_is(view, "hello"));
	stream_consume(s, 5);
	HOLDS(rt_poll(fds[1], POLLOUT, DEADLINE_NONE) == POLLOUT);
	HOLDS(rt_poll(fds[1], POLLIN, deadline_in_ms(5)) == -ETIME);
	stream_shutdown(s);
	HOLDS(rt_recv(fds[1], got, 10, 0, DEADLINE_NONE) == 0);
	HOLDS(stream_send(s, SPAN("x"), DEADLINE_NONE) == -EPIPE);
	rt_close(fds[1]);
	HOLDS(stream_peek(s, 0, &view, DEADLINE_NONE) == 0 && view.n == 0);
	stream_stop(s);
}

static void sockets_behave(void **state)
{
	for (uint64_t seed = 1; seed <= 50; seed++)
		run_well(talk, (struct sim_options){.seed = seed});
}

/* ---- real descriptors under simulated time ---- */

static void use_files(void *arg)
{
	char dir[] = "/tmp/rt-sim-XXXXXX";
	char path[64];
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
	char got[64] = "";
	size_t n = 0;
	HOLDS(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/f", dir);
	HOLDS(rt_openat(AT_FDCWD, path, O_RDONLY, 0, DEADLINE_NONE) == -ENOENT);
	int fd = rt_openat(AT_FDCWD, path, O_CREAT | O_RDWR, 0600, DEADLINE_NONE);
	HOLDS(fd >= 0);
	for (size_t at = 0; at < 26;) {
		ssize_t r = rt_write(fd, letters + at, 26 - at, (int64_t)at, DEADLINE_NONE);
		HOLDS(r > 0);
		at += (size_t)MAX(r, (ssize_t)1);
	}
	HOLDS(rt_fsync(fd, false, DEADLINE_NONE) == 0);
	for (ssize_t r; (r = rt_read(fd, got + n, sizeof(got) - n, -1, DEADLINE_NONE)) > 0;)
		n += (size_t)r;
	HOLDS(n == 26 && memcmp(got, letters, 26) == 0);
	rt_close(fd);
	int fds[2];
	HOLDS(pipe2(fds, O_CLOEXEC) == 0);
	HOLDS(rt_read(fds[0], got, 1, -1, deadline_in_ms(100)) == -ETIME);
	HOLDS(rt_write(fds[1], "p", 1, -1, DEADLINE_NONE) == 1);
	HOLDS(rt_read(fds[0], got, 1, -1, DEADLINE_NONE) == 1);
	rt_close(fds[0]);
	rt_close(fds[1]);
	unlink(path);
	rmdir(dir);
}

static void files_and_pipes_are_real(void **state)
{
	for (uint64_t seed = 1; seed <= 10; seed++)
		run_well(use_files, (struct sim_options){.seed = seed});
}

/* ---- offload, signals, children, chance ---- */

struct job {
	int64_t at_ns;
	int *running;
};

static int note_time(void *arg)
{
	struct job *j = arg;
	HOLDS(*j->running == 0);
	j->at_ns = rt_now_ns();
	return err_raise(-EXDEV, "told by the job");
}

static void use_offload(void *arg)
{
	struct offload *o;
	int running = 0;
	struct job j = {.running = &running};
	int64_t before_ns = rt_now_ns();
	HOLDS(offload_start("jobs", 2, 4, &o) == 0);
	HOLDS(offload_call(o, note_time, &j, DEADLINE_NONE) == -EXDEV);
	HOLDS(strcmp(err_message(-EXDEV), "told by the job") == 0);
	HOLDS(j.at_ns > before_ns);
	offload_stop(o);
}

static void offload_takes_virtual_time(void **state)
{
	run_well(use_offload, (struct sim_options){.seed = 5});
}

static void raise_later(void *arg)
{
	HOLDS(rt_sleep_until(deadline_in_ms(1000)) == 0);
	sim_raise(SIGHUP);
}

static void use_others(void *arg)
{
	sigset_t set;
	struct group g;
	struct child c;
	char *argv[] = {"true", NULL};
	group_init(&g);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sim_raise(SIGTERM);
	HOLDS(signal_wait(&set, DEADLINE_NONE) == SIGTERM);
	HOLDS(group_spawn(&g, "raise", FIBER_SMALL, raise_later, NULL) == 0);
	HOLDS(signal_wait(&set, deadline_in_ms(10)) == -ETIME);
	HOLDS(signal_wait(&set, DEADLINE_NONE) == SIGHUP);
	HOLDS(group_join(&g, DEADLINE_NONE) == 0);
	HOLDS(child_spawn("/bin/true", argv, argv + 1, (int[]){-1, -1, -1}, &c) == -ENOSYS);
	HOLDS(worker_count() == 1 && worker_index(worker_self()) == 0);
	for (int i = 0; i < 100; i++)
		HOLDS(sim_below(7) < 7);
}

static void signals_and_the_rest(void **state)
{
	for (uint64_t seed = 1; seed <= 10; seed++)
		run_well(use_others, (struct sim_options){.seed = seed});
}

static void draw(void *arg)
{
	rt_random(arg, 16);
}

static void chance_comes_from_the_seed(void **state)
{
	uint8_t a[16];
	uint8_t b[16];
	uint8_t c[16];
	struct sim_result result;
	struct sim_options options = {.seed = 11};
	assert_int_equal(sim_run(&options, draw, a, &result), 0);
	assert_int_equal(sim_run(&options, draw, b, &result), 0);
	options.seed = 12;
	assert_int_equal(sim_run(&options, draw, c, &result), 0);
	assert_memory_equal(a, b, 16);
	assert_memory_not_equal(a, c, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_is_virtual),
		cmocka_unit_test(a_deadlock_is_found),
		cmocka_unit_test(a_livelock_is_found),
		cmocka_unit_test(a_leaked_descriptor_is_found),
		cmocka_unit_test(exactly_the_chosen_operation_fails),
		cmocka_unit_test(operations_may_be_spared),
		cmocka_unit_test(sockets_behave),
		cmocka_unit_test(files_and_pipes_are_real),
		cmocka_unit_test(offload_takes_virtual_time),
		cmocka_unit_test(signals_and_the_rest),
		cmocka_unit_test(chance_comes_from_the_seed),
	};
	return cmocka_run_group_tests_name("rt", tests, NULL, NULL);
}
