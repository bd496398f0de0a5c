/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Authorisation cases: decision equal, reasons and failed policies equal as sets; the policies'
 * JSON form too, where the case has it.
 */
#include "tests/conformance/policy/cedar/links.h"
#include "tests/conformance/policy/cedar/pack.h"
#include <stdlib.h>

static int add_policy(struct arena *a, struct cedar_policies *set, struct span text, struct span id)
{
	return cedar_policy_parse(a, text, id, &set->items[set->count++]);
}

/* What one case holds, read. */
struct loaded {
	struct cedar_policies policies;
	const struct cedar_set *set;
	const struct cedar_schema *schema; /* NULL: decide without */
	const struct cedar_entities *entities;
};

/* `policySet`: texts by id, and links. */
static int load_policy_set(struct arena *a, const struct json *v, struct cedar_policies *set)
{
	const struct json *statics = given(v, "staticPolicies");
	const struct json *templates = given(v, "templates");
	const struct json *links = given(v, "templateLinks");
	size_t most = (statics ? statics->count : 0) + (templates ? templates->count : 0) +
		(links ? links->count : 0) + 1;
	int r = 0;
	set->items = arena_make_array(a, const struct cedar_policy *, most);
	CHECK(set->items);
	for (size_t i = 0; r == 0 && statics && i < statics->count; i++)
		r = add_policy(a, set, statics->items[i].text, statics->items[i].key);
	for (size_t i = 0; r == 0 && templates && i < templates->count; i++)
		r = add_policy(a, set, templates->items[i].text, templates->items[i].key);
	for (size_t i = 0; r == 0 && links && i < links->count; i++)
		r = links_add(a, set, &links->items[i]);
	return r;
}

static bool compare_est(
	struct arena *a, const struct cedar_policies *set, const struct json *est, struct buf *why)
{
	for (size_t i = 0; est && est->type == JSON_OBJECT && i < est->count; i++) {
		const struct cedar_policy *p = links_find(set, est->items[i].key);
		if (!p || est->items[i].type != JSON_OBJECT || !round_trips(a, p, why))
			continue;
		if (!json_equal(&est->items[i], policy_json(a, p))) {
			buf_printf(
				why, "JSON of " SPAN_FMT " differs", SPAN_ARG(est->items[i].key));
			return false;
		}
	}
	return why->len == 0;
}

static bool has_text(const struct json *list, struct span text)
{
	for (size_t i = 0; list && i < list->count; i++)
		if (span_eq(list->items[i].text, text))
			return true;
	return false;
}

/* A list that the case does not have is not compared. */
static bool same_ids(const struct json *expected, size_t count, const struct span *ids)
{
	if (!expected)
		return true;
	if (expected->count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!has_text(expected, ids[i]))
			return false;
	return true;
}

/* A case that names no decision is of no use: it differs. */
static bool same_decision(const struct json *v, const struct cedar_answer *answer)
{
	struct span decision = json_str(v, "decision", SPAN(""));
	return span_is(decision, answer->allow ? "allow" : "deny") ||
		span_is(decision, answer->allow ? "Allow" : "Deny");
}

static void explain(struct buf *why, size_t number, const struct cedar_answer *answer,
	const struct json *request)
{
	struct json_writer w = json_writer(why);
	buf_printf(why, "request %zu: %s, reasons", number, answer->allow ? "allow" : "deny");
	for (size_t i = 0; i < answer->reason_count; i++)
		buf_printf(why, " " SPAN_FMT, SPAN_ARG(answer->reasons[i]));
	for (size_t i = 0; i < answer->error_count; i++)
		buf_printf(why, ", " SPAN_FMT ": %s", SPAN_ARG(answer->errors[i].policy),
			answer->errors[i].message);
	buf_puts(why, "; expected ");
	json_put(&w, request);
}

static int read_request(struct arena *a, const struct cedar_schema *schema, const struct json *v,
	struct cedar_request *ret)
{
	const struct json *context = given(v, "context");
	int r = cedar_uid_from_json(json_get(v, "principal"), &ret->principal);
	if (!context)
		CHECK(json_parse(a, SPAN("{}"), NULL, &context) == 0);
	if (r == 0)
		r = cedar_uid_from_json(json_get(v, "action"), &ret->action);
	if (r == 0)
		r = cedar_uid_from_json(json_get(v, "resource"), &ret->resource);
	if (r == 0 && schema)
		r = cedar_context_from_json_typed(a, schema, &ret->action, context, &ret->context);
	else if (r == 0)
		r = cedar_context_from_json(a, context, &ret->context);
	if (r == 0 && schema && json_bool(v, "validateRequest", false))
		r = cedar_request_validate(schema, ret);
	return r;
}

static bool check_request(struct arena *a, const struct loaded *l, const struct json *v,
	size_t number, struct buf *why)
{
	struct cedar_request request;
	struct cedar_answer answer;
	struct span *failed;
	int r = read_request(a, l->schema, v, &request);
	if (r == 0)
		r = cedar_authorize(a, l->set, l->entities, &request, &answer);
	if (r < 0) {
		buf_printf(why, "request %zu: %s", number, err_message(r));
		return false;
	}
	failed = arena_make_array(a, struct span, answer.error_count + 1);
	CHECK(failed);
	for (size_t i = 0; i < answer.error_count; i++)
		failed[i] = answer.errors[i].policy;
	if (same_decision(v, &answer) &&
		same_ids(given(v, "reason"), answer.reason_count, answer.reasons) &&
		same_ids(given(v, "errors"), answer.error_count, failed))
		return true;
	explain(why, number, &answer, v);
	return false;
}

/* The schema in both forms, which must say the same, or in one. */
static int load_schema(struct arena *a, const struct json *c, struct loaded *l, struct buf *why)
{
	const struct json *form = json_get(c, "schemaJson");
	const struct json *text = given(c, "schema");
	const struct cedar_schema *s, *from_json;
	int r = text ? cedar_schema_parse(a, json_str(c, "schema", SPAN("")), &s)
		     : cedar_schema_from_json(a, form, &s);
	if (r == 0 && text && form && form->type == JSON_OBJECT) {
		r = cedar_schema_from_json(a, form, &from_json);
		if (r == 0 && !json_equal(schema_json(a, s), form))
			buf_puts(why, "the schema's JSON differs");
	}
	if (r == 0 && !json_bool(c, "authorizeWithoutSchema", false))
		l->schema = s;
	return r;
}

static int load_case(struct arena *a, const struct json *c, struct loaded *l, struct buf *why)
{
	const struct json *policy_set = given(c, "policySet");
	const struct json *entities = given(c, "entities");
	if (!entities)
		CHECK(json_parse(a, SPAN("[]"), NULL, &entities) == 0);
	int r = policy_set
		? load_policy_set(a, policy_set, &l->policies)
		: cedar_policies_parse(a, json_str(c, "policies", SPAN("")), &l->policies);
	if (r == 0)
		r = cedar_set_compile(a, &l->policies, &l->set);
	if (r == 0 && (given(c, "schema") || given(c, "schemaJson")))
		r = load_schema(a, c, l, why);
	if (r == 0)
		r = l->schema ? cedar_entities_from_json_typed(a, l->schema, entities, &l->entities)
			      : cedar_entities_from_json(a, entities, &l->entities);
	return r;
}

enum verdict check_authz(struct arena *a, const struct json *c, struct buf *why)
{
	const struct json *requests = given(c, "requests");
	struct loaded l = {0};
	int r = load_case(a, c, &l, why);
	if (r < 0) {
		buf_printf(why, "refused: %s", err_message(r));
		return VERDICT_FAIL;
	}
	if (why->len > 0 || !check_validation(a, &l.policies, c, why) ||
		!set_round_trips(a, &l.policies, why) ||
		!compare_est(a, &l.policies, json_get(c, "est"), why))
		return VERDICT_FAIL;
	if (!requests && !given(c, "shouldValidate"))
		buf_puts(why, "the case asks for nothing");
	else if (requests && requests->type != JSON_ARRAY)
		buf_puts(why, "`requests` is no array");
	if (why->len > 0)
		return VERDICT_FAIL;
	for (size_t i = 0; requests && i < requests->count; i++)
		if (!check_request(a, &l, &requests->items[i], i, why))
			return VERDICT_FAIL;
	return VERDICT_PASS;
}

/* The condition of an expression's case, decided for the request that the pack defines. */
bool expr_outcome(
	struct arena *a, const struct cedar_policy *p, const struct json *c, struct buf *why)
{
	const struct cedar_policies policies = {&p, 1};
	const struct json *error = json_get(c, "error"), *nothing;
	const struct cedar_set *set;
	const struct cedar_entities *entities;
	struct cedar_answer answer;
	struct cedar_request request = {
		.principal = cedar_uid_of(SPAN("User"), SPAN("alice")),
		.action = cedar_uid_of(SPAN("Action"), SPAN("view")),
		.resource = cedar_uid_of(SPAN("Photo"), SPAN("p.jpg")),
	};
	bool fails = error && error->type == JSON_STRING;
	CHECK(json_parse(a, SPAN("[[], {}]"), NULL, &nothing) == 0);
	CHECK(cedar_entities_from_json(a, &nothing->items[0], &entities) == 0);
	CHECK(cedar_context_from_json(a, &nothing->items[1], &request.context) == 0);
	CHECK(cedar_set_compile(a, &policies, &set) == 0);
	CHECK(cedar_authorize(a, set, entities, &request, &answer) == 0);
	if (!given(c, "decision"))
		return true;
	if (same_decision(c, &answer) && (answer.error_count > 0) == fails)
		return true;
	buf_printf(why, "%s, %s", answer.allow ? "allow" : "deny",
		answer.error_count ? answer.errors[0].message : "no error");
	return false;
}
