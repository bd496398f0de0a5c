/* SPDX-License-Identifier: AGPL-3.0-only */
/* Shared by the parsers of policies and of expressions. */
#pragma once

#include "policy/cedar/ast.h"
#include "policy/cedar/lex.h"

struct parser {
	struct lexer l;
	int nesting; /* expressions inside expressions */
	bool slot_seen; /* since the caller cleared it */
	uint32_t slot_pos;
};

/* What an operand is before its place says how to read it: a bare string may be a pattern, a bare
 * name a type or a function. */
enum operand_kind { OPERAND_EXPR, OPERAND_VAR, OPERAND_NAME, OPERAND_STRING };

struct operand {
	enum operand_kind kind;
	uint32_t pos;
	const struct expr *expr; /* OPERAND_EXPR */
	enum cedar_var var;
	struct span text; /* OPERAND_NAME: the name; OPERAND_STRING: the text between the quotes */
};

/* A growing array in the arena. */
struct vec {
	void *items;
	size_t count;
	size_t capacity;
};

/* Room for one more item of `size` bytes, zeroed; NULL beyond the arena. */
void *vec_push(struct arena *a, struct vec *v, size_t size);

/* Adds a struct annotation, and refuses one whose name is there; the current token is `@`. */
int parse_annotation(struct parser *p, struct vec *annotations) MUST_USE;

int parse_expr(struct parser *p, const struct expr **ret) MUST_USE;

/* A::B::C, checked for reserved words. */
int parse_name(struct parser *p, struct span *ret) MUST_USE;

/* `A::B` behind `is`. */
int parse_is_type(struct parser *p, struct span *ret) MUST_USE;
int parse_string(struct parser *p, struct span *ret) MUST_USE; /* the token must be a string */

/* Reads the operand as an expression by itself. */
int operand_expr(struct parser *p, struct operand *o, const struct expr **ret) MUST_USE;

int operand_set(struct operand *o, const struct expr *e); /* makes it this expression; 0 */

/* A finished node, or one over one or two kids, as an operand; refused beyond the depth limit. */
int operand_node(struct parser *p, struct expr *e, struct operand *ret) MUST_USE;
int operand_unary(struct parser *p, enum expr_op op, uint32_t pos, const struct expr *kid,
	struct operand *ret) MUST_USE;
int operand_binary(struct parser *p, enum expr_op op, const struct expr *left,
	const struct expr *right, struct operand *ret) MUST_USE;

int parse_member(struct parser *p, struct operand *ret) MUST_USE; /* a.b["c"].d(e) */
int parse_primary(struct parser *p, struct operand *ret) MUST_USE;

/* Arguments or elements, separated by commas; the list ends with `close`, a comma may end it too.
 */
int parse_list(struct parser *p, const char *close, struct vec *ret) MUST_USE;
int parse_number(struct parser *p, bool negative, struct operand *ret) MUST_USE;
int parse_key(struct parser *p, struct span *ret) MUST_USE; /* an attribute's name or a string */
int parse_field(struct parser *p, struct token *ret) MUST_USE; /* an identifier behind a dot */
