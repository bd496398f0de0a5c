/* SPDX-License-Identifier: AGPL-3.0-only */
/* One conversation with a tool server, over whatever carries messages. */
#pragma once

#include "daemon/rt/rt.h"
#include "daemon/toolserver/rpc.h"

/* How messages travel to a server. What comes from it is given to mcp_client_deliver. */
struct mcp_link {
	/* One message, without a line's end. Negative: the conversation is broken, but for -ETIME
	 * and -ECANCELED. */
	AWAITS int (*send)(struct mcp_link *l, struct span message, int64_t deadline_ns);
	/* The conversation is broken: nobody shall stay in `send`. May be NULL. */
	void (*broken)(struct mcp_link *l);
};

struct mcp_client {
	struct mcp_link *link;
	const char *server; /* for messages */
	struct list pending;
	struct waitq idle; /* the last pending one has gone */
	struct waitq news; /* it broke, or its tools have changed */
	int64_t last_id;
	const char *version; /* of the protocol, once it is open */
	bool has_tools;
	bool listed; /* its tools have been read once: what is wrong with them has been told */
	bool tools_changed; /* set here, cleared by who reads them */
	bool broken;
	char why[ERR_MESSAGE_BYTES];
	int stray_lines, unasked;
	int64_t unasked_since_ns;
};

/* The answer to a request: a result, or the server's error. */
struct mcp_answer {
	struct arena *arena;
	struct rpc_message message; /* RPC_RESULT or RPC_ERROR */
};
void mcp_answer_fini(struct mcp_answer *a);

void mcp_client_init(struct mcp_client *c, struct mcp_link *link, const char *server);
/* Breaks it and waits until nobody is in a request. */
AWAITS void mcp_client_fini(struct mcp_client *c);

/* Initializes: agrees on a version. -EPROTO: the server is none that we can speak to. */
AWAITS int mcp_client_open(struct mcp_client *c, int64_t deadline_ns) MUST_USE;

/* `params` is JSON. 0 with an answer of the caller's; -EPIPE if the conversation is broken; -ETIME
 * and -ECANCELED: the server has been told that nobody waits any more. */
AWAITS int mcp_client_request(struct mcp_client *c, const char *method, struct span params,
	int64_t deadline_ns, struct mcp_answer *ret) MUST_USE;

/* One message from the server; a reader breaks the conversation if it is negative. */
AWAITS int mcp_client_deliver(struct mcp_client *c, struct span text) MUST_USE;

/* Nothing will come any more. `r` is what err_message tells the reason of; the first one counts. */
void mcp_client_break(struct mcp_client *c, int r);
