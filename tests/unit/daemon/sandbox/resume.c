/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What becomes of the kernel's records when a daemon is killed, or when it looks away from the ring
 * and back: each is on record once, and where to look for what is there already is never far back.
 * The ring, the helper and the journal are stand-ins; the daemon is started and killed at will.
 */
#include "daemon/sandbox/process_internal.h"
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "tests/unit/daemon/rt/in_fiber.h"

enum { EVENTS_MAX = 3 * RECORD_SENSOR_BATCH };

/* The kernel's: it outlives daemons. */
static struct {
	struct record_event events[EVENTS_MAX];
	const struct record_event *batch[RECORD_SENSOR_BATCH];
	size_t made, let_go, taken;
	uint64_t begun;
} ring;

/* So does the journal: which record of it is which event's, 0: none. */
static struct {
	uint64_t records, of_event[EVENTS_MAX];
	size_t twice;
	bool full;
} journal;

/* Of one daemon. */
static struct {
	struct process_driver driver;
	bool dies; /* once it has recorded and before it lets go */
	uint64_t resumed; /* the position that it was told, 0: none */
	size_t resumes;
	bool repeated[EVENTS_MAX];
} daemon_now;

/* ---- stand-ins ---- */

int record_sensor_new(int fds[RECORD_MAPS + RECORD_HOOKS], struct record_sensor **ret)
{
	*ret = (struct record_sensor *)&ring;
	return 0;
}

struct record_sensor *record_sensor_free(struct record_sensor *s)
{
	return NULL;
}

static int never_ready;

int record_sensor_fd(const struct record_sensor *s)
{
	return never_ready;
}

size_t record_sensor_next(struct record_sensor *s, const struct record_event *const **ret)
{
	size_t n = MIN(ring.made - ring.let_go, (size_t)RECORD_SENSOR_BATCH);

	for (size_t i = 0; i < n; i++)
		ring.batch[i] = &ring.events[ring.let_go + i];
	ring.taken = n;
	*ret = ring.batch;
	return n;
}

void record_sensor_done(struct record_sensor *s)
{
	ring.let_go += ring.taken;
	ring.taken = 0;
}

int record_sensor_counters(const struct record_sensor *s, uint64_t cgroup, struct record_agent *ret)
{
	return err_raise(-ENOENT, "no counters");
}

uint64_t record_sensor_told(const struct record_sensor *s, uint64_t cgroup)
{
	return 0;
}

void record_sensor_tell(struct record_sensor *s, uint64_t cgroup, uint64_t lost)
{
}

uint64_t record_sensor_begun(const struct record_sensor *s)
{
	return ring.begun;
}

void record_sensor_begin(struct record_sensor *s, uint64_t position)
{
	ring.begun = position;
}

uint64_t record_agent_lost(const struct record_agent *a)
{
	return 0;
}

struct sandbox_origin process_origin(
	const struct process_driver *d, uint64_t cgroup, uint64_t call_cgroup)
{
	return (struct sandbox_origin){.identity = cgroup};
}

int process_opening(struct process_driver *d,
	int (*ready)(struct process_driver *d, int64_t deadline_ns), int64_t deadline_ns)
{
	return err_trace(ready(d, deadline_ns));
}

int helper_ask(struct helper_link *l, struct helper_request *q, int64_t deadline_ns)
{
	return err_trace(q->fn(NULL, q, deadline_ns));
}

const struct helper_info *helper_info(const struct helper *h)
{
	static const struct helper_info info = {.instance = 4711};
	return &info;
}

int helper_record_open(
	struct helper *h, int ret_fds[RECORD_MAPS + RECORD_HOOKS], int64_t deadline_ns)
{
	return 0;
}

/* ---- the daemon's side ---- */

static size_t index_of(const struct record_event *e)
{
	return (size_t)(e - ring.events);
}

static bool recorded(void *ctx, const struct record_event *const *events, size_t count)
{
	if (journal.full)
		return false;
	for (size_t i = 0; i < count; i++) {
		size_t e = index_of(events[i]);
		if (daemon_now.repeated[e])
			continue;
		journal.twice += journal.of_event[e] != 0;
		journal.of_event[e] = ++journal.records;
	}
	memset(daemon_now.repeated, 0, sizeof(daemon_now.repeated));
	return !daemon_now.dies;
}

static uint64_t position(void *ctx)
{
	return journal.records;
}

static bool resumed(
	void *ctx, uint64_t from, const struct record_event *const *events, size_t count)
{
	bool any = false;

	daemon_now.resumed = from;
	daemon_now.resumes++;
	for (size_t i = 0; i < count; i++) {
		size_t e = index_of(events[i]);
		daemon_now.repeated[e] = journal.of_event[e] > from;
		any = any || daemon_now.repeated[e];
	}
	return any;
}

static void look(void)
{
	EXPECT_INT(process_record_ready(&daemon_now.driver, DEADLINE_NONE), 0);
}

static void look_away(void)
{
	process_record_close(&daemon_now.driver);
}

static void daemon_begins(void)
{
	memset(&daemon_now, 0, sizeof(daemon_now));
	daemon_now.driver.observer = (struct sandbox_network_observer){
		.recorded = recorded, .position = position, .resumed = resumed};
	list_init(&daemon_now.driver.alive);
	group_init(&daemon_now.driver.record_group);
	fiber_lock_init(&daemon_now.driver.record_lock);
	journal.records++; /* it says that it began */
}

static void daemon_is_killed(void)
{
	group_close(&daemon_now.driver.record_group);
}

/* It records what is in the ring, and is killed before it lets go of that. */
static void daemon_dies_in_between(void)
{
	daemon_now.dies = true;
	look_away(); /* which takes what is there */
	daemon_is_killed();
}

static void happen(size_t events)
{
	CHECK(ring.made + events <= EVENTS_MAX);
	ring.made += events;
}

static void begin(void)
{
	memset(&ring, 0, sizeof(ring));
	memset(&journal, 0, sizeof(journal));
	never_ready = eventfd(0, EFD_CLOEXEC);
	daemon_begins();
	look();
}

/* All that happened is on record, once. */
static void end(void)
{
	size_t missing = 0;

	daemon_is_killed();
	for (size_t i = 0; i < ring.made; i++)
		missing += journal.of_event[i] == 0;
	EXPECT_INT((long)missing, 0);
	EXPECT_INT((long)journal.twice, 0);
	close(never_ready);
}

/* ---- cases ---- */

static void body_nobody_looks_for_what_one_did_oneself(void *arg)
{
	begin();
	happen(10);
	look_away();
	journal.records += 1000000; /* others write for hours */
	happen(3);
	look();
	look_away();
	EXPECT_INT((long)daemon_now.resumes, 0);
	end();
}

static void body_an_empty_ring_is_begun_with_now(void *arg)
{
	begin();
	happen(10);
	look_away();
	EXPECT_INT((long)ring.begun, (long)journal.records);
	look();
	journal.records += 1000000;
	int64_t until = deadline_in_ms(60000);
	while (ring.begun != journal.records && rt_now_ns() < until)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(10)), 0);
	EXPECT_INT((long)ring.begun, (long)journal.records);
	daemon_is_killed();
	happen(5);
	daemon_begins();
	look();
	look_away();
	EXPECT_INT((long)daemon_now.resumed, (long)journal.records - 6);
	end();
}

static void body_a_full_disk_is_no_reason_to_look_either(void *arg)
{
	begin();
	happen(10);
	journal.full = true;
	look_away();
	EXPECT_INT((long)ring.let_go, 0);
	journal.full = false;
	look();
	look_away();
	EXPECT_INT((long)daemon_now.resumes, 0);
	end();
}

static void body_what_was_recorded_is_not_again(void *arg)
{
	begin();
	happen(10);
	daemon_dies_in_between();
	for (size_t life = 0; life < 4; life++) { /* each adds to the same batch */
		happen(7);
		daemon_begins();
		look();
		daemon_dies_in_between();
	}
	daemon_begins();
	look();
	look_away();
	EXPECT_INT((long)daemon_now.resumes, 1);
	EXPECT_INT((long)daemon_now.resumed, 1);
	EXPECT_INT((long)ring.begun, (long)journal.records);
	end();
}

/* It is killed when it had let go and had not said yet where it would go on. */
static void body_what_was_let_go_of_is_behind(void *arg)
{
	begin();
	happen(RECORD_SENSOR_BATCH - 1);
	uint64_t before = ring.begun ? ring.begun : journal.records;
	look_away();
	daemon_is_killed();
	ring.begun = before;
	happen(RECORD_SENSOR_BATCH - 1);
	daemon_begins();
	look();
	daemon_dies_in_between();
	EXPECT_INT((long)daemon_now.resumed, (long)before);
	daemon_begins();
	look();
	look_away();
	/* What is to be looked through is one batch, and not two. */
	EXPECT(journal.records - daemon_now.resumed <= RECORD_SENSOR_BATCH);
	end();
}

#define IN_FIBER(name) \
	static void name(void **state) \
	{ \
		in_fiber(body_##name); \
	}
IN_FIBER(nobody_looks_for_what_one_did_oneself)
IN_FIBER(an_empty_ring_is_begun_with_now)
IN_FIBER(a_full_disk_is_no_reason_to_look_either)
IN_FIBER(what_was_recorded_is_not_again)
IN_FIBER(what_was_let_go_of_is_behind)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_looks_for_what_one_did_oneself),
		cmocka_unit_test(an_empty_ring_is_begun_with_now),
		cmocka_unit_test(a_full_disk_is_no_reason_to_look_either),
		cmocka_unit_test(what_was_recorded_is_not_again),
		cmocka_unit_test(what_was_let_go_of_is_behind),
	};
	return cmocka_run_group_tests_name("daemon/sandbox/resume", tests, NULL, NULL);
}
