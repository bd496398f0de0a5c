/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * `&&`, `||` and `if`: what is known on one side holds on the other where evaluation gets there
 * only through it, and what is never evaluated is not looked at.
 */
#include "policy/cedar/typecheck.h"

static const struct capabilities *both(
	struct checker *c, const struct capabilities *x, const struct capabilities *y)
{
	return capabilities_union(c->arena, x, y, &c->no_memory);
}

static const struct capabilities *common(
	struct checker *c, const struct capabilities *x, const struct capabilities *y)
{
	return capabilities_common(c->arena, x, y, &c->no_memory);
}

/* What of `||` and `&&` is left when the left side decides: the left side. */
static __attribute__((noinline)) const struct typed *decided(
	struct checker *c, const struct typed *left, const struct capabilities *grants)
{
	struct typed t = *left;
	t.grants = grants;
	return typed_keep(c, t, 0, NULL);
}

const struct typed *typecheck_and(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed *kids[2];
	struct typed t = {.expr = e, .type = type_plain(TYPE_BOOL)};
	kids[0] = typecheck_expect(c, prior, e->kids[0], EXPECT_BOOL, NULL);
	if (typed_is(kids[0], TYPE_FALSE))
		return decided(c, kids[0], NULL);
	kids[1] =
		typecheck_expect(c, both(c, prior, kids[0]->grants), e->kids[1], EXPECT_BOOL, NULL);
	t.failed = kids[0]->failed || kids[1]->failed || !kids[0]->type || !kids[1]->type;
	if (!kids[0]->type || !kids[1]->type)
		return typed_keep(c, t, 2, kids);
	if (typed_is(kids[1], TYPE_FALSE)) {
		t.type = kids[1]->type;
		return typed_keep(c, t, 2, kids);
	}
	t.grants = both(c, kids[0]->grants, kids[1]->grants);
	if (typed_is(kids[1], TYPE_TRUE)) {
		t.type = kids[0]->type;
	} else if (typed_is(kids[0], TYPE_TRUE)) {
		t.type = kids[1]->type;
		t.grants = kids[1]->grants; /* as the reference: what the left grants is lost */
	}
	return typed_keep(c, t, 2, kids);
}

/* Of two sides of `||` the one that alone decides, -1 if both do. */
static int deciding_side(const struct typed *left, const struct typed *right)
{
	if (typed_is(right, TYPE_TRUE))
		return 1;
	if (typed_is(right, TYPE_FALSE))
		return 0;
	return typed_is(left, TYPE_FALSE) ? 1 : -1;
}

const struct typed *typecheck_or(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed *kids[2];
	struct typed t = {.expr = e, .type = type_plain(TYPE_BOOL)};
	int decides;
	kids[0] = typecheck_expect(c, prior, e->kids[0], EXPECT_BOOL, NULL);
	if (typed_is(kids[0], TYPE_TRUE))
		return decided(c, kids[0], kids[0]->grants);
	kids[1] = typecheck_expect(c, prior, e->kids[1], EXPECT_BOOL, NULL);
	t.failed = kids[0]->failed || kids[1]->failed || !kids[0]->type || !kids[1]->type;
	if (!kids[0]->type || !kids[1]->type)
		return typed_keep(c, t, 2, kids);
	decides = deciding_side(kids[0], kids[1]);
	if (decides >= 0) {
		t.type = kids[decides]->type;
		t.grants = kids[decides]->grants;
	} else {
		t.grants = common(c, kids[0]->grants, kids[1]->grants);
	}
	return typed_keep(c, t, 2, kids);
}

/* A condition that is known leaves one branch, which is all that is kept. */
static const struct typed *check_one_branch(struct checker *c, const struct capabilities *prior,
	const struct expr *e, const struct typed *test)
{
	bool yes = typed_is(test, TYPE_TRUE);
	const struct typed *branch =
		typecheck(c, yes ? both(c, prior, test->grants) : prior, e->kids[yes ? 1 : 2]);
	const struct typed *kids[] = {test, branch};
	struct typed t = {.expr = e, .type = branch->type, .grants = branch->grants};
	t.failed = test->failed || branch->failed;
	if (yes && !t.failed)
		t.grants = both(c, branch->grants, test->grants);
	return typed_keep(c, t, 2, kids);
}

const struct typed *typecheck_if(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed *kids[3];
	struct typed t = {.expr = e};
	const char *why;
	kids[0] = typecheck_expect(c, prior, e->kids[0], EXPECT_BOOL, NULL);
	if (typed_is(kids[0], TYPE_TRUE) || typed_is(kids[0], TYPE_FALSE))
		return check_one_branch(c, prior, e, kids[0]);
	kids[1] = typecheck(c, both(c, prior, kids[0]->grants), e->kids[1]);
	kids[2] = typecheck(c, prior, e->kids[2]);
	t.failed = kids[0]->failed || kids[1]->failed || kids[2]->failed;
	if (kids[1]->type && kids[2]->type) {
		t.type = type_join(c, kids[1]->type, kids[2]->type, &why);
		if (!t.type)
			typecheck_unequal(
				c, e, "the branches are", kids[1]->type, kids[2]->type, why);
	}
	t.failed |= !t.type;
	if (!t.failed)
		t.grants = common(c, kids[2]->grants, both(c, kids[1]->grants, kids[0]->grants));
	return typed_keep(c, t, 3, kids);
}
