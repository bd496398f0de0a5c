/* SPDX-License-Identifier: AGPL-3.0-only */
/* Executions in real sandboxes: the helper, aegis-bootstrap, the kernel; only the model is played.
 */
#include "daemon/helper/helper.h"
#include "tests/integration/daemon/sandbox/fixture.h"
#include "tests/unit/daemon/execution/expect.h"
#include <stdio.h>
#include <stdlib.h>

static struct bench b; /* too large for a stack */
static struct runtime_registry *registry;
static struct helper_link *to_helper;

static void driver_up(struct bench *bench)
{
	EXPECT_INT(helper_link_new(fixture_socket(), &to_helper), 0);
	EXPECT_INT(sandbox_process_open(&(struct sandbox_process_options){.link = to_helper,
						.registry = registry},
			   &bench->driver),
		0);
}

static void driver_down(struct bench *bench)
{
	sandbox_driver_close(bench->driver);
	to_helper = helper_link_free(to_helper);
}

static void begin(void)
{
	bench_begin_with(&b, driver_up, driver_down);
	deploy(&b, "mode: one-shot, validation: [{type: exit_code}]", TOOLS);
}

/* Nothing of it is left when it is removed: no sandbox, no workspace. */
static void end(struct uuid id)
{
	struct sandbox_entry *entries = NULL;
	size_t count = 1;
	EXPECT_INT(execution_remove(b.x, id, deadline_in_ms(30000)), 0);
	EXPECT_INT(sandbox_list(b.driver, &entries, &count, deadline_in_ms(30000)), 0);
	EXPECT_INT((long)count, 0);
	free(entries);
	bench_end(&b);
}

/* What the daemon's file tools write the sandbox runs, and the other way round. */
static void works(void *arg)
{
	begin();
	b.model.turns[0][0] = (struct script_turn){
		.calls = {{"fs.create_dir", "{\"path\":\"/workspace/out\"}"},
			{"fs.write",
				"{\"path\":\"/workspace/out/a.py\",\"content\":"
				"\"open('made','w').write('by the agent')\\nprint(6*7)\\n\"}"},
			{"cmd.run", "{\"command\":\"python3 out/a.py\"}"},
			{"fs.read", "{\"path\":\"/workspace/made\"}"}}};
	b.model.turns[0][1] =
		(struct script_turn){.calls = {{"fs.read", "{\"path\":\"/etc/shadow\"}"},
					     {"cmd.run", "{\"command\":\"cat /etc/shadow\"}"}}};
	b.model.turns[0][2].content = "done";
	struct uuid id = start(&b, "\"it\"");
	EXPECT_INT(execution_wait(b.x, id, deadline_in_ms(60000)), 0);
	EXPECT_TEXT(row_of(&b, id).status, "completed");
	EXPECT_TEXT(output_of(&b, id), "done");
	EXPECT_HAS(detail_of(&b, id, EVENT_TOOL_COMPLETED, 2, "result"), "\"stdout\":\"42\\n\"");
	EXPECT_HAS(detail_of(&b, id, EVENT_TOOL_COMPLETED, 3, "result"), "by the agent");
	EXPECT_INT(count_of_type(&b, id, EVENT_TOOL_DENIED), 1);
	EXPECT_HAS(detail_of(&b, id, EVENT_TOOL_COMPLETED, 4, "result"), "\"exit_code\":1");
	int fd = -1;
	EXPECT_INT(execution_file(b.x, id, SPAN("made"), &fd, DEADLINE_NONE), 0);
	EXPECT(fd >= 0);
	rt_close(fd);
	end(id);
}

/* The daemon goes away in the middle of a command; the command runs on, once. */
static void goes_on(void *arg)
{
	begin();
	b.model.turns[0][0].calls[0] = (struct script_call){"cmd.run",
		"{\"command\":\"python3 -c "
		"\\\"import time; open('runs','a').write('x'); time.sleep(2); "
		"print('slept')\\\"\"}"};
	b.model.turns[0][1].calls[0] =
		(struct script_call){"fs.read", "{\"path\":\"/workspace/runs\"}"};
	b.model.turns[0][2].content = "done";
	struct uuid id = start(&b, "\"it\"");
	wait_type(&b, id, EVENT_COMMAND_STARTED);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(500)), 0);
	daemon_down(&b);
	daemon_up(&b);
	EXPECT_INT(execution_wait(b.x, id, deadline_in_ms(60000)), 0);
	EXPECT_TEXT(output_of(&b, id), "done");
	EXPECT_HAS(detail_of(&b, id, EVENT_TOOL_COMPLETED, 0, "result"), "slept");
	EXPECT_TEXT(detail_of(&b, id, EVENT_TOOL_COMPLETED, 1, "result"), "x");
	EXPECT_INT(count_of_type(&b, id, EVENT_INSTANCE_SPAWNED), 1);
	EXPECT_INT(count_of_type(&b, id, EVENT_COMMAND_STARTED), 1);
	end(id);
}

static void cancelled(void *arg)
{
	begin();
	b.model.turns[0][0].calls[0] = (struct script_call){
		"cmd.run", "{\"command\":\"python3 -c \\\"import time; time.sleep(60)\\\"\"}"};
	struct uuid id = start(&b, "\"it\"");
	wait_type(&b, id, EVENT_COMMAND_STARTED);
	EXPECT_INT(execution_cancel(b.x, id, SPAN("enough"), false, deadline_in_ms(30000)), 0);
	EXPECT_TEXT(row_of(&b, id).status, "cancelled");
	end(id);
}

static void test_works(void **state)
{
	in_fiber(works);
}

static void test_goes_on(void **state)
{
	in_fiber(goes_on);
}

static void test_cancelled(void **state)
{
	in_fiber(cancelled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_works),
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_cancelled),
	};
	fixture_split();
	registry = fixture_registry();
	int failed = cmocka_run_group_tests_name("executions for real", tests, NULL, NULL);
	runtime_registry_free(registry);
	return failed;
}
