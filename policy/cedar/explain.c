/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Why each policy did or did not apply. The conditions are taken apart at their top-level `&&`, and
 * each part is evaluated by itself, in order, as the whole would be: the first one that is false or
 * fails is the reason.
 */
#include "policy/cedar/host.h"
#include "policy/cedar/set.h"
#include "policy/cedar/no_memory.h"

enum { DETAIL_BYTES = 4096 };

/* Evaluates one condition by itself. */
static int evaluate(struct eval *e, const struct expr *body, bool unless, bool *ret)
{
	const struct condition condition = {unless, body};
	const struct cedar_policy alone = {.condition_count = 1, .conditions = &condition};
	struct program program;
	int r = program_compile(e->arena, &alone, &program);
	if (r < 0)
		return err_trace(r);
	e->stack = arena_raw(e->arena, (program.stack + 1) * sizeof(*e->stack));
	return e->stack ? err_trace(program_run(e, &program, ret)) : no_memory();
}

static int say(struct eval *e, const struct expr *body, const char *before, const char *after,
	struct span *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(DETAIL_BYTES);
	buf_puts(&b, before);
	expr_print(&b, body);
	buf_puts(&b, after);
	if (buf_error(&b) < 0) {
		err_clear();
		buf_reset(&b);
		buf_puts(&b, "a long condition");
	}
	*ret = arena_span(e->arena, buf_view(&b));
	return ret->p ? 0 : no_memory();
}

static int explain_condition(struct eval *e, const struct condition *c, struct cedar_verdict *v)
{
	const struct expr *parts[64], *at = c->body;
	size_t n = 0;
	bool holds = true;
	int r = 0;
	/* The chain leans to the left; what is longer than the array keeps its head in one part. */
	while (!c->unless && at->op == EXPR_AND && n + 1 < ARRAY_LEN(parts)) {
		parts[n++] = at->kids[1];
		at = at->kids[0];
	}
	parts[n++] = at;
	while (n > 0 && holds && r == 0) {
		at = parts[--n];
		r = evaluate(e, at, c->unless, &holds);
	}
	if (r == -EINVAL || r == -ERANGE) {
		const char *message = arena_strdup(e->arena, err_message(r));
		err_clear();
		v->fate = CEDAR_FAILED;
		v->detail = span_cstr(message);
		return message ? 0 : no_memory();
	}
	if (r < 0 || holds)
		return err_trace(r);
	v->fate = CEDAR_CONDITION_FALSE;
	return err_trace(
		say(e, at, c->unless ? "unless { " : "", c->unless ? " }" : "", &v->detail));
}

static int explain_policy(struct eval *e, struct cedar_verdict *v)
{
	const struct cedar_policy *p = v->policy;
	int r = 0;
	if (!scope_holds(e->entities, &p->action, &e->request->action))
		v->fate = CEDAR_OTHER_ACTION;
	else if (!scope_holds(e->entities, &p->principal, &e->request->principal))
		v->fate = CEDAR_OTHER_PRINCIPAL;
	else if (!scope_holds(e->entities, &p->resource, &e->request->resource))
		v->fate = CEDAR_OTHER_RESOURCE;
	for (size_t i = 0; r == 0 && v->fate == CEDAR_SATISFIED && i < p->condition_count; i++)
		r = explain_condition(e, &p->conditions[i], v);
	return err_trace(r);
}

int cedar_explain(struct arena *a, const struct cedar_set *s, const struct cedar_entities *entities,
	const struct cedar_request *request, struct cedar_verdict **ret)
{
	struct eval e = {.arena = a, .entities = entities, .request = request};
	struct cedar_verdict *verdicts = arena_make_array(a, struct cedar_verdict, s->count + 1);
	int r = verdicts ? 0 : no_memory();
	for (size_t i = 0; r == 0 && i < s->count; i++) {
		verdicts[i].policy = s->policies[i].policy;
		r = explain_policy(&e, &verdicts[i]);
	}
	if (r < 0)
		return err_trace(r);
	*ret = verdicts;
	return 0;
}
