/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the helper itself sees to with volumes, whatever aegisd asks: one execution at a time writes
 * to one, none is removed that a sandbox has, and making a very large one holds up nobody.
 */
#include "tests/integration/daemon/helper/fixture.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, STEP_MS = 5 };
#define LARGE (UINT64_C(4) << 40) /* takes half a second on an idle machine */

/* ---- who has a volume ---- */

static int workspace(struct fixture *f, enum wire_type type, struct uuid id)
{
	struct wire_execution w = {.execution = id};
	struct answer a;
	fixture_call(f, type, &w, sizeof(w), &a);
	answer_close(&a);
	return a.code;
}

/* A sandbox of `execution` that has `volume` as its workspace or below it. */
static int create(struct fixture *f, struct uuid execution, struct uuid volume, bool below,
	bool read_only, struct wire_sandbox *ret)
{
	struct {
		struct wire_create w;
		char tail[128];
	} c;
	struct answer a;
	assert_int_equal(workspace(f, WIRE_WORKSPACE_OPEN, execution), 0);
	size_t n = fixture_create(&c.w, sizeof(c), execution, 1, "live");
	if (below) {
		c.w.place_count = 1;
		c.w.places[0] = (struct wire_place){.volume = volume, .read_only = read_only};
		memcpy(c.w.places[0].at, "data", 4);
	} else {
		c.w.workspace = volume;
		c.w.read_only = read_only;
	}
	fixture_call(f, WIRE_SANDBOX_CREATE, &c, n, &a);
	if (a.code == 0)
		*ret = a.u.sandboxes[0];
	answer_close(&a);
	return a.code;
}

static void end(struct fixture *f, const struct wire_sandbox *s)
{
	struct wire_stop w = {.id = s->id, .execution = s->execution, .how = HELPER_STOP_KILL};
	struct answer a;
	fixture_call(f, WIRE_SANDBOX_STOP, &w, sizeof(w), &a);
	assert_int_equal(a.code, 0);
	(void)fixture_wait_end(f, s->id);
	fixture_release(f, s);
}

/* Where it is mounted below is a folder of the workspace, which the execution's own must have. */
static struct uuid with_place(struct fixture *f)
{
	struct uuid id = uuid_new();
	struct wire_execution w = {.execution = id};
	struct answer a;
	fixture_call(f, WIRE_WORKSPACE_OPEN, &w, sizeof(w), &a);
	assert_int_equal(a.code, 0);
	assert_int_equal(mkdirat(a.fds[0], "data", 0777), 0);
	answer_close(&a);
	return id;
}

static void drop_place(struct fixture *f, struct uuid id)
{
	struct wire_execution w = {.execution = id};
	struct answer a;
	fixture_call(f, WIRE_WORKSPACE_OPEN, &w, sizeof(w), &a);
	(void)unlinkat(a.fds[0], "data", AT_REMOVEDIR);
	answer_close(&a);
}

static void test_one_writer(void **state)
{
	struct fixture *f = *state;
	struct uuid volume = uuid_new(), reader = uuid_new(), below = with_place(f);
	struct wire_sandbox first, second, third;

	assert_int_equal(workspace(f, WIRE_WORKSPACE_OPEN, volume), 0);
	assert_int_equal(create(f, uuid_new(), volume, false, false, &first), 0);
	assert_int_equal(create(f, uuid_new(), volume, false, false, &second), -EBUSY);
	assert_int_equal(create(f, below, volume, true, false, &second), -EBUSY);
	assert_int_equal(create(f, reader, volume, false, true, &second), 0);
	assert_int_equal(workspace(f, WIRE_WORKSPACE_REMOVE, volume), -EBUSY);

	/* The next helper knows as much. */
	fixture_kill(f, SIGKILL);
	fixture_start(f);
	fixture_greet(f);
	assert_int_equal(create(f, uuid_new(), volume, false, false, &third), -EBUSY);
	assert_int_equal(workspace(f, WIRE_WORKSPACE_REMOVE, volume), -EBUSY);

	end(f, &first);
	assert_int_equal(workspace(f, WIRE_WORKSPACE_REMOVE, volume), -EBUSY); /* the reader */
	assert_int_equal(create(f, below, volume, true, false, &third), 0);
	end(f, &second);
	assert_int_equal(workspace(f, WIRE_WORKSPACE_REMOVE, volume), -EBUSY); /* below another */
	drop_place(f, below); /* a mount point, which the sandbox alone sees as one */
	end(f, &third);
	assert_int_equal(workspace(f, WIRE_WORKSPACE_REMOVE, volume), 0);
}

/* ---- making a large one ---- */

static int limit(
	struct fixture *f, struct uuid id, uint64_t bytes, char message[WIRE_MESSAGE_BYTES])
{
	struct wire_limit w = {.execution = id, .bytes = bytes};
	struct answer a;
	fixture_call(f, WIRE_WORKSPACE_LIMIT, &w, sizeof(w), &a);
	memcpy(message, a.message, WIRE_MESSAGE_BYTES);
	return a.code;
}

static int limit_whole(
	struct fixture *f, struct uuid id, uint64_t bytes, char message[WIRE_MESSAGE_BYTES])
{
	int r = HELPER_LIMIT_UNDERWAY;
	for (int i = 0; r == HELPER_LIMIT_UNDERWAY && i < PATIENCE_MS / STEP_MS; i++) {
		r = limit(f, id, bytes, message);
		poll(NULL, 0, STEP_MS);
	}
	return r;
}

/* The child that makes it; 0 if it is done. */
static pid_t mkfs_of(const struct fixture *f)
{
	char path[64];
	int pid = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", f->helper, f->helper);
	FILE *list = fopen(path, "re");
	for (int child; list && pid == 0 && fscanf(list, "%d", &child) == 1;) {
		char comm[32] = "";
		snprintf(path, sizeof(path), "/proc/%d/comm", child);
		FILE *name = fopen(path, "re");
		if (name && fgets(comm, sizeof(comm), name) && strcmp(comm, "mkfs.ext4\n") == 0)
			pid = child;
		if (name)
			fclose(name);
	}
	if (list)
		fclose(list);
	return pid;
}

static int fresh_images(const struct fixture *f)
{
	char path[96];
	int n = 0;
	snprintf(path, sizeof(path), "%s/state/images", f->dir);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		n += strstr(e->d_name, ".new") != NULL;
	if (d)
		closedir(d);
	return n;
}

/* Begins a large one, whose maker then stands still; 0 where it could not be caught at it. */
static pid_t begin_large(struct fixture *f, struct uuid id)
{
	char message[WIRE_MESSAGE_BYTES];
	int r = limit(f, id, LARGE, message);
	pid_t pid = r == HELPER_LIMIT_UNDERWAY ? mkfs_of(f) : 0;
	if (pid && kill(pid, SIGSTOP) < 0)
		pid = 0;
	if (pid && limit(f, id, LARGE, message) != HELPER_LIMIT_UNDERWAY)
		pid = 0; /* it was quicker */
	return pid;
}

static void test_large_holds_up_nobody(void **state)
{
	struct fixture *f = *state;
	struct uuid large = uuid_new(), small = uuid_new(), other = uuid_new();
	char message[WIRE_MESSAGE_BYTES];

	pid_t pid = begin_large(f, large);
	if (!pid)
		test_skip("no image of 4 TiB is slow enough here");
	/* The helper serves, however long it takes; another image waits for its turn. */
	assert_int_equal(workspace(f, WIRE_WORKSPACE_OPEN, other), 0);
	assert_int_equal(limit(f, small, HELPER_IMAGE_BYTES_MIN, message), HELPER_LIMIT_UNDERWAY);
	assert_int_equal(fresh_images(f), 1);
	assert_int_equal(kill(pid, SIGCONT), 0);
	int r = limit_whole(f, small, HELPER_IMAGE_BYTES_MIN, message);
	if (r != 0 && r != -EOPNOTSUPP)
		fail_msg("the small one: %d, %s", r, message);
	assert_int_equal(limit_whole(f, large, LARGE, message), r);
	assert_int_equal(fresh_images(f), 0);

	assert_int_equal(workspace(f, WIRE_WORKSPACE_REMOVE, large), 0);
	assert_int_equal(workspace(f, WIRE_WORKSPACE_REMOVE, small), 0);
	assert_int_equal(workspace(f, WIRE_WORKSPACE_REMOVE, other), 0);
}

/* Its limit of time comes as this signal. */
static void test_large_has_an_end(void **state)
{
	struct fixture *f = *state;
	struct uuid large = uuid_new();
	char message[WIRE_MESSAGE_BYTES];

	pid_t pid = begin_large(f, large);
	if (!pid)
		test_skip("no image of 4 TiB is slow enough here");
	assert_int_equal(kill(pid, SIGALRM), 0);
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(limit_whole(f, large, LARGE, message), -ETIME);
	assert_non_null(strstr(message, "not done within 120 s"));
	assert_int_equal(fresh_images(f), 0);
	assert_int_equal(workspace(f, WIRE_WORKSPACE_REMOVE, large), 0);
}

static void test_killed_while_making(void **state)
{
	struct fixture *f = *state;
	struct uuid large = uuid_new();

	pid_t pid = begin_large(f, large);
	if (!pid)
		test_skip("no image of 4 TiB is slow enough here");
	fixture_kill(f, SIGKILL);
	for (int i = 0; i < PATIENCE_MS / STEP_MS && process_alive(pid); i++)
		poll(NULL, 0, STEP_MS);
	assert_false(process_alive(pid));
	assert_int_equal(fresh_images(f), 1);
	fixture_start(f);
	fixture_greet(f);
	assert_int_equal(fresh_images(f), 0);
	assert_int_equal(workspace(f, WIRE_WORKSPACE_REMOVE, large), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest helper[] = {
		CASE(test_one_writer),
		CASE(test_large_holds_up_nobody),
		CASE(test_large_has_an_end),
		CASE(test_killed_while_making),
	};
	return cmocka_run_group_tests(helper, NULL, NULL);
}
