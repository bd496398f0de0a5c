/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One connection per request: over a Unix socket it costs microseconds, and a connection that is
 * never reused cannot go stale. A connection that ends before the answer is complete means that
 * the daemon died or was restarted: wait, then say the same again.
 */
#include "tools/aegis-bootstrap/gateway.h"
#include "tools/aegis-bootstrap/http_reply.h"
#include <errno.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKOFF_FIRST_MS = 50, BACKOFF_MAX_MS = 5000, RECEIVE_BYTES = 64 * 1024 };

struct attempt {
	struct source source;
	struct span request; /* what is still to be sent */
	struct http_reply reply;
	int outcome; /* 0 under way, HTTP_REPLY_DONE, -errno */
};

int64_t backoff_ns(int attempt)
{
	int64_t ms = BACKOFF_FIRST_MS;
	uint32_t chance = 0;

	while (attempt-- > 0 && ms < BACKOFF_MAX_MS)
		ms *= 2;
	ms = MIN(ms, (int64_t)BACKOFF_MAX_MS);
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != sizeof(chance))
		chance = 0;
	return (ms - (int64_t)(chance % (uint64_t)(ms / 4 + 1))) * NS_PER_MS;
}

int connect_unix(const char *path, int *ret_fd)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(to.sun_path))
		return err_raise(-ENAMETOOLONG, "socket path %s", path);
	memcpy(to.sun_path, path, strlen(path) + 1);
	AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(-errno, "socket");
	/* A Unix socket connects at once or says EAGAIN: its queue is full. */
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return err_sys(-errno, "%s", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* ---- one attempt ---- */

static void attempt_send(struct attempt *a)
{
	while (a->request.n > 0) {
		ssize_t n = send(a->source.fd, a->request.p, a->request.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			/* An answer may have come in spite of it: a body too long, for one. */
			if (errno != EAGAIN)
				a->request = (struct span){NULL, 0};
			break;
		}
		a->request = span_sub(a->request, (size_t)n, a->request.n);
	}
	a->source.events = a->request.n ? POLLIN | POLLOUT : POLLIN;
}

static void attempt_receive(struct attempt *a)
{
	static char bytes[RECEIVE_BYTES];
	ssize_t n = recv(a->source.fd, bytes, sizeof(bytes), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		a->outcome = err_sys(-EPIPE, "connection to the orchestrator");
	else if (n == 0)
		a->outcome = http_reply_eof(&a->reply);
	else
		a->outcome = http_reply_feed(&a->reply, span_of(bytes, (size_t)n));
}

static void attempt_ready(struct source *s, short revents)
{
	struct attempt *a = container_of(s, struct attempt, source);

	if (revents & POLLOUT)
		attempt_send(a);
	if (revents & (POLLIN | POLLHUP | POLLERR))
		attempt_receive(a);
}

/* HTTP_REPLY_DONE with the answer; -EPIPE: worth repeating; other -errno are final. */
static int attempt_run(
	struct gateway *g, struct span request, int *ret_status, struct buf *ret_body)
{
	int64_t deadline = clock_mono_ns() + g->reply_timeout_ms * NS_PER_MS;
	struct attempt a = {.request = request, .reply = http_reply_init()};
	AUTO_FD fd = -1;
	int r = connect_unix(g->socket_path, &fd);

	if (r < 0)
		return err_wrap(-EPIPE, "the orchestrator is away");
	a.source = (struct source){fd, POLLIN | POLLOUT, INT64_MAX, attempt_ready};
	loop_add(g->loop, &a.source);
	while (r == 0 && a.outcome == 0) {
		r = loop_step(g->loop, deadline);
		if (r == 0 && *g->stop)
			r = err_raise(-ECANCELED, "told to stop");
		else if (r == 0 && a.outcome == 0 && clock_mono_ns() >= deadline)
			r = err_raise(-ETIME, "no answer of the orchestrator within %lld s",
				(long long)(g->reply_timeout_ms / 1000));
	}
	loop_remove(g->loop, &a.source);
	if (r == 0)
		r = a.outcome;
	if (r == HTTP_REPLY_DONE) {
		*ret_status = a.reply.status;
		buf_span(ret_body, buf_view(&a.reply.body));
	}
	http_reply_fini(&a.reply);
	return err_trace(r);
}

/* ---- until it is answered ---- */

static void put_request(struct buf *b, struct span body)
{
	char id[UUID_TEXT_BYTES];

	uuid_text(uuid_new(), id);
	buf_printf(b,
		"POST /v1/dispatch-gateway HTTP/1.1\r\n"
		"Host: localhost\r\n"
		"User-Agent: aegis-bootstrap/" AEGIS_VERSION "\r\n"
		"Content-Type: application/json\r\n"
		"X-Aegis-Request-Id: %s\r\n"
		"Content-Length: %zu\r\n"
		"Connection: close\r\n"
		"\r\n",
		id, body.n);
	buf_span(b, body);
}

static int pause_for(struct gateway *g, int64_t ns)
{
	int64_t until = clock_mono_ns() + ns;
	int r = 0;

	while (r == 0 && !*g->stop && clock_mono_ns() < until)
		r = loop_step(g->loop, until);
	if (r == 0 && *g->stop)
		return err_raise(-ECANCELED, "told to stop");
	return err_trace(r);
}

int gateway_post(struct gateway *g, struct span body, int *ret_status, struct buf *ret_body)
{
	struct buf request CLEANUP(buf_fini) = buf_init(body.n + 1024);
	int r;

	put_request(&request, body);
	if ((r = buf_error(&request)) < 0)
		return err_trace(r);
	for (int attempt = 0;; attempt++) {
		r = attempt_run(g, buf_view(&request), ret_status, ret_body);
		if (r == HTTP_REPLY_DONE)
			return err_trace(buf_error(ret_body));
		if (r != -EPIPE)
			return err_trace(r);
		err_clear();
		if ((r = pause_for(g, backoff_ns(attempt))) < 0)
			return err_trace(r);
	}
}
