/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include <errno.h>
#include <pthread.h>

static int inner(void)
{
	return err_raise(-EIO, "disk %d", 7);
}

static int middle(void)
{
	return err_trace(inner());
}

static void gathers_message_and_places(void **state)
{
	struct err_trail trail = {0};
	struct err_trail *former = err_trail_switch(&trail);
	int r = err_wrap(middle(), "volume %s", "v1");
	assert_int_equal(r, -EIO);
	assert_string_equal(err_message(r), "volume v1: disk 7");
	assert_int_equal(trail.place_count, 3);
	assert_string_equal(trail.places[0].func, "inner");
	assert_string_equal(trail.places[1].func, "middle");
	assert_string_equal(trail.places[2].func, "gathers_message_and_places");
	err_clear();
	assert_string_equal(err_message(r), "Input/output error");
	assert_ptr_equal(err_trail_switch(former), &trail);
}

static void success_passes_through(void **state)
{
	err_clear();
	assert_int_equal(err_trace(0), 0);
	assert_int_equal(err_trace(3), 3);
	assert_int_equal(err_wrap(5, "unused"), 5);
	assert_string_equal(err_message(-ENOENT), "No such file or directory");
}

static void system_errors_carry_their_text(void **state)
{
	int r = err_sys(-ENOENT, "open %s", "/x");
	assert_string_equal(err_message(r), "open /x: No such file or directory");
}

static void a_code_without_trail_is_not_explained_by_an_older_one(void **state)
{
	int r = err_raise(-EIO, "old news");
	assert_int_equal(r, -EIO);
	r = err_trace(-ECANCELED);
	assert_string_equal(err_message(r), "Operation canceled");
	r = err_raise(-EIO, "old news");
	assert_string_equal(err_message(-EINVAL), "Invalid argument");
	r = err_wrap(-ETIME, "model");
	assert_string_equal(err_message(r), "model: Timer expired");
}

static void the_old_message_may_be_an_argument(void **state)
{
	int r = err_raise(-EIO, "first");
	r = err_raise(-EINVAL, "second after %s", err_message(r));
	assert_string_equal(err_message(r), "second after first");
}

static void long_messages_are_cut_between_characters(void **state)
{
	char text[ERR_MESSAGE_BYTES + 40];
	for (size_t shift = 0; shift < 4; shift++) {
		memset(text, 'x', sizeof(text));
		for (size_t i = shift; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xf0\x9f\x98\x80", 4);
		text[sizeof(text) - 1] = '\0';
		int r = err_raise(-EINVAL, "%s", text);
		size_t len = strlen(err_message(r));
		assert_true(len > ERR_MESSAGE_BYTES - 5 && len < ERR_MESSAGE_BYTES);
		assert_int_equal(span_utf8_bad(span_cstr(err_message(r))), -1);
	}
}

static void places_beyond_the_last_are_counted(void **state)
{
	struct err_trail trail = {0};
	struct err_trail *former = err_trail_switch(&trail);
	int r = inner();
	for (int i = 0; i < ERR_TRAIL_PLACES * 2; i++)
		r = err_trace(r);
	assert_int_equal(trail.place_count, ERR_TRAIL_PLACES * 2 + 1);
	assert_string_equal(err_message(r), "disk 7");
	err_trail_switch(former);
}

static void names_of_codes(void **state)
{
	assert_string_equal(err_name(-ENOENT), "ENOENT");
	assert_string_equal(err_name(EIO), "EIO");
	assert_string_equal(err_name(-9999), "E9999");
	assert_string_equal(err_message(-9999), "E9999");
	assert_non_null(err_name(INT32_MIN));
	assert_non_null(err_message(0));
	assert_non_null(err_message(1));
}

static void *raise_in_thread(void *arg)
{
	int r = err_raise(-ENODEV, "of the other thread");
	*(bool *)arg = strcmp(err_message(r), "of the other thread") == 0;
	return NULL;
}

static void each_thread_has_its_own(void **state)
{
	pthread_t thread;
	bool seen = false;
	int r = err_raise(-EIO, "mine");
	assert_int_equal(pthread_create(&thread, NULL, raise_in_thread, &seen), 0);
	pthread_join(thread, NULL);
	assert_true(seen);
	assert_string_equal(err_message(r), "mine");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gathers_message_and_places),
		cmocka_unit_test(success_passes_through),
		cmocka_unit_test(system_errors_carry_their_text),
		cmocka_unit_test(a_code_without_trail_is_not_explained_by_an_older_one),
		cmocka_unit_test(the_old_message_may_be_an_argument),
		cmocka_unit_test(long_messages_are_cut_between_characters),
		cmocka_unit_test(places_beyond_the_last_are_counted),
		cmocka_unit_test(names_of_codes),
		cmocka_unit_test(each_thread_has_its_own),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
