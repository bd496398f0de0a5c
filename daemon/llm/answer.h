/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the wire forms of models have in common, pure: names of tools, and an answer that comes in
 * pieces. */
#pragma once

#include "daemon/llm/llm.h"

/* Function names on the wire hold no dots: "fs.read" travels as "fs_read". */
void wire_name_put(struct json_writer *w, struct span name);
/* Back, through the tools of the request. A name that it did not offer is passed on as it is: the
 * tool router refuses it, and the model gets to know. */
struct span wire_name_get(const struct llm_request *q, struct span wire);

/* What is asked, and how. */
struct wire_request {
	const struct llm_request *q;
	const char *model;
	double temperature; /* negative: the model's own */
	int64_t max_tokens; /* 0: the provider's own limit */
	bool stream;
	bool genuine; /* OpenAI itself, which knows more than those that speak like it */
};

/* A streamed answer, event by event. All zero but `arena` and `reply`, then answer_init. */
struct answer_call {
	struct span id;
	struct span name; /* as on the wire */
	int64_t block; /* the wire's own number of it, where tool calls are not counted by
			* themselves
			*/
	struct buf arguments;
};
struct answer {
	struct arena *arena;
	struct llm_reply *reply;
	struct buf content;
	size_t call_count;
	bool whole; /* the model has said why it stopped */
	bool done; /* nothing comes after this */
	struct answer_call calls[LIMIT_LLM_TOOL_CALLS];
};

void answer_init(struct answer *s);
void answer_fini(struct answer *s);

/* The tool call number `index`, made with all before it. -EBADMSG beyond LIMIT_LLM_TOOL_CALLS. */
int answer_call(struct answer *s, int64_t index, struct answer_call **ret) MUST_USE;
/* *ret_text is the piece as it stands in the content, valid until the next. */
int answer_text(struct answer *s, struct span text, struct span *ret_text) MUST_USE;
/* Makes the reply's message. -EBADMSG if the stream ended before the answer did. */
int answer_end(struct answer *s, const struct llm_request *q) MUST_USE;
