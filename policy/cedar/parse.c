/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Policies and templates: annotations, effect, scope, conditions. Slots belong into the scope only;
 * actions are entities whose type's last name is Action.
 */
#include "policy/cedar/parse.h"
#include "policy/cedar/host.h"
#include "policy/cedar/no_memory.h"
#include <stdio.h>

int parse_annotation(struct parser *p, struct vec *annotations)
{
	struct annotation *a = vec_push(p->l.arena, annotations, sizeof(*a));
	uint32_t pos;
	int r = lex_next(&p->l);
	if (!a)
		return no_memory();
	if (r < 0)
		return err_trace(r);
	if (p->l.token.type != TOKEN_IDENT)
		return lex_unexpected(&p->l, "an annotation's name");
	pos = p->l.token.pos;
	a->name = p->l.token.text;
	for (size_t i = 0; i + 1 < annotations->count; i++)
		if (span_eq(((struct annotation *)annotations->items)[i].name, a->name))
			return lex_fail(&p->l, pos, "the annotation @" SPAN_FMT " is given twice",
				SPAN_ARG(a->name));
	r = lex_next(&p->l);
	if (r == 0)
		r = lex_accept(&p->l, "(", &a->has_value);
	if (r < 0 || !a->has_value)
		return err_trace(r);
	r = parse_string(p, &a->value);
	return r < 0 ? err_trace(r) : lex_expect(&p->l, ")", "behind an annotation's value");
}

static int add_uid(struct parser *p, const struct expr *e, struct vec *uids, struct vec *places)
{
	struct cedar_uid *uid;
	uint32_t *place;
	if (e->op != EXPR_UID)
		return lex_fail(&p->l, e->pos, "expected an entity such as Type::\"id\"");
	uid = vec_push(p->l.arena, uids, sizeof(*uid));
	place = vec_push(p->l.arena, places, sizeof(*place));
	if (!uid || !place)
		return no_memory();
	*uid = e->uid;
	*place = e->pos;
	return 0;
}

/* What stands behind == or in. */
static int scope_entity(struct parser *p, enum cedar_var var, struct scope *s)
{
	struct vec uids = {0}, places = {0};
	const struct expr *e;
	bool list;
	int r = parse_expr(p, &e);
	if (r < 0)
		return err_trace(r);
	list = e->op == EXPR_SET && var == VAR_ACTION && s->op == SCOPE_IN;
	if (e->op == EXPR_SLOT && var != VAR_ACTION) {
		if (e->var != var)
			return lex_fail(&p->l, e->pos, "expected ?%s here", cedar_var_names[var]);
		s->slot = true;
		s->count = 1;
		return 0;
	}
	for (size_t i = 0; r == 0 && i < (list ? e->count : 1); i++)
		r = add_uid(p, list ? e->kids[i] : e, &uids, &places);
	if (r < 0)
		return err_trace(r);
	s->list = list;
	s->count = uids.count;
	s->uids = uids.items;
	s->places = places.items;
	for (size_t i = 0; var == VAR_ACTION && i < s->count; i++)
		if (!span_is(cedar_name_base(s->uids[i].type), "Action"))
			return lex_fail(&p->l, e->pos,
				"expected an action, whose type is Action or Namespace::Action");
	return 0;
}

static int scope_is(struct parser *p, enum cedar_var var, struct scope *s)
{
	int r;
	if (var == VAR_ACTION)
		return lex_unexpected(&p->l, "`==` or `in`: the action has no type test");
	r = lex_next(&p->l);
	s->type_pos = p->l.token.pos;
	if (r == 0)
		r = parse_is_type(p, &s->type);
	if (r < 0)
		return err_trace(r);
	s->op = SCOPE_IS;
	if (!lex_is_word(&p->l, "in"))
		return 0;
	s->op = SCOPE_IS_IN;
	r = lex_next(&p->l);
	return r < 0 ? err_trace(r) : scope_entity(p, var, s);
}

static int parse_scope(struct parser *p, enum cedar_var var, struct scope *s)
{
	char accepted[48];
	int r;
	if (!lex_is_word(&p->l, cedar_var_names[var])) {
		snprintf(accepted, sizeof(accepted), "`%s`", cedar_var_names[var]);
		return lex_unexpected(&p->l, accepted);
	}
	r = lex_next(&p->l);
	if (r < 0)
		return err_trace(r);
	if (lex_is_word(&p->l, "is"))
		return scope_is(p, var, s);
	if (lex_is(&p->l, "=="))
		s->op = SCOPE_EQ;
	else if (lex_is_word(&p->l, "in"))
		s->op = SCOPE_IN;
	else
		return 0;
	r = lex_next(&p->l);
	return r < 0 ? err_trace(r) : scope_entity(p, var, s);
}

static int parse_head(struct parser *p, struct cedar_policy *c)
{
	struct scope *const scopes[] = {&c->principal, &c->action, &c->resource};
	int r = lex_expect(&p->l, "(", "behind the effect");
	for (size_t i = 0; r == 0 && i < 3; i++) {
		r = parse_scope(p, (enum cedar_var)i, scopes[i]);
		if (r == 0 && (i < 2 || lex_is(&p->l, ",")))
			r = lex_expect(&p->l, ",", "behind the variable, or `==`, `in` or `is`");
	}
	if (r == 0)
		r = lex_expect(&p->l, ")", "at the end of the scope");
	return err_trace(r);
}

static int parse_condition(struct parser *p, struct vec *conditions)
{
	struct condition *c = vec_push(p->l.arena, conditions, sizeof(*c));
	int r;
	if (!c)
		return no_memory();
	c->unless = lex_is_word(&p->l, "unless");
	if (!c->unless && !lex_is_word(&p->l, "when"))
		return lex_unexpected(&p->l, "`when`, `unless` or `;`");
	r = lex_next(&p->l);
	if (r == 0)
		r = lex_expect(&p->l, "{", "behind when or unless");
	if (r < 0)
		return err_trace(r);
	if (lex_is(&p->l, "}"))
		return lex_unexpected(&p->l, "an expression: a condition cannot be empty");
	p->slot_seen = false;
	r = parse_expr(p, &c->body);
	if (r == 0 && p->slot_seen)
		return lex_fail(
			&p->l, p->slot_pos, "slots stand in the scope only, not in conditions");
	if (r == 0 && conditions->count - 1 + c->body->depth > LIMIT_CEDAR_DEPTH)
		return lex_fail(&p->l, c->body->pos,
			"the conditions, joined by &&, have more than %d levels",
			LIMIT_CEDAR_DEPTH);
	return r < 0 ? err_trace(r) : lex_expect(&p->l, "}", "at the end of the condition");
}

static int parse_policy(struct parser *p, struct cedar_policy *c)
{
	struct vec annotations = {0}, conditions = {0};
	int r = 0;
	while (r == 0 && lex_is(&p->l, "@"))
		r = parse_annotation(p, &annotations);
	if (r < 0)
		return err_trace(r);
	c->pos = p->l.token.pos;
	c->source = p->l.text;
	c->forbid = lex_is_word(&p->l, "forbid");
	if (!c->forbid && !lex_is_word(&p->l, "permit"))
		return lex_unexpected(&p->l, "`permit` or `forbid`");
	r = lex_next(&p->l);
	if (r == 0)
		r = parse_head(p, c);
	while (r == 0 && !lex_is(&p->l, ";"))
		r = parse_condition(p, &conditions);
	if (r == 0)
		r = lex_next(&p->l);
	c->annotations = annotations.items;
	c->annotation_count = annotations.count;
	c->conditions = conditions.items;
	c->condition_count = conditions.count;
	return err_trace(r);
}

static int start(struct parser *p, struct arena *a, struct span text)
{
	*p = (struct parser){0};
	return lex_start(&p->l, a, text);
}

int cedar_policies_parse(struct arena *a, struct span text, struct cedar_policies *ret)
{
	return err_trace(cedar_policies_parse_from(a, text, 0, ret));
}

int cedar_policies_parse_from(
	struct arena *a, struct span text, size_t first, struct cedar_policies *ret)
{
	struct parser p;
	struct vec items = {0};
	int r = start(&p, a, text);
	while (r == 0 && p.l.token.type != TOKEN_END) {
		struct cedar_policy *c = arena_make(a, struct cedar_policy);
		const struct cedar_policy **slot = vec_push(a, &items, sizeof(c));
		if (!c || !slot)
			return no_memory();
		if (items.count > LIMIT_CEDAR_POLICIES)
			return lex_fail(
				&p.l, p.l.token.pos, "more than %d policies", LIMIT_CEDAR_POLICIES);
		c->id = span_cstr(arena_printf(a, "policy%zu", first + items.count - 1));
		if (!c->id.p)
			return no_memory();
		*slot = c;
		r = parse_policy(&p, c);
	}
	if (r < 0)
		return err_trace(r);
	*ret = (struct cedar_policies){items.items, items.count};
	return 0;
}

int cedar_policy_parse(
	struct arena *a, struct span text, struct span id, const struct cedar_policy **ret)
{
	struct parser p;
	struct cedar_policy *c = arena_make(a, struct cedar_policy);
	int r = start(&p, a, text);
	if (!c)
		return no_memory();
	c->id = id.p ? id : SPAN("policy0");
	if (r == 0)
		r = parse_policy(&p, c);
	if (r == 0 && p.l.token.type != TOKEN_END)
		return lex_unexpected(&p.l, "the end: exactly one policy");
	if (r < 0)
		return err_trace(r);
	*ret = c;
	return 0;
}
