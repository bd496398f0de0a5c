/* SPDX-License-Identifier: AGPL-3.0-only */
/* The store in fibers: groups, cancellation, a full disk. */
#include "tests/unit/daemon/rt/in_fiber.h"
#include "tests/unit/daemon/store/fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	char dir[64];
	char url[128];
	char path[96];
	struct store *store;
} t;

static void open_store(void)
{
	struct store_options o = {.url = t.url, .states = test_states};

	EXPECT_INT(store_open(&o, &t.store), 0);
}

static void tick(void *arg)
{
	*(int *)arg = put(t.store, "Tick", (struct uuid){{1}}, NULL, 0, NULL);
}

static void body_groups(void *arg)
{
	struct group g;
	int results[500];

	open_store();
	group_init(&g);
	for (int i = 0; i < 500; i++)
		EXPECT_INT(group_spawn(&g, "tick", FIBER_SMALL, tick, &results[i]), 0);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	for (int i = 0; i < 500; i++)
		EXPECT_INT(results[i], 0);
	EXPECT(store_stats(t.store).events == 500);
	EXPECT(store_stats(t.store).groups <= 50); /* one fsync serves many */
	store_close(t.store);
}

/* One of many is refused: the others of its group are not. */
static void tick_or_bad(void *arg)
{
	int *slot = arg;

	*slot = *slot ? move_execution(t.store, (struct uuid){{9}}, "running", 0)
		      : put(t.store, "Tick", (struct uuid){{1}}, NULL, 0, NULL);
}

static void body_mixed(void *arg)
{
	struct group g;
	int slots[100];

	open_store();
	group_init(&g);
	for (int i = 0; i < 100; i++) {
		slots[i] = i % 3 == 0;
		EXPECT_INT(group_spawn(&g, "tick", FIBER_LARGE, tick_or_bad, &slots[i]), 0);
	}
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	for (int i = 0; i < 100; i++)
		EXPECT_INT(slots[i], i % 3 == 0 ? STORE_NOT_FOUND : 0);
	EXPECT(store_stats(t.store).events == 66);
	EXPECT_INT(store_check(t.store, DEADLINE_NONE), 0);
	store_close(t.store);
}

/* A write that was handed over is carried through, and says so, although its fiber was cancelled;
 * one that was not is not begun. */
static void tick_twice(void *arg)
{
	int *results = arg;

	results[0] = put(t.store, "Tick", (struct uuid){{1}}, NULL, 0, NULL);
	results[1] = put(t.store, "Tick", (struct uuid){{1}}, NULL, 0, NULL);
}

static void body_cancel(void *arg)
{
	struct group g;
	int results[2] = {1, 1};
	struct arena *a = arena_new(1 << 20);
	struct store_execution x;

	open_store();
	group_init(&g);
	EXPECT_INT(group_spawn(&g, "tick", FIBER_LARGE, tick_twice, results), 0);
	fiber_yield();
	group_close(&g);
	EXPECT_INT(results[0], 0);
	EXPECT_INT(results[1], -ECANCELED);
	EXPECT(store_stats(t.store).events == 1);
	EXPECT_INT(
		store_execution_get(t.store, (struct uuid){{1}}, a, &x, rt_now_ns() - 1), -ETIME);
	arena_free(a);
	store_close(t.store);
}

/* On a file system of 1 MiB: fills it with a file, writes, makes room, writes. */
static void body_full(void *arg)
{
	char filler[128];
	char block[4096] = {0};
	int r = 0;

	open_store();
	EXPECT_INT(put(t.store, "Tick", (struct uuid){{1}}, NULL, 0, NULL), 0);
	snprintf(filler, sizeof(filler), "%s/filler", t.dir);
	int fd = open(filler, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		;
	close(fd);
	for (int i = 0; r == 0 && i < 100; i++) /* until the log must grow */
		r = put(t.store, "Tick", (struct uuid){{1}}, NULL, 0, NULL);
	EXPECT_INT(r, -ENOSPC);
	EXPECT(strstr(err_message(r), "free some space") != NULL);
	err_clear();
	uint64_t events = store_stats(t.store).events;
	EXPECT_INT(unlink(filler), 0);
	EXPECT_INT(put(t.store, "Tick", (struct uuid){{1}}, NULL, 0, NULL), 0);
	EXPECT(store_stats(t.store).events == events + 1); /* the refused one left no gap */
	EXPECT_INT(store_check(t.store, DEADLINE_NONE), 0);
	store_close(t.store);
}

static int setup(void **state)
{
	test_folder(t.dir);
	snprintf(t.path, sizeof(t.path), "%s/aegis.db", t.dir);
	snprintf(t.url, sizeof(t.url), "sqlite:%s", t.path);
	return 0;
}

static int teardown(void **state)
{
	test_folder_remove(t.dir);
	return 0;
}

static void test_many_fibers_share_a_commit(void **state)
{
	in_fiber(body_groups);
}

static void test_a_refused_write_does_not_hurt_its_group(void **state)
{
	in_fiber(body_mixed);
}

static void test_cancelled_writes_are_never_unsure(void **state)
{
	in_fiber(body_cancel);
}

enum { NO_MOUNT = 77 };

/* The small file system is this child's own. */
static int in_small_file_system(void)
{
	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return NO_MOUNT;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", t.dir, "tmpfs", 0, "size=1m") < 0)
		return NO_MOUNT;
	in_fiber(body_full);
	return 0;
}

static void test_a_full_disk_is_said_and_survived(void **state)
{
	int status;

	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(in_small_file_system());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_MOUNT)
		test_skip("no mount namespace with a tmpfs can be made here");
	assert_int_equal(status, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_many_fibers_share_a_commit),
		CASE(test_a_refused_write_does_not_hurt_its_group),
		CASE(test_cancelled_writes_are_never_unsure),
		CASE(test_a_full_disk_is_said_and_survived),
	};
	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
