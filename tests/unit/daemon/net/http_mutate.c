/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Every damaged copy of a few messages. A copy may still be a message, but then it must be framed
 * as its own headers say, and nothing outside of the copy may be read.
 */
#include "daemon/net/http.h"
#include "daemon/net/url.h"
#include "tests/tap.h"
#include "tests/unit/mutate.h"
#include <errno.h>

static struct http_head head;

static void head_is_sound(struct span text, const char *what)
{
	bool chunked = http_header_get(&head, "transfer-encoding").p;
	struct span length = http_header_get(&head, "content-length");
	uint64_t n = 0;

	if (length.p && (chunked || span_to_u64(length, &n) < 0))
		fail_msg("%s: " SPAN_FMT, what, SPAN_ARG(text));
	for (int i = 0; i < head.header_count; i++) {
		struct span name = head.headers[i].name, value = head.headers[i].value;
		assert_true(name.p >= text.p && value.p + value.n <= text.p + text.n);
	}
}

static void damaged_request(struct span text, const char *what, void *arg)
{
	struct http_fault fault = {0};
	int r = http_parse_request(text, &head, &fault);

	assert_true(r == 0 || (r == -EBADMSG && fault.status >= 400 && fault.reason));
	if (r < 0)
		return;
	head_is_sound(text, what);
	assert_int_equal(head.framing == HTTP_BODY_CHUNKED,
		http_header_get(&head, "transfer-encoding").p != NULL);
}

static void damaged_response(struct span text, const char *what, void *arg)
{
	struct http_fault fault = {0};
	int r = http_parse_response(text, HTTP_GET, &head, &fault);

	assert_true(r == 0 || (r == -EBADMSG && fault.reason));
	if (r == 0)
		head_is_sound(text, what);
}

static void damaged_chunks(struct span text, const char *what, void *arg)
{
	struct http_body b = {.framing = HTTP_BODY_CHUNKED};
	struct http_fault fault = {0};
	int r = HTTP_DATA;

	while (r == HTTP_DATA) {
		struct span piece;
		size_t used;
		r = http_body_next(&b, text, &used, &piece, &fault);
		if (r >= 0)
			text = span_sub(text, used, text.n);
	}
	assert_true(r == 0 || r == HTTP_MORE || (r == -EBADMSG && fault.reason));
}

static void damaged_url(struct span text, const char *what, void *arg)
{
	struct url u;
	int r = url_parse(text, &u);

	assert_true(r == 0 || r == -EINVAL);
	if (r == 0)
		assert_true(u.host.n && u.target.n && u.target.p[0] == '/');
	err_clear();
}

static void damaged_requests_are_refused_or_sound(void **state)
{
	mutate(SPAN("POST /a/b?c=d HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 12\r\n\r\n"),
		MUTATE_ALL, damaged_request, NULL);
	mutate(SPAN("PUT http://h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
		    "Connection: close\r\n\r\n"),
		MUTATE_ALL, damaged_request, NULL);
}

static void damaged_responses_are_refused_or_sound(void **state)
{
	mutate(SPAN("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nServer: x\r\n\r\n"), MUTATE_ALL,
		damaged_response, NULL);
}

static void damaged_bodies_are_refused_or_sound(void **state)
{
	mutate(SPAN("5;a=b\r\nhello\r\n1f\r\n0123456789012345678901234567890\r\n0\r\nT: x\r\n\r\n"),
		MUTATE_ALL, damaged_chunks, NULL);
}

static void damaged_urls_are_refused_or_sound(void **state)
{
	mutate(SPAN("https://[::1]:8088/v1/agents?x=%20"), MUTATE_ALL, damaged_url, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damaged_requests_are_refused_or_sound),
		cmocka_unit_test(damaged_responses_are_refused_or_sound),
		cmocka_unit_test(damaged_bodies_are_refused_or_sound),
		cmocka_unit_test(damaged_urls_are_refused_or_sound),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
