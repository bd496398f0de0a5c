/* SPDX-License-Identifier: AGPL-3.0-only */
/* aegisd's end, as aegisd uses it: in fibers, several calls at once, a helper that goes away. */
#include "daemon/helper/helper.h"
#include "tests/integration/daemon/helper/fixture.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIBERS = 6 };

static const struct helper_limits limits = {
	.cpu_millis = 500,
	.pids = 16,
	.memory_bytes = 32 << 20,
	.tmp_bytes = 1 << 20,
	.file_bytes = 1 << 20,
	.open_files = 64,
};

struct job {
	struct fixture *f;
	struct helper *h;
	int done;
};

static int64_t soon(void)
{
	return deadline_in_ms(20000);
}

/* The connection is made as aegisd's uid: io_uring connects with the ids of who submits. */
static struct helper *connect_helper(const struct fixture *f)
{
	char path[128];
	struct helper *h = NULL;
	snprintf(path, sizeof(path), "%s/run/helper.sock", f->dir);
	assert_int_equal(seteuid(FIXTURE_UID), 0);
	int r = helper_connect(path, &h, soon());
	assert_int_equal(seteuid(0), 0);
	if (r < 0)
		fail_msg("connect: %s", err_message(r));
	return h;
}

static void one_sandbox(void *arg)
{
	struct job *j = arg;
	char *argv[] = {"exit", "with an argument", NULL};
	char *envp[] = {"A=1", NULL};
	struct helper_sandbox_spec spec = {
		.execution = uuid_new(),
		.iteration = 1,
		.runtime = "test",
		.limits = limits,
		.argv = argv,
		.envp = envp,
	};
	struct helper_sandbox s;
	struct helper_sandbox_fds fds;
	int dir;
	assert_int_equal(helper_workspace_open(j->h, spec.execution, &dir, soon()), 0);
	assert_int_equal(helper_sandbox_create(j->h, &spec, &s, &fds, soon()), 0);
	assert_true(rt_poll(fds.pidfd, POLLIN, soon()) > 0);
	do {
		assert_int_equal(helper_sandbox_get(j->h, s.id, spec.execution, &s, soon()), 0);
	} while (s.state != HELPER_SANDBOX_ENDED);
	assert_int_equal(s.end, HELPER_END_EXITED);
	assert_int_equal(s.end_status, 42);
	assert_int_equal(helper_sandbox_release(j->h, s.id, spec.execution, soon()), 0);
	assert_int_equal(helper_workspace_remove(j->h, spec.execution, soon()), 0);
	helper_sandbox_fds_close(&fds); /* only now: the helper must not look at them any more */
	close(dir);
	j->done++;
}

static void several_at_once(void *arg)
{
	struct job *j = arg;
	struct group g;
	j->h = connect_helper(j->f);
	assert_int_equal(helper_info(j->h)->sandboxes_max, FIXTURE_SLOTS);
	group_init(&g);
	for (int i = 0; i < FIBERS; i++)
		assert_int_equal(group_spawn(&g, "sandbox", FIBER_LARGE, one_sandbox, j), 0);
	assert_int_equal(group_join(&g, soon()), 0);
	for (int i = 0; i < FIBERS; i++) {
		struct helper_event e;
		assert_int_equal(helper_event_next(j->h, &e, soon()), 0);
		assert_int_equal(e.kind, HELPER_EVENT_SANDBOX_ENDED);
		assert_int_equal(e.sandbox.end_status, 42);
	}
	struct helper_event none;
	assert_int_equal(helper_event_next(j->h, &none, deadline_in_ms(20)), -ETIME);
	j->h = helper_close(j->h);
}

static void check_refusals(struct helper *h)
{
	struct helper_sandbox s;
	struct helper_sandbox_fds fds;
	char *bad_env[] = {"no name", NULL};
	char *long_argv[] = {calloc(HELPER_ARGV_BYTES_MAX + 1, 1), NULL};
	struct helper_sandbox_spec spec = {
		.execution = uuid_new(), .iteration = 1, .runtime = "test", .limits = limits};
	assert_int_equal(helper_sandbox_create(h, &spec, &s, &fds, soon()), -ENOENT);
	assert_non_null(strstr(err_message(-ENOENT), "workspace"));
	spec.envp = bad_env;
	assert_int_equal(helper_sandbox_create(h, &spec, &s, &fds, soon()), -EINVAL);
	spec.envp = NULL;
	memset(long_argv[0], 'x', HELPER_ARGV_BYTES_MAX);
	spec.argv = long_argv;
	assert_int_equal(helper_sandbox_create(h, &spec, &s, &fds, soon()), -E2BIG);
	spec.argv = NULL;
	spec.limits.pids = 1;
	assert_int_equal(helper_sandbox_create(h, &spec, &s, &fds, soon()), -ERANGE);
	assert_non_null(strstr(err_message(-ERANGE), "pids"));
	spec.limits = limits;
	spec.runtime = "../x";
	assert_int_equal(helper_sandbox_create(h, &spec, &s, &fds, soon()), -ENOENT);
	free(long_argv[0]);
	err_clear();
}

static int ask_for(struct helper *h, struct uuid execution, int dir, const char *path, int *ret_fd)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + HELPER_HANDLE_BYTES];
	} u = {.h.handle_bytes = HELPER_HANDLE_BYTES};
	int mount_id;
	if (name_to_handle_at(dir, path, &u.h, &mount_id, AT_EMPTY_PATH) < 0)
		return -EOPNOTSUPP;
	struct span handle = span_of((const char *)u.h.f_handle, u.h.handle_bytes);
	return helper_workspace_object(h, execution, u.h.handle_type, handle, ret_fd, soon());
}

/* By its handle aegisd gets what is its own and in the workspace, and nothing else. */
static void by_handle(void *arg)
{
	struct job *j = arg;
	struct helper *h = connect_helper(j->f);
	struct uuid one = uuid_new(), two = uuid_new();
	int dir, other, fd = -1;
	struct stat want, got;
	assert_int_equal(helper_workspace_open(h, one, &dir, soon()), 0);
	assert_int_equal(helper_workspace_open(h, two, &other, soon()), 0);
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	close(openat(dir, "d/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	close(openat(dir, "roots", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(fchownat(dir, "d/f", FIXTURE_UID, FIXTURE_UID, 0), 0);
	int r = ask_for(h, one, dir, "d/f", &fd);
	if (r == -EOPNOTSUPP || r == -EPERM) { /* no handles, or no right to open them, here */
		print_message("# the file system or this container has no handles\n");
	} else {
		assert_int_equal(r, 0);
		assert_int_equal(fstatat(dir, "d/f", &want, 0), 0);
		assert_int_equal(fstat(fd, &got), 0);
		assert_int_equal(want.st_ino, got.st_ino);
		close(fd);
		assert_int_equal(ask_for(h, one, dir, "roots", &fd), -EPERM);
		assert_int_equal(ask_for(h, two, dir, "d/f", &fd), -EPERM);
		assert_int_equal(ask_for(h, two, dir, "", &fd), -EPERM);
		assert_int_equal(ask_for(h, one, AT_FDCWD, "/", &fd), -EPERM);
	}
	err_clear();
	assert_int_equal(unlinkat(dir, "d/f", 0), 0);
	assert_int_equal(unlinkat(dir, "d", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(dir, "roots", 0), 0);
	close(dir);
	close(other);
	assert_int_equal(helper_workspace_remove(h, one, soon()), 0);
	assert_int_equal(helper_workspace_remove(h, two, soon()), 0);
	helper_close(h);
	j->done++;
}

static void heads_and_loss(void *arg)
{
	struct job *j = arg;
	struct helper *h = connect_helper(j->f);
	uint8_t key[HEAD_PUBLIC_KEY_BYTES];
	struct head head = {.journal = uuid_new(), .record = 1, .hash = {1}};
	struct head_signed s, last;
	struct helper_sandbox *all;
	size_t count;
	check_refusals(h);
	assert_int_equal(helper_public_key(h, key, soon()), 0);
	assert_int_equal(helper_sign_head(h, &head, &s, NULL, soon()), 0);
	assert_true(head_verify(&s, key));
	head.record = 2;
	assert_int_equal(helper_sign_head(h, &head, &s, &last, soon()), -ESTALE);
	assert_int_equal(last.head.record, 1);
	assert_int_equal(helper_last_head(h, head.journal, &last, soon()), 0);
	assert_int_equal(last.head.record, 1);
	assert_int_equal(helper_sandbox_list(h, &all, &count, soon()), 0);
	assert_int_equal(count, 0);
	free(all);

	fixture_kill(j->f, SIGKILL);
	struct helper_event e;
	assert_int_equal(helper_event_next(h, &e, soon()), -ENOTCONN);
	assert_int_equal(helper_public_key(h, key, soon()), -ENOTCONN);
	err_clear();
	helper_close(h);
	j->done++;
}

static void run(void **state, fiber_fn fn, int expected)
{
	struct job j = {.f = *state};
	const struct rt_options options = {.workers = 1};
	close(j.f->conn); /* one connection at a time */
	j.f->conn = -1;
	int r = rt_run(&options, fn, &j);
	if (r < 0)
		test_skip("no io_uring: %s", err_message(r));
	assert_int_equal(j.done, expected);
}

static void test_several_at_once(void **state)
{
	run(state, several_at_once, FIBERS);
}

static void test_by_handle(void **state)
{
	run(state, by_handle, 1);
}

static void test_heads_and_loss(void **state)
{
	run(state, heads_and_loss, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest helper[] = {
		CASE(test_several_at_once),
		CASE(test_by_handle),
		CASE(test_heads_and_loss),
	};
	return cmocka_run_group_tests(helper, NULL, NULL);
}
