/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Requests that two programs are known to read differently. Each row is the part of the message
 * that is in doubt; the rest is a plain request. All must be refused.
 */
#include "daemon/net/http.h"
#include "tests/tap.h"
#include <errno.h>
#include <stdlib.h>

struct vector {
	const char *why;
	struct span lines; /* behind the Host header, each with its CRLF */
};

#define VECTOR(why, lines) \
	{ \
		why, \
		{ \
			lines, sizeof(lines) - 1 \
		} \
	}

static const struct vector field_vectors[] = {
	VECTOR("CL.TE", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"),
	VECTOR("TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
	VECTOR("CL.0 with TE", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
	VECTOR("TE.TE, the second is unknown",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n"),
	VECTOR("TE twice, the same",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
	VECTOR("TE list", "Transfer-Encoding: gzip, chunked\r\n"),
	VECTOR("TE list, chunked first", "Transfer-Encoding: chunked, identity\r\n"),
	VECTOR("TE chunked twice in a list", "Transfer-Encoding: chunked, chunked\r\n"),
	VECTOR("TE empty", "Transfer-Encoding:\r\n"),
	VECTOR("TE identity", "Transfer-Encoding: identity\r\n"),
	VECTOR("TE xchunked", "Transfer-Encoding: xchunked\r\n"),
	VECTOR("TE chunked with a parameter", "Transfer-Encoding: chunked;q=1\r\n"),
	VECTOR("TE quoted", "Transfer-Encoding: \"chunked\"\r\n"),
	VECTOR("TE with a trailing comma", "Transfer-Encoding: chunked,\r\n"),
	VECTOR("TE with a leading comma", "Transfer-Encoding: ,chunked\r\n"),
	VECTOR("TE with a vertical tab",
		"Transfer-Encoding: \x0b"
		"chunked\r\n"),
	VECTOR("TE with a NUL", "Transfer-Encoding: chunked\0\r\n"),
	VECTOR("TE with a blank before the colon", "Transfer-Encoding : chunked\r\n"),
	VECTOR("TE with a tab before the colon", "Transfer-Encoding\t: chunked\r\n"),
	VECTOR("TE with a blank before the name", " Transfer-Encoding: chunked\r\n"),
	VECTOR("TE folded", "Transfer-Encoding:\r\n chunked\r\n"),
	VECTOR("TE folded by a tab", "Transfer-Encoding:\r\n\tchunked\r\n"),
	VECTOR("TE behind a bare CR", "X: y\rTransfer-Encoding: chunked\r\n"),
	VECTOR("TE with a byte of the eighth bit",
		"Transfer-Encoding: \xa0"
		"chunked\r\n"),
	VECTOR("CL twice, the same", "Content-Length: 5\r\nContent-Length: 5\r\n"),
	VECTOR("CL twice, different", "Content-Length: 5\r\nContent-Length: 6\r\n"),
	VECTOR("CL list", "Content-Length: 5, 5\r\n"),
	VECTOR("CL empty", "Content-Length:\r\n"),
	VECTOR("CL with a sign", "Content-Length: +5\r\n"),
	VECTOR("CL negative", "Content-Length: -5\r\n"),
	VECTOR("CL hexadecimal", "Content-Length: 0x5\r\n"),
	VECTOR("CL with an underscore", "Content-Length: 1_0\r\n"),
	VECTOR("CL with an inner blank", "Content-Length: 1 0\r\n"),
	VECTOR("CL with an exponent", "Content-Length: 1e1\r\n"),
	VECTOR("CL with a point", "Content-Length: 5.0\r\n"),
	VECTOR("CL beyond 63 bits", "Content-Length: 9223372036854775808\r\n"),
	VECTOR("CL beyond 64 bits", "Content-Length: 18446744073709551621\r\n"),
	VECTOR("CL folded", "Content-Length:\r\n 5\r\n"),
	VECTOR("CL with a blank before the colon", "Content-Length : 5\r\n"),
	VECTOR("CL with a letter behind", "Content-Length: 5a\r\n"),
	VECTOR("CL with a NUL", "Content-Length: 5\0\r\n"),
	VECTOR("CL in the wrong digits", "Content-Length: \xd9\xa5\r\n"),
	VECTOR("Host twice", "Host: b\r\n"),
	VECTOR("Host twice, the same", "Host: a\r\n"),
	VECTOR("Host twice, in another case", "hOST: a\r\n"),
	VECTOR("a name that is empty", ": x\r\n"),
	VECTOR("a line without a colon", "Content-Length 5\r\n"),
	VECTOR("a name with a NUL", "X\0: y\r\n"),
	VECTOR("a name with a bare CR", "X\r: y\r\n"),
	VECTOR("a name with a separator", "X(y): z\r\n"),
	VECTOR("a name with the eighth bit", "X\xff: y\r\n"),
	VECTOR("a value with a NUL", "X: a\0b\r\n"),
	VECTOR("a value with a bare CR", "X: a\rb\r\n"),
	VECTOR("a value that ends in CR CR LF", "X: a\r\r\n"),
	VECTOR("a value with an escape", "X: \x1b[0m\r\n"),
	VECTOR("a value with DEL", "X: \x7f\r\n"),
	VECTOR("a value with a bare LF", "X: a\nContent-Length: 5\r\n"),
	VECTOR("an early end by LF LF", "X: a\n\n"),
};

static const struct vector line_vectors[] = {
	VECTOR("two blanks before the target", "GET  / HTTP/1.1"),
	VECTOR("two blanks before the version", "GET /  HTTP/1.1"),
	VECTOR("a blank behind the version", "GET / HTTP/1.1 "),
	VECTOR("a tab between", "GET\t/ HTTP/1.1"),
	VECTOR("a blank in front", " GET / HTTP/1.1"),
	VECTOR("no version", "GET /"),
	VECTOR("no target", "GET HTTP/1.1"),
	VECTOR("a version in lower case", "GET / http/1.1"),
	VECTOR("a version of three numbers", "GET / HTTP/1.1.1"),
	VECTOR("a version with more digits", "GET / HTTP/1.10"),
	VECTOR("a version with a leading zero", "GET / HTTP/01.1"),
	VECTOR("a version by another protocol", "GET / RTSP/1.1"),
	VECTOR("a method with a colon", "GET: / HTTP/1.1"),
	VECTOR("a method that is too long", "GETGETGETGETGETGETGETGETGETGETGETGETGET / HTTP/1.1"),
	VECTOR("a bare CR in the line", "GET /\rx HTTP/1.1"),
	VECTOR("a NUL in the target", "GET /\0 HTTP/1.1"),
	VECTOR("the eighth bit in the target", "GET /\xc3\xa9 HTTP/1.1"),
	VECTOR("a backslash in the target", "GET \\ HTTP/1.1"),
	VECTOR("a fragment in the target", "GET /#x HTTP/1.1"),
	VECTOR("half an escape in the target", "GET /%4 HTTP/1.1"),
	VECTOR("a bad escape in the target", "GET /%zz HTTP/1.1"),
	VECTOR("a target that is no path", "GET x HTTP/1.1"),
	VECTOR("a target of another scheme", "GET ftp://a/ HTTP/1.1"),
	VECTOR("an authority that is not Host", "GET http://b/ HTTP/1.1"),
	VECTOR("an authority with a user", "GET http://a@b/ HTTP/1.1"),
	VECTOR("an authority that is empty", "GET http:/// HTTP/1.1"),
	VECTOR("an asterisk for GET", "GET * HTTP/1.1"),
	VECTOR("a second request line", "GET / HTTP/1.1\r\nGET / HTTP/1.1"),
};

static const struct vector whole_vectors[] = {
	VECTOR("no Host", "GET / HTTP/1.1\r\n\r\n"),
	VECTOR("Host with a blank in it", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
	VECTOR("Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
	VECTOR("Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
	VECTOR("Host with a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
	VECTOR("Host with a port of letters", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
	VECTOR("Host with a port out of range", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
	VECTOR("Host with an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
	VECTOR("Host with a name in brackets", "GET / HTTP/1.1\r\nHost: [abc]\r\n\r\n"),
	VECTOR("Host folded", "GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n"),
	VECTOR("the first header folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
	VECTOR("TE in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
	VECTOR("two empty lines in front", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
	VECTOR("a bare LF in front", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
	VECTOR("nothing", ""),
	VECTOR("the old protocol 0.9", "GET /\r\n\r\n"),
	VECTOR("a head that breaks off", "GET / HTTP/1.1\r\nHost: a\r\n"),
	VECTOR("bytes behind the head", "GET / HTTP/1.1\r\nHost: a\r\n\r\nX"),
};

/* As a server does it: find the end, then parse. Only a refusal, or never an end, will do. */
static bool is_refused(struct span message)
{
	static struct http_head head;
	struct http_fault fault = {0};
	char *copy = malloc(message.n ? message.n : 1);
	size_t seen = 0, bytes = 0;
	int r;

	memcpy(copy, message.n ? message.p : "", message.n);
	message.p = copy;
	r = http_find_head(message, &seen, LIMIT_HTTP_HEAD_BYTES, &bytes, &fault);
	if (r == 0 && bytes == message.n)
		r = http_parse_request(message, &head, &fault);
	else if (r == 0)
		r = -EBADMSG; /* the end that was found is not the end that was meant */
	free(copy);
	return r == -EBADMSG || r == HTTP_MORE;
}

static void every(const struct vector *v, size_t count, const char *before, const char *after)
{
	for (size_t i = 0; i < count; i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(4096);
		buf_puts(&b, before);
		buf_span(&b, v[i].lines);
		buf_puts(&b, after);
		if (!is_refused(buf_view(&b)))
			fail_msg("accepted: %s", v[i].why);
	}
}

static void fields_in_doubt_are_refused(void **state)
{
	every(field_vectors, ARRAY_LEN(field_vectors), "POST / HTTP/1.1\r\nHost: a\r\n", "\r\n");
}

static void request_lines_in_doubt_are_refused(void **state)
{
	every(line_vectors, ARRAY_LEN(line_vectors), "", "\r\nHost: a\r\n\r\n");
}

static void messages_in_doubt_are_refused(void **state)
{
	every(whole_vectors, ARRAY_LEN(whole_vectors), "", "");
}

static void the_frame_of_the_vectors_is_sound(void **state)
{
	static struct http_head head;
	struct http_fault fault;

	assert_int_equal(
		http_parse_request(SPAN("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n"),
			&head, &fault),
		0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_in_doubt_are_refused),
		cmocka_unit_test(request_lines_in_doubt_are_refused),
		cmocka_unit_test(messages_in_doubt_are_refused),
		cmocka_unit_test(the_frame_of_the_vectors_is_sound),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
