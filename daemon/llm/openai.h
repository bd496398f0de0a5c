/* SPDX-License-Identifier: AGPL-3.0-only */
/* The wire form of chat completions, pure: texts in, structs out. */
#pragma once

#include "daemon/llm/llm.h"

/* The body of a request. */
int openai_request(const struct llm_request *q, const char *model, bool stream, bool usage,
	struct buf *b) MUST_USE;

/* A whole answer. -EBADMSG with what is wrong with it. Spans live in the arena or in the body. */
int openai_reply(const struct llm_request *q, struct span body, struct arena *a,
	struct llm_reply *ret) MUST_USE;

struct span openai_tool_name(const struct llm_request *q, struct span wire);

/* A streamed answer, event by event. */
struct openai_call {
	struct span id;
	struct span name;
	struct buf arguments;
};
struct openai_stream {
	struct arena *arena;
	struct llm_reply *reply;
	struct buf content;
	size_t call_count;
	bool done;
	struct openai_call calls[LIMIT_LLM_TOOL_CALLS];
};

/* *ret_text is the new piece of text, valid until the next call. -EBADMSG, -E2BIG, -ENOMEM. */
int openai_stream_event(struct openai_stream *s, struct span data, struct span *ret_text) MUST_USE;
int openai_stream_end(struct openai_stream *s, const struct llm_request *q) MUST_USE;
void openai_stream_fini(struct openai_stream *s);
