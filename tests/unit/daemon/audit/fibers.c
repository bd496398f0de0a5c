/* SPDX-License-Identifier: AGPL-3.0-only */
/* The journal in fibers: posts that nobody waits for, several workers, a queue that is full. */
#include "tests/unit/daemon/audit/fixture.h"
#include "tests/unit/daemon/rt/in_fiber.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static struct {
	char dir[64];
	char journal_dir[96];
	struct journal *journal;
} t;

static void open_journal(struct journal_options o)
{
	o.dir = t.journal_dir;
	EXPECT_INT(journal_open(&o, &t.journal), 0);
}

static void post_some(void *arg)
{
	char payload[64];

	for (int i = 0; i < 200; i++) {
		snprintf(payload, sizeof(payload), "{\"from\":%d,\"n\":%d}", (int)(intptr_t)arg, i);
		struct audit_record r = {.source = AUDIT_FILE,
			.kind = SPAN("FileRead"),
			.payload = span_cstr(payload)};
		EXPECT_INT(journal_post(t.journal, &r, deadline_in_ms(20000)), 0);
	}
}

static int post_elsewhere(void *arg)
{
	post_some(arg);
	return 0;
}

static void call_elsewhere(void *arg)
{
	EXPECT_INT(worker_call(worker_at(1), "post", post_elsewhere, arg, DEADLINE_NONE), 0);
}

/* Nobody asks for it, and yet it is written soon. */
static void body_posts(void *arg)
{
	struct group g;

	open_journal((struct journal_options){0});
	group_init(&g);
	EXPECT_INT(group_spawn(&g, "here", FIBER_LARGE, post_some, (void *)1), 0);
	EXPECT_INT(group_spawn(&g, "there", FIBER_LARGE, call_elsewhere, (void *)2), 0);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	for (int i = 0; i < 400 && journal_stats(t.journal).records < 401; i++)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(20)), 0);
	EXPECT(journal_stats(t.journal).records == 401);
	EXPECT(journal_stats(t.journal).syncs < 100);
	journal_close(t.journal);
}

/* Room for about three records: producers write the queue down themselves. */
static void body_full_queue(void *arg)
{
	open_journal((struct journal_options){.queue_bytes = 600});
	post_some((void *)1);
	EXPECT_INT(journal_sync(t.journal, deadline_in_ms(20000)), 0);
	EXPECT(journal_stats(t.journal).records == 201);
	EXPECT(journal_stats(t.journal).syncs > 40);
	journal_close(t.journal);
}

static void append_one(void *arg)
{
	struct audit_record r = {.source = AUDIT_DAEMON, .kind = SPAN("Tick")};

	*(int *)arg = journal_append(t.journal, &r, 1, DEADLINE_NONE);
}

/* With a window all that come within it share one sync. */
static void body_window(void *arg)
{
	struct group g;
	int results[100];

	open_journal((struct journal_options){.batch_ms = 50});
	uint64_t before = journal_stats(t.journal).syncs;
	group_init(&g);
	for (int i = 0; i < 100; i++)
		EXPECT_INT(group_spawn(&g, "append", FIBER_SMALL, append_one, &results[i]), 0);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	for (int i = 0; i < 100; i++)
		EXPECT_INT(results[i], 0);
	EXPECT(journal_stats(t.journal).syncs - before <= 2);
	journal_close(t.journal);
}

static void append_two(void *arg)
{
	int *results = arg;

	append_one(&results[0]);
	append_one(&results[1]);
}

static void body_cancel(void *arg)
{
	struct group g;
	int results[2] = {1, 1};

	open_journal((struct journal_options){0});
	group_init(&g);
	EXPECT_INT(group_spawn(&g, "append", FIBER_SMALL, append_two, results), 0);
	fiber_yield();
	group_close(&g);
	EXPECT_INT(results[0], 0); /* it was handed over: carried through, and said so */
	EXPECT_INT(results[1], -ECANCELED);
	EXPECT(journal_stats(t.journal).records == 2);
	journal_close(t.journal);
}

static void body_close_writes_posts(void *arg)
{
	struct audit_record r = {.source = AUDIT_FILE, .kind = SPAN("FileRead")};

	open_journal((struct journal_options){0});
	EXPECT_INT(journal_post(t.journal, &r, DEADLINE_NONE), 0);
	journal_close(t.journal);
}

/* Posts until there is no room, as who has to do it come what may. */
static void post_shielded(void *arg)
{
	struct audit_record r = {.source = AUDIT_KERNEL, .kind = SPAN("Denied")};
	int *result = arg;

	fiber_shield_begin();
	do
		*result = journal_post(t.journal, &r, DEADLINE_NONE);
	while (*result == 0);
	fiber_shield_end();
	err_clear();
}

/* Who waits for room on a full disk waits until he is to stop. */
static void body_full_disk(void *arg)
{
	struct rlimit old, full;
	struct group g;
	int result = 1;

	open_journal((struct journal_options){.queue_bytes = 600});
	EXPECT_INT(getrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_IGN);
	full = (struct rlimit){4096, old.rlim_max};
	EXPECT_INT(setrlimit(RLIMIT_FSIZE, &full), 0);
	group_init(&g);
	EXPECT_INT(group_spawn(&g, "post", FIBER_LARGE, post_shielded, &result), 0);
	EXPECT_INT(group_join(&g, deadline_in_ms(300)), -ETIME);
	EXPECT_INT(result, 0);
	group_close(&g);
	EXPECT_INT(result, -ENOSPC);
	EXPECT_INT(setrlimit(RLIMIT_FSIZE, &old), 0);
	journal_close(t.journal);
}

static int setup(void **state)
{
	snprintf(t.dir, sizeof(t.dir), "/tmp/aegis-test-XXXXXX");
	if (!mkdtemp(t.dir))
		return -1;
	snprintf(t.journal_dir, sizeof(t.journal_dir), "%s/audit", t.dir);
	return 0;
}

static int teardown(void **state)
{
	return fd_remove_tree(AT_FDCWD, t.dir);
}

static void test_posts_are_written_without_asking(void **state)
{
	struct rt_options o = {.workers = 2};

	in_fiber_with(&o, body_posts, NULL);
	assert_int_equal(read_all(t.journal_dir), 401);
}

static void test_a_full_disk_keeps_nobody(void **state)
{
	in_fiber(body_full_disk);
}

static void test_a_full_queue_makes_producers_wait(void **state)
{
	in_fiber(body_full_queue);
	assert_int_equal(read_all(t.journal_dir), 201);
}

static void test_a_window_gathers(void **state)
{
	in_fiber(body_window);
}

static void test_cancelled_appends_are_never_unsure(void **state)
{
	in_fiber(body_cancel);
}

static void test_closing_writes_what_was_posted(void **state)
{
	in_fiber(body_close_writes_posts);
	assert_int_equal(read_all(t.journal_dir), 2);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_posts_are_written_without_asking),
		CASE(test_a_full_queue_makes_producers_wait),
		CASE(test_a_full_disk_keeps_nobody),
		CASE(test_a_window_gathers),
		CASE(test_cancelled_appends_are_never_unsure),
		CASE(test_closing_writes_what_was_posted),
	};
	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
