/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A set that stands on another, seen as one: its base's policies, then its own. Policies do not see
 * each other, so what both layers say together follows from what each says alone, in the order in
 * which one set of all of them would say it.
 */
#include "policy/context/rules.h"

static const struct cedar_set *half_of(const struct rule_set *layer, enum set_half half)
{
	return half == SET_LIMITS ? layer->limits : layer->verdicts;
}

size_t set_half_count(const struct rule_set *s, enum set_half half)
{
	size_t n = 0;

	set_for_each_layer(l, s) n += cedar_set_count(half_of(l, half));
	return n;
}

const struct cedar_policy *set_half_at(const struct rule_set *s, enum set_half half, size_t index)
{
	size_t before = s->base ? cedar_set_count(half_of(s->base, half)) : 0;

	return index < before ? cedar_set_policy(half_of(s->base, half), index)
			      : cedar_set_policy(half_of(s, half), index - before);
}

/* ---- two answers as one ---- */

static bool forbids(const struct cedar_answer *x)
{
	return !x->allow && x->reason_count > 0;
}

static int join_reasons(struct arena *a, const struct cedar_answer *x, const struct cedar_answer *y,
	struct cedar_answer *ret)
{
	struct span *both = arena_raw(a, (x->reason_count + y->reason_count + 1) * sizeof(*both));

	if (!both)
		return err_raise(-ENOMEM, "decision: request memory used up");
	memcpy(both, x->reasons, x->reason_count * sizeof(*both));
	memcpy(both + x->reason_count, y->reasons, y->reason_count * sizeof(*both));
	ret->reasons = both;
	ret->reason_count = x->reason_count + y->reason_count;
	return 0;
}

static int join_errors(struct arena *a, const struct cedar_answer *x, const struct cedar_answer *y,
	struct cedar_answer *ret)
{
	struct cedar_error *both =
		arena_raw(a, (x->error_count + y->error_count + 1) * sizeof(*both));

	if (!both)
		return err_raise(-ENOMEM, "decision: request memory used up");
	memcpy(both, x->errors, x->error_count * sizeof(*both));
	memcpy(both + x->error_count, y->errors, y->error_count * sizeof(*both));
	ret->errors = both;
	ret->error_count = x->error_count + y->error_count;
	return 0;
}

/* A forbid of either layer wins over the permits of both. */
static int join(struct arena *a, const struct cedar_answer *x, const struct cedar_answer *y,
	struct cedar_answer *ret)
{
	bool x_forbids = forbids(x), y_forbids = forbids(y);
	int r = 0;

	*ret = x_forbids && !y_forbids ? *x : *y;
	if (x_forbids == y_forbids) {
		ret->allow = x->allow || y->allow;
		r = join_reasons(a, x, y, ret);
	}
	return r < 0 ? err_trace(r) : err_trace(join_errors(a, x, y, ret));
}

int set_authorize(struct arena *a, const struct rule_set *s, enum set_half half,
	const struct question *q, struct cedar_answer *ret)
{
	struct cedar_answer of_base, own;

	if (!s->base)
		return err_trace(
			cedar_authorize(a, half_of(s, half), q->entities, &q->request, ret));
	int r = cedar_authorize(a, half_of(s->base, half), q->entities, &q->request, &of_base);
	if (r == 0)
		r = cedar_authorize(a, half_of(s, half), q->entities, &q->request, &own);
	return r < 0 ? err_trace(r) : err_trace(join(a, &of_base, &own, ret));
}
