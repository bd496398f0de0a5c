/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Reading rows. A list's text holds only the filters that were asked for, so that the database can
 * use their indexes; there are few combinations, and each is prepared once. Lists are bounded by
 * the page and by the arena.
 */
#include "daemon/store/internal.h"

#include <errno.h>
#include <stdio.h>

enum { PAGE_DEFAULT = 100 };

static int check_page(uint32_t limit)
{
	if (limit > LIMIT_STORE_PAGE)
		return err_raise(-EINVAL, "limit %u: accepted is 1 to %d", limit, LIMIT_STORE_PAGE);
	return 0;
}

static int no_memory(void)
{
	return err_raise(-ENOMEM, "answer beyond the arena's limit");
}

/* ---- one row ---- */

struct get {
	enum noun_id id;
	const struct state_table *states;
	const void *key;
	struct arena *arena;
	void *row;
};

static int read_one(struct store *s, struct sql_conn *c, void *arg)
{
	struct get *g = arg;

	return noun_find(c, s->driver, g->id, g->states, g->key, g->arena, g->row);
}

/* A list leaves manifests out; a single agent comes with them. */
static int read_manifests(
	struct store *s, struct sql_conn *c, struct store_agent *agent, struct arena *a)
{
	int r = blob_find(s, c, &agent->manifest_hash, a, &agent->manifest_json);

	if (r >= 0)
		r = blob_find(s, c, &agent->manifest_yaml_hash, a, &agent->manifest_yaml);
	return r < 0 ? err_trace(r) : 0;
}

static int read_agent(struct store *s, struct sql_conn *c, void *arg)
{
	struct get *g = arg;
	int r = read_one(s, c, g);

	return r != 0 ? r : read_manifests(s, c, g->row, g->arena);
}

int store_agent_get(struct store *s, struct uuid id, struct arena *a, struct store_agent *ret,
	int64_t deadline_ns)
{
	struct store_agent key = {.id = id};
	struct store_agent row;
	struct get g = {NOUN_AGENT, s->states.agent, &key, a, &row};
	int r = store_read(s, read_agent, &g, deadline_ns);

	if (r == 0)
		*ret = row;
	return r;
}

int store_execution_get(struct store *s, struct uuid id, struct arena *a,
	struct store_execution *ret, int64_t deadline_ns)
{
	struct store_execution key = {.id = id};
	struct store_execution row;
	struct get g = {NOUN_EXECUTION, s->states.execution, &key, a, &row};
	int r = store_read(s, read_one, &g, deadline_ns);

	if (r == 0)
		*ret = row;
	return r;
}

/* ---- many rows ---- */

/* Rows of one noun, gathered. */
struct rows {
	enum noun_id id;
	const struct state_table *states;
	struct arena *arena;
	char *items;
	size_t count;
	size_t max;
};

static int add_row(void *ctx, const struct sql_value *columns, size_t count)
{
	struct rows *x = ctx;
	const struct noun *n = &nouns[x->id];

	if (x->count == x->max)
		return SQL_STOP;
	int r = noun_read(n, x->states, columns, x->arena, x->items + x->count * n->row_bytes);
	if (r < 0)
		return err_trace(r);
	x->count++;
	return 0;
}

static int rows_init(struct rows *x, enum noun_id id, const struct state_table *states,
	struct arena *a, size_t max)
{
	*x = (struct rows){.id = id, .states = states, .arena = a, .max = max};
	x->items = arena_alloc_array(a, max, nouns[id].row_bytes);
	return x->items ? 0 : no_memory();
}

struct list_read {
	char sql[NOUN_SQL_BYTES + 512];
	struct sql_value params[12];
	size_t param_count;
	struct rows rows;
};

static int read_rows(struct store *s, struct sql_conn *c, void *arg)
{
	struct list_read *l = arg;

	return s->driver->run(c, l->sql, l->params, l->param_count, add_row, &l->rows);
}

PRINTF_LIKE(2, 3)
static void add_sql(struct list_read *l, const char *fmt, ...)
{
	size_t have = strlen(l->sql);
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(l->sql + have, sizeof(l->sql) - have, fmt, args);
	va_end(args);
	CHECK(n >= 0 && (size_t)n < sizeof(l->sql) - have);
}

static void add_param(struct list_read *l, const char *before, struct sql_value v)
{
	CHECK(l->param_count < ARRAY_LEN(l->params));
	l->params[l->param_count++] = v;
	add_sql(l, "%s$%zu", before, l->param_count);
}

/* Nothing, if the value is empty. */
static void add_filter(struct list_read *l, const char *column, struct span value)
{
	if (value.n == 0)
		return;
	add_sql(l, " AND %s", column);
	add_param(l, " = ", sql_text(value));
}

static void add_page(struct list_read *l, const char *order, struct store_page page)
{
	add_sql(l, " ORDER BY created_at %s, id %s", order, order);
	add_param(l, " LIMIT ", sql_int(page.limit ? page.limit : PAGE_DEFAULT));
	add_param(l, " OFFSET ", sql_int(page.offset));
}

static struct span id_text(struct uuid u, char space[UUID_TEXT_BYTES])
{
	if (uuid_is_nil(u))
		return SPAN("");
	uuid_text(u, space);
	return span_cstr(space);
}

static int run_list(struct store *s, struct list_read *l, enum noun_id id,
	const struct state_table *states, uint32_t limit, struct arena *a, int64_t deadline_ns)
{
	int r = check_page(limit);

	if (r == 0)
		r = rows_init(&l->rows, id, states, a, limit ? limit : PAGE_DEFAULT);
	return r < 0 ? err_trace(r) : store_read(s, read_rows, l, deadline_ns);
}

int store_agent_list(struct store *s, const struct store_agent_query *q, struct arena *a,
	struct store_agents *ret, int64_t deadline_ns)
{
	struct list_read l = {0};

	add_sql(&l, "SELECT %s FROM agents WHERE %s", noun_columns(NOUN_AGENT),
		q->with_removed ? "1 = 1" : "removed_at = 0");
	add_filter(&l, "tenant_id", q->tenant_id);
	add_filter(&l, "status", span_cstr(q->status));
	add_page(&l, "DESC", q->page);
	int r = run_list(s, &l, NOUN_AGENT, s->states.agent, q->page.limit, a, deadline_ns);
	if (r == 0)
		*ret = (struct store_agents){(struct store_agent *)l.rows.items, l.rows.count};
	return r;
}

static int read_found(struct store *s, struct sql_conn *c, void *arg)
{
	struct list_read *l = arg;
	int r = read_rows(s, c, l);

	if (r < 0)
		return err_trace(r);
	if (l->rows.count == 0)
		return STORE_NOT_FOUND;
	return read_manifests(s, c, (struct store_agent *)l->rows.items, l->rows.arena);
}

int store_agent_find(struct store *s, struct span tenant_id, struct span name, struct arena *a,
	struct store_agent *ret, int64_t deadline_ns)
{
	struct list_read l = {0};
	int r = rows_init(&l.rows, NOUN_AGENT, s->states.agent, a, 1);

	if (r < 0)
		return err_trace(r);
	add_sql(&l, "SELECT %s FROM agents WHERE removed_at = 0", noun_columns(NOUN_AGENT));
	add_param(&l, " AND coalesce(tenant_id, '') = ", sql_text(tenant_id));
	add_param(&l, " AND name = ", sql_text(name));
	r = store_read(s, read_found, &l, deadline_ns);
	if (r == 0)
		*ret = *(struct store_agent *)l.rows.items;
	return r;
}

int store_execution_list(struct store *s, const struct store_execution_query *q, struct arena *a,
	struct store_executions *ret, int64_t deadline_ns)
{
	struct list_read l = {0};
	char agent[UUID_TEXT_BYTES];
	char parent[UUID_TEXT_BYTES];

	add_sql(&l, "SELECT %s FROM executions WHERE %s", noun_columns(NOUN_EXECUTION),
		q->unfinished ? "completed_at = 0" : "1 = 1");
	add_filter(&l, "tenant_id", q->tenant_id);
	add_filter(&l, "agent_id", id_text(q->agent_id, agent));
	add_filter(&l, "parent_execution_id", id_text(q->parent_execution_id, parent));
	add_filter(&l, "status", span_cstr(q->status));
	add_page(&l, q->oldest_first ? "ASC" : "DESC", q->page);
	int r = run_list(s, &l, NOUN_EXECUTION, s->states.execution, q->page.limit, a, deadline_ns);
	if (r == 0)
		*ret = (struct store_executions){
			(struct store_execution *)l.rows.items, l.rows.count};
	return r;
}

int store_iteration_list(struct store *s, struct uuid execution_id, struct arena *a,
	struct store_iterations *ret, int64_t deadline_ns)
{
	struct list_read l = {0};
	char id[UUID_TEXT_BYTES];

	uuid_text(execution_id, id);
	add_sql(&l, "SELECT %s FROM iterations WHERE ", noun_columns(NOUN_ITERATION));
	add_param(&l, "execution_id = ", sql_text(span_cstr(id)));
	add_param(&l, " ORDER BY number LIMIT ", sql_int(LIMIT_STORE_PAGE));
	int r = run_list(
		s, &l, NOUN_ITERATION, s->states.iteration, LIMIT_STORE_PAGE, a, deadline_ns);
	if (r == 0)
		*ret = (struct store_iterations){
			(struct store_iteration *)l.rows.items, l.rows.count};
	return r;
}

int store_session_get(struct store *s, struct uuid id, struct arena *a, struct store_session *ret,
	int64_t deadline_ns)
{
	struct store_session key = {.id = id};
	struct store_session row;
	struct get g = {NOUN_SESSION, s->states.session, &key, a, &row};
	int r = store_read(s, read_one, &g, deadline_ns);

	if (r == 0)
		*ret = row;
	return r;
}

int store_session_list(struct store *s, const struct store_session_query *q, struct arena *a,
	struct store_sessions *ret, int64_t deadline_ns)
{
	struct list_read l = {0};
	char execution[UUID_TEXT_BYTES];

	add_sql(&l, "SELECT %s FROM smcp_sessions WHERE %s", noun_columns(NOUN_SESSION),
		q->unfinished ? "ended_at = 0" : "1 = 1");
	add_filter(&l, "execution_id", id_text(q->execution_id, execution));
	add_page(&l, "DESC", q->page);
	int r = run_list(s, &l, NOUN_SESSION, s->states.session, q->page.limit, a, deadline_ns);
	if (r == 0)
		*ret = (struct store_sessions){(struct store_session *)l.rows.items, l.rows.count};
	return r;
}

int store_volume_get(struct store *s, struct uuid id, struct arena *a, struct store_volume *ret,
	int64_t deadline_ns)
{
	struct store_volume key = {.id = id};
	struct store_volume row;
	struct get g = {NOUN_VOLUME, s->states.volume, &key, a, &row};
	int r = store_read(s, read_one, &g, deadline_ns);

	if (r == 0)
		*ret = row;
	return r;
}

int store_volume_find(struct store *s, struct span tenant_id, struct span name, struct arena *a,
	struct store_volume *ret, int64_t deadline_ns)
{
	struct list_read l = {0};
	int r = rows_init(&l.rows, NOUN_VOLUME, s->states.volume, a, 1);

	if (r < 0)
		return err_trace(r);
	add_sql(&l, "SELECT %s FROM volumes WHERE deleted_at = 0", noun_columns(NOUN_VOLUME));
	add_param(&l, " AND coalesce(tenant_id, '') = ", sql_text(tenant_id));
	add_param(&l, " AND name = ", sql_text(name));
	r = store_read(s, read_rows, &l, deadline_ns);
	if (r < 0)
		return err_trace(r);
	if (l.rows.count == 0)
		return STORE_NOT_FOUND;
	*ret = *(struct store_volume *)l.rows.items;
	return 0;
}

int store_volume_list(struct store *s, const struct store_volume_query *q, struct arena *a,
	struct store_volumes *ret, int64_t deadline_ns)
{
	struct list_read l = {0};
	char execution[UUID_TEXT_BYTES];

	add_sql(&l, "SELECT %s FROM volumes WHERE %s", noun_columns(NOUN_VOLUME),
		q->with_deleted ? "1 = 1" : "deleted_at = 0");
	add_filter(&l, "tenant_id", q->tenant_id);
	add_filter(&l, "execution_id", id_text(q->execution_id, execution));
	add_filter(&l, "status", span_cstr(q->status));
	if (q->expired_by_ns)
		add_param(&l, " AND expires_at > 0 AND expires_at <= ", sql_int(q->expired_by_ns));
	add_page(&l, "DESC", q->page);
	int r = run_list(s, &l, NOUN_VOLUME, s->states.volume, q->page.limit, a, deadline_ns);
	if (r == 0)
		*ret = (struct store_volumes){(struct store_volume *)l.rows.items, l.rows.count};
	return r;
}

/* ---- versions ---- */

struct versions_read {
	struct uuid agent_id;
	struct store_page page;
	struct arena *arena;
	struct store_agent_versions versions;
};

static int add_version(void *ctx, const struct sql_value *columns, size_t count)
{
	struct versions_read *x = ctx;
	struct store_agent_version *v = &x->versions.items[x->versions.count];

	v->version = arena_span(x->arena, columns[0].s);
	v->manifest_yaml = arena_span(x->arena, columns[2].s);
	v->created_ns = columns[3].i;
	if (!v->version.p || (columns[2].s.n && !v->manifest_yaml.p))
		return no_memory();
	if (columns[1].kind == SQL_TEXT &&
		hex_decode(columns[1].s, v->manifest_hash.bytes, STORE_HASH_BYTES) < 0)
		return err_raise(-EUCLEAN, "a stored agent version has an invalid manifest_hash");
	x->versions.count++;
	return 0;
}

static int read_versions(struct store *s, struct sql_conn *c, void *arg)
{
	struct versions_read *x = arg;
	char id[UUID_TEXT_BYTES];
	struct sql_value params[] = {sql_text(id_text(x->agent_id, id)), sql_int(x->page.limit),
		sql_int(x->page.offset)};

	return s->driver->run(c,
		"SELECT v.version, v.manifest_hash, b.bytes, v.created_at FROM agent_versions v"
		" LEFT JOIN blobs b ON b.hash = v.manifest_yaml_hash WHERE v.agent_id = $1"
		" ORDER BY v.created_at DESC, v.version DESC LIMIT $2 OFFSET $3",
		params, ARRAY_LEN(params), add_version, x);
}

int store_agent_version_list(struct store *s, struct uuid agent_id, struct store_page page,
	struct arena *a, struct store_agent_versions *ret, int64_t deadline_ns)
{
	struct versions_read x = {agent_id, page, a, {NULL, 0}};
	int r = check_page(page.limit);

	if (r < 0)
		return err_trace(r);
	if (x.page.limit == 0)
		x.page.limit = PAGE_DEFAULT;
	x.versions.items = arena_make_array(a, struct store_agent_version, x.page.limit);
	if (!x.versions.items)
		return no_memory();
	r = store_read(s, read_versions, &x, deadline_ns);
	if (r == 0)
		*ret = x.versions;
	return r;
}

/* ---- events ---- */

static int read_id(const struct sql_value *v, struct uuid *ret)
{
	*ret = (struct uuid){{0}};
	if (v->kind == SQL_NULL)
		return 0;
	return uuid_parse(v->s, ret) < 0 ? err_raise(-EUCLEAN, "a stored event has an invalid id")
					 : 0;
}

static int read_text(const struct sql_value *v, struct arena *a, struct span *ret)
{
	*ret = arena_span(a, v->s);
	return v->s.n && !ret->p ? no_memory() : 0;
}

int event_read(const struct sql_value *v, struct arena *a, struct store_event *ret)
{
	struct span *texts[] = {
		&ret->type, &ret->category, &ret->stage, &ret->message, &ret->tenant_id};
	struct uuid *ids[] = {&ret->execution_id, &ret->agent_id, &ret->call_id};
	int r;

	*ret = (struct store_event){.number = (uint64_t)v[0].i, .sequence = (uint64_t)v[2].i};
	ret->iteration = (uint32_t)v[11].i;
	ret->wall_ns = v[13].i;
	r = read_id(&v[1], &ret->id);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(texts); i++)
		r = read_text(&v[3 + i], a, texts[i]);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(ids); i++)
		r = read_id(&v[8 + i], ids[i]);
	if (r == 0)
		r = read_text(&v[12], a, &ret->details);
	return r < 0 ? err_trace(r) : 0;
}

struct events_read {
	const struct store_event_query *query;
	struct arena *arena;
	size_t max;
	size_t bytes;
	struct store_events events;
};

static int add_event(void *ctx, const struct sql_value *columns, size_t count)
{
	struct events_read *x = ctx;
	size_t bytes = columns[6].s.n + columns[12].s.n;

	if (x->events.count == x->max ||
		(x->events.count > 0 && x->bytes + bytes > LIMIT_STORE_READ_BYTES))
		return SQL_STOP;
	int r = event_read(columns, x->arena, &x->events.items[x->events.count]);
	if (r < 0)
		return err_trace(r);
	x->bytes += bytes;
	x->events.count++;
	return 0;
}

static int add_head(void *ctx, const struct sql_value *columns, size_t count)
{
	struct events_read *x = ctx;

	x->events.head = columns[0].kind == SQL_INT ? (uint64_t)columns[0].i : 0;
	return SQL_STOP;
}

/* One constant text per combination that has an index of its own. */
static const char *event_sql(const struct store_event_query *q)
{
#define EVENT_SQL(where) \
	q->newest_first ? "SELECT " EVENT_COLUMNS " FROM domain_events WHERE " where \
			  " AND number > $2 AND sequence_number > $3" \
			  " ORDER BY number DESC LIMIT $4" \
			: "SELECT " EVENT_COLUMNS " FROM domain_events WHERE " where \
			  " AND number > $2 AND sequence_number > $3" \
			  " ORDER BY number LIMIT $4"
	if (!uuid_is_nil(q->execution_id))
		return EVENT_SQL("execution_id = $1");
	if (!uuid_is_nil(q->agent_id))
		return EVENT_SQL("agent_id = $1");
	return EVENT_SQL("$1 = ''");
#undef EVENT_SQL
}

static int read_events(struct store *s, struct sql_conn *c, void *arg)
{
	struct events_read *x = arg;
	const struct store_event_query *q = x->query;
	char id[UUID_TEXT_BYTES];
	struct uuid of = uuid_is_nil(q->execution_id) ? q->agent_id : q->execution_id;
	struct sql_value params[] = {sql_text(id_text(of, id)), sql_int((int64_t)q->after_number),
		sql_int((int64_t)q->after_sequence), sql_int((int64_t)x->max)};
	int r = s->driver->run(c, "SELECT max(number) FROM domain_events", NULL, 0, add_head, x);

	if (r == 0)
		r = s->driver->run(c, event_sql(q), params, ARRAY_LEN(params), add_event, x);
	return r < 0 ? err_trace(r) : 0;
}

int store_event_list(struct store *s, const struct store_event_query *q, struct arena *a,
	struct store_events *ret, int64_t deadline_ns)
{
	struct events_read x = {.query = q, .arena = a, .max = q->limit ? q->limit : PAGE_DEFAULT};
	int r = check_page(q->limit);

	if (r < 0)
		return err_trace(r);
	if (q->after_number > INT64_MAX || q->after_sequence > INT64_MAX)
		return err_raise(-EINVAL, "event numbers end at %lld", (long long)INT64_MAX);
	if (!uuid_is_nil(q->execution_id) && !uuid_is_nil(q->agent_id))
		return err_raise(-EINVAL, "events of an execution or of an agent, not both");
	if (q->after_sequence && uuid_is_nil(q->execution_id))
		return err_raise(-EINVAL, "after_sequence needs an execution");
	x.events.items = arena_make_array(a, struct store_event, x.max);
	if (!x.events.items)
		return no_memory();
	r = store_read(s, read_events, &x, deadline_ns);
	if (r == 0)
		*ret = x.events;
	return r;
}

int store_event_get(struct store *s, uint64_t number, struct arena *a, struct store_event *ret,
	int64_t deadline_ns)
{
	struct store_event_query q = {.after_number = number - 1, .limit = 1};
	struct store_events found;

	if (number == 0)
		return STORE_NOT_FOUND;
	int r = store_event_list(s, &q, a, &found, deadline_ns);
	if (r != 0)
		return r;
	if (found.count == 0 || found.items[0].number != number)
		return STORE_NOT_FOUND;
	*ret = found.items[0];
	return 0;
}
