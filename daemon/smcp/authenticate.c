/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From an envelope to the session that sent it. The order is that of policy/smcp: structure, token,
 * session, stamp, signature, replay; what fails first gives the code. A failure of a caller whose
 * token was good goes on record.
 */
#include "daemon/smcp/internal.h"
#include <stdio.h>

PRINTF_LIKE(3, 4)
static int refuse(struct smcp_refusal *why, int code, const char *fmt, ...)
{
	va_list args;

	why->code = code;
	va_start(args, fmt);
	vsnprintf(why->reason, sizeof(why->reason), fmt, args);
	va_end(args);
	return code;
}

/* ---- token and session ---- */

/* A token of ours whose session is not in memory: the store knows why. */
static AWAITS int session_missing(struct call *c, struct uuid id, struct smcp_refusal *why)
{
	struct store_session row;
	int r = store_session_get(c->s->o.store, id, c->arena, &row, c->deadline_ns);

	if (r < 0)
		return err_trace(r);
	if (r == 0)
		return refuse(
			why, SMCP_SESSION_INACTIVE, "the session is %s: attest again", row.status);
	return refuse(why, SMCP_SESSION_NOT_FOUND, "there is no such session: attest first");
}

/* Looks at the token's signature, once per token. */
static AWAITS int token_check(
	struct call *c, const struct store_hash *hash, int64_t now_ns, struct smcp_refusal *why)
{
	struct smcp_service *s = c->s;
	struct smcp_claims claims;
	struct session *x;
	struct uuid id;
	int r = smcp_token_verify(c->envelope.security_token, s->ring.keys, s->ring.count, now_ns,
		c->arena, &claims, why);

	if (r != 0 && r != SMCP_TOKEN_EXPIRED)
		return err_trace(r);
	if (uuid_parse(claims.token_id, &id) < 0 || !span_is(claims.issuer, s->o.issuer) ||
		!span_is(claims.audience, s->o.audience))
		return refuse(why, SMCP_TOKEN_VERIFICATION_FAILED,
			"security_token: not issued by this gateway for itself");
	x = session_find(s, id);
	if (x)
		c->session = session_ref(x);
	if (r != 0)
		return r;
	if (!x)
		return session_missing(c, id, why);
	return err_trace(session_note(x, hash, claims.expires_s));
}

/* A session made in a sandbox is good on that sandbox's socket alone, and the others nowhere but at
 * the gateway's own doors: a key that leaked is of no use elsewhere [7]. */
static bool door_fits(const struct call *c)
{
	static const struct uuid nil;

	return uuid_eq(
		c->session->execution_id, c->q->workload ? c->q->workload->execution_id : nil);
}

static AWAITS int session_of(struct call *c, int64_t now_ns, struct smcp_refusal *why)
{
	struct store_hash hash = store_hash_of(c->envelope.security_token);
	const struct token_note *n =
		map_get(&c->s->by_token, span_of(hash.bytes, sizeof(hash.bytes)));
	int r = 0;

	if (n && now_ns / NS_PER_S < n->expires_s)
		c->session = session_ref(n->session);
	else
		r = token_check(c, &hash, now_ns, why);
	if (r != 0)
		return err_trace(r);
	if (!door_fits(c))
		return refuse(why, SMCP_SESSION_NOT_FOUND,
			"this session is good at another door: it was made %s",
			c->q->workload ? "outside of this sandbox" : "inside a sandbox");
	return 0;
}

/* ---- replays ---- */

/* See session.c: what was stamped ahead must not pass once more in the next life. */
static AWAITS int horizon_keep(struct call *c, int64_t now_ns)
{
	struct session *x = c->session;
	int64_t horizon_s = c->envelope.stamp_s + HORIZON_STEP_S;
	char key[64], value[24];

	if (c->envelope.stamp_s <= now_ns / NS_PER_S || c->envelope.stamp_s <= x->horizon_s)
		return 0;
	snprintf(key, sizeof(key), "smcp.horizon.%s", x->id_text);
	snprintf(value, sizeof(value), "%lld", (long long)horizon_s);
	int r = store_kv_put(
		c->s->o.store, span_cstr(key), span_cstr(value), deadline_in_ms(PUBLISH_MS));
	if (r == 0)
		x->horizon_s = MAX(x->horizon_s, horizon_s);
	return err_trace(r);
}

static AWAITS int verify(struct call *c, struct smcp_refusal *why)
{
	int64_t now_ns = rt_wall_ns();
	int r = session_of(c, now_ns, why);

	if (r == 0)
		r = smcp_envelope_verify(&c->envelope, c->session->public_key, now_ns,
			c->session->floor_s, c->arena, &c->signed_bytes, why);
	if (r == 0)
		r = smcp_replay_admit(c->s->replay, c->envelope.signature, now_ns, why);
	if (r == 0)
		r = clock_keep(c->s, now_ns / NS_PER_S);
	if (r == 0)
		r = horizon_keep(c, now_ns);
	if (r == 0 && c->session->state != SMCP_ACTIVE)
		return refuse(why, SMCP_SESSION_INACTIVE, "the session has ended: attest again");
	return err_trace(r);
}

static AWAITS void refused(struct call *c, const struct smcp_refusal *why)
{
	if (c->session)
		report_failure(c,
			why->code == SMCP_TOKEN_EXPIRED && !c->signed_bytes.n
				? EVENT_SMCP_TOKEN_EXPIRED
				: EVENT_SMCP_SIGNATURE_FAILED,
			why);
	else
		log_debug("smcp: refused (%d): %s", why->code, why->reason);
	answer_refusal(c, why);
}

int call_authenticate(struct call *c)
{
	struct smcp_refusal why = {0};
	int r = smcp_envelope_parse(c->q->body, c->q->protocol, c->arena, &c->envelope, &why);

	if (r == 0)
		r = verify(c, &why);
	if (r == 0 || r == -ECANCELED)
		return r;
	if (r > 0) {
		refused(c, &why);
		return CALL_ANSWERED;
	}
	/* Fails closed: what cannot be checked is not accepted. */
	err_log(r, "smcp: check an envelope");
	err_clear();
	*c->status = r == -ENOSPC || r == -EAGAIN || r == -ETIME ? 503 : 500;
	answer_rpc_error(c, *c->status, -32603, SPAN("the gateway could not check this envelope"));
	return CALL_ANSWERED;
}
