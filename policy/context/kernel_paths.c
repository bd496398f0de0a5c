/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a set forbids of files and programs, as tests of paths. Principal and action are known, the
 * path is not; what policies still ask of it becomes a tree that can be asked of every file of a
 * runtime. What a tree cannot say is named, with the policy, and refused by whoever needs it.
 */
#include "policy/context/kernel.h"

enum { TEST_UNSUPPORTED = 1, WHY_BYTES = 160 };

static int no_memory(void)
{
	return err_raise(-ENOMEM, "kernel rules: out of memory");
}

static bool is_value(const struct residual *r, enum value_type t)
{
	return r->state == RESIDUAL_VALUE && r->value.type == t;
}

static bool is_var(const struct residual *r, enum cedar_var var)
{
	return r->state == RESIDUAL_OPEN && r->op == EXPR_VAR && r->var == var;
}

static bool reads_context(const struct residual *r)
{
	if (r->state != RESIDUAL_OPEN)
		return false;
	if (is_var(r, VAR_CONTEXT))
		return true;
	for (size_t i = 0; i < r->count; i++)
		if (reads_context(r->kids[i]))
			return true;
	return false;
}

static int make(struct arena *a, int op, struct kernel_path_test **ret)
{
	struct kernel_path_test *t = arena_raw(a, sizeof(*t));

	if (!t)
		return no_memory();
	memset(t, 0, sizeof(*t));
	t->op = (__typeof__(t->op))op;
	*ret = t;
	return 0;
}

/* What is made here outlives the set. */
static int keep(struct arena *a, struct span text, struct span *ret)
{
	*ret = arena_span(a, text);
	return text.n && !ret->p ? no_memory() : 0;
}

static int constant(struct arena *a, bool value, struct kernel_path_test **ret)
{
	int r = make(a, PATH_TEST_CONST, ret);

	if (r == 0)
		(*ret)->value = value;
	return err_trace(r);
}

static int join(struct arena *a, int op, struct kernel_path_test *x, struct kernel_path_test *y,
	struct kernel_path_test **ret)
{
	struct kernel_path_test *t = NULL; /* gcc does not see that make() sets it */
	int r = make(a, op, &t);

	if (r < 0)
		return err_trace(r);
	t->kids[0] = x;
	t->kids[1] = y;
	*ret = t;
	return 0;
}

/* ---- single conditions ---- */

/* `resource == uid`, `resource in uid`. */
static int of_entity(
	struct arena *a, const struct cedar_uid *uid, bool in, struct kernel_path_test **ret)
{
	int op = span_is(uid->type, "Path")         ? in ? PATH_TEST_IN : PATH_TEST_IS
		: !in                               ? PATH_TEST_CONST
		: span_is(uid->type, "PathPattern") ? PATH_TEST_GLOB
		: span_is(uid->type, "Volume")      ? PATH_TEST_VOLUME
						    : PATH_TEST_CONST;
	int r = make(a, op, ret);

	if (r == 0)
		r = keep(a, uid->id, &(*ret)->text);
	return err_trace(r);
}

/* One of a set of entities, or in one of them. */
static int of_set(
	struct arena *a, const struct value_set *set, bool in, struct kernel_path_test **ret)
{
	struct kernel_path_test *all = NULL, *one = NULL;
	int r = constant(a, false, &all);

	for (size_t i = 0; r == 0 && i < set->count; i++) {
		if (set->items[i].type != VALUE_ENTITY)
			return TEST_UNSUPPORTED;
		r = of_entity(a, set->items[i].uid, in, &one);
		if (r == 0)
			r = join(a, PATH_TEST_OR, all, one, &all);
	}
	if (r == 0)
		*ret = all;
	return err_trace(r);
}

static int membership(struct arena *a, const struct residual *r, struct kernel_path_test **ret)
{
	const struct residual *of = r->kids[0], *what = r->count > 1 ? r->kids[1] : NULL;

	if (!is_var(of, VAR_RESOURCE) || !what)
		return TEST_UNSUPPORTED;
	if (is_value(what, VALUE_ENTITY))
		return err_trace(of_entity(a, what->value.uid, true, ret));
	if (is_value(what, VALUE_SET))
		return of_set(a, what->value.set, true, ret);
	return TEST_UNSUPPORTED;
}

/* resource.path, resource.name */
static bool is_text(const struct residual *r, bool *ret_name)
{
	if (r->state != RESIDUAL_OPEN || r->op != EXPR_ATTR || !is_var(r->kids[0], VAR_RESOURCE))
		return false;
	*ret_name = span_is(r->name, "name");
	return *ret_name || span_is(r->name, "path");
}

static int like(struct arena *a, bool of_name, const struct pattern_piece *pieces, size_t count,
	struct kernel_path_test **ret)
{
	struct pattern_piece *copies = arena_make_array(a, struct pattern_piece, count + 1);
	int r = copies ? make(a, PATH_TEST_LIKE, ret) : no_memory();

	for (size_t i = 0; r == 0 && i < count; i++) {
		copies[i].wildcard = pieces[i].wildcard;
		r = keep(a, pieces[i].text, &copies[i].text);
	}
	if (r < 0)
		return err_trace(r);
	(*ret)->of_name = of_name;
	(*ret)->like.pieces = copies;
	(*ret)->like.count = count;
	return 0;
}

static int text_is(struct arena *a, bool of_name, struct span text, struct kernel_path_test **ret)
{
	struct pattern_piece *piece = arena_raw(a, sizeof(*piece));
	int r;

	if (!of_name) {
		r = make(a, PATH_TEST_IS, ret);
		if (r == 0)
			r = keep(a, text, &(*ret)->text);
		return err_trace(r);
	}
	if (!piece)
		return no_memory();
	*piece = (struct pattern_piece){.text = text};
	return err_trace(like(a, true, piece, 1, ret));
}

static int equality(struct arena *a, const struct residual *r, struct kernel_path_test **ret)
{
	const struct residual *x = r->kids[0], *y = r->kids[1];
	bool of_name;
	int n;

	if (x->state == RESIDUAL_VALUE) {
		x = r->kids[1];
		y = r->kids[0];
	}
	if (is_var(x, VAR_RESOURCE) && is_value(y, VALUE_ENTITY))
		n = of_entity(a, y->value.uid, false, ret);
	else if (is_text(x, &of_name) && is_value(y, VALUE_STRING))
		n = text_is(a, of_name, y->value.string, ret);
	else
		return TEST_UNSUPPORTED;
	return n == 0 && r->op == EXPR_NE ? err_trace(join(a, PATH_TEST_NOT, *ret, NULL, ret))
					  : err_trace(n);
}

/* ---- trees ---- */

static int test_of(struct arena *a, const struct residual *r, struct kernel_path_test **ret);

static int pair(struct arena *a, int op, const struct residual *r, struct kernel_path_test **ret)
{
	struct kernel_path_test *x = NULL, *y = NULL;
	int n = test_of(a, r->kids[0], &x);

	if (n == 0)
		n = test_of(a, r->kids[1], &y);
	return n ? n : err_trace(join(a, op, x, y, ret));
}

/* if x then y else z */
static int choice(struct arena *a, const struct residual *r, struct kernel_path_test **ret)
{
	struct kernel_path_test *x = NULL, *y = NULL, *z = NULL, *not_x = NULL;
	int n = test_of(a, r->kids[0], &x);

	if (n == 0)
		n = test_of(a, r->kids[1], &y);
	if (n == 0)
		n = test_of(a, r->kids[2], &z);
	if (n == 0)
		n = join(a, PATH_TEST_NOT, x, NULL, &not_x);
	if (n == 0)
		n = join(a, PATH_TEST_AND, x, y, &y);
	if (n == 0)
		n = join(a, PATH_TEST_AND, not_x, z, &z);
	return n ? n : err_trace(join(a, PATH_TEST_OR, y, z, ret));
}

static int test_of(struct arena *a, const struct residual *r, struct kernel_path_test **ret)
{
	bool of_name;
	int n;

	if (is_value(r, VALUE_BOOL))
		return err_trace(constant(a, r->value.boolean, ret));
	if (r->state != RESIDUAL_OPEN)
		return TEST_UNSUPPORTED;
	switch (r->op) {
	case EXPR_NOT:
		n = test_of(a, r->kids[0], ret);
		return n ? n : err_trace(join(a, PATH_TEST_NOT, *ret, NULL, ret));
	case EXPR_AND:
		return pair(a, PATH_TEST_AND, r, ret);
	case EXPR_OR:
		return pair(a, PATH_TEST_OR, r, ret);
	case EXPR_IF:
		return choice(a, r, ret);
	case EXPR_EQ:
	case EXPR_NE:
		return equality(a, r, ret);
	case EXPR_IN:
	case EXPR_IS:
		return membership(a, r, ret);
	case EXPR_CONTAINS:
		return is_value(r->kids[0], VALUE_SET) && is_var(r->kids[1], VAR_RESOURCE)
			? of_set(a, r->kids[0]->value.set, false, ret)
			: TEST_UNSUPPORTED;
	case EXPR_LIKE:
		return is_text(r->kids[0], &of_name)
			? err_trace(like(a, of_name, r->pieces, r->name_count, ret))
			: TEST_UNSUPPORTED;
	default:
		return TEST_UNSUPPORTED;
	}
}

/* ---- rules ---- */

static int why_not(struct arena *a, const struct residual *r, struct kernel_path_rule *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024);

	cedar_residual_print(&b, r);
	if (buf_error(&b) < 0)
		buf_reset(&b);
	ret->when = NULL;
	ret->why = arena_printf(a,
		"the kernel cannot check this of a file: " SPAN_FMT
		"; it can check paths, folders, patterns of them, resource.path and resource.name",
		SPAN_ARG(span_sub(buf_view(&b), 0, WHY_BYTES)));
	return ret->why ? 0 : no_memory();
}

/* 0 with *ret_is false for a policy that is no rule about files. */
static int rule_of(struct arena *a, const struct policy_info *info, const struct residual *r,
	struct kernel_path_rule *ret, bool *ret_is)
{
	*ret = (struct kernel_path_rule){.right = ret->right, .policy_id = info->id};
	*ret_is = !reads_context(r);
	if (!*ret_is)
		return 0;
	ret->where = arena_printf(a, "policy '" SPAN_FMT "'" SPAN_FMT SPAN_FMT ":%d",
		SPAN_ARG(info->id), SPAN_ARG(info->file.n ? SPAN(" of ") : SPAN("")),
		SPAN_ARG(info->file), info->line);
	if (!ret->where || keep(a, info->id, &ret->policy_id) < 0)
		return no_memory();
	/* One that cannot be evaluated forbids. */
	int n = r->state == RESIDUAL_ERROR ? constant(a, true, &ret->when)
					   : test_of(a, r, &ret->when);
	if (n < 0)
		return err_trace(n);
	if (n == TEST_UNSUPPORTED)
		return err_trace(why_not(a, r, ret));
	if (ret->right != KERNEL_EXEC && kernel_path_holds_elsewhere(ret->when))
		*ret_is = false; /* about volumes */
	if (ret->when->op == PATH_TEST_CONST && !ret->when->value)
		*ret_is = false;
	return 0;
}

static int rules_of(struct arena *a, const struct rule_set *s, const struct decision_request *q,
	int right, struct kernel_path_rule *to, size_t *count)
{
	static const struct span command[] = {{"command", 7}};
	bool exec = right == KERNEL_EXEC, is;
	struct cedar_residuals residuals;
	int r = kernel_residuals(a, s, q, "Path", command, exec, &residuals);

	for (size_t i = 0; r == 0 && i < residuals.count; i++) {
		const struct cedar_residual *x = &residuals.items[i];
		const struct policy_info *info = set_info(s, cedar_policy_id(x->policy));
		if (!info->forbids)
			continue;
		to[*count].right = (__typeof__(to->right))right;
		r = rule_of(a, info, x->condition, &to[*count], &is);
		*count += is;
	}
	return err_trace(r);
}

int rule_set_path_rules(const struct rule_set *s, const struct decision_request *who,
	struct arena *a, struct kernel_rules *ret)
{
	static const struct {
		int right;
		const char *action;
	} actions[] = {{KERNEL_EXEC, "exec"}, {KERNEL_READ, "fs:read"}, {KERNEL_WRITE, "fs:write"}};
	/* For the entities of who asks; the resource and the command are unknown. */
	static const struct span nothing[] = {{"/", 1}};
	struct kernel_path_rule *rules =
		arena_make_array(a, struct kernel_path_rule, 3 * rule_set_count(s) + 1);
	size_t count = 0;
	int r = rules ? 0 : no_memory();

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(actions); i++) {
		struct decision_request q = *who;
		q.action = span_cstr(actions[i].action);
		q.paths = nothing;
		q.path_count = 1;
		q.argv = nothing;
		q.argv_count = 1;
		r = rules_of(a, s, &q, actions[i].right, rules, &count);
	}
	if (r < 0)
		return err_trace(r);
	ret->paths = rules;
	ret->path_count = count;
	return 0;
}
