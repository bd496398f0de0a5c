/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The writer as its users see it: opening, appending, closing. A journal belongs to one process (a
 * lock file says which) and, in the daemon, to the worker that opened it; every worker may append.
 */
#include "daemon/audit/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum {
	SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024,
	QUEUE_BYTES_DEFAULT = 8 * 1024 * 1024,
	OPENED_BYTES = 1024,
};

static const char *const sync_names[] = {
	[JOURNAL_SYNC_BATCH] = "batch",
	[JOURNAL_SYNC_RECORD] = "record",
	[JOURNAL_SYNC_NONE] = "none",
};

const char *audit_source_name(enum audit_source s)
{
	static const char *const names[AUDIT_SOURCE_COUNT] = {
		[AUDIT_JOURNAL] = "journal",
		[AUDIT_EVENT] = "event",
		[AUDIT_FILE] = "file",
		[AUDIT_KERNEL] = "kernel",
		[AUDIT_DAEMON] = "daemon",
		[AUDIT_CALL] = "call",
	};

	CHECK((size_t)s < ARRAY_LEN(names));
	return names[s];
}

static int open_dir(struct journal *j)
{
	char holder[32] = "";
	int r = fd_make_dirs(j->dir, 0700);

	if (r < 0)
		return err_trace(r);
	j->dirfd = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->dirfd < 0)
		return err_sys(-errno, "open %s", j->dir);
	j->lock_fd = openat(j->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (j->lock_fd < 0)
		return err_sys(-errno, "open %s/lock", j->dir);
	if (flock(j->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_sys(-errno, "lock %s/lock", j->dir);
		if (pread(j->lock_fd, holder, sizeof(holder) - 1, 0) <= 0)
			snprintf(holder, sizeof(holder), "unknown");
		return err_raise(-EBUSY,
			"the audit journal in %s is being written by another process (pid %s)",
			j->dir, holder);
	}
	int n = snprintf(holder, sizeof(holder), "%d", (int)getpid());
	if (ftruncate(j->lock_fd, 0) < 0 || pwrite(j->lock_fd, holder, (size_t)n, 0) != n)
		return err_sys(-errno, "write %s/lock", j->dir);
	return 0;
}

static struct span boot_id(struct buf *b)
{
	if (fd_read_file("/proc/sys/kernel/random/boot_id", b) < 0) {
		err_clear();
		buf_reset(b);
	}
	return span_trim(buf_view(b));
}

/* The first record of each run says under which clock and policy the following were written. */
static int write_opened(struct journal *j, uint64_t cut_bytes)
{
	struct buf b CLEANUP(buf_fini) = buf_init(OPENED_BYTES);
	struct buf boot CLEANUP(buf_fini) = buf_init(64);
	struct json_writer w = json_writer(&b);
	char journal[UUID_TEXT_BYTES];

	uuid_text(j->id, journal);
	json_object(&w);
	json_field_cstr(&w, "journal", journal);
	json_field_span(&w, "boot_id", boot_id(&boot));
	json_field_cstr(&w, "version", AEGIS_VERSION);
	json_field_i64(&w, "pid", getpid());
	json_field_cstr(&w, "sync", sync_names[j->sync]);
	json_field_i64(&w, "batch_ms", j->batch_ns / NS_PER_MS);
	json_field_i64(&w, "cut_bytes", (int64_t)cut_bytes);
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	struct audit_record record = {
		.source = AUDIT_JOURNAL, .kind = SPAN("Opened"), .payload = buf_view(&b)};
	struct entry e = {.records = &record, .count = 1, .bytes = FRAME_OVERHEAD_BYTES + b.len};
	pthread_mutex_lock(&j->queue_lock);
	list_push_back(&j->queue, &e.link);
	j->queue_bytes += e.bytes;
	j->queue_count++;
	pthread_mutex_unlock(&j->queue_lock);
	r = journal_flush(j);
	return r < 0 ? err_trace(r) : 0;
}

static int open_files(void *arg)
{
	struct journal *j = arg;
	uint64_t cut_bytes = 0;
	int r = open_dir(j);

	if (r < 0)
		return err_trace(r);
	if (unlinkat(j->dirfd, "unfinished.tmp", 0) < 0 && errno != ENOENT)
		return err_sys(-errno, "remove %s/unfinished.tmp", j->dir);
	r = segment_recover(j, &cut_bytes);
	if (r == -ENOENT) {
		err_clear();
		j->id = uuid_new();
		r = segment_begin(j);
	}
	if (r < 0)
		return err_trace(r);
	atomic_store(&j->newest, j->tip.number);
	atomic_store(&j->newest_event, j->tip.last_event);
	atomic_store(&j->gaps, j->tip.gaps);
	if (cut_bytes)
		log_warn("audit journal: cut %llu bytes that were torn behind record %llu in %s",
			(unsigned long long)cut_bytes, (unsigned long long)j->tip.number, j->dir);
	r = write_opened(j, cut_bytes);
	return r < 0 ? err_trace(r) : 0;
}

static void init_locks(struct journal *j)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&j->write_lock, NULL);
	pthread_mutex_init(&j->queue_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&j->queue_grew, &monotonic);
	pthread_condattr_destroy(&monotonic);
	list_init(&j->queue);
}

static struct journal *journal_new(const struct journal_options *o)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->dir = strdup(o->dir);
	j->sync = o->sync;
	j->batch_ns = o->batch_ms * NS_PER_MS;
	j->segment_bytes = o->segment_bytes ? o->segment_bytes : SEGMENT_BYTES_DEFAULT;
	/* A file must stay below what a reader takes, with the batch that goes over the line. */
	j->segment_bytes = MIN(j->segment_bytes, (uint64_t)LIMIT_AUDIT_SEGMENT_BYTES / 2);
	j->queue_max = o->queue_bytes ? o->queue_bytes : (size_t)QUEUE_BYTES_DEFAULT;
	j->sign = o->sign;
	j->sign_ctx = o->sign_ctx;
	if (o->key)
		memcpy(j->key, o->key, sizeof(j->key));
	j->dirfd = j->lock_fd = j->fd = -1;
	j->out = buf_init(2 * (size_t)LIMIT_AUDIT_APPEND_BYTES);
	init_locks(j);
	return j;
}

static void close_files(struct journal *j)
{
	fd_cleanup(&j->fd);
	fd_cleanup(&j->lock_fd);
	fd_cleanup(&j->dirfd);
	buf_fini(&j->out);
	pthread_cond_destroy(&j->queue_grew);
	pthread_mutex_destroy(&j->queue_lock);
	pthread_mutex_destroy(&j->write_lock);
	free(j->dir);
	free(j);
}

static int start(struct journal *j)
{
	int r;

	if (!worker_self())
		return open_files(j);
	r = offload_start("audit-write", 1, JOURNAL_CALLS_MAX, &j->offload);
	if (r < 0)
		return err_trace(r);
	fiber_shield_begin();
	r = offload_call(j->offload, open_files, j, DEADLINE_NONE);
	fiber_shield_end();
	if (r < 0)
		return err_trace(r);
	j->home = worker_self();
	waitq_init(&j->posted);
	group_init(&j->services);
	r = group_spawn(&j->services, "audit-post", FIBER_SMALL, journal_service, j);
	return r < 0 ? err_raise(r, "no fiber for the audit journal") : 0;
}

int journal_open(const struct journal_options *o, struct journal **ret)
{
	struct journal *j = journal_new(o);
	int r;

	if (!j)
		return err_raise(-ENOMEM, "out of memory");
	r = j->dir ? start(j) : err_raise(-ENOMEM, "out of memory");
	if (r < 0) {
		offload_stop(j->offload);
		close_files(j);
		return err_trace(r);
	}
	*ret = j;
	return 0;
}

void journal_close(struct journal *j)
{
	size_t lost = 0;

	if (!j)
		return;
	if (j->offload)
		group_close(&j->services);
	int r = journal_sync(j, DEADLINE_NONE);
	if (r < 0)
		err_log(r, "audit journal: close");
	while (!list_empty(&j->queue)) {
		free(list_entry(list_pop_front(&j->queue), struct entry, link));
		lost++;
	}
	if (lost)
		log_error("audit journal: %zu records that were never acknowledged are lost", lost);
	offload_stop(j->offload);
	close_files(j);
}

/* ---- appending ---- */

static void stamp(struct audit_record *r)
{
	bool fiber = worker_self() != NULL;

	if (r->wall_ns == 0)
		r->wall_ns = fiber ? rt_wall_ns() : clock_wall_ns();
	if (r->mono_ns == 0)
		r->mono_ns = fiber ? rt_now_ns() : clock_mono_ns();
}

static int check(const struct audit_record *r, size_t *bytes)
{
	if (r->kind.n == 0 || r->kind.n > LIMIT_AUDIT_KIND_BYTES)
		return err_raise(
			-EINVAL, "audit record: a kind has 1 to %d bytes", LIMIT_AUDIT_KIND_BYTES);
	if (r->payload.n > LIMIT_AUDIT_PAYLOAD_BYTES)
		return err_raise(-E2BIG,
			"audit record: payload of %zu bytes, at most %d are accepted", r->payload.n,
			LIMIT_AUDIT_PAYLOAD_BYTES);
	CHECK((size_t)r->source < AUDIT_SOURCE_COUNT);
	*bytes += FRAME_OVERHEAD_BYTES + r->kind.n + r->payload.n;
	if (*bytes > LIMIT_AUDIT_APPEND_BYTES)
		return err_raise(-E2BIG, "audit records of more than %d bytes in one call",
			LIMIT_AUDIT_APPEND_BYTES);
	return 0;
}

int journal_append(
	struct journal *j, struct audit_record *records, size_t count, int64_t deadline_ns)
{
	struct entry e = {.records = records, .count = count};

	if (count == 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		int r = check(&records[i], &e.bytes);
		if (r < 0)
			return err_trace(r);
		stamp(&records[i]);
	}
	return journal_run(j, &e, deadline_ns);
}

/* Entry, record, kind and payload in one block. */
static struct entry *copy_of(const struct audit_record *r, size_t bytes)
{
	struct entry *e = malloc(sizeof(*e) + sizeof(*r) + r->kind.n + r->payload.n);

	if (!e)
		return NULL;
	memset(e, 0, offsetof(struct entry, message));
	e->count = 1;
	e->bytes = bytes;
	e->posted = true;
	e->records = (struct audit_record *)(e + 1);
	*e->records = *r;
	char *text = (char *)(e->records + 1);
	memcpy(text, r->kind.p, r->kind.n);
	e->records->kind.p = text;
	if (r->payload.n)
		memcpy(text + r->kind.n, r->payload.p, r->payload.n);
	e->records->payload.p = text + r->kind.n;
	stamp(e->records);
	return e;
}

int journal_post(struct journal *j, const struct audit_record *record, int64_t deadline_ns)
{
	size_t bytes = 0;
	int r = check(record, &bytes);

	if (r < 0)
		return err_trace(r);
	if (record->source == AUDIT_EVENT)
		return err_raise(-EINVAL, "audit record: events are appended, never posted");
	struct entry *e = copy_of(record, bytes);
	if (!e)
		return err_raise(-ENOMEM, "out of memory");
	r = journal_hand_over(j, e, deadline_ns);
	if (r < 0)
		free(e);
	return r;
}

int journal_sync(struct journal *j, int64_t deadline_ns)
{
	struct entry e = {.count = 0};

	return journal_run(j, &e, deadline_ns);
}

uint64_t journal_last_event(const struct journal *j)
{
	return atomic_load(&j->newest_event);
}

struct journal_stats journal_stats(const struct journal *j)
{
	return (struct journal_stats){
		.records = atomic_load(&j->newest),
		.syncs = atomic_load(&j->syncs),
		.bytes = atomic_load(&j->bytes),
		.gaps = atomic_load(&j->gaps),
	};
}
