/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The question that a record answers, so that it can be put again. Decision records hold it; what
 * the kernel denied is put together from the packet's facts, and from what is known of the
 * execution.
 */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <netinet/in.h>

enum { CODE_RATE_LIMIT = DECISION_RATE_LIMIT_EXCEEDED };

static int from_decision(struct arena *a, const struct facts *f, struct asked *ret)
{
	ret->policy_set = json_str(f->decision, "policy_set", SPAN(""));
	ret->allowed = !f->denied;
	ret->limited = f->denied && json_i64(f->decision, "code", 0) == CODE_RATE_LIMIT;
	if (!f->request)
		return ASKED_UNKNOWN;
	int r = decision_request_load(a, f->request, &ret->q);
	if (r == -ENOMEM)
		return err_trace(r);
	err_clear();
	return r < 0 ? ASKED_UNKNOWN : 0;
}

static struct span protocol_name(int64_t number)
{
	return number == IPPROTO_TCP ? SPAN("tcp") : number == IPPROTO_UDP ? SPAN("udp") : SPAN("");
}

/* Only what policy decides: a fragment, say, is denied whatever policy says. */
static int from_packet(struct arena *a, const struct facts *f, const struct audit_record *r,
	const struct run *run, struct asked *ret)
{
	struct span protocol = protocol_name(json_i64(f->details, "protocol", 0));
	char *id = arena_bytes(a, UUID_TEXT_BYTES);
	int64_t port = json_i64(f->details, "port", -1);

	if (!id)
		return err_raise(-ENOMEM, "out of memory");
	if (facts_basis(f) == BASIS_OTHER)
		return ASKED_NOTHING;
	if (!run || !protocol.n || port < 0 || port > UINT16_MAX)
		return ASKED_UNKNOWN;
	uuid_text(r->execution_id, id);
	ret->policy_set = run->policy_set;
	ret->q = (struct decision_request){
		.execution_id = span_cstr(id),
		.agent = run->agent,
		.tenant = run->tenant,
		.action = SPAN("net:connect"),
		.domain = json_str(f->details, "name", SPAN("")),
		.address = json_str(f->details, "address", SPAN("")),
		.port = (uint16_t)port,
		.protocol = protocol,
		.call_tool = json_str(f->details, "call_tool", SPAN("")),
		.call_program = json_str(f->details, "call_program", SPAN("")),
	};
	return 0;
}

int asked_of(struct arena *a, const struct facts *f, const struct audit_record *r,
	const struct runs *runs, struct asked *ret)
{
	*ret = (struct asked){0};
	if (f->decision)
		return from_decision(a, f, ret);
	if (r->source != AUDIT_KERNEL || !span_is(r->kind, AUDIT_KIND_NETWORK_DENIED))
		return ASKED_NOTHING;
	return from_packet(a, f, r, runs_find(runs, r->execution_id), ret);
}
