/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Calls of extension functions. Constructors take literals only, which are read here, so that no
 * policy that passes can fail over one.
 */
#include "policy/cedar/ext_types.h"
#include "policy/cedar/report.h"
#include "policy/cedar/typecheck.h"

static unsigned expected(enum type_kind k)
{
	switch (k) {
	case TYPE_STRING:
		return EXPECT_STRING;
	case TYPE_DECIMAL:
		return EXPECT_DECIMAL;
	case TYPE_IP:
		return EXPECT_IP;
	case TYPE_DATETIME:
		return EXPECT_DATETIME;
	case TYPE_DURATION:
		return EXPECT_DURATION;
	default:
		UNREACHABLE();
	}
}

static int read_literal(enum ext_fn fn, struct span text)
{
	int64_t number;
	struct ext_ip ip;
	switch (fn) {
	case EXT_DECIMAL:
		return ext_parse_decimal(text, &number);
	case EXT_IP:
		return ext_parse_ip(text, &ip);
	case EXT_DATETIME:
		return ext_parse_datetime(text, &number);
	default:
		return ext_parse_duration(text, &number);
	}
}

/* The number of arguments and, of a constructor, that they are literals that can be read. */
static bool arguments_fit(struct checker *c, const struct expr *e)
{
	bool fit = e->count == ext_arity(e->ext);
	if (e->ext == EXT_UNKNOWN) {
		cedar_report_error(c->report, e->pos,
			"there is no extension function `" SPAN_FMT "`", SPAN_ARG(e->function));
		return false;
	}
	if (!fit)
		cedar_report_error(c->report, e->pos, "`%s` takes %zu arguments, not %zu",
			ext_name(e->ext), ext_arity(e->ext), e->count);
	if (!ext_is_constructor(e->ext))
		return fit;
	if (e->count == 1 && e->kids[0]->op == EXPR_STRING &&
		read_literal(e->ext, e->kids[0]->string) < 0) {
		cedar_report_error(c->report, e->pos, "`%s`: %s", report_expr(c->arena, e),
			err_message(-EINVAL));
		err_clear();
		fit = false;
	}
	for (size_t i = 0; i < e->count; i++)
		if (e->kids[i]->op > EXPR_UID) {
			cedar_report_error(c->report, e->pos,
				"`%s`: expected a string literal as the argument of `%s`",
				report_expr(c->arena, e), ext_name(e->ext));
			return false;
		}
	return fit;
}

const struct typed *typecheck_call(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct ext_signature *s = ext_signature(e->ext);
	const struct typed **kids = arena_make_array(c->arena, const struct typed *, e->count + 1);
	struct typed t = {.expr = e, .type = type_plain(s->result)};
	bool fit;
	if (!kids) {
		c->no_memory = true;
		t.failed = true;
		return typed_keep(c, t, 0, NULL);
	}
	fit = arguments_fit(c, e);
	t.failed = !fit;
	for (size_t i = 0; i < e->count; i++) {
		kids[i] = fit ? typecheck_expect(c, prior, e->kids[i], expected(s->args[i]), NULL)
			      : typecheck(c, prior, e->kids[i]);
		t.failed |= kids[i]->failed;
	}
	return typed_keep(c, t, e->count, kids);
}
