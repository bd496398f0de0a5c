/* SPDX-License-Identifier: AGPL-3.0-only */
/* Bodies: what comes out does not depend on how the bytes were cut. */
#include "daemon/net/http.h"
#include "tests/tap.h"
#include <errno.h>
#include <stdlib.h>

/* Decodes the text in pieces of `step` bytes. The result of the last step; *ret_used is where the
 * body ended. */
static int decode(struct http_body b, struct span text, size_t step, struct buf *out,
	size_t *ret_used, struct http_fault *fault)
{
	size_t at = 0, have = 0;
	int r = HTTP_MORE;

	while (r > 0) {
		size_t consumed = 0;
		struct span data = {0};
		char *copy = malloc(have - at ? have - at : 1);

		memcpy(copy, text.p + at, have - at);
		r = http_body_next(&b, span_of(copy, have - at), &consumed, &data, fault);
		assert_true(consumed <= have - at);
		if (r == HTTP_DATA) {
			assert_true(data.n > 0 && consumed >= data.n);
			buf_span(out, data);
		}
		free(copy);
		at += r >= 0 ? consumed : 0;
		if (r == HTTP_MORE && have == text.n)
			break;
		if (r == HTTP_MORE)
			have = MIN(text.n, have + step);
	}
	*ret_used = at;
	return r;
}

static const struct http_body chunked = {.framing = HTTP_BODY_CHUNKED};

static void assert_decodes(const char *text, const char *content, const char *rest)
{
	for (size_t step = 1; step <= strlen(text); step++) {
		struct buf out CLEANUP(buf_fini) = buf_init(1 << 20);
		struct http_fault fault = {0};
		size_t used = 0;
		int r = decode(chunked, span_cstr(text), step, &out, &used, &fault);

		if (r != 0)
			fail_msg("%s: %s", text, fault.reason);
		assert_true(span_is(buf_view(&out), content));
		assert_string_equal(text + used, rest);
	}
}

static void chunks_are_joined(void **state)
{
	assert_decodes("0\r\n\r\n", "", "");
	assert_decodes("5\r\nhello\r\n0\r\n\r\nGET", "hello", "GET");
	assert_decodes(
		"5\r\nhello\r\n001\r\n \r\nA\r\nworld12345\r\n0\r\n\r\n", "hello world12345", "");
	assert_decodes("2;name=value;other=\"a b\"\r\n\r\n\r\n0;last\r\n\r\n", "\r\n", "");
	assert_decodes("1\r\nx\r\n0\r\nTrailer: yes\r\nOther:\r\n\r\nrest", "x", "rest");
}

static void bad_chunks_are_refused(void **state)
{
	static const struct span bad[] = {
		SPAN("\r\n"),
		SPAN("g\r\n"),
		SPAN("-1\r\n"),
		SPAN("+1\r\n"),
		SPAN("0x1\r\n"),
		SPAN(" 1\r\n"),
		SPAN("1 \r\n"),
		SPAN("1 ;a\r\n"),
		SPAN(";a\r\n"),
		SPAN("1\nx"),
		SPAN("1\rx"),
		SPAN("1;a\nx"),
		SPAN("1;a\rb\r\n"),
		SPAN("1;\0\r\n"),
		SPAN("1;\xff\r\n"),
		SPAN("1\r\nxy\r\n"),
		SPAN("1\r\nx\n"),
		SPAN("1\r\nx\rx"),
		SPAN("0000000000000001\r\n"),
		SPAN("fffffffffffffffff\r\n"),
		SPAN("0\r\n\n"),
		SPAN("0\r\n\rx"),
		SPAN("0\r\n: x\r\n"),
		SPAN("0\r\nA : x\r\n"),
		SPAN("0\r\nA\r\n"),
		SPAN("0\r\n x\r\n"),
		SPAN("0\r\nA: x\ny"),
		SPAN("0\r\nA: x\r\r"),
		SPAN("0\r\nA: \0\r\n"),
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		for (size_t step = 1; step <= bad[i].n; step++) {
			struct buf out CLEANUP(buf_fini) = buf_init(1 << 20);
			struct http_fault fault = {0};
			size_t used = 0;
			int r = decode(chunked, bad[i], step, &out, &used, &fault);
			if (r != -EBADMSG)
				fail_msg("accepted: " SPAN_FMT, SPAN_ARG(bad[i]));
			assert_int_equal(fault.status, 400);
		}
	}
}

static int decode_whole(struct buf *text)
{
	struct http_body b = chunked;
	struct span in = buf_view(text), piece;
	struct http_fault fault;
	size_t used;
	int r;

	assert_int_equal(buf_error(text), 0);
	while ((r = http_body_next(&b, in, &used, &piece, &fault)) == HTTP_DATA)
		in = span_sub(in, used, in.n);
	return r;
}

static void put_many(struct buf *b, char c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_putc(b, c);
}

static void framing_is_limited(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 22);

	/* One long extension passes, one longer does not. */
	buf_puts(&b, "1;");
	put_many(&b, 'a', LIMIT_HTTP_CHUNK_LINE_BYTES - 4);
	buf_puts(&b, "\r\nx\r\n0\r\n\r\n");
	assert_int_equal(decode_whole(&b), 0);
	buf_reset(&b);
	buf_puts(&b, "1;");
	put_many(&b, 'a', LIMIT_HTTP_CHUNK_LINE_BYTES - 3);
	buf_puts(&b, "\r\nx\r\n0\r\n\r\n");
	assert_int_equal(decode_whole(&b), -EBADMSG);

	/* Extensions that nothing pays for run out of credit. */
	buf_reset(&b);
	for (int i = 0; i < 200; i++) {
		buf_puts(&b, "1;");
		put_many(&b, 'a', 200);
		buf_puts(&b, "\r\nx\r\n");
	}
	buf_puts(&b, "0\r\n\r\n");
	assert_int_equal(decode_whole(&b), -EBADMSG);

	/* Many small chunks without extensions do not. */
	buf_reset(&b);
	for (int i = 0; i < 100000; i++)
		buf_puts(&b, "1\r\nx\r\n");
	buf_puts(&b, "0\r\n\r\n");
	assert_int_equal(decode_whole(&b), 0);

	/* A long trailer section. */
	buf_reset(&b);
	buf_puts(&b, "0\r\n");
	for (int i = 0; i < LIMIT_HTTP_TRAILER_BYTES / 6 + 1; i++)
		buf_puts(&b, "a: b\r\n");
	buf_puts(&b, "\r\n");
	assert_int_equal(decode_whole(&b), -EBADMSG);
}

static void a_length_is_kept(void **state)
{
	struct http_body b = {.framing = HTTP_BODY_LENGTH, .left = 5};
	struct buf out CLEANUP(buf_fini) = buf_init(100);
	struct http_fault fault;
	size_t used;

	for (size_t step = 1; step < 8; step++) {
		buf_reset(&out);
		assert_int_equal(decode(b, SPAN("helloGET"), step, &out, &used, &fault), 0);
		assert_int_equal(used, 5);
		assert_true(span_is(buf_view(&out), "hello"));
	}
	assert_int_equal(decode(b, SPAN("hel"), 1, &out, &used, &fault), HTTP_MORE);
	b = (struct http_body){.framing = HTTP_BODY_NONE};
	assert_int_equal(decode(b, SPAN("GET"), 1, &out, &used, &fault), 0);
	assert_int_equal(used, 0);
	b = (struct http_body){.framing = HTTP_BODY_UNTIL_CLOSE};
	buf_reset(&out);
	assert_int_equal(decode(b, SPAN("all of it"), 2, &out, &used, &fault), HTTP_MORE);
	assert_true(span_is(buf_view(&out), "all of it"));
}

static void chunk_lines_are_written_as_they_are_read(void **state)
{
	static const size_t sizes[] = {1, 9, 10, 15, 16, 255, 256, 4096, 65535};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
		char line[HTTP_CHUNK_LINE_BYTES];
		buf_put(&b, line, http_chunk_line(sizes[i], line));
		put_many(&b, 'x', sizes[i]);
		buf_puts(&b, "\r\n");
		buf_span(&b, HTTP_CHUNK_LAST);
		assert_int_equal(decode_whole(&b), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_are_joined),
		cmocka_unit_test(bad_chunks_are_refused),
		cmocka_unit_test(framing_is_limited),
		cmocka_unit_test(a_length_is_kept),
		cmocka_unit_test(chunk_lines_are_written_as_they_are_read),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
