/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One rtnetlink socket per namespace. A pair costs some 300 microseconds; moving an end into
 * another namespace would cost 13 milliseconds, so the inner one is made there.
 */
#include "daemon/helper/veth.h"
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 4096, RESOLVER_BACKLOG = 8, DNS_PORT = 53 };

#define INNER "eth0"

/* Locally administered; the same in every sandbox, for nobody else is on its link. */
static const uint8_t host_mac[6] = {0x02, 0xa6, 0, 0, 0, 1},
		     inner_mac[6] = {0x02, 0xa6, 0, 0, 0, 2};

struct in_addr veth_gateway(struct in_addr range)
{
	return (struct in_addr){htonl(ntohl(range.s_addr) + 1)};
}

struct in_addr veth_address(struct in_addr range, uint32_t slot)
{
	return (struct in_addr){htonl(ntohl(range.s_addr) + VETH_FIRST + slot)};
}

static void name_of(uint32_t slot, char ret[VETH_NAME_BYTES])
{
	snprintf(ret, VETH_NAME_BYTES, VETH_PREFIX "%u", slot);
}

/* ---- one request, one answer ---- */

struct request {
	struct nlmsghdr *head;
	char bytes[MESSAGE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
};

static void *begin(struct request *q, uint16_t type, uint16_t flags, size_t family_bytes)
{
	q->head = mnl_nlmsg_put_header(q->bytes);
	q->head->nlmsg_type = type;
	q->head->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	q->head->nlmsg_seq = 1;
	return mnl_nlmsg_put_extra_header(q->head, family_bytes);
}

static int finish(int fd, const struct request *q)
{
	char answer[MESSAGE_BYTES];

	if (send(fd, q->bytes, q->head->nlmsg_len, 0) < 0)
		return -errno;
	ssize_t n = recv(fd, answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	const struct nlmsghdr *h = (const struct nlmsghdr *)answer;
	if (!mnl_nlmsg_ok(h, (int)n) || h->nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(h))->error;
}

static int rtnetlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

static int make_pair(int fd, const struct veth_plan *p, const char *name)
{
	struct request q;
	begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(q.head, IFLA_IFNAME, name);
	mnl_attr_put(q.head, IFLA_ADDRESS, sizeof(host_mac), host_mac);
	struct nlattr *info = mnl_attr_nest_start(q.head, IFLA_LINKINFO);
	mnl_attr_put_strz(q.head, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(q.head, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(q.head, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(q.head, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(q.head, IFLA_IFNAME, INNER);
	mnl_attr_put(q.head, IFLA_ADDRESS, sizeof(inner_mac), inner_mac);
	mnl_attr_put_u32(q.head, IFLA_NET_NS_FD, (uint32_t)p->netns);
	mnl_attr_nest_end(q.head, peer);
	mnl_attr_nest_end(q.head, data);
	mnl_attr_nest_end(q.head, info);
	return finish(fd, &q);
}

static int set_up(int fd, uint32_t index)
{
	struct request q;
	struct ifinfomsg *m = begin(&q, RTM_NEWLINK, 0, sizeof(*m));
	m->ifi_index = (int)index;
	m->ifi_flags = IFF_UP;
	m->ifi_change = IFF_UP;
	return finish(fd, &q);
}

static int add_address(int fd, uint32_t index, struct in_addr a)
{
	struct request q;
	struct ifaddrmsg *m = begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m));
	m->ifa_family = AF_INET;
	m->ifa_prefixlen = 32;
	m->ifa_index = index;
	mnl_attr_put_u32(q.head, IFA_LOCAL, a.s_addr);
	mnl_attr_put_u32(q.head, IFA_ADDRESS, a.s_addr);
	return finish(fd, &q);
}

static int add_neighbour(int fd, uint32_t index, struct in_addr a, const uint8_t *mac)
{
	struct request q;
	struct ndmsg *m = begin(&q, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m));
	m->ndm_family = AF_INET;
	m->ndm_ifindex = (int)index;
	m->ndm_state = NUD_PERMANENT;
	mnl_attr_put_u32(q.head, NDA_DST, a.s_addr);
	mnl_attr_put(q.head, NDA_LLADDR, 6, mac);
	return finish(fd, &q);
}

/* `via` NULL: to that one address, on the link itself; else the default route. */
static int add_route(int fd, uint32_t index, struct in_addr to, const struct in_addr *via)
{
	struct request q;
	struct rtmsg *m = begin(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m));
	m->rtm_family = AF_INET;
	m->rtm_dst_len = via ? 0 : 32;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_scope = via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	m->rtm_type = RTN_UNICAST;
	if (via)
		mnl_attr_put_u32(q.head, RTA_GATEWAY, via->s_addr);
	else
		mnl_attr_put_u32(q.head, RTA_DST, to.s_addr);
	mnl_attr_put_u32(q.head, RTA_OIF, index);
	return finish(fd, &q);
}

/* ---- both ends ---- */

static int put_setting(const char *family, const char *name, const char *setting, const char *value)
{
	char path[160];
	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, name, setting);
	AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && strcmp(family, "ipv6") == 0)
		return 0; /* a kernel without IPv6 */
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		return err_sys(-errno, "set %s", path);
	return 0;
}

/* The host's end forwards, to where nat.h lets it, and believes no source but the sandbox's. */
static int settings(const char *name)
{
	int r = put_setting("ipv6", name, "disable_ipv6", "1");
	if (r == 0)
		r = put_setting("ipv4", name, "forwarding", "1");
	if (r == 0)
		r = put_setting("ipv4", name, "rp_filter", "1");
	if (r == 0)
		r = put_setting("ipv4", name, "accept_redirects", "0");
	return err_trace(r);
}

static int attach_program(uint32_t index, int program)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)index, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = program, .handle = 1, .priority = 1);

	int r = bpf_tc_hook_create(&hook);
	if (r == 0)
		r = bpf_tc_attach(&hook, &opts);
	return r < 0 ? err_raise(-EOPNOTSUPP,
			       "attach a program to a link: %s; the kernel needs sch_ingress and "
			       "cls_bpf",
			       strerror(-r))
		     : 0;
}

static int admit(const struct veth_plan *p, uint32_t index)
{
	struct net_link entry = {.cgroup = p->cgroup, .address = {[10] = 0xff, [11] = 0xff}};
	struct in_addr own = veth_address(p->range, p->slot);

	memcpy(entry.address + 12, &own, 4);
	memcpy(entry.mac, inner_mac, sizeof(inner_mac));
	int r = bpf_map_update_elem(p->links, &index, &entry, BPF_ANY);
	return r < 0 ? err_sys(r, "entry of net_links") : 0;
}

/* Before it is up: what comes later is decided from its first packet on. */
static int furnish_host(int fd, const struct veth_plan *p, const struct veth *v)
{
	struct in_addr own = veth_address(p->range, p->slot);
	int r = settings(v->name);

	if (r == 0)
		r = admit(p, v->index);
	if (r == 0)
		r = attach_program(v->index, p->program);
	if (r < 0)
		return err_trace(r);
	r = add_address(fd, v->index, veth_gateway(p->range));
	if (r == 0)
		r = set_up(fd, v->index);
	if (r == 0)
		r = add_neighbour(fd, v->index, own, inner_mac);
	if (r == 0)
		r = add_route(fd, v->index, own, NULL);
	return r < 0 ? err_sys(r, "the host's end of link %s", v->name) : 0;
}

static int furnish_inner(int fd, const struct veth_plan *p)
{
	struct in_addr gateway = veth_gateway(p->range);
	uint32_t index = if_nametoindex(INNER);

	if (index == 0)
		return err_sys(-errno, "find %s in the sandbox", INNER);
	int r = put_setting("ipv6", INNER, "disable_ipv6", "1");
	if (r < 0)
		return err_trace(r);
	r = add_address(fd, index, veth_address(p->range, p->slot));
	if (r == 0)
		r = set_up(fd, index);
	if (r == 0)
		r = add_neighbour(fd, index, gateway, host_mac);
	if (r == 0)
		r = add_route(fd, index, gateway, NULL);
	if (r == 0)
		r = add_route(fd, index, gateway, &gateway);
	return r < 0 ? err_sys(r, "the sandbox's end of its link") : 0;
}

static int inside(const struct veth_plan *p)
{
	if (setns(p->netns, CLONE_NEWNET) < 0)
		return err_sys(-errno, "step into the sandbox's network");
	AUTO_FD fd = rtnetlink();
	int r = fd < 0 ? err_sys(-errno, "rtnetlink") : furnish_inner(fd, p);
	/* A helper that stayed in a sandbox's network would be a bug with teeth. */
	CHECK(setns(p->own_netns, CLONE_NEWNET) == 0);
	return err_trace(r);
}

static int delete_link(int fd, const char *name)
{
	struct request q;
	begin(&q, RTM_DELLINK, 0, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(q.head, IFLA_IFNAME, name);
	return finish(fd, &q);
}

int veth_make(const struct veth_plan *p, struct veth *ret)
{
	struct veth v = {.index = 0};
	AUTO_FD fd = rtnetlink();

	if (fd < 0)
		return err_sys(-errno, "rtnetlink");
	name_of(p->slot, v.name);
	int r = make_pair(fd, p, v.name);
	if (r == -EEXIST) {
		r = delete_link(fd, v.name);
		if (r == 0)
			r = make_pair(fd, p, v.name);
	}
	if (r < 0)
		return err_raise(r == -EOPNOTSUPP ? r : -EIO, "make link %s: %s%s", v.name,
			strerror(-r), r == -EOPNOTSUPP ? "; the kernel needs veth" : "");
	v.index = if_nametoindex(v.name);
	r = v.index ? furnish_host(fd, p, &v) : err_sys(-errno, "find link %s", v.name);
	if (r == 0)
		r = inside(p);
	if (r < 0) {
		(void)bpf_map_delete_elem(p->links, &v.index);
		(void)delete_link(fd, v.name);
		return err_trace(r);
	}
	*ret = v;
	return 0;
}

int veth_remove(uint32_t slot, int links)
{
	char name[VETH_NAME_BYTES];
	AUTO_FD fd = rtnetlink();

	if (fd < 0)
		return err_sys(-errno, "rtnetlink");
	name_of(slot, name);
	uint32_t index = if_nametoindex(name);
	if (index == 0)
		return 0;
	(void)bpf_map_delete_elem(links, &index);
	int r = delete_link(fd, name);
	return r < 0 && r != -ENODEV ? err_sys(r, "remove link %s", name) : 0;
}

static int gateway_socket(struct in_addr range, const char *name, int type, int *ret)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons(DNS_PORT),
		.sin_addr = veth_gateway(range)};
	int one = 1;
	AUTO_FD fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, VETH_NAME_BYTES) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		(type == SOCK_STREAM && listen(fd, RESOLVER_BACKLOG) < 0))
		return err_sys(-errno, "port %d of the gateway on link %s", DNS_PORT, name);
	*ret = TAKE_FD(fd);
	return 0;
}

int veth_resolver_sockets(struct in_addr range, uint32_t slot, int *ret_udp, int *ret_tcp)
{
	char name[VETH_NAME_BYTES] = "";
	AUTO_FD udp = -1;

	name_of(slot, name);
	int r = gateway_socket(range, name, SOCK_DGRAM, &udp);
	if (r == 0)
		r = gateway_socket(range, name, SOCK_STREAM, ret_tcp);
	if (r < 0)
		return err_trace(r);
	*ret_udp = TAKE_FD(udp);
	return 0;
}
