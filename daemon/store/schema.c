/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Table and column names are upstream's where upstream has the thing (cli/migrations). Times are
 * nanoseconds since 1970 in 64-bit integers, ids and hashes are texts: what every database has.
 *
 * domain_events is the truth. `changes` holds what each event changed in the projections, so that
 * they can be built again from this table alone; `number` is the order of commits without gaps,
 * which the journal and the subscribers follow; (stream_id, sequence_number) is the order within an
 * execution.
 */
#include "daemon/store/schema.h"

#include "daemon/store/store.h"
#include <errno.h>
#include <stdio.h>

#define PROJECTIONS \
	"CREATE TABLE agents (" \
	" id TEXT PRIMARY KEY," \
	" tenant_id TEXT," \
	" name TEXT NOT NULL," \
	" version TEXT," \
	" description TEXT," \
	" scope TEXT," \
	" runtime TEXT," \
	" labels TEXT," \
	" manifest_hash TEXT," \
	" manifest_yaml_hash TEXT," \
	" timeout_ms BIGINT NOT NULL," \
	" status TEXT NOT NULL," \
	" revision BIGINT NOT NULL," \
	" created_at BIGINT NOT NULL," \
	" updated_at BIGINT NOT NULL," \
	" removed_at BIGINT NOT NULL);" \
	"CREATE UNIQUE INDEX agents_name ON agents (coalesce(tenant_id, ''), name)" \
	" WHERE removed_at = 0;" \
	"CREATE INDEX agents_created ON agents (created_at, id);" \
\
	"CREATE TABLE agent_versions (" \
	" agent_id TEXT NOT NULL," \
	" version TEXT NOT NULL," \
	" manifest_hash TEXT," \
	" manifest_yaml_hash TEXT," \
	" created_at BIGINT NOT NULL," \
	" PRIMARY KEY (agent_id, version));" \
\
	"CREATE TABLE executions (" \
	" id TEXT PRIMARY KEY," \
	" tenant_id TEXT," \
	" agent_id TEXT NOT NULL," \
	" agent_version TEXT," \
	" manifest_hash TEXT," \
	" parent_execution_id TEXT," \
	" workflow_execution_id TEXT," \
	" input TEXT," \
	" security_context_name TEXT," \
	" initiating_user_sub TEXT," \
	" container_uid BIGINT NOT NULL," \
	" container_gid BIGINT NOT NULL," \
	" status TEXT NOT NULL," \
	" current_iteration BIGINT NOT NULL," \
	" max_iterations BIGINT NOT NULL," \
	" final_output TEXT," \
	" error_message TEXT," \
	" resume TEXT," \
	" revision BIGINT NOT NULL," \
	" created_at BIGINT NOT NULL," \
	" started_at BIGINT NOT NULL," \
	" completed_at BIGINT NOT NULL);" \
	"CREATE INDEX executions_created ON executions (created_at, id);" \
	"CREATE INDEX executions_agent ON executions (agent_id, created_at);" \
	"CREATE INDEX executions_parent ON executions (parent_execution_id)" \
	" WHERE parent_execution_id IS NOT NULL;" \
	"CREATE INDEX executions_unfinished ON executions (created_at) WHERE completed_at = 0;" \
\
	"CREATE TABLE iterations (" \
	" execution_id TEXT NOT NULL," \
	" number BIGINT NOT NULL," \
	" status TEXT NOT NULL," \
	" action TEXT," \
	" output TEXT," \
	" error TEXT," \
	" validation_results TEXT," \
	" resume TEXT," \
	" revision BIGINT NOT NULL," \
	" started_at BIGINT NOT NULL," \
	" ended_at BIGINT NOT NULL," \
	" PRIMARY KEY (execution_id, number));"

#define SESSIONS \
	"CREATE TABLE smcp_sessions (" \
	" id TEXT PRIMARY KEY," \
	" tenant_id TEXT," \
	" execution_id TEXT," \
	" agent_id TEXT," \
	" protocol TEXT," \
	" security_context TEXT," \
	" subject TEXT," \
	" workload_id TEXT," \
	" public_key TEXT," \
	" expires_at BIGINT NOT NULL," \
	" status TEXT NOT NULL," \
	" revision BIGINT NOT NULL," \
	" created_at BIGINT NOT NULL," \
	" ended_at BIGINT NOT NULL);" \
	"CREATE INDEX smcp_sessions_created ON smcp_sessions (created_at, id);" \
	"CREATE INDEX smcp_sessions_unfinished ON smcp_sessions (created_at) WHERE ended_at = 0;" \
	"CREATE INDEX smcp_sessions_execution ON smcp_sessions (execution_id)" \
	" WHERE execution_id IS NOT NULL;"

#define VOLUMES \
	"CREATE TABLE volumes (" \
	" id TEXT PRIMARY KEY," \
	" tenant_id TEXT," \
	" name TEXT NOT NULL," \
	" storage_class TEXT," \
	" size_limit_bytes BIGINT NOT NULL," \
	" size_limit_inodes BIGINT NOT NULL," \
	" execution_id TEXT," \
	" error_message TEXT," \
	" expires_at BIGINT NOT NULL," \
	" status TEXT NOT NULL," \
	" attached_at BIGINT NOT NULL," \
	" detached_at BIGINT NOT NULL," \
	" revision BIGINT NOT NULL," \
	" created_at BIGINT NOT NULL," \
	" deleted_at BIGINT NOT NULL);" \
	"CREATE UNIQUE INDEX volumes_name ON volumes (coalesce(tenant_id, ''), name)" \
	" WHERE deleted_at = 0;" \
	"CREATE INDEX volumes_created ON volumes (created_at, id);"

#define VOLUME_ATTACHMENTS "ALTER TABLE volumes ADD COLUMN attachments TEXT;"

const char schema_projections[] = PROJECTIONS SESSIONS VOLUMES VOLUME_ATTACHMENTS;

const struct schema_step schema_steps[] = {
	{1, "events and projections",
		"CREATE TABLE domain_events ("
		" number BIGINT PRIMARY KEY,"
		" id TEXT NOT NULL UNIQUE,"
		" stream_id TEXT NOT NULL," /* execution, else agent, else nil */
		" sequence_number BIGINT NOT NULL,"
		" event_type TEXT NOT NULL,"
		" category TEXT,"
		" stage TEXT,"
		" message TEXT,"
		" tenant_id TEXT,"
		" execution_id TEXT,"
		" agent_id TEXT,"
		" call_id TEXT,"
		" iteration_number BIGINT NOT NULL,"
		" event_data TEXT NOT NULL,"
		" changes TEXT,"
		" created_at BIGINT NOT NULL,"
		" UNIQUE (stream_id, sequence_number));"
		"CREATE INDEX domain_events_execution ON domain_events (execution_id, number)"
		" WHERE execution_id IS NOT NULL;"
		"CREATE INDEX domain_events_agent ON domain_events (agent_id, number)"
		" WHERE agent_id IS NOT NULL;"
		"CREATE TABLE blobs (hash TEXT PRIMARY KEY, bytes BLOB NOT NULL);" PROJECTIONS},
	{2, "outbox, keys, daemon state",
		"CREATE TABLE outbox ("
		" id BIGINT PRIMARY KEY,"
		" topic TEXT NOT NULL,"
		" payload TEXT NOT NULL,"
		" event_number BIGINT NOT NULL,"
		" attempts BIGINT NOT NULL,"
		" due_at BIGINT NOT NULL);"
		"CREATE INDEX outbox_due ON outbox (topic, due_at, id);"
		"CREATE TABLE keys ("
		" kind TEXT NOT NULL,"
		" name TEXT NOT NULL,"
		" hash BLOB NOT NULL,"
		" metadata TEXT,"
		" created_at BIGINT NOT NULL,"
		" expires_at BIGINT NOT NULL,"
		" revoked BIGINT NOT NULL,"
		" PRIMARY KEY (kind, name));"
		"CREATE TABLE daemon_state (key TEXT PRIMARY KEY, value BLOB NOT NULL);"},
	{3, "SMCP sessions", SESSIONS},
	{4, "volumes", VOLUMES},
	{5, "attachments of volumes", VOLUME_ATTACHMENTS},
};
const int schema_step_count = ARRAY_LEN(schema_steps);

enum { CHECKSUM_TEXT_BYTES = 2 * STORE_HASH_BYTES };

static struct span checksum_of(const struct schema_step *step, struct buf *b)
{
	struct store_hash h = store_hash_of(span_cstr(step->sql));

	buf_reset(b);
	hex_encode(b, span_of(h.bytes, sizeof(h.bytes)));
	return buf_view(b);
}

struct applied {
	const struct schema_step *steps;
	int count;
	int last; /* number of the newest step that the database has */
};

static int check_applied(void *ctx, const struct sql_value *columns, size_t count)
{
	struct applied *a = ctx;
	struct buf b CLEANUP(buf_fini) = buf_init(CHECKSUM_TEXT_BYTES);
	int number = (int)columns[0].i;

	if (number > a->count) {
		a->last = MAX(a->last, number);
		return 0; /* reported with the last number, see read_applied */
	}
	if (number != a->last + 1)
		return err_raise(
			-EUCLEAN, "schema step %d is missing in the database", a->last + 1);
	if (!span_eq(columns[1].s, checksum_of(&a->steps[number - 1], &b)))
		return err_raise(-EUCLEAN,
			"schema step %d (%s) in the database is not the one of this program: "
			"its checksum differs",
			number, a->steps[number - 1].name);
	a->last = number;
	return 0;
}

static int read_applied(struct sql_conn *c, const struct sql_driver *d, struct applied *a)
{
	int r = d->run(c, "SELECT number, checksum FROM schema_steps ORDER BY number", NULL, 0,
		check_applied, a);

	if (r < 0)
		return err_trace(r);
	if (a->last > a->count)
		return err_raise(-EPROTO,
			"the database has schema %d, this program knows schemas up to %d: "
			"use the newer program that wrote it",
			a->last, a->count);
	return 0;
}

static int apply_step(struct sql_conn *c, const struct sql_driver *d,
	const struct schema_step *step, int64_t now_ns)
{
	struct buf b CLEANUP(buf_fini) = buf_init(CHECKSUM_TEXT_BYTES);
	struct sql_value params[] = {sql_int(step->number), sql_text(span_cstr(step->name)),
		sql_text(checksum_of(step, &b)), sql_int(now_ns)};
	int r = d->script(c, "BEGIN IMMEDIATE");

	if (r < 0)
		return err_trace(r);
	r = d->script(c, step->sql);
	if (r == 0)
		r = d->run(c,
			"INSERT INTO schema_steps (number, name, checksum, applied_at) "
			"VALUES ($1, $2, $3, $4)",
			params, ARRAY_LEN(params), NULL, NULL);
	if (r == 0)
		r = d->script(c, "COMMIT");
	if (r < 0) {
		r = err_wrap(r, "schema step %d (%s)", step->number, step->name);
		if (d->in_transaction(c) && d->script(c, "ROLLBACK") < 0)
			err_clear();
		return r;
	}
	return 0;
}

int schema_migrate(struct sql_conn *c, const struct sql_driver *d, const struct schema_step *steps,
	int count, int64_t now_ns)
{
	struct applied a = {steps, count, 0};
	int r = d->script(c,
		"CREATE TABLE IF NOT EXISTS schema_steps (number BIGINT PRIMARY KEY,"
		" name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)");

	if (r < 0)
		return err_trace(r);
	r = read_applied(c, d, &a);
	for (int i = a.last; r == 0 && i < count; i++)
		r = apply_step(c, d, &steps[i], now_ns);
	return r < 0 ? err_trace(r) : 0;
}

int schema_check(
	struct sql_conn *c, const struct sql_driver *d, const struct schema_step *steps, int count)
{
	struct applied a = {steps, count, 0};
	int r = read_applied(c, d, &a);

	if (r < 0)
		return err_trace(r);
	if (a.last < count)
		return err_raise(-EPROTO,
			"the database has schema %d, this program needs %d: "
			"start the daemon once to bring it forward",
			a.last, count);
	return 0;
}
