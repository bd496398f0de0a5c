/* SPDX-License-Identifier: AGPL-3.0-only */
/* A child that is made before it is known what it will run: all that can become of it. */
#include "tools/aegis-bootstrap/call.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "tests/tap.h"

enum { NOTHING = 1, OUTPUT_BYTES = 4096 };

struct order {
	const char *argv[4];
	const char *cwd;
	int returns;
	bool dies;
	pid_t pid; /* of who was asked */
};

static int give(void *arg, struct call_spec *ret)
{
	static char *const envp[] = {(char *)"PATH=/usr/bin:/bin", NULL};
	struct order *o = arg;

	o->pid = getpid();
	if (o->dies)
		kill(getpid(), SIGKILL);
	*ret = (struct call_spec){.argv = (char *const *)o->argv,
		.envp = envp,
		.cwd = o->cwd ? o->cwd : "/",
		.procs_fd = -1,
		.kill_fd = -1,
		.timeout_ms = 10000,
		.output_max = OUTPUT_BYTES};
	return o->returns;
}

/* Its result; the caller's to finish. */
static struct call_result run(struct order *o)
{
	static struct loop loop;
	static struct reaper reaper;
	struct call_waiting w = {0};
	struct call_result r;

	if (!reaper.loop)
		assert_int_equal(reaper_init(&reaper, &loop), 0);
	assert_int_equal(call_await(&w, give, o), 0);
	assert_int_not_equal(o->pid, getpid());
	assert_int_equal(call_run_waiting(&loop, &reaper, &w, &r), 0);
	return r;
}

static void it_becomes_the_program(void **state)
{
	struct order o = {.argv = {"sh", "-c", "echo out; echo err >&2; exit 3"}};
	struct call_result r = run(&o);

	assert_int_equal(r.exit_code, 3);
	assert_true(span_eq(tail_view(&r.out, OUTPUT_BYTES), SPAN("out\n")));
	assert_true(span_eq(tail_view(&r.err, OUTPUT_BYTES), SPAN("err\n")));
	call_result_fini(&r);
}

static void what_it_leaves_is_killed(void **state)
{
	struct order o = {.argv = {"sh", "-c", "sleep 300 & setsid sleep 301 & exit 0"}};
	struct call_result r = run(&o);

	assert_int_equal(r.exit_code, 0);
	assert_true(r.duration_ms < 5000);
	call_result_fini(&r);
}

static void a_failure_says_why(void **state)
{
	struct order missing = {.argv = {"no-such-program"}};
	struct order nowhere = {.argv = {"true"}, .cwd = "/no/such/folder"};
	struct call_result r = run(&missing);

	assert_int_equal(r.exit_code, 127);
	assert_true(span_find(tail_view(&r.err, OUTPUT_BYTES), SPAN("no-such-program"), 0) >= 0);
	call_result_fini(&r);
	r = run(&nowhere);
	assert_int_equal(r.exit_code, -1);
	assert_true(span_find(tail_view(&r.err, OUTPUT_BYTES), SPAN("/no/such/folder"), 0) >= 0);
	call_result_fini(&r);
}

static void it_may_be_told_nothing(void **state)
{
	struct order nothing = {.returns = NOTHING}, failed = {.returns = -ENODATA};
	struct order dead = {.dies = true};
	struct call_waiting w = {0};

	assert_int_equal(call_await(&w, give, &nothing), NOTHING);
	assert_int_not_equal(nothing.pid, 0);
	assert_int_equal(call_await(&w, give, &failed), -ENODATA);
	assert_int_equal(call_await(&w, give, &dead), -ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_becomes_the_program),
		cmocka_unit_test(what_it_leaves_is_killed),
		cmocka_unit_test(a_failure_says_why),
		cmocka_unit_test(it_may_be_told_nothing),
	};
	return cmocka_run_group_tests_name("bootstrap call", tests, NULL, NULL);
}
