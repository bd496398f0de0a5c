/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the files of the process driver share. */
#pragma once

#include "daemon/helper/helper.h"
#include "daemon/sandbox/sandbox.h"
#include "daemon/sensor/sensor.h"

/* Denials that went on record one by one in this second. */
struct denial_budget {
	int64_t second_ns;
	uint32_t told;
};

enum { PROCESS_GONE = 256 };
struct process_gone {
	uint64_t identity;
	struct uuid execution;
	uint32_t iteration;
};

struct process_driver {
	struct sandbox_driver base;
	const struct runtime_registry *registry;
	struct helper_link *link; /* the daemon's */
	const struct resolver_servers *resolvers;
	bool strict; /* every sandbox is */
	struct sandbox_network_observer observer;
	struct sensor *sensor; /* NULL until a sandbox with network is asked for */
	uint64_t sensor_instance; /* of the helper whose maps those were seen to be */
	struct list networked; /* sandboxes with network */
	struct list alive; /* all that were not forgotten */
	struct fiber_lock opening; /* held by whoever looks for the helper's maps, and changes what
				      is ours of them */
	struct lsm_sensor *lsm; /* NULL: not asked for yet, or the kernel has none */
	uint64_t lsm_instance; /* of the helper that was asked for it */
	struct group lsm_group; /* the reader of what it denies */
	struct list guards; /* readers of who left a cgroup, see process_guard.c */
	size_t guard_count;
	uint64_t guard_instance; /* of the helper whose guard is read */
	struct group guard_group;
	struct group group; /* the reader of denials */
	struct record_sensor *record; /* likewise, and while no sandbox lives */
	uint64_t record_instance;
	uint64_t record_begun; /* what the kernel remembers of where we began, as far as we know */
	bool record_again; /* the ring begins with what a former daemon recorded */
	struct group record_group; /* the reader of what they do */
	struct fiber_lock record_lock; /* of who empties the ring */
	int starting; /* sandboxes that are being made or taken up: records are read for them */
	struct fiber_lock denials_lock; /* of who empties the rings of denials */
	struct denial_budget told_strays; /* of sandboxes that are not known */
	uint64_t untold_strays;
	int64_t losses_told_ns; /* when it was last asked what was lost */
	struct process_gone gone[PROCESS_GONE]; /* let go of last; what is late is still theirs */
	size_t gone_next;
};

struct process_sandbox {
	struct sandbox base;
	int pidfd; /* -1: it had ended when it was adopted */
	bool network; /* it has a link */
	bool adopted; /* a former daemon started it */
	uid_t uid; /* of its processes on the host */
	struct list link; /* in the driver's `networked`, while it has an agent */
	struct sensor_agent *agent; /* NULL: none yet, after an adoption */
	struct resolver *resolver;
	struct list calls; /* struct process_call, see process_call.c */
	struct list alive_link; /* in the driver's `alive` */
	struct lsm_policy_entry *paths; /* NULL: none */
	bool own_paths; /* what the kernel has of it is of this process, not a former one's */
	int64_t record_told_ns; /* when its lost records were last asked for */
	bool record_ended; /* its counters are on record */
	uint64_t untold; /* denials that are on no record yet: more than are told one by one */
	struct denial_budget told_network, told_lsm; /* of their own: neither hides the other */
};

static inline struct process_driver *process_driver_of(struct sandbox_driver *d)
{
	return container_of(d, struct process_driver, base);
}

AWAITS int process_start(struct sandbox_driver *d, const struct sandbox_spec *spec,
	struct sandbox **ret, int64_t deadline_ns) MUST_USE;
AWAITS int process_workspace_open(
	struct sandbox_driver *d, struct uuid execution, int *ret_fd, int64_t deadline_ns) MUST_USE;

/* Runs `ready`, which fetches what there is of the helper we talk to now and lets go of what there
 * was of another, for one fiber at a time. */
AWAITS int process_opening(struct process_driver *d,
	AWAITS int (*ready)(struct process_driver *d, int64_t deadline_ns),
	int64_t deadline_ns) MUST_USE;

/* Whether its pid 1 is dead, whatever the helper has seen of it. */
bool process_has_ended(const struct process_sandbox *p);
/* `r` of giving it other rules: what has ended meanwhile needs none. */
int process_forgive_ended(const struct process_sandbox *p, int r) MUST_USE;

static inline struct process_sandbox *process_of(struct sandbox *s)
{
	return container_of(s, struct process_sandbox, base);
}

/* ---- process_files.c ---- */

/* The helper died meanwhile, and with it what it had or was asked for. */
enum { PROCESS_START_AGAIN = 1 };

/* Has the files served, mounted, and the program begun. PROCESS_START_AGAIN: the sandbox is gone.
 * Takes `listener`. */
AWAITS int process_files_begin(struct process_sandbox *p, const struct sandbox_spec *spec,
	int listener, int64_t deadline_ns) MUST_USE;
AWAITS int process_files_open(
	struct sandbox *s, int *ret_listener, uint32_t *ret_uid, int64_t deadline_ns) MUST_USE;

AWAITS int process_workspace_object(struct sandbox_driver *d, struct uuid execution, int type,
	struct span handle, int *ret_fd, int64_t deadline_ns) MUST_USE;

/* ---- process_call.c ---- */

static inline struct sandbox_usage process_usage(const struct helper_usage *u)
{
	return (struct sandbox_usage){u->cpu_us, u->memory_peak_bytes, u->oom_kills};
}

AWAITS int process_call_open(
	struct sandbox *s, struct uuid call, uint64_t *ret_identity, int64_t deadline_ns) MUST_USE;
AWAITS int process_call_close(struct sandbox *s, struct uuid call, bool keep_rest,
	struct sandbox_usage *ret, int64_t deadline_ns) MUST_USE;
AWAITS int process_call_set_rules(struct sandbox *s, struct uuid call, uint64_t identity,
	const struct sandbox_call_rules *rules, int64_t deadline_ns) MUST_USE;
AWAITS int process_call_end_rights(struct sandbox *s, struct uuid call) MUST_USE;
/* Which call that is, if it has rules of its own; spans live as long as the sandbox. */
void process_call_origin(
	const struct process_sandbox *p, uint64_t call_cgroup, struct sandbox_origin *o);
/* Before the network's end. `alive`: the calls go on without us. */
AWAITS void process_calls_forget(struct process_sandbox *p, bool alive);

/* ---- process_lsm.c ---- */

/* Reads from now on what the LSM programs deny, where there are some. */
AWAITS int process_lsm_ready(struct process_driver *d, int64_t deadline_ns) MUST_USE;
AWAITS void process_lsm_close(struct process_driver *d);

/* ---- process_guard.c ---- */

/* Of the guard of one helper; in the driver's `guards`. */
struct guard_reader {
	struct list link;
	struct process_driver *driver;
	struct lsm_sensor *ring;
};

/* Reads from now on who leaves a cgroup, where the kernel can tell. */
AWAITS int process_guard_ready(struct process_driver *d, int64_t deadline_ns) MUST_USE;
AWAITS void process_guard_close(struct process_driver *d);

/* Rules about files, once process_lsm_ready() has been called. *ret NULL: nothing is said. */
int process_paths_policy(struct process_driver *d, const struct lsm_table *paths,
	struct lsm_policy_entry **ret) MUST_USE;
AWAITS int process_lower_paths(struct sandbox_driver *d, const struct sandbox_paths *q,
	struct lsm_table *ret, int64_t deadline_ns) MUST_USE;
AWAITS int process_set_paths(
	struct sandbox *s, const struct lsm_table *paths, int64_t deadline_ns) MUST_USE;

/* ---- process_denials.c ---- */

/* Whose that cgroup is, and the call's, if some sandbox has or had it. */
struct sandbox_origin process_origin(
	const struct process_driver *d, uint64_t cgroup, uint64_t call_cgroup);
/* Between them nobody takes denials, so that their sensors may go. */
AWAITS void process_denials_lock(struct process_driver *d);
void process_denials_unlock(struct process_driver *d);
/* All denials that the kernel holds are reported, and what was lost of them. */
AWAITS void process_take_denials(struct process_driver *d);
AWAITS void process_take_guard(struct process_driver *d, struct lsm_sensor *guard);
/* What is lost is told without a later denial, once a second while sandboxes live: how long to wait
 * for one. */
int64_t process_denials_deadline(const struct process_driver *d);
/* The sandbox has ended: all that it was denied is reported or counted when this returns. */
AWAITS void process_denials_end(struct process_sandbox *p);
void process_denials_forget(struct process_sandbox *p);

/* ---- process_flows.c: with the lock of denials held ---- */

AWAITS void process_flows_sweep(struct process_driver *d); /* those that are over */
AWAITS void process_flows_end(struct process_sandbox *p); /* all of one that has ended */

/* ---- process_record.c ---- */

/* Reads from now on what sandboxes do, where the kernel can tell. */
AWAITS int process_record_ready(struct process_driver *d, int64_t deadline_ns) MUST_USE;
/* The sandbox has ended: all that it did is with the observer when this returns, and its counters.
 */
AWAITS void process_record_end(struct process_sandbox *p);
/* Reads no more, if nobody is left to be read about. */
AWAITS void process_record_rest(struct process_driver *d);
AWAITS void process_record_close(struct process_driver *d);

/* ---- process_network.c ---- */

/* Enters the rules; *ret is the caller's reference. Loads what is needed on the first time. */
AWAITS int process_network_policy(struct process_driver *d, const struct kernel_rules *rules,
	struct sensor_policy **ret, int64_t deadline_ns) MUST_USE;
/* Puts a sandbox that has a link under the policy, with a resolver. */
AWAITS int process_network_begin(
	struct process_sandbox *p, struct sensor_policy *policy, int64_t deadline_ns) MUST_USE;
AWAITS int process_set_network(
	struct sandbox *s, const struct kernel_rules *rules, int64_t deadline_ns) MUST_USE;
/* `alive`: it goes on without us. */
AWAITS void process_network_end(struct process_sandbox *p, bool alive);
AWAITS void process_network_close(struct process_driver *d);

/* A sandbox of this process for one of the helper's. Takes the descriptors; the state becomes what
 * was found. */
int process_take(struct sandbox_driver *d, const struct helper_sandbox *h,
	struct helper_sandbox_fds *fds, struct sandbox **ret) MUST_USE;
