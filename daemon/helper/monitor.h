/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The helper's one connection and its table of requests, private to this room. Plain blocking
 * code: one request is done before the next is read.
 */
#pragma once

#include "daemon/helper/sandbox.h"

struct monitor {
	struct host host;
	struct sandbox_set sandboxes;
	int epoll;
	int listener; /* RUN/helper.sock */
	int signals;
	int client; /* aegisd, -1 while it is away */
	bool greeted;
	bool client_gone; /* it was disconnected, and the sandboxes do not know yet */
	bool stop;
	char *packet; /* WIRE_PACKET_MAX + 1 bytes */
};

int monitor_open(struct monitor *m, const struct host_options *o) MUST_USE;
int monitor_run(struct monitor *m) MUST_USE; /* until SIGTERM or SIGINT */
void monitor_close(struct monitor *m); /* sandboxes live on */

/* A reply under construction: what a handler fills. */
struct reply {
	int32_t code;
	uint32_t count;
	const void *payload;
	size_t payload_bytes;
	int fds[WIRE_FDS_MAX];
	int fd_count;
	unsigned own; /* bit n: fds[n] was made for this reply and is closed behind it */
};

/* Answers one request that has passed the gate: handlers.c. */
typedef int (*monitor_handler)(struct monitor *m, const void *request, struct reply *ret);
monitor_handler monitor_handler_of(unsigned type); /* NULL: none */
