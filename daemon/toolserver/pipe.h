/* SPDX-License-Identifier: AGPL-3.0-only */
/* A conversation over a child's standard input and output: one message a line. */
#pragma once

#include "daemon/toolserver/client.h"

struct mcp_pipe {
	struct mcp_link link;
	struct mcp_client *client;
	struct stream *stream;
	struct group reader;
};

/* Takes fd. The client has been made with &p->link. */
int mcp_pipe_open(struct mcp_pipe *p, struct mcp_client *c, int fd) MUST_USE;
/* Closes the child's input; nobody may be in a request any more. */
AWAITS void mcp_pipe_close(struct mcp_pipe *p);

/* The link's send. */
AWAITS int mcp_pipe_send(struct mcp_link *l, struct span message, int64_t deadline_ns);
