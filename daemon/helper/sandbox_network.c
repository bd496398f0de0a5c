/* SPDX-License-Identifier: AGPL-3.0-only */
/* Which sandboxes have a link, and when the programs must hang on their cgroups. */
#include "daemon/helper/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* The programs deny who has no entry, so everybody gets one before they are attached. */
static int admit_all(struct sandbox_set *set)
{
	int r = 0;

	list_for_each (node, &set->all) {
		const struct sandbox *s = list_entry(node, struct sandbox, link);
		if (r == 0 && s->has_slot && !s->gone)
			r = network_admit(&set->host->network, s->cgroup_id, s->mark.slot);
	}
	return err_trace(r);
}

static int open_netns(const struct sandbox *s)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/ns/net", s->mark.pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

int sandbox_link(struct sandbox_set *set, struct sandbox *s, uint32_t policy)
{
	struct host *h = set->host;
	/* Its pid 1 is our child and not waited for, so the number is its own. */
	AUTO_FD netns = open_netns(s);
	struct network_link link = {
		.own_netns = h->net.own,
		.netns = netns,
		.slot = s->mark.slot,
		.cgroup_id = s->cgroup_id,
		.policy = policy,
	};
	int r = netns < 0 ? err_sys(-errno, "open the network of sandbox %s", s->name) : 0;

	if (r == 0)
		r = network_ready(&h->network, h->cgroups.v2);
	if (r == 0)
		r = admit_all(set);
	if (r == 0)
		r = network_attach(&h->network, h->cgroups.v2);
	if (r == 0)
		r = network_link(&h->network, &link);
	if (r < 0)
		return err_trace(r);
	/* At once, so that a helper that is killed now is followed by one that takes it away. */
	s->mark.network = 1;
	return err_trace(cgroup_mark_set(s->cgroup, &s->mark));
}

void sandbox_unlink(struct sandbox_set *set, struct sandbox *s)
{
	struct host *h = set->host;

	if (s->mark.network) {
		network_unlink(&h->network, h->cgroups.v2, s->mark.slot);
		s->mark.network = 0;
	}
	network_dismiss(&h->network, s->cgroup_id);
	lsmprog_dismiss(&h->lsm, s->cgroup_id);
}
