/* SPDX-License-Identifier: AGPL-3.0-only */
/* The ring of denials, their words, and whether the maps behind it are still the helper's. */
#include "daemon/sensor/internal.h"
#include <bpf/bpf.h>

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t bytes = sizeof(info);
	return bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0 ? info.id : 0;
}

bool sensor_has_maps(const struct sensor *s, const int maps[NET_MAPS])
{
	uint32_t id = map_id(maps[NET_MAP_AGENTS]);
	return id != 0 && id == map_id(s->maps[NET_MAP_AGENTS]);
}

int sensor_denials_fd(const struct sensor *s)
{
	return s->denials.epoll;
}

size_t sensor_denials_next(struct sensor *s, const struct net_denial *const **ret)
{
	size_t n = sensor_ring_next(&s->denials);

	*ret = (const struct net_denial *const *)(const void *)s->denials.records;
	return n;
}

void sensor_denials_done(struct sensor *s)
{
	sensor_ring_done(&s->denials);
}

size_t sensor_losses(const struct sensor *s, struct sensor_loss *ret, size_t room)
{
	return sensor_losses_of(s->maps[NET_MAP_TALLIES], ret, room);
}

void sensor_loss_told(struct sensor *s, const struct sensor_loss *l)
{
	sensor_loss_told_of(s->maps[NET_MAP_TALLIES], l);
}

void sensor_loss_forget(struct sensor *s, uint64_t cgroup)
{
	sensor_loss_forget_of(s->maps[NET_MAP_TALLIES], cgroup);
}

const char *sensor_verdict_text(enum net_verdict v)
{
	switch (v) {
	case NET_ALLOW:
		return "allowed";
	case NET_DENY_UNKNOWN_AGENT:
		return "the sandbox has no policy";
	case NET_DENY_MALFORMED:
		return "malformed packet";
	case NET_DENY_ETHERTYPE:
		return "neither IPv4 nor IPv6";
	case NET_DENY_OPTIONS:
		return "IP options or extension headers";
	case NET_DENY_FRAGMENT:
		return "a fragment";
	case NET_DENY_PROTOCOL:
		return "neither TCP nor UDP";
	case NET_DENY_SOURCE:
		return "a source that is not the sandbox's own";
	case NET_DENY_RULE:
		return "a rule forbids it";
	case NET_DENY_DEFAULT:
		return "no rule permits it";
	case NET_DENY_INBOUND:
		return "nothing may come in";
	case NET_DENY_LEASE:
		return "the call that had a lease of it is over";
	case NET_DENY_SOCKET:
		return "a kind of socket that no rule can speak of";
	case NET_VERDICTS:
	case NET_VERDICT_SLOTS:
		break;
	}
	return "unknown";
}

const char *sensor_hook_text(enum net_hook h)
{
	switch (h) {
	case NET_HOOK_CONNECT:
		return "connect";
	case NET_HOOK_SEND:
		return "send";
	case NET_HOOK_SOCKET:
		return "socket";
	case NET_HOOK_EGRESS:
		return "egress";
	case NET_HOOK_INGRESS:
		return "ingress";
	case NET_HOOK_BIND:
		return "bind";
	case NET_HOOK_LINK:
		return "link";
	case NET_HOOKS:
		break;
	}
	return "unknown";
}
