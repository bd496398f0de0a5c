/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Expressions of the reference's JSON form of policies (EST), read: an object with one member,
 * whose name is the operator.
 */
#include "policy/cedar/reader.h"
#include "policy/cedar/no_memory.h"

static int read_expr(struct reader *rd, const struct json *v, const struct expr **ret) MUST_USE;

int est_read_kid(struct reader *rd, const struct json *v, const char *name, const struct expr **ret)
{
	size_t before = reader_enter(rd, name, -1);
	int r = read_expr(rd, json_get(v, name), ret);
	if (r < 0)
		return err_trace(r);
	reader_leave(rd, before);
	return 0;
}

static int read_set(struct reader *rd, const struct json *v, const struct expr **ret)
{
	struct expr *e;
	int r;
	if (v->type != JSON_ARRAY)
		return reader_fail(rd, "an array of expressions");
	e = est_make(rd, EXPR_SET, v->count);
	if (!e)
		return no_memory();
	r = est_read_items(rd, v, e, read_expr);
	return r < 0 ? err_trace(r) : est_finish(rd, e, ret);
}

static int read_record(struct reader *rd, const struct json *v, const struct expr **ret)
{
	struct expr *e;
	int r;
	if (v->type != JSON_OBJECT)
		return reader_fail(rd, "an object of expressions");
	e = est_make_record(rd, v);
	if (!e)
		return no_memory();
	r = est_read_items(rd, v, e, read_expr);
	return r < 0 ? err_trace(r) : est_finish(rd, e, ret);
}

static int read_var(struct reader *rd, const struct json *v, const struct expr **ret)
{
	struct expr *e = est_make(rd, EXPR_VAR, 0);
	if (!e)
		return no_memory();
	for (size_t i = 0; v->type == JSON_STRING && i < 4; i++)
		if (span_is(v->text, cedar_var_names[i])) {
			e->var = (enum cedar_var)i;
			*ret = e;
			return 0;
		}
	return reader_fail(rd, "principal, action, resource or context");
}

static int read_call(
	struct reader *rd, enum ext_fn fn, const struct json *v, const struct expr **ret)
{
	struct expr *e;
	int r;
	if (v->type != JSON_ARRAY)
		return reader_fail(rd, "an array of arguments, a method's receiver first");
	e = est_make(rd, EXPR_CALL, v->count);
	if (!e)
		return no_memory();
	e->ext = fn;
	r = est_read_items(rd, v, e, read_expr);
	return r < 0 ? err_trace(r) : est_finish(rd, e, ret);
}

static int read_operator(
	struct reader *rd, enum expr_op op, const struct json *v, const struct expr **ret)
{
	static const char *const one[] = {"arg", NULL}, *const two[] = {"left", "right", NULL};
	bool single = op == EXPR_NOT || op == EXPR_NEG || op == EXPR_IS_EMPTY;
	struct expr *e = est_make(rd, op, single ? 1 : 2);
	int r = reader_only(rd, v, single ? one : two);
	if (!e)
		return no_memory();
	for (size_t i = 0; r == 0 && i < e->count; i++)
		r = est_read_kid(rd, v, single ? one[i] : two[i], &e->kids[i]);
	return r < 0 ? err_trace(r) : est_finish(rd, e, ret);
}

static int read_if(struct reader *rd, const struct json *v, const struct expr **ret)
{
	static const char *const members[] = {"if", "then", "else", NULL};
	struct expr *e = est_make(rd, EXPR_IF, 3);
	int r = reader_only(rd, v, members);
	if (!e)
		return no_memory();
	for (size_t i = 0; r == 0 && i < 3; i++)
		r = est_read_kid(rd, v, members[i], &e->kids[i]);
	return r < 0 ? err_trace(r) : est_finish(rd, e, ret);
}

static int read_attr(struct reader *rd, const struct json *v, const struct expr **ret)
{
	static const char *const members[] = {"left", "attr", NULL};
	struct expr *e = est_make(rd, EXPR_ATTR, 1);
	int r = reader_only(rd, v, members);
	if (!e)
		return no_memory();
	if (r == 0)
		r = est_read_kid(rd, v, "left", &e->kids[0]);
	if (r == 0)
		r = reader_string(rd, v, "attr", &e->string);
	return r < 0 ? err_trace(r) : est_finish(rd, e, ret);
}

/* One name or several, which need not be identifiers as in text. Further members are passed over,
 * as the reference does. */
static int read_has(struct reader *rd, const struct json *v, const struct expr **ret)
{
	const struct json *attr = json_get(v, "attr");
	bool many = attr && attr->type == JSON_ARRAY;
	struct expr *e = est_make(rd, EXPR_HAS, 1);
	if (!e)
		return no_memory();
	int r = est_read_kid(rd, v, "left", &e->kids[0]);
	if (r < 0)
		return err_trace(r);
	if (!attr || (attr->type != JSON_STRING && (!many || attr->count == 0)))
		return reader_fail(rd, "`attr`: a string, or an array of them");
	e->name_count = many ? attr->count : 1;
	e->names = arena_make_array(rd->arena, struct span, e->name_count);
	if (!e->names)
		return no_memory();
	for (size_t i = 0; i < e->name_count; i++) {
		const struct json *name = many ? &attr->items[i] : attr;
		if (name->type != JSON_STRING)
			return reader_fail(rd, "`attr`: strings");
		e->names[i] = name->text;
	}
	return est_finish(rd, e, ret);
}

static int read_piece(struct reader *rd, const struct json *v, struct pattern_piece *ret)
{
	static const char *const members[] = {"Literal", NULL};
	int r;
	if (v->type == JSON_STRING && span_is(v->text, "Wildcard")) {
		ret->wildcard = true;
		return 0;
	}
	r = reader_only(rd, v, members);
	return r < 0 ? err_trace(r) : reader_string(rd, v, "Literal", &ret->text);
}

static int join_text(struct reader *rd, struct pattern_piece *last, struct span more)
{
	char *p = arena_bytes(rd->arena, last->text.n + more.n + 1);
	if (!p)
		return no_memory();
	if (last->text.n)
		memcpy(p, last->text.p, last->text.n);
	if (more.n)
		memcpy(p + last->text.n, more.p, more.n);
	last->text = span_of(p, last->text.n + more.n);
	return 0;
}

/* Neighbouring literals are one, as in text; empty ones are none. */
static int read_pieces(struct reader *rd, const struct json *v, struct expr *e)
{
	if (!v || v->type != JSON_ARRAY)
		return reader_fail(
			rd, "`pattern`: an array of \"Wildcard\" and {\"Literal\": text}");
	e->pieces = arena_make_array(rd->arena, struct pattern_piece, v->count + 1);
	if (!e->pieces)
		return no_memory();
	for (size_t i = 0; i < v->count; i++) {
		struct pattern_piece piece = {0};
		struct pattern_piece *last = e->name_count ? &e->pieces[e->name_count - 1] : NULL;
		int r = read_piece(rd, &v->items[i], &piece);
		if (r == 0 && !piece.wildcard && last && !last->wildcard)
			r = join_text(rd, last, piece.text);
		else if (r == 0 && (piece.wildcard || piece.text.n))
			e->pieces[e->name_count++] = piece;
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int read_like(struct reader *rd, const struct json *v, const struct expr **ret)
{
	static const char *const members[] = {"left", "pattern", NULL};
	struct expr *e = est_make(rd, EXPR_LIKE, 1);
	int r = reader_only(rd, v, members);
	if (!e)
		return no_memory();
	if (r == 0)
		r = est_read_kid(rd, v, "left", &e->kids[0]);
	if (r == 0)
		r = read_pieces(rd, json_get(v, "pattern"), e);
	return r < 0 ? err_trace(r) : est_finish(rd, e, ret);
}

static int read_is(struct reader *rd, const struct json *v, const struct expr **ret)
{
	static const char *const members[] = {"left", "entity_type", "in", NULL};
	const struct json *above = json_get(v, "in");
	bool in = above && above->type != JSON_NULL;
	struct expr *e = est_make(rd, EXPR_IS, in ? 2 : 1);
	int r = reader_only(rd, v, members);
	if (!e)
		return no_memory();
	if (r == 0)
		r = est_read_kid(rd, v, "left", &e->kids[0]);
	if (r == 0 && in)
		r = est_read_kid(rd, v, "in", &e->kids[1]);
	if (r == 0)
		r = reader_name(rd, v, "entity_type", &e->string);
	return r < 0 ? err_trace(r) : est_finish(rd, e, ret);
}

static const struct {
	const char *name;
	int (*read)(struct reader *rd, const struct json *v, const struct expr **ret);
} forms[] = {
	{"Value", est_read_value},
	{"Var", read_var},
	{"Set", read_set},
	{"Record", read_record},
	{".", read_attr},
	{"has", read_has},
	{"like", read_like},
	{"is", read_is},
	{"if-then-else", read_if},
};

static int read_form(struct reader *rd, const struct json *v, const struct expr **ret)
{
	enum ext_fn fn;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (span_is(v->key, forms[i].name))
			return forms[i].read(rd, v, ret);
	for (enum expr_op op = EXPR_NOT; op <= EXPR_GET_TAG; op++)
		if (span_is(v->key, expr_op_name(op)))
			return read_operator(rd, op, v, ret);
	if (ext_find(v->key, &fn))
		return read_call(rd, fn, v, ret);
	return reader_fail(rd, "an operator such as ==, Var, Value, if-then-else or decimal");
}

static int read_expr(struct reader *rd, const struct json *v, const struct expr **ret)
{
	size_t before;
	int r;
	if (!v || v->type != JSON_OBJECT || v->count != 1)
		return reader_fail(
			rd, "an object with one member, which is named after the operator");
	if (rd->nesting >= LIMIT_CEDAR_DEPTH)
		return err_raise(-E2BIG, "an expression of more than %d levels", LIMIT_CEDAR_DEPTH);
	rd->nesting++;
	before = reader_enter_span(rd, v->items[0].key);
	r = read_form(rd, &v->items[0], ret);
	if (r < 0)
		return err_trace(r);
	reader_leave(rd, before);
	rd->nesting--;
	return 0;
}
