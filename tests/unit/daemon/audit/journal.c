/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/audit/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_records_come_back_chained(void **state)
{
	struct fixture *f = *state;
	struct uuid execution = uuid_new();
	struct uuid call = uuid_new();
	struct audit_record in = {.source = AUDIT_KERNEL,
		.kind = SPAN("exec"),
		.execution_id = execution,
		.call_id = call,
		.iteration = 4,
		.wall_ns = 1234567,
		.mono_ns = 89,
		.payload = SPAN("{\"argv\":[\"ls\"]}")};
	struct audit_reader *reader;
	struct audit_record first;
	struct audit_record out;

	assert_int_equal(journal_append(f->journal, &in, 1, DEADLINE_NONE), 0);
	assert_int_equal(in.number, 2);
	assert_int_equal(audit_reader_open(f->journal_dir, &reader), 0);
	assert_int_equal(audit_reader_next(reader, &first), 0);
	assert_int_equal(first.source, AUDIT_JOURNAL);
	assert_true(span_is(first.kind, "Opened"));
	struct audit_hash opened = first.hash;
	assert_int_equal(audit_reader_next(reader, &out), 0);
	assert_int_equal(out.number, 2);
	assert_int_equal(out.source, AUDIT_KERNEL);
	assert_true(span_is(out.kind, "exec"));
	assert_true(span_eq(out.payload, in.payload));
	assert_true(uuid_eq(out.execution_id, execution));
	assert_true(uuid_eq(out.call_id, call));
	assert_int_equal(out.iteration, 4);
	assert_int_equal(out.wall_ns, 1234567);
	assert_int_equal(out.mono_ns, 89);
	assert_memory_equal(&out.previous, &opened, sizeof(opened));
	assert_memory_equal(&out.hash, &in.hash, sizeof(in.hash));
	assert_int_equal(audit_reader_next(reader, &out), AUDIT_END);
	append_some(f->journal, 1); /* a reader at the end sees what comes */
	assert_int_equal(audit_reader_next(reader, &out), 0);
	assert_int_equal(out.number, 3);
	audit_reader_close(reader);
}

static void test_it_goes_on_where_it_stopped(void **state)
{
	struct fixture *f = *state;

	append_some(f->journal, 5);
	append_event(f->journal, 7);
	fixture_close(f);
	fixture_open(f);
	assert_int_equal(journal_last_event(f->journal), 7);
	assert_int_equal(journal_stats(f->journal).records, 8); /* two "Opened" */
	append_some(f->journal, 1);
	assert_int_equal(read_all(f->journal_dir), 9);
}

static void test_an_event_is_taken_once(void **state)
{
	struct fixture *f = *state;
	struct audit_record r[2] = {
		{.source = AUDIT_EVENT, .kind = SPAN("E"), .event_number = 2},
		{.source = AUDIT_EVENT, .kind = SPAN("E"), .event_number = 1},
	};

	append_event(f->journal, 1);
	assert_int_equal(journal_append(f->journal, r, 2, DEADLINE_NONE), -EEXIST);
	err_clear();
	assert_int_equal(journal_last_event(f->journal), 1); /* all of a call or nothing */
	assert_int_equal(journal_append(f->journal, r, 1, DEADLINE_NONE), 0);
	assert_int_equal(read_all(f->journal_dir), 3);
}

static void test_segments_rotate_and_stay_chained(void **state)
{
	struct fixture *f = *state;
	struct audit_verdict v;
	struct audit_verify_options none = {0};

	fixture_close(f);
	f->options.segment_bytes = 2000;
	fixture_open(f);
	append_some(f->journal, 100);
	append_event(f->journal, 40);
	append_some(f->journal, 20);
	assert_int_equal(journal_gap(f->journal,
				 &(struct audit_gap){AUDIT_KERNEL, 11, "ring full", {{0}}, 0},
				 DEADLINE_NONE),
		0);
	append_some(f->journal, 20);
	fixture_close(f);
	fixture_open(f);
	assert_int_equal(journal_last_event(f->journal), 40); /* by the header of the newest */
	assert_int_equal(journal_stats(f->journal).gaps, 11);
	assert_int_equal(read_all(f->journal_dir), 100 + 1 + 20 + 1 + 20 + 3);
	assert_int_equal(audit_verify(f->journal_dir, &none, &v), 0);
	assert_true(v.consistent);
	assert_int_equal(v.gaps, 11);

	struct audit_reader *reader;
	struct audit_record r;
	assert_int_equal(audit_reader_open(f->journal_dir, &reader), 0);
	assert_int_equal(audit_reader_seek(reader, 77), 0);
	assert_int_equal(audit_reader_next(reader, &r), 0);
	assert_int_equal(r.number, 77);
	assert_int_equal(audit_reader_seek(reader, 10000), -ENOENT);
	err_clear();
	uint64_t newest;
	assert_int_equal(audit_reader_newest(reader, &newest), 0);
	assert_int_equal(newest, 145);
	audit_reader_close(reader);
}

static void test_posted_records_are_written_in_order(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 1000; i++) {
		char payload[32];
		snprintf(payload, sizeof(payload), "{\"n\":%d}", i);
		struct audit_record r = {.source = AUDIT_FILE,
			.kind = SPAN("FileRead"),
			.payload = span_cstr(payload)};
		assert_int_equal(journal_post(f->journal, &r, DEADLINE_NONE), 0);
	}
	assert_int_equal(journal_sync(f->journal, DEADLINE_NONE), 0);
	struct audit_reader *reader;
	struct audit_record r;
	assert_int_equal(audit_reader_open(f->journal_dir, &reader), 0);
	assert_int_equal(audit_reader_next(reader, &r), 0);
	for (int i = 0; i < 1000; i++) {
		char payload[32];
		snprintf(payload, sizeof(payload), "{\"n\":%d}", i);
		assert_int_equal(audit_reader_next(reader, &r), 0);
		assert_true(span_is(r.payload, payload));
	}
	audit_reader_close(reader);
	assert_true(journal_stats(f->journal).syncs < 20);
}

static void test_each_record_is_synced_if_so_configured(void **state)
{
	struct fixture *f = *state;
	struct audit_record r[3] = {
		{.source = AUDIT_DAEMON, .kind = SPAN("A")},
		{.source = AUDIT_DAEMON, .kind = SPAN("B")},
		{.source = AUDIT_DAEMON, .kind = SPAN("C")},
	};

	fixture_close(f);
	f->options.sync = JOURNAL_SYNC_RECORD;
	fixture_open(f);
	uint64_t before = journal_stats(f->journal).syncs;
	assert_int_equal(journal_append(f->journal, r, 3, DEADLINE_NONE), 0);
	assert_int_equal(journal_stats(f->journal).syncs - before, 3);
	fixture_close(f);
	f->options.sync = JOURNAL_SYNC_BATCH;
	fixture_open(f);
	before = journal_stats(f->journal).syncs;
	assert_int_equal(journal_append(f->journal, r, 3, DEADLINE_NONE), 0);
	assert_int_equal(journal_stats(f->journal).syncs - before, 1);
	fixture_close(f);
	f->options.sync = JOURNAL_SYNC_NONE;
	fixture_open(f);
	before = journal_stats(f->journal).syncs;
	assert_int_equal(journal_append(f->journal, r, 3, DEADLINE_NONE), 0);
	assert_int_equal(journal_stats(f->journal).syncs, before);
	assert_int_equal(journal_sync(f->journal, DEADLINE_NONE), 0);
	assert_int_equal(journal_stats(f->journal).syncs, before + 1);
}

static void test_a_torn_tail_is_cut_and_recorded(void **state)
{
	struct fixture *f = *state;
	char path[160];
	struct stat before;
	struct audit_reader *reader;
	struct audit_record r;

	append_some(f->journal, 3);
	fixture_close(f);
	newest_segment(f, path);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(truncate(path, before.st_size - 10), 0); /* inside record 4 */
	fixture_open(f);
	assert_int_equal(audit_reader_open(f->journal_dir, &reader), 0);
	assert_int_equal(audit_reader_seek(reader, 4), 0);
	assert_int_equal(audit_reader_next(reader, &r), 0);
	assert_true(span_is(r.kind, "Opened"));
	assert_non_null(memmem(r.payload.p, r.payload.n, "\"cut_bytes\":", 12));
	assert_null(memmem(r.payload.p, r.payload.n, "\"cut_bytes\":0", 13));
	audit_reader_close(reader);
}

static void overwrite(const char *path, off_t at, const char *bytes)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, strlen(bytes), at), (ssize_t)strlen(bytes));
	close(fd);
}

static void test_acknowledged_damage_is_never_cut(void **state)
{
	struct fixture *f = *state;
	char path[160];
	struct stat st;

	append_some(f->journal, 20);
	fixture_close(f);
	newest_segment(f, path);
	assert_int_equal(stat(path, &st), 0);
	overwrite(path, st.st_size / 2, "XXXX");
	int r = journal_open(&f->options, &f->journal);
	assert_int_equal(r, -EUCLEAN);
	assert_non_null(strstr(err_message(r), "which was acknowledged"));
	err_clear();
	struct stat after;
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_size, st.st_size);
}

/* After a power cut pieces of one unsynced batch may be there and others not. */
static void test_a_batch_torn_in_the_middle_is_cut(void **state)
{
	struct fixture *f = *state;
	struct audit_record r[8];
	char path[160];
	struct stat before;

	append_some(f->journal, 3);
	newest_segment(f, path);
	assert_int_equal(stat(path, &before), 0);
	for (int i = 0; i < 8; i++)
		r[i] = (struct audit_record){.source = AUDIT_FILE, .kind = SPAN("FileRead")};
	assert_int_equal(journal_append(f->journal, r, 8, DEADLINE_NONE), 0);
	fixture_close(f);
	overwrite(path, before.st_size + 300, "XXXX"); /* inside the second of the batch */
	fixture_open(f);
	append_some(f->journal, 1);
	assert_int_equal(read_all(f->journal_dir), 1 + 3 + 1 + 1 + 1);
}

static void test_one_writer_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct journal *second;
	int r = journal_open(&f->options, &second);

	assert_int_equal(r, -EBUSY);
	assert_non_null(strstr(err_message(r), "another process (pid "));
	err_clear();
}

static void test_a_full_disk_stops_acknowledging(void **state)
{
	struct fixture *f = *state;
	struct rlimit old;
	struct stat st;
	char path[160];

	append_some(f->journal, 3);
	newest_segment(f, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_IGN);
	struct rlimit full = {(rlim_t)st.st_size + 100, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	struct audit_record rec = {.source = AUDIT_DAEMON, .kind = SPAN("WaitsForAnswer")};
	struct audit_record post = {.source = AUDIT_FILE, .kind = SPAN("Posted")};
	assert_int_equal(journal_post(f->journal, &post, DEADLINE_NONE), 0);
	int r = journal_append(f->journal, &rec, 1, DEADLINE_NONE);
	char message[512];
	snprintf(message, sizeof(message), "%s", err_message(r));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(r, -ENOSPC);
	assert_non_null(strstr(message, "Nothing is acknowledged"));
	err_clear();
	assert_int_equal(read_all(f->journal_dir), 4);
	/* There is room again: what was posted comes, what was refused does not. */
	append_some(f->journal, 1);
	assert_int_equal(read_all(f->journal_dir), 6);
	struct audit_reader *reader;
	assert_int_equal(audit_reader_open(f->journal_dir, &reader), 0);
	assert_int_equal(audit_reader_seek(reader, 5), 0);
	assert_int_equal(audit_reader_next(reader, &rec), 0);
	assert_true(span_is(rec.kind, "Posted"));
	audit_reader_close(reader);
}

static void test_heads_are_signed_and_chained(void **state)
{
	struct fixture *f = *state;
	struct audit_verdict v;
	struct audit_verify_options o = {
		.keys = (const uint8_t(*)[HEAD_PUBLIC_KEY_BYTES])f->signer.public_key,
		.key_count = 1};

	for (int i = 0; i < 3; i++) {
		append_some(f->journal, 4);
		assert_int_equal(journal_checkpoint(f->journal, DEADLINE_NONE), 0);
	}
	assert_int_equal(f->signer.calls, 3);
	assert_int_equal(journal_checkpoint(f->journal, DEADLINE_NONE), 0); /* nothing new */
	assert_int_equal(f->signer.calls, 3);
	assert_int_equal(audit_verify(f->journal_dir, &o, &v), 0);
	assert_true(v.consistent);
	assert_int_equal(v.heads, 3);
	assert_int_equal(v.signed_through, 1 + 4 + 1 + 4 + 1 + 4);
	assert_false(v.newest_proven);
}

static void test_a_head_lost_with_the_daemon_is_recorded_late(void **state)
{
	struct fixture *f = *state;
	struct audit_verdict v;
	struct audit_verify_options none = {0};
	struct head head = {.record = 6};
	struct head_signed lost;
	struct head_signed last;
	struct audit_reader *reader;
	struct audit_record r;

	append_some(f->journal, 5);
	/* Signed, and the daemon dies before it writes the record. */
	assert_int_equal(audit_reader_open(f->journal_dir, &reader), 0);
	head.journal = audit_reader_journal(reader);
	head.segment = 1;
	assert_int_equal(audit_reader_seek(reader, 6), 0);
	assert_int_equal(audit_reader_next(reader, &r), 0);
	memcpy(head.hash, r.hash.bytes, sizeof(head.hash));
	audit_reader_close(reader);
	assert_int_equal(signer_sign(&f->signer, &head, &lost, &last, 0), 0);
	fixture_close(f);
	fixture_open(f);
	append_some(f->journal, 2);
	assert_int_equal(journal_checkpoint(f->journal, DEADLINE_NONE), 0);
	assert_int_equal(audit_verify(f->journal_dir, &none, &v), 0);
	assert_true(v.consistent);
	assert_int_equal(v.heads, 2);
}

static void test_a_journal_that_was_cut_back_is_not_signed(void **state)
{
	struct fixture *f = *state;
	char path[160];
	struct stat st;

	append_some(f->journal, 2);
	newest_segment(f, path);
	assert_int_equal(stat(path, &st), 0);
	append_some(f->journal, 8);
	assert_int_equal(journal_checkpoint(f->journal, DEADLINE_NONE), 0);
	fixture_close(f);
	assert_int_equal(truncate(path, st.st_size), 0);
	fixture_open(f);
	int r = journal_checkpoint(f->journal, DEADLINE_NONE);
	assert_int_equal(r, -EUCLEAN);
	assert_non_null(strstr(err_message(r), "cut back"));
	err_clear();
}

static void test_decisions_keep_what_deciding_again_needs(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1024);
	struct json_writer w = json_writer(&b);
	struct span policies[] = {SPAN("tools[2]")};
	struct audit_decision d = {.allowed = false,
		.code = 2001,
		.reason = SPAN("denied"),
		.policies = policies,
		.policy_count = 1,
		.request = SPAN("{\"action\":\"tool:cmd.run\"}"),
		.signer = SPAN("daemon")};

	json_object(&w);
	assert_int_equal(audit_decision_put(&w, &d), -EINVAL);
	err_clear();
	d.policy_set = SPAN("abcd");
	assert_int_equal(audit_decision_put(&w, &d), 0);
	json_end(&w);
	assert_string_equal(buf_cstr(&b),
		"{\"decision\":{\"allowed\":false,\"code\":2001,\"reason\":\"denied\","
		"\"policy_set\":\"abcd\",\"policies\":[\"tools[2]\"],"
		"\"request\":\"{\\\"action\\\":\\\"tool:cmd.run\\\"}\",\"signer\":\"daemon\"}}");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_records_come_back_chained),
		CASE(test_it_goes_on_where_it_stopped),
		CASE(test_an_event_is_taken_once),
		CASE(test_segments_rotate_and_stay_chained),
		CASE(test_posted_records_are_written_in_order),
		CASE(test_each_record_is_synced_if_so_configured),
		CASE(test_a_torn_tail_is_cut_and_recorded),
		CASE(test_acknowledged_damage_is_never_cut),
		CASE(test_a_batch_torn_in_the_middle_is_cut),
		CASE(test_one_writer_at_a_time),
		CASE(test_a_full_disk_stops_acknowledging),
		CASE(test_heads_are_signed_and_chained),
		CASE(test_a_head_lost_with_the_daemon_is_recorded_late),
		CASE(test_a_journal_that_was_cut_back_is_not_signed),
		cmocka_unit_test(test_decisions_keep_what_deciding_again_needs),
	};
	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
