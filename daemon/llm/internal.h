/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of daemon/llm: a provider, the two kinds of it, and recordings. */
#pragma once

#include "daemon/llm/llm.h"

struct llm_turn;
struct provider;

/* One try of one turn. 0, or a positive llm_outcome with *ret_why; negative as llm_complete. */
typedef AWAITS int (*provider_turn)(struct provider *p, struct llm_turn *t);

struct recording;

enum wire_form { FORM_OPENAI, FORM_OPENAI_GENUINE, FORM_ANTHROPIC };

struct provider {
	char *name;
	char *url; /* of chat/completions or messages */
	enum wire_form form;
	struct secret *api_key;
	provider_turn turn;
	bool stream;
	struct recording *replay; /* kind replay */
	int record_fd; /* -1: no recording */
	struct llm *llm;
};

/* What a try is given and what it answers. */
struct llm_turn {
	const struct llm_request *q;
	const struct llm_alias_options *model;
	llm_on_text on_text;
	void *on_text_ctx;
	struct arena *arena;
	struct llm_reply *reply;
	struct span *why;
	int64_t retry_after_ms; /* out: the server's wish, 0 if it has none */
};

AWAITS int http_turn(struct provider *p, struct llm_turn *t);
AWAITS int replay_turn(struct provider *p, struct llm_turn *t);

/* The client of the worker that runs. */
int llm_client(struct llm *l, struct http_client **ret) MUST_USE;

/* Sets *why (formatted in the arena) and returns the outcome, or -ENOMEM. */
int llm_outcome_because(struct llm_turn *t, int outcome, const char *fmt, ...)
	PRINTF_LIKE(3, 4) MUST_USE;

/* ---- recordings ---- */

int recording_load(const char *path, struct recording **ret) MUST_USE;
struct recording *recording_free(struct recording *r);
int recording_open(const char *path, int *ret_fd) MUST_USE;
AWAITS int recording_add(int fd, const struct llm_turn *t) MUST_USE;
