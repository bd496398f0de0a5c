/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A helper of the test's own: real processes, its own directories, cgroup parent and uids. The
 * test speaks the wire protocol directly, as a hostile aegisd would, from aegisd's uid.
 */
#pragma once

#include "daemon/helper/launch.h"
#include "daemon/helper/wire.h"
#include "tests/tap.h"

enum {
	FIXTURE_UID = 954321, /* aegisd's */
	FIXTURE_SLOT_BASE = 1955000,
	FIXTURE_SLOTS = 8,
};

struct fixture {
	char dir[64]; /* run/ and state/ are below */
	char parent[64]; /* of its cgroups */
	pid_t helper; /* 0: not running */
	int prepared; /* sandboxes that the helper keeps ready */
	int seats; /* and cgroups with a process in them */
	int conn; /* to the helper; -1: none */
	uint64_t request;
};

/* cmocka setup and teardown: a running helper with a greeted connection; nothing is left after. */
int fixture_setup(void **state);
int fixture_setup_pooled(void **state); /* and it has prepared sandboxes */
int fixture_setup_seated(void **state); /* and it has seats, where it makes any */
int fixture_teardown(void **state);

void fixture_start(struct fixture *f);
void fixture_kill(struct fixture *f, int signal_number); /* the helper; waits for it */
int fixture_connect(const struct fixture *f, uid_t uid); /* a connection or -errno */
void fixture_greet(struct fixture *f);

struct answer {
	int32_t code;
	uint32_t count;
	char message[WIRE_MESSAGE_BYTES];
	size_t bytes;
	union {
		struct wire_info info;
		struct wire_sandbox sandboxes[WIRE_LIST_MAX];
		struct wire_call_item calls[HELPER_CALLS_MAX];
		struct wire_usage usage;
		struct head_signed head;
		uint8_t key[HEAD_PUBLIC_KEY_BYTES];
	} u;
	int fds[WIRE_FDS_MAX];
	int fd_count;
};

/* Sends a request of that type and fills its header; fails the test if there is no answer. */
void fixture_call(
	struct fixture *f, enum wire_type type, void *request, size_t bytes, struct answer *ret);
void answer_close(struct answer *a);

/* Sends bytes as they are; true if the helper ends the connection because of them. */
bool fixture_is_cut_off(
	struct fixture *f, const void *packet, size_t bytes, const int *fds, int fd_count);

/* Waits for the event of a sandbox's end. */
struct wire_sandbox fixture_wait_end(struct fixture *f, uint64_t id);

/* A create request with argv {what}, one environment variable and generous limits; its bytes. */
size_t fixture_create(struct wire_create *w, size_t room, struct uuid execution, uint32_t iteration,
	const char *what);

/* Makes a workspace and a sandbox that does `what` (see probe.c). */
struct wire_sandbox fixture_sandbox(
	struct fixture *f, struct uuid execution, const char *what, int ret_fds[3]);

struct wire_sandbox fixture_sandbox_of(struct fixture *f, struct uuid execution,
	const char *runtime, const char *what, int ret_fds[3]);

/* Everything the probe says until it ends (or `until` has been said), as one string; free(). */
char *fixture_log(int fd, const char *until);

/* The value of the first line "name value"; fails if there is none. Valid until the next call. */
const char *log_value(const char *log, const char *name);
bool log_has(const char *log, const char *line);

void fixture_release(struct fixture *f, const struct wire_sandbox *s);

/* How many things below the cgroup parent, in every hierarchy, are left. */
int fixture_cgroups_left(const struct fixture *f);
bool process_alive(pid_t pid);
