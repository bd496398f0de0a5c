/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Records are put into one buffer and written from another, so that who brings them waits for the
 * disk only when a whole buffer is behind.
 */
#include "tools/aegis/nfs_records.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1024 * 1024, LINE_BYTES = 64 * 1024, PAUSE_MS = 100 };

struct nfs_records {
	int fd;
	struct buf filling, writing;
	struct waitq changed; /* something to write, or room again */
	uint64_t lost; /* lines that could not be written, since the last one that was */
};

int nfs_records_open(const char *path, struct nfs_records **ret)
{
	struct nfs_records *q = calloc(1, sizeof(*q));

	if (!q)
		return err_raise(-ENOMEM, "memory for records");
	q->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (q->fd < 0) {
		int r = -errno;
		free(q);
		return err_sys(r, "open %s for records", path);
	}
	q->filling = buf_init(BUFFER_BYTES + LINE_BYTES);
	q->writing = buf_init(BUFFER_BYTES + LINE_BYTES);
	waitq_init(&q->changed);
	*ret = q;
	return 0;
}

static void put(struct buf *b, const struct fsal_record *r, uint64_t lost)
{
	struct json_writer w = json_writer(b);

	json_object(&w);
	json_field_i64(&w, "began_ns", r->began_ns);
	json_field_cstr(&w, "operation", r->operation);
	json_field_span(&w, "path", r->path);
	json_field_cstr(&w, "action", r->writes ? "fs:write" : "fs:read");
	json_key(&w, "offset");
	json_put_u64(&w, r->offset);
	json_key(&w, "bytes");
	json_put_u64(&w, r->bytes);
	json_key(&w, "count");
	json_put_u64(&w, r->count);
	json_field_i64(&w, "latency_ns", r->latency_ns);
	json_field_i64(&w, "result", r->result);
	json_field_bool(&w, "allowed", r->decision->allowed);
	json_field_span(&w, "policy", r->decision->policy_id);
	if (lost) {
		json_key(&w, "lost_before");
		json_put_u64(&w, lost);
	}
	json_end(&w);
	buf_putc(b, '\n');
}

void nfs_records_take(void *records, const struct fsal_record *r)
{
	struct nfs_records *q = records;

	while (q->filling.len >= BUFFER_BYTES)
		if (waitq_wait(&q->changed, DEADLINE_NONE) < 0)
			break;
	size_t before = q->filling.len;
	put(&q->filling, r, q->lost + r->lost_before);
	if (q->filling.error) {
		q->filling.error = 0;
		q->filling.len = before;
		q->lost += r->lost_before + r->count;
		err_clear();
		return;
	}
	q->lost = 0;
	if (before == 0)
		waitq_wake_all(&q->changed);
}

static uint64_t lines(const struct buf *b, size_t from)
{
	uint64_t n = 0;
	for (size_t i = from; i < b->len; i++)
		n += b->data[i] == '\n';
	return n;
}

static AWAITS void write_out(struct nfs_records *q)
{
	size_t done = 0;

	struct buf full = q->filling;
	q->filling = q->writing;
	q->writing = full;
	waitq_wake_all(&q->changed);
	fiber_shield_begin();
	while (done < q->writing.len) {
		ssize_t n = rt_write(
			q->fd, q->writing.data + done, q->writing.len - done, -1, DEADLINE_NONE);
		if (n == -EINTR)
			continue;
		if (n <= 0) {
			q->lost += lines(&q->writing, done);
			log_warn("records: cannot be written: %s", strerror(n ? (int)-n : EIO));
			break;
		}
		done += (size_t)n;
	}
	fiber_shield_end();
	buf_reset(&q->writing);
}

void nfs_records_run(void *records)
{
	struct nfs_records *q = records;
	int r = 0;

	while (r != -ECANCELED) {
		r = q->filling.len ? rt_sleep_until(deadline_in_ms(PAUSE_MS))
				   : waitq_wait(&q->changed, DEADLINE_NONE);
		if (q->filling.len)
			write_out(q);
	}
}

void nfs_records_close(struct nfs_records *q)
{
	if (!q)
		return;
	for (size_t done = 0; done < q->filling.len;) {
		ssize_t n = write(q->fd, q->filling.data + done, q->filling.len - done);
		if (n <= 0 && errno != EINTR)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	close(q->fd);
	buf_fini(&q->filling);
	buf_fini(&q->writing);
	free(q);
}
