/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Everything the helper holds to make sandboxes from, private to this room: what it was told at
 * start, checked, and what it opened or built once.
 */
#pragma once

#include "daemon/helper/cgroup.h"
#include "daemon/helper/launch_plan.h"
#include "daemon/helper/guardprog.h"
#include "daemon/helper/lsmprog.h"
#include "daemon/helper/namespaces.h"
#include "daemon/helper/network.h"
#include "daemon/helper/recordprog.h"
#include "daemon/helper/root.h"
#include "daemon/helper/signer.h"
#include "daemon/helper/workspace.h"

/* From the command line; all paths absolute. */
struct host_options {
	const char *run_dir; /* sockets; made if missing */
	const char *state_dir; /* key, heads, workspaces, default registry; made if missing */
	const char *runtimes; /* the registry; NULL: STATE/runtimes, generated if missing */
	const char *bootstrap; /* aegis-bootstrap */
	const char *cgroup_parent;
	uid_t uid; /* aegisd's; not root */
	gid_t gid;
	uid_t slot_base; /* host uids and gids slot_base .. slot_base + slot_count - 1 are
			    sandboxes' */
	uint32_t slot_count;
	uint32_t network_pool; /* network namespaces kept ready */
	uint32_t prepared; /* sandboxes kept ready */
	uint32_t seats; /* processes kept ready in cgroups, where that saves a wait */
	struct in_addr network_range; /* sandboxes' addresses; 0: they get no network */
};

/* A host uid that a sandbox has to itself, and the two user namespaces that belong to it. They are
 * kept for the next sandbox of the slot: nothing can be left in them. */
struct slot {
	bool taken;
	int user_ns; /* LAUNCH_UID inside; -1 until needed */
	int idmap_ns; /* aegisd's uid inside; -1 until needed */
};

struct host {
	struct host_options options;
	uint64_t instance;
	struct cgroup_host cgroups;
	struct workspaces workspaces;
	struct netpool net;
	struct network network;
	struct lsmprog lsm;
	struct recordprog record;
	struct guardprog guard;
	struct root_set roots;
	struct runtime_registry *registry;
	struct seccomp_program seccomp;
	struct signer *signer;
	struct slot *slots;
	struct plan_mask masks[PLAN_MASKS_MAX];
	size_t mask_count;
	char *child_stack; /* lowest address */
	int bootstrap; /* aegis-bootstrap, to execute */
	int null; /* /dev/null */
	int mount_ns; /* the helper's own */
	int run; /* RUN, locked */
	char sockets_path[64]; /* fits into sun_path with a name behind it */
	char staging_path[LIMIT_PATH_BYTES];
	char transports_path[80]; /* likewise */
	char resolv_conf[64];
	int landlock_abi;
	rlim_t rlimit_max[RLIM_NLIMITS]; /* the helper's own: a sandbox can have no more */
	bool spared; /* the helper's oom_score_adj is negative, and must not be inherited */
};

enum { HOST_CHILD_STACK_BYTES = 64 * 1024 };

/* Checks and opens everything; says what is wrong and what would be accepted. */
int host_open(struct host *h, const struct host_options *o) MUST_USE;
void host_close(struct host *h);

/* A slot that no sandbox has; -EBUSY. Its namespaces are there afterwards. */
int host_slot_take(struct host *h, uint32_t *ret_slot) MUST_USE;
int host_slot_claim(struct host *h, uint32_t slot) MUST_USE; /* a certain one; -EBUSY, -ERANGE */
void host_slot_give_back(struct host *h, uint32_t slot);

/* A file or directory that only root can have put there: it and everything above it belong to
 * root, and nobody else can write (a sticky directory above it excepted). -EPERM names the place.
 */
int host_check_trusted(const char *path) MUST_USE;

/* A number that names a socket for as long as the host is up. */
uint64_t host_socket_cookie(int fd);
