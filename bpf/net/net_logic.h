/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the network programs decide, as inline functions over memory: no map, no helper, so that the
 * same code runs in the kernel and in a test. Everything unusual is refused by name: options,
 * extension headers, fragments and protocols that carry no port cannot be decided by port, and
 * what cannot be decided is denied.
 */
#pragma once

#include "bpf/net/net_api.h"

#define NET_INLINE static inline __attribute__((always_inline))

enum {
	NET_IPV4 = 4,
	NET_IPV6 = 6,
	NET_PROTO_ICMP = 1,
	NET_PROTO_TCP = 6,
	NET_PROTO_UDP = 17,
	NET_PROTO_ICMP6 = 58,
	NET_HEAD_BYTES = 60, /* of a packet, enough for every decision */
	NET_TCP_FIN = 0x01,
	NET_TCP_SYN = 0x02,
	NET_TCP_RST = 0x04,
	NET_TCP_ACK = 0x10,
};

/* What is decided: the other side of a conversation. */
struct net_peer {
	__u8 address[16];
	__u16 port;
	__u16 own_port;
	__u8 protocol;
	__u8 opens; /* TCP: a SYN without ACK */
	__u8 control; /* an ICMP message that a conversation needs; it has no port */
	__u8 flags; /* of TCP */
};

NET_INLINE __u16 net_u16(const __u8 *p)
{
	return (__u16)(p[0] << 8 | p[1]);
}

NET_INLINE void net_map_ipv4(__u8 *address, const __u8 *ipv4)
{
	__builtin_memset(address, 0, 10);
	address[10] = address[11] = 0xff;
	__builtin_memcpy(address + 12, ipv4, 4);
}

/* Four bytes as they stand in memory, so that a comparison with a constant needs no byte order. */
NET_INLINE __u32 net_word(const __u8 *p)
{
	__u32 v;
	__builtin_memcpy(&v, p, 4);
	return v;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NET_WORD(v) ((__u32)__builtin_bswap32(v))
#else
#define NET_WORD(v) ((__u32)(v))
#endif

NET_INLINE int net_is_mapped(const __u8 *address)
{
	return net_word(address) == 0 && net_word(address + 4) == 0 &&
		net_word(address + 8) == NET_WORD(0xffff);
}

/* 0.0.0.0 and :: as a destination mean this host, as connect(2) takes them. */
NET_INLINE void net_canonical(__u8 *address)
{
	if (net_is_mapped(address) && net_word(address + 12) == 0) {
		address[12] = 127;
		address[15] = 1;
	} else if (net_word(address) == 0 && net_word(address + 4) == 0 &&
		net_word(address + 8) == 0 && net_word(address + 12) == 0) {
		address[15] = 1;
	}
}

NET_INLINE int net_is_loopback(const __u8 *address)
{
	if (net_is_mapped(address))
		return address[12] == 127;
	return net_word(address) == 0 && net_word(address + 4) == 0 && net_word(address + 8) == 0 &&
		net_word(address + 12) == NET_WORD(1);
}

/* A question to the sandbox's resolver: what it may ask is decided there. */
NET_INLINE int net_to_resolver(const __u8 *resolver, const struct net_peer *p)
{
	return p->port == 53 && (p->protocol == NET_PROTO_TCP || p->protocol == NET_PROTO_UDP) &&
		net_is_mapped(resolver) && net_is_mapped(p->address) &&
		net_word(resolver + 12) == net_word(p->address + 12);
}

/* ICMP that a conversation needs: errors coming in, and neighbour discovery, which no router passes
 * on. Nothing else goes out: the payload of an echo or an error is a way out. */
NET_INLINE int net_icmp_needed(__u8 protocol, __u8 type, int out)
{
	if (protocol == NET_PROTO_ICMP)
		return !out && (type == 3 || type == 11 || type == 12);
	return (!out && type >= 1 && type <= 4) || (type >= 133 && type <= 136);
}

/*
 * The other side of a packet whose first `have` bytes, of `total`, stand in head[NET_HEAD_BYTES]
 * (network header first, zero beyond `have`). `out`: the packet leaves the sandbox, so the other
 * side is its destination.
 */
NET_INLINE enum net_verdict net_parse(
	const __u8 *head, __u32 have, __u32 total, int out, struct net_peer *ret)
{
	__u32 version = head[0] >> 4, at;

	__builtin_memset(ret, 0, sizeof(*ret));
	if (version == NET_IPV4) {
		if (have < 20 || total < 20)
			return NET_DENY_MALFORMED;
		if ((head[0] & 15) != 5)
			return NET_DENY_OPTIONS;
		if (net_u16(head + 6) & 0x3fff) /* more follows, or this is not the first */
			return NET_DENY_FRAGMENT;
		ret->protocol = head[9];
		net_map_ipv4(ret->address, out ? head + 16 : head + 12);
		at = 20;
		if (ret->protocol == NET_PROTO_ICMP6)
			return NET_DENY_PROTOCOL;
	} else if (version == NET_IPV6) {
		if (have < 40 || total < 40)
			return NET_DENY_MALFORMED;
		ret->protocol = head[6];
		__builtin_memcpy(ret->address, out ? head + 24 : head + 8, 16);
		at = 40;
		if (ret->protocol == NET_PROTO_ICMP)
			return NET_DENY_PROTOCOL;
		if (ret->protocol == 44)
			return NET_DENY_FRAGMENT;
		if (ret->protocol == 0 || ret->protocol == 43 || ret->protocol == 60 ||
			ret->protocol == 135 || ret->protocol == 139 || ret->protocol == 140 ||
			ret->protocol == 50 || ret->protocol == 51)
			return NET_DENY_OPTIONS;
	} else {
		return NET_DENY_ETHERTYPE;
	}

	/* `at` is 20 or 40; the constants let the verifier see that head holds 20 bytes more. */
	const __u8 *p = at == 20 ? head + 20 : head + 40;
	if (ret->protocol == NET_PROTO_TCP) {
		if (have < at + 20)
			return NET_DENY_MALFORMED;
		ret->flags = p[13];
		ret->opens = (p[13] & (NET_TCP_SYN | NET_TCP_ACK)) == NET_TCP_SYN;
	} else if (ret->protocol == NET_PROTO_UDP) {
		if (have < at + 8)
			return NET_DENY_MALFORMED;
	} else if (ret->protocol == NET_PROTO_ICMP || ret->protocol == NET_PROTO_ICMP6) {
		if (have < at + 8)
			return NET_DENY_MALFORMED;
		if (!net_icmp_needed(ret->protocol, p[0], out))
			return NET_DENY_PROTOCOL;
		ret->control = 1;
		return NET_ALLOW;
	} else {
		return NET_DENY_PROTOCOL;
	}
	ret->port = net_u16(out ? p + 2 : p);
	ret->own_port = net_u16(out ? p : p + 2);
	return NET_ALLOW;
}

/* The first rule that matches decides; *ret_rule is its id. */
NET_INLINE enum net_verdict net_match(
	const struct net_rules *rules, __u8 protocol, __u16 port, __u32 *ret_rule)
{
	for (__u32 i = 0; i < NET_RULES_MAX; i++) {
		if (i >= rules->count)
			break;
		const struct net_rule *r = &rules->rule[i];
		if (r->protocol && r->protocol != protocol)
			continue;
		if (port < r->port_first || port > r->port_last)
			continue;
		*ret_rule = r->id;
		return r->forbid ? NET_DENY_RULE : NET_ALLOW;
	}
	return NET_DENY_DEFAULT;
}

/* What a packet with these TCP flags makes of a conversation. */
NET_INLINE __u32 net_flow_state(__u8 flags, int out)
{
	__u32 state = 0;

	if (flags & NET_TCP_FIN)
		state |= out ? NET_FLOW_FIN_SENT : NET_FLOW_FIN_RECEIVED;
	if (flags & NET_TCP_RST)
		state |= NET_FLOW_RESET;
	return state;
}
