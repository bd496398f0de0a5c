/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A sandbox driver without sandboxes: each "box" is a fiber that behaves as aegis-bootstrap does,
 * over a real Unix socket. Boxes live in the host, which outlives drivers, executions and stores,
 * as sandboxes outlive the daemon.
 */
#pragma once

#include "daemon/net/net.h"
#include "daemon/sandbox/sandbox.h"

struct box {
	struct list link;
	struct fake_host *host;
	uint64_t id;
	struct uuid execution;
	uint32_t iteration;
	char *prompt;
	char *history; /* AEGIS_ITERATION_HISTORY, or NULL */
	char path[100];
	int listener;
	struct group group;
	bool alive;
	struct sandbox_ending ending;
	struct waitq ended;
	int commands; /* dispatches that were really run */
	int open_calls;
	char seen[16][37]; /* dispatch ids that were run */
	struct waitq killed; /* what a call left is killed: the command that runs ends */
};

struct fake_host {
	char dir[64]; /* sockets and workspaces */
	struct list boxes;
	uint64_t next_id;
	int started;
	int terms; /* requests to stop, before a kill */
	int ran; /* commands, by all boxes */
	/* behaviour of the next boxes */
	int64_t start_delay_ms;
	int start_error;
	bool mute; /* the agent never says anything */
	bool stubborn; /* SIGTERM does nothing */
	bool ends_without_answer; /* exit status 7, with words on stderr */
	int64_t call_open_ms; /* until a call is open */
	int64_t command_ms; /* how long a command takes */
	int64_t linger_ms; /* between the final answer and the end */
	const char *program_output; /* an own program that reports this */
	int program_exit;
	int rules_error; /* of rules for calls */
	void (*before_rules)(void); /* the kernel gets the sandbox's rules; may wait */
	struct sandbox_driver *driver;
	/* what was asked about calls */
	int ruled; /* times that a call was given rules */
	struct fake_rules {
		struct uuid call;
		uint64_t identity;
		char program[64];
		int64_t lasts_ms;
		bool own, again;
	} rules; /* the last ones */
	int closed, killed; /* calls; of them, those whose rest is not kept */
};

void host_init(struct fake_host *h, const char *dir);
AWAITS void host_fini(struct fake_host *h); /* ends all boxes */
int host_alive(const struct fake_host *h);
int host_boxes(const struct fake_host *h); /* not released */
void box_kill(struct box *b, int signal);
void host_forget(struct fake_host *h); /* all boxes are gone without a trace */
void box_orphan(struct fake_host *h); /* one more box, of an execution nobody knows */
struct box *host_box(struct fake_host *h); /* the newest */

int fake_driver_open(struct fake_host *h, struct sandbox_driver **ret);
