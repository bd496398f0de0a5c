/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a record says of a verdict, wherever its source keeps it: events hold their own members in
 * "details", files and the kernel hold them at the top. Records that are no JSON have no facts, but
 * are found by text.
 */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <strings.h>

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

struct facts facts_of(struct arena *a, const struct audit_record *r)
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

/* Texts of the records that the daemon makes of the kernel's and the resolver's denials. */
static bool default_reason(struct span reason)
{
	return span_is(reason, "no rule permits it") ||
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

static bool has_text(struct span where, struct span what)
{
	if (!what.n)
		return true;
	for (size_t i = 0; i + what.n <= where.n; i++)
		if (strncasecmp(where.p + i, what.p, what.n) == 0)
			return true;
	return false;
}

bool filter_is_any(const struct filter *f)
{
	return uuid_is_nil(f->execution) && f->source < 0 && !f->kind && !f->text &&
		f->from_ns == 0 && f->to_ns == INT64_MAX && !f->denied && !f->policy;
}

bool filter_takes(const struct filter *f, struct arena *a, const struct audit_record *r)
{
	if (!uuid_is_nil(f->execution) && !uuid_eq(f->execution, r->execution_id))
		return false;
	if (f->source >= 0 && f->source != (int)r->source)
		return false;
	if (f->kind && !span_is(r->kind, f->kind))
		return false;
	if (r->wall_ns < f->from_ns || r->wall_ns >= f->to_ns)
		return false;
	if (f->text && !has_text(r->kind, span_cstr(f->text)) &&
		!has_text(r->payload, span_cstr(f->text)))
		return false;
	if (!f->denied && !f->policy)
		return true;
	struct facts facts = facts_of(a, r);
	return (!f->denied || facts.denied) &&
		(!f->policy || facts_name_policy(&facts, span_cstr(f->policy)));
}
