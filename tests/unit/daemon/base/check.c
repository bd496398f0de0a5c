/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include "tests/unit/daemon/base/dies.h"
#include <errno.h>
#include <stdio.h>

static int broken(void)
{
	return err_raise(-EIO, "the disk burns");
}

static void fail_check(void *arg)
{
	int r = err_trace(broken());
	snprintf(log_context()->execution_id, sizeof(log_context()->execution_id), "exec-1");
	CHECK(r == 0);
}

static void pass_check(void *arg)
{
	CHECK(arg == NULL);
}

static void reach_unreachable(void *arg)
{
	UNREACHABLE();
}

static void a_failed_check_says_what_and_where_and_aborts(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	assert_true(dies(fail_check, NULL, &b));
	const char *text = buf_cstr(&b);
	assert_non_null(strstr(text, "CHECK failed: r == 0"));
	assert_non_null(strstr(text, "check.c:"));
	assert_non_null(strstr(text, "execution exec-1"));
	assert_non_null(strstr(text, "broken < "));
	assert_int_equal(text[b.len - 1], '\n');
	assert_true(dies(reach_unreachable, NULL, NULL));
}

static void a_true_check_does_nothing(void **state)
{
	assert_false(dies(pass_check, NULL, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_check_says_what_and_where_and_aborts),
		cmocka_unit_test(a_true_check_does_nothing),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
