/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Nobody can connect into a sandbox. What aegis-bootstrap does instead stands in its inlet.h: it
 * connects to us, and the first byte that we send makes that a connection to the program.
 */
#include "daemon/toolserver/child.h"

/* http_dial.connect */
static AWAITS int dial(void *ctx, int64_t deadline_ns)
{
	struct mcp_child *c = ctx;
	int fd = rt_accept(c->listener, deadline_ns);

	if (fd >= 0 || fd == -ETIME || fd == -ECANCELED)
		return fd;
	return err_raise(fd, "its sandbox");
}

static AWAITS void read_all(void *child)
{
	struct mcp_child *c = child;
	struct span piece;
	int r;

	while ((r = stream_peek(c->output, 0, &piece, DEADLINE_NONE)) == 0 && piece.n)
		stream_consume(
			c->output, piece.n); /* a log for people: the protocol is elsewhere */
	if (r == 0 || r == -ECONNRESET)
		r = err_raise(-EPIPE, "it ended");
	mcp_client_break(c->client, r);
}

int mcp_child_open(struct mcp_child *c, struct mcp_client *client, int output, int listener)
{
	*c = (struct mcp_child){.client = client, .listener = listener, .dial = {dial, c}};
	group_init(&c->reader);
	int r = stream_start(output, &c->output);

	if (r == 0)
		r = group_spawn(&c->reader, "tool server", FIBER_LARGE, read_all, c);
	return err_trace(r);
}

void mcp_child_close(struct mcp_child *c)
{
	if (!c->client) /* never opened */
		return;
	group_close(&c->reader);
	stream_stop(c->output);
}
