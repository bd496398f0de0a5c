/* SPDX-License-Identifier: AGPL-3.0-only */
/* The wire form of Anthropic's Messages API (version 2023-06-01), pure, as openai.h. */
#pragma once

#include "daemon/llm/answer.h"

int anthropic_request(const struct wire_request *r, struct buf *b) MUST_USE;
int anthropic_reply(const struct llm_request *q, struct span body, struct arena *a,
	struct llm_reply *ret) MUST_USE;
/* As openai_stream_event; -EAGAIN if the provider says that it is overloaded or broken. */
int anthropic_stream_event(struct answer *s, struct span data, struct span *ret_text) MUST_USE;
