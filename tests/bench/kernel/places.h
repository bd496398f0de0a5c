/* SPDX-License-Identifier: AGPL-3.0-only */
/* The cgroups and the network that probes live in, what hangs on them, and a container. */
#pragma once

#include "bpf/net/net_api.h"
#include "daemon/helper/netprog.h"
#include "daemon/helper/recordprog.h"
#include "tests/bench/daemon/helper/launcher.h"
#include "tests/bench/kernel/probes.h"

/* Numbers of policies, beyond those that a sensor gives out. */
enum { FIRST_POLICY = 1000000, POLICIES = 100, POLICY = FIRST_POLICY + POLICIES / 2 };
enum { PREFIXES = 16, SLOT = 1 };

enum hooks { HOOKS_NONE, HOOKS_EMPTY, HOOKS_OURS, HOOKS };

/* A network namespace with PROBE_ADDRESS, which this process is in from then on; a parent of
 * sandboxes and one of them, whose policy permits that address. */
struct place {
	char parent[128], sandbox[160];
	int parent_fd;
	uint64_t cgroup;
	struct netprog net;
	struct recordprog record;
	struct bpf_object *empty;
	enum hooks hooked;
};

void place_make(struct place *p);
void place_hook(struct place *p, enum hooks h); /* instead of what hangs there */
void place_remove(struct place *p);
/* From FIRST_POLICY on; each has that many ranges, one of them PROBE_ADDRESS alone. */
void place_enter_policies(int prefixes_map, uint32_t policies, uint32_t prefixes);

struct container {
	struct docker docker;
	struct probe probe;
	char dir[64];
	bool running;
};
/* NULL, or why there is none; to be stopped in any case. */
const char *container_start(struct container *c);
void container_stop(struct container *c);
/* On this process's own loopback, as in a container. */
void probe_spawn_local(struct probe *p);
