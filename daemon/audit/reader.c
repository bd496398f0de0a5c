/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Reads segments in order, one window of a file at a time. A record is handed out only if it proves
 * itself and follows from the one before: number, hash, segment, journal. What is cut short at the
 * very end is "not there yet", since a writer may be at work; anywhere else it is damage.
 */
#include "daemon/audit/reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	READ_STEP_BYTES = 256 * 1024,
	SEGMENTS_MAX = 1000000,
};

static int compare_firsts(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int add_first(uint64_t **firsts, size_t *count, uint64_t first)
{
	if (*count == SEGMENTS_MAX)
		return err_raise(-E2BIG, "more than %d segments in the journal", SEGMENTS_MAX);
	if ((*count & (*count - 1)) == 0) {
		uint64_t *grown = reallocarray(*firsts, *count ? 2 * *count : 1, sizeof(**firsts));
		if (!grown)
			return err_raise(-ENOMEM, "out of memory");
		*firsts = grown;
	}
	(*firsts)[(*count)++] = first;
	return 0;
}

int segments_list(int dirfd, uint64_t **ret, size_t *ret_count)
{
	uint64_t *firsts = NULL;
	size_t count = 0;
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	int r = d ? 0 : err_sys(-errno, "list the journal's segments");

	if (!d && fd >= 0)
		close(fd);
	while (r == 0) {
		uint64_t first;
		errno = 0;
		struct dirent *e = readdir(d);
		if (!e) {
			r = errno ? err_sys(-errno, "list the journal's segments") : 0;
			break;
		}
		if (segment_name_parse(e->d_name, &first))
			r = add_first(&firsts, &count, first);
	}
	if (d)
		closedir(d);
	if (r < 0) {
		free(firsts);
		return err_trace(r);
	}
	if (count)
		qsort(firsts, count, sizeof(*firsts), compare_firsts);
	*ret = firsts;
	*ret_count = count;
	return 0;
}

static int damaged(const struct audit_reader *r, const char *what)
{
	return err_raise(-EUCLEAN, "%s/%s at byte %llu, record %llu: %s", r->dir, r->name,
		(unsigned long long)reader_offset(r), (unsigned long long)r->expected, what);
}

uint64_t reader_offset(const struct audit_reader *r)
{
	return r->window_offset + r->at;
}

size_t reader_rest(const struct audit_reader *r)
{
	return r->window.len - r->at;
}

static void close_segment(struct audit_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	buf_reset(&r->window);
	r->at = 0;
	r->window_offset = 0;
}

/* Reads on; 0 bytes at the end of the file. */
static int read_more(struct audit_reader *r, size_t *ret_bytes)
{
	if (r->at > 0) {
		buf_consume(&r->window, r->at);
		r->window_offset += r->at;
		r->at = 0;
	}
	void *p = buf_reserve(&r->window, READ_STEP_BYTES);
	if (!p)
		return err_raise(-ENOMEM, "%s/%s: out of memory", r->dir, r->name);
	ssize_t n;
	do
		n = pread(r->fd, p, READ_STEP_BYTES, (off_t)(r->window_offset + r->window.len));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(-errno, "read %s/%s", r->dir, r->name);
	buf_commit(&r->window, (size_t)n);
	*ret_bytes = (size_t)n;
	return 0;
}

/* The header must continue what was read before it. */
static int check_header(struct audit_reader *r)
{
	if (r->header.first != r->opened)
		return damaged(r, "the file's name is not that of its first record");
	if (uuid_is_nil(r->journal))
		r->journal = r->header.journal;
	if (!uuid_eq(r->header.journal, r->journal))
		return damaged(r, "the segment belongs to another journal");
	if (r->chained && r->header.first != r->expected)
		return damaged(r, "the segment does not begin where the one before ends");
	if (r->chained && memcmp(&r->header.previous, &r->previous, sizeof(r->previous)) != 0)
		return damaged(r, "the segment does not continue the one before");
	return 0;
}

/* -EUCLEAN leaves it open, so that what it holds can still be looked at. */
static int open_segment(struct audit_reader *r)
{
	size_t n = 1;
	int res = 0;

	r->opened = r->firsts[r->next++];
	segment_name(r->opened, r->name);
	r->fd = openat(r->dirfd, r->name, O_RDONLY | O_CLOEXEC);
	if (r->fd < 0)
		return err_sys(-errno, "open %s/%s", r->dir, r->name);
	while (res == 0 && n > 0 && r->window.len < SEGMENT_HEADER_BYTES)
		res = read_more(r, &n);
	if (res < 0)
		return err_trace(res);
	res = segment_header_decode(buf_view(&r->window), &r->header);
	if (res < 0)
		return damaged(r, err_message(res));
	res = check_header(r);
	if (res < 0)
		return err_trace(res);
	r->at = SEGMENT_HEADER_BYTES;
	r->expected = r->header.first;
	r->previous = r->header.previous;
	r->chained = true;
	return 0;
}

/* New segments may have come while this one was read. */
static int look_again(struct audit_reader *r)
{
	uint64_t *firsts;
	size_t count;
	int res = segments_list(r->dirfd, &firsts, &count);

	if (res < 0)
		return err_trace(res);
	free(r->firsts);
	r->firsts = firsts;
	r->count = count;
	for (r->next = 0; r->next < count && firsts[r->next] <= r->opened;)
		r->next++;
	return 0;
}

int audit_reader_open(const char *dir, struct audit_reader **ret)
{
	struct audit_reader *r = calloc(1, sizeof(*r));
	int res;

	if (!r)
		return err_raise(-ENOMEM, "out of memory");
	r->fd = -1;
	r->window = buf_init((size_t)LIMIT_AUDIT_SEGMENT_BYTES + READ_STEP_BYTES);
	r->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r->dir = strdup(dir);
	if (r->dirfd < 0)
		res = err_sys(-errno, "open %s", dir);
	else
		res = r->dir ? look_again(r) : err_raise(-ENOMEM, "out of memory");
	if (res == 0 && r->count == 0)
		res = err_raise(-ENOENT, "no audit journal in %s", dir);
	if (res == 0)
		res = open_segment(r);
	if (res == -EUCLEAN) { /* the first read reports it, with its place */
		err_clear();
		close_segment(r);
		r->chained = false;
		r->next = 0;
		res = 0;
	}
	if (res < 0) {
		audit_reader_close(r);
		return err_trace(res);
	}
	*ret = r;
	return 0;
}

void audit_reader_close(struct audit_reader *r)
{
	if (!r)
		return;
	close_segment(r);
	buf_fini(&r->window);
	if (r->dirfd >= 0)
		close(r->dirfd);
	free(r->firsts);
	free(r->dir);
	free(r);
}

struct uuid audit_reader_journal(const struct audit_reader *r)
{
	return r->journal;
}

/* At the end of a segment: 0 if the next one was opened, AUDIT_END if there is none. */
static int next_segment(struct audit_reader *r)
{
	if (r->next == r->count) {
		int res = look_again(r);
		if (res < 0)
			return err_trace(res);
		if (r->next == r->count)
			return AUDIT_END;
		/* The writer completes a segment before it begins the next: read what came. */
		size_t n = 0;
		res = r->fd >= 0 ? read_more(r, &n) : 0;
		if (res < 0 || n > 0)
			return res < 0 ? err_trace(res) : 0;
	}
	if (reader_rest(r) > 0)
		return damaged(r, "the segment ends inside a record");
	close_segment(r);
	int res = open_segment(r);
	return res < 0 ? err_trace(res) : 0;
}

static int check_chain(struct audit_reader *r, const struct audit_record *record)
{
	if (r->chained && record->number != r->expected)
		return damaged(r,
			record->number > r->expected ? "records are missing in front of it"
						     : "a record stands there again");
	if (r->chained && memcmp(&record->previous, &r->previous, sizeof(r->previous)) != 0)
		return damaged(r, "it does not follow from the record before");
	return 0;
}

int audit_reader_next(struct audit_reader *r, struct audit_record *ret)
{
	struct audit_record record;
	size_t consumed;
	size_t n;

	for (;;) {
		int res = r->fd < 0
			? AUDIT_END
			: frame_decode(span_sub(buf_view(&r->window), r->at, r->window.len),
				  &record, &r->synced, &consumed);
		if (res == 0) {
			res = check_chain(r, &record);
			if (res < 0)
				return err_trace(res);
			r->at += consumed;
			r->chained = true;
			r->expected = record.number + 1;
			r->previous = record.hash;
			*ret = record;
			return 0;
		}
		if (res < 0)
			return damaged(r, err_message(res));
		n = 0;
		res = r->fd < 0 ? 0 : read_more(r, &n);
		if (res == 0 && n == 0)
			res = next_segment(r);
		if (res != 0)
			return res < 0 ? err_trace(res) : res;
	}
}

int reader_resync(struct audit_reader *r)
{
	size_t n = 1;

	r->chained = false;
	while (r->fd >= 0 && n > 0) { /* the rest of the segment */
		int res = read_more(r, &n);
		if (res < 0)
			return err_trace(res);
	}
	if (r->fd >= 0) {
		ssize_t found = frame_find(buf_view(&r->window), r->at + 1);
		if (found >= 0) {
			r->at = (size_t)found;
			return 0;
		}
		close_segment(r);
	}
	if (r->next >= r->count)
		return AUDIT_END;
	int res = open_segment(r);
	return res < 0 ? err_trace(res) : 0;
}

int audit_reader_seek(struct audit_reader *r, uint64_t number)
{
	struct audit_record record;
	int res = look_again(r);

	if (res < 0)
		return err_trace(res);
	size_t i = r->count;
	while (i > 0 && r->firsts[i - 1] > number)
		i--;
	if (i == 0)
		return err_raise(
			-ENOENT, "no record %llu in %s", (unsigned long long)number, r->dir);
	close_segment(r);
	r->next = i - 1;
	r->chained = false;
	res = open_segment(r);
	while (res == 0 && r->expected < number)
		res = audit_reader_next(r, &record);
	if (res < 0)
		return err_trace(res);
	/* Where the next record would stand is a place too, for those who wait for it. */
	return res == AUDIT_END && r->expected != number
		? err_raise(-ENOENT, "no record %llu in %s: the newest is %llu",
			  (unsigned long long)number, r->dir, (unsigned long long)r->expected - 1)
		: 0;
}

int audit_reader_newest(struct audit_reader *r, uint64_t *ret)
{
	struct audit_record record;
	int res = look_again(r);

	if (res == 0)
		res = audit_reader_seek(r, r->firsts[r->count - 1]);
	while (res == 0)
		res = audit_reader_next(r, &record);
	if (res < 0)
		return err_trace(res);
	*ret = r->expected - 1;
	return 0;
}
