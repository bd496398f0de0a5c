/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * HTTP/1.1 server. A server belongs to the worker that started it and serves there; a fleet is one
 * on every worker behind the same sockets. Each connection is a fiber, and the handler is called in
 * it: straight-line code that reads the request, may wait, and answers once.
 *
 * The server itself answers malformed requests, requests that come too slowly (408), and those
 * beyond max_connections (503 with Retry-After). A handler that returns without an answer yields
 * a 500.
 */
#pragma once

#include "daemon/net/http.h"
#include "daemon/net/sse.h"
#include "daemon/net/tls.h"
#include "daemon/rt/rt.h"

struct http_server;

struct http_peer {
	void *listener_tag; /* as given to http_server_listen: identity of the door */
	bool is_unix;
	bool is_tls;
	bool is_loopback; /* a TCP peer on 127.0.0.0/8 or ::1 */
	pid_t pid; /* of a Unix peer when it connected (SO_PEERCRED) */
	uid_t uid;
	gid_t gid;
	struct span tls_subject; /* of a verified client certificate, RFC 2253; else empty */
	char address[64]; /* "127.0.0.1:4321", "[::1]:4321", "unix", for logs */
};

/* Valid until the handler returns. */
struct http_request {
	const struct http_head *head;
	const struct http_peer *peer;
	struct arena *arena; /* for the handler's own allocations too */
	bool stranger; /* set it before the body is read, if who sends it has shown nothing yet:
			  strangers get half of what bodies may take in all */
};

struct http_reply;

typedef void (*http_handler)(void *ctx, struct http_request *q, struct http_reply *p);

/* ---- the request's body ---- */

/*
 * The whole body, at most limit_bytes (and LIMIT_HTTP_BODY_BYTES). -E2BIG (answer 413), -EBADMSG
 * (400), -ETIME slower than the minimum rate (408), -EPIPE the peer is gone, -EBUSY the bodies of
 * all connections take too much memory already (503); all with a message.
 * A body that the handler does not read is skipped, or ends the connection if it is long.
 */
AWAITS int http_body_all(
	struct http_request *q, size_t limit_bytes, struct span *ret_body) MUST_USE;

/* The next piece, empty at the end; valid until the next call, or until an event is sent. Errors as
 * above; the limit for all pieces together is the caller's. */
AWAITS int http_body_some(struct http_request *q, struct span *ret_piece) MUST_USE;

/* The status to answer with when one of the two failed with r. */
int http_body_status(int r);

/* ---- the reply: one of the three forms, once ----
 *
 * Errors: -EPIPE the peer is gone, -ETIME it reads too slowly, -ECANCELED. No trail.
 */

/* Adds a header to the reply; before it begins. Name and value are copied. A name or value with
 * bytes that may not stand there turns the reply into a 500. Content-Length, Transfer-Encoding,
 * Connection and Date are the server's own. */
void http_reply_header(struct http_reply *p, const char *name, struct span value);

/* The whole reply. content_type NULL: none. The body is left out for HEAD, 204 and 304. */
AWAITS int http_reply(
	struct http_reply *p, int status, const char *content_type, struct span body) MUST_USE;

/* In pieces: of `length` bytes in all, or -1 if that is not known (chunked). */
AWAITS int http_reply_begin(
	struct http_reply *p, int status, const char *content_type, int64_t length) MUST_USE;
AWAITS int http_reply_write(struct http_reply *p, struct span piece) MUST_USE;
AWAITS int http_reply_end(struct http_reply *p) MUST_USE;

/* Gives no answer: the connection is cut, and the client may ask again. */
void http_reply_drop(struct http_reply *p);

/* As server-sent events. Each is on the wire when the call returns. -EPIPE also as soon as the
 * client has closed its end; -ECANCELED also when the listener is being stopped. End with
 * http_reply_end. */
AWAITS int http_reply_sse(struct http_reply *p) MUST_USE;
AWAITS int http_reply_event(struct http_reply *p, const struct sse_event *e) MUST_USE;
AWAITS int http_reply_heartbeat(struct http_reply *p) MUST_USE; /* a comment */

/* ---- servers ---- */

struct http_server_options {
	http_handler handler;
	void *ctx;
	int max_connections; /* of this server; 0: 1024 */
	int64_t head_timeout_ms; /* from the connection, or the first byte, to the end of the head;
				    0: 10 s */
	int64_t idle_timeout_ms; /* between requests; 0: 75 s */
	int64_t handshake_timeout_ms; /* TLS; 0: 10 s */
	int64_t write_timeout_ms; /* for each write, plus its bytes at min_bytes_per_s; 0: 30 s */
	int64_t min_bytes_per_s; /* of request bodies, after the grace; 0: 1024 */
	int64_t body_grace_ms; /* how long a body may be silent at most; 0: 10 s */
	size_t bodies_bytes; /* that all bodies may take here, beyond the first
				LIMIT_HTTP_FREE_BODY_BYTES of each; 0: LIMIT_HTTP_BODIES_BYTES */
	enum fiber_stack stack; /* for the handlers; connections with TLS get FIBER_LARGE anyway */
	/* Whether a request may run beside those that were pipelined in front of it, whatever these
	 * do; the answers keep their order. NULL: none may. */
	bool (*beside)(void *ctx, const struct http_head *head);
	/* Body of the answers that the server makes itself; NULL: {"error":"<reason>"}. */
	void (*write_error)(void *ctx, int status, const char *reason, struct buf *body);
};

struct http_listen {
	struct tls_server *tls; /* NULL: none. A reference is taken. */
	void *tag;
	int max_connections; /* of this listener; 0: the server's */
};

struct http_listener;

int http_server_start(const struct http_server_options *o, struct http_server **ret) MUST_USE;

/* Serves a listening TCP or Unix stream socket, which it takes, also on failure. May be called at
 * any time, and for thousands of sockets. ret may be NULL. */
AWAITS int http_server_listen(struct http_server *s, int fd, const struct http_listen *l,
	struct http_listener **ret) MUST_USE;

/* Closes one listener; its connections finish their current request within the deadline, after
 * which they are cancelled. Returns when all have ended, so the tag may go. */
AWAITS void http_listener_stop(struct http_listener *l, int64_t deadline_ns);

/* The same for all listeners, then frees the server. No http_listener_stop may be under way. NULL
 * is allowed. */
AWAITS void http_server_stop(struct http_server *s, int64_t deadline_ns);

struct http_server_stats {
	uint64_t connections; /* accepted so far */
	uint64_t requests;
	uint64_t refused; /* connections beyond the maximum */
	int open;
};
struct http_server_stats http_server_stats(const struct http_server *s);

/* ---- one on every worker ---- */

struct http_fleet;

AWAITS int http_fleet_start(const struct http_server_options *o, struct http_fleet **ret) MUST_USE;
struct http_server *http_fleet_here(struct http_fleet *f); /* this worker's */
/* Takes fd. After a failure some of the workers may serve it: stop the fleet. */
AWAITS int http_fleet_listen(struct http_fleet *f, int fd, const struct http_listen *l) MUST_USE;
AWAITS void http_fleet_stop(struct http_fleet *f, int64_t deadline_ns);
