/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What starts the stamp program: a helper of the benchmark's own, bubblewrap, runc. Each start
 * returns the microseconds from the request to the program's first instruction.
 */
#pragma once

#include "daemon/helper/wire.h"

struct launcher {
	char dir[64]; /* run/, state/, runtimes, bundle/ */
	char parent[64];
	pid_t pid;
	int conn;
	uint64_t request;
	struct uuid execution;
	uint32_t iteration;
	int alive; /* of its sandboxes */
	int seats;
	int workspace; /* of the execution */
	int fifo; /* read end of "t" in it */
};

enum {
	BENCH_UID = 954322,
	BENCH_SLOT_BASE = 1960000,
	BENCH_SLOTS = 1200,
};

struct launcher_options {
	const char *bootstrap;
	int network_pool;
	int prepared;
	int seats;
	int number; /* of launchers side by side: uids and cgroups of their own */
};

/* Exits with a message if it cannot be done, as everything here. */
void launcher_start(struct launcher *l, const struct launcher_options *o);
void launcher_stop(struct launcher *l); /* kills and releases what lives */
void launcher_wait_pool(struct launcher *l, int prepared);

struct live {
	uint64_t id;
	int fds[WIRE_FDS_MAX]; /* listener, pidfd, log */
	struct uuid execution;
};
struct live launcher_create(struct launcher *l, double *ret_us); /* argv: the stamp program */
void launcher_end(struct launcher *l, struct live *s);
double launcher_once(struct launcher *l); /* create and end */

/* In a folder that holds the FIFO "t", which is read from `fifo`. */
struct peer {
	char dir[64];
	int fifo;
	char stamp[512];
	char seccomp[128]; /* file with the filter's instructions */
	int number;
};
void peer_open(struct peer *p);
void peer_close(struct peer *p);
double peer_bubblewrap(struct peer *p);
double peer_runc(struct peer *p);
double peer_run(const struct peer *p, const char *program, char *const argv[]);
bool peer_has(const char *program);

/* An engine of our own. */
struct docker {
	char dir[64];
	char host[96];
	pid_t pid;
};
const char *docker_open(struct docker *d, const struct peer *p); /* NULL, or why there is none */
double docker_run(struct docker *d, struct peer *p);
void docker_close(struct docker *d);
