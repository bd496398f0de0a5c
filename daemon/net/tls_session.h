/* SPDX-License-Identifier: AGPL-3.0-only */
/* Private to this room: one TLS connection over a stream. */
#pragma once

#include "daemon/net/tls.h"
#include "daemon/rt/rt.h"

struct tls_session;

/* The handshake, as server or client. -EPROTO, -EKEYREJECTED (the peer's certificate), -ENOMEM,
 * -EPIPE, each with a message; -ETIME, -ECANCELED without. The stream stays the caller's. */
AWAITS int tls_session_accept(struct tls_server *server, struct stream *s, int64_t deadline_ns,
	struct tls_session **ret) MUST_USE;
AWAITS int tls_session_connect(struct tls_client *client, struct stream *s, const char *host,
	bool host_is_address, int64_t deadline_ns, struct tls_session **ret) MUST_USE;
struct tls_session *tls_session_free(struct tls_session *t); /* always NULL; says nothing */

/* As stream_peek and so on, but for the plain bytes. A connection that ends without TLS's own
 * closing message is -ECONNRESET: what came may be cut off. */
AWAITS int tls_session_peek(
	struct tls_session *t, size_t have, struct span *ret, int64_t deadline_ns) MUST_USE;
void tls_session_consume(struct tls_session *t, size_t n);
AWAITS int tls_session_sendv(
	struct tls_session *t, const struct iovec *v, int count, int64_t deadline_ns) MUST_USE;
AWAITS void tls_session_close(struct tls_session *t, int64_t deadline_ns); /* close_notify */

/* RFC 2253 subject of the peer's verified certificate, into the buffer; empty if there is none. */
void tls_session_subject(struct tls_session *t, struct buf *b);
