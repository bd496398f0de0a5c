/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The DNS proxy: the only resolver that a sandbox reaches. It asks policy first, then the node's
 * resolvers, and makes an answer's addresses reachable before the agent sees them. A question is a
 * way out, so it passes only for a name that a rule permits, and only as often as the limits in
 * limits.h allow; what goes out is written anew (dns.h).
 */
#pragma once

#include "daemon/rt/rt.h"
#include "daemon/sensor/dns.h"
#include "daemon/sensor/sensor.h"

enum { RESOLVER_SERVERS_MAX = 3 };

/* The node's resolvers, asked in order. */
struct resolver_servers {
	struct sockaddr_storage address[RESOLVER_SERVERS_MAX];
	size_t count;
};

/* Reads "nameserver" lines of a resolv.conf's text; the rest of it is of no concern here. -ENOENT
 * if there is none. */
int resolver_servers_parse(struct span resolv_conf, struct resolver_servers *ret) MUST_USE;

/* Reasons that are policy's; readers of records know them (tools/aegis-audit). */
#define RESOLVER_NOT_PERMITTED "policy does not permit the name"
#define RESOLVER_ALIAS_FORBIDDEN "policy forbids a name that it is an alias of"

/* One question and what became of it. Spans are valid during the call. */
struct resolver_record {
	uint64_t cgroup;
	struct span name; /* empty if the question could not be read */
	uint16_t type;
	bool denied; /* by policy or by a limit, not by the outside */
	struct span policy_id; /* that denied it; empty: no rule speaks of the name */
	const char *reason; /* why no address was given; NULL if some were */
	enum dns_rcode rcode;
	size_t addresses; /* given out */
	size_t internal; /* left out, because they lead inside */
	int64_t latency_ns;
};
typedef AWAITS void (*resolver_observer)(void *ctx, const struct resolver_record *r);

struct resolver_options {
	const struct resolver_servers *servers; /* outlive the resolver */
	resolver_observer observer; /* may be NULL */
	void *observer_ctx;
};

/* Serves one sandbox on its sockets (bound UDP; listening TCP, or -1), which it takes over, also on
 * failure. The agent outlives the resolver. */
struct resolver;
AWAITS int resolver_start(struct sensor_agent *agent, int udp, int tcp,
	const struct resolver_options *o, struct resolver **ret) MUST_USE;
AWAITS struct resolver *resolver_stop(struct resolver *r); /* NULL; NULL is allowed */
