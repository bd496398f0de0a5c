/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What an iteration left in /workspace, kept as it was (decisions, [9]): the tree as a list, and
 * the content of the files that changed since the snapshot before, cloned where the file system
 * can, copied up to a bound where it cannot. The same file is stored once.
 *
 * On disk a snapshot is a directory: `index`, one line per entry, and the contents by number. It
 * survives the death of the daemon at any instruction; power loss may cost the newest.
 *
 * All of it blocks: for offload threads. The workspace is full of names and links of an agent's
 * choosing: nothing is followed, no other mount is entered, everything is bounded.
 */
#pragma once

#include "daemon/base/base.h"

enum {
	LIMIT_SNAPSHOT_ENTRIES = 100 * 1000, /* files, directories and links of one workspace */
	LIMIT_SNAPSHOT_DEPTH = 64,
	LIMIT_SNAPSHOT_NAME_BYTES = 32, /* with the NUL */
	LIMIT_SNAPSHOT_MEMORY_BYTES = 96 * 1024 * 1024, /* of the list, paths included */
};

struct snapshot_limits {
	size_t entries_max; /* at most LIMIT_SNAPSHOT_ENTRIES */
	uint64_t copy_bytes_max; /* of content that has to be copied; clones cost nothing */
	/* Folders that stand there for others to be mounted on, relative: they, what is below them,
	 * and folders with nothing else in them are no part of the workspace. */
	const struct span *mounts;
	size_t mount_count;
};

enum snapshot_type {
	SNAPSHOT_FILE = 'f',
	SNAPSHOT_DIR = 'd',
	SNAPSHOT_LINK = 'l',
	SNAPSHOT_OTHER = 'o' /* pipes, sockets: named only */
};

struct snapshot_entry {
	enum snapshot_type type;
	unsigned mode; /* permission bits */
	uint64_t size_bytes;
	int64_t mtime_ns, ctime_ns;
	uint64_t inode;
	char home[LIMIT_SNAPSHOT_NAME_BYTES]; /* snapshot that holds the content; "" : not kept */
	uint64_t number; /* of the content there */
	struct span path; /* relative, any bytes but NUL */
};

struct snapshot; /* immutable once taken or opened */

/* Walks the workspace and writes the snapshot `name` ([a-z0-9-]+, new) below the directory
 * `store_fd`; `before` (NULL allowed) is the one to share content with. It is complete
 * when this returns, or not there. Beyond a limit the rest is left out and counted. -EEXIST: there
 * is one of that name, and it stays as it is. */
int snapshot_take(int workspace_fd, int store_fd, const char *name, const struct snapshot *before,
	const struct snapshot_limits *limits, struct snapshot **ret) MUST_USE;

int snapshot_open(int store_fd, const char *name, struct snapshot **ret) MUST_USE; /* -ENOENT */
struct snapshot *snapshot_free(struct snapshot *s); /* always NULL */

size_t snapshot_count(const struct snapshot *s);
const struct snapshot_entry *snapshot_find(const struct snapshot *s, struct span path);
uint64_t snapshot_left_out(const struct snapshot *s); /* entries or contents beyond a limit */

/* The content of a file, for reading. -ENODATA if it was not kept. */
int snapshot_content(int store_fd, const struct snapshot_entry *e, int *ret_fd) MUST_USE;

enum snapshot_change { SNAPSHOT_ADDED, SNAPSHOT_CHANGED, SNAPSHOT_REMOVED };

/* Calls fn for each difference, in order of paths; `before` NULL: everything was added. `entry` is
 * the later one, of a removed file the earlier. Stops at fn's first non-zero and returns it. */
int snapshot_diff(const struct snapshot *before, const struct snapshot *after,
	int (*fn)(void *arg, enum snapshot_change change, const struct snapshot_entry *entry),
	void *arg) MUST_USE;
