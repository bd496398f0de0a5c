/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Sessions of MCP clients: what they may do, and a key of the daemon's that signs their calls. One
 * that was not used for an hour is forgotten when room is needed or when it comes back.
 */
#include "daemon/mcp/internal.h"
#include <sodium.h>
#include <stdlib.h>

enum { IDLE_S = 3600, PUBLISH_MS = 60 * 1000, CLIENT_BYTES = 200 };

int mcp_service_new(const struct mcp_service_options *o, struct mcp_service **ret)
{
	struct mcp_service *s = calloc(1, sizeof(*s));

	if (!s)
		return err_raise(-ENOMEM, "mcp: out of memory");
	s->o = *o;
	if (s->o.sessions_per_context == 0)
		s->o.sessions_per_context = LIMIT_MCP_SESSIONS_PER_CONTEXT;
	map_init(&s->by_id, LIMIT_MCP_SESSIONS);
	*ret = s;
	return 0;
}

void mcp_service_free(struct mcp_service *s)
{
	if (!s)
		return;
	map_for_each (slot, &s->by_id)
		mcp_session_unref(slot->value);
	map_fini(&s->by_id);
	free(s);
}

struct mcp_session *mcp_session_unref(struct mcp_session *x)
{
	if (!x || --x->refs)
		return NULL;
	secret_wipe(x->signing_key, sizeof(x->signing_key));
	free(x->scope);
	free(x->client);
	free(x);
	return NULL;
}

bool mcp_session_close(struct mcp_service *s, struct span id)
{
	struct mcp_session *x = map_remove(&s->by_id, id);

	mcp_session_unref(x);
	return x != NULL;
}

static bool is_idle(const struct mcp_session *x)
{
	return rt_now_ns() - x->used_ns > IDLE_S * NS_PER_S;
}

struct mcp_session *mcp_session_find(struct mcp_service *s, struct span id)
{
	struct mcp_session *x = map_get(&s->by_id, id);

	if (x && is_idle(x)) {
		mcp_session_close(s, id);
		return NULL;
	}
	if (x) {
		x->used_ns = rt_now_ns();
		x->refs++;
	}
	return x;
}

/* Who holds the key can open sessions without end: each context has its share, and the sessions of
 * a full one make room for each other. */
static int make_room_in(struct mcp_service *s, struct span scope)
{
	struct mcp_session *oldest = NULL;
	size_t count = 0;

	map_for_each (slot, &s->by_id) {
		struct mcp_session *x = slot->value;
		if (!span_eq(span_cstr(x->scope), scope))
			continue;
		count++;
		if (x->refs == 1 && (!oldest || x->used_ns < oldest->used_ns))
			oldest = x;
	}
	if (count < s->o.sessions_per_context)
		return 0;
	if (!oldest)
		return err_raise(-ENOSPC,
			"all %zu MCP sessions of the security context '" SPAN_FMT
			"' have calls under way",
			count, SPAN_ARG(scope));
	log_info("mcp: '" SPAN_FMT "' has %zu sessions: the longest unused one is closed",
		SPAN_ARG(scope), count);
	mcp_session_close(s, span_cstr(oldest->id));
	return 0;
}

static void make_room(struct mcp_service *s)
{
	struct mcp_session *idle;

	do {
		idle = NULL;
		map_for_each (slot, &s->by_id)
			if (is_idle(slot->value))
				idle = slot->value;
		if (idle)
			mcp_session_close(s, span_cstr(idle->id));
	} while (idle);
}

static void make_keys(struct mcp_session *x)
{
	uint8_t seed[crypto_sign_SEEDBYTES];

	rt_random(seed, sizeof(seed));
	crypto_sign_seed_keypair(x->public_key, x->signing_key, seed);
	secret_wipe(seed, sizeof(seed));
	sodium_bin2base64(x->public_key_text, sizeof(x->public_key_text), x->public_key,
		sizeof(x->public_key), sodium_base64_VARIANT_ORIGINAL);
}

static struct mcp_session *mcp_session_new(struct span scope, const struct json *client)
{
	struct mcp_session *x = calloc(1, sizeof(*x));
	struct buf name CLEANUP(buf_fini) = buf_init(CLIENT_BYTES * 2 + 2);
	uint8_t random[16];

	if (!x)
		return NULL;
	buf_span(&name, span_sub(json_str(client, "name", SPAN("?")), 0, CLIENT_BYTES));
	buf_putc(&name, ' ');
	buf_span(&name, span_sub(json_str(client, "version", SPAN("?")), 0, CLIENT_BYTES));
	rt_random(random, sizeof(random));
	uuid_text(uuid_from_random(random), x->id);
	x->refs = 1;
	x->scope = span_dup(scope);
	x->client = span_dup(buf_view(&name));
	x->used_ns = rt_now_ns();
	make_keys(x);
	return x->scope && x->client ? x : mcp_session_unref(x);
}

/* The rules' text is kept with it, so that every decision can be decided again [2]. */
static AWAITS int opened_record(struct mcp_service *s, const struct mcp_session *x,
	const struct rule_set *rules, int64_t deadline_ns)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024);
	struct json_writer w = json_writer(&b);
	static const struct uuid nil;
	struct store_event e = event_of(EVENT_SMCP_SESSION_CREATED, nil, nil, 0);
	struct arena *a CLEANUP(arena_cleanup) = arena_new(2 * (size_t)LIMIT_RULE_SET_BYTES);
	struct span text = a ? rule_set_text(rules, a) : (struct span){0};
	struct store_commit c = {.events = &e, .event_count = 1, .blobs = &text, .blob_count = 1};

	if (!text.p)
		return err_raise(-ENOMEM, "mcp: out of memory");
	json_object(&w);
	json_field_cstr(&w, "session_id", x->id);
	json_field_cstr(&w, "protocol", "mcp");
	json_field_cstr(&w, "security_context", x->scope);
	json_field_cstr(&w, "client", x->client);
	json_field_cstr(&w, "public_key", x->public_key_text);
	json_field_span(&w, "policy_set", rule_set_hash(rules));
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	e.tenant_id = span_cstr(s->o.tenant_id);
	e.details = buf_view(&b);
	r = event_publish(s->o.bus, &c, deadline_ns);
	return r > 0 ? err_raise(-EPROTO, "the store refuses a session: %s", c.refusal)
		     : err_trace(r);
}

int mcp_session_open(struct mcp_service *s, struct span scope, const struct json *client,
	struct mcp_session **ret, int64_t deadline_ns)
{
	struct smcp_rules *rules = NULL;

	if (!smcp_scope_name_valid(scope))
		return SMCP_SCOPE_NOT_FOUND;
	make_room(s);
	if (s->by_id.count >= LIMIT_MCP_SESSIONS)
		return err_raise(-ENOSPC, "too many MCP sessions are open");
	int r = smcp_rules_of(s->o.smcp, scope, &rules, deadline_ns);
	if (r == 0)
		r = make_room_in(s, scope);
	if (r != 0) {
		smcp_rules_unref(rules);
		return err_trace(r);
	}
	struct mcp_session *x = mcp_session_new(scope, client);
	r = x ? opened_record(s, x, rules->rules, deadline_in_ms(PUBLISH_MS))
	      : err_raise(-ENOMEM, "mcp: out of memory");
	smcp_rules_unref(rules);
	if (r == 0)
		r = map_put(&s->by_id, span_cstr(x->id), x);
	if (r < 0) {
		mcp_session_unref(x);
		return err_trace(r);
	}
	*ret = x;
	return 0;
}
