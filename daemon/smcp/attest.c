/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Attestation: a workload shows its public key and gets a token. What the body says about who it is
 * must agree with what the door says, and adds nothing to it.
 *
 * Fields are those of the specification (public_key, workload_id, requested_scope), of SEAL
 * (security_context), and of the REST reference (agent_public_key, execution_id, agent_id).
 */
#include "daemon/smcp/internal.h"
#include <stdio.h>

struct attestation {
	const struct json *body;
	uint8_t public_key[SMCP_PUBLIC_KEY_BYTES];
	struct span workload_id;
	struct span scope;
	struct smcp_rules *rules; /* of a client from outside */
	struct smcp_refusal why;
};

/* The first of these members that is there. */
static struct span either(const struct json *v, const char *a, const char *b, const char *c)
{
	return json_str(v, a, json_str(v, b, c ? json_str(v, c, SPAN("")) : SPAN("")));
}

PRINTF_LIKE(3, 4)
static int refuse(struct attestation *t, int code, const char *fmt, ...)
{
	va_list args;

	t->why.code = code;
	va_start(args, fmt);
	vsnprintf(t->why.reason, sizeof(t->why.reason), fmt, args);
	va_end(args);
	return code;
}

static int body_read(struct call *c, struct attestation *t)
{
	int r = json_parse(c->arena, c->q->body, NULL, &t->body);

	if (r == -ENOMEM)
		return err_trace(r);
	if (r < 0 || t->body->type != JSON_OBJECT) {
		r = refuse(t, SMCP_ATTESTATION_FAILED, "the body must be a JSON object: %s",
			r < 0 ? err_message(r) : json_type_name(t->body->type));
		err_clear();
		return r;
	}
	r = smcp_public_key_parse(
		either(t->body, "public_key", "agent_public_key", "public_key_pem"), t->public_key,
		&t->why);
	if (r != 0)
		return r;
	t->workload_id = either(t->body, "workload_id", "execution_id", NULL);
	t->scope = either(t->body, "requested_scope", "security_context", NULL);
	if (t->workload_id.n > LIMIT_SMCP_CLAIM_BYTES)
		return refuse(t, SMCP_ATTESTATION_FAILED, "workload_id: at most %d bytes",
			LIMIT_SMCP_CLAIM_BYTES);
	return 0;
}

/* ---- a workload in a sandbox ---- */

static bool names_other(const struct json *v, const char *member, struct uuid own)
{
	struct span said = json_str(v, member, SPAN(""));
	struct uuid id;

	return said.n && (uuid_parse(said, &id) < 0 || !uuid_eq(id, own));
}

/* The socket says who it is; a body that claims another identity is an attack or a mistake. */
static int workload_check(struct call *c, struct attestation *t)
{
	const struct smcp_workload *w = c->q->workload;
	char own[UUID_TEXT_BYTES];

	uuid_text(w->execution_id, own);
	if (w->outside)
		return refuse(t, SMCP_WORKLOAD_VERIFICATION_FAILED,
			"the process at this socket does not belong to the sandbox of execution %s",
			own);
	if (names_other(t->body, "workload_id", w->execution_id) ||
		names_other(t->body, "execution_id", w->execution_id))
		return refuse(t, SMCP_WORKLOAD_VERIFICATION_FAILED,
			"workload_id: this socket belongs to execution %s", own);
	if (names_other(t->body, "agent_id", w->agent_id))
		return refuse(t, SMCP_WORKLOAD_VERIFICATION_FAILED,
			"agent_id: this socket belongs to another agent");
	struct span context = w->security_context.n ? w->security_context : SPAN("default");
	if (t->scope.n && !span_eq(t->scope, context) && !span_is(t->scope, "default"))
		return refuse(t, SMCP_SCOPE_NOT_FOUND,
			"this execution has the security context '" SPAN_FMT
			"', and can have no other",
			SPAN_ARG(context));
	t->scope = context;
	t->workload_id = arena_span(c->arena, span_cstr(own));
	return t->workload_id.p ? 0 : err_raise(-ENOMEM, "attest: request memory used up");
}

/* ---- a client from outside ---- */

static AWAITS int client_check(struct call *c, struct attestation *t)
{
	if (t->workload_id.n == 0)
		return refuse(t, SMCP_WORKLOAD_VERIFICATION_FAILED,
			"workload_id: a name for the records is expected");
	if (!smcp_scope_name_valid(t->scope))
		return refuse(t, SMCP_SCOPE_NOT_FOUND,
			"%s: the name of a security context is expected (a-z, 0-9, '-')",
			c->q->protocol == SEAL_V1 ? "security_context" : "requested_scope");

	int r = smcp_rules_of(c->s, t->scope, &t->rules, c->deadline_ns);
	if (r == SMCP_SCOPE_NOT_FOUND)
		return refuse(t, r,
			"there is no security context '" SPAN_FMT
			"': see spec.security_contexts of the node's configuration",
			SPAN_ARG(t->scope));
	return err_trace(r);
}

/* ---- */

static AWAITS int session_make(struct call *c, struct attestation *t)
{
	struct buf token CLEANUP(buf_fini) = buf_init(LIMIT_SMCP_TOKEN_BYTES);
	struct session *x;
	struct session_request q = {
		.protocol = c->q->protocol,
		.workload = c->q->workload,
		.scope = t->scope,
		.subject = t->workload_id,
		.workload_id = t->workload_id,
		.public_key = t->public_key,
		.rules = t->rules,
	};
	int r = session_create(c->s, &q, &token, &x, c->deadline_ns);

	if (r == -ENOSPC) {
		err_clear();
		return refuse(t, SMCP_ATTESTATION_FAILED,
			"too many sessions are active: use one of them, or revoke it");
	}
	if (r == 0)
		answer_token(c, x, buf_view(&token), "success");
	return err_trace(r);
}

/* Not on record: that would be what it keeps from happening. */
static bool too_often(struct call *c)
{
	struct smcp_service *s = c->s;
	int64_t now_ns = rt_now_ns();
	int count = 0;

	if (!c->q->workload)
		return false;
	for (size_t i = 0; i < ATTESTS_KEPT; i++)
		count += s->attests[i].at_ns && now_ns - s->attests[i].at_ns < 60 * NS_PER_S &&
			uuid_eq(s->attests[i].execution_id, c->q->workload->execution_id);
	s->attests[s->next_attest] =
		(struct attest_note){c->q->workload->execution_id, MAX(now_ns, INT64_C(1))};
	s->next_attest = (s->next_attest + 1) % ATTESTS_KEPT;
	return count >= ATTESTS_PER_MINUTE;
}

int attest_serve(struct call *c)
{
	struct attestation t = {.rules = NULL};

	if (too_often(c)) {
		answer_error(c, SMCP_ATTESTATION_FAILED,
			SPAN("too many attestations: use the session that there is, or come again "
			     "in a minute"),
			SPAN(""));
		*c->status = 429;
		return 0;
	}
	int r = body_read(c, &t);

	if (r == 0)
		r = c->q->workload ? workload_check(c, &t) : client_check(c, &t);
	if (r == 0)
		r = session_make(c, &t);
	smcp_rules_unref(t.rules);
	if (r <= 0)
		return err_trace(r);
	report_failure(c, EVENT_SMCP_ATTESTATION_FAILED, &t.why);
	answer_refusal(c, &t.why);
	return 0;
}
