/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The syntax tree. Strings are unescaped spans in the arena (or in the source text, if they held no
 * escape); `pos` is a byte offset into the source text. Expressions are at most LIMIT_CEDAR_DEPTH
 * levels deep: expr_make() refuses more, so that walks over the tree may recurse.
 */
#pragma once

#include "policy/cedar/cedar.h"
#include "policy/cedar/ext.h"

enum expr_op {
	EXPR_BOOL,
	EXPR_LONG,
	EXPR_STRING,
	EXPR_UID,
	EXPR_VAR,
	EXPR_SLOT,
	EXPR_NOT, /* unary: kids[0] */
	EXPR_NEG,
	EXPR_IS_EMPTY,
	EXPR_AND, /* binary: kids[0], kids[1] */
	EXPR_OR,
	EXPR_EQ,
	EXPR_NE,
	EXPR_LT,
	EXPR_LE,
	EXPR_GT,
	EXPR_GE,
	EXPR_IN,
	EXPR_ADD,
	EXPR_SUB,
	EXPR_MUL,
	EXPR_CONTAINS,
	EXPR_CONTAINS_ALL,
	EXPR_CONTAINS_ANY,
	EXPR_HAS_TAG,
	EXPR_GET_TAG,
	EXPR_IF, /* kids[0..2] */
	EXPR_ATTR, /* kids[0] . name */
	EXPR_HAS, /* kids[0] has names[0].names[1]... */
	EXPR_LIKE, /* kids[0] like pattern */
	EXPR_IS, /* kids[0] is name [in kids[1]] */
	EXPR_SET, /* count kids */
	EXPR_RECORD, /* count kids under names */
	EXPR_CALL, /* function `ext`, count kids */
};

enum cedar_var { VAR_PRINCIPAL, VAR_ACTION, VAR_RESOURCE, VAR_CONTEXT };

extern const char *const cedar_var_names[4];

/* `*` is a wildcard; other pieces are literal text. */
struct pattern_piece {
	bool wildcard;
	struct span text;
};

struct expr {
	enum expr_op op;
	uint32_t pos;
	uint32_t depth;
	size_t count; /* of kids */
	const struct expr **kids;
	size_t name_count;
	union {
		bool boolean;
		int64_t number;
		struct span string; /* EXPR_STRING; name of EXPR_ATTR and EXPR_IS */
		struct cedar_uid uid;
		enum cedar_var var; /* EXPR_VAR, EXPR_SLOT */
		struct span *names; /* EXPR_HAS, EXPR_RECORD: name_count of them */
		struct pattern_piece *pieces; /* EXPR_LIKE: name_count of them */
		struct {
			enum ext_fn ext;
			struct span function; /* EXT_UNKNOWN: its name */
		};
	};
};

enum scope_op { SCOPE_ALL, SCOPE_EQ, SCOPE_IN, SCOPE_IS, SCOPE_IS_IN };

/* What the head of a policy says of one variable. */
struct scope {
	enum scope_op op;
	struct span type; /* SCOPE_IS, SCOPE_IS_IN */
	bool slot; /* in place of the entity */
	bool list; /* the action was compared with a list, of which uids holds `count` */
	size_t count;
	const struct cedar_uid *uids; /* one for principal and resource, unless slot */
	uint32_t type_pos; /* in the source, as for expressions */
	const uint32_t *places; /* of the uids; NULL if the policy did not come from text */
};

struct condition {
	bool unless;
	const struct expr *body;
};

struct annotation {
	struct span name;
	bool has_value;
	struct span value;
};

struct cedar_policy {
	struct span id;
	bool forbid;
	uint32_t pos;
	struct span source; /* the text in which positions count; empty if there was none */
	struct scope principal, action, resource;
	size_t condition_count;
	const struct condition *conditions;
	size_t annotation_count;
	const struct annotation *annotations;
	const struct cedar_policy *template; /* which this links, or NULL */
};

/* A node with room for `kids` kids. NULL beyond the arena. */
struct expr *expr_make(struct arena *a, enum expr_op op, uint32_t pos, size_t kids);

/* To be called when the kids are set: -E2BIG beyond LIMIT_CEDAR_DEPTH. */
int expr_measure(struct expr *e) MUST_USE;

/* Names of unary and binary operators as EST has them, and as methods; NULL for others. */
const char *expr_op_name(enum expr_op op);
bool expr_op_is_method(enum expr_op op); /* contains, containsAll, ..., isEmpty */

bool cedar_reserved_word(struct span word); /* true, if, in, ...: no name may hold one */
bool cedar_identifier(struct span word); /* has the form of one; reserved words too */
int cedar_check_name(struct span name) MUST_USE; /* A::B::C without reserved words */
struct span cedar_name_base(struct span name); /* C of A::B::C */

/* Source text of a tree, with only the parentheses that it needs. */
void expr_print(struct buf *b, const struct expr *e);
void expr_to_json(struct buf *b, const struct expr *e);
