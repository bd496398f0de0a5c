/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A form with files in it. Content is handed on as soon as it cannot be the beginning of a
 * delimiter any more, so what is held is a head, or a delimiter's length and one piece.
 */
#include "daemon/net/multipart.h"
#include <strings.h>

enum state { BEFORE, HEAD, CONTENT, DELIMITER, AFTER };
enum { HELD_BYTES_MAX = 4 * 1024 * 1024, PIECE_BYTES_MAX = 1024 * 1024 };

/* The value of "key=" in a header's parameters, quotes taken off. */
static bool parameter(struct span header, const char *key, char *ret, size_t room)
{
	struct span rest = header, part;
	bool done = false;
	size_t n = strlen(key);

	while (span_split(&rest, ';', &done, &part)) {
		while (part.n && (*part.p == ' ' || *part.p == '\t'))
			part = span_sub(part, 1, part.n);
		if (part.n <= n || part.p[n] != '=' || strncasecmp(part.p, key, n) != 0)
			continue;
		part = span_sub(part, n + 1, part.n);
		if (part.n >= 2 && *part.p == '"' && part.p[part.n - 1] == '"')
			part = span_sub(part, 1, part.n - 1);
		if (part.n == 0 || part.n >= room || memchr(part.p, '\0', part.n))
			return false;
		memcpy(ret, part.p, part.n);
		ret[part.n] = '\0';
		return true;
	}
	return false;
}

int multipart_init(struct multipart *m, struct span content_type)
{
	static const char type[] = "multipart/form-data";
	char boundary[MULTIPART_BOUNDARY_BYTES + 1];

	*m = (struct multipart){.state = BEFORE, .held = buf_init(HELD_BYTES_MAX)};
	if (content_type.n < sizeof(type) - 1 ||
		strncasecmp(content_type.p, type, sizeof(type) - 1) != 0)
		return err_raise(-EINVAL, "wanted a body of multipart/form-data");
	if (!parameter(content_type, "boundary", boundary, sizeof(boundary)))
		return err_raise(-EINVAL,
			"multipart/form-data needs a boundary of 1 to %d characters",
			MULTIPART_BOUNDARY_BYTES);
	m->delimiter_bytes = 4 + strlen(boundary);
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, boundary, m->delimiter_bytes - 4);
	buf_put(&m->held, "\r\n", 2); /* the first delimiter may do without */
	return err_trace(buf_error(&m->held));
}

void multipart_fini(struct multipart *m)
{
	buf_fini(&m->held);
}

/* ---- the parts of a form ---- */

static int read_head(struct multipart *m, struct span head)
{
	static const char key[] = "content-disposition:";
	struct span rest = head, line;
	bool done = false;

	m->name[0] = m->filename[0] = '\0';
	while (span_split(&rest, '\n', &done, &line)) {
		if (line.n && line.p[line.n - 1] == '\r')
			line = span_sub(line, 0, line.n - 1);
		if (line.n < sizeof(key) - 1 || strncasecmp(line.p, key, sizeof(key) - 1) != 0)
			continue;
		if (!parameter(line, "name", m->name, sizeof(m->name)))
			m->name[0] = '\0';
		if (!parameter(line, "filename", m->filename, sizeof(m->filename)))
			m->filename[0] = '\0';
		return 0;
	}
	return err_raise(-EBADMSG, "a part of the form has no Content-Disposition");
}

static ssize_t find(struct span in, const char *what, size_t n)
{
	const char *p = memmem(in.p, in.n, what, n);

	return p ? p - in.p : -1;
}

static int take_head(struct multipart *m)
{
	struct span in = buf_view(&m->held);
	ssize_t end = find(in, "\r\n\r\n", 4);

	if (end < 0 && in.n <= LIMIT_MULTIPART_HEAD_BYTES)
		return MULTIPART_MORE;
	if (end < 0 || end > LIMIT_MULTIPART_HEAD_BYTES)
		return err_raise(-E2BIG, "the head of a part has more than %d bytes",
			LIMIT_MULTIPART_HEAD_BYTES);
	int r = read_head(m, span_sub(in, 0, (size_t)end));
	m->told = (size_t)end + 4;
	m->state = CONTENT;
	return r < 0 ? err_trace(r) : MULTIPART_PART;
}

/* Up to the next delimiter, or what certainly stands before it. */
static int take_content(struct multipart *m, struct span *ret)
{
	struct span in = buf_view(&m->held);
	ssize_t at = find(in, m->delimiter, m->delimiter_bytes);
	size_t sure = at >= 0 ? (size_t)at : in.n - MIN(in.n, m->delimiter_bytes - 1);

	if (at >= 0)
		m->state = DELIMITER;
	m->told = sure + (at >= 0 ? m->delimiter_bytes : 0);
	if (sure == 0)
		return at >= 0 ? 0 : MULTIPART_MORE;
	*ret = span_sub(in, 0, sure);
	return MULTIPART_DATA;
}

/* "--": that was the last; or the line ends, and another part begins. */
static int take_delimiter(struct multipart *m)
{
	struct span in = buf_view(&m->held);
	size_t n = 0;

	if (in.n >= 2 && memcmp(in.p, "--", 2) == 0) {
		m->state = AFTER;
		return 0;
	}
	while (n < in.n && (in.p[n] == ' ' || in.p[n] == '\t'))
		n++;
	if (in.n < n + 2 && n < LIMIT_MULTIPART_HEAD_BYTES)
		return MULTIPART_MORE;
	if (in.n < n + 2 || memcmp(in.p + n, "\r\n", 2) != 0)
		return err_raise(-EBADMSG, "a boundary of the form is not the end of its line");
	/* A part without any header begins with the empty line that ends them. */
	m->told = n;
	m->state = HEAD;
	return 0;
}

int multipart_next(struct multipart *m, struct span piece, struct span *ret)
{
	if (piece.n > PIECE_BYTES_MAX)
		return err_raise(
			-E2BIG, "a piece of a form has more than %d bytes", PIECE_BYTES_MAX);
	for (int r = 0; r == 0;) {
		buf_consume(&m->held, m->told);
		m->told = 0;
		if (piece.n)
			buf_span(&m->held, piece);
		piece = (struct span){0};
		r = buf_error(&m->held);
		if (r < 0)
			return err_trace(r);
		if (m->state == BEFORE) {
			r = take_content(m, ret);
			if (r == MULTIPART_DATA) /* a preamble, which is nobody's */
				r = m->state == BEFORE ? MULTIPART_MORE : 0;
		} else if (m->state == CONTENT) {
			r = take_content(m, ret);
		} else if (m->state == HEAD) {
			r = take_head(m);
		} else if (m->state == DELIMITER) {
			r = take_delimiter(m);
		} else {
			r = MULTIPART_END;
		}
		if (r != 0)
			return r < 0 ? err_trace(r) : r;
	}
	return MULTIPART_MORE;
}
