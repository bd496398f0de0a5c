/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include <errno.h>

enum { IDLE, BUSY, DONE };

static const struct state_row rows[] = {
	[IDLE] = {"idle", STATE_BIT(BUSY) | STATE_BIT(DONE), 0},
	[BUSY] = {"busy", STATE_BIT(IDLE) | STATE_BIT(DONE), 0},
	[DONE] = {"done", 0, STATE_FINAL},
};
static const struct state_table table = {"door", rows, ARRAY_LEN(rows)};

static void allows_what_the_table_allows(void **state)
{
	int s = IDLE;
	assert_int_equal(state_move(&table, &s, BUSY), 0);
	assert_int_equal(s, BUSY);
	assert_int_equal(state_move(&table, &s, BUSY), -EINVAL);
	assert_string_equal(
		err_message(-EINVAL), "door is busy and cannot become busy; allowed: idle, done");
	assert_int_equal(s, BUSY);
	assert_int_equal(state_move(&table, &s, DONE), 0);
	assert_int_equal(state_move(&table, &s, IDLE), -EINVAL);
	assert_string_equal(
		err_message(-EINVAL), "door is done and cannot become idle; allowed: nothing");
	assert_false(state_allowed(&table, IDLE, 3));
	assert_false(state_allowed(&table, IDLE, -1));
	assert_false(state_allowed(&table, 64, IDLE));
}

static void names_and_ends(void **state)
{
	assert_string_equal(state_name(&table, BUSY), "busy");
	assert_string_equal(state_name(&table, 99), "unknown");
	assert_int_equal(state_parse(&table, "done"), DONE);
	assert_int_equal(state_parse(&table, "Done"), -1);
	assert_true(state_is_final(&table, DONE));
	assert_false(state_is_final(&table, IDLE));
	assert_false(state_is_final(&table, -1));
}

static void assert_table(struct state_row a, struct state_row b, const char *complaint)
{
	const struct state_row two[] = {a, b};
	const struct state_table t = {"door", two, 2};
	int r = state_table_check(&t);
	assert_int_equal(r, complaint ? -EINVAL : 0);
	if (complaint)
		assert_string_equal(err_message(r), complaint);
}

static void the_check_finds_bad_tables(void **state)
{
	struct state_row open = {"open", STATE_BIT(1), 0};
	struct state_row shut = {"shut", 0, STATE_FINAL};
	assert_int_equal(state_table_check(&table), 0);
	assert_table(open, shut, NULL);
	assert_table(
		(struct state_row){"open", 0, STATE_FINAL}, shut, "door: shut cannot be reached");
	assert_table(
		open, (struct state_row){"shut", 0, 0}, "door: shut has no moves but is not final");
	assert_table(open, (struct state_row){"shut", 1, STATE_FINAL},
		"door: shut is final but has moves");
	assert_table(open, (struct state_row){"open", 0, STATE_FINAL},
		"door: two states are called open");
	assert_table(open, (struct state_row){"", 0, STATE_FINAL}, "door: state 1 has no name");
	assert_table(open, (struct state_row){"shut", STATE_BIT(2), 0},
		"door: a move from shut leads outside");
	struct state_row many[64];
	static char names[64][4];
	for (int i = 0; i < 64; i++) {
		names[i][0] = (char)('a' + i / 8);
		names[i][1] = (char)('a' + i % 8);
		many[i] = (struct state_row){
			names[i], i < 63 ? STATE_BIT(i + 1) : 0, i < 63 ? 0 : STATE_FINAL};
	}
	assert_int_equal(state_table_check(&(struct state_table){"door", many, 64}), 0);
	assert_int_equal(state_table_check(&(struct state_table){"door", many, 65}), -EINVAL);
	assert_int_equal(state_table_check(&(struct state_table){"door", many, 0}), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allows_what_the_table_allows),
		cmocka_unit_test(names_and_ends),
		cmocka_unit_test(the_check_finds_bad_tables),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
