/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/helper/netprog.h"
#include "daemon/helper/progset.h"
#include <string.h>

extern const unsigned char net_object[], net_object_end[];

static const char *const map_names[NET_MAPS] = {
	[NET_MAP_AGENTS] = "net_agents",
	[NET_MAP_PREFIXES] = "net_prefixes",
	[NET_MAP_NAMES] = "net_names",
	[NET_MAP_ADDRESSES] = "net_addresses",
	[NET_MAP_FLOWS] = "net_flows",
	[NET_MAP_LINKS] = "net_links",
	[NET_MAP_COUNTS] = "net_counts",
	[NET_MAP_SEQUENCE] = "net_sequence",
	[NET_MAP_NUMBERS] = "net_numbers",
	[NET_MAP_DENIALS] = "net_denials",
	[NET_MAP_TALLIES] = "net_tallies",
	[NET_MAP_CALLS] = "net_calls",
};

static const struct progset_program programs[] = {
	/* Packets first: what is only half attached is still denied what matters. */
	{"net_egress", BPF_CGROUP_INET_EGRESS},
	{"net_ingress", BPF_CGROUP_INET_INGRESS},
	{"net_connect4", BPF_CGROUP_INET4_CONNECT},
	{"net_connect6", BPF_CGROUP_INET6_CONNECT},
	{"net_sendmsg4", BPF_CGROUP_UDP4_SENDMSG},
	{"net_sendmsg6", BPF_CGROUP_UDP6_SENDMSG},
	{"net_bind4", BPF_CGROUP_INET4_BIND},
	{"net_bind6", BPF_CGROUP_INET6_BIND},
	{"net_socket", BPF_CGROUP_INET_SOCK_CREATE},
	{"net_link", PROGSET_ELSEWHERE},
};
_Static_assert(ARRAY_LEN(programs) == NETPROG_HOOKS + 1, "the link's program is the last");

static const struct progset_plan plan = {
	.name = "net",
	.what = "network programs",
	.object = net_object,
	.object_end = net_object_end,
	.maps = map_names,
	.map_count = ARRAY_LEN(map_names),
	.programs = programs,
	.program_count = ARRAY_LEN(programs),
};

int netprog_load(int cgroup, const struct net_constants *constants, struct netprog *ret)
{
	struct progset s;
	int r = progset_load(
		&plan, cgroup, span_of((const char *)constants, sizeof(*constants)), &s);

	if (r < 0)
		return err_trace(r);
	memcpy(ret->maps, s.maps, sizeof(ret->maps));
	memcpy(ret->hooks, s.programs, sizeof(ret->hooks));
	ret->link = s.programs[NETPROG_HOOKS];
	ret->instructions = s.instructions;
	return 0;
}

void netprog_close(struct netprog *n)
{
	for (int i = 0; i < NET_MAPS; i++)
		fd_cleanup(&n->maps[i]);
	for (int i = 0; i < NETPROG_HOOKS; i++)
		fd_cleanup(&n->hooks[i]);
	fd_cleanup(&n->link);
}

int netprog_attach(const struct netprog *n, int cgroup)
{
	struct progset s = {.plan = &plan};

	memcpy(s.programs, n->hooks, sizeof(n->hooks));
	return err_trace(progset_attach(&s, cgroup));
}

bool netprog_is_attached(int cgroup)
{
	return progset_is_attached(&plan, cgroup);
}

void netprog_detach(int cgroup)
{
	progset_detach(&plan, cgroup);
}
