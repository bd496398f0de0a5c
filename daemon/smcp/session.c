/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Sessions: who may use which key until when. The store has them all; the active ones are in memory
 * too, found by their id and, for the tokens that were seen lately, by a hash of the token, so that
 * a token's signature is looked at once and not with every call.
 *
 * Replays across a restart: the cache of signatures dies with the process, so an envelope stamped
 * before the new start is refused. One that a client with a fast clock stamped ahead could still
 * pass after the restart; so before such a stamp is accepted, a horizon beyond it is persisted,
 * and what is stamped up to the horizon is refused by the next life. And if the clock was set back
 * between the two lives, the new start would be no floor; so the store also knows the last second
 * in which an envelope was accepted, which is written once for each such second.
 */
#include "daemon/smcp/internal.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- in memory ---- */

struct grant *grant_unref(struct grant *g)
{
	if (!g || --g->refs)
		return NULL;
	workspace_close(g);
	smcp_rules_unref(g->rules);
	free(g);
	return NULL;
}

/* A reference to the rules is taken. */
static struct grant *grant_new(struct smcp_rules *rules)
{
	struct grant *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->refs = 1;
	g->rules = rules;
	rules->refs++;
	return g;
}

struct session *session_ref(struct session *x)
{
	x->refs++;
	return x;
}

struct session *session_unref(struct session *x)
{
	if (!x || --x->refs)
		return NULL;
	grant_unref(x->grant);
	free(x->scope);
	free(x->subject);
	free(x->workload_id);
	free(x);
	return NULL;
}

struct session *session_find(struct smcp_service *s, struct uuid id)
{
	return map_get(&s->by_id, span_of(id.bytes, sizeof(id.bytes)));
}

static struct session *session_new(struct smcp_service *s, struct uuid id, struct span scope,
	struct span subject, struct span workload_id)
{
	struct session *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->s = s;
	x->refs = 1;
	x->id = id;
	uuid_text(id, x->id_text);
	x->scope = span_dup(scope);
	x->subject = span_dup(subject);
	x->workload_id = span_dup(workload_id);
	return x->scope && x->subject && x->workload_id ? x : session_unref(x);
}

/* The key of the client, and its text. */
static int key_take(struct session *x, const uint8_t *key)
{
	struct buf b CLEANUP(buf_fini) = buf_init(sizeof(x->public_key_text) - 1);

	memcpy(x->public_key, key, sizeof(x->public_key));
	base64_encode(&b, span_of(key, SMCP_PUBLIC_KEY_BYTES), BASE64_STANDARD);
	int r = buf_error(&b);
	if (r == 0)
		memcpy(x->public_key_text, b.data, b.len);
	return err_trace(r);
}

static void note_forget(struct token_note *n)
{
	if (!n->session)
		return;
	map_remove(&n->session->s->by_token, span_of(n->hash.bytes, sizeof(n->hash.bytes)));
	n->session = NULL;
}

int session_note(struct session *x, const struct store_hash *token, int64_t expires_s)
{
	struct token_note *n = &x->notes[x->next_note];

	note_forget(n);
	n->hash = *token;
	n->expires_s = expires_s;
	int r = map_put(&x->s->by_token, span_of(n->hash.bytes, sizeof(n->hash.bytes)), n);
	if (r < 0)
		return err_trace(r);
	n->session = x;
	x->next_note = (x->next_note + 1) % TOKENS_PER_SESSION;
	return 0;
}

/* Out of the maps; their reference is the caller's from then on. */
static void session_forget(struct session *x)
{
	for (size_t i = 0; i < TOKENS_PER_SESSION; i++)
		note_forget(&x->notes[i]);
	CHECK(map_remove(&x->s->by_id, span_of(x->id.bytes, sizeof(x->id.bytes))) == x);
}

/* ---- tokens ---- */

static int token_issue(struct session *x, struct buf *token, int64_t expires_s)
{
	struct smcp_service *s = x->s;
	enum smcp_algorithm a = x->protocol == SEAL_V1 ? SMCP_RS256 : SMCP_EDDSA;
	char execution[UUID_TEXT_BYTES];
	struct smcp_claims c = {
		.subject = span_cstr(x->subject),
		.scope = span_cstr(x->scope),
		.workload_id = span_cstr(x->workload_id),
		.token_id = span_cstr(x->id_text),
		.issuer = span_cstr(s->o.issuer),
		.audience = span_cstr(s->o.audience),
		.tenant_id = span_cstr(s->o.tenant_id),
		.issued_s = rt_wall_ns() / NS_PER_S,
		.expires_s = expires_s,
	};

	if (!uuid_is_nil(x->execution_id)) {
		uuid_text(x->execution_id, execution);
		c.execution_id = span_cstr(execution);
	}
	return err_trace(smcp_token_issue(keyring_newest(&s->ring, a), &c, token));
}

/* ---- on record ---- */

static int created_entry(struct entry *e, struct session *x, const struct rule_set *rules)
{
	e->row = (struct store_session){
		.id = x->id,
		.tenant_id = span_cstr(x->s->o.tenant_id),
		.execution_id = x->execution_id,
		.agent_id = x->agent_id,
		.protocol = span_cstr(smcp_protocol_name(x->protocol)),
		.security_context = span_cstr(x->scope),
		.subject = span_cstr(x->subject),
		.workload_id = span_cstr(x->workload_id),
		.public_key = span_cstr(x->public_key_text),
		.expires_ns = x->expires_s * NS_PER_S,
		.status = state_name(&smcp_session_states, SMCP_ACTIVE),
	};
	entry_event(e, EVENT_SMCP_SESSION_CREATED, x->s, x);
	entry_change(e, STORE_SESSION_CREATE);
	int r = entry_event_end(e);
	if (r < 0)
		return err_trace(r);
	entry_event(e, EVENT_SMCP_ATTESTED, x->s, x);
	json_field_cstr(&e->w, "workload_id", x->workload_id);
	json_field_cstr(&e->w, "public_key", x->public_key_text);
	if (rules) {
		json_field_span(&e->w, "policy_set", rule_set_hash(rules));
		struct span text = rule_set_text(rules, e->arena);
		if (!text.p)
			return err_raise(-ENOMEM, "record: out of memory");
		e->blobs[e->blob_count++] = text;
	}
	return err_trace(entry_event_end(e));
}

static AWAITS int created_record(
	struct session *x, const struct rule_set *rules, int64_t deadline_ns)
{
	struct entry e;
	int r = entry_begin(&e);

	if (r == 0)
		r = created_entry(&e, x, rules);
	if (r == 0)
		r = entry_publish(&e, x->s, deadline_ns);
	entry_fini(&e);
	return err_trace(r);
}

static bool too_many(const struct smcp_service *s, const struct smcp_workload *w)
{
	int of_execution = 0;

	if (s->by_id.count >= LIMIT_SMCP_SESSIONS)
		return true;
	if (!w)
		return false;
	map_for_each (slot, &s->by_id) {
		const struct session *x = slot->value;
		of_execution += uuid_eq(x->execution_id, w->execution_id);
	}
	return of_execution >= LIMIT_SMCP_SESSIONS_PER_EXECUTION;
}

int session_create(struct smcp_service *s, const struct session_request *q, struct buf *token,
	struct session **ret, int64_t deadline_ns)
{
	uint8_t random[16];
	int64_t now_s = rt_wall_ns() / NS_PER_S;

	if (too_many(s, q->workload))
		return err_raise(-ENOSPC, "too many sessions are active");
	rt_random(random, sizeof(random));
	struct session *x = session_new(
		s, q->id ? *q->id : uuid_from_random(random), q->scope, q->subject, q->workload_id);
	if (!x)
		return err_raise(-ENOMEM, "session: out of memory");
	x->protocol = q->protocol;
	x->state = SMCP_ACTIVE;
	x->expires_s = now_s + s->o.token_life_s;
	x->floor_s = s->start_s - 1; /* it had no life before this one */
	if (q->workload) {
		x->execution_id = q->workload->execution_id;
		x->agent_id = q->workload->agent_id;
	}
	if (q->rules)
		x->grant = grant_new(q->rules);
	int r = q->rules && !x->grant ? err_raise(-ENOMEM, "session: out of memory")
				      : key_take(x, q->public_key);
	if (r == 0)
		r = token_issue(x, token, x->expires_s);
	if (r == 0)
		r = created_record(x, q->rules ? q->rules->rules : NULL, deadline_ns);
	if (r == 0)
		r = map_put(&s->by_id, span_of(x->id.bytes, sizeof(x->id.bytes)), x);
	if (r < 0) {
		session_unref(x);
		return err_trace(r);
	}
	*ret = x;
	return 0;
}

int session_refresh(struct session *x, struct buf *token, int64_t deadline_ns)
{
	struct entry e;
	int64_t expires_s = rt_wall_ns() / NS_PER_S + x->s->o.token_life_s;
	char text[CLOCK_RFC3339_BYTES];
	int r = token_issue(x, token, expires_s);

	if (r < 0)
		return err_trace(r);
	clock_rfc3339(expires_s * NS_PER_S, 3, text);
	r = entry_begin(&e);
	if (r == 0) {
		entry_event(&e, EVENT_SMCP_TOKEN_REFRESHED, x->s, x);
		json_field_cstr(&e.w, "expires_at", text);
		e.row = (struct store_session){.id = x->id, .expires_ns = expires_s * NS_PER_S};
		entry_change(&e, STORE_SESSION_UPDATE);
		r = entry_event_end(&e);
	}
	if (r == 0)
		r = entry_publish(&e, x->s, deadline_ns);
	entry_fini(&e);
	if (r == 0)
		x->expires_s = MAX(x->expires_s, expires_s);
	return err_trace(r);
}

static void horizon_key(const struct session *x, char ret[64])
{
	snprintf(ret, 64, "smcp.horizon.%s", x->id_text);
}

int session_end(struct session *x, int state, struct span reason, int64_t deadline_ns)
{
	struct entry e;
	char key[64];

	if (x->state != SMCP_ACTIVE)
		return SMCP_SESSION_OVER;
	int r = state_move(&smcp_session_states, &x->state, state);
	if (r < 0)
		return err_trace(r);
	session_forget(x); /* from here on no call is accepted, whatever the store says */
	/* Before the end is on record: after a crash in between it ends once more. */
	r = workspace_remove(x, deadline_ns);
	if (r < 0)
		err_log(r, "smcp: remove the files of a session");
	r = entry_begin(&e);
	if (r == 0) {
		entry_event(&e,
			state == SMCP_REVOKED ? EVENT_SMCP_SESSION_REVOKED
					      : EVENT_SMCP_SESSION_EXPIRED,
			x->s, x);
		json_field_span(&e.w, "reason", reason);
		e.row = (struct store_session){
			.id = x->id, .status = state_name(&smcp_session_states, state)};
		entry_change(&e, STORE_SESSION_UPDATE);
		r = entry_event_end(&e);
	}
	if (r == 0)
		r = entry_publish(&e, x->s, deadline_ns);
	entry_fini(&e);
	horizon_key(x, key);
	if (r == 0 && x->horizon_s)
		r = store_kv_put(x->s->o.store, span_cstr(key), (struct span){0}, deadline_ns);
	session_unref(x);
	return err_trace(r);
}

enum { EXPIRED_AT_ONCE = 256 };

void sessions_expire(struct smcp_service *s)
{
	int64_t now_s = rt_wall_ns() / NS_PER_S;
	struct session *over[EXPIRED_AT_ONCE];
	size_t count;

	do {
		count = 0;
		map_for_each (slot, &s->by_id) {
			struct session *x = slot->value;
			if (x->expires_s <= now_s && count < EXPIRED_AT_ONCE)
				over[count++] = session_ref(x);
		}
		for (size_t i = 0; i < count; i++) {
			if (session_end(over[i], SMCP_EXPIRED, SPAN("its last token has expired"),
				    deadline_in_ms(PUBLISH_MS)) < 0)
				err_log(-EIO, "smcp: record that a session expired");
			err_clear();
			session_unref(over[i]);
		}
	} while (count == EXPIRED_AT_ONCE && !fiber_cancelled());
}

/* ---- after a restart ---- */

static const char clock_key[] = "smcp.clock";

int clock_restore(struct smcp_service *s)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(4096);
	struct span value;
	int r = a ? store_kv_get(
			    s->o.store, span_cstr(clock_key), a, &value, deadline_in_ms(PUBLISH_MS))
		  : err_raise(-ENOMEM, "smcp: out of memory");

	if (r == STORE_NOT_FOUND)
		return 0;
	if (r == 0)
		r = span_to_i64(value, &s->clock_s);
	if (r == 0 && s->clock_s > s->start_s)
		log_warn("smcp: the clock was set back by %lld s since the last signed call: "
			 "sessions from before accept nothing until it has caught up",
			(long long)(s->clock_s - s->start_s));
	return err_trace(r);
}

int clock_keep(struct smcp_service *s, int64_t now_s)
{
	char value[24];
	int r = 0;

	while (r == 0 && s->clock_s < now_s) {
		if (s->clock_busy) {
			r = waitq_wait(&s->clock_kept, deadline_in_ms(PUBLISH_MS));
			continue;
		}
		s->clock_busy = true;
		snprintf(value, sizeof(value), "%lld", (long long)now_s);
		r = store_kv_put(s->o.store, span_cstr(clock_key), span_cstr(value),
			deadline_in_ms(PUBLISH_MS));
		s->clock_busy = false;
		if (r == 0)
			s->clock_s = MAX(s->clock_s, now_s);
		waitq_wake_all(&s->clock_kept);
	}
	return err_trace(r);
}

static AWAITS int horizon_read(struct session *x, struct arena *a)
{
	struct span value;
	char key[64];

	horizon_key(x, key);
	int r = store_kv_get(x->s->o.store, span_cstr(key), a, &value, deadline_in_ms(PUBLISH_MS));
	if (r == STORE_NOT_FOUND)
		return 0;
	if (r == 0)
		r = span_to_i64(value, &x->horizon_s);
	return err_trace(r);
}

static AWAITS int restore_one(
	struct smcp_service *s, const struct store_session *row, struct arena *a)
{
	uint8_t key[SMCP_PUBLIC_KEY_BYTES];
	struct smcp_refusal why;
	struct session *x =
		session_new(s, row->id, row->security_context, row->subject, row->workload_id);

	if (!x)
		return err_raise(-ENOMEM, "session: out of memory");
	x->protocol = span_is(row->protocol, smcp_protocol_name(SEAL_V1)) ? SEAL_V1 : SMCP_V1;
	x->execution_id = row->execution_id;
	x->agent_id = row->agent_id;
	x->state = SMCP_ACTIVE;
	x->expires_s = row->expires_ns / NS_PER_S;
	int r = smcp_public_key_parse(row->public_key, key, &why);
	if (r > 0)
		r = err_raise(-EUCLEAN, "session %s in the store: %s", x->id_text, why.reason);
	if (r == 0)
		r = key_take(x, key);
	if (r == 0)
		r = horizon_read(x, a);
	x->floor_s = MAX(s->start_s, s->clock_s);
	x->floor_s = MAX(x->floor_s, x->horizon_s);
	if (r == 0)
		r = map_put(&s->by_id, span_of(x->id.bytes, sizeof(x->id.bytes)), x);
	if (r < 0)
		session_unref(x);
	return err_trace(r);
}

int sessions_restore(struct smcp_service *s)
{
	struct store_session_query q = {.unfinished = true, .page = {.limit = LIMIT_STORE_PAGE}};
	struct store_sessions page;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_STORE_READ_BYTES);
	int r = a ? 0 : err_raise(-ENOMEM, "sessions: out of memory");

	do {
		if (r < 0)
			return err_trace(r);
		arena_reset(a);
		r = store_session_list(s->o.store, &q, a, &page, deadline_in_ms(PUBLISH_MS));
		for (size_t i = 0; r == 0 && i < page.count; i++)
			r = restore_one(s, &page.items[i], a);
		q.page.offset += (uint32_t)page.count;
	} while (r < 0 || page.count == LIMIT_STORE_PAGE);
	return 0;
}

/* ---- what it grants ---- */

static bool is_current(const struct session *x)
{
	return x->grant && smcp_rules_current(x->s, x->grant->rules);
}

/* What the session's context grants now. Its files are opened anew, under the new rules. */
static AWAITS int grant_make(struct session *x, int64_t deadline_ns)
{
	struct smcp_rules *rules = NULL;
	int r = smcp_rules_of(x->s, span_cstr(x->scope), &rules, deadline_ns);

	if (r == 0 && !is_current(x)) {
		struct grant *g = grant_new(rules), *old = x->grant;
		if (g) {
			x->grant = g;
			grant_unref(old);
		} else {
			r = err_raise(-ENOMEM, "session: out of memory");
		}
	}
	smcp_rules_unref(rules);
	return err_trace(r);
}

int session_grant(struct session *x, struct grant **ret, int64_t deadline_ns)
{
	int r = is_current(x) ? 0 : grant_make(x, deadline_ns);

	if (r != 0)
		return err_trace(r);
	x->grant->refs++;
	*ret = x->grant;
	return 0;
}
