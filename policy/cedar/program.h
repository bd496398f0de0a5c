/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The flat form of a policy's conditions: instructions for a stack of values, so that evaluation
 * neither recurses nor asks for more stack than the program says.
 */
#pragma once

#include "policy/cedar/operator.h"

enum code {
	CODE_PUSH, /* value */
	CODE_VAR, /* var */
	CODE_OPERATOR, /* op: a unary or binary operator other than && and || */
	CODE_AND, /* false stays and jumps to `to`; true is dropped */
	CODE_OR, /* the other way round */
	CODE_BOOL, /* checks that a bool is on top */
	CODE_BRANCH, /* drops a bool; false jumps */
	CODE_JUMP,
	CODE_ATTR, /* name */
	CODE_HAS, /* names, count */
	CODE_LIKE, /* expr: the pattern's pieces */
	CODE_IS, /* name */
	CODE_IS_IN, /* name; another type leaves false and jumps; else the entity stays */
	CODE_SET, /* count */
	CODE_RECORD, /* names, count */
	CODE_CALL, /* fn, count */
};

struct instruction {
	enum code code;
	uint32_t to;
	uint32_t count;
	union {
		struct cedar_value value;
		enum cedar_var var;
		enum expr_op op;
		enum ext_fn fn;
		struct span name;
		const struct span *names;
		const struct expr *expr;
	};
};

struct program {
	const struct instruction *code;
	uint32_t length;
	uint32_t stack; /* values it needs at most */
};

/* All conditions in their order, `unless` turned: the last value is the verdict. */
int program_compile(struct arena *a, const struct cedar_policy *p, struct program *ret) MUST_USE;

struct eval {
	struct arena *arena; /* for values that are made */
	const struct cedar_entities *entities;
	const struct cedar_request *request;
	struct cedar_value *stack;
};

/* -EINVAL is an error of the policy, with its message; others are ours. */
int program_run(struct eval *e, const struct program *p, bool *ret) MUST_USE;

struct cedar_value eval_variable(const struct eval *e, enum cedar_var var);
