/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The reference's JSON form of policies (EST), read. An expression is an object with one member,
 * whose name is the operator; unknown members anywhere are refused. Messages say where: a path of
 * member names, as in `conditions[0].body.==.left`.
 */
#include "policy/cedar/ast.h"
#include <stdio.h>

enum { PATH_BYTES = 160 };

struct reader {
	struct arena *arena;
	int nesting;
	char path[PATH_BYTES]; /* of what is being read; cut if longer */
	size_t path_length;
};

static int read_expr(struct reader *rd, const struct json *v, const struct expr **ret) MUST_USE;

static int fail(const struct reader *rd, const char *expected)
{
	return err_raise(
		-EINVAL, "%s: expected %s", rd->path_length ? rd->path : "the policy", expected);
}

static int no_memory(void)
{
	return err_raise(-ENOMEM, "no memory for a policy");
}

/* Extends the path; the caller restores path_length, and the end of the text, with leave(). */
static size_t enter(struct reader *rd, const char *name, ssize_t index)
{
	size_t before = rd->path_length;
	size_t left = PATH_BYTES - before;
	int n = index >= 0 ? snprintf(rd->path + before, left, "[%zd]", index)
			   : snprintf(rd->path + before, left, "%s%s", before ? "." : "", name);
	rd->path_length = MIN(before + (size_t)n, (size_t)PATH_BYTES - 1);
	return before;
}

static void leave(struct reader *rd, size_t before)
{
	rd->path_length = before;
	rd->path[before] = '\0';
}

/* All members must be among the names, a NULL-terminated list. */
static int only_members(struct reader *rd, const struct json *v, const char *const *names)
{
	if (!v || v->type != JSON_OBJECT)
		return fail(rd, "an object");
	json_for_each (m, v) {
		const char *const *n = names;
		while (*n && !span_is(m->key, *n))
			n++;
		if (!*n)
			return err_raise(-EINVAL, "%s: no member `" SPAN_FMT "` belongs here",
				rd->path_length ? rd->path : "the policy", SPAN_ARG(m->key));
	}
	return 0;
}

static int string_member(
	struct reader *rd, const struct json *v, const char *name, struct span *ret)
{
	const struct json *m = json_get(v, name);
	size_t before = enter(rd, name, -1);
	if (!m || m->type != JSON_STRING)
		return fail(rd, "a string");
	*ret = m->text;
	leave(rd, before);
	return 0;
}

static int name_member(struct reader *rd, const struct json *v, const char *name, struct span *ret)
{
	int r = string_member(rd, v, name, ret);
	return r < 0 ? err_trace(r) : cedar_check_name(*ret);
}

static int read_uid(struct reader *rd, const struct json *v, struct cedar_uid *ret)
{
	static const char *const members[] = {"type", "id", NULL};
	struct span type, id;
	const struct json *inner = json_get(v, "__entity");
	int r;
	if (inner && v->count == 1)
		v = inner;
	r = only_members(rd, v, members);
	if (r == 0)
		r = name_member(rd, v, "type", &type);
	if (r == 0)
		r = string_member(rd, v, "id", &id);
	if (r < 0)
		return err_trace(r);
	*ret = cedar_uid_of(type, id);
	return 0;
}

static int finish(struct reader *rd, struct expr *e, const struct expr **ret)
{
	int r = expr_measure(e);
	if (r < 0)
		return err_trace(r);
	*ret = e;
	return 0;
}

static struct expr *make(struct reader *rd, enum expr_op op, size_t kids)
{
	return expr_make(rd->arena, op, 0, kids);
}

static int read_kid(
	struct reader *rd, const struct json *v, const char *name, const struct expr **ret)
{
	size_t before = enter(rd, name, -1);
	int r = read_expr(rd, json_get(v, name), ret);
	if (r < 0)
		return err_trace(r);
	leave(rd, before);
	return 0;
}

/* A Cedar value in JSON, as an expression: {"__entity"} and {"__extn"} escapes, sets, records. */
static int read_value(struct reader *rd, const struct json *v, const struct expr **ret) MUST_USE;

static int read_value_list(struct reader *rd, const struct json *v, struct expr *e)
{
	for (size_t i = 0; i < v->count; i++) {
		size_t before = enter(rd, NULL, (ssize_t)i);
		int r = read_value(rd, &v->items[i], &e->kids[i]);
		if (r < 0)
			return err_trace(r);
		leave(rd, before);
	}
	return 0;
}

static int read_extension(struct reader *rd, const struct json *v, const struct expr **ret)
{
	static const char *const members[] = {"fn", "arg", "args", NULL};
	const struct json *args = json_get(v, "args"), *arg = json_get(v, "arg");
	struct expr *e;
	struct span name;
	enum ext_fn fn;
	int r = only_members(rd, v, members);
	if (r == 0)
		r = string_member(rd, v, "fn", &name);
	if (r < 0)
		return err_trace(r);
	if (!ext_find(name, &fn))
		return fail(rd, "an extension function: decimal, ip, datetime, duration");
	if ((args != NULL) == (arg != NULL) || (args && args->type != JSON_ARRAY))
		return fail(rd, "either `arg`, or `args` with an array");
	e = make(rd, EXPR_CALL, args ? args->count : 1);
	if (!e)
		return no_memory();
	e->ext = fn;
	r = args ? read_value_list(rd, args, e) : read_value(rd, arg, &e->kids[0]);
	return r < 0 ? err_trace(r) : finish(rd, e, ret);
}

static int read_value_record(struct reader *rd, const struct json *v, const struct expr **ret)
{
	struct expr *e = make(rd, EXPR_RECORD, v->count);
	int r;
	if (!e)
		return no_memory();
	e->name_count = v->count;
	e->names = arena_make_array(rd->arena, struct span, v->count + 1);
	if (!e->names)
		return no_memory();
	for (size_t i = 0; i < v->count; i++)
		e->names[i] = v->items[i].key;
	r = read_value_list(rd, v, e);
	return r < 0 ? err_trace(r) : finish(rd, e, ret);
}

static int read_value_object(struct reader *rd, const struct json *v, const struct expr **ret)
{
	const struct json *inner;
	struct expr *e;
	int r;
	if (v->count == 1 && (inner = json_get(v, "__extn")))
		return read_extension(rd, inner, ret);
	if (v->count != 1 || !json_get(v, "__entity"))
		return read_value_record(rd, v, ret);
	e = make(rd, EXPR_UID, 0);
	if (!e)
		return no_memory();
	r = read_uid(rd, v, &e->uid);
	if (r < 0)
		return err_trace(r);
	*ret = e;
	return 0;
}

static int read_value(struct reader *rd, const struct json *v, const struct expr **ret)
{
	struct expr *e = NULL;
	int r = 0;
	if (!v)
		return fail(rd, "a value");
	switch (v->type) {
	case JSON_NULL:
		return fail(rd, "a value: Cedar has no null");
	case JSON_OBJECT:
		return read_value_object(rd, v, ret);
	case JSON_BOOL:
		e = make(rd, EXPR_BOOL, 0);
		if (e)
			e->boolean = v->boolean;
		break;
	case JSON_STRING:
		e = make(rd, EXPR_STRING, 0);
		if (e)
			e->string = v->text;
		break;
	case JSON_NUMBER:
		e = make(rd, EXPR_LONG, 0);
		if (e && span_to_i64(v->text, &e->number) < 0)
			return fail(rd, "an integer of 64 bits, without point or exponent");
		break;
	case JSON_ARRAY:
		e = make(rd, EXPR_SET, v->count);
		if (e)
			r = read_value_list(rd, v, e);
		break;
	}
	if (!e)
		return no_memory();
	return r < 0 ? err_trace(r) : finish(rd, e, ret);
}

static int read_list(struct reader *rd, const struct json *v, struct expr *e)
{
	for (size_t i = 0; i < v->count; i++) {
		size_t before = enter(rd, NULL, (ssize_t)i);
		int r = read_expr(rd, &v->items[i], &e->kids[i]);
		if (r < 0)
			return err_trace(r);
		leave(rd, before);
	}
	return 0;
}

static int read_set(struct reader *rd, const struct json *v, const struct expr **ret)
{
	struct expr *e;
	int r;
	if (v->type != JSON_ARRAY)
		return fail(rd, "an array of expressions");
	e = make(rd, EXPR_SET, v->count);
	if (!e)
		return no_memory();
	r = read_list(rd, v, e);
	return r < 0 ? err_trace(r) : finish(rd, e, ret);
}

static int read_record(struct reader *rd, const struct json *v, const struct expr **ret)
{
	struct expr *e;
	int r;
	if (v->type != JSON_OBJECT)
		return fail(rd, "an object of expressions");
	e = make(rd, EXPR_RECORD, v->count);
	if (!e)
		return no_memory();
	e->name_count = v->count;
	e->names = arena_make_array(rd->arena, struct span, v->count + 1);
	if (!e->names)
		return no_memory();
	for (size_t i = 0; i < v->count; i++)
		e->names[i] = v->items[i].key;
	r = read_list(rd, v, e);
	return r < 0 ? err_trace(r) : finish(rd, e, ret);
}

static int read_var(struct reader *rd, const struct json *v, const struct expr **ret)
{
	struct expr *e = make(rd, EXPR_VAR, 0);
	if (!e)
		return no_memory();
	for (size_t i = 0; v->type == JSON_STRING && i < 4; i++)
		if (span_is(v->text, cedar_var_names[i])) {
			e->var = (enum cedar_var)i;
			*ret = e;
			return 0;
		}
	return fail(rd, "principal, action, resource or context");
}

static int read_call(
	struct reader *rd, enum ext_fn fn, const struct json *v, const struct expr **ret)
{
	struct expr *e;
	int r;
	if (v->type != JSON_ARRAY || (!ext_is_constructor(fn) && v->count == 0))
		return fail(rd, "an array of arguments, a method's receiver first");
	e = make(rd, EXPR_CALL, v->count);
	if (!e)
		return no_memory();
	e->ext = fn;
	r = read_list(rd, v, e);
	return r < 0 ? err_trace(r) : finish(rd, e, ret);
}

static int read_operator(
	struct reader *rd, enum expr_op op, const struct json *v, const struct expr **ret)
{
	static const char *const one[] = {"arg", NULL}, *const two[] = {"left", "right", NULL};
	bool single = op == EXPR_NOT || op == EXPR_NEG || op == EXPR_IS_EMPTY;
	struct expr *e = make(rd, op, single ? 1 : 2);
	int r = only_members(rd, v, single ? one : two);
	if (!e)
		return no_memory();
	for (size_t i = 0; r == 0 && i < e->count; i++)
		r = read_kid(rd, v, single ? one[i] : two[i], &e->kids[i]);
	return r < 0 ? err_trace(r) : finish(rd, e, ret);
}

static int read_if(struct reader *rd, const struct json *v, const struct expr **ret)
{
	static const char *const members[] = {"if", "then", "else", NULL};
	struct expr *e = make(rd, EXPR_IF, 3);
	int r = only_members(rd, v, members);
	if (!e)
		return no_memory();
	for (size_t i = 0; r == 0 && i < 3; i++)
		r = read_kid(rd, v, members[i], &e->kids[i]);
	return r < 0 ? err_trace(r) : finish(rd, e, ret);
}

static int read_attr(struct reader *rd, const struct json *v, const struct expr **ret)
{
	static const char *const members[] = {"left", "attr", NULL};
	struct expr *e = make(rd, EXPR_ATTR, 1);
	int r = only_members(rd, v, members);
	if (!e)
		return no_memory();
	if (r == 0)
		r = read_kid(rd, v, "left", &e->kids[0]);
	if (r == 0)
		r = string_member(rd, v, "attr", &e->string);
	return r < 0 ? err_trace(r) : finish(rd, e, ret);
}

/* One name, any string; or several, which must be identifiers, as the text form has them. */
static int read_has(struct reader *rd, const struct json *v, const struct expr **ret)
{
	static const char *const members[] = {"left", "attr", NULL};
	const struct json *attr = json_get(v, "attr");
	bool many = attr && attr->type == JSON_ARRAY;
	struct expr *e = make(rd, EXPR_HAS, 1);
	int r = only_members(rd, v, members);
	if (!e)
		return no_memory();
	if (r == 0)
		r = read_kid(rd, v, "left", &e->kids[0]);
	if (r < 0)
		return err_trace(r);
	if (!attr || (attr->type != JSON_STRING && (!many || attr->count == 0)))
		return fail(rd, "`attr`: a string, or an array of them");
	e->name_count = many ? attr->count : 1;
	e->names = arena_make_array(rd->arena, struct span, e->name_count);
	if (!e->names)
		return no_memory();
	for (size_t i = 0; i < e->name_count; i++) {
		const struct json *name = many ? &attr->items[i] : attr;
		if (name->type != JSON_STRING ||
			(e->name_count > 1 &&
				(!cedar_identifier(name->text) || cedar_reserved_word(name->text))))
			return fail(rd, "`attr`: identifiers");
		e->names[i] = name->text;
	}
	return finish(rd, e, ret);
}

static int read_piece(struct reader *rd, const struct json *v, struct pattern_piece *ret)
{
	static const char *const members[] = {"Literal", NULL};
	int r;
	if (v->type == JSON_STRING && span_is(v->text, "Wildcard")) {
		ret->wildcard = true;
		return 0;
	}
	r = only_members(rd, v, members);
	return r < 0 ? err_trace(r) : string_member(rd, v, "Literal", &ret->text);
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
		return fail(rd, "`pattern`: an array of \"Wildcard\" and {\"Literal\": text}");
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
	struct expr *e = make(rd, EXPR_LIKE, 1);
	int r = only_members(rd, v, members);
	if (!e)
		return no_memory();
	if (r == 0)
		r = read_kid(rd, v, "left", &e->kids[0]);
	if (r == 0)
		r = read_pieces(rd, json_get(v, "pattern"), e);
	return r < 0 ? err_trace(r) : finish(rd, e, ret);
}

static int read_is(struct reader *rd, const struct json *v, const struct expr **ret)
{
	static const char *const members[] = {"left", "entity_type", "in", NULL};
	bool in = json_get(v, "in") != NULL;
	struct expr *e = make(rd, EXPR_IS, in ? 2 : 1);
	int r = only_members(rd, v, members);
	if (!e)
		return no_memory();
	if (r == 0)
		r = read_kid(rd, v, "left", &e->kids[0]);
	if (r == 0 && in)
		r = read_kid(rd, v, "in", &e->kids[1]);
	if (r == 0)
		r = name_member(rd, v, "entity_type", &e->string);
	return r < 0 ? err_trace(r) : finish(rd, e, ret);
}

static const struct {
	const char *name;
	int (*read)(struct reader *rd, const struct json *v, const struct expr **ret);
} forms[] = {
	{"Value", read_value},
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
	return fail(rd, "an operator such as ==, Var, Value, if-then-else or decimal");
}

static int read_expr(struct reader *rd, const struct json *v, const struct expr **ret)
{
	char name[32];
	size_t before;
	int r;
	if (!v || v->type != JSON_OBJECT || v->count != 1)
		return fail(rd, "an object with one member, which is named after the operator");
	if (rd->nesting >= LIMIT_CEDAR_DEPTH)
		return err_raise(-E2BIG, "an expression of more than %d levels", LIMIT_CEDAR_DEPTH);
	rd->nesting++;
	snprintf(name, sizeof(name), SPAN_FMT, SPAN_ARG(span_sub(v->items[0].key, 0, 24)));
	before = enter(rd, name, -1);
	r = read_form(rd, &v->items[0], ret);
	if (r < 0)
		return err_trace(r);
	leave(rd, before);
	rd->nesting--;
	return 0;
}

static int read_scope_entity(
	struct reader *rd, const struct json *v, enum cedar_var var, struct scope *s)
{
	const struct json *slot = json_get(v, "slot"), *list = json_get(v, "entities");
	const struct json *one = json_get(v, "entity");
	struct cedar_uid *uids;
	int r = 0;
	if ((slot != NULL) + (list != NULL) + (one != NULL) != 1)
		return fail(rd, "`entity`, or `slot`, or for an action in several `entities`");
	if (slot) {
		if (var == VAR_ACTION || slot->type != JSON_STRING || slot->text.n == 0 ||
			!span_is(span_sub(slot->text, 1, slot->text.n), cedar_var_names[var]))
			return fail(rd, "`slot`: ?principal or ?resource, that of the variable");
		s->slot = true;
		s->count = 1;
		return 0;
	}
	if (list && (var != VAR_ACTION || s->op != SCOPE_IN || list->type != JSON_ARRAY))
		return fail(rd, "`entities`: an array, behind an action's `in` only");
	s->list = list != NULL;
	s->count = list ? list->count : 1;
	s->uids = uids = arena_make_array(rd->arena, struct cedar_uid, s->count + 1);
	if (!uids)
		return no_memory();
	for (size_t i = 0; r == 0 && i < s->count; i++) {
		r = read_uid(rd, list ? &list->items[i] : one, &uids[i]);
		if (r == 0 && var == VAR_ACTION &&
			!span_is(cedar_name_base(uids[i].type), "Action"))
			return fail(rd, "an action, whose type is Action or Namespace::Action");
	}
	return err_trace(r);
}

static int read_scope(
	struct reader *rd, const struct json *policy, enum cedar_var var, struct scope *s)
{
	static const char *const members[] = {
		"op", "entity", "entities", "slot", "entity_type", "in", NULL};
	const struct json *v = json_get(policy, cedar_var_names[var]), *in = json_get(v, "in");
	size_t before = enter(rd, cedar_var_names[var], -1);
	struct span op;
	int r = only_members(rd, v, members);
	if (r == 0)
		r = string_member(rd, v, "op", &op);
	if (r < 0)
		return err_trace(r);
	if (span_is(op, "All") || span_is(op, "all"))
		s->op = SCOPE_ALL;
	else if (span_is(op, "=="))
		s->op = SCOPE_EQ;
	else if (span_is(op, "in"))
		s->op = SCOPE_IN;
	else if (span_is(op, "is") && var != VAR_ACTION)
		s->op = in ? SCOPE_IS_IN : SCOPE_IS;
	else
		return fail(rd, "`op`: All, ==, in or is");
	if (s->op == SCOPE_IS || s->op == SCOPE_IS_IN)
		r = name_member(rd, v, "entity_type", &s->type);
	if (r == 0 && s->op != SCOPE_ALL && s->op != SCOPE_IS)
		r = read_scope_entity(rd, in ? in : v, var, s);
	leave(rd, before);
	return err_trace(r);
}

static int read_condition(struct reader *rd, const struct json *v, struct condition *ret)
{
	static const char *const members[] = {"kind", "body", NULL};
	struct span kind;
	int r = only_members(rd, v, members);
	if (r == 0)
		r = string_member(rd, v, "kind", &kind);
	if (r < 0)
		return err_trace(r);
	ret->unless = span_is(kind, "unless");
	if (!ret->unless && !span_is(kind, "when"))
		return fail(rd, "`kind`: when or unless");
	return read_kid(rd, v, "body", &ret->body);
}

static int read_conditions(struct reader *rd, const struct json *v, struct cedar_policy *p)
{
	struct condition *conditions;
	size_t before = enter(rd, "conditions", -1);
	if (!v || v->type != JSON_ARRAY)
		return fail(rd, "an array");
	conditions = arena_make_array(rd->arena, struct condition, v->count + 1);
	if (!conditions)
		return no_memory();
	p->conditions = conditions;
	p->condition_count = v->count;
	for (size_t i = 0; i < v->count; i++) {
		size_t outer = enter(rd, NULL, (ssize_t)i);
		int r = read_condition(rd, &v->items[i], &conditions[i]);
		if (r < 0)
			return err_trace(r);
		leave(rd, outer);
	}
	leave(rd, before);
	return 0;
}

static int read_annotations(struct reader *rd, const struct json *v, struct cedar_policy *p)
{
	struct annotation *a;
	size_t before = enter(rd, "annotations", -1);
	if (!v)
		return 0;
	if (v->type != JSON_OBJECT)
		return fail(rd, "an object");
	p->annotations = a = arena_make_array(rd->arena, struct annotation, v->count + 1);
	if (!a)
		return no_memory();
	p->annotation_count = v->count;
	for (size_t i = 0; i < v->count; i++) {
		const struct json *m = &v->items[i];
		if (!cedar_identifier(m->key) || (m->type != JSON_STRING && m->type != JSON_NULL))
			return fail(rd, "identifiers with a string or null");
		a[i] = (struct annotation){m->key, m->type == JSON_STRING, m->text};
	}
	leave(rd, before);
	return 0;
}

int cedar_policy_from_json(
	struct arena *a, const struct json *v, struct span id, const struct cedar_policy **ret)
{
	static const char *const members[] = {
		"effect", "principal", "action", "resource", "conditions", "annotations", NULL};
	struct reader rd = {.arena = a};
	struct cedar_policy *p = arena_make(a, struct cedar_policy);
	struct span effect;
	int r = only_members(&rd, v, members);
	if (!p)
		return no_memory();
	p->id = id.p ? id : SPAN("policy0");
	if (r == 0)
		r = string_member(&rd, v, "effect", &effect);
	if (r < 0)
		return err_trace(r);
	p->forbid = span_is(effect, "forbid");
	if (!p->forbid && !span_is(effect, "permit"))
		return fail(&rd, "`effect`: permit or forbid");
	r = read_scope(&rd, v, VAR_PRINCIPAL, &p->principal);
	if (r == 0)
		r = read_scope(&rd, v, VAR_ACTION, &p->action);
	if (r == 0)
		r = read_scope(&rd, v, VAR_RESOURCE, &p->resource);
	if (r == 0)
		r = read_conditions(&rd, json_get(v, "conditions"), p);
	if (r == 0)
		r = read_annotations(&rd, json_get(v, "annotations"), p);
	if (r < 0)
		return err_trace(r);
	*ret = p;
	return 0;
}
