/* SPDX-License-Identifier: AGPL-3.0-only */
/* Private to this room: the client's connections (client.c, connect.c) as exchanges use them. */
#pragma once

#include "daemon/net/client.h"
#include "daemon/net/transport.h"
#include "daemon/net/url.h"

/* Where a call goes. */
struct target {
	struct url url;
	const char *unix_path; /* NULL: TCP */
	const struct http_dial *dial; /* NULL: one of these two */
	char host[LIMIT_NAME_BYTES + 1];
	const char *key; /* equal keys may share a connection */
	const char *name; /* "host:port" or the path, for messages */
};

/* A connection, idle in its client or part of one exchange. */
struct link {
	struct list idle_link;
	struct transport transport;
	char *key;
	int64_t idle_since_ns;
	bool reused;
};

struct http_client {
	struct tls_client *tls;
	char *user_agent;
	int idle_max;
	int64_t idle_timeout_ns;
	struct offload *resolver;
	struct list idle; /* struct link, longest idle first */
	int idle_count;
	int exchanges;
	struct group services;
};

/* A connection to the target: an idle one if `fresh` allows it, else a new one. With a message that
 * names the step. */
AWAITS int link_get(struct http_client *c, const struct target *t, bool fresh, int64_t deadline_ns,
	struct link **ret) MUST_USE;
void link_keep(struct http_client *c, struct link *l); /* for the next call */
AWAITS void link_close(struct link *l);

/* A connected transport (connect.c). */
AWAITS int link_connect(struct http_client *c, const struct target *t, int64_t deadline_ns,
	struct transport *ret) MUST_USE;
