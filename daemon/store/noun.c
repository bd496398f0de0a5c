/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One row, three shapes: a struct, columns, JSON. The field tables below are the only place that
 * knows which member is which column; everything else walks them. An empty value means "absent" in
 * all three shapes, so a row read back is the row that was written.
 */
#include "daemon/store/noun.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define AT(type, member) offsetof(struct type, member)

static const struct field agent_fields[] = {
	{"id", FIELD_UUID, AT(store_agent, id), FIELD_KEY},
	{"tenant_id", FIELD_TEXT, AT(store_agent, tenant_id), FIELD_FIXED},
	{"name", FIELD_TEXT, AT(store_agent, name), FIELD_FIXED},
	{"version", FIELD_TEXT, AT(store_agent, version), 0},
	{"description", FIELD_TEXT, AT(store_agent, description), FIELD_LARGE},
	{"scope", FIELD_TEXT, AT(store_agent, scope), 0},
	{"runtime", FIELD_TEXT, AT(store_agent, runtime), 0},
	{"labels", FIELD_JSON, AT(store_agent, labels), FIELD_LARGE},
	{"manifest_hash", FIELD_HASH, AT(store_agent, manifest_hash), 0},
	{"manifest_yaml_hash", FIELD_HASH, AT(store_agent, manifest_yaml_hash), 0},
	{"timeout_ms", FIELD_I64, AT(store_agent, timeout_ms), 0},
	{"status", FIELD_STATUS, AT(store_agent, status), 0},
	{"revision", FIELD_I64, AT(store_agent, revision), FIELD_OURS},
	{"created_at", FIELD_I64, AT(store_agent, created_ns), FIELD_OURS},
	{"updated_at", FIELD_I64, AT(store_agent, updated_ns), FIELD_OURS},
	{"removed_at", FIELD_I64, AT(store_agent, removed_ns), FIELD_OURS},
};

static const struct field execution_fields[] = {
	{"id", FIELD_UUID, AT(store_execution, id), FIELD_KEY},
	{"tenant_id", FIELD_TEXT, AT(store_execution, tenant_id), FIELD_FIXED},
	{"agent_id", FIELD_UUID, AT(store_execution, agent_id), FIELD_FIXED},
	{"agent_version", FIELD_TEXT, AT(store_execution, agent_version), FIELD_FIXED},
	{"manifest_hash", FIELD_HASH, AT(store_execution, manifest_hash), FIELD_FIXED},
	{"parent_execution_id", FIELD_UUID, AT(store_execution, parent_execution_id), FIELD_FIXED},
	{"workflow_execution_id", FIELD_UUID, AT(store_execution, workflow_execution_id),
		FIELD_FIXED},
	{"input", FIELD_JSON, AT(store_execution, input), FIELD_FIXED | FIELD_LARGE},
	{"security_context_name", FIELD_TEXT, AT(store_execution, security_context_name),
		FIELD_FIXED},
	{"initiating_user_sub", FIELD_TEXT, AT(store_execution, initiating_user_sub), FIELD_FIXED},
	{"container_uid", FIELD_U32, AT(store_execution, container_uid), 0},
	{"container_gid", FIELD_U32, AT(store_execution, container_gid), 0},
	{"status", FIELD_STATUS, AT(store_execution, status), 0},
	{"current_iteration", FIELD_U32, AT(store_execution, current_iteration), 0},
	{"max_iterations", FIELD_U32, AT(store_execution, max_iterations), 0},
	{"final_output", FIELD_TEXT, AT(store_execution, final_output), FIELD_LARGE},
	{"error_message", FIELD_TEXT, AT(store_execution, error_message), FIELD_LARGE},
	{"resume", FIELD_JSON, AT(store_execution, resume), FIELD_LARGE},
	{"revision", FIELD_I64, AT(store_execution, revision), FIELD_OURS},
	{"created_at", FIELD_I64, AT(store_execution, created_ns), FIELD_OURS},
	{"started_at", FIELD_I64, AT(store_execution, started_ns), FIELD_OURS},
	{"completed_at", FIELD_I64, AT(store_execution, completed_ns), FIELD_OURS},
};

static const struct field iteration_fields[] = {
	{"execution_id", FIELD_UUID, AT(store_iteration, execution_id), FIELD_KEY},
	{"number", FIELD_U32, AT(store_iteration, number), FIELD_KEY},
	{"status", FIELD_STATUS, AT(store_iteration, status), 0},
	{"action", FIELD_TEXT, AT(store_iteration, action), FIELD_LARGE},
	{"output", FIELD_TEXT, AT(store_iteration, output), FIELD_LARGE},
	{"error", FIELD_JSON, AT(store_iteration, error), FIELD_LARGE},
	{"validation_results", FIELD_JSON, AT(store_iteration, validation_results), FIELD_LARGE},
	{"resume", FIELD_JSON, AT(store_iteration, resume), FIELD_LARGE},
	{"revision", FIELD_I64, AT(store_iteration, revision), FIELD_OURS},
	{"started_at", FIELD_I64, AT(store_iteration, started_ns), FIELD_OURS},
	{"ended_at", FIELD_I64, AT(store_iteration, ended_ns), FIELD_OURS},
};

static const struct field session_fields[] = {
	{"id", FIELD_UUID, AT(store_session, id), FIELD_KEY},
	{"tenant_id", FIELD_TEXT, AT(store_session, tenant_id), FIELD_FIXED},
	{"execution_id", FIELD_UUID, AT(store_session, execution_id), FIELD_FIXED},
	{"agent_id", FIELD_UUID, AT(store_session, agent_id), FIELD_FIXED},
	{"protocol", FIELD_TEXT, AT(store_session, protocol), FIELD_FIXED},
	{"security_context", FIELD_TEXT, AT(store_session, security_context), FIELD_FIXED},
	{"subject", FIELD_TEXT, AT(store_session, subject), FIELD_FIXED},
	{"workload_id", FIELD_TEXT, AT(store_session, workload_id), FIELD_FIXED},
	{"public_key", FIELD_TEXT, AT(store_session, public_key), FIELD_FIXED},
	{"expires_at", FIELD_I64, AT(store_session, expires_ns), 0},
	{"status", FIELD_STATUS, AT(store_session, status), 0},
	{"revision", FIELD_I64, AT(store_session, revision), FIELD_OURS},
	{"created_at", FIELD_I64, AT(store_session, created_ns), FIELD_OURS},
	{"ended_at", FIELD_I64, AT(store_session, ended_ns), FIELD_OURS},
};

static const struct field volume_fields[] = {
	{"id", FIELD_UUID, AT(store_volume, id), FIELD_KEY},
	{"tenant_id", FIELD_TEXT, AT(store_volume, tenant_id), FIELD_FIXED},
	{"name", FIELD_TEXT, AT(store_volume, name), 0},
	{"storage_class", FIELD_TEXT, AT(store_volume, storage_class), FIELD_FIXED},
	{"size_limit_bytes", FIELD_I64, AT(store_volume, size_limit_bytes), 0},
	{"size_limit_inodes", FIELD_I64, AT(store_volume, size_limit_inodes), 0},
	{"execution_id", FIELD_UUID, AT(store_volume, execution_id), 0},
	{"attachments", FIELD_JSON, AT(store_volume, attachments), FIELD_LARGE},
	{"error_message", FIELD_TEXT, AT(store_volume, error_message), 0},
	{"expires_at", FIELD_I64, AT(store_volume, expires_ns), 0},
	{"status", FIELD_STATUS, AT(store_volume, status), 0},
	{"attached_at", FIELD_I64, AT(store_volume, attached_ns), 0},
	{"detached_at", FIELD_I64, AT(store_volume, detached_ns), 0},
	{"revision", FIELD_I64, AT(store_volume, revision), FIELD_OURS},
	{"created_at", FIELD_I64, AT(store_volume, created_ns), FIELD_OURS},
	{"deleted_at", FIELD_I64, AT(store_volume, deleted_ns), FIELD_OURS},
};

#define NOUN(n, t, type) \
	{ \
		.name = #n, .table = t, .fields = n##_fields, \
		.field_count = ARRAY_LEN(n##_fields), .row_bytes = sizeof(struct type), \
		.revision_offset = AT(type, revision), .status_offset = AT(type, status) \
	}

const struct noun nouns[NOUN_COUNT] = {
	[NOUN_AGENT] = NOUN(agent, "agents", store_agent),
	[NOUN_EXECUTION] = NOUN(execution, "executions", store_execution),
	[NOUN_ITERATION] = NOUN(iteration, "iterations", store_iteration),
	[NOUN_SESSION] = NOUN(session, "smcp_sessions", store_session),
	[NOUN_VOLUME] = NOUN(volume, "volumes", store_volume),
};

/* The SQL of each noun, made once: drivers know statements by their text. */
static struct noun_sql {
	char columns[NOUN_SQL_BYTES];
	char find[NOUN_SQL_BYTES];
	char insert[NOUN_SQL_BYTES];
	char update[NOUN_SQL_BYTES];
} texts[NOUN_COUNT];
static pthread_once_t texts_once = PTHREAD_ONCE_INIT;

PRINTF_LIKE(2, 3)
static void add(char *text, const char *fmt, ...)
{
	size_t have = strlen(text);
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(text + have, NOUN_SQL_BYTES - have, fmt, args);
	va_end(args);
	CHECK(n >= 0 && (size_t)n < NOUN_SQL_BYTES - have);
}

static void make_texts_of(const struct noun *n, struct noun_sql *t)
{
	int param = 0;
	const char *comma = "";

	char values[NOUN_SQL_BYTES] = "";

	add(t->update, "UPDATE %s SET ", n->table);
	for (size_t i = 0; i < n->field_count; i++) {
		const char *column = n->fields[i].column;
		const char *between = i ? ", " : "";
		add(t->columns, "%s%s", between, column);
		add(values, "%s$%zu", between, i + 1);
		if (!(n->fields[i].flags & FIELD_KEY)) {
			add(t->update, "%s%s = $%d", comma, column, ++param);
			comma = ", ";
		}
	}
	add(t->insert, "INSERT INTO %s (%s) VALUES (%s)", n->table, t->columns, values);
	add(t->update, " WHERE ");
	add(t->find, "SELECT %s FROM %s WHERE ", t->columns, n->table);
	int key = 0;
	for (size_t i = 0; i < n->field_count; i++) {
		if (!(n->fields[i].flags & FIELD_KEY))
			continue;
		const char *and = key ? " AND " : "";
		add(t->find, "%s%s = $%d", and, n->fields[i].column, ++key);
		add(t->update, "%s%s = $%d", and, n->fields[i].column, ++param);
	}
}

static void make_texts(void)
{
	for (int id = 0; id < NOUN_COUNT; id++) {
		CHECK(nouns[id].field_count <= NOUN_FIELDS_MAX);
		make_texts_of(&nouns[id], &texts[id]);
	}
}

static const struct noun_sql *texts_of(enum noun_id id)
{
	pthread_once(&texts_once, make_texts);
	return &texts[id];
}

const char *noun_columns(enum noun_id id)
{
	return texts_of(id)->columns;
}

/* ---- members ---- */

static const void *member(const void *row, const struct field *f)
{
	return (const char *)row + f->offset;
}

static void *member_of(void *row, const struct field *f)
{
	return (char *)row + f->offset;
}

static size_t member_bytes(enum field_kind k)
{
	switch (k) {
	case FIELD_UUID:
		return sizeof(struct uuid);
	case FIELD_TEXT:
	case FIELD_JSON:
		return sizeof(struct span);
	case FIELD_STATUS:
		return sizeof(const char *);
	case FIELD_HASH:
		return sizeof(struct store_hash);
	case FIELD_U32:
		return sizeof(uint32_t);
	case FIELD_I64:
		return sizeof(int64_t);
	}
	UNREACHABLE();
}

static bool hash_is_zero(const struct store_hash *h)
{
	static const struct store_hash zero;

	return memcmp(h, &zero, sizeof(zero)) == 0;
}

static bool is_given(const struct field *f, const void *row)
{
	const void *m = member(row, f);

	switch (f->kind) {
	case FIELD_UUID:
		return !uuid_is_nil(*(const struct uuid *)m);
	case FIELD_TEXT:
	case FIELD_JSON:
		return ((const struct span *)m)->n > 0;
	case FIELD_STATUS:
		return *(const char *const *)m != NULL;
	case FIELD_HASH:
		return !hash_is_zero(m);
	case FIELD_U32:
		return *(const uint32_t *)m != 0;
	case FIELD_I64:
		return *(const int64_t *)m != 0;
	}
	UNREACHABLE();
}

uint64_t noun_given(const struct noun *n, const void *row)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < n->field_count; i++)
		if (is_given(&n->fields[i], row))
			mask |= UINT64_C(1) << i;
	return mask;
}

void noun_copy(const struct noun *n, void *to, const void *from, uint64_t mask)
{
	for (size_t i = 0; i < n->field_count; i++)
		if (mask & (UINT64_C(1) << i))
			memcpy(member_of(to, &n->fields[i]), member(from, &n->fields[i]),
				member_bytes(n->fields[i].kind));
}

static bool is_same(const struct field *f, const void *a, const void *b)
{
	const void *x = member(a, f);
	const void *y = member(b, f);

	switch (f->kind) {
	case FIELD_TEXT:
	case FIELD_JSON:
		return span_eq(*(const struct span *)x, *(const struct span *)y);
	case FIELD_STATUS:
		return span_eq(
			span_cstr(*(const char *const *)x), span_cstr(*(const char *const *)y));
	default:
		return memcmp(x, y, member_bytes(f->kind)) == 0;
	}
}

const char *noun_difference(const struct noun *n, const void *a, const void *b)
{
	for (size_t i = 0; i < n->field_count; i++)
		if (!is_same(&n->fields[i], a, b))
			return n->fields[i].column;
	return NULL;
}

static int check_field(
	const struct noun *n, const struct field *f, const struct span *s, struct arena *a)
{
	size_t limit = f->flags & FIELD_LARGE ? (size_t)LIMIT_STORE_TEXT_BYTES : LIMIT_PATH_BYTES;
	const struct json *v;

	if (s->n > limit)
		return err_raise(-E2BIG, "%s: %s of %zu bytes, at most %zu are accepted", n->name,
			f->column, s->n, limit);
	if (f->kind == FIELD_JSON) {
		int r = json_parse(a, *s, NULL, &v);
		return r < 0 ? err_wrap(r, "%s: %s", n->name, f->column) : 0;
	}
	/* NUL is valid UTF-8, but no text of PostgreSQL can hold it. */
	if (span_utf8_bad(*s) >= 0 || memchr(s->p, 0, s->n))
		return err_raise(
			-EINVAL, "%s: %s must be UTF-8 text without NUL", n->name, f->column);
	return 0;
}

int noun_check(const struct noun *n, const void *row, struct arena *a)
{
	for (size_t i = 0; i < n->field_count; i++) {
		const struct field *f = &n->fields[i];
		if ((f->kind != FIELD_TEXT && f->kind != FIELD_JSON) || !is_given(f, row))
			continue;
		int r = check_field(n, f, member(row, f), a);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

/* ---- columns ---- */

/* Ids and hashes as texts, of which the longest is a hash in hex. */
struct text_space {
	char text[NOUN_FIELDS_MAX][2 * STORE_HASH_BYTES + 1];
};

static void hash_text(const struct store_hash *h, char ret[2 * STORE_HASH_BYTES + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < STORE_HASH_BYTES; i++) {
		ret[2 * i] = digits[h->bytes[i] >> 4];
		ret[2 * i + 1] = digits[h->bytes[i] & 15];
	}
	ret[2 * STORE_HASH_BYTES] = 0;
}

static struct sql_value to_sql(const struct field *f, const void *row, char *space)
{
	const void *m = member(row, f);

	/* Numbers are never NULL: zero is a value to everyone who counts or compares. */
	if (f->kind == FIELD_U32)
		return sql_int(*(const uint32_t *)m);
	if (f->kind == FIELD_I64)
		return sql_int(*(const int64_t *)m);
	if (!is_given(f, row))
		return sql_null();
	switch (f->kind) {
	case FIELD_UUID:
		uuid_text(*(const struct uuid *)m, space);
		return sql_text(span_cstr(space));
	case FIELD_HASH:
		hash_text(m, space);
		return sql_text(span_cstr(space));
	case FIELD_STATUS:
		return sql_text(span_cstr(*(const char *const *)m));
	default:
		return sql_text(*(const struct span *)m);
	}
}

static int damaged(const struct noun *n, const struct field *f)
{
	return err_raise(-EUCLEAN, "a stored %s has an invalid %s", n->name, f->column);
}

/* Status names are compared by pointer nowhere, but they must outlive every arena. */
static int status_of(
	const struct state_table *states, struct span name, struct arena *a, const char **ret)
{
	char *text = arena_cstr(a, name);

	if (!text)
		return err_raise(-ENOMEM, "row beyond the arena's limit");
	int state = states ? state_parse(states, text) : -1;
	if (states && state < 0)
		return err_raise(
			-EUCLEAN, "a stored %s has the unknown status '%s'", states->noun, text);
	*ret = states ? state_name(states, state) : text;
	return 0;
}

static int from_sql(const struct noun *n, const struct field *f, const struct state_table *states,
	const struct sql_value *v, struct arena *a, void *row)
{
	void *m = member_of(row, f);

	if (v->kind == SQL_NULL)
		return 0;
	if ((v->kind == SQL_INT) != (f->kind == FIELD_U32 || f->kind == FIELD_I64))
		return damaged(n, f);
	switch (f->kind) {
	case FIELD_UUID:
		return uuid_parse(v->s, m) < 0 ? damaged(n, f) : 0;
	case FIELD_HASH:
		return hex_decode(v->s, m, STORE_HASH_BYTES) < 0 ? damaged(n, f) : 0;
	case FIELD_STATUS:
		return status_of(states, v->s, a, m);
	case FIELD_U32:
		*(uint32_t *)m = (uint32_t)v->i;
		return 0;
	case FIELD_I64:
		*(int64_t *)m = v->i;
		return 0;
	default:
		*(struct span *)m = arena_span(a, v->s);
		return v->s.n && !((struct span *)m)->p
			? err_raise(-ENOMEM, "row beyond the arena's limit")
			: 0;
	}
}

int noun_read(const struct noun *n, const struct state_table *states,
	const struct sql_value *columns, struct arena *a, void *ret_row)
{
	memset(ret_row, 0, n->row_bytes);
	for (size_t i = 0; i < n->field_count; i++) {
		int r = from_sql(n, &n->fields[i], states, &columns[i], a, ret_row);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

struct found {
	const struct noun *noun;
	const struct state_table *states;
	struct arena *arena;
	void *row;
	bool any;
};

static int keep_row(void *ctx, const struct sql_value *columns, size_t count)
{
	struct found *f = ctx;

	f->any = true;
	int r = noun_read(f->noun, f->states, columns, f->arena, f->row);
	return r < 0 ? r : SQL_STOP;
}

int noun_find(struct sql_conn *c, const struct sql_driver *d, enum noun_id id,
	const struct state_table *states, const void *key, struct arena *a, void *ret_row)
{
	const struct noun *n = &nouns[id];
	struct found f = {n, states, a, ret_row, false};
	struct sql_value params[NOUN_FIELDS_MAX];
	struct text_space space;
	size_t count = 0;

	for (size_t i = 0; i < n->field_count; i++)
		if (n->fields[i].flags & FIELD_KEY) {
			params[count] = to_sql(&n->fields[i], key, space.text[count]);
			count++;
		}
	int r = d->run(c, texts_of(id)->find, params, count, keep_row, &f);
	if (r < 0)
		return err_trace(r);
	return f.any ? 0 : STORE_NOT_FOUND;
}

int noun_insert(struct sql_conn *c, const struct sql_driver *d, enum noun_id id, const void *row)
{
	const struct noun *n = &nouns[id];
	struct sql_value params[NOUN_FIELDS_MAX];
	struct text_space space;

	for (size_t i = 0; i < n->field_count; i++)
		params[i] = to_sql(&n->fields[i], row, space.text[i]);
	int r = d->run(c, texts_of(id)->insert, params, n->field_count, NULL, NULL);
	return r < 0 ? err_trace(r) : 0;
}

int noun_update(struct sql_conn *c, const struct sql_driver *d, enum noun_id id, const void *row)
{
	const struct noun *n = &nouns[id];
	struct sql_value params[NOUN_FIELDS_MAX];
	struct text_space space;
	size_t count = 0;

	for (int keys = 0; keys < 2; keys++)
		for (size_t i = 0; i < n->field_count; i++)
			if (!!(n->fields[i].flags & FIELD_KEY) == keys) {
				params[count] = to_sql(&n->fields[i], row, space.text[count]);
				count++;
			}
	int r = d->run(c, texts_of(id)->update, params, count, NULL, NULL);
	return r < 0 ? err_trace(r) : 0;
}

/* ---- JSON ---- */

void noun_put_json(struct json_writer *w, const struct noun *n, const void *row)
{
	char space[2 * STORE_HASH_BYTES + 1];

	for (size_t i = 0; i < n->field_count; i++) {
		const struct field *f = &n->fields[i];
		if (f->flags & FIELD_OURS || !is_given(f, row))
			continue;
		json_key(w, f->column);
		struct sql_value v = to_sql(f, row, space);
		if (v.kind == SQL_INT)
			json_put_i64(w, v.i);
		else /* JSON columns too: as text they come back byte for byte */
			json_put_span(w, v.s);
	}
}

int noun_of_json(const struct noun *n, const struct state_table *states, const struct json *v,
	struct arena *a, void *ret_row)
{
	memset(ret_row, 0, n->row_bytes);
	for (size_t i = 0; i < n->field_count; i++) {
		const struct field *f = &n->fields[i];
		const struct json *m = json_get(v, f->column);
		struct sql_value value;
		if (!m)
			continue;
		if (m->type == JSON_NUMBER) {
			value = sql_int(0);
			if (json_number_i64(m, &value.i) < 0)
				return damaged(n, f);
		} else if (m->type == JSON_STRING) {
			value = sql_text(m->text);
		} else {
			return damaged(n, f);
		}
		int r = from_sql(n, f, states, &value, a, ret_row);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}
