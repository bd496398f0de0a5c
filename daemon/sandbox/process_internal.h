/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the files of the process driver share. */
#pragma once

#include "daemon/helper/helper.h"
#include "daemon/sandbox/sandbox.h"
#include "daemon/sensor/sensor.h"

struct process_driver {
	struct sandbox_driver base;
	const struct runtime_registry *registry;
	struct helper_link *link; /* the daemon's */
	const struct resolver_servers *resolvers;
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
	struct group record_group; /* the reader of what they do */
	bool record_taken; /* some fiber empties the ring */
	struct waitq record_free;
	int starting; /* sandboxes that are being made or taken up: records are read for them */
	uint64_t lost; /* denials that are on no record: not read, or more than are told */
	int64_t lost_told_ns; /* when that was last reported */
	uint64_t *next_sequence; /* by CPU */
	int cpus;
};

/* Denials that went on record one by one in this second. */
struct denial_budget {
	int64_t second_ns;
	uint32_t told;
};

struct process_sandbox {
	struct sandbox base;
	int pidfd; /* -1: it had ended when it was adopted */
	bool network; /* it has a link */
	uid_t uid; /* of its processes on the host */
	struct list link; /* in the driver's `networked`, while it has an agent */
	struct sensor_agent *agent; /* NULL: none yet, after an adoption */
	struct resolver *resolver;
	struct list alive_link; /* in the driver's `alive` */
	struct lsm_policy_entry *paths; /* NULL: none */
	int64_t record_told_ns; /* when its lost records were last asked for */
	bool record_ended; /* its counters are on record */
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

static inline struct process_sandbox *process_of(struct sandbox *s)
{
	return container_of(s, struct process_sandbox, base);
}

/* ---- process_files.c ---- */

/* The helper died meanwhile, and with it what it had or was asked for. */
enum { PROCESS_START_AGAIN = 1 };

/* Has the files served, mounted, and the program begun. PROCESS_START_AGAIN: the sandbox is gone.
 * Takes `listener`. */
AWAITS int process_files_begin(struct process_sandbox *p, const struct sandbox_files *files,
	int listener, int64_t deadline_ns) MUST_USE;
AWAITS int process_files_open(
	struct sandbox *s, int *ret_listener, uint32_t *ret_uid, int64_t deadline_ns) MUST_USE;

AWAITS int process_workspace_object(struct sandbox_driver *d, struct uuid execution, int type,
	struct span handle, int *ret_fd, int64_t deadline_ns) MUST_USE;

/* ---- process_lsm.c ---- */

/* Reads from now on what the LSM programs deny, where there are some. */
AWAITS int process_lsm_ready(struct process_driver *d, int64_t deadline_ns) MUST_USE;
AWAITS void process_lsm_close(struct process_driver *d);
/* One more denial, to the observer, if it is about one of our sandboxes. */
AWAITS void process_tell_denial(
	struct process_driver *d, const struct lsm_denial *n, struct span policy_id);

/* ---- process_guard.c ---- */

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

/* Whether one more denial goes on record by itself; else it has been counted. */
bool process_denial_is_told(struct process_driver *d, struct denial_budget *b);
/* Puts the count of those that do not on record, at most once a second. */
AWAITS void process_tell_lost(struct process_driver *d);

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
