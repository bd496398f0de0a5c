/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Conversations with language models. An alias ("default", "smart") names a provider and a model;
 * providers speak OpenAI's HTTP API or Anthropic's, or are a `replay`, which plays a recording
 * back. `record: true` on any provider writes one. A recording is keyed by the request, so that a
 * changed prompt is a clear miss, never a wrong answer.
 */
#pragma once

#include "daemon/net/net.h"
#include "daemon/rt/rt.h"

enum llm_role { LLM_SYSTEM, LLM_USER, LLM_ASSISTANT, LLM_TOOL };

struct llm_tool_call {
	struct span id; /* the provider's */
	struct span name; /* "fs.read": as the agent's manifest names it; providers escape it
			     themselves */
	struct span arguments; /* JSON text of an object, as the model wrote it */
};

struct llm_message {
	enum llm_role role;
	struct span content; /* may be empty for LLM_ASSISTANT with tool calls */
	const struct llm_tool_call *tool_calls; /* LLM_ASSISTANT */
	size_t tool_call_count;
	struct span tool_call_id; /* LLM_TOOL */
};

struct llm_tool {
	struct span name;
	struct span description;
	struct span schema; /* JSON Schema text of the arguments */
};

struct llm_request {
	struct span alias; /* empty: "default" */
	const struct llm_message *messages;
	size_t message_count;
	const struct llm_tool *tools;
	size_t tool_count;
	double temperature; /* negative: the model's own */
	int64_t deadline_ns;
};

struct llm_reply {
	struct llm_message message; /* LLM_ASSISTANT; lives in the arena given */
	struct span provider; /* name in the configuration */
	struct span model; /* as the provider reports it */
	struct span finish_reason; /* "stop", "tool_calls", "length" */
	int64_t prompt_tokens; /* -1 if the provider does not say */
	int64_t completion_tokens;
	int64_t latency_ns;
	bool replayed; /* from a recording */
};

/* Text as it arrives; for streams to clients. Must not park. NULL: not wanted. */
typedef void (*llm_on_text)(void *ctx, struct span text);

enum llm_outcome {
	LLM_UNAVAILABLE = 1, /* could not be reached, 5xx, overloaded: retries are used up */
	LLM_RATE_LIMITED, /* 429, retries used up */
	LLM_REFUSED, /* 4xx: the request or the key is wrong; not worth repeating */
	LLM_BAD_REPLY, /* an answer that is not the API's */
	LLM_MISS, /* replay: no recorded turn for this request */
	LLM_UNKNOWN_ALIAS,
};

struct llm;

/* Providers and aliases come from the node configuration (spec.llm_providers, llm_selection);
 * llm_new takes what it needs, in this room's own words, so that config knows nobody. All is
 * copied. */
struct llm_provider_options {
	const char *name;
	/* "openai", "openai-compatible", "ollama" and "gemini" (their OpenAI endpoints),
	 * "anthropic", "replay" */
	const char *type;
	const char *endpoint; /* base URL ("https://api.openai.com/v1"); for replay the file */
	const struct secret *api_key; /* NULL: none */
	const char *record_to; /* file; NULL: no recording */
	bool stream; /* answers are asked for in pieces even if nobody wants the pieces */
};
struct llm_alias_options {
	const char *alias;
	const char *provider;
	const char *model;
	int64_t max_output_tokens; /* 0: the provider's own limit */
	double temperature; /* for requests without one; negative: the model's own */
};
struct llm_options {
	const struct llm_provider_options *providers;
	size_t provider_count;
	/* In order of preference: of several with one name, the next is asked when one is
	 * unavailable. */
	const struct llm_alias_options *aliases;
	size_t alias_count;
	int max_retries; /* of one provider, after the first try */
	int64_t retry_delay_ms; /* doubles with each retry */
	struct tls_client
		*tls; /* for https endpoints; a reference is taken; NULL: https is refused */
};

/* Reads recordings (blocking: at start). -EINVAL for an unknown type or provider, a malformed
 * endpoint or recording. */
int llm_new(const struct llm_options *o, struct llm **ret) MUST_USE;
AWAITS struct llm *llm_stop(struct llm *l); /* no turn may be under way; always NULL */

/* One turn, on any worker. 0; a positive llm_outcome, whose reason is *ret_why (in the arena);
 * -ECANCELED, -ETIME, -ENOMEM. */
AWAITS int llm_complete(struct llm *l, const struct llm_request *q, llm_on_text on_text, void *ctx,
	struct arena *a, struct llm_reply *ret, struct span *ret_why) MUST_USE;

/* The conversation's JSON form, as it is stored in events and recordings. */
void llm_message_put(struct json_writer *w, const struct llm_message *m);
int llm_message_get(struct arena *a, const struct json *v, struct llm_message *ret) MUST_USE;
