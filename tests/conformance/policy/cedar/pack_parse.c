/* SPDX-License-Identifier: AGPL-3.0-only */
/* Cases of the kinds policyset, expr, est and est_template. */
#include "tests/conformance/policy/cedar/pack.h"
#include <stdlib.h>

enum { TEXT_BYTES = 16 * 1024 * 1024 };

const struct json *given(const struct json *c, const char *member)
{
	const struct json *v = json_get(c, member);
	return v && v->type != JSON_NULL ? v : NULL;
}

/* Our own output, parsed; NULL if it is nested deeper than the codec reads. */
static const struct json *parsed(struct arena *a, const struct buf *b)
{
	static const struct json_limits limits = {TEXT_BYTES, LIMIT_JSON_DEPTH};
	const struct json *v = NULL;
	int r = json_parse(a, arena_span(a, buf_view(b)), &limits, &v);
	CHECK(r == 0 || r == -E2BIG);
	err_clear();
	return r == 0 ? v : NULL;
}

const struct json *policy_json(struct arena *a, const struct cedar_policy *p)
{
	struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct json_writer w = json_writer(&b);
	cedar_policy_to_json(&w, p);
	return parsed(a, &b);
}

static void explain(struct buf *why, const char *what, const struct json *ours)
{
	struct json_writer w = json_writer(why);
	buf_puts(why, what);
	if (ours)
		json_put(&w, ours);
}

bool round_trips(struct arena *a, const struct cedar_policy *p, struct buf *why)
{
	struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	const struct cedar_policy *again;
	const struct json *est = policy_json(a, p);
	cedar_policy_print(&b, p);
	if (cedar_policy_parse(a, arena_span(a, buf_view(&b)), cedar_policy_id(p), &again) < 0) {
		buf_printf(why, "our text is refused: %s", err_message(-EINVAL));
		return false;
	}
	if (!est)
		return true;
	if (!json_equal(est, policy_json(a, again))) {
		explain(why, "our text reads differently: ", policy_json(a, again));
		return false;
	}
	if (cedar_policy_from_json(a, est, cedar_policy_id(p), &again) < 0) {
		buf_printf(why, "our JSON is refused: %s", err_message(-EINVAL));
		return false;
	}
	if (!json_equal(est, policy_json(a, again))) {
		explain(why, "our JSON reads differently: ", policy_json(a, again));
		return false;
	}
	return true;
}

static const struct json *set_json(struct arena *a, const struct cedar_policies *set)
{
	struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct json_writer w = json_writer(&b);
	cedar_policies_to_json(&w, set);
	return parsed(a, &b);
}

bool set_round_trips(struct arena *a, const struct cedar_policies *set, struct buf *why)
{
	const struct json *est = set_json(a, set);
	struct cedar_policies again;
	int r = est ? cedar_policies_from_json(a, est, &again) : 0;
	if (!est)
		return true;
	if (r < 0)
		buf_printf(why, "our JSON of the set is refused: %s", err_message(r));
	else if (again.count != set->count || !json_equal(est, set_json(a, &again)))
		explain(why, "our JSON of the set reads differently: ", set_json(a, &again));
	return why->len == 0;
}

static int by_id(const void *x, const void *y)
{
	return span_cmp(cedar_policy_id(*(const struct cedar_policy *const *)x),
		cedar_policy_id(*(const struct cedar_policy *const *)y));
}

/* The policies that are templates, or those that are not, against an array of JSON forms. */
static bool compare_all(struct arena *a, const struct cedar_policies *set, bool templates,
	const struct json *expected, int64_t count, struct buf *why)
{
	size_t n = 0;
	for (size_t i = 0; i < set->count; i++) {
		const struct cedar_policy *p = set->items[i];
		if (cedar_policy_is_template(p) != templates)
			continue;
		if (!round_trips(a, p, why))
			return false;
		if (expected && expected->type == JSON_ARRAY && n < expected->count &&
			expected->items[n].type == JSON_OBJECT &&
			!json_equal(&expected->items[n], policy_json(a, p))) {
			explain(why, "JSON differs: ", policy_json(a, p));
			return false;
		}
		n++;
	}
	if (count >= 0 && (int64_t)n != count)
		buf_printf(why, "%zu policies, expected %lld", n, (long long)count);
	return why->len == 0;
}

/* True if both accept or both refuse; *ret_go says that both accept. */
static bool accepted(int r, const struct json *c, struct buf *why, bool *ret_go)
{
	bool expected = json_bool(c, "accept", false);
	*ret_go = r == 0 && expected;
	if ((r == 0) == expected)
		return true;
	if (r < 0)
		buf_printf(why, "refused: %s", err_message(r));
	else
		buf_puts(why, "accepted");
	return false;
}

/* Byte for byte. */
static bool check_formatted(struct arena *a, const struct json *c, struct buf *why)
{
	const struct json *expected = json_get(c, "formatted");
	struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	int r;
	if (!expected || expected->type != JSON_STRING)
		return true;
	r = cedar_format(a, json_str(c, "text", SPAN("")), &b);
	if (r < 0)
		buf_printf(why, "formatting: %s", err_message(r));
	else if (!span_eq(buf_view(&b), expected->text))
		buf_printf(why, "formatted as:\n" SPAN_FMT "\nexpected:\n" SPAN_FMT,
			SPAN_ARG(buf_view(&b)), SPAN_ARG(expected->text));
	return why->len == 0;
}

enum verdict check_policyset(struct arena *a, const struct json *c, struct buf *why)
{
	struct cedar_policies set;
	bool go;
	int r = cedar_policies_parse(a, json_str(c, "text", SPAN("")), &set);
	if (!accepted(r, c, why, &go))
		return VERDICT_FAIL;
	if (!go)
		return VERDICT_PASS;
	if (set.count)
		qsort(set.items, set.count, sizeof(*set.items), by_id);
	return compare_all(a, &set, false, json_get(c, "est"), json_i64(c, "n_static", -1), why) &&
			compare_all(a, &set, true, json_get(c, "est_templates"),
				json_i64(c, "n_templates", -1), why) &&
			check_formatted(a, c, why) && set_round_trips(a, &set, why)
		? VERDICT_PASS
		: VERDICT_FAIL;
}

static const struct json *body_of(const struct json *policy)
{
	const struct json *conditions = json_get(policy, "conditions");
	return conditions && conditions->count ? json_get(&conditions->items[0], "body") : NULL;
}

enum verdict check_expr(struct arena *a, const struct json *c, struct buf *why)
{
	const struct cedar_policy *p;
	struct buf whole CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	const struct json *est = json_get(c, "est");
	bool go;
	int r;
	buf_puts(&whole, "permit(principal,action,resource) when {\n");
	buf_span(&whole, json_str(c, "text", SPAN("")));
	buf_puts(&whole, "\n};");
	r = cedar_policy_parse(a, arena_span(a, buf_view(&whole)), SPAN("policy0"), &p);
	if (!accepted(r, c, why, &go))
		return VERDICT_FAIL;
	if (!go)
		return VERDICT_PASS;
	if (!round_trips(a, p, why))
		return VERDICT_FAIL;
	if (est && est->type == JSON_OBJECT && !json_equal(est, body_of(policy_json(a, p)))) {
		explain(why, "JSON differs: ", policy_json(a, p));
		return VERDICT_FAIL;
	}
	return expr_outcome(a, p, c, why) ? VERDICT_PASS : VERDICT_FAIL;
}

/* JSON may hold what has no text, such as a call of a function that does not exist: neither what
 * the reference prints then can be read nor what we print. */
static bool prints_nothing_readable(
	struct arena *a, const struct cedar_policy *p, const struct json *c, struct buf *why)
{
	struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	const struct cedar_policy *again;
	struct span text = json_str(c, "text", SPAN(""));
	cedar_policy_print(&b, p);
	if (cedar_policy_parse(a, text, SPAN("policy0"), &again) == 0 ||
		cedar_policy_parse(a, buf_view(&b), SPAN("policy0"), &again) == 0)
		return false;
	err_clear();
	buf_reset(why);
	return true;
}

enum verdict check_est(struct arena *a, const struct json *c, struct buf *why)
{
	const struct cedar_policy *p, *q;
	bool go;
	int r = cedar_policy_from_json(a, json_get(c, "json"), SPAN("policy0"), &p);
	if (!accepted(r, c, why, &go))
		return VERDICT_FAIL;
	if (!go)
		return VERDICT_PASS;
	if (!round_trips(a, p, why))
		return prints_nothing_readable(a, p, c, why) ? VERDICT_PASS : VERDICT_FAIL;
	if (!given(c, "text"))
		return VERDICT_PASS;
	if (cedar_policy_parse(a, json_str(c, "text", SPAN("")), SPAN("policy0"), &q) < 0) {
		buf_printf(why, "the reference's text: %s", err_message(-EINVAL));
		return VERDICT_FAIL;
	}
	if (!json_equal(policy_json(a, q), policy_json(a, p))) {
		explain(why, "the reference's text reads differently: ", policy_json(a, p));
		return VERDICT_FAIL;
	}
	return VERDICT_PASS;
}
