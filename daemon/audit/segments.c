/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Segment files as the writer sees them: how one begins, and where the newest ends after a crash.
 *
 * What may be cut: a kill leaves at most a piece of the last write, a power cut leaves any pieces
 * of the writes since the last sync. Neither was acknowledged. Each record says which record was
 * known to be durable when it was written; so damage at record N is a crash's only if no record
 * behind it says that N was durable. Otherwise something else has damaged the file, and the writer
 * refuses.
 */
#include "daemon/audit/journal.h"
#include "daemon/audit/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const char unfinished[] = "unfinished.tmp";

/* The header is complete before the file has its name. */
static int make_segment(struct journal *j, const char *name, const struct segment_header *h)
{
	uint8_t header[SEGMENT_HEADER_BYTES];
	AUTO_FD fd = openat(j->dirfd, unfinished, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(-errno, "create a segment in %s", j->dir);
	segment_header_encode(h, header);
	int r = fd_write_all(fd, span_of(header, sizeof(header)));
	if (r < 0)
		return err_wrap(r, "%s/%s", j->dir, name);
	if (fsync(fd) < 0 || renameat(j->dirfd, unfinished, j->dirfd, name) < 0 ||
		fsync(j->dirfd) < 0)
		return err_sys(-errno, "create %s/%s", j->dir, name);
	return TAKE_FD(fd);
}

int segment_begin(struct journal *j)
{
	char name[SEGMENT_NAME_BYTES];
	struct segment_header h = {
		.journal = j->id,
		.segment = j->tip.segment + 1,
		.first = j->tip.number + 1,
		.previous = j->tip.hash,
		.last_event = j->tip.last_event,
		.gaps = j->tip.gaps,
		.head_record = j->tip.head_record,
		.head_hash = j->tip.head_hash,
	};

	if (j->fd >= 0 && fdatasync(j->fd) < 0)
		return err_sys(-errno, "sync %s", j->dir);
	segment_name(h.first, name);
	int fd = make_segment(j, name, &h);
	if (fd < 0)
		return err_trace(fd);
	fd_cleanup(&j->fd);
	j->fd = fd;
	j->end = SEGMENT_HEADER_BYTES;
	j->tip.segment = h.segment;
	j->synced = j->tip.number;
	return 0;
}

static void follow(struct tip *t, const struct audit_record *r)
{
	struct audit_anchor anchor;

	t->number = r->number;
	t->hash = r->hash;
	t->last_event = MAX(t->last_event, r->event_number);
	t->is_head = false;
	if (r->source != AUDIT_JOURNAL)
		return;
	if (span_is(r->kind, "Gap"))
		t->gaps += audit_gap_count(r);
	if (!span_is(r->kind, "Head"))
		return;
	if (audit_anchor_of_record(r, &anchor) < 0) {
		err_clear();
		return;
	}
	t->is_head = true;
	t->head_record = anchor.head.head.record;
	memcpy(t->head_hash.bytes, anchor.head.head.hash, HEAD_HASH_BYTES);
}

/* Is there a record behind the damage that proves record `number` was acknowledged? */
static int check_cut(struct audit_reader *reader, uint64_t number)
{
	struct audit_record r;
	int outcome = reader_resync(reader);

	while (outcome == 0 || outcome == -EUCLEAN) {
		if (outcome < 0) {
			err_clear();
			outcome = reader_resync(reader);
			continue;
		}
		outcome = audit_reader_next(reader, &r);
		if (outcome == 0 && reader->synced >= number)
			return err_raise(-EUCLEAN,
				"%s is damaged at record %llu, which was acknowledged: record %llu "
				"behind it proves that. Keep the folder as evidence, name another "
				"one for the journal, and see aegis-audit verify",
				reader->dir, (unsigned long long)number,
				(unsigned long long)r.number);
	}
	return outcome == AUDIT_END ? 0 : err_trace(outcome);
}

static int cut(struct journal *j, uint64_t offset, uint64_t *ret_cut)
{
	off_t size = lseek(j->fd, 0, SEEK_END);

	if (size < 0)
		return err_sys(-errno, "seek in %s", j->dir);
	j->end = offset;
	*ret_cut = (uint64_t)size - offset;
	if (*ret_cut == 0)
		return 0;
	if (ftruncate(j->fd, (off_t)offset) < 0 || fsync(j->fd) < 0)
		return err_sys(-errno, "cut the torn end of %s", j->dir);
	return 0;
}

static int scan_newest(struct journal *j, struct audit_reader *reader, uint64_t *ret_end)
{
	struct audit_record r;
	int outcome = audit_reader_seek(reader, reader->firsts[reader->count - 1]);

	if (outcome < 0)
		return err_trace(outcome);
	j->tip = (struct tip){
		.segment = reader->header.segment,
		.number = reader->header.first - 1,
		.hash = reader->header.previous,
		.last_event = reader->header.last_event,
		.gaps = reader->header.gaps,
		.head_record = reader->header.head_record,
		.head_hash = reader->header.head_hash,
	};
	j->id = reader->header.journal;
	while ((outcome = audit_reader_next(reader, &r)) == 0)
		follow(&j->tip, &r);
	*ret_end = reader_offset(reader);
	if (outcome == -EUCLEAN) {
		log_warn("audit journal: %s", err_message(outcome));
		err_clear();
		outcome = check_cut(reader, j->tip.number + 1);
	}
	return outcome < 0 ? err_trace(outcome) : 0;
}

int segment_recover(struct journal *j, uint64_t *ret_cut)
{
	struct audit_reader *reader;
	char name[SEGMENT_NAME_BYTES];
	uint64_t end = 0;
	int r = audit_reader_open(j->dir, &reader);

	*ret_cut = 0;
	if (r < 0)
		return err_trace(r);
	segment_name(reader->firsts[reader->count - 1], name);
	r = scan_newest(j, reader, &end);
	audit_reader_close(reader);
	if (r < 0)
		return err_trace(r);
	j->fd = openat(j->dirfd, name, O_RDWR | O_CLOEXEC);
	if (j->fd < 0)
		return err_sys(-errno, "open %s/%s", j->dir, name);
	r = cut(j, end, ret_cut);
	/* What was written and not synced before a kill is made durable now, and so acknowledged.
	 */
	if (r == 0 && fdatasync(j->fd) < 0)
		r = err_sys(-errno, "sync %s/%s", j->dir, name);
	j->synced = j->tip.number;
	return r < 0 ? err_trace(r) : 0;
}
