/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A daemon's worth of rooms around executions, in one fiber: real store, events, tools, files and
 * model client; the sandbox and the model are played. `daemon_up` and `daemon_down` are a start and
 * an end of the process; what the host and the model are lives on between them.
 */
#pragma once

#include "daemon/execution/execution.h"
#include "tests/unit/daemon/execution/fake_model.h"
#include "tests/unit/daemon/execution/fake_sandbox.h"
#include "tests/unit/daemon/rt/in_fiber.h"

struct bench {
	char dir[64], url[128], recording[128];
	struct fake_host host;
	struct fake_model model;
	size_t running_max;
	const char *timeout; /* of the whole execution, in the manifest */
	const char *leases; /* of its security; NULL: none */
	bool replay; /* the model is the recording */
	bool record;
	struct uuid agent;
	/* of the process */
	struct group group;
	struct store *store;
	struct event_bus *bus;
	struct llm *llm;
	struct offload *files;
	struct fsal *fsal;
	struct policies *policies;
	struct sandbox_driver *driver;
	void (*driver_up)(struct bench *b);
	void (*driver_down)(struct bench *b);
	struct executions *x;
	int snapshots_fd;
	struct arena *arena;
};

void bench_begin(struct bench *b);
/* With other sandboxes than the played ones: `up` sets b->driver, `down` closes it. */
void bench_begin_with(struct bench *b, void (*up)(struct bench *b), void (*down)(struct bench *b));
AWAITS void bench_end(struct bench *b);
AWAITS void daemon_up(struct bench *b);
AWAITS void daemon_down(struct bench *b);

/* The operators' policies are this text, from the next start of the process on, and now. */
AWAITS void set_policies(struct bench *b, const char *text);

/* The manifest of tests, with more lines for its `spec.execution` and `spec`. */
AWAITS void deploy(struct bench *b, const char *execution, const char *spec);
AWAITS void deploy_as(struct bench *b, const char *name, const char *execution, const char *spec);

/* EXPECTs 0. */
AWAITS struct uuid start(struct bench *b, const char *input);
AWAITS void wait_end(struct bench *b, struct uuid id);
AWAITS void wait_type(struct bench *b, struct uuid id, enum event_type t); /* on record */
AWAITS struct store_execution row_of(struct bench *b, struct uuid id);

/* Types of the execution's events in order, joined by blanks; short names of the usual ones. */
AWAITS const char *history_of(struct bench *b, struct uuid id);
/* A member of the details of the n-th event of a type, as text. */
AWAITS const char *detail_of(
	struct bench *b, struct uuid id, enum event_type t, int n, const char *member);
AWAITS int count_of_type(struct bench *b, struct uuid id, enum event_type t);
