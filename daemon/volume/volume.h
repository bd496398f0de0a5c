/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Layer 4: volumes that outlive executions. A volume is a row of the store and a directory of the
 * helper's workspaces that bears its id. It is made here, is lent to one execution at a time, which
 * works on it as its /workspace, and is deleted here. Every move is an event of the journal.
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
	VOLUME_ATTACHED, /* row.execution_id works on it */
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

struct volumes {
	struct store *store;
	struct event_bus *bus;
	struct sandbox_driver *sandboxes; /* whose helper has the directories */
	struct offload *files; /* for what blocks */
	struct fsal *fsal; /* counts what a volume uses */
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

/* Lends it to the execution; again to the same one: 0. VOLUME_CONFLICT names who has it. */
AWAITS int volume_attach(const struct volumes *v, struct span tenant_id, struct uuid id,
	struct uuid execution, struct arena *a, struct store_volume *ret, struct span *ret_why,
	int64_t deadline_ns) MUST_USE;
/* When no process of the execution is left. Not attached to it: 0. */
AWAITS int volume_detach(const struct volumes *v, struct uuid id, struct uuid execution,
	int64_t deadline_ns) MUST_USE;

/* VOLUME_CONFLICT while it is attached. When this returns 0 nothing of it is on disk. */
AWAITS int volume_delete(const struct volumes *v, const struct store_volume *row, struct arena *a,
	struct span *ret_why, int64_t deadline_ns) MUST_USE;

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
