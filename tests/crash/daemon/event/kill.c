/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A daemon in small (store, bus, feed, journal, fibers that publish on two workers) is killed at
 * random points, again and again on the same files. What it acknowledged it wrote into shared
 * memory first thing; the parent compares.
 *
 * Rounds: 40, with AEGIS_TEST_LEVEL=all 300, =long 3000. AEGIS_TEST_SEED repeats a run.
 */
#include "daemon/event/event.h"
#include "tests/unit/daemon/store/fixture.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ACKS_MAX = 1 << 20, PUBLISHERS = 6, ROUND_MS_MAX = 60 };

/* What was acknowledged, before anything else could go wrong. */
struct acks {
	_Atomic uint64_t next_token;
	_Atomic uint32_t ready; /* the child of this round is past its start */
	_Atomic uint64_t event_token[ACKS_MAX]; /* by event number; 0: not acknowledged */
	_Atomic uint8_t file_token[ACKS_MAX]; /* 1: the file record with this token was */
};

static struct acks *acks;
static char dir[64];
static char url[128];
static char journal_dir[96];

/* ---- the child ---- */

static struct store *store;
static struct journal *journal;
static struct event_bus *bus;
static bool graceful; /* this child is not killed: it must not fail either */

static struct uuid run_of(int publisher)
{
	return (struct uuid){{0xee, (uint8_t)publisher}};
}

static const struct uuid agent = {{0xaa}};

static uint64_t token(void)
{
	uint64_t t = atomic_fetch_add(&acks->next_token, 1) + 1;

	CHECK(t < ACKS_MAX);
	return t;
}

static void publish_one(struct uuid run, const struct store_change *changes, size_t count)
{
	char details[64];
	uint64_t t = token();
	struct store_event e = event_of(EVENT_ITERATION_STARTED, run, (struct uuid){{0}}, 1);
	struct store_commit c = {
		.events = &e, .event_count = 1, .changes = changes, .change_count = count};

	snprintf(details, sizeof(details), "{\"action\":\"%llu\"}", (unsigned long long)t);
	e.details = span_cstr(details);
	int r = event_publish(bus, &c, DEADLINE_NONE);
	if (r == 0 && e.number < ACKS_MAX)
		atomic_store(&acks->event_token[e.number], t);
	CHECK(r == 0 || r == STORE_CONFLICT || r == -ECANCELED);
}

static void append_file_record(void)
{
	char payload[64];
	uint64_t t = token();
	struct audit_record r = {.source = AUDIT_FILE, .kind = SPAN("FileRead")};

	snprintf(payload, sizeof(payload), "{\"token\":%llu}", (unsigned long long)t);
	r.payload = span_cstr(payload);
	if (journal_append(journal, &r, 1, DEADLINE_NONE) == 0)
		atomic_store(&acks->file_token[t], 1);
}

/* Goes on with the execution where the last child left it, whatever state that was. */
static void publisher(void *arg)
{
	struct uuid run = run_of((int)(intptr_t)arg);
	struct store_execution create = {.id = run, .agent_id = agent, .status = "pending"};
	struct store_change c = {.kind = STORE_EXECUTION_CREATE, .execution = &create};
	int64_t end = deadline_in_ms(graceful ? 50 : 10000);

	publish_one(run, &c, 1); /* STORE_CONFLICT, from the second child on */
	for (int i = 0; !fiber_cancelled() && rt_now_ns() < end; i++) {
		char resume[32];
		snprintf(resume, sizeof(resume), "{\"step\":%d}", i);
		struct store_execution step = {
			.id = run, .status = "running", .resume = span_cstr(resume)};
		struct store_change move = {.kind = STORE_EXECUTION_UPDATE, .execution = &step};
		publish_one(run, &move, 1);
		if (i % 3 == 0)
			append_file_record();
	}
}

static int publishers_here(void *arg)
{
	struct group g;
	int r = 0;

	group_init(&g);
	for (intptr_t i = (intptr_t)arg; i < PUBLISHERS && r == 0; i += 2)
		r = group_spawn(&g, "publisher", FIBER_LARGE, publisher, (void *)i);
	return r < 0 ? r : group_join(&g, DEADLINE_NONE);
}

static void publishers_elsewhere(void *arg)
{
	int r = worker_call(worker_at(1), "publishers", publishers_here, (void *)1, DEADLINE_NONE);

	CHECK(r == 0);
}

static void daemon_main(void *arg)
{
	struct store_options o = {.url = url, .states = test_states};
	struct journal_options j = {.dir = journal_dir, .segment_bytes = 20000};
	struct store_agent a = {.id = agent, .name = SPAN("coder"), .status = "active"};
	struct store_change c = {.kind = STORE_AGENT_CREATE, .agent = &a};
	struct group g;
	int r = store_open(&o, &store);

	if (r == 0)
		r = journal_open(&j, &journal);
	struct event_bus_options b = {.store = store, .journal = journal};
	if (r == 0)
		r = event_bus_start(&b, &bus);
	if (r < 0) {
		err_log(r, "child");
		_exit(3);
	}
	atomic_store(&acks->ready, 1);
	publish_one((struct uuid){{0}}, &c, 1);
	group_init(&g);
	r = group_spawn(&g, "elsewhere", FIBER_SMALL, publishers_elsewhere, NULL);
	CHECK(r == 0);
	r = publishers_here((void *)0);
	CHECK(r == 0);
	r = group_join(&g, DEADLINE_NONE);
	CHECK(r == 0);
	event_bus_stop(bus);
	journal_close(journal);
	store_close(store);
}

static void child_main(void)
{
	struct rt_options o = {.workers = 2};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log_setup(LOG_ERROR, LOG_TEXT, "child");
	int r = rt_run(&o, daemon_main, NULL);
	if (r < 0)
		err_log(r, "child");
	_exit(r < 0 ? 3 : 0);
}

static pid_t start_child(void)
{
	fflush(NULL);
	atomic_store(&acks->ready, 0);
	pid_t pid = fork();
	if (pid == 0)
		child_main();
	assert_true(pid > 0);
	return pid;
}

static void sleep_us(long us)
{
	struct timespec t = {us / 1000000, us % 1000000 * 1000};

	nanosleep(&t, NULL);
}

/* Every fourth time already while it starts: recovery and migration are killed too. */
static void kill_round(bool early)
{
	pid_t pid = start_child();
	int status;

	for (int i = 0; !early && i < 10000 && !atomic_load(&acks->ready); i++)
		sleep_us(1000);
	sleep_us(rand() % (ROUND_MS_MAX * 1000));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		fail_msg("the child ended by itself with %d", WEXITSTATUS(status));
}

/* ---- the comparison ---- */

static uint64_t token_of(struct span details, const char *key)
{
	struct arena *a = arena_new(1 << 16);
	const struct json *v;
	uint64_t t = 0;

	assert_int_equal(json_parse(a, details, NULL, &v), 0);
	const struct json *m = json_get(v, key);
	assert_non_null(m);
	assert_int_equal(span_to_u64(m->text, &t), 0);
	arena_free(a);
	return t;
}

static uint64_t check_store(void)
{
	struct store_options o = {.url = url, .states = test_states};
	struct arena *a = arena_new(64 << 20);
	struct store_event_query q = {.limit = LIMIT_STORE_PAGE};
	struct store_events page;
	uint64_t acknowledged = 0;
	struct store *s;
	int r = store_open(&o, &s);

	if (r < 0)
		fail_msg("store_open: %s", err_message(r));
	do {
		arena_reset(a);
		assert_int_equal(store_event_list(s, &q, a, &page, DEADLINE_NONE), 0);
		for (size_t i = 0; i < page.count; i++) {
			const struct store_event *e = &page.items[i];
			assert_int_equal(e->number, ++q.after_number);
			uint64_t t = atomic_load(&acks->event_token[e->number]);
			acknowledged += t != 0;
			if (t && !uuid_is_nil(e->execution_id))
				assert_int_equal(token_of(e->details, "action"), t);
		}
	} while (page.count > 0);
	for (uint64_t n = q.after_number + 1; n < ACKS_MAX; n++)
		if (atomic_load(&acks->event_token[n]))
			fail_msg("event %llu was acknowledged and is gone", (unsigned long long)n);
	r = store_check(s, DEADLINE_NONE);
	if (r < 0)
		fail_msg("store_check: %s", err_message(r));
	store_close(s);
	arena_free(a);
	print_message("# %llu events, %llu of them acknowledged\n",
		(unsigned long long)q.after_number, (unsigned long long)acknowledged);
	assert_true(acknowledged > 0);
	return q.after_number;
}

static void check_journal(uint64_t events)
{
	uint8_t *seen = calloc(ACKS_MAX, 1);
	struct audit_verify_options none = {0};
	struct audit_verdict *v = calloc(1, sizeof(*v));
	struct audit_reader *reader;
	struct audit_record r;
	uint64_t next_event = 1;
	int res;

	assert_int_equal(audit_reader_open(journal_dir, &reader), 0);
	while ((res = audit_reader_next(reader, &r)) == 0) {
		if (r.source == AUDIT_EVENT) /* each once, in order */
			assert_int_equal(r.event_number, next_event++);
		if (r.source == AUDIT_FILE)
			assert_int_equal(seen[token_of(r.payload, "token")]++, 0);
	}
	if (res < 0)
		fail_msg("read the journal: %s", err_message(res));
	audit_reader_close(reader);
	assert_int_equal(next_event - 1, events);
	for (uint64_t t = 0; t < ACKS_MAX; t++)
		if (atomic_load(&acks->file_token[t]) && !seen[t])
			fail_msg("file record %llu was acknowledged and is gone",
				(unsigned long long)t);
	assert_int_equal(audit_verify(journal_dir, &none, v), 0);
	assert_true(v->consistent);
	free(v);
	free(seen);
}

static void test_nothing_acknowledged_is_lost_or_doubled(void **state)
{
	const char *level = getenv("AEGIS_TEST_LEVEL");
	const char *seed = getenv("AEGIS_TEST_SEED");
	unsigned s = seed ? (unsigned)atoi(seed) : (unsigned)time(NULL);
	int rounds = !level || strcmp(level, "short") == 0 ? 40
		: strcmp(level, "long") == 0               ? 3000
							   : 300;
	int status;

	if (rt_probe_ring() < 0)
		test_skip("io_uring cannot be used here: %s", err_message(rt_probe_ring()));
	print_message("# AEGIS_TEST_SEED=%u, %d rounds\n", s, rounds);
	srand(s);
	for (int i = 0; i < rounds; i++)
		kill_round(i % 4 == 3);
	graceful = true;
	pid_t pid = start_child();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	check_journal(check_store());
}

static int setup(void **state)
{
	acks = mmap(NULL, sizeof(*acks), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(acks != MAP_FAILED);
	test_folder(dir);
	snprintf(url, sizeof(url), "sqlite:%s/aegis.db", dir);
	snprintf(journal_dir, sizeof(journal_dir), "%s/audit", dir);
	return 0;
}

static int teardown(void **state)
{
	test_folder_remove(dir);
	munmap(acks, sizeof(*acks));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_nothing_acknowledged_is_lost_or_doubled, setup, teardown),
	};
	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
