/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a policy names and the schema does not declare, and scopes that no request can meet. Types,
 * actions and ids are checked wherever they stand, also where typing does not look, and once for a
 * policy.
 */
#include "policy/cedar/nearest.h"
#include "policy/cedar/validate.h"

struct names {
	const struct cedar_schema *schema;
	const struct cedar_policy *policy;
	struct report *report;
};

static void check_type(const struct names *n, struct span type, uint32_t pos)
{
	struct nearest near = nearest_to(type);
	char hint[160];
	if (type_is_action(type) || schema_entity_find(n->schema, type))
		return;
	for (size_t i = 0; i < n->schema->entities.count; i++)
		nearest_offer(&near, n->schema->entities.items[i]->name);
	cedar_report_error(n->report, pos, "the schema has no entity type `" SPAN_FMT "`%s",
		SPAN_ARG(type), nearest_hint(&near, hint, sizeof(hint)));
}

static void report_action(const struct names *n, const struct cedar_uid *uid, uint32_t pos)
{
	struct nearest near = nearest_to(uid->id);
	const struct cedar_uid *best = NULL;
	for (size_t i = 0; i < n->schema->actions.count; i++) {
		size_t before = near.distance;
		nearest_offer(&near, n->schema->actions.items[i]->uid.id);
		if (near.distance < before)
			best = &n->schema->actions.items[i]->uid;
	}
	cedar_report_error(n->report, pos,
		"the schema has no action " SPAN_FMT "::\"" SPAN_FMT "\"%s" SPAN_FMT "%s" SPAN_FMT
		"%s",
		SPAN_ARG(uid->type), SPAN_ARG(uid->id), best ? "; did you mean " : "",
		SPAN_ARG(best ? best->type : SPAN("")), best ? "::\"" : "",
		SPAN_ARG(best ? best->id : SPAN("")), best ? "\"?" : "");
}

static void check_choice(const struct names *n, const struct schema_entity *e,
	const struct cedar_uid *uid, uint32_t pos)
{
	struct nearest near = nearest_to(uid->id);
	if (schema_entity_allows(e, uid->id))
		return;
	for (size_t i = 0; i < e->choice_count; i++)
		nearest_offer(&near, e->choices[i]);
	if (near.best.n == 0)
		near.best = e->choices[0];
	cedar_report_error(n->report, pos,
		"\"" SPAN_FMT "\" is none of the ids that the schema lists for " SPAN_FMT
		"; expected one such as \"" SPAN_FMT "\"",
		SPAN_ARG(uid->id), SPAN_ARG(uid->type), SPAN_ARG(near.best));
}

static void check_uid(const struct names *n, const struct cedar_uid *uid, uint32_t pos)
{
	const struct schema_entity *e;
	if (type_is_action(uid->type)) {
		if (!schema_action_find(n->schema, uid))
			report_action(n, uid, pos);
		return;
	}
	check_type(n, uid->type, pos);
	e = schema_entity_find(n->schema, uid->type);
	if (e)
		check_choice(n, e, uid, pos);
}

static void check_expr(const struct names *n, const struct expr *e)
{
	if (e->op == EXPR_UID)
		check_uid(n, &e->uid, e->pos);
	if (e->op == EXPR_IS)
		check_type(n, e->string, e->pos);
	for (size_t i = 0; i < e->count; i++)
		check_expr(n, e->kids[i]);
}

static void check_scope(const struct names *n, const struct scope *s)
{
	if (s->op == SCOPE_IS || s->op == SCOPE_IS_IN)
		check_type(n, s->type, s->type_pos);
	for (size_t i = 0; i < s->count && !s->slot; i++)
		check_uid(n, &s->uids[i], s->places ? s->places[i] : 0);
}

void validate_names(
	const struct cedar_schema *s, const struct cedar_policy *p, struct report *report)
{
	struct names n = {s, p, report};
	check_scope(&n, &p->principal);
	check_scope(&n, &p->action);
	check_scope(&n, &p->resource);
	for (size_t i = 0; i < p->condition_count; i++)
		check_expr(&n, p->conditions[i].body);
}

void validate_slots(
	const struct cedar_schema *s, const struct cedar_policy *link, struct report *report)
{
	struct names n = {s, link, report};
	if (link->template->principal.slot)
		check_type(&n, link->principal.uids[0].type, 0);
	if (link->template->resource.slot)
		check_type(&n, link->resource.uids[0].type, 0);
}

static bool is_or_below(
	const struct cedar_schema *s, const struct schema_entity *e, struct span type)
{
	const struct schema_entity *above = schema_entity_find(s, type);
	return span_eq(e->name, type) || (above && schema_entities_have(&above->descendants, e));
}

bool scope_admits(
	const struct cedar_schema *s, const struct scope *scope, const struct schema_entity *e)
{
	bool named = span_eq(scope->type, e->name);
	switch (scope->op) {
	case SCOPE_ALL:
		return true;
	case SCOPE_EQ:
		return scope->slot || span_eq(scope->uids[0].type, e->name);
	case SCOPE_IN:
		return scope->slot || is_or_below(s, e, scope->uids[0].type);
	case SCOPE_IS:
		return named;
	case SCOPE_IS_IN:
		return named && (scope->slot || is_or_below(s, e, scope->uids[0].type));
	}
	return true;
}

static bool any_admitted(const struct cedar_schema *s, const struct scope *scope,
	const struct schema_entities *entities)
{
	for (size_t i = 0; i < entities->count; i++)
		if (scope_admits(s, scope, entities->items[i]))
			return true;
	return false;
}

static bool applies(const struct cedar_schema *s, const struct cedar_policy *p,
	const struct schema_action *action)
{
	return any_admitted(s, &p->principal, &action->principals) &&
		any_admitted(s, &p->resource, &action->resources);
}

/* An action that the scope names, or, with `in`, one below it. */
static bool named_applies(
	const struct cedar_schema *s, const struct cedar_policy *p, const struct cedar_uid *uid)
{
	const struct schema_action *action = schema_action_find(s, uid);
	bool found = action && applies(s, p, action);
	for (size_t i = 0; action && p->action.op == SCOPE_IN && i < action->descendants.count; i++)
		found = found || applies(s, p, action->descendants.items[i]);
	return found;
}

static bool some_action_applies(const struct cedar_schema *s, const struct cedar_policy *p)
{
	bool found = false;
	if (p->action.op == SCOPE_ALL) {
		for (size_t i = 0; i < s->actions.count; i++)
			found = found || applies(s, p, s->actions.items[i]);
		return found;
	}
	for (size_t i = 0; i < p->action.count; i++) {
		if (!schema_action_find(s, &p->action.uids[i]))
			return false;
		found = found || named_applies(s, p, &p->action.uids[i]);
	}
	return found;
}

void validate_application(
	const struct cedar_schema *s, const struct cedar_policy *p, struct report *report)
{
	if (!some_action_applies(s, p))
		cedar_report_warning(report, 0,
			"no action of the schema that the scope admits applies to its principals "
			"and resources");
}
