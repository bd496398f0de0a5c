/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a record says of a verdict, wherever its source keeps it: events hold their own members in
 * "details", files and the kernel hold them at the top. Records that are no JSON have no facts, but
 * are found by text.
 */
#include "tools/aegis-audit/tool.h"

#include <errno.h>

struct arena *facts_arena(void)
{
	struct arena *a = arena_new(16 * (size_t)LIMIT_AUDIT_PAYLOAD_BYTES);

	if (!a)
		(void)!err_raise(-ENOMEM, "out of memory");
	return a;
}

static bool denial_kind(struct span kind)
{
	return span_ends(kind, SPAN("PolicyViolation")) || span_ends(kind, SPAN("Denied")) ||
		span_is(kind, "PolicyViolationBlocked");
}

/* It was decided on as text. */
static const struct json *request_of(struct arena *a, const struct json *decision)
{
	const struct json *request = json_get(decision, "request");
	const struct json *parsed;

	if (!request || request->type != JSON_STRING)
		return request;
	if (json_parse(a, request->text, NULL, &parsed) == 0)
		return parsed;
	err_clear();
	return NULL;
}

struct facts facts_of(struct arena *a, const struct audit_record *r)
{
	struct facts f = facts_unasked(a, r);

	f.request = request_of(a, f.decision);
	return f;
}

struct facts facts_unasked(struct arena *a, const struct audit_record *r)
{
	struct facts f = {.denied = denial_kind(r->kind)};

	arena_reset(a);
	if (json_parse(a, r->payload, NULL, &f.payload) < 0) {
		err_clear();
		f.payload = NULL;
		return f;
	}
	const struct json *details = json_get(f.payload, "details");
	f.details = r->source == AUDIT_EVENT && details && details->type == JSON_OBJECT ? details
											: f.payload;
	f.decision = json_get(f.details, "decision");
	if (f.decision && f.decision->type == JSON_OBJECT)
		f.denied = !json_bool(f.decision, "allowed", false);
	else
		f.decision = NULL;
	return f;
}

bool facts_have_verdict(const struct facts *f)
{
	return f->denied || f->decision;
}

struct span facts_tool(const struct facts *f)
{
	struct span action = json_str(f->request, "action", SPAN(""));

	if (span_starts(action, SPAN("tool:")))
		return span_sub(action, strlen("tool:"), action.n);
	return json_str(f->details, "tool_name", SPAN(""));
}

/* Texts of the records that the daemon makes of the kernel's and the resolver's denials. */
static bool default_reason(struct span reason)
{
	return span_is(reason, "no rule permits it") ||
		span_is(reason, "the call that had a lease of it is over") ||
		span_is(reason, "policy does not permit the name");
}

static bool forbid_reason(struct span reason)
{
	return span_is(reason, "a rule forbids it") ||
		span_is(reason, "policy forbids a name that it is an alias of");
}

enum basis facts_basis(const struct facts *f)
{
	const struct json *list = json_get(f->decision, "policies");
	struct span one = json_str(f->details, "policy_id", SPAN(""));

	if (list && list->type == JSON_ARRAY)
		return list->count == 1 && span_is(list->items[0].text, "default") ? BASIS_DEFAULT
										   : BASIS_POLICY;
	if (one.n)
		return span_is(one, "default") ? BASIS_DEFAULT : BASIS_POLICY;
	struct span reason = json_str(f->details, "reason", SPAN(""));
	if (default_reason(reason))
		return BASIS_DEFAULT;
	return forbid_reason(reason) ? BASIS_POLICY : BASIS_OTHER;
}

bool facts_name_policy(const struct facts *f, struct span id)
{
	const struct json *list = json_get(f->decision, "policies");

	if (f->denied && span_is(id, "default"))
		return facts_basis(f) == BASIS_DEFAULT;
	if (list && list->type == JSON_ARRAY)
		json_for_each (item, list)
			if (item->type == JSON_STRING && span_eq(item->text, id))
				return true;
	return id.n && span_eq(json_str(f->details, "policy_id", SPAN("")), id);
}

struct span facts_failure(const struct audit_record *r, const struct facts *f)
{
	return r->source == AUDIT_FILE && !f->denied ? json_str(f->details, "error", SPAN(""))
						     : SPAN("");
}
