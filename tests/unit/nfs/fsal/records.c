/* SPDX-License-Identifier: AGPL-3.0-only */
/* Records of operations: complete or summed up, never in the way, counted when lost. */
#include "tests/unit/nfs/fsal/fixture.h"
#include <stdio.h>

static void begin(struct fixture *f, int64_t coalesce_ns)
{
	f->options.observer = fixture_observe;
	f->options.observer_ctx = f;
	f->options.coalesce_ns = coalesce_ns;
	fixture_begin(f);
}

static void body_each(void *arg)
{
	static const char *const folders[] = {"/workspace", NULL},
				 *const w[] = {"/workspace/w", NULL};
	struct fixture f = {.options = {.rules = rules_of(folders, w), .tenant = SPAN("t")}};
	struct fsal_object *d, *o;
	const struct seen *s;

	begin(&f, 0);
	EXPECT_INT(fsal_attachment_set_origin(f.at, 3, SPAN("call-1")), 0);
	EXPECT_INT(make_dir(&f, root_of(&f), "w", &d), 0);
	EXPECT_INT(make_file(&f, d, "a", 0644, &o), 0);
	EXPECT_INT(write_text(&f, o, 5, "hello"), 0);
	f.call.call_id = SPAN("call-2");
	EXPECT(!has_text(&f, o, "x"));
	EXPECT_INT(rename_to(&f, d, "a", d, "b"), 0);
	EXPECT_INT(unlink_name(&f, d, "b"), 0);
	EXPECT_INT(make_file(&f, root_of(&f), "no", 0644, NULL), FSAL_DENIED);
	EXPECT(f.seen_count == 0); /* not on the caller's way */
	fixture_settle(&f);
	s = fixture_saw(&f, "FileWritten", "w/a");
	EXPECT(s && s->offset == 5 && s->bytes == 5 && s->count == 1 && s->allowed);
	EXPECT(s && strcmp(s->call, "call-1") == 0 && s->iteration == 3);
	EXPECT(s && strcmp(s->policy, "/workspace/w") == 0);
	s = fixture_saw(&f, "FileRead", "w/a");
	EXPECT(s && s->bytes == 10 && strcmp(s->call, "call-2") == 0);
	EXPECT(fixture_saw(&f, "DirectoryCreated", "w") && fixture_saw(&f, "FileCreated", "w/a"));
	EXPECT(fixture_saw(&f, "FileRenamed", "w/a") && fixture_saw(&f, "FileRenamed", "w/b"));
	EXPECT(fixture_saw(&f, "FileDeleted", "w/b"));
	s = fixture_saw(&f, "FilesystemPolicyViolation", "no");
	EXPECT(s && !s->allowed && s->result == -EACCES);
	EXPECT(s &&
		strcmp(s->question,
			"{\"action\":\"fs:write\",\"agent\":\"a\","
			"\"execution_id\":\"e\",\"paths\":[\"/workspace/no\"],"
			"\"tenant\":\"t\",\"volume\":\"v\"}") == 0);
	fsal_unref(o);
	fsal_unref(d);
	fixture_end(&f);
}

static const struct seen *wait_seen(struct fixture *f, const char *type, const char *path)
{
	const struct seen *s;

	while (!(s = fixture_saw(f, type, path)))
		EXPECT_INT(rt_sleep_until(deadline_in_ms(5)), 0);
	return s;
}

static void expect_summed_up(struct fixture *f, struct fsal_object *o)
{
	const struct seen *s = wait_seen(f, "FileWritten", "a");

	EXPECT(s->count == 10 && s->bytes == 40 && s->offset == 3);
	s = wait_seen(f, "FileRead", "a");
	EXPECT(s->count == 1 && s->bytes == 97);
	/* A new name ends the window of the old one. */
	f->seen_count = 0;
	EXPECT_INT(write_text(f, o, 0, "1"), 0);
	EXPECT_INT(rename_to(f, root_of(f), "a", root_of(f), "b"), 0);
	EXPECT_INT(write_text(f, o, 0, "22"), 0);
	EXPECT(wait_seen(f, "FileWritten", "b")->bytes == 2);
	EXPECT(wait_seen(f, "FileWritten", "a")->bytes == 1);
	/* What is pending at the end is not lost. */
	f->seen_count = 0;
	EXPECT_INT(write_text(f, o, 0, "333"), 0);
}

/* False if the window was over before all was written: then there is nothing to see. */
static bool summed_up_within(int64_t window_ns)
{
	struct fixture f = {0};
	struct fsal_object *o;

	begin(&f, window_ns);
	int64_t end_ns = rt_now_ns() + window_ns;
	EXPECT_INT(make_file(&f, root_of(&f), "a", 0644, &o), 0);
	for (int i = 9; i >= 0; i--)
		EXPECT_INT(write_text(&f, o, (uint64_t)i * 10 + 3, "0123"), 0);
	EXPECT(!has_text(&f, o, "x"));
	fixture_settle(&f);
	bool seen = fixture_saw(&f, "FileWritten", "a");
	bool in_time = rt_now_ns() < end_ns;
	EXPECT(!in_time || !seen);
	if (in_time)
		expect_summed_up(&f, o);
	fsal_unref(o);
	if (in_time) {
		fixture_restart(&f);
		const struct seen *s = fixture_saw(&f, "FileWritten", "b");
		EXPECT(s && s->bytes == 3);
	}
	fixture_end(&f);
	return in_time;
}

static void body_coalesced(void *arg)
{
	int64_t window_ns = 50 * NS_PER_MS;

	while (!summed_up_within(window_ns))
		window_ns *= 2;
}

/* A queue without room: nobody waits, and the loss is told exactly. */
static void body_lost(void *arg)
{
	struct fixture f = {.layer = {.record_bytes = 4096}};
	struct fsal_object *o;
	struct fsal_stats stats;

	begin(&f, 0);
	EXPECT_INT(make_file(&f, root_of(&f), "a", 0644, &o), 0);
	for (int i = 0; i < 1000; i++)
		EXPECT_INT(write_text(&f, o, 0, "x"), 0);
	fsal_stats_get(f.fsal, &stats);
	EXPECT(stats.records_dropped > 900 && stats.records_dropped < 1000);
	fixture_settle(&f);
	size_t came = f.seen_count;
	EXPECT(came + stats.records_dropped == 1001);
	EXPECT_INT(write_text(&f, o, 0, "x"), 0);
	fixture_settle(&f);
	EXPECT(f.seen_count == came + 1);
	EXPECT(came < SEEN_MAX && f.seen[came].lost_before == stats.records_dropped);
	fsal_unref(o);
	fixture_end(&f);
}

/* Beyond its rate an attachment's records are counted, to the last one; what was denied has a rate
 * of its own. */
static void body_bounded(void *arg)
{
	static const char *const folders[] = {"/workspace", NULL},
				 *const w[] = {"/workspace/w", NULL};
	struct fixture f = {.options = {.rules = rules_of(folders, w), .bounded = true}};
	struct fsal_stats stats = {0};
	struct fsal_object *d;
	uint64_t denied = 0;

	begin(&f, 0);
	while (stats.records_dropped < 100) {
		EXPECT_INT(make_file(&f, root_of(&f), "no", 0644, NULL), FSAL_DENIED);
		denied++;
		fixture_settle(&f);
		fsal_stats_get(f.fsal, &stats);
	}
	EXPECT(denied > LIMIT_FSAL_DENIALS_BURST && f.seen_count >= LIMIT_FSAL_DENIALS_BURST);
	/* What is allowed is told still, and says how much was not. */
	size_t before = f.seen_count;
	EXPECT_INT(make_dir(&f, root_of(&f), "w", &d), 0);
	fixture_settle(&f);
	EXPECT(f.seen_count == before + 1);
	EXPECT(f.seen_count - 1 + f.lost == denied);
	uint64_t told = f.lost;
	for (uint64_t more = 0; f.lost == told && stats.records_dropped == told; more++) {
		EXPECT_INT(make_file(&f, root_of(&f), "no", 0644, NULL), FSAL_DENIED);
		denied++;
		fixture_settle(&f);
		fsal_stats_get(f.fsal, &stats);
	}
	fsal_unref(d);
	/* What nothing was told behind is told at the end. */
	fixture_restart(&f);
	EXPECT(f.seen_count - 1 + f.lost == denied);
	fixture_end(&f);
}

static void bounded(void **state)
{
	in_fiber(body_bounded);
}

static void each(void **state)
{
	in_fiber(body_each);
}

static void coalesced(void **state)
{
	in_fiber(body_coalesced);
}

static void lost(void **state)
{
	in_fiber(body_lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each),
		cmocka_unit_test(coalesced),
		cmocka_unit_test(lost),
		cmocka_unit_test(bounded),
	};
	return cmocka_run_group_tests_name("nfs/fsal/records", tests, NULL, NULL);
}
