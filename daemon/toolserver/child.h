/* SPDX-License-Identifier: AGPL-3.0-only */
/* A child that listens on its own loopback: connections to it, and whether it still runs. */
#pragma once

#include "daemon/net/net.h"
#include "daemon/toolserver/client.h"

struct mcp_child {
	struct mcp_client *client; /* is broken when the child ends */
	int listener; /* the launcher's: each connection that comes leads to the child's port */
	struct stream *output;
	struct group reader;
	struct http_dial dial; /* for calls to it */
};

/* Takes `output`, its standard input and output, where nothing is said but that it ends. */
int mcp_child_open(
	struct mcp_child *c, struct mcp_client *client, int output, int listener) MUST_USE;
/* Nobody may be in a request any more. */
AWAITS void mcp_child_close(struct mcp_child *c);
