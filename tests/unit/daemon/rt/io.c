/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/rt/in_fiber.h"
#include "daemon/rt/internal.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void body_files(void *arg)
{
	char dir[] = "/tmp/rt-test-XXXXXX";
	char path[64];
	char got[16] = "";
	EXPECT(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	EXPECT_INT(rt_openat(AT_FDCWD, path, O_RDONLY, 0, DEADLINE_NONE), -ENOENT);
	int fd = rt_openat(AT_FDCWD, path, O_RDWR | O_CREAT, 0600, DEADLINE_NONE);
	EXPECT(fd >= 0);
	EXPECT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	EXPECT_INT(rt_write(fd, "0123456789", 10, -1, DEADLINE_NONE), 10);
	EXPECT_INT(rt_write(fd, "AB", 2, 4, DEADLINE_NONE), 2);
	EXPECT_INT(rt_fsync(fd, false, DEADLINE_NONE), 0);
	EXPECT_INT(rt_fsync(fd, true, deadline_in_ms(10000)), 0);
	EXPECT_INT(rt_read(fd, got, sizeof(got), -1, DEADLINE_NONE), 0);
	EXPECT_INT(rt_read(fd, got, sizeof(got), 0, DEADLINE_NONE), 10);
	EXPECT(memcmp(got, "0123AB6789", 10) == 0);
	EXPECT_INT(rt_read(-1, got, 1, 0, DEADLINE_NONE), -EBADF);
	rt_close(fd);
	rt_close(-1);
	unlink(path);
	rmdir(dir);
}

static void files_are_read_and_written(void **state)
{
	in_fiber(body_files);
}

struct dial {
	struct sockaddr_in addr;
	int fd;
};

static void dial(void *arg)
{
	struct dial *d = arg;
	d->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	EXPECT_INT(
		rt_connect(d->fd, (struct sockaddr *)&d->addr, sizeof(d->addr), DEADLINE_NONE), 0);
}

static void body_sockets(void *arg)
{
	struct dial d;
	struct group g;
	char got[8];
	group_init(&g);
	int listening = listen_loopback(&d.addr, 8);
	EXPECT_INT(group_spawn(&g, "dial", FIBER_SMALL, dial, &d), 0);
	int fd = rt_accept(listening, deadline_in_ms(10000));
	EXPECT(fd >= 0 && fcntl(fd, F_GETFD) & FD_CLOEXEC);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	EXPECT_INT(rt_poll(fd, POLLOUT, DEADLINE_NONE), POLLOUT);
	EXPECT_INT(rt_send_all(d.fd, "hello", 5, DEADLINE_NONE), 0);
	EXPECT_INT(rt_recv(fd, got, 2, 0, DEADLINE_NONE), 2);
	EXPECT_INT(rt_recv(fd, got, 8, 0, DEADLINE_NONE), 3);
	rt_close(d.fd);
	EXPECT_INT(rt_recv(fd, got, 8, 0, DEADLINE_NONE), 0);
	rt_close(fd);
	rt_close(listening);
	/* Nobody listens there any more, once a turn of the ring has closed it. */
	EXPECT_INT(rt_sleep_until(deadline_in_ms(2)), 0);
	d.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	EXPECT_INT(rt_connect(d.fd, (struct sockaddr *)&d.addr, sizeof(d.addr), DEADLINE_NONE),
		-ECONNREFUSED);
	rt_close(d.fd);
}

static void sockets_connect_and_talk(void **state)
{
	in_fiber(body_sockets);
}

/* MSG_NOSIGNAL: the default action of SIGPIPE would end the program. */
static void body_broken_pipe(void *arg)
{
	int fds[2];
	sigset_t pipe_set;
	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	socket_pair(fds);
	close(fds[1]);
	EXPECT_INT(rt_send(fds[0], "x", 1, 0, DEADLINE_NONE), -EPIPE);
	EXPECT_INT(rt_send_all(fds[0], "x", 1, DEADLINE_NONE), -EPIPE);
	EXPECT_INT(signal_wait(&pipe_set, deadline_in_ms(2)), -ETIME);
	rt_close(fds[0]);
}

static void a_gone_peer_is_an_error_not_a_signal(void **state)
{
	in_fiber(body_broken_pipe);
}

static void send_large(void *arg)
{
	static char data[1 << 20];
	EXPECT_INT(rt_send_all(*(int *)arg, data, sizeof(data), deadline_in_ms(20000)), 0);
	rt_close(*(int *)arg);
}

static void body_send_all(void *arg)
{
	int fds[2];
	static char got[1 << 16];
	struct group g;
	ssize_t n;
	ssize_t sum = 0;
	group_init(&g);
	socket_pair(fds);
	EXPECT_INT(group_spawn(&g, "send", FIBER_SMALL, send_large, &fds[1]), 0);
	while ((n = rt_recv(fds[0], got, sizeof(got), 0, deadline_in_ms(20000))) > 0)
		sum += n;
	EXPECT_INT(n, 0);
	EXPECT_INT(sum, 1 << 20);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	rt_close(fds[0]);
}

static void send_all_sends_all(void **state)
{
	in_fiber(body_send_all);
}

/* More operations than the submission queue has room for, in one turn. */
static void poll_ready(void *arg)
{
	int *fds = arg;
	EXPECT_INT(rt_poll(fds[0], POLLOUT, DEADLINE_NONE), POLLOUT);
	EXPECT_INT(rt_poll(fds[0], POLLIN, DEADLINE_NONE), -ECANCELED);
}

static void body_full_ring(void *arg)
{
	int fds[2];
	struct group g;
	group_init(&g);
	socket_pair(fds);
	for (int i = 0; i < 500; i++)
		EXPECT_INT(group_spawn(&g, "poll", FIBER_SMALL, poll_ready, fds), 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(20)), 0);
	group_close(&g);
	rt_close(fds[0]);
	rt_close(fds[1]);
}

static void a_small_ring_carries_many_operations(void **state)
{
	struct rt_options options = {.workers = 1, .ring_entries = 8};
	in_fiber_with(&options, body_full_ring, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_read_and_written),
		cmocka_unit_test(sockets_connect_and_talk),
		cmocka_unit_test(a_gone_peer_is_an_error_not_a_signal),
		cmocka_unit_test(send_all_sends_all),
		cmocka_unit_test(a_small_ring_carries_many_operations),
	};
	return cmocka_run_group_tests_name("rt", tests, NULL, NULL);
}
