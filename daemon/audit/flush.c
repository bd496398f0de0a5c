/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From the queue to the disk. Whoever waits for an entry asks the offload thread to write; the
 * first call takes all that has gathered, the others find theirs done. Numbers and hashes are given
 * when a batch is encoded, so a batch that cannot be written leaves the chain as it was: those who
 * wait are told, what was posted goes back to the front of the queue.
 *
 * Invariant: behind `end` there is nothing in the file that anybody was told about.
 */
#include "daemon/audit/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SERVICE_MS = 20 }; /* how long what was posted may lie, if nobody asks for it */

static bool no_room(int code)
{
	return code == -ENOSPC || code == -EDQUOT || code == -EFBIG;
}

static int told_no_room(const struct journal *j, int code)
{
	return err_raise(-ENOSPC,
		"audit journal: no room in %s (%s). Nothing is acknowledged until there is; "
		"free some space on that file system",
		j->dir, err_name(code));
}

/* The file is brought back to its acknowledged length. If that fails, or if the device has failed,
 * what is in it cannot be known any more. */
static int undo(struct journal *j, int code, const char *doing)
{
	bool restored = ftruncate(j->fd, (off_t)j->end) == 0 && fdatasync(j->fd) == 0;

	if (restored && no_room(code))
		return told_no_room(j, code);
	j->broken = true;
	return err_sys(code == -ENOSPC ? -EIO : code,
		"audit journal: %s in %s; it accepts nothing until it is opened again", doing,
		j->dir);
}

static int write_out(struct journal *j)
{
	size_t done = 0;

	while (done < j->out.len) {
		ssize_t n = pwrite(
			j->fd, j->out.data + done, j->out.len - done, (off_t)(j->end + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return undo(j, -errno, "write");
		done += (size_t)n;
	}
	return 0;
}

static int sync_out(struct journal *j, uint64_t number)
{
	if (fdatasync(j->fd) < 0)
		return undo(j, -errno, "sync");
	atomic_fetch_add(&j->syncs, 1);
	j->synced = number;
	return 0;
}

/* The out buffer, made durable as the policy says, becomes part of the journal. */
static int put_out(struct journal *j, const struct tip *tip, bool sync)
{
	int r = write_out(j);

	if (r == 0 && sync)
		r = sync_out(j, tip->number);
	if (r < 0)
		return err_trace(r);
	j->end += j->out.len;
	j->tip = *tip;
	atomic_fetch_add(&j->bytes, j->out.len);
	atomic_store(&j->gaps, tip->gaps);
	atomic_store(&j->newest_event, tip->last_event);
	atomic_store(&j->newest, tip->number);
	buf_reset(&j->out);
	return 0;
}

static int encode_record(struct journal *j, struct audit_record *r, struct tip *tip)
{
	if (r->source == AUDIT_EVENT && r->event_number <= tip->last_event)
		return err_raise(-EEXIST, "event %llu is in the journal already",
			(unsigned long long)r->event_number);
	r->number = tip->number + 1;
	r->previous = tip->hash;
	if (r->wall_ns == 0)
		r->wall_ns = clock_wall_ns();
	if (r->mono_ns == 0)
		r->mono_ns = clock_mono_ns();
	frame_encode(&j->out, r, j->synced);
	int res = buf_error(&j->out);
	if (res < 0)
		return err_trace(res);
	tip->number = r->number;
	tip->hash = r->hash;
	tip->last_event = MAX(tip->last_event, r->event_number);
	tip->is_head = false;
	return 0;
}

static void encode_ends(struct tip *tip, const struct entry *e)
{
	if (e->count == 0)
		return;
	tip->gaps += e->gaps;
	if (e->head) {
		tip->head_record = e->head->record;
		memcpy(tip->head_hash.bytes, e->head->hash, HEAD_HASH_BYTES);
		tip->is_head = true;
	}
}

static void finish(struct entry *e, int result, const char *message)
{
	e->result = result;
	if (result < 0)
		snprintf(e->message, sizeof(e->message), "%s", message);
	e->done = true;
}

/* An entry that cannot be encoded is refused alone. */
static bool encode_entry(struct journal *j, struct entry *e, struct tip *tip)
{
	struct tip kept = *tip;
	size_t length = j->out.len;

	for (size_t i = 0; i < e->count; i++) {
		int r = encode_record(j, &e->records[i], tip);
		if (r == 0)
			continue;
		*tip = kept;
		j->out.len = length;
		j->out.error = 0;
		finish(e, r, err_message(r));
		err_clear();
		return false;
	}
	encode_ends(tip, e);
	return true;
}

/* JOURNAL_SYNC_RECORD: each record on its own; an entry that fails is taken back whole. */
static int write_entry_by_record(struct journal *j, struct entry *e)
{
	struct tip kept = j->tip;
	uint64_t end = j->end;
	int r = 0;

	for (size_t i = 0; r == 0 && i < e->count; i++) {
		struct tip tip = j->tip;
		r = encode_record(j, &e->records[i], &tip);
		if (r == 0 && i + 1 == e->count)
			encode_ends(&tip, e);
		if (r == 0)
			r = put_out(j, &tip, true);
	}
	if (r == 0)
		return 0;
	buf_reset(&j->out);
	if (j->end != end && !j->broken) {
		j->end = end;
		j->tip = kept;
		j->synced = MIN(j->synced, kept.number);
		if (ftruncate(j->fd, (off_t)end) < 0 || fdatasync(j->fd) < 0)
			j->broken = true;
	}
	return err_trace(r);
}

/* How many were taken. */
static size_t take_batch(struct journal *j, struct list *batch)
{
	size_t bytes = 0;
	size_t count = 0;
	size_t max = j->sync == JOURNAL_SYNC_RECORD ? 1 : JOURNAL_BATCH_BYTES;

	list_init(batch);
	pthread_mutex_lock(&j->queue_lock);
	while (bytes < max && !list_empty(&j->queue)) {
		struct entry *e = list_first(&j->queue, struct entry, link);
		list_remove(&e->link);
		list_push_back(batch, &e->link);
		bytes += e->bytes + 1;
		j->queue_bytes -= e->bytes;
		j->queue_count--;
		count++;
	}
	j->oldest_ns = clock_mono_ns();
	pthread_mutex_unlock(&j->queue_lock);
	return count;
}

static void put_back(struct journal *j, struct entry *e)
{
	pthread_mutex_lock(&j->queue_lock);
	list_push_front(&j->queue, &e->link);
	j->queue_bytes += e->bytes;
	j->queue_count++;
	pthread_mutex_unlock(&j->queue_lock);
}

/* Tells everybody in the batch. From the end, so that what goes back keeps its order. */
static void settle(struct journal *j, struct list *batch, int result, const char *message)
{
	while (!list_empty(batch)) {
		struct entry *e = list_entry(batch->prev, struct entry, link);
		list_remove(&e->link);
		bool failed = e->done || result < 0;
		if (e->count == 0)
			e->tip = j->tip;
		if (!e->done)
			finish(e, result, message);
		if (!e->posted)
			continue;
		if (failed && e->result != -EEXIST && e->result != -E2BIG) {
			e->done = false;
			put_back(j, e);
		} else {
			free(e);
		}
	}
}

static int write_batch(struct journal *j, struct list *batch)
{
	bool wants_sync = j->sync != JOURNAL_SYNC_NONE;

	if (j->broken)
		return err_raise(-EIO,
			"audit journal in %s: it failed before and must be opened again", j->dir);
	if (j->end >= j->segment_bytes) {
		int r = segment_begin(j);
		if (r < 0)
			return no_room(r) ? told_no_room(j, r) : err_trace(r);
	}
	if (j->sync == JOURNAL_SYNC_RECORD) {
		int r = write_entry_by_record(j, list_first(batch, struct entry, link));
		return r < 0 ? err_trace(r) : 0;
	}
	struct tip tip = j->tip;
	list_for_each (node, batch) {
		struct entry *e = list_entry(node, struct entry, link);
		if (encode_entry(j, e, &tip) && e->count == 0)
			wants_sync = true;
	}
	if (j->out.len == 0 && (!wants_sync || j->synced == tip.number))
		return 0;
	int r = put_out(j, &tip, wants_sync);
	if (r < 0)
		buf_reset(&j->out);
	return r < 0 ? err_trace(r) : 0;
}

static void note_batch(struct journal *j, size_t count, int64_t took_ns)
{
	pthread_mutex_lock(&j->queue_lock);
	/* Forgets slowly: one small batch among large ones says nothing. */
	j->usual_count = MAX(count, j->usual_count - j->usual_count / 8);
	j->last_sync_ns = took_ns;
	pthread_mutex_unlock(&j->queue_lock);
}

int journal_flush(struct journal *j)
{
	struct list batch;
	char message[ERR_MESSAGE_BYTES] = "";
	int r = 0;

	pthread_mutex_lock(&j->write_lock);
	size_t count = take_batch(j, &batch);
	int64_t start = clock_mono_ns();
	if (count > 0) {
		r = write_batch(j, &batch);
		note_batch(j, count, clock_mono_ns() - start);
	}
	if (r < 0)
		snprintf(message, sizeof(message), "%s", err_message(r));
	settle(j, &batch, r, message);
	pthread_mutex_unlock(&j->write_lock);
	return r < 0 ? err_trace(r) : 0;
}

/* ---- waiting ---- */

/*
 * Lets a batch gather company: as long as the policy allows, or, without a fixed time, until there
 * are as many as usual, for a small part of what a sync costs. Without that those who were
 * answered together would come back in two batches: the first of them, and all others.
 */
static void wait_for_company(struct journal *j)
{
	if (j->sync != JOURNAL_SYNC_BATCH)
		return;
	pthread_mutex_lock(&j->queue_lock);
	size_t enough = j->batch_ns ? SIZE_MAX : j->usual_count;
	int64_t until =
		j->oldest_ns + (j->batch_ns ? j->batch_ns : MIN(j->last_sync_ns / 4, NS_PER_MS));
	struct timespec at = {.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};
	while (!list_empty(&j->queue) && j->queue_count < enough &&
		j->queue_bytes < JOURNAL_BATCH_BYTES && clock_mono_ns() < until)
		pthread_cond_timedwait(&j->queue_grew, &j->queue_lock, &at);
	pthread_mutex_unlock(&j->queue_lock);
}

struct turn {
	struct journal *journal;
	struct entry *entry;
};

static bool is_done(struct journal *j, const struct entry *e)
{
	pthread_mutex_lock(&j->write_lock);
	bool done = e->done;
	pthread_mutex_unlock(&j->write_lock);
	return done;
}

static int flush_until_done(void *arg)
{
	struct turn *t = arg;

	while (!is_done(t->journal, t->entry)) {
		wait_for_company(t->journal);
		if (journal_flush(t->journal) < 0)
			err_clear(); /* the entry knows */
	}
	return 0;
}

static int flush_once(void *arg)
{
	return journal_flush(arg);
}

static void enqueue(struct journal *j, struct entry *e)
{
	if (list_empty(&j->queue))
		j->oldest_ns = clock_mono_ns();
	list_push_back(&j->queue, &e->link);
	j->queue_bytes += e->bytes;
	j->queue_count++;
	pthread_cond_signal(&j->queue_grew);
}

/* False if the queue is full; one entry always fits into an empty queue. */
static bool try_enqueue(struct journal *j, struct entry *e)
{
	pthread_mutex_lock(&j->queue_lock);
	bool fits = list_empty(&j->queue) || j->queue_bytes + e->bytes <= j->queue_max;
	if (fits)
		enqueue(j, e);
	pthread_mutex_unlock(&j->queue_lock);
	return fits;
}

static int call_flush(struct journal *j, int64_t deadline_ns)
{
	return j->offload ? offload_call(j->offload, flush_once, j, deadline_ns) : flush_once(j);
}

/* Back-pressure: producers write the queue down themselves. */
static int enqueue_with_room(struct journal *j, struct entry *e, int64_t deadline_ns)
{
	while (!try_enqueue(j, e)) {
		int r = call_flush(j, deadline_ns);
		if (r < 0)
			return r;
	}
	return 0;
}

int journal_run(struct journal *j, struct entry *e, int64_t deadline_ns)
{
	struct turn turn = {j, e};
	int r = 0;

	if (j->offload && fiber_cancelled())
		return -ECANCELED;
	e->done = false;
	e->posted = false;
	r = enqueue_with_room(j, e, deadline_ns);
	if (r < 0)
		return r;
	if (j->offload) {
		/* From here on the queue points to this frame. */
		fiber_shield_begin();
		while ((r = offload_call(j->offload, flush_until_done, &turn, DEADLINE_NONE)) ==
			-EAGAIN)
			fiber_yield();
		fiber_shield_end();
	} else {
		r = flush_until_done(&turn);
	}
	CHECK(r == 0);
	return e->result < 0 ? err_raise(e->result, "%s", e->message) : 0;
}

/* While the disk is full the queue cannot shrink: the producer waits, and in the end is told why.
 * Who is to stop does not wait, shielded or not, because a full disk must not keep the daemon up.
 */
int journal_hand_over(struct journal *j, struct entry *e, int64_t deadline_ns)
{
	for (;;) {
		int r = enqueue_with_room(j, e, deadline_ns);
		if (r == 0)
			break;
		if (r != -ENOSPC || !j->offload || fiber_told_to_stop() ||
			rt_now_ns() + SERVICE_MS * NS_PER_MS >= deadline_ns)
			return r;
		r = rt_sleep_until(deadline_in_ms(SERVICE_MS));
		if (r < 0)
			return r;
	}
	journal_wake_service(j);
	return 0;
}

/* ---- the service ---- */

static void on_wake(struct msg *m)
{
	struct journal *j = container_of(m, struct journal, wake);

	waitq_wake_all(&j->posted);
}

void journal_wake_service(struct journal *j)
{
	if (!j->offload || atomic_exchange(&j->wake_sent, true))
		return;
	j->wake.fn = on_wake;
	/* Not sent: the next post tries again, and whoever waits writes what was posted too. */
	if (worker_self() == j->home)
		on_wake(&j->wake);
	else if (worker_post(j->home, &j->wake) < 0)
		atomic_store(&j->wake_sent, false);
}

static bool is_idle(struct journal *j)
{
	pthread_mutex_lock(&j->queue_lock);
	bool idle = list_empty(&j->queue);
	pthread_mutex_unlock(&j->queue_lock);
	return idle;
}

void journal_service(void *arg)
{
	struct journal *j = arg;
	bool said = false;

	while (!fiber_cancelled()) {
		if (is_idle(j) && waitq_wait(&j->posted, DEADLINE_NONE) < 0)
			break;
		if (rt_sleep_until(rt_now_ns() + MAX(j->batch_ns, SERVICE_MS * NS_PER_MS)) < 0)
			break;
		atomic_store(&j->wake_sent, false);
		int r = call_flush(j, DEADLINE_NONE);
		if (r < 0 && r != -ECANCELED && !said)
			err_log(r, "audit journal");
		else if (r < 0)
			err_clear();
		said = r < 0;
	}
}
