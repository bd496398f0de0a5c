/* SPDX-License-Identifier: AGPL-3.0-only */
/* /v1/policy: which policies hold, which sets running executions keep, any set by its hash. */
#include "daemon/api/call.h"

enum { SET_HASH_CHARS = 64, FINDINGS_BYTES = 1024 * 1024 };

static void policy_put(struct json_writer *w, const struct rule_set *rules, size_t index)
{
	struct rule_policy p = rule_set_policy(rules, index);
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);

	rule_set_policy_text(rules, index, &text);
	json_object(w);
	json_field_span(w, "id", p.id);
	json_field_cstr(w, "effect", p.forbid ? "forbid" : "permit");
	api_put_text(w, "file", p.file);
	json_field_i64(w, "line", p.line);
	json_field_span(w, "text", buf_view(&text));
	json_end(w);
}

static void contexts_put(struct json_writer *w, const struct policy_snapshot *s)
{
	json_array(w);
	for (size_t i = 0; i < policy_context_count(s); i++) {
		const struct rule_context *c = policy_context_at(s, i);
		json_object(w);
		json_field_cstr(w, "name", c->name);
		json_field_i64(w, "capabilities", (int64_t)c->capability_count);
		json_field_i64(w, "deny_list", (int64_t)c->deny_list.count);
		json_field_i64(w, "line", c->line);
		json_end(w);
	}
	json_end(w);
}

static void running_put(void *ctx, struct uuid id, const struct rule_set *rules)
{
	struct json_writer *w = ctx;

	json_object(w);
	api_put_uuid(w, "execution_id", id);
	json_field_span(w, "policy_set", rule_set_hash(rules));
	json_field_i64(w, "policies", (int64_t)rule_set_count(rules));
	json_end(w);
}

static AWAITS void policy_show(struct api_call *c)
{
	struct policy_snapshot *s = policies_current(c->api->deps.policies);
	const struct rule_set *rules = policy_rules(s);
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);

	json_object(&w);
	json_field_span(&w, "policy_set", rule_set_hash(rules));
	json_field_cstr(&w, "directory", policy_directory(s));
	api_put_time(&w, "loaded_at", policies_loaded_at_ns(c->api->deps.policies));
	json_key(&w, "items");
	json_array(&w);
	for (size_t i = 0; i < rule_set_count(rules); i++)
		policy_put(&w, rules, i);
	json_end(&w);
	json_key(&w, "security_contexts");
	contexts_put(&w, s);
	json_key(&w, "running");
	json_array(&w);
	executions_policy_sets(c->api->deps.executions, running_put, &w);
	json_end(&w);
	json_end(&w);
	policy_unref(s);
	api_reply_end(c, 200, &b);
}

/* Every set that ever decided stands in the store under the hash that decision records carry. */
static AWAITS void policy_set_show(struct api_call *c)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new((size_t)2 * LIMIT_RULE_SET_BYTES);
	struct span name = api_param(c, "hash"), text;
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	struct store_hash hash;

	if (!a || name.n != SET_HASH_CHARS ||
		hex_decode(name, hash.bytes, sizeof(hash.bytes)) < 0) {
		err_clear();
		api_error(c, 404, "not_found",
			"a policy set is named by 64 hexadecimal digits: see GET /v1/policy");
		return;
	}
	int r = store_blob_get(c->api->deps.store, &hash, a, &text, c->deadline_ns);
	if (r == STORE_NOT_FOUND) {
		api_error(c, 404, "not_found", "there is no policy set '" SPAN_FMT "'",
			SPAN_ARG(name));
		return;
	}
	if (r < 0) {
		api_failed(c, r, "read the policy set");
		return;
	}
	json_object(&w);
	json_field_span(&w, "policy_set", name);
	json_field_span(&w, "text", text);
	json_end(&w);
	api_reply_end(c, 200, &b);
}

static void findings_put(struct json_writer *w, const struct buf *findings)
{
	struct span rest = buf_view(findings), line;
	bool done = false;

	json_key(w, "findings");
	json_array(w);
	while (span_split(&rest, '\n', &done, &line))
		if (line.n)
			json_put_span(w, line);
	json_end(w);
}

static AWAITS void policy_reload(struct api_call *c)
{
	struct buf findings CLEANUP(buf_fini) = buf_init(FINDINGS_BYTES);
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	int r = c->api->deps.policy_reload(c->api->deps.ctx, &findings);

	if (r < 0) {
		api_failed(c, r, "load the policies again");
		return;
	}
	struct policy_snapshot *s = policies_current(c->api->deps.policies);
	json_object(&w);
	if (r == POLICY_INVALID) {
		char *error = arena_printf(c->arena,
			"what is not valid is not taken, and what held goes on to hold:\n" SPAN_FMT,
			SPAN_ARG(span_trim(buf_view(&findings))));
		json_field_cstr(
			&w, "error", error ? error : "not valid: what held goes on to hold");
		json_field_cstr(&w, "code", "invalid_policy");
	}
	json_field_span(&w, "policy_set", rule_set_hash(policy_rules(s)));
	json_field_i64(&w, "policies", (int64_t)rule_set_count(policy_rules(s)));
	json_field_i64(&w, "security_contexts", (int64_t)policy_context_count(s));
	findings_put(&w, &findings);
	json_end(&w);
	policy_unref(s);
	api_reply_end(c, r == POLICY_INVALID ? 422 : 200, &b);
}

const struct api_route api_routes_policy[] = {
	{HTTP_GET, "/v1/policy", policy_show, 0, false},
	{HTTP_GET, "/v1/policy/sets/{hash}", policy_set_show, 0, false},
	{HTTP_POST, "/v1/policy/reload", policy_reload, LIMIT_API_BODY_BYTES, false},
};
const size_t api_routes_policy_count = ARRAY_LEN(api_routes_policy);
