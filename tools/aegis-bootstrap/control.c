/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Reads what the helper says; nothing is ever written. Packets are the helper's, which is trusted
 * with more than this process, but their lengths are checked all the same.
 *
 * Invariant: a call's descriptors are closed when the helper says that it is closed, and at the
 * latest when its place is needed again.
 */
#include "tools/aegis-bootstrap/control.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the start ---- */

/* `count` strings with their NULs out of text, which they must fill. */
static char **split_strings(char *text, size_t bytes, uint32_t count)
{
	char **list = calloc((size_t)count + 1, sizeof(*list)), *at = text, *end = text + bytes;

	if (!list)
		return NULL;
	for (uint32_t i = 0; i < count; i++) {
		char *nul = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
		if (!nul)
			break;
		list[i] = at;
		at = nul + 1;
	}
	if (at == end && (count == 0 || list[count - 1]))
		return list;
	free(list);
	return NULL;
}

int start_parse(struct span packet, struct start *ret)
{
	struct launch_start s;
	struct uuid execution;

	if (packet.n < sizeof(s))
		return err_raise(-EBADMSG, "start of %zu bytes", packet.n);
	memcpy(&s, packet.p, sizeof(s));
	size_t bytes = packet.n - sizeof(s);
	if (s.header.magic != LAUNCH_MAGIC || s.header.type != LAUNCH_START ||
		s.header.bytes != packet.n || s.argv_bytes > bytes ||
		s.env_bytes != bytes - s.argv_bytes || s.argc > s.argv_bytes ||
		s.envc > s.env_bytes)
		return err_raise(-EBADMSG, "a start that contradicts itself, or another version's");

	struct start start = {.iteration = s.iteration,
		.open_files = s.open_files,
		.file_bytes = s.file_bytes,
		.pids = s.pids,
		.strings = malloc(bytes + 1)};
	if (start.strings) {
		memcpy(start.strings, packet.p + sizeof(s), bytes);
		start.argv = split_strings(start.strings, s.argv_bytes, s.argc);
		start.envp = split_strings(start.strings + s.argv_bytes, s.env_bytes, s.envc);
	}
	if (!start.argv || !start.envp) {
		start_fini(&start);
		return err_raise(-EBADMSG, "arguments or environment of the start do not add up");
	}
	memcpy(execution.bytes, s.execution, sizeof(execution.bytes));
	uuid_text(execution, start.execution_id);
	*ret = start;
	return 0;
}

void start_fini(struct start *s)
{
	free(s->argv);
	free(s->envp);
	free(s->strings);
	*s = (struct start){0};
}

/* ---- calls ---- */

static struct call_cgroup *find(struct control *c, struct uuid call)
{
	for (size_t i = 0; i < LAUNCH_CALLS_MAX; i++)
		if (c->calls[i].used && uuid_eq(c->calls[i].call, call))
			return &c->calls[i];
	return NULL;
}

static void forget(struct call_cgroup *g)
{
	fd_cleanup(&g->procs);
	fd_cleanup(&g->kill);
	*g = (struct call_cgroup){.procs = -1, .kill = -1};
}

static void remember(struct control *c, struct uuid call, int fds[2])
{
	struct call_cgroup *g = find(c, call);

	for (size_t i = 0; !g && i < LAUNCH_CALLS_MAX; i++)
		if (!c->calls[i].used)
			g = &c->calls[i];
	if (!g || fds[0] < 0)
		return; /* the call will be refused: it has no cgroup to run in */
	forget(g);
	*g = (struct call_cgroup){true, call, TAKE_FD(fds[0]), TAKE_FD(fds[1])};
}

static void handle(struct control *c, struct span packet, int fds[2])
{
	struct launch_call m;
	struct uuid call;

	if (packet.n != sizeof(m))
		return;
	memcpy(&m, packet.p, sizeof(m));
	memcpy(call.bytes, m.call, sizeof(call.bytes));
	if (m.header.magic != LAUNCH_MAGIC)
		return;
	struct call_cgroup *g = find(c, call);
	if (m.header.type == LAUNCH_CALL_OPEN)
		remember(c, call, fds);
	else if (m.header.type == LAUNCH_CALL_CLOSED && g)
		forget(g);
}

/* One packet. 0 or its length; -errno, also -EAGAIN. Descriptors beyond two are closed. */
static ssize_t receive(struct control *c, int flags, int ret_fds[2])
{
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} ancillary;
	struct iovec iov = {c->packet, LAUNCH_PACKET_MAX};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &ancillary,
		.msg_controllen = sizeof(ancillary)};
	ssize_t n;

	ret_fds[0] = ret_fds[1] = -1;
	do
		n = recvmsg(c->source.fd, &m, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (i < 2)
				ret_fds[i] = fd;
			else
				close(fd);
		}
	}
	return n;
}

static void drain(struct control *c)
{
	for (;;) {
		int fds[2];
		ssize_t n = receive(c, MSG_DONTWAIT, fds);
		if (n > 0)
			handle(c, span_of(c->packet, (size_t)n), fds);
		fd_cleanup(&fds[0]);
		fd_cleanup(&fds[1]);
		if (n > 0)
			continue;
		/* The end of this socket is kept open by this very process: an end of file or an
		 * error only means that no helper will speak here again. */
		if (n != -EAGAIN)
			loop_remove(c->loop, &c->source);
		return;
	}
}

static void control_ready(struct source *s, short revents)
{
	drain(container_of(s, struct control, source));
}

struct call_cgroup *control_find_call(struct control *c, struct span dispatch_id)
{
	struct uuid call;

	if (uuid_parse(dispatch_id, &call) < 0)
		return NULL;
	struct call_cgroup *g = find(c, call);
	if (!g) {
		drain(c); /* it was queued before the dispatch was sent */
		g = find(c, call);
	}
	return g;
}

int control_wait_start(struct control *c, struct start *ret)
{
	for (;;) {
		int fds[2];
		ssize_t n = receive(c, 0, fds);
		fd_cleanup(&fds[0]);
		fd_cleanup(&fds[1]);
		if (n == 0 || n == -ECONNRESET)
			return CONTROL_CLOSED;
		if (n < 0)
			return err_sys((int)n, "control socket");
		struct launch_header h;
		if ((size_t)n < sizeof(h))
			continue;
		memcpy(&h, c->packet, sizeof(h));
		if (h.magic == LAUNCH_MAGIC && h.type != LAUNCH_START)
			continue;
		int r = start_parse(span_of(c->packet, (size_t)n), ret);
		if (r < 0)
			return err_trace(r);
		return 0;
	}
}

void control_listen(struct control *c)
{
	loop_add(c->loop, &c->source);
}

int control_init(struct control *c, struct loop *l, int fd)
{
	*c = (struct control){.loop = l};
	c->source = (struct source){fd, POLLIN, INT64_MAX, control_ready};
	for (size_t i = 0; i < LAUNCH_CALLS_MAX; i++)
		c->calls[i] = (struct call_cgroup){.procs = -1, .kill = -1};
	c->packet = malloc(LAUNCH_PACKET_MAX);
	if (!c->packet)
		return err_raise(-ENOMEM, "control socket");
	return 0;
}

void control_fini(struct control *c)
{
	if (!c->packet)
		return;
	loop_remove(c->loop, &c->source);
	fd_cleanup(&c->source.fd);
	for (size_t i = 0; i < LAUNCH_CALLS_MAX; i++)
		forget(&c->calls[i]);
	free(c->packet);
	c->packet = NULL;
}
