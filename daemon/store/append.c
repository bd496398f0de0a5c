/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One commit: its events get their places, the changes are applied, everything becomes rows. What
 * the caller's events say (id, time, numbers) is filled in when the whole commit has succeeded;
 * events of one that failed have no numbers.
 */
#include "daemon/store/internal.h"

#include <errno.h>
#include <stdio.h>

struct append {
	struct store *store;
	struct store_commit *commit;
	struct store_event *events; /* copies that are being filled in */
	struct store_change *changes; /* copies, agents with the hashes of their manifests */
};

static int too_many(const char *what, size_t count)
{
	return err_raise(-E2BIG, "%zu %s in one commit, at most %d are accepted", count, what,
		LIMIT_STORE_COMMIT_ITEMS);
}

/* ---- before the transaction: is this well formed? ---- */

static int check_text(const char *what, struct span s, size_t limit)
{
	if (s.n > limit)
		return err_raise(-E2BIG, "event: %s of %zu bytes, at most %zu are accepted", what,
			s.n, limit);
	if (s.n && (span_utf8_bad(s) >= 0 || memchr(s.p, 0, s.n)))
		return err_raise(-EINVAL, "event: %s must be UTF-8 text without NUL", what);
	return 0;
}

static int check_event(const struct store_event *e, struct arena *a)
{
	const struct json *details;
	int r = check_text("type", e->type, LIMIT_NAME_BYTES);

	if (r == 0 && e->type.n == 0)
		r = err_raise(-EINVAL, "event: no type");
	if (r == 0)
		r = check_text("category", e->category, LIMIT_NAME_BYTES);
	if (r == 0)
		r = check_text("stage", e->stage, LIMIT_NAME_BYTES);
	if (r == 0)
		r = check_text("tenant_id", e->tenant_id, LIMIT_NAME_BYTES);
	if (r == 0)
		r = check_text("message", e->message, LIMIT_STORE_MESSAGE_BYTES);
	if (r < 0 || e->details.n == 0)
		return r < 0 ? err_trace(r) : 0;
	if (e->details.n > LIMIT_STORE_TEXT_BYTES)
		return err_raise(-E2BIG, "event: details of %zu bytes, at most %d are accepted",
			e->details.n, LIMIT_STORE_TEXT_BYTES);
	r = json_parse(a, e->details, NULL, &details);
	if (r < 0)
		return err_wrap(r, "event: details");
	if (details->type != JSON_OBJECT)
		return err_raise(-EINVAL, "event: details must be a JSON object, not %s",
			json_type_name(details->type));
	return 0;
}

static bool known_status(const struct state_table *t, const char *status)
{
	return status && state_parse(t, status) >= 0;
}

static int check_required(const struct store *s, const struct store_change *c)
{
	const struct state_table *t;
	const char *status;
	bool creates;

	switch (c->kind) {
	case STORE_AGENT_CREATE:
	case STORE_AGENT_UPDATE:
		t = s->states.agent;
		status = c->agent->status;
		creates = c->kind == STORE_AGENT_CREATE;
		if (uuid_is_nil(c->agent->id) || (creates && c->agent->name.n == 0))
			return err_raise(-EINVAL, "agent: id and name are required");
		break;
	case STORE_EXECUTION_CREATE:
	case STORE_EXECUTION_UPDATE:
	case STORE_EXECUTION_REMOVE:
		t = s->states.execution;
		status = c->execution->status;
		creates = c->kind == STORE_EXECUTION_CREATE;
		if (uuid_is_nil(c->execution->id) ||
			(creates && uuid_is_nil(c->execution->agent_id)))
			return err_raise(-EINVAL, "execution: id and agent_id are required");
		break;
	case STORE_ITERATION_CREATE:
	case STORE_ITERATION_UPDATE:
		t = s->states.iteration;
		status = c->iteration->status;
		creates = c->kind == STORE_ITERATION_CREATE;
		if (uuid_is_nil(c->iteration->execution_id) || c->iteration->number == 0)
			return err_raise(
				-EINVAL, "iteration: execution_id and number are required");
		break;
	case STORE_SESSION_CREATE:
	case STORE_SESSION_UPDATE:
		t = s->states.session;
		status = c->session->status;
		creates = c->kind == STORE_SESSION_CREATE;
		if (!t)
			return err_raise(-EINVAL,
				"session: this store was opened without states of sessions");
		if (uuid_is_nil(c->session->id))
			return err_raise(-EINVAL, "session: id is required");
		break;
	case STORE_VOLUME_CREATE:
	case STORE_VOLUME_UPDATE:
		t = s->states.volume;
		status = c->volume->status;
		creates = c->kind == STORE_VOLUME_CREATE;
		if (!t)
			return err_raise(
				-EINVAL, "volume: this store was opened without states of volumes");
		if (uuid_is_nil(c->volume->id) || (creates && c->volume->name.n == 0))
			return err_raise(-EINVAL, "volume: id and name are required");
		break;
	default:
		return err_raise(-EINVAL, "unknown kind of change %d", (int)c->kind);
	}
	if ((creates || status) && !known_status(t, status))
		return err_raise(
			-EINVAL, "%s: no status '%s'", t->noun, status ? status : "(none)");
	return 0;
}

static int check_manifests(const struct store_agent *agent)
{
	if (agent->manifest_yaml.n > LIMIT_STORE_TEXT_BYTES ||
		agent->manifest_json.n > LIMIT_STORE_TEXT_BYTES)
		return err_raise(
			-E2BIG, "agent: a manifest of more than %d bytes", LIMIT_STORE_TEXT_BYTES);
	if (agent->manifest_json.n && agent->version.n == 0)
		return err_raise(-EINVAL, "agent: a manifest needs a version");
	return 0;
}

static int check_change(const struct store *s, const struct store_commit *commit,
	const struct store_change *c, struct arena *a)
{
	if (c->event >= commit->event_count)
		return err_raise(-EINVAL, "change of event %zu, of which there are %zu", c->event,
			commit->event_count);
	int r = check_required(s, c);
	if (r == 0)
		r = noun_check(&nouns[change_noun(c->kind)], change_row(c), a);
	if (r == 0 && change_noun(c->kind) == NOUN_AGENT)
		r = check_manifests(c->agent);
	return r < 0 ? err_trace(r) : 0;
}

static int check_outbox(const struct store_outbox_entry *o, struct arena *a)
{
	const struct json *payload;

	if (o->topic.n == 0 || o->topic.n > LIMIT_NAME_BYTES || span_utf8_bad(o->topic) >= 0)
		return err_raise(
			-EINVAL, "outbox: a topic has 1 to %d bytes of UTF-8", LIMIT_NAME_BYTES);
	if (o->payload.n > LIMIT_STORE_TEXT_BYTES)
		return err_raise(-E2BIG, "outbox: payload of %zu bytes, at most %d are accepted",
			o->payload.n, LIMIT_STORE_TEXT_BYTES);
	int r = json_parse(a, o->payload, NULL, &payload);
	return r < 0 ? err_wrap(r, "outbox: payload") : 0;
}

static int check_commit(const struct store *s, const struct store_commit *c)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(STORE_WRITE_ARENA_BYTES);
	int r = 0;

	if (!a)
		return err_raise(-ENOMEM, "out of memory");
	if (c->event_count == 0)
		return err_raise(-EINVAL, "a commit needs an event");
	if (c->event_count > LIMIT_STORE_COMMIT_ITEMS)
		return too_many("events", c->event_count);
	if (c->change_count > LIMIT_STORE_COMMIT_ITEMS)
		return too_many("changes", c->change_count);
	if (c->outbox_count > LIMIT_STORE_COMMIT_ITEMS)
		return too_many("outbox entries", c->outbox_count);
	if (c->blob_count > LIMIT_STORE_COMMIT_ITEMS)
		return too_many("blobs", c->blob_count);
	for (size_t i = 0; r == 0 && i < c->event_count; i++, arena_reset(a))
		r = check_event(&c->events[i], a);
	for (size_t i = 0; r == 0 && i < c->change_count; i++, arena_reset(a))
		r = check_change(s, c, &c->changes[i], a);
	for (size_t i = 0; r == 0 && i < c->outbox_count; i++, arena_reset(a))
		r = check_outbox(&c->outbox[i], a);
	for (size_t i = 0; r == 0 && i < c->blob_count; i++)
		if (c->blobs[i].n > LIMIT_STORE_BLOB_BYTES)
			r = err_raise(-E2BIG, "blob of %zu bytes, at most %d are accepted",
				c->blobs[i].n, LIMIT_STORE_BLOB_BYTES);
	return r < 0 ? err_trace(r) : 0;
}

/* ---- inside the transaction ---- */

static int keep_int(void *ctx, const struct sql_value *columns, size_t count)
{
	*(int64_t *)ctx = columns[0].kind == SQL_INT ? columns[0].i : 0;
	return SQL_STOP;
}

static struct uuid stream_of(const struct store_event *e)
{
	return uuid_is_nil(e->execution_id) ? e->agent_id : e->execution_id;
}

/* Number and sequence of the next event. The transaction is the only writer, so "last plus one"
 * is exact and leaves no gaps. */
static int next_places(struct store *s, struct store_event *e)
{
	char stream[UUID_TEXT_BYTES];
	int64_t number = 0;
	int64_t sequence = 0;

	uuid_text(stream_of(e), stream);
	struct sql_value key = sql_text(span_cstr(stream));
	int r = store_run(s, "SELECT max(number) FROM domain_events", NULL, 0, keep_int, &number);
	if (r == 0)
		r = store_run(s,
			"SELECT max(sequence_number) FROM domain_events WHERE stream_id = $1", &key,
			1, keep_int, &sequence);
	if (r < 0)
		return err_trace(r);
	e->number = (uint64_t)number + 1;
	e->sequence = (uint64_t)sequence + 1;
	return 0;
}

static struct sql_value id_value(struct uuid u, char space[UUID_TEXT_BYTES])
{
	if (uuid_is_nil(u))
		return sql_null();
	uuid_text(u, space);
	return sql_text(span_cstr(space));
}

static struct sql_value text_value(struct span s)
{
	return s.n ? sql_text(s) : sql_null();
}

static int insert_event(struct store *s, const struct store_event *e, struct span changes)
{
	char id[UUID_TEXT_BYTES], stream[UUID_TEXT_BYTES], execution[UUID_TEXT_BYTES];
	char agent[UUID_TEXT_BYTES], call[UUID_TEXT_BYTES];

	uuid_text(stream_of(e), stream);
	struct sql_value params[] = {
		sql_int((int64_t)e->number),
		id_value(e->id, id),
		sql_text(span_cstr(stream)),
		sql_int((int64_t)e->sequence),
		sql_text(e->type),
		text_value(e->category),
		text_value(e->stage),
		text_value(e->message),
		text_value(e->tenant_id),
		id_value(e->execution_id, execution),
		id_value(e->agent_id, agent),
		id_value(e->call_id, call),
		sql_int(e->iteration),
		sql_text(e->details),
		text_value(changes),
		sql_int(e->wall_ns),
	};
	int r = store_run(s,
		"INSERT INTO domain_events (number, id, stream_id, sequence_number, event_type,"
		" category, stage, message, tenant_id, execution_id, agent_id, call_id,"
		" iteration_number, event_data, changes, created_at) VALUES"
		" ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
		params, ARRAY_LEN(params), NULL, NULL);
	return r < 0 ? err_trace(r) : 0;
}

/* The changes of one event, in the order given, as its row keeps them; empty if it has none. */
static int changes_text(struct append *x, size_t event, struct buf *b)
{
	struct store_change *own = arena_make_array(
		x->store->write_arena, struct store_change, x->commit->change_count + 1);
	size_t count = 0;

	if (!own)
		return err_raise(-ENOMEM, "commit too large");
	for (size_t i = 0; i < x->commit->change_count; i++)
		if (x->changes[i].event == event)
			own[count++] = x->changes[i];
	if (count == 0)
		return 0;
	struct json_writer w = json_writer(b);
	changes_put(&w, own, count);
	return buf_error(b);
}

static int append_event(struct append *x, size_t index)
{
	struct store *s = x->store;
	struct store_event *e = &x->events[index];
	struct buf changes CLEANUP(buf_fini) = buf_init(2 * LIMIT_JSON_BYTES);
	struct apply apply = {s->writer, s->driver, &s->states, s->write_arena, x->commit->refusal};
	int r = next_places(s, e);

	if (r < 0)
		return err_trace(r);
	if (e->wall_ns == 0)
		e->wall_ns = store_wall_ns();
	if (uuid_is_nil(e->id))
		e->id = uuid_ordered(e->wall_ns);
	if (e->details.n == 0)
		e->details = SPAN("{}");
	for (size_t i = 0; i < x->commit->change_count; i++) {
		if (x->changes[i].event != index)
			continue;
		r = apply_change(&apply, &x->changes[i], e->wall_ns);
		if (r != 0)
			return r < 0 ? err_trace(r) : r;
	}
	r = changes_text(x, index, &changes);
	if (r == 0)
		r = insert_event(s, e, buf_view(&changes));
	return r < 0 ? err_trace(r) : 0;
}

int blob_keep(struct store *s, struct span bytes, struct store_hash *ret)
{
	struct store_hash h = store_hash_of(bytes);
	struct buf hex CLEANUP(buf_fini) = buf_init(2 * STORE_HASH_BYTES);

	hex_encode(&hex, span_of(h.bytes, sizeof(h.bytes)));
	int r = buf_error(&hex);
	if (r == 0) {
		struct sql_value params[] = {sql_text(buf_view(&hex)), sql_bytes(bytes)};
		r = store_run(s,
			"INSERT INTO blobs (hash, bytes) VALUES ($1, $2)"
			" ON CONFLICT (hash) DO NOTHING",
			params, ARRAY_LEN(params), NULL, NULL);
	}
	if (r < 0)
		return err_trace(r);
	*ret = h;
	return 0;
}

/* Manifests go where blobs are; the row keeps their hashes. */
static int keep_manifests(struct append *x, struct store_change *c)
{
	struct store_agent *agent = arena_make(x->store->write_arena, struct store_agent);
	int r = 0;

	if (!agent)
		return err_raise(-ENOMEM, "commit too large");
	*agent = *c->agent;
	agent->manifest_hash = (struct store_hash){{0}};
	agent->manifest_yaml_hash = (struct store_hash){{0}};
	if (agent->manifest_json.n)
		r = blob_keep(x->store, agent->manifest_json, &agent->manifest_hash);
	if (r == 0 && agent->manifest_yaml.n)
		r = blob_keep(x->store, agent->manifest_yaml, &agent->manifest_yaml_hash);
	c->agent = agent;
	return r < 0 ? err_trace(r) : 0;
}

/* An entry's id says which commit it is of; so ids grow with the commits and are never used again,
 * however many entries have been settled and deleted. */
static int append_outbox(struct append *x)
{
	int64_t number = (int64_t)x->events[0].number;

	for (size_t i = 0; i < x->commit->outbox_count; i++) {
		const struct store_outbox_entry *o = &x->commit->outbox[i];
		struct sql_value params[] = {
			sql_int(number * LIMIT_STORE_COMMIT_ITEMS + (int64_t)i),
			sql_text(o->topic),
			sql_text(o->payload),
			sql_int(number),
			sql_int(o->due_ns ? o->due_ns : x->events[0].wall_ns),
		};
		int r = store_run(x->store,
			"INSERT INTO outbox (id, topic, payload, event_number, attempts, due_at)"
			" VALUES ($1, $2, $3, $4, 0, $5)",
			params, ARRAY_LEN(params), NULL, NULL);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int append_in_transaction(struct store *s, void *arg)
{
	struct append *x = arg;
	struct store_commit *c = x->commit;
	struct store_hash hash;
	int r = 0;

	x->events = arena_make_array(s->write_arena, struct store_event, c->event_count);
	x->changes = arena_make_array(s->write_arena, struct store_change, c->change_count + 1);
	if (!x->events || !x->changes)
		return err_raise(-ENOMEM, "commit too large");
	memcpy(x->events, c->events, c->event_count * sizeof(*c->events));
	if (c->change_count)
		memcpy(x->changes, c->changes, c->change_count * sizeof(*c->changes));
	for (size_t i = 0; r == 0 && i < c->blob_count; i++)
		r = blob_keep(s, c->blobs[i], &hash);
	for (size_t i = 0; r == 0 && i < c->change_count; i++)
		if (change_noun(x->changes[i].kind) == NOUN_AGENT)
			r = keep_manifests(x, &x->changes[i]);
	for (size_t i = 0; r == 0 && i < c->event_count; i++)
		r = append_event(x, i);
	if (r == 0)
		r = append_outbox(x);
	if (r == 0)
		memcpy(c->events, x->events, c->event_count * sizeof(*c->events));
	return r < 0 ? err_trace(r) : r;
}

int store_append(struct store *s, struct store_commit *c, int64_t deadline_ns)
{
	struct append x = {.store = s, .commit = c};
	struct write w = {.fn = append_in_transaction, .arg = &x, .commit = c};
	int r;

	c->refusal[0] = 0;
	r = check_commit(s, c);
	if (r < 0)
		return err_trace(r);
	r = store_write(s, &w, deadline_ns);
	/* The group may have failed after ours was ready: what is not in the table has no place. */
	for (size_t i = 0; r != 0 && i < c->event_count; i++)
		c->events[i].number = c->events[i].sequence = 0;
	return r;
}
