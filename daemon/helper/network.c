/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/helper/network.h"
#include "daemon/helper/nat.h"
#include "daemon/helper/veth.h"
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A parent of n components has sandboxes at level n + 1. */
static uint32_t level_below(const char *parent)
{
	struct span rest = span_cstr(parent), piece;
	uint32_t level = 1;
	bool done = false;

	while (span_split(&rest, '/', &done, &piece))
		level += piece.n > 0;
	return level;
}

static int load(struct network *n, int cgroup)
{
	int r = netprog_load(cgroup, &n->constants, &n->programs);
	if (r < 0)
		return err_trace(r);
	n->loaded = true;
	return 0;
}

int network_open(struct network *n, struct in_addr range, const char *cgroup_parent, int cgroup)
{
	*n = (struct network){.range = range, .constants.level = level_below(cgroup_parent)};
	if (range.s_addr) {
		struct in_addr gateway = veth_gateway(range);
		memset(n->constants.resolver + 10, 0xff, 2);
		memcpy(n->constants.resolver + 12, &gateway, 4);
	}
	if (!netprog_is_attached(cgroup))
		return 0;
	int r = load(n, cgroup);
	if (r == 0)
		r = netprog_attach(&n->programs, cgroup);
	if (r == 0 && range.s_addr)
		r = nat_open(range);
	n->attached = r == 0;
	return r < 0 ? err_wrap(r, "programs of an earlier helper hang on %s", cgroup_parent) : 0;
}

void network_resolv_conf(struct in_addr range, char *ret, size_t room)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr gateway = veth_gateway(range);

	if (range.s_addr == 0)
		snprintf(ret, room, "# sandboxes of this node have no network\n");
	else
		snprintf(ret, room, "nameserver %s\noptions timeout:5 attempts:2\n",
			inet_ntop(AF_INET, &gateway, text, sizeof(text)));
}

void network_close(struct network *n)
{
	if (n->loaded)
		netprog_close(&n->programs);
	n->loaded = false;
}

int network_ready(struct network *n, int cgroup)
{
	if (n->range.s_addr == 0)
		return err_raise(-EOPNOTSUPP,
			"this node gives sandboxes no network: aegis-helper runs without "
			"--network-range");
	return n->loaded ? 0 : err_trace(load(n, cgroup));
}

static int put_agent(
	struct network *n, uint64_t cgroup_id, uint32_t slot, uint32_t policy, uint64_t flags)
{
	/* Slot 0 of the counters is of cgroups without an entry. */
	struct net_agent entry = {.policy = policy, .slot = slot + 1};
	int r = bpf_map_update_elem(n->programs.maps[NET_MAP_AGENTS], &cgroup_id, &entry, flags);
	return r < 0 && r != -EEXIST ? err_sys(r, "entry of net_agents") : 0;
}

int network_admit(struct network *n, uint64_t cgroup_id, uint32_t slot)
{
	return n->attached || n->loaded ? err_trace(put_agent(n, cgroup_id, slot, 0, BPF_NOEXIST))
					: 0;
}

void network_dismiss(struct network *n, uint64_t cgroup_id)
{
	if (n->loaded)
		(void)bpf_map_delete_elem(n->programs.maps[NET_MAP_AGENTS], &cgroup_id);
}

int network_attach(struct network *n, int cgroup)
{
	if (n->attached)
		return 0;
	int r = netprog_attach(&n->programs, cgroup);
	if (r == 0)
		r = nat_open(n->range);
	if (r < 0) {
		netprog_detach(cgroup);
		return err_trace(r);
	}
	n->attached = true;
	return 0;
}

int network_link(struct network *n, const struct network_link *l)
{
	struct veth_plan p = {
		.own_netns = l->own_netns,
		.netns = l->netns,
		.range = n->range,
		.slot = l->slot,
		.cgroup = l->cgroup_id,
		.links = n->programs.maps[NET_MAP_LINKS],
		.program = n->programs.link,
	};
	struct veth v;
	int r = put_agent(n, l->cgroup_id, l->slot, l->policy, BPF_ANY);

	if (r == 0)
		r = veth_make(&p, &v);
	if (r < 0)
		return err_trace(r);
	n->links++;
	return 0;
}

void network_settle(struct network *n, int cgroup)
{
	if (n->links > 0 || !n->attached)
		return;
	netprog_detach(cgroup);
	nat_close(n->range);
	n->attached = false;
}

void network_unlink(struct network *n, int cgroup, uint32_t slot)
{
	int r = veth_remove(slot, n->loaded ? n->programs.maps[NET_MAP_LINKS] : -1);
	if (r < 0) {
		err_log(r, "take a link away");
		err_clear();
	}
	n->links -= n->links > 0;
	network_settle(n, cgroup);
}

int network_resolver(const struct network *n, uint32_t slot, int *ret_udp, int *ret_tcp)
{
	return err_trace(veth_resolver_sockets(n->range, slot, ret_udp, ret_tcp));
}
