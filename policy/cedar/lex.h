/* SPDX-License-Identifier: AGPL-3.0-only */
/* Tokens of policy texts and of schemas in Cedar syntax. */
#pragma once

#include "policy/cedar/cedar.h"

enum token_type {
	TOKEN_END,
	TOKEN_IDENT, /* reserved words too */
	TOKEN_SLOT, /* ?principal; text holds the name without the mark */
	TOKEN_NUMBER,
	TOKEN_STRING, /* text holds what stands between the quotes, escapes and all */
	TOKEN_PUNCT, /* text holds the one or two characters */
};

struct token {
	enum token_type type;
	struct span text;
	uint32_t pos; /* of the first byte */
	uint32_t end; /* behind the last one */
};

struct lexer {
	struct arena *arena;
	struct span text;
	uint32_t at;
	struct token token; /* the current one */
};

/* Starts at the first token. */
int lex_start(struct lexer *l, struct arena *a, struct span text) MUST_USE;
int lex_next(struct lexer *l) MUST_USE;

bool lex_is(const struct lexer *l, const char *punct); /* the current token is this punctuation */
bool lex_is_word(const struct lexer *l, const char *word);
int lex_accept(struct lexer *l, const char *punct, bool *ret_found) MUST_USE;
int lex_expect(struct lexer *l, const char *punct, const char *where) MUST_USE;

struct lex_place {
	uint32_t line, column; /* from 1; columns are characters */
};

/* Where a byte stands; the line around it and a caret under it, two lines, appended to b. */
void lex_place(struct span text, uint32_t pos, struct lex_place *ret, struct buf *b);

/* "line L column C: " and the message, the source line and a caret. -EINVAL. */
int lex_fail(const struct lexer *l, uint32_t pos, const char *fmt, ...) PRINTF_LIKE(3, 4) MUST_USE;

/* The current token was not expected: names it, and `accepted`. */
int lex_unexpected(const struct lexer *l, const char *accepted) MUST_USE;

/* The meaning of what stands between quotes, at offset `pos` of the text. */
int lex_unescape(const struct lexer *l, struct span raw, uint32_t pos, struct span *ret) MUST_USE;

/* One character or escape of *raw at *at. With `pattern`, \* is allowed; *ret_star says whether it
 * was a bare star. */
int lex_unescape_one(const struct lexer *l, struct span raw, uint32_t pos, size_t *at, bool pattern,
	uint32_t *ret_code, bool *ret_star) MUST_USE;

/* Length of the white space (Unicode's property of that name) at `at`, 0 if there is none. */
uint32_t lex_blank(struct span text, uint32_t at);

size_t lex_put_utf8(char *p, uint32_t code); /* bytes written, at most 4 */
int hex_digit(char c); /* -1 if it is none */
