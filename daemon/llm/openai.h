/* SPDX-License-Identifier: AGPL-3.0-only */
/* The wire form of chat completions, pure: texts in, structs out. */
#pragma once

#include "daemon/llm/answer.h"

/* The body of a request. */
int openai_request(const struct wire_request *r, struct buf *b) MUST_USE;

/* A whole answer. -EBADMSG with what is wrong with it. Spans live in the arena or in the body. */
int openai_reply(const struct llm_request *q, struct span body, struct arena *a,
	struct llm_reply *ret) MUST_USE;

/* One event of a streamed answer. *ret_text is the new piece of text, valid until the next call.
 * -EBADMSG, -E2BIG, -ENOMEM. */
int openai_stream_event(struct answer *s, struct span data, struct span *ret_text) MUST_USE;
