/* SPDX-License-Identifier: AGPL-3.0-only */
/* What comes from outside the workers: children, blocking threads, signals, connections. */
#include "tests/unit/daemon/rt/in_fiber.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- children ---- */

static int start_shell(const char *script, const int stdio[3], struct child *ret)
{
	char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};
	char *envp[] = {"WORD=hello", NULL};
	return child_spawn("/bin/sh", argv, envp, stdio, ret);
}

static void expect_end(const char *script, int wanted_code, int wanted_status)
{
	struct child c;
	int code = 0;
	int status = 0;
	EXPECT_INT(start_shell(script, (int[]){-1, -1, -1}, &c), 0);
	EXPECT_INT(child_wait(c.pidfd, &code, &status, deadline_in_ms(10000)), 0);
	EXPECT_INT(code, wanted_code);
	EXPECT_INT(status, wanted_status);
	rt_close(c.pidfd);
}

static void body_children(void *arg)
{
	struct child c;
	char *argv[] = {"x", NULL};
	expect_end("exit 0", CLD_EXITED, 0);
	expect_end("exit 7", CLD_EXITED, 7);
	expect_end("kill -KILL $$", CLD_KILLED, SIGKILL);
	/* Signals that we block or ignore work as usual in a child. */
	expect_end("kill -TERM $$; exit 3", CLD_KILLED, SIGTERM);
	expect_end("read x; exit 4", CLD_EXITED, 4);
	EXPECT_INT(child_spawn("/nonexistent", argv, argv + 1, (int[]){-1, -1, -1}, &c), -ENOENT);
	EXPECT(strstr(err_message(-ENOENT), "/nonexistent"));
	err_clear();
}

static void children_end_with_a_status(void **state)
{
	in_fiber(body_children);
}

/* The ends of a child's pipes are swapped on purpose: 1 and 2 change places. */
static void body_stdio(void *arg)
{
	int out[2];
	int err[2];
	struct child c;
	char got[256];
	int code;
	int status;
	EXPECT_INT(pipe2(out, O_CLOEXEC), 0);
	EXPECT_INT(pipe2(err, 0), 0);
	int leak = fcntl(0, F_DUPFD, 50);
	EXPECT_INT(start_shell("echo $WORD; echo bad >&2; cd /proc/self/fd && echo *",
			   (int[]){-1, out[1], err[1]}, &c),
		0);
	close(out[1]);
	close(err[1]);
	close(leak);
	EXPECT_INT(child_wait(c.pidfd, &code, &status, deadline_in_ms(10000)), 0);
	ssize_t n = rt_read(out[0], got, sizeof(got) - 1, -1, DEADLINE_NONE);
	got[MAX(n, (ssize_t)0)] = '\0';
	/* sh itself opens 3 for the listing of the folder. */
	EXPECT(strcmp(got, "hello\n0 1 2 3\n") == 0 || strcmp(got, "hello\n0 1 2\n") == 0);
	EXPECT_INT(rt_read(err[0], got, sizeof(got), -1, DEADLINE_NONE), 4);
	close(out[0]);
	close(err[0]);
	rt_close(c.pidfd);
}

static void a_child_has_three_descriptors(void **state)
{
	in_fiber(body_stdio);
}

static void body_swap(void *arg)
{
	int fds[2];
	int saved[3];
	struct child c;
	char got[16] = "";
	int code;
	int status;
	EXPECT_INT(pipe2(fds, O_CLOEXEC), 0);
	/* In this process 2 is the pipe and 1 is not; the child gets them the other way round. */
	for (int i = 0; i < 3; i++)
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 60);
	dup2(fds[1], 2);
	int r = start_shell("echo out; echo err >&2", (int[]){-1, 2, 1}, &c);
	dup2(saved[2], 2);
	close(fds[1]);
	EXPECT_INT(r, 0);
	EXPECT_INT(child_wait(c.pidfd, &code, &status, deadline_in_ms(10000)), 0);
	EXPECT_INT(rt_read(fds[0], got, sizeof(got), -1, DEADLINE_NONE), 4);
	EXPECT(memcmp(got, "out\n", 4) == 0);
	close(fds[0]);
	for (int i = 0; i < 3; i++)
		close(saved[i]);
	rt_close(c.pidfd);
}

static void descriptors_may_change_places(void **state)
{
	in_fiber(body_swap);
}

/* ---- offload ---- */

struct work {
	struct offload *o;
	atomic_int *running;
	atomic_int *most;
	int result;
};

static int block_a_while(void *arg)
{
	struct work *w = arg;
	int now = atomic_fetch_add(w->running, 1) + 1;
	if (now > atomic_load(w->most))
		atomic_store(w->most, now);
	usleep(2000);
	atomic_fetch_sub(w->running, 1);
	EXPECT(worker_self() == NULL);
	return err_raise(-EBADMSG, "from the thread");
}

static void call_work(void *arg)
{
	struct work *w = arg;
	w->result = offload_call(w->o, block_a_while, w, DEADLINE_NONE);
	if (w->result == -EBADMSG)
		EXPECT(strcmp(err_message(-EBADMSG), "from the thread") == 0);
}

static void body_offload(void *arg)
{
	enum { N = 12 };
	struct offload *o;
	struct work w[N];
	struct group g;
	atomic_int running = 0;
	atomic_int most = 0;
	int ran = 0;
	int refused = 0;
	group_init(&g);
	EXPECT_INT(offload_start("work", 3, 5, &o), 0);
	for (int i = 0; i < N; i++) {
		w[i] = (struct work){o, &running, &most, 1};
		EXPECT_INT(group_spawn(&g, "work", FIBER_SMALL, call_work, &w[i]), 0);
	}
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	for (int i = 0; i < N; i++) {
		ran += w[i].result == -EBADMSG;
		refused += w[i].result == -EAGAIN;
	}
	EXPECT_INT(ran + refused, N);
	/* Five fit into the queue; threads may have taken up to three more meanwhile. */
	EXPECT(ran >= 5 && ran <= 8);
	EXPECT(atomic_load(&most) <= 3);
	offload_stop(o);
	offload_stop(NULL);
}

static void offload_bounds_threads_and_queue(void **state)
{
	in_fiber(body_offload);
}

struct slow {
	struct offload *o;
	atomic_bool started;
	atomic_bool go;
	atomic_bool ended;
	int result;
};

static int run_slowly(void *arg)
{
	struct slow *s = arg;
	atomic_store(&s->started, true);
	while (!atomic_load(&s->go))
		usleep(100);
	atomic_store(&s->ended, true);
	return 5;
}

static void call_slow(void *arg)
{
	struct slow *s = arg;
	s->result = offload_call(s->o, run_slowly, s, deadline_in_ms(10000));
}

static void let_go(void *arg)
{
	struct slow *s = arg;
	EXPECT_INT(rt_sleep_until(deadline_in_ms(3)), 0);
	atomic_store(&s->go, true);
}

static void body_running(void *arg)
{
	struct slow s = {0};
	struct group g;
	struct group other;
	group_init(&g);
	group_init(&other);
	EXPECT_INT(offload_start("slow", 1, 1, &s.o), 0);
	EXPECT_INT(group_spawn(&g, "slow", FIBER_SMALL, call_slow, &s), 0);
	while (!atomic_load(&s.started))
		EXPECT_INT(rt_sleep_until(deadline_in_ms(1)), 0);
	EXPECT_INT(group_spawn(&other, "let go", FIBER_SMALL, let_go, &s), 0);
	/* The thread uses the caller's frame: leaving it must wait for the thread. */
	group_close(&g);
	EXPECT(atomic_load(&s.ended));
	EXPECT_INT(s.result, 5);
	EXPECT_INT(group_join(&other, DEADLINE_NONE), 0);
	offload_stop(s.o);
}

static void a_running_call_is_waited_for(void **state)
{
	in_fiber(body_running);
}

/* ---- signals ---- */

static void body_signals(void *arg)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	/* One that comes while nobody waits is not lost. */
	kill(getpid(), SIGHUP);
	EXPECT_INT(signal_wait(&set, deadline_in_ms(10000)), SIGHUP);
	EXPECT_INT(signal_wait(&set, deadline_in_ms(2)), -ETIME);
	kill(getpid(), SIGTERM);
	EXPECT_INT(signal_wait(&set, DEADLINE_NONE), SIGTERM);
}

static void signals_arrive_as_values(void **state)
{
	struct rt_options options = {.workers = 2};
	in_fiber_with(&options, body_signals, NULL);
	sigset_t now;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	assert_false(sigismember(&now, SIGTERM));
}

/* ---- listeners ---- */

static int dial(const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	EXPECT_INT(
		rt_connect(fd, (const struct sockaddr *)addr, sizeof(*addr), deadline_in_ms(10000)),
		0);
	return fd;
}

static void body_listener(void *arg)
{
	enum { N = 200 };
	struct sockaddr_in addr;
	struct listener *l;
	int fds[N];
	EXPECT_INT(listener_start(listen_loopback(&addr, 256), &l), 0);
	for (int i = 0; i < N; i++)
		fds[i] = dial(&addr);
	for (int i = 0; i < N; i++) {
		int fd = listener_accept(l, deadline_in_ms(10000));
		EXPECT(fd >= 0 && fcntl(fd, F_GETFD) & FD_CLOEXEC);
		rt_close(fd);
		rt_close(fds[i]);
	}
	EXPECT_INT(listener_accept(l, deadline_in_ms(2)), -ETIME);
	/* Connections that nobody accepts are closed with the listener. */
	int left = dial(&addr);
	listener_stop(l);
	char c;
	ssize_t r = rt_recv(left, &c, 1, 0, deadline_in_ms(10000));
	EXPECT(r == 0 || r == -ECONNRESET);
	rt_close(left);
	listener_stop(NULL);
}

static void a_listener_hands_out_every_connection(void **state)
{
	in_fiber(body_listener);
}

static void body_no_descriptors(void *arg)
{
	struct sockaddr_in addr;
	struct listener *l;
	struct rlimit old;
	int listening = listen_loopback(&addr, 8);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	EXPECT_INT(getrlimit(RLIMIT_NOFILE, &old), 0);
	struct rlimit none = {.rlim_cur = 3, .rlim_max = old.rlim_max};
	/* The kernel looks at the limit when the operation begins. */
	EXPECT_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
	EXPECT_INT(listener_start(listening, &l), 0);
	EXPECT_INT(rt_connect(client, (struct sockaddr *)&addr, sizeof(addr), DEADLINE_NONE), 0);
	EXPECT_INT(listener_accept(l, deadline_in_ms(10000)), -EMFILE);
	EXPECT_INT(setrlimit(RLIMIT_NOFILE, &old), 0);
	/* The connection waits in the backlog and is taken when there is room again. */
	int late = listener_accept(l, deadline_in_ms(10000));
	EXPECT(late >= 0);
	rt_close(late);
	rt_close(client);
	listener_stop(l);
}

static void lack_of_descriptors_is_told_and_survived(void **state)
{
	in_fiber(body_no_descriptors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_end_with_a_status),
		cmocka_unit_test(a_child_has_three_descriptors),
		cmocka_unit_test(descriptors_may_change_places),
		cmocka_unit_test(offload_bounds_threads_and_queue),
		cmocka_unit_test(a_running_call_is_waited_for),
		cmocka_unit_test(signals_arrive_as_values),
		cmocka_unit_test(a_listener_hands_out_every_connection),
		cmocka_unit_test(lack_of_descriptors_is_told_and_survived),
	};
	return cmocka_run_group_tests_name("rt", tests, NULL, NULL);
}
