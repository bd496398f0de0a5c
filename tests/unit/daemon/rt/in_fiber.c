/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/rt/in_fiber.h"
#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char failure[512];

static void note(const char *text)
{
	pthread_mutex_lock(&lock);
	if (!failure[0])
		snprintf(failure, sizeof(failure), "%s", text);
	pthread_mutex_unlock(&lock);
}

void expect_failed(const char *what, const char *file, int line)
{
	char text[512];
	snprintf(text, sizeof(text), "%s:%d: %s is false", file, line, what);
	note(text);
}

void expect_int(long actual, long wanted, const char *what, const char *file, int line)
{
	char text[512];
	if (actual == wanted)
		return;
	snprintf(text, sizeof(text), "%s:%d: %s is %ld, not %ld", file, line, what, actual, wanted);
	note(text);
}

void in_fiber_with(const struct rt_options *options, fiber_fn body, void *arg)
{
	failure[0] = '\0';
	int r = rt_run(options, body, arg);
	if (r < 0)
		fail_msg("rt_run: %s", err_message(r));
	if (failure[0])
		fail_msg("%s", failure);
}

void in_fiber(fiber_fn body)
{
	struct rt_options options = {.workers = 1};
	in_fiber_with(&options, body, NULL);
}

void socket_pair(int ret_fds[2])
{
	EXPECT_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds), 0);
}

int listen_loopback(struct sockaddr_in *ret_addr, int backlog)
{
	socklen_t len = sizeof(*ret_addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*ret_addr = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	EXPECT_INT(bind(fd, (struct sockaddr *)ret_addr, len), 0);
	EXPECT_INT(listen(fd, backlog), 0);
	EXPECT_INT(getsockname(fd, (struct sockaddr *)ret_addr, &len), 0);
	return fd;
}
