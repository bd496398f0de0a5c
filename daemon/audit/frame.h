/* SPDX-License-Identifier: AGPL-3.0-only */
/* The bytes of segments and records (FORMAT.md): a codec, no I/O. */
#pragma once

#include "daemon/audit/audit.h"

enum {
	SEGMENT_HEADER_BYTES = 168,
	FRAME_OVERHEAD_BYTES = 8 + 112 + 32, /* marker and length, fixed fields, hash */
	FRAME_BODY_MAX = 112 + LIMIT_AUDIT_KIND_BYTES + LIMIT_AUDIT_PAYLOAD_BYTES,
};

/* Stands at the start of each segment; says what was before it, so that a reader or a writer needs
 * only the newest segment to go on. */
struct segment_header {
	struct uuid journal;
	uint64_t segment; /* from 1, without gaps */
	uint64_t first; /* number of its first record */
	struct audit_hash previous; /* hash of the record before */
	uint64_t last_event; /* greatest event number so far */
	uint64_t gaps; /* records counted as lost so far */
	uint64_t head_record; /* the newest signed head so far; 0: none */
	struct audit_hash head_hash;
};

void segment_header_encode(const struct segment_header *h, uint8_t ret[SEGMENT_HEADER_BYTES]);
/* -EINVAL with the reason. */
int segment_header_decode(struct span bytes, struct segment_header *ret) MUST_USE;

/* Appends the frame of r, whose number and previous hash are set; sets r->hash. `synced` is the
 * number of the newest record known to be durable. */
void frame_encode(struct buf *b, struct audit_record *r, uint64_t synced);

enum frame_outcome {
	FRAME_INCOMPLETE = 1, /* the bytes end inside the frame, which is sound so far */
};

/* The frame at the start of `bytes`; spans of the record point into them. *ret_synced may be NULL.
 * FRAME_INCOMPLETE; -EINVAL if this is no frame. The chain is the caller's to check. */
int frame_decode(struct span bytes, struct audit_record *ret, uint64_t *ret_synced,
	size_t *ret_consumed) MUST_USE;

/* Offset of the next valid frame in `bytes` at or behind `from`; -1 if there is none, -2 if bytes
 * made to look like frames would cost too much to tell. */
ssize_t frame_find(struct span bytes, size_t from);

/* What a "Gap" record counts; 0 if it is none. */
uint64_t audit_gap_count(const struct audit_record *r);

/* Name of the segment whose first record is `first`: "00000000000000000001.journal". */
enum { SEGMENT_NAME_BYTES = 29 };
void segment_name(uint64_t first, char ret[SEGMENT_NAME_BYTES]);
/* False if the name is not that of a segment. */
bool segment_name_parse(const char *name, uint64_t *ret_first);
