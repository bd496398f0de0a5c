/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the verbs that talk to the daemon share: one client, one arena, paths and bodies. */
#pragma once

#include "tools/aegis/client.h"

struct session {
	const struct cli *cli;
	struct client *client;
	struct arena *arena;
};

/* CLI_OK, or an exit code after saying why. */
int session_open(struct session *s, const struct cli *c) MUST_USE;
void session_close(struct session *s);

/* before + segment, percent-encoded, + after. NULL if out of memory. */
const char *session_path(
	struct session *s, const char *before, const char *segment, const char *after);

/* No body: SPAN(""). *ret as client_call's. */
int session_call(struct session *s, const char *method, const char *path, const char *content_type,
	struct span body, const struct json **ret) MUST_USE;

/* One page of a list, from *offset on, which is moved behind it; *ret NULL: there is no more. */
int session_page(
	struct session *s, const char *path, size_t *offset, const struct json **ret) MUST_USE;

/* GET, and the reply printed; lists ({"items": [...]}) by columns. */
int session_show(struct session *s, const char *path, const struct cli_column *columns);

/* In text the members named (NULL ends), one a line, and what `rest` (may be NULL) writes below
 * them; else the value as it is. */
int session_print(const struct cli *c, const struct json *v, const char *const *members,
	void (*rest)(struct buf *b, const struct json *v));

/* The whole of a verb that shows the thing args[0], as session_print does: in text the members
 * named (NULL ends), one a line, and what `rest` (may be NULL) writes below them; else the reply as
 * it is. */
int session_view(struct cli *c, const char *before, const char *const *members,
	void (*rest)(struct buf *b, const struct json *v));

/* The whole of a verb that sends one request about args[0] and says what came of it: "paused x". */
int session_do(
	struct cli *c, const char *method, const char *before, const char *after, const char *done);

/* --input: JSON, @FILE with JSON, or else a text. JSON text in the arena; empty if text is NULL. */
int session_input(struct session *s, const char *text, struct span *ret_json) MUST_USE;

/* What a manifest sets without effect, and why a run would be refused, from a reply to a deploy. */
void session_put_notices(struct buf *b, const char *file, const struct json *reply);
