/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The SMCP service on a real store, as clients see it: attested and refused, called once and never
 * twice, restarted in between, revoked, rotated.
 */
#include "daemon/smcp/smcp.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include "tests/unit/daemon/smcp/client.h"
#include "tests/unit/daemon/store/fixture.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct gate {
	char folder[64], url[128], keys[128], journal_dir[128];
	struct store *store;
	struct journal *journal;
	struct event_bus *bus;
	struct offload *files;
	struct group group;
	struct fsal *fsal;
	char workspaces[128];
	struct smcp_service *service;
	struct arena *arena;
	struct rule_set *rules; /* of the context "tester" */
	int64_t token_life_s;
	struct buf reply;
	int status;
	const struct json *answer;
};

static int context(void *ctx, struct span name, struct rule_set **ret, int64_t deadline_ns)
{
	struct gate *f = ctx;
	if (!span_is(name, "tester"))
		return SMCP_SCOPE_NOT_FOUND;
	*ret = rule_set_ref(f->rules);
	return 0;
}

/* aegis.system.info twice in an hour. */
static struct rule_set *limited_rules_new(void)
{
	static const struct rule_capability list[] = {
		{.tool_pattern = "aegis.*", .calls = 2, .window_ms = 3600 * 1000}};
	const struct rule_context c = {
		.name = "tester", .capabilities = list, .capability_count = ARRAY_LEN(list)};
	struct rule_set_builder *b = rule_set_builder_new();
	EXPECT_INT(rule_add_context(b, &c, RULE_CONTEXT_GRANTS), 0);
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	EXPECT(s != NULL);
	return s;
}

static struct rule_set *rules_new(void)
{
	struct rule_origin o = {.field = "context[0]"};
	struct rule_set_builder *b = rule_set_builder_new();
	EXPECT_INT(rule_allow_tool(b, "aegis.*", o), 0);
	EXPECT_INT(rule_allow_tool(b, "fs.*", o), 0);
	EXPECT_INT(rule_deny_tool(b, "fs.delete", o), 0);
	EXPECT_INT(rule_allow_path(b, "fs:write", "/workspace", o), 0);
	EXPECT_INT(rule_allow_path(b, "fs:read", "/workspace", o), 0);
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	EXPECT(s != NULL);
	return s;
}

static void open_all(struct gate *f)
{
	snprintf(f->url, sizeof(f->url), "sqlite:%s/aegis.db", f->folder);
	snprintf(f->workspaces, sizeof(f->workspaces), "%s/workspaces", f->folder);
	snprintf(f->keys, sizeof(f->keys), "%s/keys", f->folder);
	struct store_options so = {.url = f->url, .states = test_states};
	so.states.session = &smcp_session_states;
	EXPECT_INT(store_open(&so, &f->store), 0);
	snprintf(f->journal_dir, sizeof(f->journal_dir), "%s/audit", f->folder);
	EXPECT_INT(journal_open(&(struct journal_options){.dir = f->journal_dir}, &f->journal), 0);
	EXPECT_INT(event_bus_start(
			   &(struct event_bus_options){.store = f->store, .journal = f->journal},
			   &f->bus),
		0);
	group_init(&f->group);
	EXPECT_INT(fsal_start(&(struct fsal_options){.objects_max = 1000}, &f->fsal), 0);
	struct smcp_service_options o = {
		.fsal = f->fsal,
		.workspaces_directory = f->workspaces,
		.store = f->store,
		.bus = f->bus,
		.files = f->files,
		.keys_directory = f->keys,
		.issuer = "node",
		.audience = "agents",
		.token_life_s = f->token_life_s,
		.tenant_id = "local",
		.context = context,
		.context_ctx = f,
	};
	EXPECT_INT(smcp_service_start(&f->group, &o, &f->service), 0);
}

static void close_all(struct gate *f)
{
	group_close(&f->group);
	smcp_service_free(f->service);
	fsal_stop(f->fsal);
	event_bus_stop(f->bus);
	journal_close(f->journal);
	store_close(f->store);
}

static void begin(struct gate *f)
{
	*f = (struct gate){.reply = buf_init(4 * 1024 * 1024)};
	strcpy(f->folder, "/tmp/aegis-smcp-XXXXXX");
	EXPECT(mkdtemp(f->folder) != NULL);
	EXPECT_INT(offload_start("files", 1, 64, &f->files), 0);
	f->arena = arena_new(256 * 1024 * 1024);
	f->rules = rules_new();
	open_all(f);
}

static void end(struct gate *f)
{
	close_all(f);
	offload_stop(f->files);
	rule_set_unref(f->rules);
	buf_fini(&f->reply);
	arena_free(f->arena);
	EXPECT_INT(fd_remove_tree(AT_FDCWD, f->folder), 0);
}

/* The status of the answer, which stands in f->answer. */
static int ask(struct gate *f, enum smcp_protocol p, enum smcp_operation o,
	const struct smcp_workload *w, struct span body)
{
	struct smcp_request q = {.protocol = p, .operation = o, .workload = w, .body = body};
	buf_reset(&f->reply);
	EXPECT_INT(
		smcp_serve(f->service, &q, f->arena, &f->reply, &f->status, deadline_in_ms(20000)),
		0);
	if (json_parse(f->arena, buf_view(&f->reply), NULL, &f->answer) < 0) {
		fprintf(stderr, "no JSON: " SPAN_FMT "\n", SPAN_ARG(buf_view(&f->reply)));
		EXPECT(false);
	}
	return f->status;
}

static int64_t error_code(struct gate *f)
{
	return json_i64(json_get(f->answer, "error"), "code", 0);
}

static bool attest(struct gate *f, struct smcp_client *c, enum smcp_protocol p)
{
	smcp_client_init(c, p);
	struct span body = smcp_client_attest(c, "client-1", "tester", f->arena);
	return ask(f, p, SMCP_OP_ATTEST, NULL, body) == 200 &&
		smcp_client_take(c, buf_view(&f->reply), f->arena);
}

static int64_t now_s(void)
{
	return rt_wall_ns() / NS_PER_S;
}

static struct span envelope(
	struct gate *f, struct smcp_client *c, const char *id, const char *params)
{
	return smcp_client_envelope(c, id, "tools/call", params, now_s(), f->arena);
}

static const char info[] = "{\"name\":\"aegis.system.info\",\"arguments\":{}}";

/* Number of events of that type in the store. */
static int events_of(struct gate *f, const char *type, struct store_event *ret_last)
{
	struct store_event_query q = {.limit = LIMIT_STORE_PAGE};
	struct store_events page;
	int count = 0;
	EXPECT_INT(store_event_list(f->store, &q, f->arena, &page, DEADLINE_NONE), 0);
	for (size_t i = 0; i < page.count; i++)
		if (span_is(page.items[i].type, type)) {
			count++;
			if (ret_last)
				*ret_last = page.items[i];
		}
	return count;
}

/* Number of records of that kind, of clients from outside; what the newest says, in f->arena. */
static int calls_of(struct gate *f, const char *kind, const struct json **ret_details)
{
	struct audit_reader *r;
	struct audit_record record;
	const struct json *payload;
	int count = 0;
	EXPECT_INT(audit_reader_open(f->journal_dir, &r), 0);
	while (audit_reader_next(r, &record) == 0) {
		if (record.source != AUDIT_CALL || !span_is(record.kind, kind))
			continue;
		count++;
		if (ret_details) {
			struct span text = arena_span(f->arena, record.payload);
			EXPECT_INT(json_parse(f->arena, text, NULL, &payload), 0);
			*ret_details = json_get(payload, "details");
		}
	}
	audit_reader_close(r);
	return count;
}

/* ---- tests ---- */

static void body_call(void *arg)
{
	struct gate f;
	struct smcp_client c;
	const struct json *details;
	begin(&f);
	for (int p = SMCP_V1; p <= SEAL_V1; p++) {
		EXPECT(attest(&f, &c, (enum smcp_protocol)p));
		EXPECT(span_is(json_str(f.answer, "status", SPAN("")), "success"));
		EXPECT(json_str(f.answer, "expires_at", SPAN("")).n > 0);
		EXPECT(json_str(f.answer, "session_id", SPAN("")).n == 36);
		struct span body = envelope(&f, &c, "r1", info);
		EXPECT_INT(ask(&f, c.protocol, SMCP_OP_INVOKE, NULL, body), 200);
		const struct json *payload = json_get(f.answer, "payload");
		EXPECT(span_is(json_str(payload, "id", SPAN("")), "r1"));
		const struct json *content = json_get(json_get(payload, "result"), "content");
		EXPECT(content && content->count == 1 &&
			span_starts(json_str(&content->items[0], "text", SPAN("")),
				SPAN("{\"name\":\"aegis\"")));
	}
	EXPECT_INT(events_of(&f, "SessionCreated", NULL), 2);
	EXPECT_INT(events_of(&f, "AttestationSucceeded", NULL), 2);
	/* A call leaves no row in the store, which would cost more than the call [1]. */
	EXPECT_INT(events_of(&f, "ToolCallAuthorized", NULL), 0);
	EXPECT_INT(calls_of(&f, "ToolCallAuthorized", &details), 2);
	/* What is on record proves the call: anybody can check it with the record alone. */
	struct buf key CLEANUP(buf_fini) = buf_init(64), sig CLEANUP(buf_fini) = buf_init(128);
	EXPECT_INT(base64_decode(&key, json_str(details, "public_key", SPAN("")), 0), 0);
	EXPECT_INT(base64_decode(&sig, json_str(details, "signature", SPAN("")), 0), 0);
	EXPECT(smcp_signature_good((const uint8_t *)key.data,
		json_str(details, "envelope", SPAN("")), (const uint8_t *)sig.data));
	EXPECT(json_get(details, "decision") != NULL);
	EXPECT_INT(store_check(f.store, DEADLINE_NONE), 0);
	end(&f);
}

static void body_attest_refused(void *arg)
{
	struct gate f;
	struct smcp_client c;
	begin(&f);
	smcp_client_init(&c, SMCP_V1);
	struct span body = smcp_client_attest(&c, "client-1", "no-such", f.arena);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_ATTEST, NULL, body), 401);
	EXPECT(span_is(json_str(f.answer, "error_code", SPAN("")), "SCOPE_NOT_FOUND"));
	EXPECT(json_str(f.answer, "message", SPAN("")).n > 0);
	EXPECT(json_str(json_get(f.answer, "error"), "message", SPAN("")).n > 0);
	EXPECT_INT(ask(&f, SEAL_V1, SMCP_OP_ATTEST, NULL, body), 401);
	EXPECT_INT(json_i64(f.answer, "error_code", 0), SMCP_SCOPE_NOT_FOUND);
	/* The identity is a key of small order: it would verify signatures that nobody made. */
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_ATTEST, NULL,
			   SPAN("{\"public_key\":"
				"\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
				"\"workload_id\":\"w\",\"requested_scope\":\"tester\"}")),
		401);
	EXPECT(span_is(json_str(f.answer, "error_code", SPAN("")), "ATTESTATION_FAILED"));
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_ATTEST, NULL, SPAN("[]")), 401);
	EXPECT_INT(events_of(&f, "AttestationFailed", NULL), 4);
	EXPECT_INT(events_of(&f, "SessionCreated", NULL), 0);
	end(&f);
}

static void body_denied(void *arg)
{
	struct gate f;
	struct smcp_client c;
	const struct json *details;
	begin(&f);
	EXPECT(attest(&f, &c, SMCP_V1));
	struct span body = envelope(
		&f, &c, "r1", "{\"name\":\"fs.delete\",\"arguments\":{\"path\":\"/workspace/x\"}}");
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, body), 403);
	EXPECT_INT(error_code(&f), 2001);
	EXPECT(span_is(json_str(f.answer, "status", SPAN("")), "error"));
	EXPECT(span_is(json_str(json_get(f.answer, "error"), "request_id", SPAN("")), "r1"));
	EXPECT_INT(calls_of(&f, "PolicyViolationBlocked", &details), 1);
	EXPECT(json_str(details, "signature", SPAN("")).n > 0);
	body = envelope(&f, &c, "r2", "{\"name\":\"no.tool\",\"arguments\":{}}");
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, body), 403);
	EXPECT_INT(error_code(&f), 2000);
	body = envelope(&f, &c, "r3", "{\"name\":\"fs.read\",\"arguments\":{}}");
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, body), 422);
	EXPECT_INT(error_code(&f), -32602);
	body = smcp_client_envelope(&c, "r4", "resources/list", NULL, now_s(), f.arena);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, body), 200);
	EXPECT_INT(json_i64(json_get(json_get(f.answer, "payload"), "error"), "code", 0), -32601);
	end(&f);
}

static void body_tools(void *arg)
{
	struct gate f;
	struct smcp_client c;
	struct smcp_request q = {.operation = SMCP_OP_TOOLS, .context_name = SPAN("tester")};
	begin(&f);
	EXPECT_INT(smcp_serve(f.service, &q, f.arena, &f.reply, &f.status, DEADLINE_NONE), 0);
	EXPECT_INT(f.status, 200);
	struct span list = buf_view(&f.reply);
	EXPECT(span_find(list, SPAN("\"attestation_endpoint\":\"/v1/smcp/attest\""), 0) > 0);
	EXPECT(span_find(list, SPAN("\"name\":\"aegis.system.info\""), 0) > 0);
	EXPECT(span_find(list, SPAN("\"name\":\"fs.write\""), 0) > 0);
	EXPECT(span_find(list, SPAN("\"name\":\"fs.delete\""), 0) < 0);
	EXPECT(span_find(list, SPAN("\"name\":\"cmd.run\""), 0) < 0);
	EXPECT(attest(&f, &c, SMCP_V1));
	struct span body = smcp_client_envelope(&c, "r1", "tools/list", NULL, now_s(), f.arena);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, body), 200);
	EXPECT(span_find(buf_view(&f.reply), SPAN("\"name\":\"fs.write\""), 0) > 0);
	EXPECT(span_find(buf_view(&f.reply), SPAN("\"name\":\"fs.delete\""), 0) < 0);
	end(&f);
}

struct racer {
	struct gate *f;
	struct span body;
	int *accepted, *refused;
};

static void race(void *arg)
{
	struct racer *r = arg;
	struct smcp_request q = {.protocol = SMCP_V1, .operation = SMCP_OP_INVOKE, .body = r->body};
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * 1024 * 1024);
	struct buf reply CLEANUP(buf_fini) = buf_init(1024 * 1024);
	int status = 0;
	EXPECT_INT(smcp_serve(r->f->service, &q, a, &reply, &status, deadline_in_ms(20000)), 0);
	++*(status == 200 ? r->accepted : r->refused);
}

/* One envelope on many connections at once is accepted once, and no more after a restart. */
static void body_once(void *arg)
{
	enum { RACERS = 32 };
	struct gate f;
	struct smcp_client c;
	struct group g;
	int accepted = 0, refused = 0;
	begin(&f);
	EXPECT(attest(&f, &c, SMCP_V1));
	struct span body = envelope(&f, &c, "r1", info);
	struct racer r = {&f, body, &accepted, &refused};
	group_init(&g);
	for (int i = 0; i < RACERS; i++)
		EXPECT_INT(group_spawn(&g, "race", FIBER_LARGE, race, &r), 0);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	EXPECT_INT(accepted, 1);
	EXPECT_INT(refused, RACERS - 1);
	/* One that was stamped ahead would pass the start's floor; the horizon holds it back. */
	struct span ahead =
		smcp_client_envelope(&c, "r2", "tools/call", info, now_s() + 20, f.arena);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, ahead), 200);
	close_all(&f);
	open_all(&f);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, body), 401);
	EXPECT_INT(error_code(&f), SMCP_TOKEN_VERIFICATION_FAILED);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, ahead), 401);
	EXPECT_INT(calls_of(&f, "ToolCallAuthorized", NULL), 2);
	/* The session itself goes on: what is stamped beyond the horizon passes. */
	struct span later =
		smcp_client_envelope(&c, "r3", "tools/call", info, now_s() + 28, f.arena);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, later), 200);
	end(&f);
}

/* Without clients that run ahead a session is as good as before one second after the restart. */
static void body_restart(void *arg)
{
	struct gate f;
	struct smcp_client c;
	begin(&f);
	EXPECT(attest(&f, &c, SEAL_V1));
	close_all(&f);
	open_all(&f);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(1100)), 0);
	EXPECT_INT(ask(&f, SEAL_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r1", info)), 200);
	end(&f);
}

static void body_refresh_and_revoke(void *arg)
{
	struct gate f;
	struct smcp_client c, old;
	begin(&f);
	EXPECT(attest(&f, &c, SMCP_V1));
	old = c;
	EXPECT_INT(rt_sleep_until(deadline_in_ms(1100)), 0); /* another iat, another token */
	struct span body =
		smcp_client_envelope(&c, "r1", "session/refresh", NULL, now_s(), f.arena);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_REFRESH, NULL, body), 200);
	EXPECT(smcp_client_take(&c, buf_view(&f.reply), f.arena));
	EXPECT(strcmp(c.token, old.token) != 0);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r2", info)), 200);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &old, "r3", info)), 200);
	/* An invoke envelope at the wrong address does nothing. */
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_REVOKE, NULL, envelope(&f, &c, "r4", info)), 422);
	body = smcp_client_envelope(&c, "r5", "session/revoke", NULL, now_s(), f.arena);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_REVOKE, NULL, body), 200);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r6", info)), 401);
	EXPECT_INT(error_code(&f), SMCP_SESSION_INACTIVE);
	close_all(&f);
	open_all(&f);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &old, "r7", info)), 401);
	EXPECT_INT(error_code(&f), SMCP_SESSION_INACTIVE);
	EXPECT_INT(events_of(&f, "SecurityTokenRefreshed", NULL), 1);
	EXPECT_INT(events_of(&f, "SessionRevoked", NULL), 1);
	EXPECT_INT(store_check(f.store, DEADLINE_NONE), 0);
	end(&f);
}

static void body_expiry(void *arg)
{
	struct gate f;
	struct smcp_client c;
	int sessions = 0, status;
	begin(&f);
	close_all(&f);
	f.token_life_s = 1;
	open_all(&f);
	do { /* a slow machine may need more than a token's life for two requests */
		EXPECT(attest(&f, &c, SMCP_V1));
		sessions++;
		status = ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r1", info));
	} while (status == 401 && sessions < 100);
	EXPECT_INT(status, 200);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(2100)), 0);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r2", info)), 401);
	EXPECT_INT(error_code(&f), SMCP_TOKEN_EXPIRED);
	EXPECT_INT(events_of(&f, "SecurityTokenExpired", NULL), sessions);
	close_all(&f);
	open_all(&f);
	EXPECT_INT(events_of(&f, "SessionExpired", NULL), sessions);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r3", info)), 401);
	EXPECT_INT(error_code(&f), SMCP_TOKEN_EXPIRED);
	EXPECT_INT(store_check(f.store, DEADLINE_NONE), 0);
	end(&f);
}

/* A limit is the context's: another session, with another key, takes from what is left of it. */
static void body_limits(void *arg)
{
	struct gate f;
	struct smcp_client c, other;
	begin(&f);
	rule_set_unref(f.rules);
	f.rules = limited_rules_new();
	EXPECT(attest(&f, &c, SMCP_V1));
	EXPECT(attest(&f, &other, SEAL_V1));
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r1", info)), 200);
	EXPECT_INT(ask(&f, SEAL_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &other, "r2", info)), 200);
	EXPECT_INT(ask(&f, SEAL_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &other, "r3", info)), 403);
	EXPECT_INT(error_code(&f), DECISION_RATE_LIMIT_EXCEEDED);
	EXPECT(attest(&f, &c, SMCP_V1));
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r4", info)), 403);
	/* New rules under the old names: what was taken stays taken. */
	rule_set_unref(f.rules);
	f.rules = limited_rules_new();
	smcp_rules_changed(f.service);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r5", info)), 403);
	/* Nobody knows how much was taken before a restart: all, then. */
	close_all(&f);
	open_all(&f);
	EXPECT(attest(&f, &c, SMCP_V1));
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r6", info)), 403);
	EXPECT_INT(error_code(&f), DECISION_RATE_LIMIT_EXCEEDED);
	end(&f);
}

/* The clock is set back between two lives, here: the first one lived later than the second. */
static void body_clock_set_back(void *arg)
{
	struct gate f;
	struct smcp_client c;
	struct span value;
	int64_t kept_s;
	char later[24];
	begin(&f);
	EXPECT(attest(&f, &c, SMCP_V1));
	int64_t before_s = now_s();
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r1", info)), 200);
	EXPECT_INT(store_kv_get(f.store, SPAN("smcp.clock"), f.arena, &value, DEADLINE_NONE), 0);
	EXPECT_INT(span_to_i64(value, &kept_s), 0);
	EXPECT(kept_s >= before_s && kept_s <= now_s());
	snprintf(later, sizeof(later), "%lld", (long long)(now_s() + 600));
	EXPECT_INT(store_kv_put(f.store, SPAN("smcp.clock"), span_cstr(later), DEADLINE_NONE), 0);
	close_all(&f);
	open_all(&f);
	struct span body =
		smcp_client_envelope(&c, "r2", "tools/call", info, now_s() + 20, f.arena);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, body), 401);
	EXPECT_INT(error_code(&f), SMCP_TOKEN_VERIFICATION_FAILED);
	/* A session that had no life before this one has nothing that could be replayed. */
	EXPECT(attest(&f, &c, SMCP_V1));
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r3", info)), 200);
	end(&f);
}

static void body_forged(void *arg)
{
	struct gate f;
	struct smcp_client c, other;
	begin(&f);
	EXPECT(attest(&f, &c, SMCP_V1));
	EXPECT(attest(&f, &other, SMCP_V1));
	struct smcp_client thief = other;
	memcpy(thief.token, c.token, sizeof(c.token)); /* a token without its key */
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &thief, "r1", info)), 401);
	EXPECT_INT(error_code(&f), SMCP_INVALID_SIGNATURE);
	EXPECT_INT(events_of(&f, "SignatureVerificationFailed", NULL), 1);
	struct span stale =
		smcp_client_envelope(&c, "r2", "tools/call", info, now_s() - 40, f.arena);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, stale), 401);
	/* A caller who fails on purpose does not fill the store. */
	for (int i = 0; i < 100; i++)
		EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, stale), 401);
	EXPECT(events_of(&f, "SignatureVerificationFailed", NULL) <= 20);
	memcpy(thief.token, "e30.e30.e30", sizeof("e30.e30.e30"));
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &thief, "r3", info)), 401);
	EXPECT_INT(error_code(&f), SMCP_TOKEN_VERIFICATION_FAILED);
	end(&f);
}

/* The text of the result; what was allowed, and could not be done, is a result too. */
static bool says(struct gate *f, const char *text)
{
	const struct json *result = json_get(json_get(f->answer, "payload"), "result");
	const struct json *content = json_get(result, "content");
	if (content && span_starts(json_str(&content->items[0], "text", SPAN("")), span_cstr(text)))
		return true;
	fprintf(stderr, "answer: " SPAN_FMT "\n", SPAN_ARG(buf_view(&f->reply)));
	return false;
}

/* A client's files: its own, as long as its session, restarts included. */
static void body_workspace(void *arg)
{
	static const char write[] = "{\"name\":\"fs.write\",\"arguments\":{\"path\":\"/workspace/"
				    "a\",\"content\":\"mine\"}}";
	static const char read[] =
		"{\"name\":\"fs.read\",\"arguments\":{\"path\":\"/workspace/a\"}}";
	struct gate f;
	struct smcp_client c, other;
	char path[512], id[40];
	begin(&f);
	EXPECT(attest(&f, &c, SMCP_V1));
	snprintf(id, sizeof(id), SPAN_FMT, SPAN_ARG(json_str(f.answer, "session_id", SPAN(""))));
	EXPECT(attest(&f, &other, SMCP_V1));
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r1", write)), 200);
	EXPECT(says(&f, "Wrote 4 bytes"));
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r2", read)), 200);
	EXPECT(says(&f, "mine"));
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &other, "r3", read)), 200);
	EXPECT(says(&f, "NOT_FOUND"));
	EXPECT_INT(calls_of(&f, "ToolCallAuthorized", NULL), 3);
	EXPECT_INT(
		calls_of(&f, "InvocationCompleted", NULL), 1); /* of the one that has an effect */
	close_all(&f);
	open_all(&f);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(1100)), 0);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r4", read)), 200);
	EXPECT(says(&f, "mine"));
	snprintf(path, sizeof(path), "%s/%s/a", f.workspaces, id);
	EXPECT_INT(access(path, F_OK), 0);
	struct span body = smcp_client_envelope(&c, "r5", "session/revoke", NULL, now_s(), f.arena);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_REVOKE, NULL, body), 200);
	EXPECT_INT(access(path, F_OK), -1);
	end(&f);
}

/* A sandbox's sessions are good on its own socket alone. */
static void body_workload(void *arg)
{
	struct gate f;
	struct smcp_client c, outside;
	char id[UUID_TEXT_BYTES];
	begin(&f);
	struct tool_context tools = {.execution_id = SPAN("e1"),
		.agent = SPAN("a1"),
		.tenant = SPAN("local"),
		.rules = f.rules,
		.workspace_path = SPAN("/workspace")};
	struct smcp_workload w = {
		.execution_id = uuid_new(), .agent_id = uuid_new(), .tools = &tools};
	struct smcp_workload neighbour = w;
	neighbour.execution_id = uuid_new();
	uuid_text(neighbour.execution_id, id);
	smcp_client_init(&c, SMCP_V1);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_ATTEST, &w, smcp_client_attest(&c, id, NULL, f.arena)),
		401);
	EXPECT_INT(error_code(&f), SMCP_WORKLOAD_VERIFICATION_FAILED);
	uuid_text(w.execution_id, id);
	w.outside = true;
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_ATTEST, &w, smcp_client_attest(&c, id, NULL, f.arena)),
		401);
	EXPECT_INT(error_code(&f), SMCP_WORKLOAD_VERIFICATION_FAILED);
	w.outside = false;
	EXPECT_INT(
		ask(&f, SMCP_V1, SMCP_OP_ATTEST, &w, smcp_client_attest(&c, id, "tester", f.arena)),
		401);
	EXPECT_INT(error_code(&f), SMCP_SCOPE_NOT_FOUND);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_ATTEST, &w,
			   smcp_client_attest(&c, id, "default", f.arena)),
		200);
	EXPECT(smcp_client_take(&c, buf_view(&f.reply), f.arena));
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, &w, envelope(&f, &c, "r1", info)), 200);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r2", info)), 401);
	EXPECT_INT(error_code(&f), SMCP_SESSION_NOT_FOUND);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, &neighbour, envelope(&f, &c, "r3", info)), 401);
	EXPECT_INT(error_code(&f), SMCP_SESSION_NOT_FOUND);
	EXPECT(attest(&f, &outside, SMCP_V1));
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, &w, envelope(&f, &outside, "r4", info)), 401);
	/* It ends with its execution. */
	smcp_execution_ended(f.service, w.execution_id);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, &w, envelope(&f, &c, "r5", info)), 401);
	EXPECT_INT(error_code(&f), SMCP_SESSION_INACTIVE);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &outside, "r6", info)), 200);
	for (int i = 0; i < LIMIT_SMCP_SESSIONS_PER_EXECUTION; i++) {
		smcp_client_init(&c, SMCP_V1);
		EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_ATTEST, &w,
				   smcp_client_attest(&c, id, NULL, f.arena)),
			200);
	}
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_ATTEST, &w, smcp_client_attest(&c, id, NULL, f.arena)),
		401);
	/* One that goes on asking is not even put on record. */
	for (int i = 0; i < 40; i++)
		(void)ask(
			&f, SMCP_V1, SMCP_OP_ATTEST, &w, smcp_client_attest(&c, id, NULL, f.arena));
	EXPECT_INT(f.status, 429);
	EXPECT(events_of(&f, "AttestationFailed", NULL) < 20);
	end(&f);
}

static int key_files(struct gate *f, bool *ret_private)
{
	char path[512];
	struct dirent *e;
	struct stat st;
	int count = 0;
	snprintf(path, sizeof(path), "%s/keys", f->folder);
	DIR *d = opendir(path);
	*ret_private = true;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		count++;
		snprintf(path, sizeof(path), "%s/keys/%s", f->folder, e->d_name);
		*ret_private &= stat(path, &st) == 0 && (st.st_mode & 0777) == 0600;
	}
	closedir(d);
	return count;
}

static void body_keys(void *arg)
{
	struct gate f;
	struct smcp_client c, later;
	bool is_private;
	begin(&f);
	EXPECT_INT(key_files(&f, &is_private), 2);
	EXPECT(is_private);
	EXPECT(attest(&f, &c, SMCP_V1));
	EXPECT_INT(rt_sleep_until(deadline_in_ms(1100)), 0); /* files are named by the second */
	EXPECT_INT(smcp_service_rotate(f.service, DEADLINE_NONE), 0);
	EXPECT_INT(key_files(&f, &is_private), 4);
	EXPECT(is_private);
	EXPECT(attest(&f, &later, SMCP_V1));
	close_all(&f);
	open_all(&f); /* tokens of both keys are known to nobody now but by their signatures */
	EXPECT_INT(rt_sleep_until(deadline_in_ms(1100)), 0);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &c, "r1", info)), 200);
	EXPECT_INT(ask(&f, SMCP_V1, SMCP_OP_INVOKE, NULL, envelope(&f, &later, "r2", info)), 200);
	struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024);
	struct json_writer w = json_writer(&b);
	const struct json *set;
	smcp_service_jwks(f.service, &w);
	EXPECT_INT(json_parse(f.arena, buf_view(&b), NULL, &set), 0);
	EXPECT_INT((long)json_get(set, "keys")->count, 4);
	end(&f);
}

/* ---- cancelled ---- */

struct cancelled_call {
	struct gate *f;
	struct smcp_request q;
	int result;
};

static void cancelled_main(void *arg)
{
	struct cancelled_call *c = arg;

	c->result = smcp_serve(c->f->service, &c->q, c->f->arena, &c->f->reply, &c->f->status,
		deadline_in_ms(20000));
}

/* A call whose fiber is told to stop while its envelope is being checked: there is no answer, and
 * none is made up. */
static void body_cancelled(void *arg)
{
	struct gate f;
	struct smcp_client c;
	struct group g;

	begin(&f);
	EXPECT(attest(&f, &c, SMCP_V1));
	/* Stamped ahead, so that something must be persisted before it is accepted. */
	struct cancelled_call call = {.f = &f,
		.q = {.protocol = SMCP_V1,
			.operation = SMCP_OP_INVOKE,
			.body = smcp_client_envelope(
				&c, "1", "tools/call", info, now_s() + 20, f.arena)},
		.result = 1};
	buf_reset(&f.reply);
	f.status = 0;
	group_init(&g);
	EXPECT_INT(group_spawn(&g, "call", FIBER_LARGE, cancelled_main, &call), 0);
	group_close(&g);
	EXPECT_INT(call.result, -ECANCELED);
	EXPECT_INT(f.status, 0);
	EXPECT_INT((long)f.reply.len, 0);
	end(&f);
}

#define IN_FIBER(name) \
	static void name(void **state) \
	{ \
		in_fiber(body_##name); \
	}
IN_FIBER(call)
IN_FIBER(attest_refused)
IN_FIBER(denied)
IN_FIBER(tools)
IN_FIBER(once)
IN_FIBER(restart)
IN_FIBER(refresh_and_revoke)
IN_FIBER(expiry)
IN_FIBER(limits)
IN_FIBER(clock_set_back)
IN_FIBER(forged)
IN_FIBER(workload)
IN_FIBER(workspace)
IN_FIBER(keys)
IN_FIBER(cancelled)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(call),
		cmocka_unit_test(attest_refused),
		cmocka_unit_test(denied),
		cmocka_unit_test(tools),
		cmocka_unit_test(once),
		cmocka_unit_test(restart),
		cmocka_unit_test(refresh_and_revoke),
		cmocka_unit_test(expiry),
		cmocka_unit_test(limits),
		cmocka_unit_test(clock_set_back),
		cmocka_unit_test(forged),
		cmocka_unit_test(workload),
		cmocka_unit_test(workspace),
		cmocka_unit_test(keys),
		cmocka_unit_test(cancelled),
	};
	return cmocka_run_group_tests_name("daemon/smcp", tests, NULL, NULL);
}
