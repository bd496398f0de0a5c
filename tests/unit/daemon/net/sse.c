/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/net/sse.h"
#include "tests/tap.h"
#include <errno.h>
#include <stdlib.h>

/* Every event of the text as "type|id|data;", read in pieces of `step` bytes. */
static void read_all(struct span text, size_t step, struct buf *out)
{
	struct sse_parser p;

	sse_parser_init(&p);
	for (size_t at = 0; at < text.n; at += step) {
		struct span in = span_sub(text, at, at + step);
		struct sse_event e;
		size_t used = 0;
		int r;

		while ((r = sse_parse(&p, in, &used, &e)) == SSE_EVENT) {
			buf_printf(out, SPAN_FMT "|" SPAN_FMT "|" SPAN_FMT ";", SPAN_ARG(e.type),
				SPAN_ARG(e.id), SPAN_ARG(e.data));
			in = span_sub(in, used, in.n);
		}
		assert_int_equal(r, SSE_MORE);
		assert_int_equal(used, in.n);
	}
	sse_parser_fini(&p);
}

static void assert_reads(struct span text, const char *want)
{
	for (size_t step = 1; step <= text.n; step++) {
		struct buf out CLEANUP(buf_fini) = buf_init(1 << 20);
		read_all(text, step, &out);
		if (!span_is(buf_view(&out), want))
			fail_msg("step %zu: got %s, want %s", step, buf_cstr(&out), want);
	}
}

static void events_are_read(void **state)
{
	assert_reads(SPAN("data: a\n\n"), "||a;");
	assert_reads(SPAN("data:a\r\n\r\ndata:  b\r\rdata: c\n\n"), "||a;|| b;||c;");
	assert_reads(SPAN("event: x\nid: 7\ndata: {\"k\":1}\n\ndata: next\n\n"),
		"x|7|{\"k\":1};|7|next;");
	assert_reads(SPAN("data: a\ndata: b\ndata\n\n"), "||a\nb\n;");
	assert_reads(SPAN(": comment\n\n:\n\ndata: a\n\n"), "||a;");
	assert_reads(SPAN("event: lost\n\ndata: a\n\n"), "||a;");
	assert_reads(SPAN("\xef\xbb\xbf"
			  "data: a\n\n\xef\xbb\xbf"
			  "data: b\n\n"),
		"||a;");
	assert_reads(SPAN("retry: 10\nother: x\nnocolon\ndata: a\n\n"), "||a;");
	assert_reads(SPAN("id: a\0b\nid: 1\nid: a\0b\ndata: x\n\n"), "|1|x;");
	assert_reads(SPAN("data: cut off"), "");
}

static void what_is_written_is_read(void **state)
{
	static const struct {
		struct sse_event e;
		const char *want;
	} cases[] = {
		{{.data = SPAN("plain")}, "||plain;"},
		{{.type = SPAN("t"), .id = SPAN("9"), .data = SPAN("a\nb")}, "t|9|a\nb;"},
		{{.data = SPAN("a\r\nb\rc\n")}, "||a\nb\nc\n;"},
		{{.data = SPAN("\n\n")}, "||\n\n;"},
		{{.type = SPAN("t\ndata: evil"), .data = SPAN("x")}, "tdata: evil||x;"},
		{{.id = SPAN("1\r\n\r\n2"), .data = SPAN("x")}, "|12|x;"},
		{{.data = SPAN(" leading blank")}, "|| leading blank;"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(4096);
		sse_write_comment(&b, SPAN("hello\nthere"));
		sse_write(&b, &cases[i].e);
		assert_int_equal(buf_error(&b), 0);
		assert_reads(buf_view(&b), cases[i].want);
	}
}

static void a_heartbeat_is_a_comment(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64);

	sse_write_comment(&b, SPAN(""));
	assert_string_equal(buf_cstr(&b), ":\n\n");
}

static void an_event_is_limited(void **state)
{
	struct sse_parser p;
	char *block = calloc(1, 65536);
	struct sse_event e;
	size_t used;
	int r = SSE_MORE;

	assert_non_null(block);
	memset(block, 'x', 65536);
	sse_parser_init(&p);
	for (int i = 0; i < LIMIT_SSE_EVENT_BYTES / 65536 + 1 && r == SSE_MORE; i++)
		r = sse_parse(&p, span_of(block, 65536), &used, &e);
	assert_int_equal(r, -E2BIG);
	sse_parser_fini(&p);
	free(block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_read),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_heartbeat_is_a_comment),
		cmocka_unit_test(an_event_is_limited),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
