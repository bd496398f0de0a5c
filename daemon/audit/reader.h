/* SPDX-License-Identifier: AGPL-3.0-only */
/* Walking the segments of a folder: what the public reader, the writer's recovery and the verifier
 * share. Blocking. */
#pragma once

#include "daemon/audit/frame.h"

/* Numbers of the first records of the segments in the folder, ascending. *ret is the caller's to
 * free(). */
int segments_list(int dirfd, uint64_t **ret, size_t *ret_count) MUST_USE;

struct audit_reader {
	char *dir;
	int dirfd;
	uint64_t *firsts; /* of the segments that were there when last looked */
	size_t count;
	size_t next; /* index of the segment to open next */

	int fd; /* of the open segment, or -1 */
	uint64_t opened; /* the number in its name, or in that of the last one */
	char name[SEGMENT_NAME_BYTES];
	struct segment_header header;
	struct buf window; /* a stretch of the file */
	size_t at; /* in the window: where the next frame begins */
	uint64_t window_offset; /* of the window in the file */

	struct uuid journal;
	bool chained; /* the two below bind the next record */
	uint64_t expected;
	struct audit_hash previous;
	uint64_t synced; /* of the last record read */
};

/* After -EUCLEAN: goes on at the next valid frame or segment, unchained. AUDIT_END if there is
 * none. */
int reader_resync(struct audit_reader *r) MUST_USE;

/* Place of the next frame in its file, for messages and for cutting. */
uint64_t reader_offset(const struct audit_reader *r);

/* Bytes behind the last complete record of the newest segment (with AUDIT_END). */
size_t reader_rest(const struct audit_reader *r);
