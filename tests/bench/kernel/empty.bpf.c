/* SPDX-License-Identifier: AGPL-3.0-only */
/* On every hook of the network programs one that does nothing: what a hook costs by being there. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "AGPL-3.0-only";

#define EMPTY(section, name, context) \
	SEC(section) \
	int name(context *ctx) \
	{ \
		return 1; \
	}

EMPTY("cgroup_skb/egress", empty_egress, struct __sk_buff)
EMPTY("cgroup_skb/ingress", empty_ingress, struct __sk_buff)
EMPTY("cgroup/connect4", empty_connect4, struct bpf_sock_addr)
EMPTY("cgroup/connect6", empty_connect6, struct bpf_sock_addr)
EMPTY("cgroup/sendmsg4", empty_sendmsg4, struct bpf_sock_addr)
EMPTY("cgroup/sendmsg6", empty_sendmsg6, struct bpf_sock_addr)
EMPTY("cgroup/bind4", empty_bind4, struct bpf_sock_addr)
EMPTY("cgroup/bind6", empty_bind6, struct bpf_sock_addr)
EMPTY("cgroup/sock_create", empty_socket, struct bpf_sock)
EMPTY("tc", empty_link, struct __sk_buff)
