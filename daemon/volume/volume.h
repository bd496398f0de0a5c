/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Layer 4: volumes that outlive executions. A volume is a row of the store and a directory of the
 * helper's workspaces that bears its id. It is made here, is lent to executions, which mount it at
 * /workspace or below, and is deleted here. Every move is an event of the journal.
 *
 * One execution at a time may write to it; any number up to LIMIT_VOLUME_HOLDERS may read it, also
 * while another one writes. What an execution made for itself alone (`owned`) ends with its loan.
 *
 * What an execution works on without naming a volume is a directory of the same kind under the
 * execution's own id; it goes with the execution and has no row.
 *
 * Stands on one worker, as the executions do. Functions take the request's arena; where they
 * refuse, *ret_why says why to a user.
 */
#pragma once

#include "daemon/event/event.h"
#include "daemon/rt/rt.h"
#include "daemon/sandbox/sandbox.h"
#include "daemon/store/store.h"
#include "nfs/fsal/fsal.h"

enum volume_state {
	VOLUME_CREATING, /* its row is there, its directory perhaps */
	VOLUME_AVAILABLE, /* never attached yet */
	VOLUME_ATTACHED, /* somebody has it: volume_loans */
	VOLUME_DETACHED,
	VOLUME_DELETING, /* its directory goes, or is gone */
	VOLUME_DELETED,
	VOLUME_FAILED, /* could not be made; can only be deleted */
	VOLUME_STATE_COUNT,
};
extern const struct state_table volume_states;

enum volume_outcome {
	VOLUME_NOT_FOUND = 1,
	VOLUME_CONFLICT = 2, /* the name is taken, or its state forbids this */
	VOLUME_INVALID = 3,
};

struct volume_locks;
struct volume_locks *volume_locks_new(void); /* NULL: out of memory */
struct volume_locks *volume_locks_free(struct volume_locks *l); /* NULL */

struct volumes {
	struct store *store;
	struct event_bus *bus;
	struct sandbox_driver *sandboxes; /* whose helper has the directories */
	struct offload *files; /* for what blocks */
	struct fsal *fsal; /* counts what a volume uses */
	struct volume_locks *locks;
	fsal_observer file_observer; /* of volume_files; may be NULL */
	void *file_observer_ctx;
};

struct volume_request {
	struct span tenant_id;
	struct span name; /* [A-Za-z0-9][A-Za-z0-9._-]*, at most 63 bytes */
	int64_t size_limit_bytes; /* 0: none */
	int64_t size_limit_inodes; /* 0: none */
	int64_t ttl_hours; /* 0: until it is deleted */
};

/* VOLUME_INVALID, VOLUME_CONFLICT. */
AWAITS int volume_create(const struct volumes *v, const struct volume_request *q, struct arena *a,
	struct store_volume *ret, struct span *ret_why, int64_t deadline_ns) MUST_USE;

/* By id or name, among the tenant's that are not deleted. VOLUME_NOT_FOUND. */
AWAITS int volume_find(const struct volumes *v, struct span tenant_id, struct span id_or_name,
	struct arena *a, struct store_volume *ret, int64_t deadline_ns) MUST_USE;

AWAITS int volume_rename(const struct volumes *v, const struct store_volume *row, struct span name,
	struct arena *a, struct store_volume *ret, struct span *ret_why,
	int64_t deadline_ns) MUST_USE;

/* What is in it, counted now. */
AWAITS int volume_usage(const struct volumes *v, const struct store_volume *row,
	struct fsal_usage *ret, int64_t deadline_ns) MUST_USE;

/* Its directory, held to its size by the kernel where the host can: then *ret_hard. The descriptor
 * is the caller's. */
AWAITS int volume_open(const struct volumes *v, const struct store_volume *row, int *ret_fd,
	bool *ret_hard, int64_t deadline_ns) MUST_USE;

/* Who has it, and how. */
struct volume_loan {
	struct uuid execution;
	struct span
		mount_path; /* in its sandboxes: for the record of the attachment, and only there */
	bool read_only;
	bool owned; /* it is deleted when it is given back */
};
struct volume_loans {
	size_t count;
	struct volume_loan items[LIMIT_VOLUME_HOLDERS];
};
/* Of a row that is attached; else none. -EUCLEAN. */
int volume_loans(
	const struct store_volume *row, struct arena *a, struct volume_loans *ret) MUST_USE;

/* Lends it; again to the same execution: 0. VOLUME_NOT_FOUND; VOLUME_CONFLICT: who writes to it,
 * if that was wanted, or which state it is in. */
AWAITS int volume_attach(const struct volumes *v, struct span tenant_id, struct uuid id,
	const struct volume_loan *loan, struct arena *a, struct store_volume *ret,
	struct span *ret_why, int64_t deadline_ns) MUST_USE;
/* When no process of the execution is left. Not attached to it: 0. */
AWAITS int volume_detach(const struct volumes *v, struct uuid id, struct uuid execution,
	int64_t deadline_ns) MUST_USE;

/* VOLUME_CONFLICT while it is attached. When this returns 0 nothing of it is on disk. */
AWAITS int volume_delete(const struct volumes *v, const struct store_volume *row, struct arena *a,
	struct span *ret_why, int64_t deadline_ns) MUST_USE;

/* ---- files, for clients from outside ---- */

/* A volume's files for one request. Policy sees them below /workspace, asked for by the agent
 * `operator`; the quota holds, and each operation is recorded. Who writes is alone: there is no
 * other one, and no execution may write meanwhile (VOLUME_CONFLICT says which does; one that wants
 * to waits). VOLUME_NOT_FOUND. */
struct volume_files;
AWAITS int volume_files_open(const struct volumes *v, struct uuid id, struct rule_set *rules,
	bool writes, struct arena *a, struct volume_files **ret, struct span *ret_why,
	int64_t deadline_ns) MUST_USE;
struct fsal_attachment *volume_files_at(const struct volume_files *f); /* its door is `f` */
AWAITS void volume_files_close(struct volume_files *f); /* NULL is allowed */

/* What a file is called until all of it has come: a name that no two have. Whoever writes one has
 * the volume open for writing. */
enum { VOLUME_PART_BYTES = 48 };
void volume_part_name(char ret[VOLUME_PART_BYTES]);
/* Removes files of such names, which a former process left. Once, after volumes_settle; volumes
 * that an execution may write to are passed over. */
AWAITS int volumes_sweep(const struct volumes *v, int64_t deadline_ns) MUST_USE;

/* At the start, before executions are taken up: finishes what a former process began, and takes
 * volumes back from executions of which `lives` is false. */
AWAITS int volumes_settle(const struct volumes *v,
	AWAITS int (*lives)(void *ctx, struct uuid execution, bool *ret), void *ctx,
	int64_t deadline_ns) MUST_USE;

/* Deletes what has expired by now and is not attached; an attached one goes when it is detached
 * and this is called again. */
AWAITS int volumes_reap(const struct volumes *v, int64_t wall_ns, int64_t deadline_ns) MUST_USE;

/* Empties a directory that an agent filled; blocks. */
int volume_empty_directory(int fd) MUST_USE;
