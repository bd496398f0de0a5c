/* SPDX-License-Identifier: AGPL-3.0-only */
/* Nodes of the syntax tree, and the rules for names. */
#include "policy/cedar/ast.h"
#include "policy/cedar/host.h"

const char *const cedar_var_names[4] = {"principal", "action", "resource", "context"};

struct cedar_type_name cedar_type_name_of(struct span name)
{
	return (struct cedar_type_name){name, map_hash(name) * 31};
}

struct cedar_uid cedar_uid_with(const struct cedar_type_name *type, struct span id)
{
	/* Two hashes, so that the border between type and id counts. */
	return (struct cedar_uid){type->name, id, type->hash + map_hash(id)};
}

struct cedar_uid cedar_uid_of(struct span type, struct span id)
{
	const struct cedar_type_name t = cedar_type_name_of(type);

	return cedar_uid_with(&t, id);
}

bool cedar_uid_eq(const struct cedar_uid *a, const struct cedar_uid *b)
{
	return a == b || (a->hash == b->hash && span_eq(a->id, b->id) && span_eq(a->type, b->type));
}

struct expr *expr_make(struct arena *a, enum expr_op op, uint32_t pos, size_t kids)
{
	struct expr *e = arena_make(a, struct expr);
	if (!e)
		return NULL;
	e->op = op;
	e->pos = pos;
	e->count = kids;
	e->depth = 1;
	if (kids > 0) {
		e->kids = arena_make_array(a, const struct expr *, kids);
		if (!e->kids)
			return NULL;
	}
	return e;
}

int expr_measure(struct expr *e)
{
	for (size_t i = 0; i < e->count; i++)
		e->depth = MAX(e->depth, e->kids[i]->depth + 1);
	if (e->depth > LIMIT_CEDAR_DEPTH)
		return err_raise(-E2BIG, "an expression of more than %d levels", LIMIT_CEDAR_DEPTH);
	return 0;
}

static const struct {
	const char *name;
	bool method;
} op_names[] = {
	[EXPR_NOT] = {"!"},
	[EXPR_NEG] = {"neg"},
	[EXPR_IS_EMPTY] = {"isEmpty", true},
	[EXPR_AND] = {"&&"},
	[EXPR_OR] = {"||"},
	[EXPR_EQ] = {"=="},
	[EXPR_NE] = {"!="},
	[EXPR_LT] = {"<"},
	[EXPR_LE] = {"<="},
	[EXPR_GT] = {">"},
	[EXPR_GE] = {">="},
	[EXPR_IN] = {"in"},
	[EXPR_ADD] = {"+"},
	[EXPR_SUB] = {"-"},
	[EXPR_MUL] = {"*"},
	[EXPR_CONTAINS] = {"contains", true},
	[EXPR_CONTAINS_ALL] = {"containsAll", true},
	[EXPR_CONTAINS_ANY] = {"containsAny", true},
	[EXPR_HAS_TAG] = {"hasTag", true},
	[EXPR_GET_TAG] = {"getTag", true},
};

const char *expr_op_name(enum expr_op op)
{
	return op < ARRAY_LEN(op_names) ? op_names[op].name : NULL;
}

bool expr_op_is_method(enum expr_op op)
{
	return op < ARRAY_LEN(op_names) && op_names[op].method;
}

bool cedar_reserved_word(struct span word)
{
	static const char *const words[] = {
		"true", "false", "if", "then", "else", "in", "is", "has", "like", "__cedar"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (span_is(word, words[i]))
			return true;
	return false;
}

bool cedar_identifier(struct span word)
{
	for (size_t i = 0; i < word.n; i++) {
		char c = word.p[i];
		bool letter = c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!letter && !(i > 0 && c >= '0' && c <= '9'))
			return false;
	}
	return word.n > 0;
}

int cedar_check_name(struct span name)
{
	size_t at = 0;
	for (;;) {
		ssize_t colons = span_find(name, SPAN("::"), at);
		struct span part = span_sub(name, at, colons < 0 ? name.n : (size_t)colons);
		if (!cedar_identifier(part))
			return err_raise(-EINVAL,
				"`" SPAN_FMT "` is no name; expected identifiers joined by `::`",
				SPAN_ARG(span_sub(name, 0, 80)));
		if (cedar_reserved_word(part))
			return err_raise(-EINVAL,
				"`" SPAN_FMT "` holds the reserved word `" SPAN_FMT "`",
				SPAN_ARG(span_sub(name, 0, 80)), SPAN_ARG(part));
		if (colons < 0)
			return 0;
		at = (size_t)colons + 2;
	}
}

struct span cedar_name_base(struct span name)
{
	size_t at = name.n;
	while (at > 0 && name.p[at - 1] != ':')
		at--;
	return span_sub(name, at, name.n);
}
