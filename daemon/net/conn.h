/* SPDX-License-Identifier: AGPL-3.0-only */
/* Private to this room: a server, its listeners, and one connection with the exchange on it. */
#pragma once

#include "daemon/net/server.h"
#include "daemon/net/transport.h"
#include <stdatomic.h>

struct http_server {
	struct http_server_options options; /* defaults filled in */
	struct worker *home;
	struct list listeners;
	struct pool conns;
	struct http_server_stats stats;
	size_t bodies_bytes; /* counted in the bodies that are held */
	int64_t date_s; /* the second that `date` shows */
	char date[HTTP_DATE_BYTES];
};

struct http_listener {
	struct http_server *server;
	struct list link;
	struct listener *socket; /* NULL: another worker accepts for this one */
	struct http_listener **team; /* whom to accept for, self included; NULL: for self */
	int team_count;
	unsigned team_next;
	struct tls_server *tls;
	void *tag;
	bool is_unix;
	bool stopping;
	int max_connections;
	atomic_int open; /* connections, and those on their way here */
	struct list conns; /* struct conn */
	struct group acceptor;
	struct group fibers; /* one per connection */
};

struct http_reply {
	struct buf headers; /* the handler's, as lines */
	int status;
	bool bad_header; /* the handler gave one that may not be sent */
	bool begun;
	bool ended;
	bool bodiless; /* HEAD, 204, 304 */
	bool chunked;
	int64_t left; /* bytes still owed; -1: not known */
	struct buf event; /* text of one event */
};

struct conn {
	struct http_listener *listener;
	struct list link;
	int fd; /* until the transport has taken it */
	struct transport transport;
	struct http_peer peer;
	char subject[256];

	/* what comes in */
	struct arena *arena; /* of one request */
	size_t ahead; /* bytes known to have arrived and not consumed */
	size_t pending; /* bytes of the last piece, to be consumed before the next */
	struct http_head head;
	struct http_body body;
	int64_t body_start_ns;
	struct buf body_bytes;
	size_t body_counted; /* of it, in the server's bodies_bytes */
	bool body_failed;
	bool continue_due; /* the client waits for 100 Continue */

	/* what goes out */
	struct buf out; /* complete replies, and heads, not yet sent */
	bool keep; /* another request may follow */
	bool broken; /* a send has failed: nothing more can be said */
	bool idle; /* between requests */
	bool served; /* at least one request */

	struct http_request request;
	struct http_reply reply;

	/* beside.c */
	struct list sides; /* struct conn: requests under way beside this fiber, in order */
	struct list spares;
	int side_count, side_fibers;
	bool over; /* no request comes any more */
	struct waitq side_done;
	struct conn *parent; /* of a side; else NULL */
	struct waitq turn; /* a side waits here until it is the first */
	struct buf gathered; /* answers of sides whose turn is over, for the next one to send */
	bool ready; /* a side whose answer is whole, and can be gathered */
	bool busy; /* a side with a request */
	bool has_fiber;
	struct waitq work; /* a side without one waits here */
	struct span whole; /* a side's body, until it is asked for */
};

enum {
	CONN_OUT_BYTES = 64 * 1024, /* of replies in one send */
	CONN_COPY_BYTES = 16 * 1024, /* a body up to this joins its head in `out` */
};

void conn_main(void *arg); /* the fiber of a struct conn */
/* A connection, or a side, with its buffers empty. */
void conn_init(struct conn *c, struct http_listener *l, const struct http_peer *peer);
void conn_forget_request(struct conn *c);
void accept_main(void *arg); /* the fiber of a struct http_listener */

/* The parts of http_server_listen, for a fleet: what kind of socket it is; a listener (fd -1: that
 * accepts nothing itself); and accepting, for the team given (a heap array, taken). */
int listener_family(int fd, bool *ret_unix) MUST_USE;
int listener_open(struct http_server *s, int fd, bool is_unix, const struct http_listen *o,
	struct http_listener **ret) MUST_USE;
AWAITS void server_wind_down(struct http_server *s); /* nothing new comes in; may be repeated */
int listener_accept_from(struct http_listener *l, struct http_listener **team, int count) MUST_USE;

/* Sends what is in `out`, and then the pieces (which may be none). */
AWAITS int conn_flush(struct conn *c, const struct iovec *pieces, int count) MUST_USE;

/* What is in `out`, of a side whose turn it was: others may queue theirs behind it. */
AWAITS int conn_send_out(struct conn *c) MUST_USE;

/* As transport_peek, but what is in `out` is sent first if that means to wait. */
AWAITS int conn_peek(struct conn *c, size_t have, struct span *ret, int64_t deadline_ns) MUST_USE;
void conn_consume(struct conn *c, size_t n);

/* Readies body and reply for the request whose head has been parsed. */
void request_begin(struct conn *c);

/* Reads what the handler has left of the body. False if the connection cannot be used again. */
AWAITS bool request_skip_body(struct conn *c);

/* Counts the body no more. */
void request_body_release(struct conn *c);

/* Until when more of the body must have come. */
int64_t request_body_deadline(const struct conn *c);

/* Whether the body's end will be found, so that "keep-alive" may be said now. */
bool request_end_in_sight(const struct conn *c);

/* Starts the request, whose head has been parsed, beside this fiber. False: it is to be served
 * here, after beside_wait. */
AWAITS bool beside_start(struct conn *c);
AWAITS void beside_wait(struct conn *c); /* until all sides have been answered */
AWAITS int beside_await_turn(struct conn *side) MUST_USE; /* -EPIPE: the connection is broken */
void beside_init(struct conn *c);
AWAITS void beside_end(struct conn *c); /* after beside_wait, when no other request comes */

/* Answers with the server's own words. */
AWAITS int reply_error(struct conn *c, int status, const char *reason) MUST_USE;
