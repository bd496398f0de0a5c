/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One fiber reads a child's output, line by line, for as long as the conversation goes on. The
 * child is paced by the socket between us: it cannot be ahead of what we have looked at by more
 * than a stream holds.
 */
#include "daemon/toolserver/pipe.h"

int mcp_pipe_send(struct mcp_link *l, struct span message, int64_t deadline_ns)
{
	struct mcp_pipe *p = container_of(l, struct mcp_pipe, link);
	const struct iovec pieces[] = {
		{(void *)(uintptr_t)message.p, message.n}, {(void *)(uintptr_t) "\n", 1}};
	int r = stream_sendv(p->stream, pieces, ARRAY_LEN(pieces), deadline_ns);

	/* A piece of it may have gone: nothing else can follow. */
	if (r < 0 && r != -ECANCELED)
		return err_raise(-EPIPE, "it does not read its input (%s)", err_name(r));
	return r;
}

static AWAITS int read_piece(struct mcp_pipe *p, struct rpc_lines *lines)
{
	struct span piece, line;
	size_t used, at = 0;
	int r = stream_peek(p->stream, 0, &piece, DEADLINE_NONE);

	if (r == -ECONNRESET || (r == 0 && piece.n == 0))
		return err_raise(-EPIPE, "it closed its output");
	if (r < 0)
		return r;
	while (r == 0 && at < piece.n) {
		r = rpc_lines_next(lines, span_sub(piece, at, piece.n), &used, &line);
		if (r == RPC_LINE)
			r = mcp_client_deliver(p->client, line);
		at += r < 0 ? 0 : used;
	}
	stream_consume(p->stream, at);
	return r;
}

static void read_all(void *pipe)
{
	struct mcp_pipe *p = pipe;
	struct rpc_lines lines = rpc_lines_init(LIMIT_TOOLSERVER_MESSAGE_BYTES);
	int r = 0;

	while (r == 0)
		r = read_piece(p, &lines);
	mcp_client_break(p->client, r);
	rpc_lines_fini(&lines);
}

int mcp_pipe_open(struct mcp_pipe *p, struct mcp_client *c, int fd)
{
	p->client = c;
	group_init(&p->reader);
	int r = stream_start(fd, &p->stream);

	if (r == 0)
		r = group_spawn(&p->reader, "tool server", FIBER_LARGE, read_all, p);
	return err_trace(r);
}

void mcp_pipe_close(struct mcp_pipe *p)
{
	if (!p->client) /* never opened */
		return;
	group_close(&p->reader);
	stream_stop(p->stream);
}
