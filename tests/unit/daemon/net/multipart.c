/* SPDX-License-Identifier: AGPL-3.0-only */
/* Forms, whole and cut at every byte: the same parts come out. */
#include "daemon/net/multipart.h"
#include "tests/tap.h"
#include "tests/unit/mutate.h"
#include <stdio.h>
#include <stdlib.h>

static const char type[] = "Multipart/form-data; charset=x; boundary=\"b--x\"";
static const char form[] = "a preamble\r\n--b--x\r\n"
			   "Content-Disposition: form-data; name=\"path\"\r\n\r\n"
			   "docs/a.txt\r\n--b--x  \r\n"
			   "content-disposition: form-data; name=file; filename=\"a.txt\"\r\n"
			   "Content-Type: text/plain\r\n\r\n"
			   "one\r\n--b--\r\n-- two\r\n--b--x\r\n"
			   "Content-Disposition: form-data; name=\"empty\"\r\n\r\n"
			   "\r\n--b--x--\r\nan epilogue";

struct reader {
	struct multipart m;
	struct buf out; /* what was seen, in words */
	int end;
};

static void read_piece(struct reader *r, struct span piece)
{
	struct span data = {0};
	int e;

	while ((e = multipart_next(&r->m, piece, &data)) == MULTIPART_PART || e == MULTIPART_DATA) {
		piece = (struct span){0};
		if (e == MULTIPART_PART)
			buf_printf(&r->out, "[%s|%s]", r->m.name, r->m.filename);
		else
			buf_span(&r->out, data);
	}
	r->end = e;
}

static void read_cut(struct span text, size_t step, struct reader *r)
{
	*r = (struct reader){.out = buf_init(1 << 20), .end = MULTIPART_MORE};
	assert_int_equal(multipart_init(&r->m, span_cstr(type)), 0);
	for (size_t i = 0; i < text.n && r->end == MULTIPART_MORE; i += step)
		read_piece(r, span_sub(text, i, MIN(text.n, i + step)));
}

static void reader_fini(struct reader *r)
{
	multipart_fini(&r->m);
	buf_fini(&r->out);
	err_clear();
}

static void test_parts(void **state)
{
	for (size_t step = 1; step <= sizeof(form); step++) {
		struct reader r;
		read_cut(span_cstr(form), step, &r);
		assert_int_equal(r.end, MULTIPART_END);
		struct span out = buf_view(&r.out);
		assert_true(span_is(
			out, "[path|]docs/a.txt[file|a.txt]one\r\n--b--\r\n-- two[empty|]"));
		reader_fini(&r);
	}
}

static void test_refusals(void **state)
{
	static const char *const types[] = {"text/plain", "multipart/mixed; boundary=x",
		"multipart/form-data", "multipart/form-data; boundary=",
		("multipart/form-data; boundary="
		 "12345678901234567890123456789012345678901234567890123456789012345678901")};
	struct multipart m;
	struct reader r;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		assert_int_equal(multipart_init(&m, span_cstr(types[i])), -EINVAL);
		multipart_fini(&m);
	}
	err_clear();
	read_cut(SPAN("--b--x\r\nX: y\r\n\r\nz\r\n--b--x--"), 1000, &r);
	assert_int_equal(r.end, -EBADMSG);
	reader_fini(&r);
	read_cut(SPAN("--b--xy\r\n"), 1000, &r);
	assert_int_equal(r.end, -EBADMSG);
	reader_fini(&r);
	/* A head without an end is held up to its limit. */
	char *long_head = calloc(1, 3 * LIMIT_MULTIPART_HEAD_BYTES);
	memset(long_head, 'x', 3 * LIMIT_MULTIPART_HEAD_BYTES - 1);
	memcpy(long_head, "--b--x\r\n", 8);
	read_cut(span_cstr(long_head), 100, &r);
	assert_int_equal(r.end, -E2BIG);
	free(long_head);
	reader_fini(&r);
}

/* Content of any length passes, and little of it is held. */
static void test_bounded(void **state)
{
	struct reader r;
	char piece[4096];

	read_cut(SPAN("--b--x\r\nContent-Disposition: form-data; name=f; filename=g\r\n\r\n"), 1000,
		&r);
	memset(piece, '-', sizeof(piece));
	for (int i = 0; i < 4096; i++) {
		read_piece(&r, span_of(piece, sizeof(piece)));
		assert_int_equal(r.end, MULTIPART_MORE);
		assert_true(r.m.held.len <= 2 * sizeof(piece));
		buf_reset(&r.out);
	}
	reader_fini(&r);
}

static void damaged_form(struct span damaged, const char *what, void *arg)
{
	struct reader r;

	read_cut(damaged, 7, &r);
	assert_true(r.end == MULTIPART_MORE || r.end == MULTIPART_END || r.end == -EBADMSG ||
		r.end == -E2BIG);
	reader_fini(&r);
}

static void test_damage(void **state)
{
	assert_true(mutate(span_cstr(form), MUTATE_ALL, damaged_form, NULL) > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_damage),
	};
	return cmocka_run_group_tests_name("daemon/net/multipart", tests, NULL, NULL);
}
