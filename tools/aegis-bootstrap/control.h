/* SPDX-License-Identifier: AGPL-3.0-only */
/* The helper's side of a sandbox's life: the start, and the cgroups of calls (launch.h). */
#pragma once

#include "daemon/base/base.h"
#include "daemon/helper/launch.h"
#include "tools/aegis-bootstrap/loop.h"

struct start {
	char execution_id[UUID_TEXT_BYTES];
	int64_t iteration;
	uint64_t open_files, file_bytes, pids; /* resource limits, soft and hard */
	char **argv; /* NULL-ended; owned, one allocation each for the array and the strings */
	char **envp;
	char *strings;
};

/* Splits a LAUNCH_START packet. -EBADMSG, -ENOMEM. Pure. */
int start_parse(struct span packet, struct start *ret) MUST_USE;
void start_fini(struct start *s);

/* The descriptors of an open call; -1 where there is none. */
struct call_cgroup {
	bool used;
	struct uuid call;
	int procs;
	int kill;
};

struct control {
	struct source source;
	struct loop *loop;
	char *packet; /* LAUNCH_PACKET_MAX bytes */
	struct call_cgroup calls[LAUNCH_CALLS_MAX];
};

/* Takes the socket. */
int control_init(struct control *c, struct loop *l, int fd) MUST_USE;
void control_fini(struct control *c);

/* Waits for the start, blocking. CONTROL_CLOSED: the helper wants this sandbox gone. */
#define CONTROL_CLOSED 1
int control_wait_start(struct control *c, struct start *ret) MUST_USE;
void control_listen(struct control *c); /* for calls, once the start has been read */

/* The cgroup of that call, NULL if the helper has not announced it. */
struct call_cgroup *control_find_call(struct control *c, struct span dispatch_id);
