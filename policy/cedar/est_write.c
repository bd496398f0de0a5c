/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The reference's JSON form of policies (EST), written. A tree may be deeper than one json_writer
 * can nest, so every expression has a writer of its own, on the same buffer.
 */
#include "policy/cedar/ast.h"

/* An expression as the next value of w. */
static void put_expr(struct json_writer *w, const struct expr *e)
{
	json_put_raw(w, SPAN("")); /* its comma, and that a value stands here */
	expr_to_json(w->b, e);
}

static void put_uid(struct json_writer *w, const struct cedar_uid *u)
{
	json_object(w);
	json_field_span(w, "type", u->type);
	json_field_span(w, "id", u->id);
	json_end(w);
}

static void put_value(struct json_writer *w, const struct expr *e)
{
	json_key(w, "Value");
	switch (e->op) {
	case EXPR_BOOL:
		json_put_bool(w, e->boolean);
		break;
	case EXPR_LONG:
		json_put_i64(w, e->number);
		break;
	case EXPR_STRING:
		json_put_span(w, e->string);
		break;
	default:
		json_object(w);
		json_key(w, "__entity");
		put_uid(w, &e->uid);
		json_end(w);
		break;
	}
}

static void put_list(struct json_writer *w, struct span key, const struct expr *e)
{
	json_key_span(w, key);
	json_array(w);
	for (size_t i = 0; i < e->count; i++)
		put_expr(w, e->kids[i]);
	json_end(w);
}

static void put_record(struct json_writer *w, const struct expr *e)
{
	json_key(w, "Record");
	json_object(w);
	for (size_t i = 0; i < e->count; i++) {
		json_key_span(w, e->names[i]);
		put_expr(w, e->kids[i]);
	}
	json_end(w);
}

/* The reference has a literal for every character. */
static void put_characters(struct json_writer *w, struct span text)
{
	size_t end;
	for (size_t at = 0; at < text.n; at = end) {
		end = at + 1;
		while (end < text.n && ((unsigned char)text.p[end] & 0xc0) == 0x80)
			end++;
		json_object(w);
		json_field_span(w, "Literal", span_sub(text, at, end));
		json_end(w);
	}
}

static void put_pattern(struct json_writer *w, const struct expr *e)
{
	json_key(w, "pattern");
	json_array(w);
	for (size_t i = 0; i < e->name_count; i++) {
		if (e->pieces[i].wildcard)
			json_put_cstr(w, "Wildcard");
		else
			put_characters(w, e->pieces[i].text);
	}
	json_end(w);
}

static void put_attr_names(struct json_writer *w, const struct expr *e)
{
	json_key(w, "attr");
	if (e->name_count == 1) {
		json_put_span(w, e->names[0]);
		return;
	}
	json_array(w);
	for (size_t i = 0; i < e->name_count; i++)
		json_put_span(w, e->names[i]);
	json_end(w);
}

static void put_kid(struct json_writer *w, const char *key, const struct expr *kid)
{
	json_key(w, key);
	put_expr(w, kid);
}

static void put_left(struct json_writer *w, const char *op, const struct expr *e)
{
	json_key(w, op);
	json_object(w);
	put_kid(w, "left", e->kids[0]);
}

static void put_operator(struct json_writer *w, const struct expr *e)
{
	const char *op = expr_op_name(e->op);
	if (e->count == 1) {
		json_key(w, op);
		json_object(w);
		put_kid(w, "arg", e->kids[0]);
	} else {
		put_left(w, op, e);
		put_kid(w, "right", e->kids[1]);
	}
	json_end(w);
}

static void put_if(struct json_writer *w, const struct expr *e)
{
	json_key(w, "if-then-else");
	json_object(w);
	put_kid(w, "if", e->kids[0]);
	put_kid(w, "then", e->kids[1]);
	put_kid(w, "else", e->kids[2]);
	json_end(w);
}

static void put_special(struct json_writer *w, const struct expr *e)
{
	put_left(w,
		e->op == EXPR_ATTR           ? "."
			: e->op == EXPR_HAS  ? "has"
			: e->op == EXPR_LIKE ? "like"
					     : "is",
		e);
	if (e->op == EXPR_ATTR)
		json_field_span(w, "attr", e->string);
	else if (e->op == EXPR_HAS)
		put_attr_names(w, e);
	else if (e->op == EXPR_LIKE)
		put_pattern(w, e);
	else
		json_field_span(w, "entity_type", e->string);
	if (e->op == EXPR_IS && e->count > 1)
		put_kid(w, "in", e->kids[1]);
	json_end(w);
}

void expr_to_json(struct buf *b, const struct expr *e)
{
	struct json_writer writer = json_writer(b), *w = &writer;
	json_object(w);
	switch (e->op) {
	case EXPR_BOOL:
	case EXPR_LONG:
	case EXPR_STRING:
	case EXPR_UID:
		put_value(w, e);
		break;
	case EXPR_VAR:
		json_field_cstr(w, "Var", cedar_var_names[e->var]);
		break;
	case EXPR_SLOT:
		json_field_cstr(w, "Slot", e->var == VAR_PRINCIPAL ? "?principal" : "?resource");
		break;
	case EXPR_IF:
		put_if(w, e);
		break;
	case EXPR_ATTR:
	case EXPR_HAS:
	case EXPR_LIKE:
	case EXPR_IS:
		put_special(w, e);
		break;
	case EXPR_SET:
		put_list(w, SPAN("Set"), e);
		break;
	case EXPR_RECORD:
		put_record(w, e);
		break;
	case EXPR_CALL:
		put_list(w, e->ext == EXT_UNKNOWN ? e->function : span_cstr(ext_name(e->ext)), e);
		break;
	default:
		put_operator(w, e);
		break;
	}
	json_end(w);
}

static void put_scope_entity(struct json_writer *w, const char *slot, const struct scope *s)
{
	if (s->slot) {
		json_field_cstr(w, "slot", slot);
	} else if (s->count == 1) { /* a list of one action too */
		json_key(w, "entity");
		put_uid(w, s->uids);
	} else {
		json_key(w, "entities");
		json_array(w);
		for (size_t i = 0; i < s->count; i++)
			put_uid(w, &s->uids[i]);
		json_end(w);
	}
}

static void put_scope(
	struct json_writer *w, const char *key, const char *slot, const struct scope *s)
{
	static const char *const ops[] = {"All", "==", "in", "is", "is"};
	json_key(w, key);
	json_object(w);
	json_field_cstr(w, "op", ops[s->op]);
	if (s->op == SCOPE_IS || s->op == SCOPE_IS_IN)
		json_field_span(w, "entity_type", s->type);
	if (s->op == SCOPE_EQ || s->op == SCOPE_IN)
		put_scope_entity(w, slot, s);
	if (s->op == SCOPE_IS_IN) {
		json_key(w, "in");
		json_object(w);
		put_scope_entity(w, slot, s);
		json_end(w);
	}
	json_end(w);
}

static void put_annotations(struct json_writer *w, const struct cedar_policy *p)
{
	json_key(w, "annotations");
	json_object(w);
	for (size_t i = 0; i < p->annotation_count; i++) {
		json_key_span(w, p->annotations[i].name);
		if (p->annotations[i].has_value)
			json_put_span(w, p->annotations[i].value);
		else
			json_put_null(w);
	}
	json_end(w);
}

void cedar_policy_to_json(struct json_writer *w, const struct cedar_policy *p)
{
	json_object(w);
	json_field_cstr(w, "effect", p->forbid ? "forbid" : "permit");
	put_scope(w, "principal", "?principal", &p->principal);
	put_scope(w, "action", "", &p->action);
	put_scope(w, "resource", "?resource", &p->resource);
	json_key(w, "conditions");
	json_array(w);
	for (size_t i = 0; i < p->condition_count; i++) {
		json_object(w);
		json_field_cstr(w, "kind", p->conditions[i].unless ? "unless" : "when");
		json_key(w, "body");
		put_expr(w, p->conditions[i].body);
		json_end(w);
	}
	json_end(w);
	if (p->annotation_count)
		put_annotations(w, p);
	json_end(w);
}
