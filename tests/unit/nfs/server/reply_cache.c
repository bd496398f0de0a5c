/* SPDX-License-Identifier: AGPL-3.0-only */
/* The reply cache: what counts as the same call, what survives a process, who waits. */
#include "nfs/server/reply_cache.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOTS = 64, SLOT_BYTES = 512 };

static struct reply_key key(uint32_t xid)
{
	return (struct reply_key){.client = SPAN("\x7f\0\0\1"),
		.xid = xid,
		.proc = 8,
		.cred = SPAN("uid 0"),
		.args = SPAN("create a")};
}

static struct reply_cache *open_cache(int file)
{
	struct reply_cache *c = NULL;
	EXPECT_INT(reply_cache_open(file, SLOTS, &c), 0);
	return c;
}

static int begin(struct reply_cache *c, const struct reply_key *k, struct reply_slot **ret)
{
	int64_t intent_ns;
	return (int)reply_cache_begin(c, k, ret, &intent_ns);
}

static void same_call_body(void *arg)
{
	struct reply_cache *c = open_cache(-1);
	struct reply_key k = key(1);
	struct reply_slot *s;
	struct reply_slot *again;
	EXPECT_INT(begin(c, &k, &s), REPLY_NEW);
	EXPECT_INT(begin(c, &k, &again), REPLY_IN_PROGRESS);
	EXPECT(again == s);
	reply_cache_done(c, s, SPAN("made"));
	EXPECT_INT(begin(c, &k, &again), REPLY_DONE);
	EXPECT(span_is(reply_cache_reply(again), "made"));

	struct reply_key others[5];
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		others[i] = k;
	others[0].xid++;
	others[1].client = SPAN("\x7f\0\0\2");
	others[2].proc++;
	others[3].cred = SPAN("uid 1");
	others[4].args = SPAN("create b");
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		EXPECT_INT(begin(c, &others[i], &s), REPLY_NEW);
		reply_cache_drop(c, s);
	}
	EXPECT_INT(begin(c, &others[0], &s), REPLY_NEW); /* a dropped one is forgotten */
	reply_cache_abandon(c, s);
	EXPECT_INT(begin(c, &others[0], &s), REPLY_UNFINISHED);
	reply_cache_drop(c, s);
	reply_cache_close(c);
}

static void test_same_call(void **state)
{
	in_fiber(same_call_body);
}

static void ring_body(void *arg)
{
	struct reply_cache *c = open_cache(-1);
	struct reply_slot *held;
	struct reply_slot *s;
	struct reply_key first = key(0);
	EXPECT_INT(begin(c, &first, &held), REPLY_NEW);
	for (uint32_t i = 1; i < 3 * SLOTS; i++) {
		struct reply_key k = key(i);
		EXPECT_INT(begin(c, &k, &s), REPLY_NEW);
		reply_cache_done(c, s, SPAN("x"));
	}
	EXPECT_INT(begin(c, &first, &s), REPLY_IN_PROGRESS); /* it was not overwritten */
	struct reply_key old = key(1);
	EXPECT_INT(begin(c, &old, &s), REPLY_NEW); /* this one was */
	for (uint32_t i = 0; i < SLOTS - 2; i++) {
		struct reply_key k = key(10000 + i);
		EXPECT_INT(begin(c, &k, &s), REPLY_NEW);
	}
	struct reply_key more = key(20000);
	EXPECT_INT(begin(c, &more, &s), REPLY_FULL);
	reply_cache_done(c, held, SPAN("late"));
	EXPECT_INT(begin(c, &more, &s), REPLY_NEW);
	reply_cache_close(c);
}

static void test_ring(void **state)
{
	in_fiber(ring_body);
}

/* ---- who waits ---- */

struct waiter {
	struct reply_cache *c;
	struct reply_slot *slot;
	int outcome;
};

static void wait_for_it(void *arg)
{
	struct waiter *w = arg;
	w->outcome = reply_cache_wait(w->c, w->slot, DEADLINE_NONE);
}

static void wait_body(void *arg)
{
	struct reply_cache *c = open_cache(-1);
	struct group g;
	struct waiter w[2] = {{c}, {c}};
	group_init(&g);
	for (uint32_t i = 0; i < 2; i++) {
		struct reply_key k = key(i);
		EXPECT_INT(begin(c, &k, &w[i].slot), REPLY_NEW);
		EXPECT_INT(group_spawn(&g, "wait", FIBER_SMALL, wait_for_it, &w[i]), 0);
	}
	fiber_yield();
	reply_cache_done(c, w[0].slot, SPAN("reply"));
	reply_cache_drop(c, w[1].slot);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	EXPECT_INT(w[0].outcome, REPLY_DONE);
	EXPECT_INT(w[1].outcome, REPLY_NEW);
	reply_cache_close(c);
}

static void test_wait(void **state)
{
	in_fiber(wait_body);
}

/* ---- across processes: the file is what a process that was killed leaves ---- */

static int memory_file(void)
{
	return memfd_create("replies", MFD_CLOEXEC);
}

/* The killed process's descriptor and lock are gone, its mapping's content is not. */
static int leave(struct reply_cache *c, int file)
{
	int copy = memory_file();
	char *bytes = malloc((SLOTS + 1) * SLOT_BYTES);
	EXPECT(bytes && pread(file, bytes, (SLOTS + 1) * SLOT_BYTES, 0) > 0);
	EXPECT(pwrite(copy, bytes, (SLOTS + 1) * SLOT_BYTES, 0) > 0);
	free(bytes);
	reply_cache_close(c);
	return copy;
}

static void restart_body(void *arg)
{
	int file = memory_file();
	struct reply_cache *c = open_cache(file);
	struct reply_slot *s;
	struct reply_key done = key(1);
	struct reply_key begun = key(2);
	int64_t before_ns = rt_wall_ns();
	int64_t intent_ns = 0;
	EXPECT_INT(begin(c, &done, &s), REPLY_NEW);
	reply_cache_done(c, s, SPAN("made"));
	EXPECT_INT(begin(c, &begun, &s), REPLY_NEW);

	c = open_cache(leave(c, file));
	EXPECT_INT(begin(c, &done, &s), REPLY_DONE);
	EXPECT(span_is(reply_cache_reply(s), "made"));
	EXPECT_INT(reply_cache_begin(c, &begun, &s, &intent_ns), REPLY_UNFINISHED);
	EXPECT(intent_ns >= before_ns && intent_ns <= rt_wall_ns());
	EXPECT_INT(begin(c, &begun, &s), REPLY_IN_PROGRESS);
	reply_cache_done(c, s, SPAN("settled"));
	EXPECT_INT(begin(c, &begun, &s), REPLY_DONE);
	reply_cache_close(c);
}

static void test_restart(void **state)
{
	in_fiber(restart_body);
}

static void flip(int file, off_t at)
{
	char byte;
	EXPECT(pread(file, &byte, 1, at) == 1);
	byte ^= 1;
	EXPECT(pwrite(file, &byte, 1, at) == 1);
}

/* A reply that is not whole does not count; a file of another boot or shape does not either. */
static void damage_body(void *arg)
{
	for (int what = 0; what < 3; what++) {
		int file = memory_file();
		struct reply_cache *c = open_cache(file);
		struct reply_key k = key(1);
		struct reply_slot *s;
		EXPECT_INT(begin(c, &k, &s), REPLY_NEW);
		reply_cache_done(c, s, SPAN("made"));
		file = leave(c, file);
		if (what == 0)
			flip(file, SLOT_BYTES + 64); /* the reply */
		else if (what == 1)
			flip(file, 24); /* the boot's id */
		else
			flip(file, 0); /* the magic */
		c = open_cache(file);
		EXPECT_INT(begin(c, &k, &s), REPLY_NEW);
		reply_cache_drop(c, s);
		reply_cache_close(c);
	}
}

static void test_damage(void **state)
{
	in_fiber(damage_body);
}

static void one_process_body(void *arg)
{
	char path[] = "/tmp/replies-XXXXXX";
	int a = mkstemp(path);
	int b = open(path, O_RDWR | O_CLOEXEC);
	struct reply_cache *c = open_cache(a);
	struct reply_cache *other;
	EXPECT_INT(reply_cache_open(b, SLOTS, &other), -EBUSY);
	err_clear();
	reply_cache_close(c);
	/* Closed is closed, with nothing in between that would have to run first. */
	b = open(path, O_RDWR | O_CLOEXEC);
	EXPECT_INT(reply_cache_open(b, SLOTS, &other), 0);
	reply_cache_close(other);
	unlink(path);
}

static void test_one_process(void **state)
{
	in_fiber(one_process_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_call),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_one_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
