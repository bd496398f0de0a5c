/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Partial evaluation: what policies still ask when a part of the request is known. The answer is a
 * tree for each policy that can be inspected, as by those who turn conditions into filters of the
 * kernel, and decided later, when the rest is known.
 *
 * A completion is a request and entities in which what was given is as given, and the rest is
 * anything; with a schema, anything that conforms to it. For every completion the residual is true,
 * false or an error exactly when the policy is: an expression that may fail is never dropped.
 *
 * Pure, like cedar.h; recurses over the depth of policies and needs stack as loading does.
 */
#pragma once

#include "policy/cedar/ast.h"
#include "policy/cedar/schema.h"

enum residual_state {
	RESIDUAL_VALUE, /* `value` in every completion */
	RESIDUAL_ERROR, /* fails in every completion; `message` */
	RESIDUAL_OPEN, /* depends: `op` on `kids` */
};

/*
 * An open node is one of
 *	EXPR_VAR     `var`: an unknown principal or resource, or a context that is not known whole
 *	EXPR_ATTR    kids[0] . `name`
 *	EXPR_IS      kids[0] is `name` [in kids[1]]
 *	EXPR_HAS     kids[0] has names[0].names[1]...
 *	EXPR_LIKE    kids[0] like pieces
 *	EXPR_RECORD  kids under `names`
 *	EXPR_CALL    `ext` on kids
 *	other        as in ast.h, without anything beside the kids
 * of whose kids at least one is open. EXPR_AND, EXPR_OR, EXPR_IF and EXPR_IS evaluate from left to
 * right and no further than needed; all others evaluate all kids. It is a tree: no node has two
 * parents.
 */
struct residual {
	enum residual_state state;
	bool may_fail; /* in some completion, as far as is known: false is certain */
	const struct cedar_type *type; /* of the value, if it has one; NULL: not known */
	struct cedar_value value;
	const char *message;
	enum expr_op op;
	enum cedar_var var;
	enum ext_fn ext;
	struct span name;
	size_t name_count; /* of names, pieces */
	const struct span *names;
	const struct pattern_piece *pieces;
	size_t count;
	const struct residual *const *kids;
};

/* What is known. Of an unknown principal or resource the type counts; an empty one is unknown too.
 */
struct cedar_known {
	struct cedar_uid principal, action, resource;
	bool principal_unknown, resource_unknown;
	const struct cedar_value *context; /* known attributes; NULL: none */
	const struct span
		*unknown; /* attributes of the context whose values are not known; they may */
	size_t unknown_count; /* be absent, unless the schema requires them */
	bool context_open; /* any other attribute may be in the context too */

	const struct cedar_entities
		*entities; /* known whole; NULL: none. Of others nothing is known, */
	bool entities_closed; /* or, with this, that they do not exist: except for unknown ones */
	bool unknown_exist; /* unknown principals and resources are in the completion's entities */
	const struct cedar_schema *schema; /* NULL: nothing is known of types */
};

struct cedar_residual {
	const struct cedar_policy *policy;
	const struct residual *condition; /* scope and conditions: a bool or an error */
};

enum cedar_outlook {
	CEDAR_WILL_ALLOW, /* in every completion */
	CEDAR_WILL_DENY,
	CEDAR_UNDECIDED,
};

struct cedar_residuals {
	enum cedar_outlook outlook;
	size_t count;
	const struct cedar_residual *items; /* in order; without policies that are false */
};

/* Templates are passed over. -EINVAL: the known action is not one of the schema. */
int cedar_partial(struct arena *a, const struct cedar_policies *policies,
	const struct cedar_known *known, struct cedar_residuals *ret) MUST_USE;

/* What cedar_authorize() answers for a completion, found from the residuals. */
int cedar_residuals_decide(struct arena *a, const struct cedar_residuals *residuals,
	const struct cedar_entities *entities, const struct cedar_request *request,
	struct cedar_answer *ret) MUST_USE;

/* What EXPR_LIKE says of a text. */
bool cedar_like(const struct pattern_piece *pieces, size_t count, struct span text);

/* As an expression in Cedar; errors, which have no syntax, as error("message"). */
void cedar_residual_print(struct buf *b, const struct residual *r);
