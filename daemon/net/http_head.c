/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Heads of HTTP/1.1 messages: the start line, the fields, and what they say about framing.
 *
 * Nouns: a head is everything up to and including the blank line. Its lines end in CRLF, which
 * http_find_head has made sure of for every LF; the parser makes sure that no CR stands anywhere
 * else, because some programs take a bare CR for the end of a line.
 *
 * Invariant: a head that is accepted has exactly one reading. Hence one Host, at most one
 * Content-Length with one number, no Transfer-Encoding beside it, no line folding, no blank in
 * front of a colon: each of these has two readings in programs that exist.
 */
#include "daemon/net/http.h"
#include "daemon/net/http_char.h"
#include "daemon/net/url.h"
#include <errno.h>

/* What the fields say together; judged when all have been read. */
struct meaning {
	struct span host;
	struct span length;
	struct span coding;
	struct span expect;
	int hosts;
	int lengths;
	int codings;
	int expects;
	bool close;
	bool keep_alive;
};

static int fault(struct http_fault *f, int status, const char *reason)
{
	*f = (struct http_fault){status, reason};
	return -EBADMSG;
}

int http_find_head(struct span in, size_t *seen, size_t limit_bytes, size_t *ret_head_bytes,
	struct http_fault *ret_fault)
{
	size_t end = MIN(in.n, limit_bytes);
	size_t at = *seen;

	while (at < end) {
		const char *lf = memchr(in.p + at, '\n', end - at);
		if (!lf)
			break;
		size_t i = (size_t)(lf - in.p);
		if (i == 0 || in.p[i - 1] != '\r')
			return fault(ret_fault, 400, "a line of the head does not end in CRLF");
		at = i + 1;
		if (i >= 3 && in.p[i - 2] == '\n') {
			*ret_head_bytes = at;
			return 0;
		}
	}
	*seen = end;
	if (end < limit_bytes)
		return HTTP_MORE;
	if (end == 0 || !memchr(in.p, '\n', end))
		return fault(ret_fault, 414, "the request line is too long");
	return fault(ret_fault, 431, "the head of the message is too long");
}

/* The next line without its CRLF. False if there is none, or if it ends in a bare LF. */
static bool take_line(struct span *rest, struct span *ret_line)
{
	const char *lf = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;

	if (!lf || lf == rest->p || lf[-1] != '\r')
		return false;
	*ret_line = span_of(rest->p, (size_t)(lf - 1 - rest->p));
	*rest = span_of(lf + 1, rest->n - (size_t)(lf + 1 - rest->p));
	return true;
}

/* Up to the first blank, which is dropped. False if there is no blank. */
static bool take_word(struct span *line, struct span *ret_word)
{
	const char *blank = line->n ? memchr(line->p, ' ', line->n) : NULL;

	if (!blank)
		return false;
	*ret_word = span_of(line->p, (size_t)(blank - line->p));
	*line = span_of(blank + 1, line->n - ret_word->n - 1);
	return true;
}

static struct span trim_blanks(struct span s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_of(s.p + 1, s.n - 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* "HTTP/1.0" or "HTTP/1.1". */
static int parse_version(struct span s, struct http_head *h, struct http_fault *f)
{
	if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0 || s.p[6] != '.' || s.p[5] < '0' ||
		s.p[5] > '9' || s.p[7] < '0' || s.p[7] > '9')
		return fault(f, 400, "the protocol version is not of the form HTTP/1.1");
	if (s.p[5] != '1' || s.p[7] > '1')
		return fault(f, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
	h->minor_version = s.p[7] - '0';
	return 0;
}

static void meaning_of_connection(struct meaning *m, struct span value)
{
	struct span token;
	bool done = false;

	while (span_split(&value, ',', &done, &token)) {
		token = trim_blanks(token);
		m->close |= span_eq_nocase(token, SPAN("close"));
		m->keep_alive |= span_eq_nocase(token, SPAN("keep-alive"));
	}
}

/* The fields that decide where this message ends and the next one begins. */
static void meaning_add(struct meaning *m, const struct http_header *h)
{
	struct span name = h->name;

	switch (name.n) {
	case 4:
		if (span_eq_nocase(name, SPAN("Host"))) {
			m->host = h->value;
			m->hosts++;
		}
		break;
	case 6:
		if (span_eq_nocase(name, SPAN("Expect"))) {
			m->expect = h->value;
			m->expects++;
		}
		break;
	case 10:
		if (span_eq_nocase(name, SPAN("Connection")))
			meaning_of_connection(m, h->value);
		break;
	case 14:
		if (span_eq_nocase(name, SPAN("Content-Length"))) {
			m->length = h->value;
			m->lengths++;
		}
		break;
	case 17:
		if (span_eq_nocase(name, SPAN("Transfer-Encoding"))) {
			m->coding = h->value;
			m->codings++;
		}
		break;
	default:
		break;
	}
}

static int parse_field(struct span line, struct http_header *ret, struct http_fault *f)
{
	const char *colon;

	if (line.p[0] == ' ' || line.p[0] == '\t')
		return fault(f, 400, "a header is continued on a second line");
	colon = memchr(line.p, ':', line.n);
	if (!colon)
		return fault(f, 400, "a header line has no colon");
	ret->name = span_of(line.p, (size_t)(colon - line.p));
	if (!http_valid_token(ret->name))
		return fault(f, 400, "a header name has a byte that may not stand in it");
	ret->value = trim_blanks(span_of(colon + 1, line.n - ret->name.n - 1));
	if (!chars_are(ret->value, CHAR_VALUE))
		return fault(f, 400, "a header value has a control character in it");
	return 0;
}

static int parse_fields(
	struct span rest, struct http_head *h, struct meaning *m, struct http_fault *f)
{
	struct span line;
	int r;

	for (;;) {
		if (!take_line(&rest, &line))
			return fault(f, 400, "the head of the message breaks off");
		if (line.n == 0)
			break;
		if (h->header_count == LIMIT_HTTP_HEADERS)
			return fault(f, 431, "there are too many headers");
		r = parse_field(line, &h->headers[h->header_count], f);
		if (r < 0)
			return r;
		meaning_add(m, &h->headers[h->header_count]);
		h->header_count++;
	}
	if (rest.n)
		return fault(f, 400, "bytes follow the end of the head");
	return 0;
}

/* Content-Length and Transfer-Encoding (RFC 9112 section 6). Sets framing if a field says it. */
static int judge_framing(struct http_head *h, const struct meaning *m, struct http_fault *f)
{
	if (m->codings && m->lengths)
		return fault(f, 400, "Content-Length stands beside Transfer-Encoding");
	if (m->codings > 1)
		return fault(f, 400, "Transfer-Encoding stands twice");
	if (m->lengths > 1)
		return fault(f, 400, "Content-Length stands twice");
	if (m->codings) {
		if (h->minor_version == 0)
			return fault(f, 400, "Transfer-Encoding in an HTTP/1.0 message");
		if (!span_eq_nocase(m->coding, SPAN("chunked")))
			return fault(f, 501, "the only Transfer-Encoding accepted is chunked");
		h->framing = HTTP_BODY_CHUNKED;
	}
	if (m->lengths) {
		if (span_to_u64(m->length, &h->content_length) < 0 || h->content_length > INT64_MAX)
			return fault(f, 400, "Content-Length is not a number");
		h->framing = h->content_length ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
	}
	return 0;
}

static int judge_host(struct http_head *h, const struct meaning *m, struct http_fault *f)
{
	struct span host;
	int port;

	if (m->hosts > 1)
		return fault(f, 400, "Host stands twice");
	if (m->hosts == 0 && h->minor_version == 1)
		return fault(f, 400, "Host is missing");
	if (m->host.n && url_split_authority(m->host, &host, &port) < 0)
		return fault(f, 400, "Host is not a name or address with an optional port");
	/* An absolute-form target outranks Host (RFC 9112 section 3.2.2); where the two differ,
	 * whoever stands in front of us may have looked at the other one. */
	if (h->authority.n && m->hosts && !span_eq_nocase(h->authority, m->host))
		return fault(f, 400, "Host differs from the authority in the request target");
	if (!h->authority.n)
		h->authority = m->host;
	return 0;
}

static int judge_request(struct http_head *h, const struct meaning *m, struct http_fault *f)
{
	int r = judge_framing(h, m, f);

	if (r == 0)
		r = judge_host(h, m, f);
	if (r < 0)
		return r;
	h->keep_alive = h->minor_version == 1 ? !m->close : m->keep_alive && !m->close;
	if (m->expects == 0 || h->minor_version == 0)
		return 0; /* RFC 9110 section 10.1.1: an HTTP/1.0 client cannot mean it */
	if (m->expects > 1 || !span_eq_nocase(m->expect, SPAN("100-continue")))
		return fault(f, 417, "the only expectation accepted is 100-continue");
	h->expect_continue = h->framing != HTTP_BODY_NONE;
	return 0;
}

/* Every % is followed by two hexadecimal digits. */
static bool escapes_are_whole(struct span s)
{
	for (ssize_t i = span_find_byte(s, '%', 0); i >= 0;
		i = span_find_byte(s, '%', (size_t)i + 1)) {
		if ((size_t)i + 2 >= s.n || !char_is(s.p[i + 1], CHAR_HEX) ||
			!char_is(s.p[i + 2], CHAR_HEX))
			return false;
	}
	return true;
}

/* Takes "http://authority" off the front of an absolute-form target. */
static int take_authority(struct span *target, struct http_head *h, struct http_fault *f)
{
	size_t scheme = 0;
	struct span host;
	int port;

	if (span_eq_nocase(span_sub(*target, 0, 7), SPAN("http://")))
		scheme = 7;
	else if (span_eq_nocase(span_sub(*target, 0, 8), SPAN("https://")))
		scheme = 8;
	else
		return fault(f, 400, "the request target is neither a path nor an http URL");

	size_t end = scheme;
	while (end < target->n && target->p[end] != '/' && target->p[end] != '?')
		end++;
	h->authority = span_sub(*target, scheme, end);
	if (url_split_authority(h->authority, &host, &port) < 0)
		return fault(f, 400, "the authority in the request target is malformed");
	*target = span_sub(*target, end, target->n);
	return 0;
}

static int parse_target(struct http_head *h, struct http_fault *f)
{
	struct span t = h->target;

	if (t.n > LIMIT_HTTP_TARGET_BYTES)
		return fault(f, 414, "the request target is too long");
	if (t.n == 0 || !chars_are(t, CHAR_TARGET) || !escapes_are_whole(t))
		return fault(f, 400, "the request target is empty or not properly escaped");
	if (span_is(t, "*")) {
		if (h->method != HTTP_OPTIONS)
			return fault(f, 400, "the request target * goes with OPTIONS only");
		h->path = t;
		return 0;
	}
	if (t.p[0] != '/') {
		int r = take_authority(&t, h, f);
		if (r < 0)
			return r;
	}

	ssize_t mark = span_find_byte(t, '?', 0);
	h->path = mark < 0 ? t : span_sub(t, 0, (size_t)mark);
	h->query = mark < 0 ? (struct span){0} : span_sub(t, (size_t)mark + 1, t.n);
	if (h->path.n == 0)
		h->path = SPAN("/"); /* RFC 9112 section 3.2.2: http://host?query */
	return 0;
}

static int parse_request_line(struct span line, struct http_head *h, struct http_fault *f)
{
	int r;

	if (!take_word(&line, &h->method_text) || !take_word(&line, &h->target))
		return fault(f, 400, "the request line is not method, target and version");
	if (h->method_text.n > LIMIT_HTTP_METHOD_BYTES || !http_valid_token(h->method_text))
		return fault(f, 400, "the method has a byte that may not stand in it");
	r = parse_version(line, h, f);
	if (r < 0)
		return r;
	h->method = http_method_parse(h->method_text);
	if (span_is(h->method_text, "CONNECT"))
		return fault(f, 501, "CONNECT is not served");
	return parse_target(h, f);
}

/* The headers array stays as it was: a fourth of a page need not be cleared for each message. */
static void head_clear(struct http_head *h)
{
	memset(h, 0, offsetof(struct http_head, headers));
}

int http_parse_request(struct span head, struct http_head *ret, struct http_fault *ret_fault)
{
	struct meaning m = {0};
	struct span line;
	int r;

	head_clear(ret);
	if (head.n >= 2 && head.p[0] == '\r' && head.p[1] == '\n')
		head = span_sub(head, 2, head.n); /* RFC 9112 section 2.2: one empty line */
	if (!take_line(&head, &line) || line.n == 0)
		return fault(ret_fault, 400, "there is no request line");
	r = parse_request_line(line, ret, ret_fault);
	if (r == 0)
		r = parse_fields(head, ret, &m, ret_fault);
	if (r == 0)
		r = judge_request(ret, &m, ret_fault);
	return r;
}

/* "HTTP/1.1 200 OK"; the reason, and the blank in front of it, may be missing. */
static int parse_status_line(struct span line, struct http_head *h, struct http_fault *f)
{
	struct span version;
	int r;

	if (!take_word(&line, &version))
		return fault(f, 400, "the status line is not version and status");
	r = parse_version(version, h, f);
	if (r < 0)
		return r;
	if (line.n < 3 || (line.n > 3 && line.p[3] != ' '))
		return fault(f, 400, "the status is not three digits");
	for (int i = 0; i < 3; i++) {
		if (line.p[i] < '0' || line.p[i] > '9')
			return fault(f, 400, "the status is not three digits");
		h->status = h->status * 10 + (line.p[i] - '0');
	}
	if (h->status < 100 || h->status > 599)
		return fault(f, 400, "the status is outside 100 to 599");
	h->reason = span_sub(line, 4, line.n);
	if (!chars_are(h->reason, CHAR_VALUE))
		return fault(f, 400, "the reason has a control character in it");
	return 0;
}

static int judge_response(struct http_head *h, const struct meaning *m, enum http_method answers,
	struct http_fault *f)
{
	bool bodiless = h->status < 200 || h->status == 204 || h->status == 304;
	int r;

	h->framing = m->lengths || m->codings ? HTTP_BODY_NONE : HTTP_BODY_UNTIL_CLOSE;
	r = judge_framing(h, m, f);
	if (r < 0)
		return r;
	h->keep_alive = h->minor_version == 1 ? !m->close : m->keep_alive && !m->close;
	/* A body may not follow these; a sender that announces one might still send it. */
	if (bodiless && h->status != 304 && (h->framing == HTTP_BODY_LENGTH || m->codings))
		h->keep_alive = false;
	if (bodiless || answers == HTTP_HEAD)
		h->framing = HTTP_BODY_NONE;
	if (h->framing == HTTP_BODY_UNTIL_CLOSE)
		h->keep_alive = false;
	return 0;
}

int http_parse_response(struct span head, enum http_method answers, struct http_head *ret,
	struct http_fault *ret_fault)
{
	struct meaning m = {0};
	struct span line;
	int r;

	head_clear(ret);
	if (!take_line(&head, &line))
		return fault(ret_fault, 400, "there is no status line");
	r = parse_status_line(line, ret, ret_fault);
	if (r == 0)
		r = parse_fields(head, ret, &m, ret_fault);
	if (r == 0)
		r = judge_response(ret, &m, answers, ret_fault);
	return r;
}
