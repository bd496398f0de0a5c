/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Conversations of sandboxes, as the kernel counts them (bpf/net/net_api.h): taken out of its table
 * when they are over, each with what was said in it.
 */
#pragma once

#include "daemon/sensor/sensor.h"

enum {
	FLOW_LINGER_S = 1, /* a closed one may still get an answer */
	FLOW_UNANSWERED_S = 150, /* TCP: longer than a kernel goes on trying */
	FLOW_IDLE_S = 60, /* UDP */
};

enum flow_end {
	FLOW_CLOSED = 1, /* by both sides */
	FLOW_RESET = 2,
	FLOW_IDLE = 3,
	FLOW_UNANSWERED = 4,
	FLOW_SANDBOX_ENDED = 5,
	FLOW_ENDS,
};
const char *flow_end_text(enum flow_end e); /* "closed"; never NULL */

struct sensor_flow {
	struct net_flow_key key;
	struct net_flow counts;
	enum flow_end end;
};

/* How a conversation ended by that time; 0: it has not. Pure. */
enum flow_end flow_ended(const struct net_flow_key *key, const struct net_flow *f, uint64_t now_ns);

/* One walk through the table, however many are taken out on the way: conversations that are over
 * (`cgroup` 0), or all of one sandbox. The sensor must outlive it. NULL: out of memory; NULL is
 * allowed. */
struct flow_sweep;
struct flow_sweep *flow_sweep_new(struct sensor *s, uint64_t cgroup);
struct flow_sweep *flow_sweep_free(struct flow_sweep *w);
/* Takes the next ones out; how many, at most `room`; fewer: it has come to the end. Until
 * sensor_flows_told() has been called they count as the sandbox's. */
size_t flow_sweep_take(struct flow_sweep *w, struct sensor_flow *ret, size_t room);
void sensor_flows_told(struct sensor *s, uint64_t cgroup, uint64_t count);

/* Of a sandbox whose conversations were all taken out and told: how many are on no record. Taken
 * out by a daemon that died; and packets that would have begun one beyond its limit. */
void sensor_flows_lost(
	const struct sensor *s, uint64_t cgroup, uint64_t *ret_missing, uint64_t *ret_unlisted);

/* The name behind a number that this agent learned; empty: an earlier daemon gave it. */
struct span sensor_agent_name(const struct sensor_agent *a, uint32_t number);
