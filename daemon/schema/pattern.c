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
	uint32_t options = PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY |
		PCRE2_MATCH_UNSET_BACKREF | PCRE2_ALLOW_EMPTY_CLASS | PCRE2_NEVER_BACKSLASH_C;
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

int pattern_match(const struct pattern *p, struct span subject)
{
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	if (!data)
		return err_raise(-ENOMEM, "no memory to match a pattern");
	int r = pcre2_match(p->code, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0,
		PCRE2_NO_UTF_CHECK, data, p->limits);
	pcre2_match_data_free(data);
	if (r >= 0)
		return 0;
	if (r == PCRE2_ERROR_NOMATCH)
		return PATTERN_NO_MATCH;
	if (r == PCRE2_ERROR_NOMEMORY)
		return err_raise(-ENOMEM, "no memory to match a pattern");
	return err_raise(-E2BIG,
		"matching a pattern takes more than %d steps; write it without "
		"nested repetition",
		LIMIT_PATTERN_MATCH_STEPS);
}
