/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/sensor/flows.h"
#include "daemon/sensor/internal.h"
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <stdlib.h>

enum { BATCH = 512 };

#define S(seconds) ((uint64_t)(seconds)*1000000000U)

const char *flow_end_text(enum flow_end e)
{
	switch (e) {
	case FLOW_CLOSED:
		return "closed";
	case FLOW_RESET:
		return "reset";
	case FLOW_IDLE:
		return "idle";
	case FLOW_UNANSWERED:
		return "unanswered";
	case FLOW_SANDBOX_ENDED:
		return "sandbox ended";
	case FLOW_ENDS:
		break;
	}
	return "unknown";
}

static enum flow_end closed_by(const struct net_flow *f)
{
	const uint32_t both = NET_FLOW_FIN_SENT | NET_FLOW_FIN_RECEIVED;

	if (f->state & NET_FLOW_RESET)
		return FLOW_RESET;
	return (f->state & both) == both ? FLOW_CLOSED : 0;
}

enum flow_end flow_ended(const struct net_flow_key *key, const struct net_flow *f, uint64_t now_ns)
{
	uint64_t silent_ns = now_ns > f->last_ns ? now_ns - f->last_ns : 0;

	if (silent_ns < S(FLOW_LINGER_S))
		return 0;
	if (closed_by(f))
		return closed_by(f);
	if (key->protocol != IPPROTO_TCP)
		return silent_ns >= S(FLOW_IDLE_S) ? FLOW_IDLE : 0;
	return f->received_packets == 0 && silent_ns >= S(FLOW_UNANSWERED_S) ? FLOW_UNANSWERED : 0;
}

struct flow_sweep {
	struct sensor *sensor;
	uint64_t cgroup, now_ns;
	struct net_flow_key keys[BATCH];
	struct net_flow flows[BATCH];
	uint32_t token; /* where the kernel goes on */
	uint32_t count, at; /* of the piece that was fetched last */
	bool begun, over;
};

struct flow_sweep *flow_sweep_new(struct sensor *s, uint64_t cgroup)
{
	struct flow_sweep *w = calloc(1, sizeof(*w));

	if (w) {
		w->sensor = s;
		w->cgroup = cgroup;
		w->now_ns = sensor_boot_ns();
	}
	return w;
}

struct flow_sweep *flow_sweep_free(struct flow_sweep *w)
{
	free(w);
	return NULL;
}

static bool next_piece(struct flow_sweep *w)
{
	if (w->over)
		return false;
	w->count = BATCH;
	w->at = 0;
	int r = bpf_map_lookup_batch(w->sensor->maps[NET_MAP_FLOWS], w->begun ? &w->token : NULL,
		&w->token, w->keys, w->flows, &w->count, NULL);
	w->begun = true;
	w->over = r < 0; /* -ENOENT: the last piece */
	if (r < 0 && r != -ENOENT)
		w->count = 0;
	return w->count > 0;
}

/* 0: it goes on, or is of another sandbox. */
static enum flow_end end_of(const struct flow_sweep *w, uint32_t i)
{
	if (!w->cgroup)
		return flow_ended(&w->keys[i], &w->flows[i], w->now_ns);
	if (w->keys[i].cgroup != w->cgroup)
		return 0;
	enum flow_end end = closed_by(&w->flows[i]);
	return end ? end : FLOW_SANDBOX_ENDED;
}

size_t flow_sweep_take(struct flow_sweep *w, struct sensor_flow *ret, size_t room)
{
	size_t n = 0;

	while (n < room && (w->at < w->count || next_piece(w))) {
		uint32_t i = w->at++;
		enum flow_end end = end_of(w, i);
		/* What came since it was looked at is in what is taken out. */
		if (end &&
			bpf_map_lookup_and_delete_elem(
				w->sensor->maps[NET_MAP_FLOWS], &w->keys[i], &ret[n].counts) == 0) {
			ret[n].key = w->keys[i];
			ret[n++].end = end;
		}
	}
	return n;
}

static uint64_t tally(const struct sensor *s, uint64_t cgroup, enum net_tally which)
{
	struct net_tally_key key = {.cgroup = cgroup, .which = which};
	uint64_t count;

	return bpf_map_lookup_elem(s->maps[NET_MAP_TALLIES], &key, &count) == 0 ? count : 0;
}

void sensor_flows_told(struct sensor *s, uint64_t cgroup, uint64_t count)
{
	struct net_tally_key key = {.cgroup = cgroup, .which = NET_TALLY_FLOWS_OVER};

	count += tally(s, cgroup, NET_TALLY_FLOWS_OVER);
	(void)bpf_map_update_elem(s->maps[NET_MAP_TALLIES], &key, &count, BPF_ANY);
}

void sensor_flows_lost(
	const struct sensor *s, uint64_t cgroup, uint64_t *ret_missing, uint64_t *ret_unlisted)
{
	uint64_t all = tally(s, cgroup, NET_TALLY_FLOWS),
		 over = tally(s, cgroup, NET_TALLY_FLOWS_OVER);

	*ret_missing = all > over ? all - over : 0;
	*ret_unlisted = tally(s, cgroup, NET_TALLY_UNLISTED);
}

struct span sensor_agent_name(const struct sensor_agent *a, uint32_t number)
{
	list_for_each (node, &a->names) {
		const struct learned_name *n = list_entry(node, struct learned_name, link);
		if (n->number == number)
			return n->text;
	}
	return (struct span){0};
}
