/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The list as text: one line per entry, fields separated by one blank, the path last and with %XX
 * for every byte that is not a plain character, because the agent chose it.
 *
 *	aegis-snapshot 1 COUNT LEFT_OUT
 *	TYPE MODE SIZE MTIME_NS CTIME_NS INODE HOME NUMBER PATH		HOME "." : not kept
 */
#include "daemon/sandbox/snapshot_internal.h"
#include <errno.h>

static void put_path(struct buf *b, struct span path)
{
	for (size_t i = 0; i < path.n; i++) {
		unsigned char c = (unsigned char)path.p[i];
		if (c <= ' ' || c == '%' || c >= 0x7f)
			buf_printf(b, "%%%02x", c);
		else
			buf_putc(b, (char)c);
	}
}

void snapshot_write_index(const struct snapshot *s, struct buf *b)
{
	buf_printf(b, "aegis-snapshot 1 %zu %llu\n", s->count, (unsigned long long)s->left_out);
	for (size_t i = 0; i < s->count; i++) {
		const struct snapshot_entry *e = &s->entries[i];
		buf_printf(b, "%c %u %llu %lld %lld %llu %s %llu ", (char)e->type, e->mode,
			(unsigned long long)e->size_bytes, (long long)e->mtime_ns,
			(long long)e->ctime_ns, (unsigned long long)e->inode,
			e->home[0] ? e->home : ".", (unsigned long long)e->number);
		put_path(b, e->path);
		buf_putc(b, '\n');
	}
}

/* ---- reading ---- */

static bool take_u64(struct span *rest, bool *done, uint64_t *ret)
{
	struct span word;

	return span_split(rest, ' ', done, &word) && span_to_u64(word, ret) == 0;
}

static bool take_i64(struct span *rest, bool *done, int64_t *ret)
{
	struct span word;

	return span_split(rest, ' ', done, &word) && span_to_i64(word, ret) == 0;
}

static bool take_home(struct span *rest, bool *done, struct snapshot_entry *e)
{
	struct span word;

	if (!span_split(rest, ' ', done, &word) || word.n >= sizeof(e->home))
		return false;
	if (span_is(word, "."))
		return true;
	memcpy(e->home, word.p, word.n);
	return snapshot_name_ok(e->home);
}

static bool take_type(struct span *rest, bool *done, struct snapshot_entry *e)
{
	struct span word;

	if (!span_split(rest, ' ', done, &word) || word.n != 1 || !strchr("fdlo", word.p[0]))
		return false;
	e->type = (enum snapshot_type)word.p[0];
	return true;
}

static bool take_path(struct arena *a, struct span text, struct span *ret)
{
	char *path = arena_bytes(a, text.n ? text.n : 1);
	size_t n = 0;

	for (size_t i = 0; path && i < text.n; i++) {
		uint8_t byte = (uint8_t)text.p[i];
		if (byte == '%') {
			if (hex_decode(span_sub(text, i + 1, i + 3), &byte, 1) < 0 || byte == 0)
				return false;
			i += 2;
		}
		path[n++] = (char)byte;
	}
	*ret = span_of(path, n);
	return path && n > 0;
}

static bool parse_entry(struct arena *a, struct span line, struct snapshot_entry *e)
{
	bool done = false;
	uint64_t mode;

	if (!take_type(&line, &done, e) || !take_u64(&line, &done, &mode) || mode > 07777 ||
		!take_u64(&line, &done, &e->size_bytes) || !take_i64(&line, &done, &e->mtime_ns) ||
		!take_i64(&line, &done, &e->ctime_ns) || !take_u64(&line, &done, &e->inode) ||
		!take_home(&line, &done, e) || !take_u64(&line, &done, &e->number))
		return false;
	e->mode = (unsigned)mode;
	return !done && take_path(a, line, &e->path);
}

static bool parse_lines(struct span text, struct snapshot *s)
{
	struct span head;
	bool done = false, head_done = false;
	uint64_t count;

	if (!span_split(&text, '\n', &done, &head) || !span_starts(head, SPAN("aegis-snapshot 1 ")))
		return false;
	head = span_sub(head, strlen("aegis-snapshot 1 "), head.n);
	if (!take_u64(&head, &head_done, &count) || !take_u64(&head, &head_done, &s->left_out) ||
		count > LIMIT_SNAPSHOT_ENTRIES)
		return false;
	s->entries = arena_make_array(s->arena, struct snapshot_entry, count ? count : 1);
	while (s->entries && s->count < count) {
		struct span line;
		struct snapshot_entry *e = &s->entries[s->count];
		if (!span_split(&text, '\n', &done, &line) || !parse_entry(s->arena, line, e))
			return false;
		if (s->count && span_cmp(e[-1].path, e->path) >= 0)
			return false;
		s->count++;
	}
	return s->entries && text.n == 0;
}

int snapshot_parse_index(struct span text, const char *name, struct snapshot **ret)
{
	struct snapshot *s = snapshot_new();

	if (!s)
		return err_raise(-ENOMEM, "snapshot %s", name);
	if (!parse_lines(text, s)) {
		snapshot_free(s);
		return err_raise(-EBADMSG, "the index of snapshot %s is damaged", name);
	}
	*ret = s;
	return 0;
}
