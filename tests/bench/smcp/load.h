/* SPDX-License-Identifier: AGPL-3.0-only */
/* A load of prepared HTTP requests on loopback, each sent once. */
#pragma once

#include "daemon/base/base.h"

struct load_requests {
	struct span *items; /* whole requests */
	size_t count;
};

struct load_result {
	size_t good, bad; /* answers with 200, and others */
	int64_t wall_ns;
	int64_t *latencies_ns; /* of each answer, sorted; the caller's to free() */
	size_t latency_count;
};

/* As fast as the server answers: `depth` requests under way on each of `connections`. */
void load_closed(uint16_t port, const struct load_requests *r, int connections, int depth,
	struct load_result *ret);

/* At `per_second` on one-at-a-time connections; latency counts from when a request was due. */
void load_paced(uint16_t port, const struct load_requests *r, int connections, double per_second,
	struct load_result *ret);

/* One request and its answer's body, in a's memory. */
struct span load_ask(uint16_t port, struct span request, struct arena *a);

/* The server: in a process of its own, until SIGTERM. Writes its port into `port_fd`. */
void server_run(const char *folder, int port_fd);
