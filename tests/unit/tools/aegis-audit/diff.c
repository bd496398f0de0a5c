/* SPDX-License-Identifier: AGPL-3.0-only */
/* Differences as patch(1) reads them. */
#include "tools/aegis-audit/learned.h"
#include "tests/tap.h"

static void expect(const char *old, const char *new, const char *want)
{
	struct buf b CLEANUP(buf_fini) = buf_init(4096);

	assert_int_equal(diff_put(&b, "a", span_cstr(old), "b", span_cstr(new)), 0);
	assert_string_equal(buf_cstr(&b), want);
}

static void equal_texts(void **state)
{
	(void)state;
	expect("x\ny\n", "x\ny\n", "");
	expect("", "", "");
}

static void from_nothing(void **state)
{
	(void)state;
	expect("", "x\ny\n", "--- a\n+++ b\n@@ -0,0 +1,2 @@\n+x\n+y\n");
	expect("x\n", "", "--- a\n+++ b\n@@ -1,1 +0,0 @@\n-x\n");
}

static void hunks(void **state)
{
	(void)state;
	expect("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n",
		"1\nx\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n",
		"--- a\n+++ b\n@@ -1,5 +1,5 @@\n 1\n-2\n+x\n 3\n 4\n 5\n"
		"@@ -10,3 +10,4 @@\n 10\n 11\n 12\n+13\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(equal_texts),
		cmocka_unit_test(from_nothing), cmocka_unit_test(hunks)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
