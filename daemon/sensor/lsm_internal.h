/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the files about the LSM programs share. */
#pragma once

#include "daemon/sensor/lsm.h"
#include "daemon/sensor/ring.h"
#include <sys/stat.h>

struct lsm_sensor {
	int maps[LSM_MAPS];
	struct sensor_ring denials;
	struct list policies;
	struct list retired; /* that nobody has any more, and a program may still be looking into */
	uint64_t retired_ns; /* when the first of them was */
	uint32_t last_number; /* 0: not looked up yet */
};

/* To its policies it is gone from here on. */
void lsm_policies_orphan(struct lsm_sensor *s);

/* ---- lsm_walk.c: the files of a runtime, as a sandbox sees them ---- */

/* Large: not for a stack. */
struct lsm_tree {
	const struct lsm_place *places;
	size_t place_count;
	size_t visited;
	/* Of whoever is at work, so that no frame has to hold them. */
	char host[LIMIT_PATH_BYTES + 1], rest[LIMIT_PATH_BYTES + 1], spare[LIMIT_PATH_BYTES + 1];
	char at[LIMIT_PATH_BYTES + 1];
	struct { /* of a file system, as stat(2) has it and as the kernel has it itself */
		dev_t seen;
		uint32_t device;
		bool known;
	} last_device;
};

/* Where a path inside leads to, links followed as the sandbox would. Of what is not there, the name
 * that it would have. `ret` has LIMIT_PATH_BYTES + 1. -ELOOP, -ENAMETOOLONG. */
int lsm_tree_resolve(struct lsm_tree *t, struct span inside, char *ret) MUST_USE;

/* Whether a place brings it: else it is the root's own, or nothing. */
bool lsm_tree_has(const struct lsm_tree *t, const char *inside);

/* The file or folder at the end of a link, with its real path; -ENOENT if that is nowhere, or of
 * none of the places. No trail. */
int lsm_tree_follow(struct lsm_tree *t, struct span link, char *ret_real,
	struct lsm_file_key *ret_key, mode_t *ret_mode) MUST_USE;

/* Regular files, folders and links, `path` itself among them; nothing if it is not there. */
typedef int (*lsm_tree_fn)(
	void *ctx, struct span path, const struct lsm_file_key *key, mode_t mode);
int lsm_tree_walk(struct lsm_tree *t, struct span path, lsm_tree_fn fn, void *ctx) MUST_USE;
