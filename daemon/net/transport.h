/* SPDX-License-Identifier: AGPL-3.0-only */
/* Private to this room: bytes to and from a peer, in the clear or through TLS. */
#pragma once

#include "daemon/net/tls_session.h"

struct transport {
	struct stream *stream;
	struct tls_session *tls; /* NULL: in the clear */
};

/* Contracts as of their namesakes in rt.h. */

AWAITS static inline int transport_peek(
	struct transport *t, size_t have, struct span *ret, int64_t deadline_ns)
{
	return t->tls ? tls_session_peek(t->tls, have, ret, deadline_ns)
		      : stream_peek(t->stream, have, ret, deadline_ns);
}

static inline void transport_consume(struct transport *t, size_t n)
{
	if (t->tls)
		tls_session_consume(t->tls, n);
	else
		stream_consume(t->stream, n);
}

AWAITS static inline int transport_sendv(
	struct transport *t, const struct iovec *v, int count, int64_t deadline_ns)
{
	return t->tls ? tls_session_sendv(t->tls, v, count, deadline_ns)
		      : stream_sendv(t->stream, v, count, deadline_ns);
}

/* Says that nothing more will come. */
AWAITS static inline void transport_shutdown(struct transport *t, int64_t deadline_ns)
{
	if (t->tls)
		tls_session_close(t->tls, deadline_ns);
	stream_shutdown(t->stream);
}

AWAITS static inline void transport_stop(struct transport *t)
{
	t->tls = tls_session_free(t->tls);
	stream_stop(t->stream);
	t->stream = NULL;
}
