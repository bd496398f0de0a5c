/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Sessions that an operator makes for others (SEAL 6.4): who starts a caller makes its key, asks
 * here for a session of that key, and hands key and token to the caller, which never attests. The
 * bearer key is asked for at the door; what such a session may do is what its security context
 * grants, as for one that was attested.
 *
 * The operator's `execution_id` is not an execution of this node: it becomes the session's id, by
 * which it is found and revoked.
 */
#include "daemon/smcp/internal.h"
#include <stdio.h>

struct provision {
	const struct json *body;
	uint8_t public_key[SMCP_PUBLIC_KEY_BYTES];
	struct uuid id;
	bool has_id;
	struct span scope, subject;
	struct smcp_rules *rules;
	struct smcp_refusal why;
	int status;
};

PRINTF_LIKE(4, 5)
static int refuse(struct provision *p, int status, int code, const char *fmt, ...)
{
	va_list args;

	p->status = status;
	p->why.code = code;
	va_start(args, fmt);
	vsnprintf(p->why.reason, sizeof(p->why.reason), fmt, args);
	va_end(args);
	return code;
}

/* What would weaken or widen the session if it were passed over. */
static int extras_check(struct call *c, struct provision *p)
{
	struct span tenant = json_str(p->body, "tenant_id", SPAN(""));

	if (json_get(p->body, "allowed_tool_patterns"))
		return refuse(p, 422, SMCP_ATTESTATION_FAILED,
			"allowed_tool_patterns is not offered: name a security context that grants "
			"those tools alone");
	if (tenant.n && !span_is(tenant, c->s->o.tenant_id))
		return refuse(p, 422, SMCP_ATTESTATION_FAILED,
			"tenant_id: this node serves the tenant '%s'", c->s->o.tenant_id);
	return 0;
}

static int body_read(struct call *c, struct provision *p)
{
	int r = json_parse(c->arena, c->q->body, NULL, &p->body);

	if (r == -ENOMEM)
		return err_trace(r);
	if (r < 0 || p->body->type != JSON_OBJECT) {
		r = refuse(p, 422, SMCP_ATTESTATION_FAILED, "the body must be a JSON object: %s",
			r < 0 ? err_message(r) : json_type_name(p->body->type));
		err_clear();
		return r;
	}
	struct span id = json_str(p->body, "execution_id", SPAN(""));
	p->has_id = json_get(p->body, "execution_id") != NULL;
	p->subject = json_str(p->body, "sub", SPAN(""));
	p->scope = json_str(p->body, "security_context_name", SPAN(""));
	p->status = 422;
	if (p->has_id && uuid_parse(id, &p->id) < 0)
		return refuse(p, 422, SMCP_ATTESTATION_FAILED, "execution_id: a UUID is expected");
	if (p->subject.n == 0 || p->subject.n > LIMIT_SMCP_CLAIM_BYTES)
		return refuse(p, 422, SMCP_ATTESTATION_FAILED,
			"sub: the caller's identity is expected, up to %d bytes",
			LIMIT_SMCP_CLAIM_BYTES);
	if (!smcp_scope_name_valid(p->scope))
		return refuse(p, 422, SMCP_SCOPE_NOT_FOUND,
			"security_context_name: the name of a security context is expected (a-z, "
			"0-9, '-')");
	r = smcp_public_key_parse(
		json_str(p->body, "public_key_b64", SPAN("")), p->public_key, &p->why);
	return r ? r : extras_check(c, p);
}

/* An id stands for one session for ever: a record names it. */
static AWAITS int id_check(struct call *c, struct provision *p)
{
	struct store_session *row = arena_make(c->arena, struct store_session);
	int r = row ? store_session_get(c->s->o.store, p->id, c->arena, row, c->deadline_ns)
		    : err_raise(-ENOMEM, "session: request memory used up");

	if (r == STORE_NOT_FOUND)
		return 0;
	return r < 0 ? err_trace(r)
		     : refuse(p, 409, SMCP_ATTESTATION_FAILED,
			       "execution_id: there is, or was, a session of that id");
}

static AWAITS int context_find(struct call *c, struct provision *p)
{
	int r = smcp_rules_of(c->s, p->scope, &p->rules, c->deadline_ns);

	if (r != SMCP_SCOPE_NOT_FOUND)
		return err_trace(r);
	return refuse(p, 422, r,
		"there is no security context '" SPAN_FMT
		"': see spec.security_contexts of the node's configuration",
		SPAN_ARG(p->scope));
}

static AWAITS int session_make(struct call *c, struct provision *p)
{
	struct buf token CLEANUP(buf_fini) = buf_init(LIMIT_SMCP_TOKEN_BYTES);
	struct session *x;
	const struct session_request q = {.protocol = c->q->protocol,
		.scope = p->scope,
		.subject = p->subject,
		.workload_id = p->subject,
		.public_key = p->public_key,
		.rules = p->rules,
		.id = p->has_id ? &p->id : NULL};
	int r = session_create(c->s, &q, &token, &x, c->deadline_ns);

	if (r == -ENOSPC || r == -EEXIST) {
		err_clear();
		return refuse(p, r == -EEXIST ? 409 : 429, SMCP_ATTESTATION_FAILED, "%s",
			r == -EEXIST ? "execution_id: there is a session of that id"
				     : "too many sessions are active: revoke one of them");
	}
	if (r == 0)
		answer_provisioned(c, x, buf_view(&token));
	return err_trace(r);
}

int provision_serve(struct call *c)
{
	struct provision p = {.rules = NULL};
	int r = c->q->workload ? refuse(&p, 403, SMCP_WORKLOAD_VERIFICATION_FAILED,
					 "sessions for others are made by operators, with the "
					 "node's bearer key")
			       : body_read(c, &p);

	if (r == 0 && p.has_id)
		r = id_check(c, &p);
	if (r == 0)
		r = context_find(c, &p);
	if (r == 0)
		r = session_make(c, &p);
	smcp_rules_unref(p.rules);
	if (r <= 0)
		return err_trace(r);
	report_failure(c, EVENT_SMCP_ATTESTATION_FAILED, &p.why);
	answer_refusal(c, &p.why);
	*c->status = p.status;
	return 0;
}
