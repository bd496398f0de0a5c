/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a former daemon recorded and did not live to let go of. The kernel gives it once more; what
 * of that stands in the journal already is told by the numbers that the kernel gave it. All of it
 * was one batch, so it is within the first that is handed over, and it stands behind the record
 * that was the newest when that batch was begun, and before what this daemon wrote.
 */
#include "daemon/aegisd/aegisd.h"
#include <stdlib.h>
#include <string.h>

enum { READ_MS = 600000 };

struct search {
	struct recorder *recorder;
	uint64_t position, until;
};

static bool is_process_kind(struct span kind)
{
	static const char *const kinds[] = {AUDIT_KIND_FORKED, AUDIT_KIND_EXECUTED,
		AUDIT_KIND_EXITED, AUDIT_KIND_RING, AUDIT_KIND_REQUEST};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (span_is(kind, kinds[i]))
			return true;
	return false;
}

static int compare(const void *a, const void *b)
{
	const struct record_number *x = a, *y = b;

	if (x->cpu != y->cpu)
		return x->cpu < y->cpu ? -1 : 1;
	if (x->sequence != y->sequence)
		return x->sequence < y->sequence ? -1 : 1;
	return x->boot_time_ns < y->boot_time_ns ? -1 : x->boot_time_ns > y->boot_time_ns;
}

static int note(struct recorder *r, struct arena *a, const struct audit_record *record)
{
	const struct json *payload;

	if (record->source != AUDIT_KERNEL || !is_process_kind(record->kind))
		return 0;
	if (r->repeated_count == RECORD_SENSOR_BATCH)
		return err_raise(-ERANGE, "more records of the kernel than one batch has");
	arena_reset(a);
	int bad = json_parse(a, record->payload, NULL, &payload);
	if (bad < 0)
		return err_trace(bad);
	r->repeated[r->repeated_count++] =
		(struct record_number){.cpu = (uint64_t)json_i64(payload, "cpu", 0),
			.sequence = (uint64_t)json_i64(payload, "sequence", 0),
			.boot_time_ns = (uint64_t)json_i64(payload, "boot_time_ns", 0)};
	return 0;
}

/* On an offload thread. */
static int search(void *arg)
{
	struct search *s = arg;
	struct audit_reader *reader = NULL;
	struct audit_record record;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * LIMIT_AUDIT_PAYLOAD_BYTES);
	char *dir = config_audit_directory(s->recorder->config);
	s->recorder->repeated = calloc(RECORD_SENSOR_BATCH, sizeof(*s->recorder->repeated));
	int r = a && dir && s->recorder->repeated ? audit_reader_open(dir, &reader) : -ENOMEM;

	if (r == 0)
		r = audit_reader_seek(reader, s->position + 1);
	while (r == 0 && (r = audit_reader_next(reader, &record)) == 0 && record.number <= s->until)
		r = note(s->recorder, a, &record);
	if (r >= 0)
		qsort(s->recorder->repeated, s->recorder->repeated_count,
			sizeof(*s->recorder->repeated), compare);
	audit_reader_close(reader);
	free(dir);
	return r >= 0 ? 0 : err_trace(r);
}

uint64_t record_position(void *ctx)
{
	return journal_stats(((struct recorder *)ctx)->journal).records;
}

bool record_is_repeated(const struct recorder *r, const struct record_event *e)
{
	const struct record_number key = {e->cpu, e->sequence, e->time_ns};

	return r->repeated_count > 0 &&
		bsearch(&key, r->repeated, r->repeated_count, sizeof(key), compare) != NULL;
}

bool record_resumed(
	void *ctx, uint64_t position, const struct record_event *const *events, size_t count)
{
	struct recorder *k = ctx;
	struct search s = {k, position, k->begun};
	bool repeated = false;

	record_repeat_over(k);
	fiber_shield_begin();
	int r = offload_call(k->files, search, &s, deadline_in_ms(READ_MS));
	if (r < 0)
		err_log(r,
			"look in the journal for what sandboxes did before the daemon was killed: "
			"some of it may be recorded twice");
	for (size_t i = 0; r == 0 && i < count && !repeated; i++)
		repeated = record_is_repeated(k, events[i]);
	if (!repeated)
		record_repeat_over(k);
	fiber_shield_end();
	return repeated;
}

void record_repeat_over(struct recorder *r)
{
	free(r->repeated);
	r->repeated = NULL;
	r->repeated_count = 0;
}
