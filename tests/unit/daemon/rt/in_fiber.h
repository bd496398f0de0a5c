/* SPDX-License-Identifier: AGPL-3.0-only */
/* Runs a test's body as the main fiber of a runtime, and what the bodies share. */
#pragma once

#include "daemon/rt/rt.h"
#include <errno.h>
#include "tests/tap.h"

/*
 * cmocka's assertions leave a failed test by longjmp, which must not cross stacks: inside fibers
 * use EXPECT, which notes the first failure; in_fiber fails the test with it afterwards.
 */
#define EXPECT(cond) \
	do { \
		if (!(cond)) \
			expect_failed(#cond, __FILE__, __LINE__); \
	} while (0)

#define EXPECT_INT(actual, wanted) expect_int((actual), (wanted), #actual, __FILE__, __LINE__)

void expect_failed(const char *what, const char *file, int line);
void expect_int(long actual, long wanted, const char *what, const char *file, int line);

void in_fiber(fiber_fn body); /* one worker, no argument */
void in_fiber_with(const struct rt_options *options, fiber_fn body, void *arg);

/* For the body of a test: a connected pair of stream sockets. */
void socket_pair(int ret_fds[2]);

/* A listening TCP socket on loopback and its address. */
int listen_loopback(struct sockaddr_in *ret_addr, int backlog);
