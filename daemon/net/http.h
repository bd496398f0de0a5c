/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * HTTP/1.1 messages (RFC 9110, RFC 9112) as a pure codec: bytes in, events out, no I/O. It is
 * strict, because two programs that read one message differently are a hole: what RFC 9112 lets a
 * recipient tolerate is refused here, and each refusal says what it met.
 */
#pragma once

#include "daemon/base/base.h"

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_PATCH,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_OTHER, /* see method_text */
};

enum { HTTP_METHOD_COUNT = HTTP_OTHER + 1 };

struct http_header {
	struct span name; /* as sent; compare without regard to case */
	struct span value; /* without blanks around it */
};

/* How the end of a body is known (RFC 9112 section 6.3). */
enum http_framing {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,
	HTTP_BODY_CHUNKED,
	HTTP_BODY_UNTIL_CLOSE, /* responses only */
};

/* One parsed head. The spans point into the bytes it was parsed from. */
struct http_head {
	/* of a request */
	enum http_method method;
	struct span method_text;
	struct span target; /* as sent */
	struct span authority; /* Host, or the authority of an absolute-form target; may be empty */
	struct span path; /* as sent, not decoded; begins with '/', or is "*" (OPTIONS only) */
	struct span query; /* as sent, without the '?'; empty if there is none */
	bool expect_continue;

	/* of a response */
	int status; /* 100..599 */
	struct span reason;

	/* of both */
	int minor_version; /* 0 or 1: HTTP/1.x */
	bool keep_alive; /* what this message and its version allow (RFC 9112 section 9.3) */
	enum http_framing framing;
	uint64_t content_length; /* with HTTP_BODY_LENGTH */
	int header_count;
	struct http_header headers[LIMIT_HTTP_HEADERS];
};

/* Why a message is refused. */
struct http_fault {
	int status; /* what a server answers: 400, 413, 414, 417, 431, 501, 505 */
	const char *reason; /* a literal, for people */
};

enum {
	HTTP_MORE = 1, /* the input ends too early: come again with more */
	HTTP_DATA = 2, /* a piece of the body */
};

/*
 * Finds the end of a head in the bytes that have arrived so far. `*seen` is 0 at first and is the
 * function's own afterwards, so that no byte is looked at twice however slowly they come.
 * 0 with the length, terminator included; HTTP_MORE; -EBADMSG with a fault: a line that does not
 * end in CRLF, or no end within limit_bytes.
 */
int http_find_head(struct span in, size_t *seen, size_t limit_bytes, size_t *ret_head_bytes,
	struct http_fault *ret_fault) MUST_USE;

/* Parse a complete head, as found above. 0, or -EBADMSG with a fault. */
int http_parse_request(
	struct span head, struct http_head *ret, struct http_fault *ret_fault) MUST_USE;

/* The same for a response. The framing depends on the request that is answered. */
int http_parse_response(struct span head, enum http_method answers, struct http_head *ret,
	struct http_fault *ret_fault) MUST_USE;

/* Decoder of one body. */
struct http_body {
	enum http_framing framing;
	int state; /* of the chunked coding */
	uint64_t left; /* bytes of the body, or of the chunk */
	uint64_t total; /* bytes of content so far */
	uint32_t line_bytes; /* of the current chunk line or trailer section */
	uint32_t overhead; /* framing bytes not paid for by content */
	uint8_t digits;
	bool done; /* nothing more will come, and nothing more is needed to know it */
};

struct http_body http_body_of(const struct http_head *h);

/*
 * Takes the next piece off `in`: consumes *ret_consumed bytes of it (never 0 with HTTP_DATA), of
 * which *ret_data, a view into `in`, is content. HTTP_DATA; HTTP_MORE; 0 at the end of the body
 * (what follows in `in` is the next message); -EBADMSG with a fault. Trailer fields are checked
 * and dropped. With HTTP_BODY_UNTIL_CLOSE the caller knows the end.
 */
int http_body_next(struct http_body *b, struct span in, size_t *ret_consumed, struct span *ret_data,
	struct http_fault *ret_fault) MUST_USE;

/* Chunked coding, outwards: the line in front of n bytes (n > 0; CRLF follows them). */
enum { HTTP_CHUNK_LINE_BYTES = 18 };
size_t http_chunk_line(size_t n, char ret[HTTP_CHUNK_LINE_BYTES]);
#define HTTP_CHUNK_LAST SPAN("0\r\n\r\n")

/* The value of the first header of that name; p == NULL if absent. */
struct span http_header_get(const struct http_head *h, const char *name);

/* 0 with the value; HTTP_ABSENT; -EBADMSG (with a trail) if the header stands there twice. */
enum { HTTP_ABSENT = 3 };
int http_header_once(const struct http_head *h, const char *name, struct span *ret) MUST_USE;

/* Whether the comma-separated list in all headers of that name has the token, in any case. */
bool http_header_has_token(const struct http_head *h, const char *name, const char *token);

/* Whether these bytes may stand in a message that we write. */
bool http_valid_token(struct span s); /* a field name or method: 1 or more tchar */
bool http_valid_value(struct span s); /* VCHAR, obs-text, inner blanks; no controls */

const char *http_status_text(int status); /* "Not Found"; "" if unknown */
const char *http_method_name(enum http_method m); /* "GET"; "" for HTTP_OTHER */
enum http_method http_method_parse(struct span s); /* case matters */

enum { HTTP_DATE_BYTES = 30 }; /* with the NUL */
void http_date(int64_t wall_ns, char ret_text[HTTP_DATE_BYTES]); /* IMF-fixdate, RFC 9110 5.6.7 */
