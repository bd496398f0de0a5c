/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the network programs and user space share: the layout of every map. Addresses are 16 bytes,
 * IPv4 as ::ffff:a.b.c.d; ports are in host order; times are CLOCK_BOOTTIME nanoseconds.
 *
 * A sandbox is its cgroup below the parent that the programs are attached to. `net_agents` says
 * which policy it lives under, and an unknown one may send nothing. A policy is a number that is
 * never reused while anything refers to it, so that a change of policy is: enter the new one whole
 * under a new number, then write that number into `net_agents`, which is one atomic store.
 *
 * A dispatched call is its own cgroup below the sandbox's, and may have a policy of its own in
 * `net_calls`, which says all that holds in it: what holds outside and its lease, forbids included.
 * When its time is over the entry grants nothing that the sandbox's policy does not, by itself, and
 * still forbids what it forbade.
 *
 * Longest prefix is not forbid-wins: each entry of `net_prefixes` therefore carries the rules of
 * every prefix that contains it, forbidding ones first; the first rule that matches port and
 * protocol decides, and none means denied.
 */
#pragma once

#include <linux/types.h>

enum {
	NET_RULES_MAX = 16, /* of one prefix or name */
	NET_AGENTS_MAX = 4096,
	NET_CALLS_MAX = 16384,
	NET_PREFIXES_MAX = 1 << 18,
	NET_NAMES_MAX = 1 << 16,
	NET_LEARNED_MAX = 1 << 17,
	NET_FLOWS_MAX = 1 << 18,
	NET_AGENT_FLOWS_MAX = 4096, /* of one sandbox, so that no other has less */
	NET_DENIALS_BYTES = 256 * 1024,
	NET_TALLIES_MAX = 32768,
};

/* The maps, in the order in which their descriptors are handed over. */
enum net_map {
	NET_MAP_AGENTS,
	NET_MAP_PREFIXES,
	NET_MAP_NAMES,
	NET_MAP_ADDRESSES,
	NET_MAP_FLOWS,
	NET_MAP_LINKS,
	NET_MAP_COUNTS,
	NET_MAP_SEQUENCE,
	NET_MAP_NUMBERS,
	NET_MAP_DENIALS,
	NET_MAP_TALLIES,
	NET_MAP_CALLS,
	NET_MAPS,
};

/* Indices of net_numbers: the last number that was given to a policy, and to a name. */
enum net_number { NET_NUMBER_POLICY = 0, NET_NUMBER_NAME = 1, NET_NUMBERS };

/* What the programs are told before they are loaded. */
struct net_constants {
	__u32 level; /* how deep below the root of the hierarchy a sandbox's own cgroup lies */
	__u8 resolver[16]; /* at whose port 53 every sandbox may ask; all zero: nowhere */
};

struct net_agent {
	__u32 policy;
	__u32 slot; /* its counters: index into net_counters */
};

/* Of a dispatched call, by its cgroup. */
struct net_call {
	__u64 sandbox; /* cgroup of the sandbox that it is in */
	__u64 ends_ns; /* from then on it grants nothing */
	__u32 policy;
	__u32 unused;
};

struct net_rule {
	__u16 port_first; /* inclusive; any port: 0..65535 */
	__u16 port_last;
	__u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP, ...; 0: any */
	__u8 forbid;
	__u16 unused;
	__u32 id; /* of the policy rule, for records */
};

struct net_rules {
	__u32 count;
	struct net_rule rule[NET_RULES_MAX];
};

/* BPF_MAP_TYPE_LPM_TRIE: bits counts those of `policy` (32) and of the address that matter. */
struct net_prefix_key {
	__u32 bits;
	__u32 policy;
	__u8 address[16];
};

/* A name that the policy speaks of: the rules of every pattern that covers it, merged as above. */
struct net_name_key {
	__u32 policy;
	__u32 name; /* number that user space gave it */
};

/* An address that the DNS proxy gave to this sandbox for a name. */
struct net_learned_key {
	__u64 cgroup;
	__u8 address[16];
};

struct net_learned {
	__u64 expires_ns;
	__u32 name;
	__u32 unused;
};

/* A conversation with the outside (the resolver's apart): what was said in it, and the name that
 * began it, by which it goes on after the name's time to live has ended. */
struct net_flow_key {
	__u64 cgroup;
	__u8 address[16]; /* the other side */
	__u16 port; /* of the other side */
	__u16 own_port;
	__u8 protocol;
	__u8 unused[3];
};

enum net_flow_state {
	NET_FLOW_FIN_SENT = 1,
	NET_FLOW_FIN_RECEIVED = 2,
	NET_FLOW_RESET = 4,
};

struct net_flow {
	__u64 opened_ns;
	__u64 last_ns;
	__u64 sent_bytes; /* of packets, with their heads */
	__u64 sent_packets;
	__u64 received_bytes;
	__u64 received_packets;
	__u64 call_cgroup; /* of the task that made the socket which sent last */
	__u32 name; /* that gave the address, 0 if none */
	__u32 state; /* enum net_flow_state */
};

/* The host's end of a sandbox's link: what may come out of it. Key: the interface's index. */
struct net_link {
	__u64 cgroup;
	__u8 address[16]; /* the only IPv4 source, mapped */
	__u8 mac[6];
	__u16 unused;
};

enum net_verdict {
	NET_ALLOW = 0,
	NET_DENY_UNKNOWN_AGENT = 1, /* no policy for this cgroup, or a link that is nobody's */
	NET_DENY_MALFORMED = 2, /* truncated, impossible lengths */
	NET_DENY_ETHERTYPE = 3, /* neither IPv4, IPv6 nor (on a link) ARP */
	NET_DENY_OPTIONS = 4, /* IPv4 options, IPv6 extension headers */
	NET_DENY_FRAGMENT = 5, /* no ports to decide by */
	NET_DENY_PROTOCOL = 6, /* not TCP, UDP or an ICMP that a conversation needs */
	NET_DENY_SOURCE = 7, /* source address or MAC is not the link's */
	NET_DENY_RULE = 8, /* a forbidding rule */
	NET_DENY_DEFAULT = 9, /* no rule speaks of it */
	NET_DENY_INBOUND = 10, /* a connection from outside */
	NET_DENY_SOCKET = 11, /* a kind of socket that no rule can speak of */
	NET_DENY_LEASE = 12, /* a rule permitted it, while its call had time left */
	NET_VERDICTS,
	NET_VERDICT_SLOTS = 16, /* room for counts: a new verdict changes no layout */
};

enum net_hook {
	NET_HOOK_CONNECT = 1,
	NET_HOOK_SEND = 2,
	NET_HOOK_SOCKET = 3,
	NET_HOOK_EGRESS = 4,
	NET_HOOK_INGRESS = 5,
	NET_HOOK_BIND = 6,
	NET_HOOK_LINK = 7, /* the host's end of the sandbox's link */
	NET_HOOKS,
};

/* A record of `net_denials`, sent at once. `sequence` counts per CPU and has a gap where the ring
 * was full; net_tallies has how many, and of whom. */
struct net_denial {
	__u64 time_ns;
	__u64 cgroup; /* of the sandbox */
	__u64 call_cgroup; /* of the task that asked, or that made the packet's socket; 0: unknown
			    */
	__u64 sequence;
	__u32 policy;
	__u32 rule; /* id of the rule, 0 if none decided */
	__u32 pid; /* 0 on a packet */
	__u32 cpu;
	__u8 address[16]; /* destination; source on ingress */
	__u16 port;
	__u8 protocol;
	__u8 hook;
	__u8 verdict;
	__u8 unused[3];
	__u32 name; /* that gave the address, 0 if none */
	char comm[16]; /* of the task, empty on a packet */
};

/* Per CPU, one for each sandbox's slot. Exact, whether or not a record was sent. */
struct net_counters {
	__u64 allowed_packets;
	__u64 allowed_bytes;
	__u64 denied[NET_VERDICT_SLOTS];
};

/* 64-bit counts of a sandbox. */
enum net_tally {
	NET_TALLY_LOST = 0, /* denials that `net_denials` had no room for */
	NET_TALLY_TOLD = 1, /* of them on record as lost: user space's own */
	NET_TALLY_FLOWS = 2, /* that were entered into `net_flows` */
	NET_TALLY_FLOWS_OVER = 3, /* user space's own: that were taken out and are on record */
	NET_TALLY_UNLISTED = 4, /* packets that would have begun one, beyond its limit */
	NET_TALLIES,
};
struct net_tally_key {
	__u64 cgroup;
	__u32 which; /* enum net_tally */
	__u32 unused;
};
