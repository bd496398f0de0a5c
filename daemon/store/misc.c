/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What is kept beside the event table: blobs by their hash, outbox entries until they are settled,
 * what is known of credentials, and small daemon state. None of it is a projection.
 */
#include "daemon/store/internal.h"

#include <errno.h>
#include <sodium.h>

enum { KV_KEY_BYTES = 253, KEYS_PER_LIST = LIMIT_STORE_PAGE };

static int no_memory(void)
{
	return err_raise(-ENOMEM, "answer beyond the arena's limit");
}

/* A found value, copied. */
struct value_read {
	struct arena *arena;
	struct span value;
	bool any;
};

static int keep_value(void *ctx, const struct sql_value *columns, size_t count)
{
	struct value_read *x = ctx;

	x->any = true;
	x->value = arena_span(x->arena, columns[0].s);
	return columns[0].s.n && !x->value.p ? no_memory() : SQL_STOP;
}

/* ---- blobs ---- */

struct store_hash store_hash_of(struct span bytes)
{
	struct store_hash h;

	crypto_generichash(h.bytes, sizeof(h.bytes), (const uint8_t *)bytes.p, bytes.n, NULL, 0);
	return h;
}

struct blob_write {
	struct span bytes;
	struct store_hash hash;
};

static int put_blob(struct store *s, void *arg)
{
	struct blob_write *x = arg;

	return blob_keep(s, x->bytes, &x->hash);
}

int store_blob_put(struct store *s, struct span bytes, struct store_hash *ret, int64_t deadline_ns)
{
	struct blob_write x = {.bytes = bytes};
	struct write w = {.fn = put_blob, .arg = &x};

	if (bytes.n > LIMIT_STORE_BLOB_BYTES)
		return err_raise(-E2BIG, "blob of %zu bytes, at most %d are accepted", bytes.n,
			LIMIT_STORE_BLOB_BYTES);
	int r = store_write(s, &w, deadline_ns);
	if (r == 0)
		*ret = x.hash;
	return r;
}

int blob_find(struct store *s, struct sql_conn *c, const struct store_hash *hash, struct arena *a,
	struct span *ret)
{
	struct value_read x = {.arena = a};
	struct buf hex CLEANUP(buf_fini) = buf_init(2 * STORE_HASH_BYTES);

	hex_encode(&hex, span_of(hash->bytes, sizeof(hash->bytes)));
	int r = buf_error(&hex);
	if (r < 0)
		return err_trace(r);
	struct sql_value key = sql_text(buf_view(&hex));
	r = s->driver->run(c, "SELECT bytes FROM blobs WHERE hash = $1", &key, 1, keep_value, &x);
	if (r < 0)
		return err_trace(r);
	if (!x.any)
		return STORE_NOT_FOUND;
	*ret = x.value;
	return 0;
}

struct blob_read {
	const struct store_hash *hash;
	struct arena *arena;
	struct span bytes;
};

static int get_blob(struct store *s, struct sql_conn *c, void *arg)
{
	struct blob_read *x = arg;
	int r = blob_find(s, c, x->hash, x->arena, &x->bytes);

	if (r != 0)
		return r;
	/* The name is the proof: what does not hash to it is not what was kept. */
	struct store_hash h = store_hash_of(x->bytes);
	if (memcmp(&h, x->hash, sizeof(h)) != 0)
		return err_raise(-EUCLEAN, "a stored blob does not have the hash it is kept under");
	return 0;
}

int store_blob_get(struct store *s, const struct store_hash *hash, struct arena *a,
	struct span *ret, int64_t deadline_ns)
{
	struct blob_read x = {hash, a, {NULL, 0}};
	int r = store_read(s, get_blob, &x, deadline_ns);

	if (r == 0)
		*ret = x.bytes;
	return r;
}

/* ---- outbox ---- */

struct due_read {
	struct span topic;
	int64_t now_ns;
	size_t max;
	struct arena *arena;
	struct store_outbox due;
};

static int add_due(void *ctx, const struct sql_value *v, size_t count)
{
	struct due_read *x = ctx;
	struct store_outbox_entry *o = &x->due.items[x->due.count];

	*o = (struct store_outbox_entry){
		.id = (uint64_t)v[0].i,
		.topic = x->topic,
		.payload = arena_span(x->arena, v[1].s),
		.event_number = (uint64_t)v[2].i,
		.attempts = (uint32_t)v[3].i,
		.due_ns = v[4].i,
	};
	if (!o->payload.p)
		return no_memory();
	x->due.count++;
	return 0;
}

static int read_due(struct store *s, struct sql_conn *c, void *arg)
{
	struct due_read *x = arg;
	struct sql_value params[] = {
		sql_text(x->topic), sql_int(x->now_ns), sql_int((int64_t)x->max)};

	return s->driver->run(c,
		"SELECT id, payload, event_number, attempts, due_at FROM outbox"
		" WHERE topic = $1 AND due_at <= $2 ORDER BY id LIMIT $3",
		params, ARRAY_LEN(params), add_due, x);
}

int store_outbox_due(struct store *s, struct span topic, int64_t now_ns, uint32_t limit,
	struct arena *a, struct store_outbox *ret, int64_t deadline_ns)
{
	struct due_read x = {.topic = topic, .now_ns = now_ns, .max = limit, .arena = a};

	if (limit == 0 || limit > LIMIT_STORE_PAGE)
		return err_raise(-EINVAL, "limit %u: accepted is 1 to %d", limit, LIMIT_STORE_PAGE);
	x.due.items = arena_make_array(a, struct store_outbox_entry, limit);
	if (!x.due.items)
		return no_memory();
	int r = store_read(s, read_due, &x, deadline_ns);
	if (r == 0)
		*ret = x.due;
	return r;
}

/* Small writes of one statement. */
struct one_statement {
	const char *sql;
	const struct sql_value *params;
	size_t count;
	const char *find; /* with params[0..find_count): must find a row, else STORE_NOT_FOUND */
	size_t find_count;
};

static int note_any(void *ctx, const struct sql_value *columns, size_t count)
{
	*(bool *)ctx = true;
	return SQL_STOP;
}

static int run_one_statement(struct store *s, void *arg)
{
	struct one_statement *x = arg;
	bool any = !x->find;
	int r = 0;

	if (x->find)
		r = store_run(s, x->find, x->params, x->find_count, note_any, &any);
	if (r == 0 && !any)
		return STORE_NOT_FOUND;
	if (r == 0)
		r = store_run(s, x->sql, x->params, x->count, NULL, NULL);
	return r < 0 ? err_trace(r) : 0;
}

static int write_one(struct store *s, struct one_statement *x, int64_t deadline_ns)
{
	struct write w = {.fn = run_one_statement, .arg = x};

	return store_write(s, &w, deadline_ns);
}

static const char find_outbox[] = "SELECT 1 FROM outbox WHERE id = $1";

int store_outbox_done(struct store *s, uint64_t id, int64_t deadline_ns)
{
	struct sql_value params[] = {sql_int((int64_t)id)};
	struct one_statement x = {"DELETE FROM outbox WHERE id = $1", params, 1, find_outbox, 1};

	return write_one(s, &x, deadline_ns);
}

int store_outbox_retry(struct store *s, uint64_t id, int64_t due_ns, int64_t deadline_ns)
{
	struct sql_value params[] = {sql_int((int64_t)id), sql_int(due_ns)};
	struct one_statement x = {
		"UPDATE outbox SET attempts = attempts + 1, due_at = $2 WHERE id = $1", params, 2,
		find_outbox, 1};

	return write_one(s, &x, deadline_ns);
}

/* ---- keys ---- */

static int check_key_name(struct span kind, struct span name)
{
	if (kind.n == 0 || kind.n > LIMIT_NAME_BYTES || name.n == 0 || name.n > LIMIT_NAME_BYTES ||
		span_utf8_bad(kind) >= 0 || span_utf8_bad(name) >= 0)
		return err_raise(-EINVAL, "key: kind and name have 1 to %d bytes of UTF-8 each",
			LIMIT_NAME_BYTES);
	return 0;
}

int store_key_put(struct store *s, const struct store_key *k, int64_t deadline_ns)
{
	struct sql_value params[] = {sql_text(k->kind), sql_text(k->name), sql_bytes(k->hash),
		k->metadata.n ? sql_text(k->metadata) : sql_null(), sql_int(store_wall_ns()),
		sql_int(k->expires_ns), sql_int(k->revoked)};
	struct one_statement x = {
		.sql = "INSERT INTO keys"
		       " (kind, name, hash, metadata, created_at, expires_at, revoked)"
		       " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (kind, name)"
		       " DO UPDATE SET hash = excluded.hash, metadata = excluded.metadata,"
		       " expires_at = excluded.expires_at, revoked = excluded.revoked",
		.params = params,
		.count = ARRAY_LEN(params),
	};
	int r = check_key_name(k->kind, k->name);

	if (r < 0)
		return err_trace(r);
	if (k->hash.n > LIMIT_PATH_BYTES || k->metadata.n > LIMIT_STORE_TEXT_BYTES)
		return err_raise(-E2BIG, "key '" SPAN_FMT "': hash or metadata too large",
			SPAN_ARG(k->name));
	return write_one(s, &x, deadline_ns);
}

struct keys_read {
	struct span kind;
	struct span name; /* empty: all */
	struct arena *arena;
	struct store_keys keys;
};

static int add_key(void *ctx, const struct sql_value *v, size_t count)
{
	struct keys_read *x = ctx;
	struct store_key *k = &x->keys.items[x->keys.count];

	*k = (struct store_key){
		.kind = arena_span(x->arena, v[0].s),
		.name = arena_span(x->arena, v[1].s),
		.hash = arena_span(x->arena, v[2].s),
		.metadata = arena_span(x->arena, v[3].s),
		.created_ns = v[4].i,
		.expires_ns = v[5].i,
		.revoked = v[6].i != 0,
	};
	if (!k->kind.p || !k->name.p || (v[2].s.n && !k->hash.p) || (v[3].s.n && !k->metadata.p))
		return no_memory();
	x->keys.count++;
	return 0;
}

#define KEY_COLUMNS "kind, name, hash, metadata, created_at, expires_at, revoked"

static int read_keys(struct store *s, struct sql_conn *c, void *arg)
{
	struct keys_read *x = arg;
	struct sql_value one[] = {sql_text(x->kind), sql_text(x->name)};
	struct sql_value all[] = {sql_text(x->kind), sql_int(KEYS_PER_LIST)};

	if (x->name.n)
		return s->driver->run(c,
			"SELECT " KEY_COLUMNS " FROM keys WHERE kind = $1 AND name = $2", one,
			ARRAY_LEN(one), add_key, x);
	return s->driver->run(c,
		"SELECT " KEY_COLUMNS " FROM keys WHERE kind = $1 ORDER BY name LIMIT $2", all,
		ARRAY_LEN(all), add_key, x);
}

static int run_keys(struct store *s, struct keys_read *x, size_t max, int64_t deadline_ns)
{
	x->keys.items = arena_make_array(x->arena, struct store_key, max);
	if (!x->keys.items)
		return no_memory();
	return store_read(s, read_keys, x, deadline_ns);
}

int store_key_get(struct store *s, struct span kind, struct span name, struct arena *a,
	struct store_key *ret, int64_t deadline_ns)
{
	struct keys_read x = {.kind = kind, .name = name, .arena = a};
	int r = check_key_name(kind, name);

	if (r < 0)
		return err_trace(r);
	r = run_keys(s, &x, 1, deadline_ns);
	if (r != 0)
		return r;
	if (x.keys.count == 0)
		return STORE_NOT_FOUND;
	*ret = x.keys.items[0];
	return 0;
}

int store_key_list(struct store *s, struct span kind, struct arena *a, struct store_keys *ret,
	int64_t deadline_ns)
{
	struct keys_read x = {.kind = kind, .arena = a};
	int r = run_keys(s, &x, KEYS_PER_LIST, deadline_ns);

	if (r == 0)
		*ret = x.keys;
	return r;
}

int store_key_remove(struct store *s, struct span kind, struct span name, int64_t deadline_ns)
{
	struct sql_value params[] = {sql_text(kind), sql_text(name)};
	struct one_statement x = {"DELETE FROM keys WHERE kind = $1 AND name = $2", params, 2,
		"SELECT 1 FROM keys WHERE kind = $1 AND name = $2", 2};

	return write_one(s, &x, deadline_ns);
}

/* ---- daemon state ---- */

int store_kv_put(struct store *s, struct span key, struct span value, int64_t deadline_ns)
{
	struct sql_value params[] = {sql_text(key), sql_bytes(value)};
	struct one_statement put = {
		.sql = "INSERT INTO daemon_state (key, value) VALUES ($1, $2)"
		       " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		.params = params,
		.count = 2,
	};
	struct one_statement remove = {
		.sql = "DELETE FROM daemon_state WHERE key = $1", .params = params, .count = 1};

	if (key.n == 0 || key.n > KV_KEY_BYTES || span_utf8_bad(key) >= 0)
		return err_raise(
			-EINVAL, "a key of daemon state has 1 to %d bytes of UTF-8", KV_KEY_BYTES);
	if (value.n > LIMIT_STORE_TEXT_BYTES)
		return err_raise(-E2BIG, "value of %zu bytes, at most %d are accepted", value.n,
			LIMIT_STORE_TEXT_BYTES);
	return write_one(s, value.p ? &put : &remove, deadline_ns);
}

struct kv_read {
	struct span key;
	struct value_read value;
};

static int get_kv(struct store *s, struct sql_conn *c, void *arg)
{
	struct kv_read *x = arg;
	struct sql_value key = sql_text(x->key);
	int r = s->driver->run(
		c, "SELECT value FROM daemon_state WHERE key = $1", &key, 1, keep_value, &x->value);

	return r < 0 ? err_trace(r) : x->value.any ? 0 : STORE_NOT_FOUND;
}

int store_kv_get(
	struct store *s, struct span key, struct arena *a, struct span *ret, int64_t deadline_ns)
{
	struct kv_read x = {.key = key, .value = {.arena = a}};
	int r = store_read(s, get_kv, &x, deadline_ns);

	if (r == 0)
		*ret = x.value.value;
	return r;
}
