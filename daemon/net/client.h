/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * HTTP/1.1 client. It belongs to the worker that started it, keeps idle connections for re-use,
 * resolves names on a thread of its own, follows no redirects (a 3xx is an answer like any other)
 * and uses no proxy. Messages of failures name the host, the port, the step and the cause.
 */
#pragma once

#include "daemon/net/http.h"
#include "daemon/net/sse.h"
#include "daemon/net/tls.h"
#include "daemon/rt/rt.h"

struct http_client;

struct http_client_options {
	struct tls_client *tls; /* NULL: https is refused. A reference is taken. */
	const char *user_agent; /* NULL: "aegis/<version>" */
	int idle_max; /* connections kept; 0: 32 */
	int64_t idle_timeout_ms; /* 0: 30 s */
};

AWAITS int http_client_start(
	const struct http_client_options *o, struct http_client **ret) MUST_USE;
AWAITS void http_client_stop(struct http_client *c); /* every exchange must be closed */

/* Connections of the caller's own making. */
struct http_dial {
	/* A connected socket, which is taken; negative with a message. */
	AWAITS int (*connect)(void *ctx, int64_t deadline_ns);
	void *ctx;
};

struct http_call {
	const char *method; /* NULL: GET, or POST if there is a body */
	const char *url; /* http:// or https:// */
	const char *unix_path; /* NULL, or connect to this socket instead of the URL's host */
	const struct http_dial *dial; /* NULL, or connect so instead; used for this call alone */
	const struct http_header *headers; /* Host, framing and Connection are the client's own */
	int header_count;
	struct span body; /* p == NULL: none */
	size_t max_answer_bytes; /* of the answer's body; 0: LIMIT_HTTP_BODY_BYTES */
	int64_t deadline_ns; /* for the whole exchange; 0 is in the past: say DEADLINE_NONE */
	int64_t silence_ms; /* longest wait for the next byte; 0: no bound but the deadline */
	/* May be sent again if a re-used connection breaks before an answer: GET, HEAD, PUT, DELETE
	 * and OPTIONS always, others only if the caller says so. */
	bool repeatable;
};

struct http_answer {
	int status;
	struct http_head head;
	struct span body; /* in the arena */
};

/* One request and its whole answer, in the arena. Any status is success. Negative: -EINVAL the
 * call itself, -EHOSTUNREACH no such name, -ECONNREFUSED and other causes of connecting,
 * -EKEYREJECTED TLS verification, -EBADMSG the answer is malformed, -E2BIG it is too long,
 * -EPIPE and -ECONNRESET it broke off, -ETIME, -ECANCELED. With a message (also for the last
 * two). */
AWAITS int http_call(struct http_client *c, struct arena *a, const struct http_call *call,
	struct http_answer **ret) MUST_USE;

/* The same in steps: *ret when the head has come. The arena must outlive the exchange. */
struct http_exchange;
AWAITS int http_open(struct http_client *c, struct arena *a, const struct http_call *call,
	struct http_exchange **ret) MUST_USE;
const struct http_head *http_exchange_head(const struct http_exchange *x);

/* The next piece of the body, empty at the end; valid until the next call. */
AWAITS int http_exchange_read(struct http_exchange *x, struct span *ret_piece) MUST_USE;

/* The next event of a text/event-stream body; valid until the next call. HTTP_EXCHANGE_END. */
enum { HTTP_EXCHANGE_END = 1 };
AWAITS int http_exchange_event(struct http_exchange *x, struct sse_event *ret) MUST_USE;

/* Keeps the connection for the next call if the answer was read to its end, else closes it. NULL
 * is allowed. */
AWAITS void http_exchange_close(struct http_exchange *x);
