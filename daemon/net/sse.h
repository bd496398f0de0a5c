/* SPDX-License-Identifier: AGPL-3.0-only */
/* Server-sent events (WHATWG HTML, section 9.2), both directions, as a pure codec. */
#pragma once

#include "daemon/base/base.h"

struct sse_event {
	struct span type; /* empty: "message" */
	struct span id; /* empty: none */
	struct span data; /* lines separated by LF */
};

/* Appends the event's text. Line breaks inside type and id are dropped; those inside data (LF, CR,
 * CRLF) each begin a new data line. */
void sse_write(struct buf *b, const struct sse_event *e);
void sse_write_comment(struct buf *b, struct span text); /* a heartbeat, if empty */

/* Reader: feed it bytes in any pieces. */
struct sse_parser {
	struct buf line;
	struct buf type;
	struct buf id;
	struct buf data;
	bool after_cr;
	bool at_start; /* a byte order mark may come */
	bool ready;
};

enum { SSE_EVENT = 1, SSE_MORE = 2 };

void sse_parser_init(struct sse_parser *p);
void sse_parser_fini(struct sse_parser *p);

/* Consumes *ret_consumed bytes. SSE_EVENT with an event whose spans are valid until the next call;
 * SSE_MORE when all of `in` is used up; -E2BIG beyond LIMIT_SSE_EVENT_BYTES; -ENOMEM. Events
 * without data are dropped, as the standard says. */
int sse_parse(
	struct sse_parser *p, struct span in, size_t *ret_consumed, struct sse_event *ret) MUST_USE;
