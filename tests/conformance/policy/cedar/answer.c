/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Answers cases by this implementation, as oracle/ does by the reference: one JSON object a line on
 * stdin, one on stdout. diff.py compares the two.
 *
 * A case: policies, links [{templateId, newId, values}], schema (Cedar text), entities, requests
 * [{principal, action, resource, context}]; all but the first may be absent. An answer: parsed;
 * then formatted, linked, est; with a schema: schema (accepted), schema_json, valid, wrong,
 * impossible, inapplicable, turning (ids of policies), levels (whether valid at
 * level 0, 1, ...); requests: for each {allow, reasons, errors} or {refused: what}. What follows
 * from something refused is left out.
 */
#include "policy/cedar/ast.h"
#include "tests/conformance/policy/cedar/links.h"
#include <stdio.h>
#include <stdlib.h>

enum { CASE_ARENA_BYTES = 1024 * 1024 * 1024, TEXT_BYTES = 64 * 1024 * 1024, LEVELS = 4 };

struct run {
	struct arena *arena;
	const struct json *c;
	struct json_writer *w;
	struct cedar_policies policies;
	const struct cedar_schema *schema;
};

static int by_text(const void *x, const void *y)
{
	return span_cmp(*(const struct span *)x, *(const struct span *)y);
}

/* Sorted, each once. */
static void put_ids(struct run *run, const char *key, struct span *ids, size_t count)
{
	json_key(run->w, key);
	json_array(run->w);
	if (count)
		qsort(ids, count, sizeof(*ids), by_text);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || !span_eq(ids[i], ids[i - 1]))
			json_put_span(run->w, ids[i]);
	json_end(run->w);
}

static void put_findings(
	struct run *run, const char *key, const struct cedar_validation *v, const char *warning)
{
	struct span *ids = arena_make_array(run->arena, struct span, v->count + 1);
	size_t n = 0;
	CHECK(ids);
	for (size_t i = 0; i < v->count; i++)
		if (warning ? v->findings[i].warning && strstr(v->findings[i].message, warning)
			    : !v->findings[i].warning)
			ids[n++] = v->findings[i].policy;
	put_ids(run, key, ids, n);
}

static void validate(struct run *run)
{
	struct cedar_validation v;
	CHECK(cedar_validate(run->arena, run->schema, &run->policies, CEDAR_NO_LEVEL, &v) == 0);
	json_field_bool(run->w, "valid", v.valid);
	put_findings(run, "wrong", &v, NULL);
	put_findings(run, "impossible", &v, "this policy never applies");
	put_findings(run, "inapplicable", &v, "no action of the schema");
	put_findings(run, "turning", &v, "turns the direction");
	json_key(run->w, "levels");
	json_array(run->w);
	for (int level = 0; level < LEVELS; level++) {
		CHECK(cedar_validate(run->arena, run->schema, &run->policies, level, &v) == 0);
		json_put_bool(run->w, v.valid);
	}
	json_end(run->w);
}

static const char *read_request(struct run *run, const struct json *v, struct cedar_request *ret)
{
	const struct json *context = json_get(v, "context");
	int r = cedar_uid_from_json(json_get(v, "principal"), &ret->principal);
	if (r == 0)
		r = cedar_uid_from_json(json_get(v, "action"), &ret->action);
	if (r == 0)
		r = cedar_uid_from_json(json_get(v, "resource"), &ret->resource);
	if (r < 0)
		return "uid";
	r = run->schema ? cedar_context_from_json_typed(
				  run->arena, run->schema, &ret->action, context, &ret->context)
			: cedar_context_from_json(run->arena, context, &ret->context);
	if (r < 0)
		return "context";
	if (run->schema && cedar_request_validate(run->schema, ret) < 0)
		return "request";
	return NULL;
}

static void authorize(struct run *run, const struct cedar_set *set,
	const struct cedar_entities *entities, const struct json *v)
{
	struct cedar_request request;
	struct cedar_answer answer;
	struct span *failed, *reasons;
	const char *refused = read_request(run, v, &request);
	json_object(run->w);
	if (refused) {
		json_field_cstr(run->w, "refused", refused);
		json_end(run->w);
		return;
	}
	CHECK(cedar_authorize(run->arena, set, entities, &request, &answer) == 0);
	failed = arena_make_array(run->arena, struct span, answer.error_count + 1);
	reasons = arena_make_array(run->arena, struct span, answer.reason_count + 1);
	CHECK(failed && reasons);
	for (size_t i = 0; i < answer.error_count; i++)
		failed[i] = answer.errors[i].policy;
	for (size_t i = 0; i < answer.reason_count; i++)
		reasons[i] = answer.reasons[i];
	json_field_bool(run->w, "allow", answer.allow);
	put_ids(run, "reasons", reasons, answer.reason_count);
	put_ids(run, "errors", failed, answer.error_count);
	json_end(run->w);
}

static void put_requests(struct run *run)
{
	const struct json *list = json_get(run->c, "requests");
	const struct json *given = json_get(run->c, "entities");
	const struct cedar_entities *entities;
	const struct cedar_set *set;
	int r = run->schema
		? cedar_entities_from_json_typed(run->arena, run->schema, given, &entities)
		: cedar_entities_from_json(run->arena, given, &entities);
	json_key(run->w, "requests");
	if (r < 0) {
		json_put_cstr(run->w, "entities refused");
		return;
	}
	CHECK(cedar_set_compile(run->arena, &run->policies, &set) == 0);
	json_array(run->w);
	for (size_t i = 0; list && i < list->count; i++)
		authorize(run, set, entities, &list->items[i]);
	json_end(run->w);
}

static int add_links(struct run *run)
{
	const struct json *links = json_get(run->c, "links");
	const struct cedar_policy **items;
	int r = 0;
	if (!links)
		return 0;
	items = arena_make_array(
		run->arena, const struct cedar_policy *, run->policies.count + links->count + 1);
	CHECK(items);
	for (size_t i = 0; i < run->policies.count; i++)
		items[i] = run->policies.items[i];
	run->policies.items = items;
	for (size_t i = 0; r == 0 && i < links->count; i++)
		r = links_add(run->arena, &run->policies, &links->items[i]);
	return r;
}

static void put_formatted(struct run *run, struct span text)
{
	struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	json_key(run->w, "formatted");
	if (cedar_format(run->arena, text, &b) < 0)
		json_put_null(run->w);
	else
		json_put_span(run->w, buf_view(&b));
}

/* JSON -> policy -> text -> policy -> JSON: what was written several ways becomes one. */
static void put_again(struct run *run, const struct cedar_policy *p)
{
	struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	const struct cedar_policy *again;
	cedar_policy_print(&b, p);
	json_key_span(run->w, cedar_policy_id(p));
	if (p->template) {
		json_put_null(run->w); /* the reference has no text of links */
		return;
	}
	if (cedar_policy_parse(run->arena, arena_span(run->arena, buf_view(&b)), cedar_policy_id(p),
		    &again) < 0)
		json_put_cstr(run->w, "our text is refused");
	else
		cedar_policy_to_json(run->w, again);
}

static void judge(struct run *run);

/* A policy set in JSON. */
static void answer_est(struct run *run, const struct json *est)
{
	bool good = cedar_policies_from_json(run->arena, est, &run->policies) == 0;
	json_field_bool(run->w, "accepted", good);
	if (!good)
		return;
	json_key(run->w, "again");
	json_object(run->w);
	for (size_t i = 0; i < run->policies.count; i++)
		put_again(run, run->policies.items[i]);
	json_end(run->w);
	judge(run);
}

/* A schema in JSON, and the JSON of it after a way through text. */
static void answer_schema(struct run *run, const struct json *form)
{
	struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	const struct cedar_schema *s, *again;
	bool good = cedar_schema_from_json(run->arena, form, &s) == 0;
	json_field_bool(run->w, "accepted", good);
	if (!good)
		return;
	json_key(run->w, "schema");
	if (cedar_schema_print(&b, s) < 0 ||
		cedar_schema_parse(run->arena, arena_span(run->arena, buf_view(&b)), &again) < 0)
		json_put_null(run->w);
	else
		cedar_schema_to_json(run->w, again);
}

/* False if the case has a schema that is refused. */
static bool load_schema(struct run *run)
{
	const struct json *text = json_get(run->c, "schema");
	int r;
	if (!text)
		return true;
	r = cedar_schema_parse(run->arena, text->text, &run->schema);
	json_field_bool(run->w, "schema", r == 0);
	if (r < 0)
		return false;
	json_key(run->w, "schema_json");
	cedar_schema_to_json(run->w, run->schema);
	return true;
}

/* What the policies say of the case's requests, and the schema, if there is one, of them. */
static void judge(struct run *run)
{
	if (!load_schema(run))
		return;
	if (run->schema)
		validate(run);
	put_requests(run);
}

static void answer(struct run *run)
{
	struct span text = json_str(run->c, "policies", SPAN(""));
	const struct json *est = json_get(run->c, "est");
	if (est) {
		answer_est(run, est);
		return;
	}
	if (json_get(run->c, "schema_json")) {
		answer_schema(run, json_get(run->c, "schema_json"));
		return;
	}
	bool good = cedar_policies_parse(run->arena, text, &run->policies) == 0;
	json_field_bool(run->w, "parsed", good);
	if (!good)
		return;
	put_formatted(run, text);
	good = add_links(run) == 0;
	json_field_bool(run->w, "linked", good);
	if (!good)
		return;
	json_key(run->w, "est");
	cedar_policies_to_json(run->w, &run->policies);
	judge(run);
}

int main(void)
{
	static const struct json_limits limits = {TEXT_BYTES, LIMIT_JSON_DEPTH};
	char *line = NULL;
	size_t capacity = 0;
	ssize_t n;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(CASE_ARENA_BYTES);
	CHECK(a);
	while ((n = getline(&line, &capacity, stdin)) > 0) {
		struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
		struct json_writer w = json_writer(&b);
		struct run run = {.arena = a, .w = &w};
		json_object(&w);
		if (json_parse(a, span_of(line, (size_t)n), &limits, &run.c) < 0)
			json_field_cstr(&w, "malformed", err_message(-EINVAL));
		else
			answer(&run);
		json_end(&w);
		CHECK(buf_error(&b) == 0);
		fwrite(b.data, 1, b.len, stdout);
		putchar('\n');
		fflush(stdout);
		err_clear();
		arena_reset(a);
	}
	free(line);
	return 0;
}
