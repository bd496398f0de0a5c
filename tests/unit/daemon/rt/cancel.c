/* SPDX-License-Identifier: AGPL-3.0-only */
/* The contract of AWAITS, for every function that has it: cancel, deadline, shield. */
#include "tests/unit/daemon/rt/in_fiber.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct stage {
	int fds[2];
	struct stream *stream;
	struct listener *listener;
	struct chan *chan;
	struct waitq q;
	struct group group;
	struct child child;
	struct offload *offload;
	struct sockaddr_in addr;
	char buffer[64];
};

struct kind {
	const char *name;
	void (*set)(struct stage *s);
	int (*wait)(struct stage *s, int64_t deadline_ns);
	void (*strike)(struct stage *s);
};

static void set_none(struct stage *s)
{
}

static void set_pair(struct stage *s)
{
	socket_pair(s->fds);
}

static void strike_pair(struct stage *s)
{
	rt_close(s->fds[0]);
	rt_close(s->fds[1]);
}

static int wait_sleep(struct stage *s, int64_t deadline_ns)
{
	int r = rt_sleep_until(deadline_ns);
	return r == 0 ? -ETIME : r;
}

static void set_waitq(struct stage *s)
{
	waitq_init(&s->q);
}

static int wait_waitq(struct stage *s, int64_t deadline_ns)
{
	return waitq_wait(&s->q, deadline_ns);
}

static void set_chan(struct stage *s)
{
	s->chan = chan_new(1);
}

static void set_full_chan(struct stage *s)
{
	s->chan = chan_new(1);
	EXPECT_INT(chan_try_send(s->chan, s), 0);
}

static int wait_chan_recv(struct stage *s, int64_t deadline_ns)
{
	void *item;
	return chan_recv(s->chan, &item, deadline_ns);
}

static int wait_chan_send(struct stage *s, int64_t deadline_ns)
{
	return chan_send(s->chan, s, deadline_ns);
}

static void strike_chan(struct stage *s)
{
	chan_free(s->chan);
}

static void sleep_for_ever(void *arg)
{
	EXPECT_INT(rt_sleep_until(DEADLINE_NONE), -ECANCELED);
}

static void set_group(struct stage *s)
{
	group_init(&s->group);
	EXPECT_INT(group_spawn(&s->group, "member", FIBER_SMALL, sleep_for_ever, NULL), 0);
}

static int wait_group(struct stage *s, int64_t deadline_ns)
{
	return group_join(&s->group, deadline_ns);
}

static void strike_group(struct stage *s)
{
	group_close(&s->group);
}

static void set_pipe(struct stage *s)
{
	EXPECT_INT(pipe2(s->fds, O_CLOEXEC), 0);
}

static int wait_read(struct stage *s, int64_t deadline_ns)
{
	return (int)rt_read(s->fds[0], s->buffer, sizeof(s->buffer), -1, deadline_ns);
}

static void fill(int fd)
{
	static char junk[4096];
	int flags = fcntl(fd, F_GETFL);
	EXPECT_INT(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
	while (write(fd, junk, sizeof(junk)) > 0)
		continue;
	EXPECT_INT(fcntl(fd, F_SETFL, flags), 0);
}

static void set_full_pipe(struct stage *s)
{
	set_pipe(s);
	fill(s->fds[1]);
}

static int wait_write(struct stage *s, int64_t deadline_ns)
{
	return (int)rt_write(s->fds[1], s->buffer, sizeof(s->buffer), -1, deadline_ns);
}

static int wait_recv(struct stage *s, int64_t deadline_ns)
{
	return (int)rt_recv(s->fds[0], s->buffer, sizeof(s->buffer), 0, deadline_ns);
}

static int wait_recvmsg(struct stage *s, int64_t deadline_ns)
{
	struct iovec v = {s->buffer, sizeof(s->buffer)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	return (int)rt_recvmsg(s->fds[0], &m, 0, deadline_ns);
}

static void set_full_pair(struct stage *s)
{
	socket_pair(s->fds);
	fill(s->fds[1]);
}

static int wait_send(struct stage *s, int64_t deadline_ns)
{
	return (int)rt_send(s->fds[1], s->buffer, sizeof(s->buffer), 0, deadline_ns);
}

static int wait_send_all(struct stage *s, int64_t deadline_ns)
{
	return rt_send_all(s->fds[1], s->buffer, sizeof(s->buffer), deadline_ns);
}

static int wait_sendmsg(struct stage *s, int64_t deadline_ns)
{
	struct iovec v = {s->buffer, sizeof(s->buffer)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	return (int)rt_sendmsg(s->fds[1], &m, 0, deadline_ns);
}

static int wait_poll(struct stage *s, int64_t deadline_ns)
{
	return rt_poll(s->fds[0], POLLIN, deadline_ns);
}

static void set_listening(struct stage *s)
{
	s->fds[0] = listen_loopback(&s->addr, 8);
	s->fds[1] = -1;
}

static int wait_accept(struct stage *s, int64_t deadline_ns)
{
	return rt_accept(s->fds[0], deadline_ns);
}

/* A listener whose backlog is full drops what knocks, so that a connect waits. */
static void set_deaf(struct stage *s)
{
	s->fds[0] = listen_loopback(&s->addr, 0);
	s->fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	EXPECT_INT(connect(s->fds[1], (struct sockaddr *)&s->addr, sizeof(s->addr)), 0);
}

static int wait_connect(struct stage *s, int64_t deadline_ns)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = rt_connect(fd, (struct sockaddr *)&s->addr, sizeof(s->addr), deadline_ns);
	rt_close(fd);
	return r;
}

static void set_listener(struct stage *s)
{
	EXPECT_INT(listener_start(listen_loopback(&s->addr, 8), &s->listener), 0);
}

static int wait_listener(struct stage *s, int64_t deadline_ns)
{
	return listener_accept(s->listener, deadline_ns);
}

static void strike_listener(struct stage *s)
{
	listener_stop(s->listener);
}

static void set_stream(struct stage *s)
{
	socket_pair(s->fds);
	EXPECT_INT(stream_start(s->fds[0], &s->stream), 0);
}

static void set_full_stream(struct stage *s)
{
	socket_pair(s->fds);
	fill(s->fds[0]);
	EXPECT_INT(stream_start(s->fds[0], &s->stream), 0);
}

static int wait_peek(struct stage *s, int64_t deadline_ns)
{
	struct span view;
	return stream_peek(s->stream, 0, &view, deadline_ns);
}

static int wait_stream_send(struct stage *s, int64_t deadline_ns)
{
	return stream_send(s->stream, SPAN("no room for this"), deadline_ns);
}

static void strike_stream(struct stage *s)
{
	stream_stop(s->stream);
	rt_close(s->fds[1]);
}

static void set_child(struct stage *s)
{
	char *argv[] = {"cat", NULL};
	char *envp[] = {NULL};
	EXPECT_INT(pipe2(s->fds, O_CLOEXEC), 0);
	EXPECT_INT(child_spawn("/bin/cat", argv, envp, (int[]){s->fds[0], -1, 2}, &s->child), 0);
}

static int wait_child(struct stage *s, int64_t deadline_ns)
{
	int code;
	int status;
	return child_wait(s->child.pidfd, &code, &status, deadline_ns);
}

static void strike_child(struct stage *s)
{
	int code;
	int status;
	strike_pair(s);
	EXPECT_INT(child_wait(s->child.pidfd, &code, &status, DEADLINE_NONE), 0);
	rt_close(s->child.pidfd);
}

static int wait_signal(struct stage *s, int64_t deadline_ns)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return signal_wait(&set, deadline_ns);
}

/* One thread that is busy until the pipe is closed, so that further calls stay queued. */
static int block_on_pipe(void *arg)
{
	char c;
	return (int)read(((struct stage *)arg)->fds[0], &c, 1);
}

static void call_busy(void *arg)
{
	struct stage *s = arg;
	fiber_shield_begin();
	EXPECT_INT(offload_call(s->offload, block_on_pipe, s, DEADLINE_NONE), 0);
	fiber_shield_end();
}

static void set_offload(struct stage *s)
{
	set_pipe(s);
	group_init(&s->group);
	EXPECT_INT(offload_start("busy", 1, 4, &s->offload), 0);
	EXPECT_INT(group_spawn(&s->group, "busy", FIBER_SMALL, call_busy, s), 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(5)), 0);
}

static int no_work(void *arg)
{
	return 7;
}

static int wait_offload(struct stage *s, int64_t deadline_ns)
{
	return offload_call(s->offload, no_work, NULL, deadline_ns);
}

static void strike_offload(struct stage *s)
{
	rt_close(s->fds[1]);
	group_close(&s->group);
	rt_close(s->fds[0]);
	offload_stop(s->offload);
}

static int sleep_there(void *arg)
{
	return rt_sleep_until(DEADLINE_NONE);
}

static int wait_call(struct stage *s, int64_t deadline_ns)
{
	struct worker *there = worker_at(worker_count() - 1);
	return worker_call(there, "sleeper", sleep_there, NULL, deadline_ns);
}

static const struct kind kinds[] = {
	{"sleep", set_none, wait_sleep, set_none},
	{"waitq_wait", set_waitq, wait_waitq, set_none},
	{"chan_recv", set_chan, wait_chan_recv, strike_chan},
	{"chan_send", set_full_chan, wait_chan_send, strike_chan},
	{"group_join", set_group, wait_group, strike_group},
	{"read", set_pipe, wait_read, strike_pair},
	{"write", set_full_pipe, wait_write, strike_pair},
	{"recv", set_pair, wait_recv, strike_pair},
	{"recvmsg", set_pair, wait_recvmsg, strike_pair},
	{"send", set_full_pair, wait_send, strike_pair},
	{"send_all", set_full_pair, wait_send_all, strike_pair},
	{"sendmsg", set_full_pair, wait_sendmsg, strike_pair},
	{"poll", set_pair, wait_poll, strike_pair},
	{"accept", set_listening, wait_accept, strike_pair},
	{"connect", set_deaf, wait_connect, strike_pair},
	{"listener_accept", set_listener, wait_listener, strike_listener},
	{"stream_peek", set_stream, wait_peek, strike_stream},
	{"stream_send", set_full_stream, wait_stream_send, strike_stream},
	{"child_wait", set_child, wait_child, strike_child},
	{"signal_wait", set_none, wait_signal, set_none},
	{"offload_call", set_offload, wait_offload, strike_offload},
	{"worker_call", set_none, wait_call, set_none},
};

struct trial {
	const struct kind *kind;
	struct stage stage;
	int first; /* result of the wait that was disturbed */
	int second; /* of the same wait, begun when already cancelled */
};

static void expect_result(const struct kind *k, const char *when, int actual, int wanted)
{
	char what[96];
	snprintf(what, sizeof(what), "%s, %s", k->name, when);
	expect_int(actual, wanted, what, __FILE__, __LINE__);
}

static void wait_twice(void *arg)
{
	struct trial *t = arg;
	t->first = t->kind->wait(&t->stage, DEADLINE_NONE);
	t->second = t->kind->wait(&t->stage, DEADLINE_NONE);
}

static void cancel_all(void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct trial t = {.kind = &kinds[i]};
		struct group g;
		group_init(&g);
		t.kind->set(&t.stage);
		EXPECT_INT(group_spawn(&g, t.kind->name, FIBER_SMALL, wait_twice, &t), 0);
		EXPECT_INT(rt_sleep_until(deadline_in_ms(3)), 0);
		group_close(&g);
		expect_result(t.kind, "cancelled", t.first, -ECANCELED);
		expect_result(t.kind, "begun when cancelled", t.second, -ECANCELED);
		t.kind->strike(&t.stage);
	}
}

static void time_all(void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct trial t = {.kind = &kinds[i]};
		t.kind->set(&t.stage);
		int64_t before = rt_now_ns();
		int r = t.kind->wait(&t.stage, deadline_in_ms(4));
		expect_result(t.kind, "out of time", r, -ETIME);
		EXPECT(rt_now_ns() - before >= 4 * NS_PER_MS);
		expect_result(t.kind, "begun too late", t.kind->wait(&t.stage, 1), -ETIME);
		t.kind->strike(&t.stage);
	}
}

static void wait_shielded(void *arg)
{
	struct trial *t = arg;
	fiber_shield_begin();
	fiber_shield_begin();
	EXPECT(!fiber_cancelled());
	t->first = t->kind->wait(&t->stage, deadline_in_ms(6));
	EXPECT(!fiber_cancelled());
	fiber_shield_end();
	EXPECT(!fiber_cancelled());
	fiber_shield_end();
	EXPECT(fiber_cancelled());
	t->second = t->kind->wait(&t->stage, DEADLINE_NONE);
}

static void shield_all(void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct trial t = {.kind = &kinds[i]};
		struct group g;
		group_init(&g);
		t.kind->set(&t.stage);
		EXPECT_INT(group_spawn(&g, t.kind->name, FIBER_SMALL, wait_shielded, &t), 0);
		fiber_yield();
		group_close(&g);
		expect_result(t.kind, "shielded", t.first, -ETIME);
		expect_result(t.kind, "after the shield", t.second, -ECANCELED);
		t.kind->strike(&t.stage);
	}
}

static void with_two_workers(fiber_fn body)
{
	struct rt_options options = {.workers = 2};
	in_fiber_with(&options, body, NULL);
}

static void cancel_ends_every_kind_of_wait(void **state)
{
	with_two_workers(cancel_all);
}

static void a_deadline_ends_every_kind_of_wait(void **state)
{
	with_two_workers(time_all);
}

static void a_shield_keeps_cancel_out(void **state)
{
	with_two_workers(shield_all);
}

static void on_one_worker_too(void **state)
{
	in_fiber(cancel_all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cancel_ends_every_kind_of_wait),
		cmocka_unit_test(a_deadline_ends_every_kind_of_wait),
		cmocka_unit_test(a_shield_keeps_cancel_out),
		cmocka_unit_test(on_one_worker_too),
	};
	return cmocka_run_group_tests_name("rt", tests, NULL, NULL);
}
