/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A change is a row that gives some fields. On create the row is new and its status one of the
 * table's; on update the given fields replace those that are there, and a status that differs is a
 * move, which the state table allows or not; a row in a final state can be removed. Revision and
 * times follow from the row and from the event's own time, never from a clock, so that a replay
 * builds the same rows.
 */
#include "daemon/store/apply.h"

#include <errno.h>
#include <stdio.h>

union any_row {
	struct store_agent agent;
	struct store_execution execution;
	struct store_iteration iteration;
	struct store_session session;
	struct store_volume volume;
};

static const struct {
	const char *name; /* in the JSON of an event */
	enum noun_id noun;
	enum { CREATE, UPDATE, REMOVE } how;
} kinds[] = {
	[STORE_AGENT_CREATE] = {"agent_create", NOUN_AGENT, CREATE},
	[STORE_AGENT_UPDATE] = {"agent_update", NOUN_AGENT, UPDATE},
	[STORE_EXECUTION_CREATE] = {"execution_create", NOUN_EXECUTION, CREATE},
	[STORE_EXECUTION_UPDATE] = {"execution_update", NOUN_EXECUTION, UPDATE},
	[STORE_EXECUTION_REMOVE] = {"execution_remove", NOUN_EXECUTION, REMOVE},
	[STORE_ITERATION_CREATE] = {"iteration_create", NOUN_ITERATION, CREATE},
	[STORE_ITERATION_UPDATE] = {"iteration_update", NOUN_ITERATION, UPDATE},
	[STORE_SESSION_CREATE] = {"session_create", NOUN_SESSION, CREATE},
	[STORE_SESSION_UPDATE] = {"session_update", NOUN_SESSION, UPDATE},
	[STORE_VOLUME_CREATE] = {"volume_create", NOUN_VOLUME, CREATE},
	[STORE_VOLUME_UPDATE] = {"volume_update", NOUN_VOLUME, UPDATE},
};

enum noun_id change_noun(enum store_change_kind k)
{
	CHECK((size_t)k < ARRAY_LEN(kinds));
	return kinds[k].noun;
}

const void *change_row(const struct store_change *c)
{
	switch (change_noun(c->kind)) {
	case NOUN_AGENT:
		return c->agent;
	case NOUN_EXECUTION:
		return c->execution;
	case NOUN_ITERATION:
		return c->iteration;
	case NOUN_SESSION:
		return c->session;
	case NOUN_VOLUME:
		return c->volume;
	case NOUN_COUNT:
		break;
	}
	UNREACHABLE();
}

const struct state_table *noun_states(const struct store_states *s, enum noun_id id)
{
	switch (id) {
	case NOUN_AGENT:
		return s->agent;
	case NOUN_EXECUTION:
		return s->execution;
	case NOUN_ITERATION:
		return s->iteration;
	case NOUN_SESSION:
		return s->session;
	case NOUN_VOLUME:
		return s->volume;
	case NOUN_COUNT:
		break;
	}
	UNREACHABLE();
}

PRINTF_LIKE(3, 4)
static int refuse(const struct apply *x, int outcome, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(x->refusal, STORE_REFUSAL_BYTES, fmt, args);
	va_end(args);
	return outcome;
}

/* "execution 6f1c..." or "iteration 3 of execution 6f1c...". */
static const char *row_name(enum noun_id id, const union any_row *row, char ret[96])
{
	char uuid[UUID_TEXT_BYTES];

	if (id == NOUN_ITERATION) {
		uuid_text(row->iteration.execution_id, uuid);
		snprintf(ret, 96, "iteration %u of execution %s", row->iteration.number, uuid);
	} else {
		uuid_text(id == NOUN_AGENT           ? row->agent.id
				: id == NOUN_SESSION ? row->session.id
				: id == NOUN_VOLUME  ? row->volume.id
						     : row->execution.id,
			uuid);
		snprintf(ret, 96, "%s %s", nouns[id].name, uuid);
	}
	return ret;
}

static int64_t *revision_of(enum noun_id id, union any_row *row)
{
	return (int64_t *)((char *)row + nouns[id].revision_offset);
}

static const char *status_of_row(enum noun_id id, const union any_row *row)
{
	return *(const char *const *)((const char *)row + nouns[id].status_offset);
}

/* Times that depend on the state alone. */
static void stamp(
	enum noun_id id, const struct state_table *t, int state, int64_t at_ns, union any_row *row)
{
	bool final = state_is_final(t, state);

	switch (id) {
	case NOUN_AGENT:
		row->agent.updated_ns = at_ns;
		row->agent.removed_ns = final ? at_ns : 0;
		break;
	case NOUN_EXECUTION:
		if (state != 0 && !final && !row->execution.started_ns)
			row->execution.started_ns = at_ns;
		if (final && !row->execution.completed_ns)
			row->execution.completed_ns = at_ns;
		break;
	case NOUN_ITERATION:
		if (final && !row->iteration.ended_ns)
			row->iteration.ended_ns = at_ns;
		break;
	case NOUN_SESSION:
		if (final && !row->session.ended_ns)
			row->session.ended_ns = at_ns;
		break;
	case NOUN_VOLUME:
		if (final && !row->volume.deleted_ns)
			row->volume.deleted_ns = at_ns;
		break;
	case NOUN_COUNT:
		UNREACHABLE();
	}
}

/* What a new row leans on must be there: nothing can belong to an agent that never was. */
static int check_owner(const struct apply *x, enum noun_id id, const union any_row *row)
{
	union any_row key = {0};
	union any_row owner;
	char name[96];
	enum noun_id owner_id = NOUN_AGENT;

	if (id == NOUN_AGENT || id == NOUN_SESSION || id == NOUN_VOLUME)
		return 0;
	if (id == NOUN_EXECUTION) {
		key.agent.id = row->execution.agent_id;
	} else {
		key.execution.id = row->iteration.execution_id;
		owner_id = NOUN_EXECUTION;
	}
	const struct state_table *t = noun_states(x->states, owner_id);
	int r = noun_find(x->conn, x->driver, owner_id, t, &key, x->arena, &owner);
	if (r == STORE_NOT_FOUND)
		return refuse(x, r, "%s does not exist", row_name(owner_id, &key, name));
	if (r < 0)
		return err_trace(r);
	if (state_is_final(t, state_parse(t, status_of_row(owner_id, &owner))))
		return refuse(x, STORE_CONFLICT, "%s is %s", row_name(owner_id, &key, name),
			status_of_row(owner_id, &owner));
	return 0;
}

static int note_version(const struct apply *x, const struct store_agent *agent, int64_t at_ns)
{
	char id[UUID_TEXT_BYTES];
	struct buf hashes CLEANUP(buf_fini) = buf_init(4 * STORE_HASH_BYTES);

	uuid_text(agent->id, id);
	hex_encode(&hashes, span_of(agent->manifest_hash.bytes, STORE_HASH_BYTES));
	hex_encode(&hashes, span_of(agent->manifest_yaml_hash.bytes, STORE_HASH_BYTES));
	int r = buf_error(&hashes);
	if (r < 0)
		return err_trace(r);
	struct span both = buf_view(&hashes);
	struct sql_value params[] = {sql_text(span_cstr(id)), sql_text(agent->version),
		sql_text(span_sub(both, 0, 2 * STORE_HASH_BYTES)),
		sql_text(span_sub(both, 2 * STORE_HASH_BYTES, both.n)), sql_int(at_ns)};
	r = x->driver->run(x->conn,
		"INSERT INTO agent_versions"
		" (agent_id, version, manifest_hash, manifest_yaml_hash, created_at)"
		" VALUES ($1, $2, $3, $4, $5) ON CONFLICT (agent_id, version) DO UPDATE SET"
		" manifest_hash = excluded.manifest_hash,"
		" manifest_yaml_hash = excluded.manifest_yaml_hash,"
		" created_at = excluded.created_at",
		params, ARRAY_LEN(params), NULL, NULL);
	return r < 0 ? err_trace(r) : 0;
}

static bool has_manifest(const struct store_agent *a)
{
	static const struct store_hash none;

	return memcmp(&a->manifest_hash, &none, sizeof(none)) != 0;
}

/* What the caller gives, without the fields that it may not set here. */
static uint64_t taken_fields(const struct noun *n, const void *given, unsigned without)
{
	uint64_t mask = noun_given(n, given);

	for (size_t i = 0; i < n->field_count; i++)
		if (n->fields[i].flags & without)
			mask &= ~(UINT64_C(1) << i);
	return mask;
}

static int name_taken(const struct apply *x, struct span name)
{
	return refuse(
		x, STORE_CONFLICT, "a volume named '" SPAN_FMT "' exists already", SPAN_ARG(name));
}

static int create(const struct apply *x, enum noun_id id, const void *given, int64_t at_ns)
{
	const struct state_table *t = noun_states(x->states, id);
	union any_row row = {0};
	char name[96];

	noun_copy(&nouns[id], &row, given, taken_fields(&nouns[id], given, FIELD_OURS));
	int state = state_parse(t, status_of_row(id, &row));
	*revision_of(id, &row) = 1;
	if (id == NOUN_AGENT)
		row.agent.created_ns = at_ns;
	else if (id == NOUN_EXECUTION)
		row.execution.created_ns = at_ns;
	else if (id == NOUN_SESSION)
		row.session.created_ns = at_ns;
	else if (id == NOUN_VOLUME)
		row.volume.created_ns = at_ns;
	else
		row.iteration.started_ns = at_ns;
	stamp(id, t, state, at_ns, &row);
	int r = check_owner(x, id, &row);
	if (r != 0)
		return r < 0 ? err_trace(r) : r;
	r = noun_insert(x->conn, x->driver, id, &row);
	if (r == -EEXIST) {
		err_clear();
		if (id == NOUN_VOLUME)
			return name_taken(x, row.volume.name);
		if (id == NOUN_AGENT)
			return refuse(x, STORE_CONFLICT,
				"an agent named '" SPAN_FMT "', or with that id, exists already",
				SPAN_ARG(row.agent.name));
		return refuse(x, STORE_CONFLICT, "%s exists already", row_name(id, &row, name));
	}
	if (r == 0 && id == NOUN_AGENT && has_manifest(&row.agent))
		r = note_version(x, &row.agent, at_ns);
	return r < 0 ? err_trace(r) : 0;
}

/* A status that is named again is no move. */
static int move(const struct apply *x, enum noun_id id, const union any_row *now,
	const char *wanted, int *ret_state)
{
	const struct state_table *t = noun_states(x->states, id);
	int from = state_parse(t, status_of_row(id, now));
	int to = wanted ? state_parse(t, wanted) : from;
	char name[96];

	if (to != from && !state_allowed(t, from, to))
		return refuse(x, STORE_CONFLICT, "%s is %s and cannot become %s",
			row_name(id, now, name), state_name(t, from), wanted);
	if (to == from && state_is_final(t, from))
		return refuse(x, STORE_CONFLICT, "%s is %s and changes no more",
			row_name(id, now, name), state_name(t, from));
	*ret_state = to;
	return 0;
}

static int update(const struct apply *x, enum noun_id id, const struct store_change *change,
	const void *given, int64_t at_ns)
{
	const struct noun *n = &nouns[id];
	const struct state_table *t = noun_states(x->states, id);
	union any_row row;
	char name[96];
	int state = 0; /* set by every move that is allowed */
	int r = noun_find(x->conn, x->driver, id, t, given, x->arena, &row);

	if (r == STORE_NOT_FOUND)
		return refuse(x, r, "%s does not exist", row_name(id, given, name));
	if (r < 0)
		return err_trace(r);
	if (change->expect_revision && change->expect_revision != *revision_of(id, &row))
		return refuse(x, STORE_CONFLICT, "%s is at revision %lld, not %lld any more",
			row_name(id, &row, name), (long long)*revision_of(id, &row),
			(long long)change->expect_revision);
	r = move(x, id, &row, status_of_row(id, given), &state);
	if (r != 0)
		return r;
	noun_copy(n, &row, given, taken_fields(n, given, FIELD_KEY | FIELD_FIXED | FIELD_OURS));
	++*revision_of(id, &row);
	stamp(id, t, state, at_ns, &row);
	r = noun_update(x->conn, x->driver, id, &row);
	if (r == -EEXIST && id == NOUN_VOLUME) {
		err_clear();
		return name_taken(x, row.volume.name);
	}
	if (r == 0 && id == NOUN_AGENT && has_manifest(given))
		r = note_version(x, &row.agent, at_ns);
	return r < 0 ? err_trace(r) : 0;
}

static int remove_execution(const struct apply *x, const void *given)
{
	const struct state_table *t = x->states->execution;
	union any_row row;
	char name[96], id[UUID_TEXT_BYTES];
	int r = noun_find(x->conn, x->driver, NOUN_EXECUTION, t, given, x->arena, &row);

	if (r == STORE_NOT_FOUND)
		return refuse(x, r, "%s does not exist", row_name(NOUN_EXECUTION, given, name));
	if (r < 0)
		return err_trace(r);
	if (!state_is_final(t, state_parse(t, row.execution.status)))
		return refuse(x, STORE_CONFLICT, "%s is %s, and only what has ended can be removed",
			row_name(NOUN_EXECUTION, &row, name), row.execution.status);
	uuid_text(row.execution.id, id);
	struct sql_value key = sql_text(span_cstr(id));
	r = x->driver->run(
		x->conn, "DELETE FROM iterations WHERE execution_id = $1", &key, 1, NULL, NULL);
	if (r == 0)
		r = x->driver->run(
			x->conn, "DELETE FROM executions WHERE id = $1", &key, 1, NULL, NULL);
	return r < 0 ? err_trace(r) : 0;
}

int apply_change(const struct apply *x, const struct store_change *change, int64_t at_ns)
{
	enum noun_id id = change_noun(change->kind);
	const void *given = change_row(change);

	switch (kinds[change->kind].how) {
	case CREATE:
		return create(x, id, given, at_ns);
	case UPDATE:
		return update(x, id, change, given, at_ns);
	case REMOVE:
		return remove_execution(x, given);
	}
	UNREACHABLE();
}

/* ---- as JSON: {"kind": "execution_update", "row": {...}} ---- */

void changes_put(struct json_writer *w, const struct store_change *changes, size_t count)
{
	json_array(w);
	for (size_t i = 0; i < count; i++) {
		json_object(w);
		json_field_cstr(w, "kind", kinds[changes[i].kind].name);
		json_key(w, "row");
		json_object(w);
		noun_put_json(w, &nouns[change_noun(changes[i].kind)], change_row(&changes[i]));
		json_end(w);
		json_end(w);
	}
	json_end(w);
}

static int change_of_json(const struct store_states *states, const struct json *v, struct arena *a,
	struct store_change *ret)
{
	struct span name = json_str(v, "kind", SPAN(""));
	union any_row *row = arena_make(a, union any_row);

	if (!row)
		return err_raise(-ENOMEM, "change beyond the arena's limit");
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		if (!span_is(name, kinds[k].name))
			continue;
		ret->kind = (enum store_change_kind)k;
		enum noun_id id = kinds[k].noun;
		int r = noun_of_json(
			&nouns[id], noun_states(states, id), json_get(v, "row"), a, row);
		ret->agent = &row->agent; /* all members of the union stand at its start */
		return r < 0 ? err_trace(r) : 0;
	}
	return err_raise(
		-EUCLEAN, "a stored event has the unknown change '" SPAN_FMT "'", SPAN_ARG(name));
}

int changes_of_json(const struct store_states *states, struct span text, struct arena *a,
	struct store_change **ret, size_t *ret_count)
{
	const struct json_limits limits = {2 * LIMIT_JSON_BYTES, 8};
	const struct json *v;
	int r = json_parse(a, text, &limits, &v);

	if (r < 0)
		return err_wrap(r, "changes of a stored event");
	struct store_change *changes = arena_make_array(a, struct store_change, v->count);
	if (!changes)
		return err_raise(-ENOMEM, "changes beyond the arena's limit");
	for (size_t i = 0; i < v->count; i++) {
		r = change_of_json(states, &v->items[i], a, &changes[i]);
		if (r < 0)
			return err_trace(r);
	}
	*ret = changes;
	*ret_count = v->count;
	return 0;
}
