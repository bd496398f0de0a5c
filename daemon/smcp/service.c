/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The service: what it holds, who may call it where, and what it does by itself (sessions expire,
 * keys are replaced). All of it lives on one worker; a request that arrives on another is carried
 * over [12], so that the replay cache and the rate limits are asked by one thread only.
 */
#include "daemon/smcp/internal.h"
#include <stdlib.h>

enum { HOUSEKEEPING_MS = 30 * 1000, RING_MS = 60 * 1000, RING_EVERY = 60 /* rounds */ };

/* ---- keys ---- */

static AWAITS int keys_refresh(struct smcp_service *s, int64_t life_s, int64_t deadline_ns)
{
	struct keyring_errand e = {
		.directory = s->o.keys_directory,
		.own_key_path = s->o.own_key_path,
		.now_s = rt_wall_ns() / NS_PER_S,
		.life_s = life_s,
	};
	int r = offload_call(s->o.files, keyring_refresh, &e, deadline_ns);

	if (r < 0)
		return err_trace(r);
	keyring_fini(&s->ring);
	s->ring = e.ring;
	return 0;
}

static void housekeeping(void *arg)
{
	struct smcp_service *s = arg;

	for (int round = 1; rt_sleep_until(deadline_in_ms(HOUSEKEEPING_MS)) == 0; round++) {
		sessions_expire(s);
		if (round % RING_EVERY)
			continue;
		int r = keys_refresh(s, s->o.key_life_s, deadline_in_ms(RING_MS));
		if (r < 0 && r != -ECANCELED)
			err_log(r, "smcp: look after the signing keys");
		err_clear();
	}
}

/* ---- life ---- */

int smcp_service_start(
	struct group *g, const struct smcp_service_options *o, struct smcp_service **ret)
{
	struct smcp_service *s = calloc(1, sizeof(*s));

	if (!s)
		return err_raise(-ENOMEM, "smcp: out of memory");
	s->o = *o;
	if (s->o.key_life_s <= 0)
		s->o.key_life_s = KEY_LIFE_S;
	if (s->o.token_life_s <= 0)
		s->o.token_life_s = SMCP_TOKEN_DEFAULT_S;
	s->home = worker_self();
	s->start_s = rt_wall_ns() / NS_PER_S;
	waitq_init(&s->clock_kept);
	map_init(&s->by_id, LIMIT_SMCP_SESSIONS);
	map_init(&s->by_scope, LIMIT_SMCP_SESSIONS);
	map_init(&s->by_token, (size_t)LIMIT_SMCP_SESSIONS * TOKENS_PER_SESSION);
	s->replay = smcp_replay_new(LIMIT_SMCP_REMEMBERED_CALLS);
	int r = s->replay ? keys_refresh(s, s->o.key_life_s, deadline_in_ms(RING_MS)) : -ENOMEM;
	if (r == 0)
		r = clock_restore(s);
	if (r == 0)
		r = sessions_restore(s);
	if (r == 0)
		sessions_expire(s); /* those whose time came while nobody looked */
	if (r == 0)
		r = group_spawn(g, "smcp", FIBER_LARGE, housekeeping, s);
	if (r < 0) {
		smcp_service_free(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

void smcp_service_free(struct smcp_service *s)
{
	if (!s)
		return;
	map_for_each (slot, &s->by_id)
		session_unref(slot->value);
	map_fini(&s->by_id);
	map_fini(&s->by_token);
	rules_forget(s);
	smcp_replay_free(s->replay);
	keyring_fini(&s->ring);
	free(s);
}

/* ---- requests ---- */

static const struct {
	const char *name;
	bool is_post;
	enum smcp_operation operation;
} operations[] = {
	{"attest", true, SMCP_OP_ATTEST},
	{"invoke", true, SMCP_OP_INVOKE},
	{"refresh", true, SMCP_OP_REFRESH},
	{"revoke", true, SMCP_OP_REVOKE},
	{"tools", false, SMCP_OP_TOOLS},
	{"sessions", true, SMCP_OP_PROVISION},
};

bool smcp_request_of(bool is_post, struct span path, struct smcp_request *ret)
{
	const struct span smcp = SPAN("/v1/smcp/"), seal = SPAN("/v1/seal/");

	if (!span_starts(path, smcp) && !span_starts(path, seal))
		return false;
	struct span name = span_sub(path, smcp.n, path.n);
	for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
		if (!span_is(name, operations[i].name) || operations[i].is_post != is_post)
			continue;
		ret->protocol = span_starts(path, smcp) ? SMCP_V1 : SEAL_V1;
		ret->operation = operations[i].operation;
		return true;
	}
	return false;
}

/* The envelope must be about what the address says. */
static bool method_fits(struct call *c, const char *method)
{
	if (span_is(c->envelope.method, method))
		return true;
	answer_rpc_error(c, 422, -32601,
		c->q->operation == SMCP_OP_REFRESH ? SPAN("method: session/refresh is expected")
						   : SPAN("method: session/revoke is expected"));
	return false;
}

static AWAITS int refresh_serve(struct call *c)
{
	struct buf token CLEANUP(buf_fini) = buf_init(LIMIT_SMCP_TOKEN_BYTES);

	if (!method_fits(c, "session/refresh"))
		return 0;
	int r = session_refresh(c->session, &token, c->deadline_ns);
	if (r == 0)
		answer_token(c, c->session, buf_view(&token), "success");
	return err_trace(r);
}

static AWAITS int revoke_serve(struct call *c)
{
	struct json_writer w;

	if (!method_fits(c, "session/revoke"))
		return 0;
	int r = session_end(
		c->session, SMCP_REVOKED, SPAN("its holder asked for it"), c->deadline_ns);
	if (r < 0)
		return err_trace(r);
	answer_result_begin(c, &w);
	json_object(&w);
	json_field_cstr(&w, "session_id", c->session->id_text);
	json_field_cstr(&w, "session_status", "Revoked");
	json_end(&w);
	answer_result_end(c, &w);
	return 0;
}

static AWAITS int signed_serve(struct call *c)
{
	int r = call_authenticate(c);

	if (r != 0)
		return r == CALL_ANSWERED ? 0 : r;
	switch (c->q->operation) {
	case SMCP_OP_INVOKE:
		return err_trace(invoke_serve(c));
	case SMCP_OP_REFRESH:
		return err_trace(refresh_serve(c));
	case SMCP_OP_REVOKE:
		return err_trace(revoke_serve(c));
	case SMCP_OP_ATTEST:
	case SMCP_OP_PROVISION:
	case SMCP_OP_TOOLS:
		break;
	}
	UNREACHABLE();
}

static AWAITS int operation_serve(struct call *c)
{
	switch (c->q->operation) {
	case SMCP_OP_ATTEST:
		return err_trace(attest_serve(c));
	case SMCP_OP_PROVISION:
		return err_trace(provision_serve(c));
	case SMCP_OP_TOOLS:
		return err_trace(tools_serve(c));
	case SMCP_OP_INVOKE:
	case SMCP_OP_REFRESH:
	case SMCP_OP_REVOKE:
		return err_trace(signed_serve(c));
	}
	UNREACHABLE();
}

static AWAITS int serve_here(void *arg)
{
	struct call *c = arg;
	int r = operation_serve(c);

	c->session = session_unref(c->session);
	if (r == 0)
		r = buf_error(c->reply);
	return err_trace(r);
}

int smcp_serve(struct smcp_service *s, const struct smcp_request *q, struct arena *a,
	struct buf *reply, int *ret_status, int64_t deadline_ns)
{
	static const char text[] = "{\"status\":\"error\",\"error\":{\"code\":-32603,\"message\":"
				   "\"the gateway failed; its log says why\"}}";
	struct call c = {.s = s,
		.q = q,
		.arena = a,
		.reply = reply,
		.status = ret_status,
		.deadline_ns = deadline_ns};
	int r = worker_self() == s->home
		? serve_here(&c)
		: worker_call(s->home, "smcp", serve_here, &c, deadline_ns);

	if (r == -ECANCELED || r == 0)
		return r;
	err_log(r, "smcp");
	buf_reset(reply);
	buf_puts(reply, text);
	*ret_status = r == -EAGAIN || r == -ETIME ? 503 : 500;
	return 0;
}

/* ---- for operators ---- */

void smcp_service_jwks(struct smcp_service *s, struct json_writer *w)
{
	smcp_jwks_put(w, s->ring.keys, s->ring.count);
}

int smcp_service_rotate(struct smcp_service *s, int64_t deadline_ns)
{
	return err_trace(keys_refresh(s, 0, deadline_ns));
}

int smcp_session_revoke(
	struct smcp_service *s, struct uuid session_id, struct span reason, int64_t deadline_ns)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_STORE_READ_BYTES);
	struct session *x = session_find(s, session_id);
	struct store_session row;

	if (x)
		return err_trace(session_end(x, SMCP_REVOKED, reason, deadline_ns));
	int r = a ? store_session_get(s->o.store, session_id, a, &row, deadline_ns)
		  : err_raise(-ENOMEM, "smcp: out of memory");
	if (r < 0)
		return err_trace(r);
	return r == STORE_NOT_FOUND ? SMCP_NO_SESSION : SMCP_SESSION_OVER;
}

void smcp_rules_changed(struct smcp_service *s)
{
	s->rules_serial++;
}

void smcp_execution_ended(struct smcp_service *s, struct uuid execution_id)
{
	struct session *own[LIMIT_SMCP_SESSIONS_PER_EXECUTION];
	size_t count = 0;

	map_for_each (slot, &s->by_id) {
		struct session *x = slot->value;
		if (uuid_eq(x->execution_id, execution_id) && count < ARRAY_LEN(own))
			own[count++] = session_ref(x);
	}
	for (size_t i = 0; i < count; i++) {
		if (session_end(own[i], SMCP_REVOKED, SPAN("the execution has ended"),
			    deadline_in_ms(PUBLISH_MS)) < 0)
			err_log(-EIO, "smcp: revoke a session");
		err_clear();
		session_unref(own[i]);
	}
}
