/* SPDX-License-Identifier: AGPL-3.0-only */
/* The reference's JSON form of policies (EST), read: effect, scope, conditions, annotations. */
#include "policy/cedar/reader.h"
#include "policy/cedar/no_memory.h"

static int read_slot(
	struct reader *rd, const struct json *slot, enum cedar_var var, struct scope *s)
{
	if (slot->type != JSON_STRING || slot->text.n == 0 ||
		!span_is(span_sub(slot->text, 1, slot->text.n), cedar_var_names[var]))
		return reader_fail(rd, "`slot`: ?principal or ?resource, that of the variable");
	s->slot = true;
	s->count = 1;
	return 0;
}

/* `entity` comes before what else may be there; members that mean nothing are passed over, as the
 * reference does. */
static int read_scope_entity(
	struct reader *rd, const struct json *v, enum cedar_var var, struct scope *s)
{
	const struct json *one = json_get(v, "entity");
	const struct json *slot = one || var == VAR_ACTION ? NULL : json_get(v, "slot");
	const struct json *list = one || slot ? NULL : json_get(v, "entities");
	struct cedar_uid *uids;
	int r = 0;
	if (!slot && !list && !one)
		return reader_fail(
			rd, "`entity`, or `slot`, or for an action in several `entities`");
	if (slot)
		return err_trace(read_slot(rd, slot, var, s));
	if (list && (var != VAR_ACTION || s->op != SCOPE_IN || list->type != JSON_ARRAY))
		return reader_fail(rd, "`entities`: an array, behind an action's `in` only");
	s->list = list != NULL;
	s->count = list ? list->count : 1;
	s->uids = uids = arena_make_array(rd->arena, struct cedar_uid, s->count + 1);
	if (!uids)
		return no_memory();
	for (size_t i = 0; r == 0 && i < s->count; i++) {
		r = reader_uid(rd, list ? &list->items[i] : one, &uids[i]);
		if (r == 0 && var == VAR_ACTION &&
			!span_is(cedar_name_base(uids[i].type), "Action"))
			return reader_fail(
				rd, "an action, whose type is Action or Namespace::Action");
	}
	return err_trace(r);
}

static int read_scope_op(
	struct reader *rd, const struct json *v, enum cedar_var var, enum scope_op *ret)
{
	static const char *const typed[] = {"op", "entity_type", "in", NULL};
	const struct json *in = json_get(v, "in");
	struct span op;
	int r;
	if (!v || v->type != JSON_OBJECT)
		return reader_fail(rd, "an object");
	r = reader_string(rd, v, "op", &op);
	if (r < 0)
		return err_trace(r);
	if (span_is(op, "All") || span_is(op, "all"))
		*ret = SCOPE_ALL;
	else if (span_is(op, "=="))
		*ret = SCOPE_EQ;
	else if (span_is(op, "in"))
		*ret = SCOPE_IN;
	else if (span_is(op, "is") && var != VAR_ACTION)
		*ret = in && in->type != JSON_NULL ? SCOPE_IS_IN : SCOPE_IS;
	else
		return reader_fail(rd, "`op`: All, ==, in or is");
	return *ret == SCOPE_IS || *ret == SCOPE_IS_IN ? reader_only(rd, v, typed) : 0;
}

static int read_scope(
	struct reader *rd, const struct json *policy, enum cedar_var var, struct scope *s)
{
	static const char *const names[] = {"op", "entity_type", "in", NULL};
	const struct json *v = json_get(policy, cedar_var_names[var]), *in;
	size_t before = reader_enter(rd, cedar_var_names[var], -1);
	int r;
	if (v && v->type == JSON_ARRAY && (v->count == 1 || v->count == 3))
		v = reader_named(rd->arena, v, names);
	in = json_get(v, "in");
	r = read_scope_op(rd, v, var, &s->op);
	if (r == 0 && (s->op == SCOPE_IS || s->op == SCOPE_IS_IN))
		r = reader_name(rd, v, "entity_type", &s->type);
	if (r == 0 && s->op == SCOPE_IS_IN && in->type != JSON_OBJECT)
		r = reader_fail(rd, "`in`: an object");
	if (r == 0 && s->op != SCOPE_ALL && s->op != SCOPE_IS)
		r = read_scope_entity(rd, s->op == SCOPE_IS_IN ? in : v, var, s);
	reader_leave(rd, before);
	return err_trace(r);
}

static int read_condition(struct reader *rd, const struct json *v, struct condition *ret)
{
	static const char *const members[] = {"kind", "body", NULL};
	struct span kind;
	int r = v && v->type == JSON_ARRAY && v->count != 2 ? reader_fail(rd, "an object")
							    : reader_struct(rd, &v, members);
	if (r == 0)
		r = reader_string(rd, v, "kind", &kind);
	if (r < 0)
		return err_trace(r);
	ret->unless = span_is(kind, "unless");
	if (!ret->unless && !span_is(kind, "when"))
		return reader_fail(rd, "`kind`: when or unless");
	return est_read_kid(rd, v, "body", &ret->body);
}

static int read_conditions(struct reader *rd, const struct json *v, struct cedar_policy *p)
{
	struct condition *conditions;
	size_t before = reader_enter(rd, "conditions", -1);
	if (!v || v->type != JSON_ARRAY)
		return reader_fail(rd, "an array");
	conditions = arena_make_array(rd->arena, struct condition, v->count + 1);
	if (!conditions)
		return no_memory();
	p->conditions = conditions;
	p->condition_count = v->count;
	for (size_t i = 0; i < v->count; i++) {
		size_t outer = reader_enter(rd, NULL, (ssize_t)i);
		int r = read_condition(rd, &v->items[i], &conditions[i]);
		if (r < 0)
			return err_trace(r);
		if (i + conditions[i].body->depth > LIMIT_CEDAR_DEPTH)
			return err_raise(-E2BIG,
				"%s: the conditions, joined by &&, have more than %d levels",
				rd->path, LIMIT_CEDAR_DEPTH);
		reader_leave(rd, outer);
	}
	reader_leave(rd, before);
	return 0;
}

int cedar_policy_from_json(
	struct arena *a, const struct json *v, struct span id, const struct cedar_policy **ret)
{
	static const char *const members[] = {
		"effect", "principal", "action", "resource", "conditions", "annotations", NULL};
	struct reader rd = {.arena = a, .what = "the policy"};
	struct cedar_policy *p = arena_make(a, struct cedar_policy);
	struct span effect;
	int r = reader_struct(&rd, &v, members);
	if (!p)
		return no_memory();
	p->id = id.p ? id : SPAN("policy0");
	if (r == 0)
		r = reader_string(&rd, v, "effect", &effect);
	if (r < 0)
		return err_trace(r);
	p->forbid = span_is(effect, "forbid");
	if (!p->forbid && !span_is(effect, "permit"))
		return reader_fail(&rd, "`effect`: permit or forbid");
	r = read_scope(&rd, v, VAR_PRINCIPAL, &p->principal);
	if (r == 0)
		r = read_scope(&rd, v, VAR_ACTION, &p->action);
	if (r == 0)
		r = read_scope(&rd, v, VAR_RESOURCE, &p->resource);
	if (r == 0)
		r = read_conditions(&rd, json_get(v, "conditions"), p);
	if (r == 0)
		r = reader_annotations(
			&rd, json_get(v, "annotations"), &p->annotation_count, &p->annotations);
	if (r < 0)
		return err_trace(r);
	*ret = p;
	return 0;
}
