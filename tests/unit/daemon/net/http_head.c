/* SPDX-License-Identifier: AGPL-3.0-only */
/* What heads say when they are well formed, and how they are found in a stream of bytes. */
#include "daemon/net/http.h"
#include "tests/tap.h"
#include <errno.h>
#include <stdlib.h>

static struct http_head head;
static struct http_fault fault;

static void assert_span(struct span got, const char *want)
{
	if (!span_is(got, want))
		fail_msg("got \"" SPAN_FMT "\", want \"%s\"", SPAN_ARG(got), want);
}

static void request(const char *text)
{
	int r = http_parse_request(span_cstr(text), &head, &fault);

	if (r != 0)
		fail_msg("%s: %s", text, fault.reason);
}

static void response(const char *text, enum http_method answers)
{
	int r = http_parse_response(span_cstr(text), answers, &head, &fault);

	if (r != 0)
		fail_msg("%s: %s", text, fault.reason);
}

static void refused(const char *text, int status)
{
	int r = http_parse_request(span_cstr(text), &head, &fault);

	if (r != -EBADMSG || fault.status != status)
		fail_msg("%s: got %d, status %d", text, r, r ? fault.status : 0);
}

static void a_request_is_read(void **state)
{
	request("POST /v1/agents?force=true&x HTTP/1.1\r\nHost: h.example:8088\r\n"
		"Content-Length: 12\r\nX-Empty:\r\nx-blanks: \t a b\t \r\n\r\n");
	assert_int_equal(head.method, HTTP_POST);
	assert_span(head.method_text, "POST");
	assert_span(head.target, "/v1/agents?force=true&x");
	assert_span(head.path, "/v1/agents");
	assert_span(head.query, "force=true&x");
	assert_span(head.authority, "h.example:8088");
	assert_int_equal(head.minor_version, 1);
	assert_true(head.keep_alive);
	assert_int_equal(head.framing, HTTP_BODY_LENGTH);
	assert_int_equal(head.content_length, 12);
	assert_int_equal(head.header_count, 4);
	assert_span(head.headers[2].name, "X-Empty");
	assert_span(head.headers[2].value, "");
	assert_span(head.headers[3].value, "a b");
}

static void the_next_message_begins_clean(void **state)
{
	request("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
		"Expect: 100-continue\r\nConnection: close\r\n\r\n");
	assert_int_equal(head.framing, HTTP_BODY_CHUNKED);
	assert_true(head.expect_continue);
	assert_false(head.keep_alive);
	request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(head.framing, HTTP_BODY_NONE);
	assert_false(head.expect_continue);
	assert_true(head.keep_alive);
	assert_int_equal(head.header_count, 1);
	assert_span(head.query, "");
}

static void forms_of_targets(void **state)
{
	request("GET http://h.example:80/p?q HTTP/1.1\r\nHost: H.example:80\r\n\r\n");
	assert_span(head.authority, "h.example:80");
	assert_span(head.path, "/p");
	assert_span(head.query, "q");
	request("GET https://h.example?q HTTP/1.1\r\nHost: h.example\r\n\r\n");
	assert_span(head.path, "/");
	assert_span(head.query, "q");
	request("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_span(head.path, "*");
	request("GET /%7euser/%C3%A9?a=[1] HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
	assert_span(head.path, "/%7euser/%C3%A9");
	request("GET / HTTP/1.1\r\nHost:\r\n\r\n");
	assert_span(head.authority, "");
	request("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_span(head.path, "/");
}

static void old_clients_must_ask_to_keep_the_connection(void **state)
{
	request("GET / HTTP/1.0\r\n\r\n");
	assert_false(head.keep_alive);
	request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
	assert_true(head.keep_alive);
	request("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n");
	assert_false(head.keep_alive);
	request("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo , CLOSE\r\n\r\n");
	assert_false(head.keep_alive);
	request("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n");
	assert_true(head.keep_alive);
}

static void expectations(void **state)
{
	request("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n");
	assert_true(head.expect_continue);
	request("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n");
	assert_false(head.expect_continue);
	request("PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
	assert_false(head.expect_continue);
	refused("PUT / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", 417);
}

static void each_refusal_has_its_status(void **state)
{
	refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505);
	refused("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505);
	refused("PRI * HTTP/2.0\r\n\r\n", 505);
	refused("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501);
	refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501);
}

static void limits_of_a_head(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);

	buf_puts(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 1; i < LIMIT_HTTP_HEADERS; i++)
		buf_printf(&b, "h%d: v\r\n", i);
	buf_puts(&b, "\r\n");
	request(buf_cstr(&b));
	assert_int_equal(head.header_count, LIMIT_HTTP_HEADERS);
	b.len -= 2;
	buf_puts(&b, "one: more\r\n\r\n");
	refused(buf_cstr(&b), 431);

	buf_reset(&b);
	buf_puts(&b, "GET /");
	for (int i = 1; i < LIMIT_HTTP_TARGET_BYTES; i++)
		buf_putc(&b, 'a');
	size_t longest = b.len;
	buf_puts(&b, " HTTP/1.1\r\nHost: a\r\n\r\n");
	request(buf_cstr(&b));
	b.len = longest;
	buf_puts(&b, "a HTTP/1.1\r\nHost: a\r\n\r\n");
	refused(buf_cstr(&b), 414);
}

static int find(const char *text, size_t limit, size_t *ret_bytes)
{
	size_t n = strlen(text), seen = 0;
	int r = HTTP_MORE;

	/* Byte by byte from a copy of exactly that size, so that a read too far is seen. */
	for (size_t i = 0; i <= n && r == HTTP_MORE; i++) {
		char *copy = malloc(i ? i : 1);
		memcpy(copy, text, i);
		r = http_find_head(span_of(copy, i), &seen, limit, ret_bytes, &fault);
		free(copy);
	}
	return r;
}

static void the_end_of_a_head_is_found_byte_by_byte(void **state)
{
	size_t bytes = 0;

	assert_int_equal(find("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET", 100, &bytes), 0);
	assert_int_equal(bytes, 27);
	assert_int_equal(find("GET / HTTP/1.1\r\nHost: a\r\n", 100, &bytes), HTTP_MORE);
	assert_int_equal(find("\r\nGET / HTTP/1.1\r\n\r\nx", 100, &bytes), 0);
	assert_int_equal(bytes, 20);
	assert_int_equal(find("GET / HTTP/1.1\nHost: a\n\n", 100, &bytes), -EBADMSG);
	assert_int_equal(fault.status, 400);
	assert_int_equal(find("\n", 100, &bytes), -EBADMSG);
	assert_int_equal(find("GET / HTTP/1.1\r\n\n", 100, &bytes), -EBADMSG);
	assert_int_equal(find("GET /aaaaaaaaaaaaaaaaaaaaaaaaaa", 20, &bytes), -EBADMSG);
	assert_int_equal(fault.status, 414);
	assert_int_equal(find("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 20, &bytes), -EBADMSG);
	assert_int_equal(fault.status, 431);
	assert_int_equal(find("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, &bytes), 0);
}

static void a_response_is_read(void **state)
{
	response("HTTP/1.1 200 All is well\r\nContent-Length: 3\r\n\r\n", HTTP_GET);
	assert_int_equal(head.status, 200);
	assert_span(head.reason, "All is well");
	assert_int_equal(head.framing, HTTP_BODY_LENGTH);
	assert_true(head.keep_alive);
	response("HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n", HTTP_POST);
	assert_int_equal(head.framing, HTTP_BODY_CHUNKED);
	response("HTTP/1.0 200 OK\r\n\r\n", HTTP_GET);
	assert_int_equal(head.framing, HTTP_BODY_UNTIL_CLOSE);
	assert_false(head.keep_alive);
	response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HTTP_GET);
	assert_int_equal(head.framing, HTTP_BODY_NONE);
	assert_true(head.keep_alive);
}

static void some_answers_never_have_a_body(void **state)
{
	response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP_HEAD);
	assert_int_equal(head.framing, HTTP_BODY_NONE);
	assert_true(head.keep_alive);
	response("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", HTTP_GET);
	assert_int_equal(head.framing, HTTP_BODY_NONE);
	assert_true(head.keep_alive);
	response("HTTP/1.1 204 No Content\r\n\r\n", HTTP_GET);
	assert_int_equal(head.framing, HTTP_BODY_NONE);
	assert_true(head.keep_alive);
	response("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", HTTP_GET);
	assert_int_equal(head.framing, HTTP_BODY_NONE);
	assert_false(head.keep_alive);
	response("HTTP/1.1 100 Continue\r\n\r\n", HTTP_POST);
	assert_int_equal(head.framing, HTTP_BODY_NONE);
}

static void bad_responses_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"\r\n",
		"HTTP/1.1 200 OK\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1 600 OK\r\n\r\n",
		"HTTP/1.1 099 OK\r\n\r\n",
		"HTTP/1.1 +20 OK\r\n\r\n",
		"HTTP/2 200 OK\r\n\r\n",
		"HTTP/1.1  200 OK\r\n\r\n",
		"HTTP/1.1 200 O\x01K\r\n\r\n",
		"ICY 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (http_parse_response(span_cstr(bad[i]), HTTP_GET, &head, &fault) != -EBADMSG)
			fail_msg("accepted: %s", bad[i]);
		assert_non_null(fault.reason);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_read),
		cmocka_unit_test(the_next_message_begins_clean),
		cmocka_unit_test(forms_of_targets),
		cmocka_unit_test(old_clients_must_ask_to_keep_the_connection),
		cmocka_unit_test(expectations),
		cmocka_unit_test(each_refusal_has_its_status),
		cmocka_unit_test(limits_of_a_head),
		cmocka_unit_test(the_end_of_a_head_is_found_byte_by_byte),
		cmocka_unit_test(a_response_is_read),
		cmocka_unit_test(some_answers_never_have_a_body),
		cmocka_unit_test(bad_responses_are_refused),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
