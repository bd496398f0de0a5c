/* SPDX-License-Identifier: AGPL-3.0-only */
/* Either process may die alone, and a sandbox at any time: what lives goes on, nothing is left. */
#include "daemon/helper/guardprog.h"
#include "tests/integration/daemon/helper/fixture.h"
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

static void close_all(int fds[3])
{
	for (int i = 0; i < 3; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static struct wire_sandbox only_one(struct fixture *f)
{
	struct wire_list w = {.after = 0};
	struct answer a;
	fixture_call(f, WIRE_SANDBOX_LIST, &w, sizeof(w), &a);
	assert_int_equal(a.code, 0);
	assert_int_equal(a.count, 1);
	return a.u.sandboxes[0];
}

static void stop(struct fixture *f, const struct wire_sandbox *s, enum helper_stop how)
{
	struct wire_stop w = {.id = s->id, .execution = s->execution, .how = how};
	struct answer a;
	fixture_call(f, WIRE_SANDBOX_STOP, &w, sizeof(w), &a);
	assert_int_equal(a.code, 0);
}

static uint64_t open_call(struct fixture *f, const struct wire_sandbox *s, struct uuid call)
{
	struct wire_call w = {.id = s->id, .execution = s->execution, .call = call};
	struct answer a;
	fixture_call(f, WIRE_CALL_OPEN, &w, sizeof(w), &a);
	if (a.code < 0)
		fail_msg("CALL_OPEN: %s", a.message);
	return a.u.calls[0].cgroup_id;
}

static int close_call(struct fixture *f, const struct wire_sandbox *s, struct uuid call,
	enum helper_call_rest rest)
{
	struct wire_call w = {.id = s->id, .execution = s->execution, .call = call, .rest = rest};
	struct answer a;
	fixture_call(f, WIRE_CALL_CLOSE, &w, sizeof(w), &a);
	if (a.code < 0)
		fail_msg("CALL_CLOSE: %s", a.message);
	return a.code;
}

/* What the sandbox sent on its next connection. */
static void expect_message(int listener, const char *text)
{
	char got[64] = "";
	struct pollfd p = {listener, POLLIN, 0};
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	int c = accept(listener, NULL, NULL);
	assert_true(c >= 0);
	assert_int_equal(recv(c, got, strlen(text), MSG_WAITALL), strlen(text));
	assert_string_equal(got, text);
	close(c);
}

static void restart(struct fixture *f)
{
	fixture_kill(f, SIGKILL);
	fixture_start(f);
	fixture_greet(f);
}

static void wait_dead(pid_t pid)
{
	for (int i = 0; i < PATIENCE_MS / 10 && process_alive(pid); i++)
		poll(NULL, 0, 10);
	assert_false(process_alive(pid));
}

static void test_helper_dies(void **state)
{
	struct fixture *f = *state;
	struct uuid call = uuid_new();
	int fds[3];
	struct wire_sandbox s = fixture_sandbox(f, uuid_new(), "live", fds);
	free(fixture_log(fds[2], "alive"));
	uint64_t cgroup = open_call(f, &s, call);
	close(fds[0]);
	fds[0] = -1;
	restart(f);
	struct wire_sandbox again = only_one(f);
	assert_int_equal(again.id, s.id);
	assert_int_equal(again.pid, s.pid);
	assert_int_equal(again.cgroup_id, s.cgroup_id);
	assert_int_equal(again.state, HELPER_SANDBOX_RUNNING);
	assert_true(process_alive(s.pid));

	struct wire_target w = {.id = s.id, .execution = s.execution};
	struct answer a;
	fixture_call(f, WIRE_CALL_LIST, &w, sizeof(w), &a);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.u.calls[0].cgroup_id, cgroup);
	fixture_call(f, WIRE_LISTENER_GET, &w, sizeof(w), &a);
	assert_int_equal(a.code, 0);
	assert_int_equal(a.fd_count, 2);
	expect_message(a.fds[0], "call\n"); /* waited in the queue */
	open_call(f, &s, uuid_new()); /* by the control socket that was fetched back */
	expect_message(a.fds[0], "call\n");
	assert_int_equal(close_call(f, &s, call, HELPER_CALL_KILL), HELPER_CALL_HAD_REST);
	answer_close(&a);

	stop(f, &s, HELPER_STOP_TERMINATE);
	struct wire_sandbox end = fixture_wait_end(f, s.id);
	if (end.end != HELPER_END_UNKNOWN) { /* the kernel tells strangers from 6.15 on */
		assert_int_equal(end.end, HELPER_END_EXITED);
		assert_int_equal(end.end_status, 7);
	}
	close_all(fds);
	fixture_release(f, &s);
}

/* Whoever is taken out of the cgroup does not go on; the guard outlives the helper, because the
 * sandbox itself keeps it. */
static void test_leaving_is_death(void **state)
{
	struct fixture *f = *state;
	struct guardprog guard;
	int fds[3];
	int r = guardprog_load(&(struct guard_constants){.level = 1}, &guard);
	guardprog_close(&guard);
	if (r < 0)
		test_skip("%s", err_message(r));
	struct wire_sandbox s = fixture_sandbox(f, uuid_new(), "forks", fds);
	free(fixture_log(fds[2], "forks on"));
	fixture_kill(f, SIGKILL);
	assert_true(process_alive(s.pid));
	int procs = open("/sys/fs/cgroup/unified/cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (procs < 0)
		procs = open("/sys/fs/cgroup/cgroup.procs", O_WRONLY | O_CLOEXEC);
	assert_true(procs >= 0);
	assert_true(dprintf(procs, "%d", s.pid) > 0);
	close(procs);
	wait_dead(s.pid);
	fixture_start(f);
	fixture_greet(f);
	assert_int_equal(only_one(f).state, HELPER_SANDBOX_ENDED);
	close_all(fds);
	fixture_release(f, &s);
}

static void test_sandbox_dies_unseen(void **state)
{
	struct fixture *f = *state;
	int fds[3];
	struct wire_sandbox s = fixture_sandbox(f, uuid_new(), "live", fds);
	free(fixture_log(fds[2], "alive"));
	fixture_kill(f, SIGKILL);
	kill(s.pid, SIGKILL);
	wait_dead(s.pid);
	fixture_start(f);
	fixture_greet(f);
	struct wire_sandbox end = only_one(f);
	assert_int_equal(end.id, s.id);
	assert_int_equal(end.state, HELPER_SANDBOX_ENDED);
	assert_int_equal(end.end, HELPER_END_UNKNOWN);
	close_all(fds);
	fixture_release(f, &s);
}

/* Stops the helper and has a child kill these first processes of sandboxes when a request of ours
 * waits for it: it comes to the request first, and has not heard of the deaths. */
static pid_t kill_unseen(const struct fixture *f, const pid_t *victims, size_t count)
{
	assert_int_equal(kill(f->helper, SIGSTOP), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child > 0)
		return child;
	poll(NULL, 0, 100);
	int bad = 0;
	for (size_t i = 0; i < count; i++) {
		struct pollfd p = {(int)syscall(SYS_pidfd_open, victims[i], 0), POLLIN, 0};
		bad |= p.fd < 0 || kill(victims[i], SIGKILL) < 0 || poll(&p, 1, PATIENCE_MS) != 1;
	}
	_exit(bad | (kill(f->helper, SIGCONT) < 0));
}

static void wait_child(pid_t child)
{
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void expect_code(
	struct fixture *f, enum wire_type type, void *request, size_t bytes, int code)
{
	struct answer a;
	fixture_call(f, type, request, bytes, &a);
	if (a.code != code)
		fail_msg("%d instead of %d: %s", a.code, code, a.message);
	answer_close(&a);
}

/* A call for one that was just killed is told so, and not that the request was wrong. */
static void test_dies_before_its_call(void **state)
{
	struct fixture *f = *state;
	int fds[3];
	struct wire_sandbox s = fixture_sandbox(f, uuid_new(), "live", fds);
	struct wire_call call = {.id = s.id, .execution = s.execution, .call = uuid_new()};
	free(fixture_log(fds[2], "alive"));
	pid_t child = kill_unseen(f, &s.pid, 1);
	expect_code(f, WIRE_CALL_OPEN, &call, sizeof(call), -ESRCH);
	wait_child(child);
	for (int i = 0; i < PATIENCE_MS / 10 && only_one(f).state != HELPER_SANDBOX_ENDED; i++)
		poll(NULL, 0, 10);
	close_all(fds);
	fixture_release(f, &s);
}

/* The same for one that waits for its volumes; its end is told as any other's. */
static void test_dies_before_it_begins(void **state)
{
	struct fixture *f = *state;
	struct {
		struct wire_create w;
		char tail[128];
	} c;
	struct wire_execution open = {.execution = uuid_new()};
	struct answer a;
	fixture_call(f, WIRE_WORKSPACE_OPEN, &open, sizeof(open), &a);
	answer_close(&a);
	size_t n = fixture_create(&c.w, sizeof(c), open.execution, 1, "live");
	c.w.files = HELPER_FILES_NFS;
	fixture_call(f, WIRE_SANDBOX_CREATE, &c, n, &a);
	if (a.code < 0)
		fail_msg("SANDBOX_CREATE: %s", a.message);
	struct wire_sandbox s = a.u.sandboxes[0];
	answer_close(&a);
	struct wire_mount mount = {
		.id = s.id, .execution = s.execution, .volume = s.execution, .tenant = "local"};
	struct wire_target begin = {.id = s.id, .execution = s.execution};
	expect_code(f, WIRE_SANDBOX_BEGIN, &begin, sizeof(begin), -EINVAL); /* has no volume */
	assert_int_equal(kill(s.pid, SIGKILL), 0);
	struct wire_sandbox end = fixture_wait_end(f, s.id);
	assert_int_equal(end.end, HELPER_END_KILLED);
	assert_int_equal(end.end_status, SIGKILL);
	expect_code(f, WIRE_FILES_MOUNT, &mount, sizeof(mount), -ESRCH);
	expect_code(f, WIRE_SANDBOX_BEGIN, &begin, sizeof(begin), -ESRCH);
	fixture_release(f, &s);
}

static void test_end_is_kept(void **state)
{
	struct fixture *f = *state;
	int fds[3];
	struct wire_sandbox s = fixture_sandbox(f, uuid_new(), "exit", fds);
	fixture_wait_end(f, s.id);
	restart(f);
	struct wire_sandbox end = only_one(f);
	assert_int_equal(end.state, HELPER_SANDBOX_ENDED);
	assert_int_equal(end.end, HELPER_END_EXITED);
	assert_int_equal(end.end_status, 42);
	assert_true(end.usage.cpu_us > 0);
	close_all(fds);
	fixture_release(f, &s);
}

static void test_aegisd_dies(void **state)
{
	struct fixture *f = *state;
	int fds[3];
	struct wire_sandbox s = fixture_sandbox(f, uuid_new(), "live", fds);
	close_all(fds);
	close(f->conn);
	f->conn = -1;
	fixture_greet(f);
	assert_int_equal(only_one(f).id, s.id);
	assert_true(process_alive(s.pid));
	stop(f, &s, HELPER_STOP_KILL);
	struct wire_sandbox end = fixture_wait_end(f, s.id);
	assert_int_equal(end.end, HELPER_END_KILLED);
	assert_int_equal(end.end_status, SIGKILL);
	fixture_release(f, &s);
}

/* Sockets that pid 1 has exchanged are not taken for ours. */
static void test_swapped_sockets(void **state)
{
	struct fixture *f = *state;
	int fds[3];
	struct wire_sandbox s = fixture_sandbox(f, uuid_new(), "swap", fds);
	free(fixture_log(fds[2], "swapped 0\n"));
	restart(f);
	for (int i = 0; i < PATIENCE_MS / 10 && only_one(f).state != HELPER_SANDBOX_ENDED; i++)
		poll(NULL, 0, 10); /* it is killed; its end is seen when the kernel tells of it */
	assert_int_equal(only_one(f).state, HELPER_SANDBOX_ENDED);
	assert_false(process_alive(s.pid));
	close_all(fds);
	fixture_release(f, &s);
}

static void test_orphans_are_removed(void **state)
{
	static const char *const hierarchies[] = {
		"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory"};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++) {
		char path[256];
		snprintf(path, sizeof(path), "%s/%s/s0123456789abcdef", hierarchies[i], f->parent);
		(void)mkdir(path, 0755);
	}
	assert_true(fixture_cgroups_left(f) > 0);
	restart(f);
	assert_int_equal(fixture_cgroups_left(f), 0); /* nobody was in it */
}

static void test_calls(void **state)
{
	struct fixture *f = *state;
	struct uuid call = uuid_new(), background = uuid_new();
	char text[UUID_TEXT_BYTES], expected[64];
	int fds[3];
	struct wire_sandbox s = fixture_sandbox(f, uuid_new(), "live", fds);
	uint64_t first = open_call(f, &s, call);
	assert_int_not_equal(first, 0);
	assert_int_not_equal(first, s.cgroup_id);
	expect_message(fds[0], "call\n");
	char *log = fixture_log(fds[2], "call-cgroup");
	assert_string_equal(log_value(log, "call-join"), "0");
	uuid_text(call, text);
	snprintf(expected, sizeof(expected), "/c%s", text);
	assert_non_null(strstr(log_value(log, "call-cgroup"), expected));
	free(log);
	assert_int_not_equal(open_call(f, &s, background), first);
	expect_message(fds[0], "call\n");
	free(fixture_log(fds[2], "call-cgroup"));
	assert_int_equal(close_call(f, &s, background, HELPER_CALL_KEEP), HELPER_CALL_HAD_REST);
	assert_int_equal(close_call(f, &s, call, HELPER_CALL_KILL), HELPER_CALL_HAD_REST);
	assert_true(process_alive(s.pid));
	stop(f, &s, HELPER_STOP_KILL);
	fixture_wait_end(f, s.id);
	close_all(fds);
	fixture_release(f, &s);
	assert_int_equal(fixture_cgroups_left(f), 0);
}

/* A workspace goes on from one iteration's sandbox to the next one's; its slot is used again. */
static void test_workspace_carries_over(void **state)
{
	struct fixture *f = *state;
	struct uuid execution = uuid_new();
	int fds[3];
	struct wire_sandbox s = fixture_sandbox(f, execution, "report", fds);
	char *log = fixture_log(fds[2], NULL);
	assert_string_equal(log_value(log, "carried"), "0");
	free(log);
	fixture_wait_end(f, s.id);
	close_all(fds);
	struct wire_target w = {.id = s.id, .execution = execution};
	struct answer a;
	fixture_call(f, WIRE_SANDBOX_RELEASE, &w, sizeof(w), &a);
	assert_int_equal(a.code, 0);
	s = fixture_sandbox(f, execution, "report", fds);
	log = fixture_log(fds[2], NULL);
	assert_string_equal(log_value(log, "carried"), "1");
	free(log);
	fixture_wait_end(f, s.id);
	close_all(fds);
	fixture_release(f, &s);
}

static int entries(const char *path)
{
	int n = 0;
	DIR *d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int mounts(void)
{
	int n = 0, c;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	assert_non_null(f);
	while ((c = fgetc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static void one_life(struct fixture *f)
{
	int fds[3];
	struct wire_sandbox s = fixture_sandbox(f, uuid_new(), "live", fds);
	free(fixture_log(fds[2], "alive"));
	open_call(f, &s, uuid_new());
	stop(f, &s, HELPER_STOP_KILL);
	fixture_wait_end(f, s.id);
	close_all(fds);
	fixture_release(f, &s);
	poll(NULL, 0, 50); /* the helper fills its pool */
}

/* Descriptors of the helper: those by which programs hang in the kernel, or all others. */
static int held_by(const struct fixture *f, bool programs)
{
	char path[320], to[64];
	int n = 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", f->helper);
	DIR *d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		ssize_t length = readlinkat(dirfd(d), e->d_name, to, sizeof(to) - 1);
		if (length < 0)
			continue;
		to[length] = '\0';
		n += (strstr(to, "bpf_link") != NULL) == programs;
	}
	closedir(d);
	return n;
}

/* The helper holds a network namespace, sockets and mounts of a sandbox only as descriptors. What
 * hangs for sandboxes goes a while after the last. */
static void test_nothing_is_left(void **state)
{
	struct fixture *f = *state;
	char sockets[128];
	snprintf(sockets, sizeof(sockets), "%s/run/sockets", f->dir);
	one_life(f); /* what is kept for the next: template, user namespaces */
	int held = held_by(f, false), mounted = mounts();
	for (int i = 0; i < 10; i++)
		one_life(f);
	assert_int_equal(held_by(f, false), held);
	assert_int_equal(mounts(), mounted);
	assert_int_equal(entries(sockets), 2); /* . and .. */
	assert_int_equal(fixture_cgroups_left(f), 0);
	for (int i = 0; i < PATIENCE_MS / 10 && held_by(f, true) > 0; i++)
		poll(NULL, 0, 10);
	assert_int_equal(held_by(f, true), 0);
}

/* Sends a create request and does not wait for the reply. */
static void post_create(struct fixture *f, struct uuid execution)
{
	struct {
		struct wire_create w;
		char tail[64];
	} c;
	size_t n = fixture_create(&c.w, sizeof(c), execution, 1, "live");
	c.w.header = (struct wire_header){
		WIRE_MAGIC, WIRE_VERSION, WIRE_SANDBOX_CREATE, (uint32_t)n, 0, ++f->request};
	assert_int_equal(send(f->conn, &c, n, MSG_NOSIGNAL), n);
}

/* Killed anywhere in the making: afterwards the sandbox is there and runs, or nothing is. */
static void test_killed_while_creating(void **state)
{
	struct fixture *f = *state;
	int made = 0;
	for (unsigned round = 0; round < 24; round++) {
		struct wire_execution w = {.execution = uuid_new()};
		struct wire_list list = {.after = 0};
		struct answer a;
		fixture_call(f, WIRE_WORKSPACE_OPEN, &w, sizeof(w), &a);
		answer_close(&a);
		post_create(f, w.execution);
		usleep(round * round * 200);
		restart(f);
		fixture_call(f, WIRE_SANDBOX_LIST, &list, sizeof(list), &a);
		assert_true(a.count <= 1);
		struct wire_sandbox s = a.u.sandboxes[0];
		if (a.count == 1) {
			struct wire_target t = {.id = s.id, .execution = w.execution};
			made++;
			assert_int_equal(s.state, HELPER_SANDBOX_RUNNING);
			fixture_call(f, WIRE_LISTENER_GET, &t, sizeof(t), &a);
			assert_int_equal(a.code, 0);
			open_call(f, &s, uuid_new());
			expect_message(a.fds[0], "call\n"); /* it was started */
			answer_close(&a);
			stop(f, &s, HELPER_STOP_KILL);
			fixture_wait_end(f, s.id);
			fixture_release(f, &s);
		}
		for (int i = 0; i < PATIENCE_MS / 10 && fixture_cgroups_left(f) > 0; i++)
			poll(NULL, 0, 10);
		assert_int_equal(fixture_cgroups_left(f), 0);
	}
	print_message("# %d of 24 were made\n", made);
}

/* Prepared sandboxes are not listed, are used in order, and leave their slots to who needs them. */
static void test_pool(void **state)
{
	struct fixture *f = *state;
	struct wire_list list = {.after = 0};
	struct answer a;
	struct wire_sandbox s[FIXTURE_SLOTS];
	int fds[FIXTURE_SLOTS][3];
	fixture_call(f, WIRE_SANDBOX_LIST, &list, sizeof(list), &a);
	assert_int_equal(a.count, 0);
	s[0] = fixture_sandbox(f, uuid_new(), "live", fds[0]);
	assert_true(s[0].id < (uint64_t)clock_wall_ns() - 20 * NS_PER_MS); /* was made before */
	for (int i = 1; i < FIXTURE_SLOTS; i++)
		s[i] = fixture_sandbox_of(f, uuid_new(), "other", "live", fds[i]);
	fixture_call(f, WIRE_SANDBOX_LIST, &list, sizeof(list), &a);
	assert_int_equal(a.count, FIXTURE_SLOTS);
	for (int i = 0; i < FIXTURE_SLOTS; i++) {
		stop(f, &s[i], HELPER_STOP_KILL);
		fixture_wait_end(f, s[i].id);
		fixture_release(f, &s[i]);
		close_all(fds[i]);
	}
}

/* A helper that is killed leaves its prepared sandboxes to the next, which removes them. */
static void test_pool_dies(void **state)
{
	struct fixture *f = *state;
	f->prepared = 0;
	restart(f);
	for (int i = 0; i < PATIENCE_MS / 10 && fixture_cgroups_left(f) > 0; i++)
		poll(NULL, 0, 10);
	assert_int_equal(fixture_cgroups_left(f), 0);
}

static void read_text(char *ret, size_t room, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void read_text(char *ret, size_t room, const char *fmt, ...)
{
	char path[512];
	va_list args;
	va_start(args, fmt);
	vsnprintf(path, sizeof(path), fmt, args);
	va_end(args);
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, ret, room - 1);
	ret[n > 0 ? n : 0] = '\0';
}

/* Pid 1 of each sandbox that is ready. */
static size_t prepared_pids(const struct fixture *f, pid_t *ret, size_t room)
{
	static const char *const hierarchies[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(hierarchies) && n == 0; i++) {
		char path[256], procs[64];
		snprintf(path, sizeof(path), "%s/%s", hierarchies[i], f->parent);
		DIR *d = opendir(path);
		for (struct dirent *e; d && (e = readdir(d)) && n < room;) {
			read_text(procs, sizeof(procs), "%s/%s/cgroup.procs", path, e->d_name);
			if (e->d_name[0] == 's' && atoi(procs) > 0)
				ret[n++] = atoi(procs);
		}
		if (d)
			closedir(d);
	}
	return n;
}

/* One that was killed is not handed out. */
static void test_pool_is_killed(void **state)
{
	struct fixture *f = *state;
	struct {
		struct wire_create w;
		char tail[64];
	} c;
	struct wire_execution open = {.execution = uuid_new()};
	struct answer a;
	pid_t victims[8];
	size_t count = prepared_pids(f, victims, ARRAY_LEN(victims));
	assert_int_equal(count, f->prepared);
	expect_code(f, WIRE_WORKSPACE_OPEN, &open, sizeof(open), 0);
	size_t n = fixture_create(&c.w, sizeof(c), open.execution, 1, "live");
	pid_t child = kill_unseen(f, victims, count);
	fixture_call(f, WIRE_SANDBOX_CREATE, &c, n, &a);
	wait_child(child);
	if (a.code < 0)
		fail_msg("SANDBOX_CREATE: %s", a.message);
	struct wire_sandbox s = a.u.sandboxes[0];
	free(fixture_log(a.fds[2], "alive"));
	answer_close(&a);
	stop(f, &s, HELPER_STOP_KILL);
	fixture_wait_end(f, s.id);
	fixture_release(f, &s);
}

/* Sandboxes, prepared ones too, whose cgroup has that limit of memory. */
static int limited_to(const struct fixture *f, const char *bytes)
{
	static const char *const parents[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};
	static const char *const files[] = {"memory.limit_in_bytes", "memory.max"};
	int n = 0;
	for (size_t i = 0; i < ARRAY_LEN(parents); i++) {
		char path[256], text[64];
		snprintf(path, sizeof(path), "%s/%s", parents[i], f->parent);
		DIR *d = opendir(path);
		for (struct dirent *e; d && (e = readdir(d));) {
			read_text(text, sizeof(text), "%s/%s/%s", path, e->d_name, files[i]);
			n += e->d_name[0] == 's' && strcmp(text, bytes) == 0;
		}
		if (d)
			closedir(d);
	}
	return n;
}

/* One that was prepared with less gets all that it is asked for with, and so do then those that are
 * prepared still or anew: the next is likely to be asked for with the same. */
static void test_pool_grows(void **state)
{
	struct fixture *f = *state;
	struct {
		struct wire_create w;
		char tail[128];
	} create;
	struct wire_execution open = {.execution = uuid_new()};
	struct answer a;
	fixture_call(f, WIRE_WORKSPACE_OPEN, &open, sizeof(open), &a);
	answer_close(&a);
	size_t n = fixture_create(&create.w, sizeof(create), open.execution, 1, "live");
	create.w.limits.memory_bytes = 1ULL << 30;
	create.w.limits.tmp_bytes = 256 << 20;
	create.w.limits.pids = 300;
	assert_int_equal(limited_to(f, "1073741824\n"), 0);
	fixture_call(f, WIRE_SANDBOX_CREATE, &create, n, &a);
	if (a.code < 0)
		fail_msg("SANDBOX_CREATE: %s", a.message);
	struct wire_sandbox s = a.u.sandboxes[0];
	assert_true(s.id < (uint64_t)clock_wall_ns() - 20 * NS_PER_MS); /* was made before */
	assert_true(limited_to(f, "1073741824\n") >= 1);
	for (int i = 0; i < PATIENCE_MS / 10; i++) {
		if (limited_to(f, "1073741824\n") == 1 + f->prepared)
			break;
		poll(NULL, 0, 10);
	}
	assert_int_equal(limited_to(f, "1073741824\n"), 1 + f->prepared);
	stop(f, &s, HELPER_STOP_KILL);
	fixture_wait_end(f, s.id);
	fixture_release(f, &s);
	answer_close(&a);
}

/* ---- seats ---- */

#define V2 "/sys/fs/cgroup/unified"
#define PIDS "/sys/fs/cgroup/pids"

struct seats {
	int count;
	char names[8][32];
	pid_t pids[8]; /* of the processes in them */
};

/* The seats that a process has joined. */
static struct seats seats_of(const struct fixture *f)
{
	struct seats found = {0};
	char path[256], procs[4096];
	snprintf(path, sizeof(path), V2 "/%s", f->parent);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d)) && found.count < 8;) {
		if (e->d_name[0] != 's' || strlen(e->d_name) != 17)
			continue;
		read_text(
			procs, sizeof(procs), PIDS "/%s/%.17s/cgroup.procs", f->parent, e->d_name);
		if (!procs[0])
			continue;
		found.pids[found.count] = atoi(procs);
		snprintf(found.names[found.count++], 32, "%.17s", e->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

static struct seats wait_seats(const struct fixture *f)
{
	struct seats s = seats_of(f);
	for (int i = 0; i < PATIENCE_MS / 10 && s.count < f->seats; i++) {
		poll(NULL, 0, 10);
		s = seats_of(f);
	}
	assert_int_equal(s.count, f->seats);
	return s;
}

static void check_sits(const struct fixture *f, const struct wire_sandbox *s)
{
	char name[32], text[4096], other[4096];
	snprintf(name, sizeof(name), "s%016llx", (unsigned long long)s->id);
	read_text(text, sizeof(text), "/proc/%d/cgroup", s->pid);
	int in = 0;
	for (const char *at = text; (at = strstr(at, name)); at++)
		in++;
	assert_int_equal(in, 4); /* cpu, memory, pids and v2 */
	/* Nobody but the sandbox: the process that started it is gone. */
	read_text(text, sizeof(text), PIDS "/%s/%s/cgroup.procs", f->parent, name);
	read_text(other, sizeof(other), V2 "/%s/%s/cgroup.procs", f->parent, name);
	assert_string_equal(text, other);
	read_text(text, sizeof(text), PIDS "/%s/%s/pids.max", f->parent, name);
	assert_string_equal(text, "32\n"); /* as asked for now, not as the seat had it */
}

static void test_seats(void **state)
{
	struct fixture *f = *state;
	if (access("/sys/fs/cgroup/memory", F_OK) < 0)
		test_skip("no v1 controllers on this host: nobody waits, and no seat is made");
	for (int round = 0; round < 4; round++) {
		struct seats before = wait_seats(f);
		int fds[3];
		char comm[32];
		read_text(comm, sizeof(comm), "/proc/%d/comm", before.pids[0]);
		assert_string_equal(comm, "aegis-seat\n");
		struct wire_sandbox s = fixture_sandbox(f, uuid_new(), "live", fds);
		char name[32];
		snprintf(name, sizeof(name), "s%016llx", (unsigned long long)s.id);
		assert_true(
			strcmp(name, before.names[0]) == 0 || strcmp(name, before.names[1]) == 0);
		free(fixture_log(fds[2], "alive"));
		check_sits(f, &s);
		open_call(f, &s, uuid_new());
		stop(f, &s, HELPER_STOP_KILL);
		struct wire_sandbox end = fixture_wait_end(f, s.id);
		assert_int_equal(end.end, HELPER_END_KILLED); /* seen: it is the helper's child */
		assert_int_equal(end.end_status, SIGKILL);
		close_all(fds);
		fixture_release(f, &s);
	}
}

/* Their processes die with the helper, and the next one removes the cgroups. */
static void test_seats_die(void **state)
{
	struct fixture *f = *state;
	if (access("/sys/fs/cgroup/memory", F_OK) < 0)
		test_skip("no v1 controllers on this host: nobody waits, and no seat is made");
	struct seats before = wait_seats(f);
	f->seats = 0;
	restart(f);
	for (int i = 0; i < PATIENCE_MS / 10 && fixture_cgroups_left(f) > 0; i++)
		poll(NULL, 0, 10);
	assert_int_equal(fixture_cgroups_left(f), 0);
	for (int i = 0; i < before.count; i++)
		assert_false(process_alive(before.pids[i]));
}

#define SEATED(name) cmocka_unit_test_setup_teardown(name, fixture_setup_seated, fixture_teardown)
#define POOLED(name) cmocka_unit_test_setup_teardown(name, fixture_setup_pooled, fixture_teardown)
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest helper[] = {
		CASE(test_helper_dies),
		CASE(test_leaving_is_death),
		CASE(test_sandbox_dies_unseen),
		CASE(test_dies_before_its_call),
		CASE(test_dies_before_it_begins),
		CASE(test_end_is_kept),
		CASE(test_aegisd_dies),
		CASE(test_swapped_sockets),
		CASE(test_orphans_are_removed),
		CASE(test_calls),
		CASE(test_workspace_carries_over),
		CASE(test_nothing_is_left),
		CASE(test_killed_while_creating),
		POOLED(test_pool),
		POOLED(test_pool_is_killed),
		POOLED(test_pool_dies),
		POOLED(test_pool_grows),
		SEATED(test_seats),
		SEATED(test_seats_die),
	};
	return cmocka_run_group_tests(helper, NULL, NULL);
}
