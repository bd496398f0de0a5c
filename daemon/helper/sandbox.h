/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Sandboxes as the helper keeps them, private to this room. The mark is the truth: it is what the
 * cgroup carries and what a restarted helper goes by; the rest is descriptors.
 */
#pragma once

#include "daemon/helper/host.h"
#include "daemon/helper/seat.h"
#include "daemon/helper/transport.h"
#include "daemon/helper/wire.h"

struct sandbox_call {
	struct uuid call;
	uint64_t cgroup_id;
};

/* What no two listed sandboxes have in common; without padding. */
struct sandbox_key {
	struct uuid execution;
	uint32_t iteration;
};

/* Of a sandbox whose files come over NFS. */
struct sandbox_files {
	struct transport transport;
	struct wire_create *waiting; /* NULL: it has been begun */
	/* Of its workspace, then of its places; -1: not yet, not known, or being let go of. */
	int mounts[1 + HELPER_PLACES_MAX];
	bool served; /* by the aegisd that is connected */
	bool abandoned; /* nobody will serve it any more */
	int flush, tombstone; /* pidfds of children, -1 */
};

struct sandbox {
	struct list link; /* by id */
	struct list pool_link; /* while pooled */
	struct sandbox_key key; /* once it is somebody's */
	struct mark mark;
	char name[CGROUP_NAME_BYTES]; /* of its cgroups */
	uint64_t cgroup_id;
	bool has_slot; /* mark.slot is taken by it */
	bool child; /* of this helper: its end can be waited for */
	bool gone; /* pid 1 has ended, its cgroup may not be empty yet */
	bool released; /* listed no more, its cgroup may not be removed yet */
	int cgroup; /* directory in the v2 hierarchy */
	int pidfd; /* -1 once ended */
	int control; /* -1 once ended */
	int listener; /* -1 once ended */
	int log; /* read end, until it is handed over */
	struct sandbox_files *files; /* NULL: bound in, or ended */
	bool pooled; /* prepared, and waiting for its execution */
	size_t runtime; /* index in the registry */
	struct wire_limits limits; /* that are set */
	size_t call_count;
	struct sandbox_call calls[HELPER_CALLS_MAX];
};

/* What the helper's loop has to know of. */
struct sandbox_set {
	struct host *host;
	struct list all;
	size_t count;
	struct map by_id;
	struct map by_key; /* those that are somebody's, and not released */
	uint64_t last_id;
	struct list pool; /* prepared, the oldest first */
	size_t prepared; /* of them */
	/* What the pool is filled with: as the last one that was asked for. */
	size_t wanted_runtime;
	struct wire_limits wanted_limits;
	struct seat *seats; /* host->options.seats of them; id 0: none */
	size_t seat_count;
	bool unserved; /* there may be one whose files nobody serves: sandbox_files_watch */
	bool unneeded; /* the programs in the kernel hang, and no sandbox lives: sandbox_set_rest */
	size_t unfinished; /* gone but not ended, or released but not removed: sandbox_set_tick */
	/* The loop's: watch a pidfd from now on, and no more; a sandbox has ended. */
	int (*watch)(void *arg, const struct sandbox *s);
	void (*unwatch)(void *arg, const struct sandbox *s);
	void (*ended)(void *arg, struct sandbox *s);
	void *arg;
};

void sandbox_set_init(struct sandbox_set *set, struct host *host);

/* Makes a sandbox and starts it; *ret_log is the caller's. */
int sandbox_create(struct sandbox_set *set, const struct wire_create *w, struct sandbox **ret,
	int *ret_log) MUST_USE;

/* Prepares one more if the pool is not full, or makes one that is in it fit what was asked for
 * last: for idle moments. True if it did. */
bool sandbox_pool_refill_one(struct sandbox_set *set);

/* Makes one more seat if there is need of it, and too few: for idle moments. True if it did. */
bool sandbox_seat_refill_one(struct sandbox_set *set);

/* The one that was ready first, NULL if there is none; and it is used up. */
struct seat *sandbox_seat_ready(struct sandbox_set *set);
void sandbox_seat_used(struct sandbox_set *set, struct seat *seat);
void sandbox_seats_fini(struct sandbox_set *set);

/* Larger than any before, over restarts too. */
uint64_t sandbox_next_id(struct sandbox_set *set);

/* Kills and removes one that is nobody's. */
void sandbox_abandon(struct sandbox_set *set, struct sandbox *s);

/* By id and execution both; NULL if there is none that is listed. */
struct sandbox *sandbox_find(const struct sandbox_set *set, uint64_t id, struct uuid execution);
struct sandbox *sandbox_by_id(const struct sandbox_set *set, uint64_t id); /* released ones too */
/* Whether one of that execution and iteration is listed. */
bool sandbox_is_listed(const struct sandbox_set *set, const struct sandbox_key *key);
bool sandbox_of_execution(const struct sandbox_set *set, struct uuid execution);
/* Whether something that lives, of whatever execution, has that volume. */
bool sandbox_has_volume(const struct sandbox_set *set, struct uuid volume);
struct helper_sandbox sandbox_view(const struct sandbox_set *set, const struct sandbox *s);

int sandbox_stop(struct sandbox_set *set, struct sandbox *s, enum helper_stop how) MUST_USE;
int sandbox_release(struct sandbox_set *set, struct sandbox *s) MUST_USE; /* -EBUSY */
void sandbox_gone(struct sandbox_set *set, struct sandbox *s); /* its pidfd is readable */
void sandbox_set_tick(struct sandbox_set *set); /* what could not be finished at once */
/* Takes down what hangs for sandboxes only, if there has been none for a while: attaching takes ten
 * milliseconds, which the next sandbox should not wait for if it comes soon. */
void sandbox_set_rest(struct sandbox_set *set);

int sandbox_call_open(
	struct host *h, struct sandbox *s, struct uuid call, uint64_t *ret_cgroup_id) MUST_USE;
int sandbox_call_close(struct sandbox *s, struct uuid call, enum helper_call_rest rest,
	struct helper_usage *ret) MUST_USE; /* HELPER_CALL_HAD_REST */

/* Finds what an earlier helper made: takes over what lives, removes what is nobody's. */
int sandbox_adopt_all(struct sandbox_set *set) MUST_USE;

/* Forgets all of them and closes their descriptors; they live on. */
void sandbox_set_fini(struct sandbox_set *set);

/* For adopt.c: an empty one of that id, in the list; and out again. */
struct sandbox *sandbox_new(struct sandbox_set *set, uint64_t id); /* NULL: out of memory */
void sandbox_forget(struct sandbox_set *set, struct sandbox *s);
/* It is its mark's execution's now: -EEXIST; and nobody's that is listed. */
int sandbox_claim(struct sandbox_set *set, struct sandbox *s) MUST_USE;
void sandbox_unlist(struct sandbox_set *set, struct sandbox *s);
/* Into the pool, and out of it. */
void sandbox_pool_put(struct sandbox_set *set, struct sandbox *s);
void sandbox_pool_remove(struct sandbox_set *set, struct sandbox *s);
void sandbox_call_name(struct uuid call, char ret[CGROUP_NAME_BYTES]);

/* ---- sandbox_volumes.c ---- */

/* One execution at a time may write to a volume: -EBUSY names it. */
int sandbox_volumes_check(const struct sandbox_set *set, const struct wire_create *w) MUST_USE;
/* Notes in its mark what it has, before it gets it. */
void sandbox_volumes_note(struct sandbox *s, const struct wire_create *w);

/* ---- sandbox_files.c ---- */

/* Its transport, and what it will be begun with. */
int sandbox_files_prepare(
	const struct sandbox_set *set, struct sandbox *s, const struct wire_create *w) MUST_USE;
/* `client`: aegisd's connection. */
int sandbox_files_mount(const struct sandbox *s, const struct wire_mount *w, int client) MUST_USE;
int sandbox_begin(struct sandbox_set *set, struct sandbox *s, int client) MUST_USE;
int sandbox_files_listener(const struct sandbox_set *set, struct sandbox *s, int *ret_fd) MUST_USE;
void sandbox_files_abandon(struct sandbox_set *set, struct sandbox *s);
void sandbox_client_gone(struct sandbox_set *set); /* aegisd is disconnected */
void sandbox_files_adopt(struct sandbox_set *set, struct sandbox *s);
void sandbox_files_sweep(struct sandbox_set *set); /* transports of nobody */
/* To be called now and then while set->unserved: gives up those that end unserved. */
void sandbox_files_watch(struct sandbox_set *set);
/* Its pid 1 has ended: somebody must answer its other processes. */
void sandbox_files_tend(const struct sandbox_set *set, struct sandbox *s);
/* Nothing of it runs: true if its mount is gone, too. */
bool sandbox_files_finish(const struct sandbox_set *set, struct sandbox *s);
void sandbox_files_free(struct sandbox *s); /* closes what is held */

/* ---- sandbox_network.c ---- */

/* Links it to the outside, under a policy. */
int sandbox_link(struct sandbox_set *set, struct sandbox *s, uint32_t policy) MUST_USE;
void sandbox_unlink(struct sandbox_set *set, struct sandbox *s); /* nothing of it is alive */

/* ---- launch.c ---- */

/* A confined aegis-bootstrap that waits for its start, in the sandbox's slot, cgroup and limits. On
 * failure nothing is left but what the caller made. `seat` (NULL: none) has the sandbox's id and is
 * used up in any case. */
int launch_prepare(struct host *h, struct sandbox *s, struct seat *seat, int *ret_log) MUST_USE;
struct helper_limits launch_limits(const struct wire_limits *l); /* what its cgroup enforces */

/* Gives it the workspace and what is mounted below, other limits if those that are set differ, and
 * its start message. `mounted`: these over NFS, which stay the caller's, while `client` serves
 * them; NULL: their directories are bound in. */
int launch_assign(struct host *h, struct sandbox *s, const struct wire_create *w,
	const int *mounted, int client) MUST_USE;

/* Whether these are the limits that are set; and sets them, in one that was prepared under others.
 * After a failure it may have some of them: the caller gives it up. */
bool launch_fits(const struct sandbox *s, const struct wire_limits *l);
int launch_refit(const struct host *h, struct sandbox *s, const struct wire_limits *l) MUST_USE;

/* Sends a packet on the control socket. -ESRCH if aegis-bootstrap is gone, -EAGAIN if it does not
 * read. */
int launch_send(const struct sandbox *s, const struct iovec *parts, int part_count, const int *fds,
	int fd_count) MUST_USE;
