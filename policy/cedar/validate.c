/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Validation: names first, then types once for each environment, which is an action with a type of
 * principal and one of resource that it applies to, and for a template the types that its slots can
 * take. What one environment needs is forgotten before the next.
 */
#include "policy/cedar/validate.h"

enum { SCRATCH_BYTES = 256 * 1024 * 1024 };

struct validation {
	struct arena *arena; /* of the findings */
	struct arena *scratch; /* of one environment */
	const struct cedar_schema *schema;
	struct map templates; /* of the set, by id */
	struct report report;
	int level;
	/* of the policy looked at */
	const struct cedar_policy *policy;
	const struct expr *condition;
	bool possible; /* in some environment it is not known to be false */
	bool no_memory;
};

static void check_environment(struct validation *v, const struct environment *env)
{
	struct checker c = {
		.arena = v->scratch, .schema = v->schema, .env = env, .report = &v->report};
	const struct typed *t;
	bool never;
	arena_reset(v->scratch);
	t = typecheck_expect(&c, NULL, v->condition, EXPECT_BOOL, NULL);
	never = typed_is(t, TYPE_FALSE);
	if (!never)
		v->possible = true;
	if (v->level >= 0 && !c.no_memory && (never || !t->failed))
		validate_level(&c, t, (uint32_t)v->level);
	v->no_memory |= c.no_memory;
}

/* The types that a slot can take for this variable: itself and, with `in`, those above it. */
static size_t slot_choices(const struct scope *s, const struct schema_entity *e)
{
	return s->slot && s->op != SCOPE_EQ ? e->ancestors.count + 1 : 1;
}

static const struct schema_entity *slot_choice(
	const struct scope *s, const struct schema_entity *e, size_t i)
{
	if (!s->slot)
		return NULL;
	return i == 0 ? e : e->ancestors.items[i - 1];
}

static void check_slots(struct validation *v, struct environment *env)
{
	const struct scope *p = &v->policy->principal, *r = &v->policy->resource;
	for (size_t i = 0; i < slot_choices(p, env->principal); i++)
		for (size_t j = 0; j < slot_choices(r, env->resource); j++) {
			env->principal_slot = slot_choice(p, env->principal, i);
			env->resource_slot = slot_choice(r, env->resource, j);
			check_environment(v, env);
		}
}

static void check_action(struct validation *v, const struct schema_action *action)
{
	struct environment env = {.action = action};
	for (size_t i = 0; i < action->principals.count; i++)
		for (size_t j = 0; j < action->resources.count && !v->no_memory; j++) {
			env.principal = action->principals.items[i];
			env.resource = action->resources.items[j];
			check_slots(v, &env);
		}
}

/* A static policy or a template. */
static int check_body(struct validation *v, const struct cedar_policy *p)
{
	struct arena *own CLEANUP(arena_cleanup) = arena_new(SCRATCH_BYTES);
	v->policy = p;
	v->possible = false;
	v->condition = own ? condition_of(own, p) : NULL;
	if (!v->condition)
		return err_raise(-ENOMEM, "no memory to validate a policy");
	validate_names(v->schema, p, &v->report);
	validate_application(v->schema, p, &v->report);
	validate_text(v->condition, &v->report);
	for (size_t i = 0; i < v->schema->actions.count && !v->no_memory; i++)
		check_action(v, v->schema->actions.items[i]);
	if (v->no_memory)
		return err_raise(-ENOMEM, "no memory to validate a policy");
	if (!v->possible)
		cedar_report_warning(&v->report, 0,
			"this policy never applies: it is false for every request that the schema "
			"allows");
	return 0;
}

static int check_policy(struct validation *v, const struct cedar_policy *p)
{
	int r = 0;
	v->report.policy = p;
	if (!p->template)
		return check_body(v, p);
	validate_slots(v->schema, p, &v->report);
	validate_application(v->schema, p, &v->report);
	if (map_get(&v->templates, p->template->id) != p->template)
		r = check_body(v, p->template);
	return err_trace(r);
}

static int find_templates(struct map *templates, const struct cedar_policies *policies)
{
	int r = 0;
	map_init(templates, policies->count + 1);
	for (size_t i = 0; r != -ENOMEM && i < policies->count; i++)
		if (cedar_policy_is_template(policies->items[i]))
			r = map_put(templates, policies->items[i]->id,
				(void *)(uintptr_t)policies->items[i]);
	return r == -ENOMEM ? r : 0;
}

static int check_policies(struct validation *v, const struct cedar_policies *policies)
{
	int r = find_templates(&v->templates, policies);
	if (r < 0)
		return err_raise(r, "no memory to validate policies");
	for (size_t i = 0; r == 0 && i < policies->count; i++) {
		r = check_policy(v, policies->items[i]);
		v->report.policy_number++;
	}
	return err_trace(r);
}

int cedar_validate(struct arena *a, const struct cedar_schema *s,
	const struct cedar_policies *policies, int level, struct cedar_validation *ret)
{
	struct arena *scratch CLEANUP(arena_cleanup) = arena_new(SCRATCH_BYTES);
	struct validation v = {
		.arena = a, .scratch = scratch, .schema = s, .report.arena = a, .level = level};
	int r = scratch ? check_policies(&v, policies)
			: err_raise(-ENOMEM, "no memory to validate policies");
	map_fini(&v.templates);
	return r < 0 ? err_trace(r) : report_finish(&v.report, ret);
}
