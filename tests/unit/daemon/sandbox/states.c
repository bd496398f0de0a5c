/* SPDX-License-Identifier: AGPL-3.0-only */
/* The table of states, and the moves around a driver that does what the test tells it. */
#include "daemon/sandbox/sandbox.h"
#include <errno.h>
#include <stdlib.h>
#include "tests/tap.h"

struct puppet {
	struct sandbox_driver driver;
	struct sandbox sandbox;
	int stop_result, release_result;
	bool ended;
	bool forgotten;
};

static struct puppet *puppet_of(struct sandbox *s)
{
	return container_of(s, struct puppet, sandbox);
}

static int puppet_stop(struct sandbox *s, enum sandbox_stop_how how, int64_t deadline_ns)
{
	return puppet_of(s)->stop_result;
}

static int puppet_wait(struct sandbox *s, struct sandbox_ending *ret, int64_t deadline_ns)
{
	*ret = (struct sandbox_ending){.how = SANDBOX_END_EXITED};
	return puppet_of(s)->ended ? 0 : -ETIME;
}

static int puppet_release(struct sandbox *s, int64_t deadline_ns)
{
	return puppet_of(s)->release_result;
}

static void puppet_forget(struct sandbox *s)
{
	puppet_of(s)->forgotten = true;
}

static const struct sandbox_ops puppet_ops = {.kind = "puppet",
	.stop = puppet_stop,
	.wait = puppet_wait,
	.release = puppet_release,
	.forget = puppet_forget};

static struct puppet puppet(void)
{
	return (struct puppet){.driver.ops = &puppet_ops,
		.sandbox = {.state = SANDBOX_RUNNING, .listener = -1, .log = -1}};
}

static void the_table_is_sound(void **state)
{
	assert_int_equal(state_table_check(&sandbox_states), 0);
	assert_int_equal(sandbox_states.count, SANDBOX_STATE_COUNT);
	assert_false(state_allowed(&sandbox_states, SANDBOX_ENDED, SANDBOX_RUNNING));
	assert_false(state_allowed(&sandbox_states, SANDBOX_RUNNING, SANDBOX_RELEASED));
}

static void a_life_moves_through_the_states(void **state)
{
	struct puppet p = puppet();
	struct sandbox_ending ending;

	p.sandbox.driver = &p.driver;
	assert_int_equal(sandbox_release(&p.sandbox, 0), -EBUSY);
	p.stop_result = -ENOTCONN;
	assert_int_equal(sandbox_stop(&p.sandbox, SANDBOX_TERMINATE, 0), -ENOTCONN);
	assert_int_equal(p.sandbox.state, SANDBOX_RUNNING);
	p.stop_result = 0;
	assert_int_equal(sandbox_stop(&p.sandbox, SANDBOX_TERMINATE, 0), 0);
	assert_int_equal(p.sandbox.state, SANDBOX_STOPPING);
	assert_int_equal(sandbox_stop(&p.sandbox, SANDBOX_KILL, 0), 0);
	assert_int_equal(sandbox_wait(&p.sandbox, &ending, 0), -ETIME);
	assert_int_equal(p.sandbox.state, SANDBOX_STOPPING);
	p.ended = true;
	assert_int_equal(sandbox_wait(&p.sandbox, &ending, 0), 0);
	assert_int_equal(p.sandbox.state, SANDBOX_ENDED);
	assert_int_equal(sandbox_wait(&p.sandbox, &ending, 0), 0);
	assert_int_equal(sandbox_stop(&p.sandbox, SANDBOX_KILL, 0), 0);
	uint64_t identity;
	assert_int_equal(sandbox_call_open(&p.sandbox, (struct uuid){{1}}, &identity, 0), -ESRCH);
	p.release_result = -ENOTCONN;
	assert_int_equal(sandbox_release(&p.sandbox, 0), -ENOTCONN);
	assert_false(p.forgotten);
	p.release_result = 0;
	assert_int_equal(sandbox_release(&p.sandbox, 0), 0);
	assert_int_equal(p.sandbox.state, SANDBOX_RELEASED);
	assert_true(p.forgotten);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_sound),
		cmocka_unit_test(a_life_moves_through_the_states),
	};
	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
