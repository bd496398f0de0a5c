/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/store/schema.h"
#include "tests/unit/daemon/store/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sql_conn *connect_writer(const struct fixture *f)
{
	struct sql_conn *c;
	int r = sqlite_driver.connect(f->path, SQL_WRITER, &c);

	if (r < 0)
		fail_msg("connect: %s", err_message(r));
	return c;
}

static void expect_open_fails(struct fixture *f, int code, const char *says)
{
	int r = fixture_open(f);

	assert_int_equal(r, code);
	if (!strstr(err_message(r), says))
		fail_msg("no '%s' in: %s", says, err_message(r));
	err_clear();
	f->store = NULL;
}

static int setup_closed(void **state)
{
	int r = fixture_setup(state);
	struct fixture *f = *state;

	if (r < 0)
		return r;
	store_close(f->store);
	f->store = NULL;
	return 0;
}

/* A file as the first schema step left it, with rows in it. */
static void test_an_older_file_is_brought_forward(void **state)
{
	struct fixture *f = *state;
	struct store_agent a;
	struct span value;

	assert_int_equal(unlink(f->path), 0);
	struct sql_conn *c = connect_writer(f);
	assert_int_equal(schema_migrate(c, &sqlite_driver, schema_steps, 1, 1), 0);
	assert_int_equal(
		sqlite_driver.script(c,
			"INSERT INTO agents (id, name, timeout_ms, status, revision, created_at,"
			" updated_at, removed_at) VALUES ('0a000000-0000-0000-0000-000000000000',"
			" 'old', 0, 'active', 1, 5, 5, 0);"
			"INSERT INTO domain_events (number, id, stream_id, sequence_number,"
			" event_type, iteration_number, event_data, changes, created_at) VALUES"
			" (1, 'bb000000-0000-0000-0000-000000000000',"
			" '0a000000-0000-0000-0000-000000000000', 1, 'AgentDeployed', 0, '{}',"
			" '[{\"kind\":\"agent_create\",\"row\":"
			"{\"id\":\"0a000000-0000-0000-0000-000000000000\",\"name\":\"old\","
			"\"status\":\"active\"}}]', 5)"),
		0);
	sqlite_driver.close(c);
	assert_int_equal(fixture_open(f), 0);
	assert_int_equal(
		store_agent_get(f->store, (struct uuid){{0xa}}, f->arena, &a, DEADLINE_NONE), 0);
	assert_true(span_is(a.name, "old"));
	assert_int_equal(store_kv_put(f->store, SPAN("k"), SPAN("v"), DEADLINE_NONE), 0);
	assert_int_equal(store_kv_get(f->store, SPAN("k"), f->arena, &value, DEADLINE_NONE), 0);
	assert_int_equal(put(f->store, "Tick", (struct uuid){{1}}, NULL, 0, NULL), 0);
	assert_int_equal(store_stats(f->store).events, 2);
	assert_int_equal(store_check(f->store, DEADLINE_NONE), 0);
}

static void test_a_newer_schema_is_refused(void **state)
{
	struct fixture *f = *state;
	struct sql_conn *c = connect_writer(f);

	assert_int_equal(
		sqlite_driver.script(c, "INSERT INTO schema_steps VALUES (99, 'future', 'x', 1)"),
		0);
	sqlite_driver.close(c);
	expect_open_fails(
		f, -EPROTO, "the database has schema 99, this program knows schemas up to");
}

static void test_a_changed_step_is_refused(void **state)
{
	struct fixture *f = *state;
	struct sql_conn *c = connect_writer(f);

	assert_int_equal(sqlite_driver.script(
				 c, "UPDATE schema_steps SET checksum = 'abc' WHERE number = 1"),
		0);
	sqlite_driver.close(c);
	expect_open_fails(f, -EUCLEAN, "schema step 1 (events and projections)");
}

static void test_a_step_that_fails_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	static const struct schema_step broken[] = {
		{1, "one", "CREATE TABLE one (a BIGINT)"},
		{2, "two", "CREATE TABLE two (a BIGINT); CREATE TABLE one (a BIGINT)"},
	};
	static const struct schema_step mended[] = {
		{1, "one", "CREATE TABLE one (a BIGINT)"},
		{2, "two", "CREATE TABLE two (a BIGINT)"},
	};

	assert_int_equal(unlink(f->path), 0);
	struct sql_conn *c = connect_writer(f);
	int r = schema_migrate(c, &sqlite_driver, broken, 2, 1);
	assert_true(r < 0);
	assert_non_null(strstr(err_message(r), "schema step 2 (two)"));
	err_clear();
	assert_int_equal(schema_migrate(c, &sqlite_driver, mended, 2, 1), 0);
	sqlite_driver.close(c);
}

static void test_what_is_no_database_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "This is a letter to my aunt, and not a database at all. ....."
				   "......................................................";

	int fd = open(f->path, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
	close(fd);
	expect_open_fails(f, -EUCLEAN, "not a database");
}

static void test_a_foreign_database_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct sql_conn *c = connect_writer(f);

	assert_int_equal(sqlite_driver.script(c, "PRAGMA application_id = 7"), 0);
	sqlite_driver.close(c);
	expect_open_fails(f, -EUCLEAN, "no AEGIS database");
}

static void test_damage_is_found_at_open(void **state)
{
	struct fixture *f = *state;
	char page[4096];

	assert_int_equal(fixture_open(f), 0);
	for (int i = 0; i < 200; i++)
		assert_int_equal(put(f->store, "Tick", (struct uuid){{1}}, NULL, 0, NULL), 0);
	store_close(f->store);
	f->store = NULL;
	int fd = open(f->path, O_WRONLY);
	memset(page, 0x5a, sizeof(page));
	assert_int_equal(pwrite(fd, page, sizeof(page), 4096 * 3), sizeof(page));
	close(fd);
	int r = fixture_open(f);
	assert_int_equal(r, -EUCLEAN);
	err_clear();
	f->store = NULL;
}

static void test_a_database_in_use_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store *first;

	assert_int_equal(fixture_open(f), 0);
	first = f->store;
	expect_open_fails(f, -EBUSY, "is in use by another process (pid ");
	f->store = first;
}

static void test_reading_only_writes_nothing(void **state)
{
	struct fixture *f = *state;
	struct store_options o = {.url = f->url, .states = test_states, .read_only = true};
	struct store *reader;
	struct store_agent a;

	assert_int_equal(fixture_open(f), 0);
	assert_int_equal(put_agent(f->store, (struct uuid){{0xa}}, "coder"), 0);
	assert_int_equal(store_open(&o, &reader), 0);
	assert_int_equal(
		store_agent_get(reader, (struct uuid){{0xa}}, f->arena, &a, DEADLINE_NONE), 0);
	int r = put_agent(reader, (struct uuid){{0xb}}, "other");
	assert_int_equal(r, -EROFS);
	err_clear();
	store_close(reader);
}

static void test_urls_name_a_driver(void **state)
{
	struct fixture *f = *state;

	snprintf(f->url, sizeof(f->url), "mysql://here");
	expect_open_fails(f, -EINVAL, "accepted is sqlite:PATH");
	snprintf(f->url, sizeof(f->url), "sqlite:%s/no/such/folder/db", f->dir);
	expect_open_fails(f, -ENOENT, "no/such/folder");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup_closed, fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_an_older_file_is_brought_forward),
		CASE(test_a_newer_schema_is_refused),
		CASE(test_a_changed_step_is_refused),
		CASE(test_a_step_that_fails_leaves_nothing),
		CASE(test_what_is_no_database_is_refused),
		CASE(test_a_foreign_database_is_left_alone),
		CASE(test_damage_is_found_at_open),
		CASE(test_a_database_in_use_is_refused),
		CASE(test_reading_only_writes_nothing),
		CASE(test_urls_name_a_driver),
	};
	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
