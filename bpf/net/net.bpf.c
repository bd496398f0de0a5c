// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The network programs. The authority are net_egress and net_ingress on the cgroup that is the
 * parent of all sandboxes, and net_link on the host's end of a sandbox's link, which sees also what
 * sockets cannot tell (packet sockets, tunnels, a guest's own kernel). The programs on connect,
 * send, bind and socket repeat the decision early, so that the agent gets EPERM at once and the
 * record names the task.
 *
 * Every packet and call of a cgroup without an entry in net_agents is denied, so a sandbox is
 * denied from its first instruction until its policy is entered.
 */
#include "bpf/net/net_logic.h"
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

_Static_assert(NET_VERDICTS <= NET_VERDICT_SLOTS, "each verdict has its own count");

const volatile struct net_constants net_constants;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NET_AGENTS_MAX);
	__type(key, __u64); /* cgroup */
	__type(value, struct net_agent);
} net_agents SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, NET_PREFIXES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct net_prefix_key);
	__type(value, struct net_rules);
} net_prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NET_NAMES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct net_name_key);
	__type(value, struct net_rules);
} net_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NET_LEARNED_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct net_learned_key);
	__type(value, struct net_learned);
} net_addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NET_FLOWS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct net_flow_key);
	__type(value, struct net_flow);
} net_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NET_AGENTS_MAX);
	__type(key, __u32); /* index of the host's interface */
	__type(value, struct net_link);
} net_links SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NET_AGENTS_MAX); /* 0: cgroups without a policy */
	__type(key, __u32);
	__type(value, struct net_counters);
} net_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} net_sequence SEC(".maps");

/* User space's own; kept here, because it must live exactly as long as the other maps. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NET_NUMBERS);
	__type(key, __u32);
	__type(value, __u32);
} net_numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, NET_DENIALS_BYTES);
} net_denials SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NET_TALLIES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct net_tally_key);
	__type(value, __u64);
} net_tallies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NET_CALLS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* cgroup of the call */
	__type(value, struct net_call);
} net_calls SEC(".maps");

/* One question, and what was found on the way to its answer. */
struct net_question {
	struct net_peer peer;
	__u64 cgroup;
	__u64 call_cgroup; /* that of the sandbox: in no call */
	__u32 policy;
	__u32 slot;
	__u32 rule;
	__u32 name;
	__u8 hook;
	__u8 flows; /* it belongs to a conversation with the outside */
};

static __always_inline enum net_verdict find_agent(struct net_question *q)
{
	const struct net_agent *a = bpf_map_lookup_elem(&net_agents, &q->cgroup);
	if (!a)
		return NET_DENY_UNKNOWN_AGENT;
	q->policy = a->policy;
	q->slot = a->slot;
	return NET_ALLOW;
}

static __always_inline void flow_key(const struct net_question *q, struct net_flow_key *ret)
{
	__builtin_memset(ret, 0, sizeof(*ret));
	ret->cgroup = q->cgroup;
	__builtin_memcpy(ret->address, q->peer.address, 16);
	ret->port = q->peer.port;
	ret->own_port = q->peer.own_port;
	ret->protocol = q->peer.protocol;
}

static __always_inline __u32 learned_name(const struct net_question *q)
{
	struct net_learned_key key = {.cgroup = q->cgroup};

	__builtin_memcpy(key.address, q->peer.address, 16);
	const struct net_learned *l = bpf_map_lookup_elem(&net_addresses, &key);
	return l && bpf_ktime_get_boot_ns() < l->expires_ns ? l->name : 0;
}

/* The name that gave the address: while its time lasts by the table of addresses, afterwards by the
 * conversation that it began. */
static __always_inline __u32 find_name(struct net_question *q, int has_ports)
{
	struct net_flow_key key;
	__u32 name = learned_name(q);

	if (name || !has_ports || q->peer.opens)
		return name;
	flow_key(q, &key);
	const struct net_flow *flow = bpf_map_lookup_elem(&net_flows, &key);
	return flow ? flow->name : 0;
}

static __always_inline enum net_verdict decide_by_policy(struct net_question *q, int has_ports)
{
	struct net_prefix_key prefix = {.bits = 32 + 128, .policy = q->policy};
	struct net_name_key key = {.policy = q->policy};
	enum net_verdict v = NET_DENY_DEFAULT;

	__builtin_memcpy(prefix.address, q->peer.address, 16);
	const struct net_rules *rules = bpf_map_lookup_elem(&net_prefixes, &prefix);
	if (rules)
		v = net_match(rules, q->peer.protocol, q->peer.port, &q->rule);
	if (v != NET_DENY_DEFAULT)
		return v;

	q->name = find_name(q, has_ports);
	if (!q->name)
		return NET_DENY_DEFAULT;
	key.name = q->name;
	rules = bpf_map_lookup_elem(&net_names, &key);
	if (!rules)
		return NET_DENY_DEFAULT;
	return net_match(rules, q->peer.protocol, q->peer.port, &q->rule);
}

/* `has_ports`: of both sides, as a packet has and a call has not. */
static __always_inline enum net_verdict decide(struct net_question *q, int has_ports)
{
	const struct net_call *call = NULL;
	__u32 outside = q->policy;
	__u8 resolver[16];

	for (int i = 0; i < 16; i++)
		resolver[i] = net_constants.resolver[i];
	if (net_to_resolver(resolver, &q->peer))
		return NET_ALLOW;
	q->flows = 1;
	if (q->call_cgroup != q->cgroup)
		call = bpf_map_lookup_elem(&net_calls, &q->call_cgroup);
	if (!call)
		return decide_by_policy(q, has_ports);
	q->policy = call->policy;
	enum net_verdict v = decide_by_policy(q, has_ports);
	if (v != NET_ALLOW || bpf_ktime_get_boot_ns() < call->ends_ns)
		return v;
	q->policy = outside;
	q->rule = 0;
	v = decide_by_policy(q, has_ports);
	return v == NET_DENY_DEFAULT ? NET_DENY_LEASE : v;
}

static __always_inline void tally(__u64 cgroup, enum net_tally which)
{
	struct net_tally_key key = {.cgroup = cgroup, .which = which};
	__u64 none = 0;
	__u64 *count = bpf_map_lookup_elem(&net_tallies, &key);

	if (!count) {
		bpf_map_update_elem(&net_tallies, &key, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&net_tallies, &key);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline __u64 tallied(__u64 cgroup, enum net_tally which)
{
	struct net_tally_key key = {.cgroup = cgroup, .which = which};
	const __u64 *count = bpf_map_lookup_elem(&net_tallies, &key);

	return count ? *count : 0;
}

static __always_inline void record(const struct net_question *q, enum net_verdict v, int has_task)
{
	__u32 zero = 0;
	struct net_counters *c = bpf_map_lookup_elem(&net_counts, &q->slot);
	__u64 *sequence = bpf_map_lookup_elem(&net_sequence, &zero);

	if (!c || !sequence)
		return;
	__sync_fetch_and_add(&c->denied[v & (NET_VERDICT_SLOTS - 1)], 1);
	__u64 number = __sync_fetch_and_add(sequence, 1);
	struct net_denial *d = bpf_ringbuf_reserve(&net_denials, sizeof(*d), 0);
	if (!d) {
		tally(q->cgroup, NET_TALLY_LOST);
		return;
	}
	__builtin_memset(d, 0, sizeof(*d));
	d->time_ns = bpf_ktime_get_boot_ns();
	d->cgroup = q->cgroup;
	d->sequence = number;
	d->policy = q->policy;
	d->rule = q->rule;
	d->cpu = bpf_get_smp_processor_id();
	__builtin_memcpy(d->address, q->peer.address, 16);
	d->port = q->peer.port;
	d->protocol = q->peer.protocol;
	d->hook = q->hook;
	d->verdict = (__u8)v;
	d->name = q->name;
	d->call_cgroup = q->call_cgroup;
	if (has_task) {
		d->pid = (__u32)(bpf_get_current_pid_tgid() >> 32);
		bpf_get_current_comm(d->comm, sizeof(d->comm));
	}
	bpf_ringbuf_submit(d, BPF_RB_FORCE_WAKEUP);
}

/* ---- packets ---- */

/* Reads what is decided by, from where the network header begins. */
static __always_inline __u32 load_head(struct __sk_buff *skb, __u32 at, __u8 *head)
{
	__u32 have = skb->len;

	if (have <= at)
		return 0;
	have -= at;
	if (have > NET_HEAD_BYTES)
		have = NET_HEAD_BYTES;
	have -= 1; /* the verifier of 6.1 must see that the length is not 0 */
	asm volatile("" : "+r"(have));
	have &= 63;
	have += 1;
	if (have > NET_HEAD_BYTES || bpf_skb_load_bytes(skb, at, head, have))
		return 0;
	return have;
}

static __always_inline void count_allowed(const struct net_question *q, __u32 bytes)
{
	struct net_counters *c = bpf_map_lookup_elem(&net_counts, &q->slot);
	if (!c)
		return;
	c->allowed_packets++;
	c->allowed_bytes += bytes;
}

static __always_inline void count_flow(
	struct net_flow *flow, const struct net_question *q, int out, __u32 bytes)
{
	__u32 state = net_flow_state(q->peer.flags, out);

	flow->last_ns = bpf_ktime_get_boot_ns();
	if (state)
		__sync_fetch_and_or(&flow->state, state);
	__sync_fetch_and_add(out ? &flow->sent_bytes : &flow->received_bytes, bytes);
	__sync_fetch_and_add(out ? &flow->sent_packets : &flow->received_packets, 1);
}

/* Which the first packet enters, if the sandbox has room left: that is its own. */
static __always_inline void begin_flow(
	struct net_question *q, const struct net_flow_key *key, int out, __u32 bytes)
{
	struct net_flow flow = {
		.opened_ns = bpf_ktime_get_boot_ns(), .call_cgroup = q->call_cgroup};

	if (tallied(q->cgroup, NET_TALLY_FLOWS) - tallied(q->cgroup, NET_TALLY_FLOWS_OVER) >=
		NET_AGENT_FLOWS_MAX) {
		tally(q->cgroup, NET_TALLY_UNLISTED);
		return;
	}
	flow.name = q->name ? q->name : learned_name(q);
	long r = bpf_map_update_elem(&net_flows, key, &flow, BPF_NOEXIST);
	if (r == 0)
		tally(q->cgroup, NET_TALLY_FLOWS);
	struct net_flow *entered = bpf_map_lookup_elem(&net_flows, key);
	if (entered) /* by us, or on another CPU before */
		count_flow(entered, q, out, bytes);
	else
		tally(q->cgroup, NET_TALLY_UNLISTED);
}

static __always_inline void track(struct net_question *q, int out, __u32 bytes)
{
	struct net_flow_key key;

	flow_key(q, &key);
	struct net_flow *flow = bpf_map_lookup_elem(&net_flows, &key);
	/* A port may go from a call that is over to the next one. */
	if (flow && out && flow->call_cgroup != q->call_cgroup)
		flow->call_cgroup = q->call_cgroup;
	if (flow)
		count_flow(flow, q, out, bytes);
	else if (q->peer.opens || q->peer.protocol == NET_PROTO_UDP)
		begin_flow(q, &key, out, bytes);
}

static __always_inline enum net_verdict packet(
	struct __sk_buff *skb, int out, struct net_question *q)
{
	__u8 head[NET_HEAD_BYTES] = {};
	enum net_verdict v = find_agent(q);

	if (v != NET_ALLOW)
		return v;
	__u32 have = load_head(skb, 0, head);
	v = net_parse(head, have, skb->len, out, &q->peer);
	/* The sandbox's own loopback leads nowhere else: interface 1 of every network namespace. */
	if (skb->ifindex == 1 && v != NET_DENY_MALFORMED && net_is_loopback(q->peer.address))
		return NET_ALLOW;
	if (v != NET_ALLOW)
		return v;
	if (q->peer.control)
		return out ? NET_DENY_PROTOCOL : NET_ALLOW;
	if (!out && q->peer.opens)
		return NET_DENY_INBOUND;
	return decide(q, 1);
}

static __always_inline int cgroup_packet(struct __sk_buff *skb, int out, __u8 hook)
{
	struct net_question q = {
		.hook = hook, .cgroup = bpf_skb_ancestor_cgroup_id(skb, net_constants.level)};
	enum net_verdict v;

	q.call_cgroup = bpf_skb_ancestor_cgroup_id(skb, net_constants.level + 1);
	if (!q.call_cgroup)
		q.call_cgroup = q.cgroup;
	v = packet(skb, out, &q);
	if (v == NET_ALLOW) {
		count_allowed(&q, skb->len);
		if (q.flows)
			track(&q, out, skb->len);
		return 1;
	}
	record(&q, v, 0);
	return 0;
}

SEC("cgroup_skb/egress")
int net_egress(struct __sk_buff *skb)
{
	return cgroup_packet(skb, 1, NET_HOOK_EGRESS);
}

SEC("cgroup_skb/ingress")
int net_ingress(struct __sk_buff *skb)
{
	return cgroup_packet(skb, 0, NET_HOOK_INGRESS);
}

/* ---- the host's end of a link ---- */

static __always_inline int same_bytes(const __u8 *a, const __u8 *b, int n)
{
	for (int i = 0; i < n; i++)
		if (a[i] != b[i])
			return 0;
	return 1;
}

/* What comes over a link may have lost its socket. That the packet is of this conversation was
 * decided by the socket, in net_egress, which entered it. */
static __always_inline __u64 call_of_flow(const struct net_question *q)
{
	struct net_flow_key key;

	flow_key(q, &key);
	const struct net_flow *flow = bpf_map_lookup_elem(&net_flows, &key);
	return flow ? flow->call_cgroup : q->cgroup;
}

static __always_inline enum net_verdict link_packet(
	struct __sk_buff *skb, const struct net_link *l, struct net_question *q)
{
	__u8 head[NET_HEAD_BYTES] = {}, ether[14], source[16];
	enum net_verdict v;

	if (bpf_skb_load_bytes(skb, 0, ether, sizeof(ether)))
		return NET_DENY_MALFORMED;
	if (!same_bytes(ether + 6, l->mac, 6))
		return NET_DENY_SOURCE;
	__u32 have = load_head(skb, sizeof(ether), head);
	__u16 type = net_u16(ether + 12);
	if (type == 0x0806) { /* ARP: it must speak of itself */
		if (have < 28 || !same_bytes(head + 8, l->mac, 6) ||
			!same_bytes(head + 14, l->address + 12, 4))
			return NET_DENY_SOURCE;
		return NET_ALLOW;
	}
	if (type != 0x0800 || skb->vlan_present)
		return NET_DENY_ETHERTYPE;
	v = net_parse(head, have, skb->len - sizeof(ether), 1, &q->peer);
	if (v != NET_ALLOW)
		return v;
	net_map_ipv4(source, head + 12);
	if (!same_bytes(source, l->address, 16))
		return NET_DENY_SOURCE;
	if (q->peer.control)
		return NET_DENY_PROTOCOL;
	q->call_cgroup = call_of_flow(q);
	return decide(q, 1);
}

SEC("tc")
int net_link(struct __sk_buff *skb)
{
	__u32 index = skb->ifindex;
	struct net_question q = {.hook = NET_HOOK_LINK};
	const struct net_link *l = bpf_map_lookup_elem(&net_links, &index);
	enum net_verdict v = NET_DENY_UNKNOWN_AGENT;

	if (l) {
		q.cgroup = l->cgroup;
		v = find_agent(&q);
		if (v == NET_ALLOW)
			v = link_packet(skb, l, &q);
	}
	if (v == NET_ALLOW)
		return TC_ACT_OK;
	record(&q, v, 0);
	return TC_ACT_SHOT;
}

/* ---- calls ---- */

static __always_inline void find_task(struct net_question *q)
{
	q->cgroup = bpf_get_current_ancestor_cgroup_id(net_constants.level);
	q->call_cgroup = bpf_get_current_ancestor_cgroup_id(net_constants.level + 1);
	if (!q->call_cgroup)
		q->call_cgroup = q->cgroup;
}

/* The address that a call names; the wildcard stands for loopback, as it does for connect(2). */
static __always_inline void peer_of_call(struct bpf_sock_addr *ctx, int ipv6, struct net_peer *ret)
{
	__u32 words[4];

	if (ipv6) {
		words[0] = ctx->user_ip6[0];
		words[1] = ctx->user_ip6[1];
		words[2] = ctx->user_ip6[2];
		words[3] = ctx->user_ip6[3];
		__builtin_memcpy(ret->address, words, 16);
	} else {
		words[0] = ctx->user_ip4;
		net_map_ipv4(ret->address, (const __u8 *)words);
	}
	ret->port = bpf_ntohs((__u16)ctx->user_port);
	ret->protocol = (__u8)ctx->protocol;
	net_canonical(ret->address);
}

static __always_inline int call(struct bpf_sock_addr *ctx, int ipv6, __u8 hook)
{
	struct net_question q = {.hook = hook};
	enum net_verdict v;

	find_task(&q);
	v = find_agent(&q);
	peer_of_call(ctx, ipv6, &q.peer);
	if (v == NET_ALLOW && q.peer.protocol != NET_PROTO_TCP && q.peer.protocol != NET_PROTO_UDP)
		v = NET_DENY_PROTOCOL;
	if (v == NET_ALLOW && !net_is_loopback(q.peer.address))
		v = decide(&q, 0);
	if (v == NET_ALLOW)
		return 1;
	record(&q, v, 1);
	return 0;
}

SEC("cgroup/connect4")
int net_connect4(struct bpf_sock_addr *ctx)
{
	return call(ctx, 0, NET_HOOK_CONNECT);
}

SEC("cgroup/connect6")
int net_connect6(struct bpf_sock_addr *ctx)
{
	return call(ctx, 1, NET_HOOK_CONNECT);
}

SEC("cgroup/sendmsg4")
int net_sendmsg4(struct bpf_sock_addr *ctx)
{
	return call(ctx, 0, NET_HOOK_SEND);
}

SEC("cgroup/sendmsg6")
int net_sendmsg6(struct bpf_sock_addr *ctx)
{
	return call(ctx, 1, NET_HOOK_SEND);
}

/* What listens is reachable over the sandbox's own loopback only, so an address of any other kind
 * is a mistake or an attempt. */
static __always_inline int own_address(struct bpf_sock_addr *ctx, int ipv6)
{
	struct net_question q = {.hook = NET_HOOK_BIND};
	enum net_verdict v;

	find_task(&q);
	v = find_agent(&q);
	peer_of_call(ctx, ipv6, &q.peer);
	if (v == NET_ALLOW && !net_is_loopback(q.peer.address))
		v = NET_DENY_INBOUND;
	if (v == NET_ALLOW)
		return 1;
	record(&q, v, 1);
	return 0;
}

SEC("cgroup/bind4")
int net_bind4(struct bpf_sock_addr *ctx)
{
	return own_address(ctx, 0);
}

SEC("cgroup/bind6")
int net_bind6(struct bpf_sock_addr *ctx)
{
	return own_address(ctx, 1);
}

/* Kinds of sockets that rules can speak of: TCP and UDP. Raw, ping, UDP-Lite, SCTP and MPTCP carry
 * what no port rule sees. */
SEC("cgroup/sock_create")
int net_socket(struct bpf_sock *ctx)
{
	struct net_question q = {.hook = NET_HOOK_SOCKET};
	enum net_verdict v;

	find_task(&q);
	v = find_agent(&q);
	__u32 type = ctx->type, protocol = ctx->protocol;

	if (v == NET_ALLOW && !(type == 1 && protocol == NET_PROTO_TCP) &&
		!(type == 2 && protocol == NET_PROTO_UDP))
		v = NET_DENY_SOCKET;
	if (v == NET_ALLOW)
		return 1;
	q.peer.protocol = (__u8)protocol;
	record(&q, v, 1);
	return 0;
}
