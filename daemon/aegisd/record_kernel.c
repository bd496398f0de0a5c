/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the kernel saw sandboxes do, as records of the journal: a batch becomes durable together,
 * so the reader is never ahead of the disk, and while it waits the kernel counts what it has no
 * room for. FORMAT.md has the payloads.
 */
#include "daemon/aegisd/aegisd.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* Of a batch at its longest: every byte of every text escaped. */
enum { BATCH_BYTES = RECORD_SENSOR_BATCH * 8 * 1024 };
_Static_assert(2 * BATCH_BYTES <= LIMIT_AUDIT_APPEND_BYTES, "with its frames it is one call");

/* Between two words about a full disk, at first and in the end. */
#define FULL_FIRST_NS (10 * NS_PER_S)
#define FULL_LAST_NS (3600 * NS_PER_S)

static struct span text_of(const char *p, size_t room)
{
	return span_of(p, strnlen(p, room));
}

static struct uuid uuid_of(const uint8_t *bytes)
{
	struct uuid u;
	memcpy(u.bytes, bytes, sizeof(u.bytes));
	return u;
}

static void arguments_put(struct json_writer *w, const struct record_exec *e)
{
	struct span rest = span_of(e->arguments, MIN(e->event.value, sizeof(e->arguments)));

	json_key(w, "arguments");
	json_array(w);
	while (rest.n > 0) {
		size_t n = strnlen(rest.p, rest.n);
		json_put_span(w, span_of(rest.p, n));
		rest = span_sub(rest, MIN(n + 1, rest.n), rest.n);
	}
	json_end(w);
	json_field_i64(w, "arguments_bytes", e->arguments_bytes);
	json_field_bool(w, "arguments_cut", e->event.value < e->arguments_bytes);
}

static void exec_put(struct recorder *r, struct json_writer *w, const struct record_exec *e)
{
	json_field_span(w, "path", text_of(e->path, sizeof(e->path)));
	if (strnlen(e->path, sizeof(e->path)) >= sizeof(e->path) - 1)
		json_field_bool(w, "path_cut", true);
	if (e->interpreter[0])
		json_field_span(w, "interpreter", text_of(e->interpreter, sizeof(e->interpreter)));
	arguments_put(w, e);
	json_field_i64(w, "device", e->device);
	json_field_i64(w, "inode", (int64_t)e->inode);
	const struct record_hash *h = record_program_hash(r, e);
	if (!h)
		return;
	char text[2 * RECORD_HASH_BYTES + 1];
	sodium_bin2hex(text, sizeof(text), h->hash, sizeof(h->hash));
	json_field_cstr(w, "hash", text);
	json_field_cstr(w, "hash_of", "after");
	json_field_i64(w, "hash_read_ns", h->read_ns);
}

static void exit_put(struct json_writer *w, const struct record_event *e)
{
	int status = (int)e->status;

	if (WIFSIGNALED(status))
		json_field_i64(w, "signal", WTERMSIG(status));
	else
		json_field_i64(w, "status", WEXITSTATUS(status));
	json_field_i64(w, "cpu_ns", (int64_t)e->value);
}

static const char *kind_of(enum record_kind k)
{
	switch (k) {
	case RECORD_FORK:
		return AUDIT_KIND_FORKED;
	case RECORD_EXEC:
		return AUDIT_KIND_EXECUTED;
	case RECORD_EXIT:
		return AUDIT_KIND_EXITED;
	case RECORD_RING:
		return AUDIT_KIND_RING;
	case RECORD_REQUEST:
		return AUDIT_KIND_REQUEST;
	case RECORD_KINDS:
	case RECORD_KIND_SLOTS:
		break;
	}
	return NULL;
}

static void event_put(struct recorder *r, struct json_writer *w, const struct record_event *e)
{
	const struct uuid execution = uuid_of(e->execution);

	json_object(w);
	json_field_i64(w, "pid", e->pid);
	json_field_i64(w, "start_ns", (int64_t)e->start_ns);
	json_field_i64(w, "parent_pid", e->parent_pid);
	json_field_i64(w, "parent_start_ns", (int64_t)e->parent_start_ns);
	json_field_span(w, "command", text_of(e->comm, sizeof(e->comm)));
	if (e->kind == RECORD_EXEC)
		exec_put(r, w, (const struct record_exec *)e);
	else if (e->kind == RECORD_EXIT)
		exit_put(w, e);
	else if (e->kind == RECORD_RING)
		json_field_i64(w, "entries", (int64_t)e->value);
	else if (e->kind == RECORD_REQUEST)
		json_field_i64(w, "opcode", (int64_t)e->value);
	json_field_i64(w, "cgroup", (int64_t)e->cgroup);
	json_field_i64(w, "call_cgroup", (int64_t)e->call_cgroup);
	json_field_i64(w, "cpu", e->cpu);
	json_field_i64(w, "sequence", (int64_t)e->sequence);
	json_field_i64(w, "boot_time_ns", (int64_t)e->time_ns);
	record_server_put(r, w, &execution);
	json_end(w);
}

struct batch {
	struct audit_record records[RECORD_SENSOR_BATCH];
	size_t ends[RECORD_SENSOR_BATCH]; /* of the payloads in `b`, which moves as it grows */
	size_t count;
	struct buf b;
};

static void fill(
	struct recorder *r, struct batch *t, const struct record_event *const *events, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct record_event *e = events[i];
		const char *kind = kind_of((enum record_kind)e->kind);
		if (!kind || record_is_repeated(r, e))
			continue;
		struct json_writer w = json_writer(&t->b);
		event_put(r, &w, e);
		t->ends[t->count] = t->b.len;
		t->records[t->count++] = (struct audit_record){.source = AUDIT_KERNEL,
			.kind = span_cstr(kind),
			.execution_id = uuid_of(e->execution),
			.call_id = uuid_of(e->call),
			.iteration = e->iteration};
	}
	struct span all = buf_view(&t->b);
	for (size_t i = 0, at = 0; i < t->count; at = t->ends[i++])
		t->records[i].payload = span_of(all.p + at, t->ends[i] - at);
}

/* While there is no room the records wait in the kernel, which counts what comes; and it is tried
 * again so often that saying it each time would fill what is left of the disk. */
static void say_whether_full(struct recorder *k, int r)
{
	int64_t now_ns = rt_now_ns();

	if (r == -ENOSPC && (!k->full_since_ns || now_ns - k->full_said_ns >= k->full_pause_ns)) {
		err_log(r, "put what sandboxes did into the journal");
		k->full_pause_ns =
			k->full_since_ns ? MIN(2 * k->full_pause_ns, FULL_LAST_NS) : FULL_FIRST_NS;
		k->full_since_ns = k->full_since_ns ? k->full_since_ns : now_ns;
		k->full_said_ns = now_ns;
	} else if (r == -ENOSPC) {
		err_clear();
	} else if (r == 0 && k->full_since_ns) {
		log_info("the journal has room again for what sandboxes do, after %lld s",
			(long long)((now_ns - k->full_since_ns) / NS_PER_S));
		k->full_since_ns = 0;
	}
}

bool record_events(void *ctx, const struct record_event *const *events, size_t count)
{
	struct recorder *k = ctx;
	struct batch *t = calloc(1, sizeof(*t));
	int r = -ENOMEM;

	CHECK(count <= RECORD_SENSOR_BATCH);
	fiber_shield_begin();
	if (t) {
		record_programs_learn(k, events, count);
		t->b = buf_init(BATCH_BYTES);
		fill(k, t, events, count);
		r = buf_error(&t->b);
		if (r == 0 && t->count > 0)
			r = journal_append(k->journal, t->records, t->count, DEADLINE_NONE);
		buf_fini(&t->b);
	}
	say_whether_full(k, r);
	if (r < 0 && r != -ENOSPC) {
		err_log(r, "put what sandboxes did into the journal");
		record_gap(ctx, &(struct sandbox_origin){0}, count,
			"the records could not be written");
	}
	if (r != -ENOSPC)
		record_repeat_over(k);
	free(t);
	fiber_shield_end();
	return r != -ENOSPC;
}

void record_counted(void *ctx, const struct sandbox_origin *o, const struct record_agent *a)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024);
	struct json_writer w = json_writer(&b);
	struct audit_record record = {.source = AUDIT_KERNEL,
		.kind = SPAN(AUDIT_KIND_COUNTED),
		.execution_id = o->execution,
		.iteration = o->iteration};

	json_object(&w);
	json_key(&w, "happened");
	json_object(&w);
	for (int k = RECORD_FORK; k < RECORD_KINDS; k++)
		json_field_i64(
			&w, record_kind_text((enum record_kind)k), (int64_t)a->count[k].happened);
	json_end(&w);
	uint64_t happened = record_agent_happened(a), lost = record_agent_lost(a);
	json_field_i64(&w, "recorded", (int64_t)(happened - lost));
	json_field_i64(&w, "lost", (int64_t)lost);
	json_field_bool(&w, "whole", !a->anew);
	json_field_bool(&w, "strict", a->strict != 0);
	if (a->strict)
		json_field_i64(&w, "killed", (int64_t)a->killed);
	json_field_i64(&w, "cgroup", (int64_t)o->identity);
	record_server_put(ctx, &w, &o->execution);
	json_end(&w);
	record_post(((struct recorder *)ctx)->journal, &record, &b);
}
