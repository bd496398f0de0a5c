/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Shared by the formatter's files. The formatter walks over the tokens of a text that has been
 * parsed and so is known to be right; each token carries the comments in front of it and behind it
 * on its line, which are taken once.
 */
#pragma once

#include "policy/cedar/format_doc.h"
#include "policy/cedar/lex.h"

enum { FORMAT_COLUMNS = 80, FORMAT_INDENT = 2 };

struct format_token {
	struct token token;
	struct span leading; /* what stands between the line break behind the last token and this */
	struct span trailing; /* the rest of the line behind it, trimmed */
};

struct format {
	struct docs docs; /* of one policy */
	struct lexer lexer; /* for messages */
	struct format_token *tokens;
	size_t count, at; /* at: the next one */
	struct span rest; /* behind the last token's line */
	struct format_token none; /* what is taken behind the last one */
	bool lost; /* the tokens are not those of a policy set */
};

/* Fills a zeroed struct; the tokens live in the arena. */
int format_tokens(struct format *f, struct arena *a, struct span text) MUST_USE;

/* Drops white space in Unicode's sense at both ends. */
struct span format_trim(struct span s);

/* Cuts the next line of a comment off the front of *rest, trimmed; false when there is none. */
bool format_comment_next(struct span *rest, struct span *ret);

/* The next token, which the walk then leaves behind; whether it is this punctuation or word. */
struct format_token *format_take(struct format *f);
struct format_token *format_take_if(struct format *f, const char *text); /* NULL: another */
bool format_is(const struct format *f, const char *text);

/* Comments, each taken from the token: in front of it, and behind it or else `otherwise`. */
const struct doc *format_leading(struct format *f, struct format_token *t);
const struct doc *format_trailing(
	struct format *f, struct format_token *t, const struct doc *otherwise);

/* `text` between the comments of the token. */
const struct doc *format_with(
	struct format *f, struct format_token *t, struct span text, const struct doc *otherwise);

/* The token between its own comments. */
const struct doc *format_token(struct format *f, struct format_token *t);

const struct doc *format_expr(struct format *f);
const struct doc *format_sum(struct format *f); /* an expression without relations */
