/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the files of the snapshot share. */
#pragma once

#include "daemon/sandbox/snapshot.h"

struct snapshot {
	struct arena *arena; /* holds this struct and everything in it */
	struct snapshot_entry *entries; /* by path */
	size_t count;
	uint64_t left_out;
};

struct snapshot *snapshot_new(void); /* NULL if out of memory */
bool snapshot_name_ok(const char *name);
void snapshot_sort(struct snapshot *s);

/* The list as text, and back. */
void snapshot_write_index(const struct snapshot *s, struct buf *b);
int snapshot_parse_index(struct span text, const char *name, struct snapshot **ret) MUST_USE;

enum { SNAPSHOT_INDEX_BYTES_MAX = 256 * 1024 * 1024 };

/* Fills s->entries, sorted, with the contents stored below `home_fd`, the new snapshot's folder. */
int snapshot_walk(struct snapshot *s, int workspace_fd, int home_fd, const char *name,
	const struct snapshot *before, const struct snapshot_limits *limits) MUST_USE;
