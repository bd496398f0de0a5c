/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include <stdio.h>
#include <stdlib.h>

static void keeps_and_compares(void **state)
{
	struct secret *s CLEANUP(secret_cleanup) = secret_new(SPAN("key\0with nul"));
	assert_true(span_eq(secret_reveal(s), SPAN("key\0with nul")));
	assert_int_equal(secret_reveal(s).p[12], '\0');
	assert_true(secret_eq(s, SPAN("key\0with nul")));
	assert_false(secret_eq(s, SPAN("key\0with nuL")));
	assert_false(secret_eq(s, SPAN("key\0with nu")));
	assert_false(secret_eq(s, SPAN("")));
	assert_false(secret_eq(NULL, SPAN("")));
	struct secret *copy CLEANUP(secret_cleanup) = secret_dup(s);
	assert_true(secret_eq(copy, secret_reveal(s)));
	assert_true(secret_reveal(copy).p != secret_reveal(s).p);
	struct secret *empty CLEANUP(secret_cleanup) = secret_new((struct span){NULL, 0});
	assert_true(secret_eq(empty, SPAN("")));
	assert_string_equal(secret_reveal(empty).p, "");
	assert_null(secret_free(NULL));
}

/* What the kernel says of the mapping that holds the secret: read-only, and "dd" is out of core
 * dumps. */
static void is_read_only_and_left_out_of_core_dumps(void **state)
{
	struct secret *s CLEANUP(secret_cleanup) = secret_new(SPAN("0123456789"));
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	struct span rest, line;
	bool done = false, inside = false, dumped = true, writable = true;
	assert_int_equal(fd_read_file("/proc/self/smaps", &b), 0);
	rest = buf_view(&b);
	while (span_split(&rest, '\n', &done, &line)) {
		char text[256], *end;
		snprintf(text, sizeof(text), SPAN_FMT, (int)MIN(line.n, sizeof(text) - 1), line.p);
		uintptr_t from = strtoull(text, &end, 16);
		uintptr_t to = *end == '-' ? strtoull(end + 1, &end, 16) : 0;
		if (to != 0 && *end == ' ') {
			inside = (uintptr_t)secret_reveal(s).p >= from &&
				(uintptr_t)secret_reveal(s).p < to;
			writable = inside ? end[2] != '-' : writable;
		} else if (inside && span_starts(line, SPAN("VmFlags:"))) {
			dumped = span_find(line, SPAN(" dd"), 0) < 0;
		}
	}
	assert_false(writable);
	assert_false(dumped);
}

static void wipes_copies(void **state)
{
	char copy[8] = "secret";
	secret_wipe(copy, sizeof(copy));
	for (size_t i = 0; i < sizeof(copy); i++)
		assert_int_equal(copy[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_and_compares),
		cmocka_unit_test(is_read_only_and_left_out_of_core_dumps),
		cmocka_unit_test(wipes_copies),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
