/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Regular expressions from outside, through PCRE2 with every limit it offers, so that a pattern
 * that backtracks without end is an error instead of a hang. No JIT: its stack use is not ours to
 * bound, and fibers are small.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "daemon/schema/schema_internal.h"
#include <pcre2.h>

struct pattern {
	pcre2_code *code;
	pcre2_match_context *limits;
};

/* ECMA-262 lets an unescaped ']' and '{' stand for themselves and gives \u four digits. */
static pcre2_compile_context *pattern_dialect(void)
{
	pcre2_compile_context *c = pcre2_compile_context_create(NULL);
	if (!c)
		return NULL;
	pcre2_set_compile_extra_options(c, PCRE2_EXTRA_ALT_BSUX);
	pcre2_set_max_pattern_length(c, LIMIT_JSONSCHEMA_PATTERN_BYTES);
	pcre2_set_parens_nest_limit(c, LIMIT_PATTERN_NESTING);
	return c;
}

static int pattern_compile(struct span source, bool whole, struct pattern *p)
{
	pcre2_compile_context *dialect = pattern_dialect();
	if (!dialect)
		return err_raise(-ENOMEM, "no memory for a pattern");
	uint32_t options = PCRE2_AUTO_CALLOUT | PCRE2_UTF | PCRE2_NO_UTF_CHECK |
		PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF | PCRE2_ALLOW_EMPTY_CLASS |
		PCRE2_NEVER_BACKSLASH_C;
	if (whole)
		options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
	int code;
	PCRE2_SIZE offset;
	p->code = pcre2_compile((PCRE2_SPTR)source.p, source.n, options, &code, &offset, dialect);
	pcre2_compile_context_free(dialect);
	if (p->code)
		return 0;

	PCRE2_UCHAR text[128];
	pcre2_get_error_message(code, text, sizeof(text));
	return err_raise(-EINVAL,
		"the pattern \"" SPAN_FMT "\" does not compile: %s (at offset %zu)",
		SPAN_ARG(span_sub(source, 0, 80)), (const char *)text, (size_t)offset);
}

int pattern_new(struct span source, bool whole, struct pattern **ret)
{
	struct pattern *p CLEANUP(pattern_cleanup) = calloc(1, sizeof(*p));
	if (!p)
		return err_raise(-ENOMEM, "no memory for a pattern");
	int r = pattern_compile(source.p ? source : SPAN(""), whole, p);
	if (r < 0)
		return err_trace(r);
	p->limits = pcre2_match_context_create(NULL);
	if (!p->limits)
		return err_raise(-ENOMEM, "no memory for a pattern");
	pcre2_set_match_limit(p->limits, LIMIT_PATTERN_MATCH_STEPS);
	pcre2_set_depth_limit(p->limits, LIMIT_PATTERN_MATCH_DEPTH);
	pcre2_set_heap_limit(p->limits, LIMIT_PATTERN_MATCH_KIB);
	*ret = TAKE_PTR(p);
	return 0;
}

struct pattern *pattern_free(struct pattern *p)
{
	if (!p)
		return NULL;
	pcre2_code_free(p->code);
	pcre2_match_context_free(p->limits);
	free(p);
	return NULL;
}

void pattern_cleanup(struct pattern **p)
{
	*p = pattern_free(*p);
}

/* What a match has cost. PCRE2's own limit begins anew with each position it tries, so the steps
 * are counted here, before each item of the pattern. */
struct match_cost {
	int64_t left;
	size_t subject_bytes;
	PCRE2_SIZE at;
};

enum { BYTES_PER_STEP = 64, UNSEEN_PER_STEP = 256 };

/* A callout. One item may pass over many bytes: those between two callouts are charged when the
 * second one comes, and those that none sees (a repetition that fails) with each position. */
static int match_charge(pcre2_callout_block *b, void *ctx)
{
	struct match_cost *c = ctx;
	PCRE2_SIZE at = b->current_position;
	size_t moved = at > c->at ? at - c->at : c->at - at;

	c->at = at;
	c->left -= 1 + (int64_t)(moved / BYTES_PER_STEP);
	if (b->callout_flags & PCRE2_CALLOUT_STARTMATCH)
		c->left -= (int64_t)((c->subject_bytes - at) / UNSEEN_PER_STEP);
	return c->left < 0 ? PCRE2_ERROR_CALLOUT : 0;
}

static int match_outcome(int r)
{
	if (r >= 0)
		return 0;
	if (r == PCRE2_ERROR_NOMATCH)
		return PATTERN_NO_MATCH;
	if (r == PCRE2_ERROR_NOMEMORY)
		return err_raise(-ENOMEM, "no memory to match a pattern");
	return err_raise(-E2BIG,
		"matching takes more than the %d steps accepted; write the pattern without nested "
		"repetition",
		LIMIT_PATTERN_MATCH_STEPS);
}

int pattern_match(const struct pattern *p, struct span subject, int64_t *steps)
{
	struct match_cost cost = {steps ? *steps : LIMIT_PATTERN_MATCH_STEPS, subject.n, 0};
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	pcre2_match_context *limits = pcre2_match_context_copy(p->limits);
	int r = PCRE2_ERROR_NOMEMORY;

	if (data && limits) {
		pcre2_set_callout(limits, match_charge, &cost);
		r = pcre2_match(p->code, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0,
			PCRE2_NO_UTF_CHECK, data, limits);
	}
	pcre2_match_data_free(data);
	pcre2_match_context_free(limits);
	if (steps)
		*steps = cost.left;
	return match_outcome(r);
}
