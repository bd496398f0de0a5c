/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include "tests/unit/daemon/base/dies.h"
#include <errno.h>

static void collects_what_is_put(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1000);
	buf_put(&b, "ab", 2);
	buf_put(&b, NULL, 0);
	buf_puts(&b, "cd");
	buf_putc(&b, 'e');
	buf_span(&b, SPAN("f\0g"));
	buf_printf(&b, "%d-%s", 42, "x");
	assert_int_equal(buf_error(&b), 0);
	assert_true(span_eq(buf_view(&b), SPAN("abcdef\0g42-x")));
	buf_consume(&b, 3);
	assert_true(span_eq(buf_view(&b), SPAN("def\0g42-x")));
	buf_consume(&b, b.len);
	assert_int_equal(b.len, 0);
	assert_string_equal(buf_cstr(&b), "");
}

static void writes_big_endian(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64);
	buf_u16be(&b, 0x0102);
	buf_u32be(&b, 0x03040506);
	buf_u64be(&b, 0x0708090a0b0c0d0e);
	assert_true(span_eq(buf_view(&b), SPAN("\1\2\3\4\5\6\7\10\11\12\13\14\15\16")));
	struct cursor c = cursor_of(buf_view(&b));
	assert_int_equal(cursor_u8(&c), 1);
	assert_int_equal(cursor_u8(&c), 2);
	assert_int_equal(cursor_u32be(&c), 0x03040506);
	assert_true(cursor_u64be(&c) == 0x0708090a0b0c0d0e);
	assert_true(cursor_done(&c));
}

static void fails_at_the_maximum_and_stays_failed(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(5);
	buf_puts(&b, "12345");
	assert_int_equal(buf_error(&b), 0);
	buf_putc(&b, '6');
	buf_consume(&b, 5);
	buf_putc(&b, '7');
	buf_printf(&b, "8");
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_error(&b), -E2BIG);
	assert_string_equal(err_message(-E2BIG), "too long: at most 5 bytes fit");
	assert_null(buf_reserve(&b, 1));
	assert_null(buf_cstr(&b));
	assert_null(buf_take(&b));
	buf_reset(&b);
	buf_printf(&b, "%s", "abcde");
	assert_string_equal(buf_cstr(&b), "abcde");
	buf_printf(&b, "%s", "f");
	assert_int_equal(buf_error(&b), -E2BIG);
	assert_true(span_is(buf_view(&b), "abcde"));
}

static void a_write_that_does_not_fit_leaves_no_part(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(10);
	buf_puts(&b, "1234567");
	buf_printf(&b, "%s", "890ABC");
	assert_true(span_is(buf_view(&b), "1234567"));
	struct buf huge CLEANUP(buf_fini) = buf_init(SIZE_MAX);
	buf_putc(&huge, 'x');
	assert_null(buf_reserve(&huge, SIZE_MAX));
	assert_int_equal(buf_error(&huge), -E2BIG);
}

static void printf_grows_to_what_is_needed(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(SIZE_MAX);
	for (int i = 0; i < 300; i++)
		buf_printf(&b, "%*d", i, 7);
	size_t expected = 1; /* width 0 still prints the digit */
	for (size_t i = 1; i < 300; i++)
		expected += i;
	assert_int_equal(b.len, expected);
	assert_int_equal(b.data[b.len - 1], '7');
}

static void reserves_and_commits(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(8);
	char *room = buf_reserve(&b, 8);
	assert_non_null(room);
	memset(room, 'a', 8);
	assert_int_equal(b.len, 0);
	buf_commit(&b, 3);
	assert_string_equal(buf_cstr(&b), "aaa");
	assert_non_null(buf_reserve(&b, 0));
}

static void overcommit(void *arg)
{
	struct buf *b = arg;
	buf_commit(b, b->cap - b->len + 1);
}

static void overconsume(void *arg)
{
	struct buf *b = arg;
	buf_consume(b, b->len + 1);
}

static void misuse_is_a_bug(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(100);
	buf_puts(&b, "abc");
	assert_true(dies(overcommit, &b, NULL));
	assert_true(dies(overconsume, &b, NULL));
}

static void hands_its_content_over(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(3);
	buf_puts(&b, "abc");
	char *taken = buf_take(&b);
	assert_string_equal(taken, "abc");
	free(taken);
	assert_int_equal(b.len, 0);
	buf_puts(&b, "de");
	assert_string_equal(buf_cstr(&b), "de");
	struct buf empty CLEANUP(buf_fini) = buf_init(0);
	taken = buf_take(&empty);
	assert_string_equal(taken, "");
	free(taken);
}

static void a_cursor_goes_bad_at_the_end(void **state)
{
	struct cursor c = cursor_of(SPAN("\1\2\3"));
	assert_int_equal(cursor_u16be(&c), 0x0102);
	assert_int_equal(cursor_left(&c), 1);
	assert_int_equal(cursor_u32be(&c), 0);
	assert_true(c.bad);
	assert_int_equal(cursor_u8(&c), 0); /* the byte that was there is not given out any more */
	assert_false(cursor_done(&c));
	c = cursor_of(SPAN("abc"));
	assert_true(span_is(cursor_bytes(&c, 2), "ab"));
	assert_false(cursor_done(&c));
	assert_true(span_is(cursor_bytes(&c, 1), "c"));
	assert_true(cursor_done(&c));
	assert_true(span_is(cursor_bytes(&c, 0), ""));
	assert_true(cursor_done(&c));
	assert_null(cursor_bytes(&c, SIZE_MAX).p);
	assert_true(c.bad);
	c = cursor_of((struct span){NULL, 0});
	assert_true(cursor_done(&c));
	assert_true(span_is(cursor_bytes(&c, 0), ""));
	assert_int_equal(cursor_u8(&c), 0);
	assert_true(c.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(collects_what_is_put),
		cmocka_unit_test(writes_big_endian),
		cmocka_unit_test(fails_at_the_maximum_and_stays_failed),
		cmocka_unit_test(a_write_that_does_not_fit_leaves_no_part),
		cmocka_unit_test(printf_grows_to_what_is_needed),
		cmocka_unit_test(reserves_and_commits),
		cmocka_unit_test(misuse_is_a_bug),
		cmocka_unit_test(hands_its_content_over),
		cmocka_unit_test(a_cursor_goes_bad_at_the_end),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
