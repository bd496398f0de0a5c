/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/event/event.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include "tests/unit/daemon/store/fixture.h"

#include <stdio.h>
#include <unistd.h>

static const struct uuid run_1 = {{1}};
static const struct uuid run_2 = {{2}};

/* What the bodies share; a test's own folder. */
static struct {
	char dir[64];
	char url[128];
	char journal_dir[96];
	struct store *store;
	struct journal *journal;
	struct event_bus *bus;
} t;

static void start(bool journaled)
{
	struct store_options o = {.url = t.url, .states = test_states};
	struct journal_options j = {.dir = t.journal_dir};

	EXPECT_INT(store_open(&o, &t.store), 0);
	if (journaled)
		EXPECT_INT(journal_open(&j, &t.journal), 0);
	struct event_bus_options b = {.store = t.store, .journal = t.journal};
	EXPECT_INT(event_bus_start(&b, &t.bus), 0);
}

static void stop(void)
{
	event_bus_stop(t.bus);
	journal_close(t.journal);
	store_close(t.store);
	t.bus = NULL;
	t.journal = NULL;
	t.store = NULL;
}

static uint64_t publish(struct uuid run, int n)
{
	char details[64];
	struct store_event e = event_of(EVENT_ITERATION_STARTED, run, (struct uuid){{0}}, 1);
	struct store_commit c = {.events = &e, .event_count = 1};

	snprintf(details, sizeof(details), "{\"action\":\"%d\"}", n);
	e.details = span_cstr(details);
	EXPECT_INT(event_publish(t.bus, &c, DEADLINE_NONE), 0);
	return e.number;
}

/* Takes `count` events and checks that they are those of `run` in order from `first`. */
static void expect_events(struct event_sub *s, uint64_t first, uint64_t count)
{
	struct arena *a = arena_new(1 << 20);
	struct store_event e;

	for (uint64_t i = 0; i < count; i++) {
		arena_reset(a);
		EXPECT_INT(event_next(s, a, &e, deadline_in_ms(20000)), 0);
		EXPECT_INT((long)e.sequence, (long)(first + i));
	}
	arena_free(a);
}

static void expect_silence(struct event_sub *s)
{
	struct arena *a = arena_new(1 << 20);
	struct store_event e;

	EXPECT_INT(event_next(s, a, &e, deadline_in_ms(50)), -ETIME);
	arena_free(a);
}

static void body_order(void *arg)
{
	struct event_filter f = {.execution_id = run_1};
	struct event_sub *s;

	start(false);
	publish(run_1, 0); /* before the subscription: from the store */
	publish(run_2, 0);
	EXPECT_INT(event_subscribe(t.bus, &f, &s), 0);
	expect_events(s, 1, 1);
	expect_silence(s);
	for (int i = 0; i < 20; i++) {
		publish(run_1, i);
		publish(run_2, i);
	}
	expect_events(s, 2, 20);
	expect_silence(s);
	event_unsubscribe(s);
	f.after_number = UINT64_MAX;
	EXPECT_INT(event_subscribe(t.bus, &f, &s), 0);
	expect_silence(s);
	publish(run_1, 0);
	expect_events(s, 22, 1);
	event_unsubscribe(s);
	stop();
}

/* More than the ring holds while the subscriber sleeps: it misses nothing, and its neighbours are
 * not kept waiting. */
static void body_slow(void *arg)
{
	struct event_filter f = {.execution_id = run_1};
	struct event_sub *slow;
	struct event_sub *quick;

	start(false);
	EXPECT_INT(event_subscribe(t.bus, &f, &slow), 0);
	EXPECT_INT(event_subscribe(t.bus, &f, &quick), 0);
	for (int i = 0; i < 600; i++) {
		publish(run_1, i);
		expect_events(quick, (uint64_t)i + 1, 1);
	}
	expect_events(slow, 1, 600);
	expect_silence(slow);
	event_unsubscribe(slow);
	event_unsubscribe(quick);
	stop();
}

static void wait_for_one(void *arg)
{
	struct event_filter f = {.execution_id = run_1};
	struct event_sub *s;
	struct arena *a = arena_new(1 << 20);
	struct store_event e;

	EXPECT_INT(event_subscribe(t.bus, &f, &s), 0);
	*(int *)arg = event_next(s, a, &e, DEADLINE_NONE);
	event_unsubscribe(s);
	arena_free(a);
}

static void body_gone(void *arg)
{
	struct group g;
	int results[10] = {0};

	start(false);
	group_init(&g);
	for (int i = 0; i < 10; i++)
		EXPECT_INT(group_spawn(&g, "sub", FIBER_SMALL, wait_for_one, &results[i]), 0);
	fiber_yield();
	group_close(&g); /* the clients went away */
	for (int i = 0; i < 10; i++)
		EXPECT_INT(results[i], -ECANCELED);
	publish(run_1, 1);
	stop();
}

struct publisher {
	struct uuid run;
	int count;
};

static void publish_many(void *arg)
{
	struct publisher *p = arg;

	for (int i = 0; i < p->count; i++)
		publish(p->run, i);
}

static int publish_elsewhere(void *arg)
{
	struct group g;
	int r = 0;

	group_init(&g);
	for (int i = 0; i < 8 && r == 0; i++)
		r = group_spawn(&g, "publisher", FIBER_LARGE, publish_many, arg);
	return r < 0 ? r : group_join(&g, DEADLINE_NONE);
}

static void call_elsewhere(void *arg)
{
	EXPECT_INT(worker_call(worker_at(1), "publish", publish_elsewhere, arg, DEADLINE_NONE), 0);
}

/* Eight fibers on another worker publish at once; one fsync serves many of them. */
static void body_workers(void *arg)
{
	struct event_filter f = {.execution_id = run_1};
	struct publisher p = {run_1, 50};
	struct event_sub *s;
	struct group g;

	start(true);
	EXPECT_INT(event_subscribe(t.bus, &f, &s), 0);
	group_init(&g);
	EXPECT_INT(group_spawn(&g, "elsewhere", FIBER_SMALL, call_elsewhere, &p), 0);
	expect_events(s, 1, 400);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	EXPECT(store_stats(t.store).commits == 400);
	EXPECT(store_stats(t.store).groups < 300);
	EXPECT_INT(event_journaled(t.bus, 400, deadline_in_ms(20000)), 0);
	event_unsubscribe(s);
	stop();
}

static void body_feed(void *arg)
{
	uint64_t last = 0;

	start(true);
	for (int i = 0; i < 10; i++)
		last = publish(run_1, i);
	EXPECT_INT(event_journaled(t.bus, last, deadline_in_ms(20000)), 0);
	EXPECT(event_journaled_through(t.bus) == last);
	stop();
}

/* Events committed while no feed runs are journaled at the next start, once. */
static void body_without_feed(void *arg)
{
	start(false);
	for (int i = 0; i < 300; i++)
		publish(run_2, i);
	stop();
}

static void record_one(void *arg)
{
	struct store_event e = event_of(EVENT_TOOL_FAILED, run_1, (struct uuid){{0}}, 0);
	char details[128];

	snprintf(details, sizeof(details),
		"{\"invocation_id\":\"i\",\"tool_name\":\"t\",\"error\":\"%d\"}", *(int *)arg);
	e.details = span_cstr(details);
	EXPECT_INT(event_record(t.bus, &e, deadline_in_ms(60000)), 0);
}

enum { RECORDED = 300 };

static void body_record(void *arg)
{
	static int n[RECORDED];
	struct store_event bad = event_of(EVENT_TOOL_FAILED, run_1, (struct uuid){{0}}, 0);
	struct group g;

	start(true);
	group_init(&g);
	uint64_t syncs = journal_stats(t.journal).syncs, rows = store_stats(t.store).events;
	for (int i = 0; i < RECORDED; i++) {
		n[i] = i;
		EXPECT_INT(group_spawn(&g, "recorder", FIBER_LARGE, record_one, &n[i]), 0);
	}
	EXPECT_INT(group_join(&g, deadline_in_ms(60000)), 0);
	EXPECT_INT(event_record(t.bus, &bad, deadline_in_ms(60000)), -EINVAL); /* incomplete */
	err_clear();
	/* Those who come together share a sync, and none of them has a row. */
	EXPECT((long)(journal_stats(t.journal).syncs - syncs) <= 4);
	EXPECT_INT((long)(store_stats(t.store).events - rows), 0);
	stop();
	start(false);
	EXPECT_INT(event_record(t.bus, &bad, deadline_in_ms(60000)), -ENOTSUP);
	err_clear();
	stop();
}

#define RULES "permit (principal, action, resource);\n"

static void publish_naming(const char *hash)
{
	char details[160];
	struct span text = SPAN(RULES);
	struct store_event e = event_of(EVENT_EXECUTION_STARTED, run_1, (struct uuid){{0}}, 0);
	struct store_commit c = {.events = &e, .event_count = 1, .blobs = &text, .blob_count = 1};

	snprintf(details, sizeof(details), "{\"policy_set\":\"%s\"}", hash);
	e.details = span_cstr(details);
	EXPECT_INT(event_publish(t.bus, &c, DEADLINE_NONE), 0);
	EXPECT_INT(event_journaled(t.bus, e.number, deadline_in_ms(20000)), 0);
}

static void record_decided(const char *hash)
{
	char details[256];
	struct store_event e = event_of(EVENT_TOOL_FAILED, run_1, (struct uuid){{0}}, 0);

	snprintf(details, sizeof(details),
		"{\"invocation_id\":\"i\",\"tool_name\":\"t\",\"error\":\"e\","
		"\"decision\":{\"policy_set\":\"%s\"}}",
		hash);
	e.details = span_cstr(details);
	EXPECT_INT(event_record(t.bus, &e, deadline_in_ms(60000)), 0);
}

static void hash_of_rules(char ret[65])
{
	struct span text = SPAN(RULES);
	struct store_hash hash;
	struct buf b CLEANUP(buf_fini) = buf_init(65);

	EXPECT_INT(store_blob_put(t.store, text, &hash, DEADLINE_NONE), 0);
	hex_encode(&b, span_of(hash.bytes, sizeof(hash.bytes)));
	snprintf(ret, 65, "%s", buf_cstr(&b));
}

static void body_sets(void *arg)
{
	char none[65], hash[65];

	start(true);
	memset(none, 'e', 64);
	none[64] = '\0';
	hash_of_rules(hash);
	publish_naming(none); /* the store has no such text */
	publish_naming("short");
	publish_naming(hash);
	record_decided(hash);
	publish_naming(hash);
	stop();
}

static void body_sets_of_calls(void *arg)
{
	char hash[65];

	start(true);
	hash_of_rules(hash);
	record_decided(hash);
	record_decided(hash);
	stop();
}

static void body_older_store(void *arg)
{
	struct store_options o = {.url = t.url, .states = test_states};
	struct journal_options j = {.dir = t.journal_dir};

	EXPECT_INT(store_open(&o, &t.store), 0);
	EXPECT_INT(journal_open(&j, &t.journal), 0);
	struct event_bus_options b = {.store = t.store, .journal = t.journal};
	int r = event_bus_start(&b, &t.bus);
	EXPECT_INT(r, -EUCLEAN);
	EXPECT(strstr(err_message(r), "replaced by an older copy") != NULL);
	err_clear();
	stop();
}

/* Every event once, in order, whole. */
static void expect_journal(uint64_t events)
{
	struct audit_reader *r;
	struct audit_record rec;
	uint64_t seen = 0;

	assert_int_equal(audit_reader_open(t.journal_dir, &r), 0);
	while (audit_reader_next(r, &rec) == 0) {
		if (rec.source != AUDIT_EVENT)
			continue;
		assert_int_equal(rec.event_number, ++seen);
		assert_true(span_is(rec.kind, "IterationStarted"));
		assert_non_null(memmem(rec.payload.p, rec.payload.n, "\"action\"", 8));
	}
	audit_reader_close(r);
	assert_int_equal(seen, events);
}

static int setup(void **state)
{
	test_folder(t.dir);
	snprintf(t.url, sizeof(t.url), "sqlite:%s/aegis.db", t.dir);
	snprintf(t.journal_dir, sizeof(t.journal_dir), "%s/audit", t.dir);
	return 0;
}

static int teardown(void **state)
{
	test_folder_remove(t.dir);
	return 0;
}

static void run_in_fiber(fiber_fn body, int workers)
{
	struct rt_options o = {.workers = workers};

	in_fiber_with(&o, body, NULL);
}

static void test_events_come_in_order(void **state)
{
	run_in_fiber(body_order, 1);
}

static void test_a_slow_subscriber_misses_nothing(void **state)
{
	run_in_fiber(body_slow, 1);
}

static void test_subscribers_may_go(void **state)
{
	run_in_fiber(body_gone, 1);
}

static void test_many_publish_on_another_worker(void **state)
{
	run_in_fiber(body_workers, 2);
	expect_journal(400);
}

static void test_the_journal_gets_each_event_once(void **state)
{
	run_in_fiber(body_feed, 1);
	expect_journal(10);
	run_in_fiber(body_without_feed, 1);
	expect_journal(10);
	run_in_fiber(body_feed, 1);
	expect_journal(320);
}

static void test_what_is_too_much_for_the_store_is_in_the_journal(void **state)
{
	struct audit_reader *r;
	struct audit_record rec;
	int seen = 0;

	run_in_fiber(body_record, 1);
	assert_int_equal(audit_reader_open(t.journal_dir, &r), 0);
	while (audit_reader_next(r, &rec) == 0) {
		if (rec.source != AUDIT_CALL)
			continue;
		assert_true(span_is(rec.kind, "InvocationFailed"));
		assert_true(uuid_eq(rec.execution_id, run_1));
		assert_non_null(memmem(rec.payload.p, rec.payload.n, "Tool t failed: ", 15));
		seen++;
	}
	audit_reader_close(r);
	assert_int_equal(seen, RECORDED);
}

/* The text stands before the first record that names it, once in each life. */
static void test_policy_sets_are_in_the_journal(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) =
		arena_new(16 * (size_t)LIMIT_AUDIT_POLICY_PART_BYTES);
	struct audit_policy_part part;
	struct audit_reader *r;
	struct audit_record rec;
	int sets = 0, named = 0;

	run_in_fiber(body_sets, 1);
	run_in_fiber(body_sets_of_calls, 1);
	assert_int_equal(audit_reader_open(t.journal_dir, &r), 0);
	while (audit_reader_next(r, &rec) == 0) {
		arena_reset(a);
		if (audit_policy_part_of(a, &rec, &part) == 0) {
			assert_true(span_is(part.text, RULES));
			assert_int_equal(named, sets++ ? 3 : 0);
		} else if (sets && rec.source != AUDIT_JOURNAL) {
			named++;
		}
	}
	audit_reader_close(r);
	assert_int_equal(sets, 2);
	assert_int_equal(named, 5);
}

static void test_a_store_older_than_the_journal_is_refused(void **state)
{
	char path[128];

	run_in_fiber(body_feed, 1);
	snprintf(path, sizeof(path), "%s/aegis.db", t.dir);
	assert_int_equal(unlink(path), 0);
	run_in_fiber(body_older_store, 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_events_come_in_order),
		CASE(test_a_slow_subscriber_misses_nothing),
		CASE(test_subscribers_may_go),
		CASE(test_many_publish_on_another_worker),
		CASE(test_the_journal_gets_each_event_once),
		CASE(test_what_is_too_much_for_the_store_is_in_the_journal),
		CASE(test_policy_sets_are_in_the_journal),
		CASE(test_a_store_older_than_the_journal_is_refused),
	};
	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
