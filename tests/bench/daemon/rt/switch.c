/* SPDX-License-Identifier: AGPL-3.0-only */
/* The price of the runtime's smallest steps. */
#include "tests/bench/smoke.h"
#include "tests/bench/daemon/rt/figure.h"
#include "daemon/rt/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { ROUNDS = 7, TIMES = 300000, WIPES = 50000 };

static int rounds, turns, wipes;

typedef double (*measure)(void);

static double ns_each(int64_t began_ns, int64_t times)
{
	return (double)(thread_cpu_ns() - began_ns) / (double)times;
}

static void no_fail(int r)
{
	if (r < 0) {
		fprintf(stderr, "%s\n", err_message(r));
		exit(1);
	}
}

/* ---- switching ---- */

static void yield_many(void *arg)
{
	for (int i = 0; i < turns; i++)
		fiber_yield();
}

static double switch_ns(void)
{
	struct group g;
	group_init(&g);
	for (int i = 0; i < 2; i++)
		no_fail(group_spawn(&g, "yield", FIBER_SMALL, yield_many, NULL));
	int64_t began_ns = thread_cpu_ns();
	no_fail(group_join(&g, DEADLINE_NONE));
	return ns_each(began_ns, 2 * turns);
}

static ucontext_t here;
static ucontext_t there;

static void swap_for_ever(void)
{
	for (;;)
		swapcontext(&there, &here);
}

static double swapcontext_ns(void)
{
	static char stack[65536];
	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = sizeof(stack);
	makecontext(&there, swap_for_ever, 0);
	int64_t began_ns = thread_cpu_ns();
	for (int i = 0; i < turns; i++)
		swapcontext(&here, &there);
	return ns_each(began_ns, 2 * turns);
}

static void do_nothing(void *arg)
{
}

static double spawn_ns(void)
{
	enum { BATCH = 16 };
	struct group g;
	group_init(&g);
	int64_t began_ns = thread_cpu_ns();
	for (int i = 0; i < turns / BATCH; i++) {
		for (int k = 0; k < BATCH; k++)
			no_fail(group_spawn(&g, "nothing", FIBER_SMALL, do_nothing, NULL));
		no_fail(group_join(&g, DEADLINE_NONE));
	}
	return ns_each(began_ns, turns);
}

/* ---- awaits ---- */

/* An await that need not wait: what a request pays for being written as one. */
static double ready_ns(void)
{
	struct chan *c = chan_new(1);
	void *item;
	int64_t began_ns = thread_cpu_ns();
	for (int i = 0; i < turns; i++) {
		no_fail(chan_send(c, c, DEADLINE_NONE));
		no_fail(chan_recv(c, &item, DEADLINE_NONE));
	}
	double ns = ns_each(began_ns, 2 * turns);
	chan_free(c);
	return ns;
}

static double round_trip_ns(void)
{
	int64_t began_ns = thread_cpu_ns();
	for (int i = 0; i < turns; i++) {
		struct io_uring_sqe sqe = {0};
		io_uring_prep_nop(&sqe);
		no_fail(op_await(&sqe, "nop", DEADLINE_NONE));
	}
	return ns_each(began_ns, turns);
}

static double round_trip_with_deadline_ns(void)
{
	int64_t began_ns = thread_cpu_ns();
	for (int i = 0; i < turns; i++) {
		struct io_uring_sqe sqe = {0};
		io_uring_prep_nop(&sqe);
		no_fail(op_await(&sqe, "nop", deadline_in_ms(10000)));
	}
	return ns_each(began_ns, turns);
}

static double plain_round_trip_ns(void)
{
	struct io_uring ring;
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
	no_fail(io_uring_queue_init_params(64, &ring, &p));
	no_fail(io_uring_register_ring_fd(&ring));
	int64_t began_ns = thread_cpu_ns();
	for (int i = 0; i < turns; i++) {
		struct io_uring_cqe *cqe;
		io_uring_prep_nop(io_uring_get_sqe(&ring));
		no_fail(io_uring_submit_and_wait(&ring, 1));
		no_fail(io_uring_peek_cqe(&ring, &cqe));
		io_uring_cqe_seen(&ring, cqe);
	}
	double ns = ns_each(began_ns, turns);
	io_uring_queue_exit(&ring);
	return ns;
}

/* ---- wiping stacks ---- */

enum { STACK = 65536, USED = 2048 };

static double drop_ns(void)
{
	char *p = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		exit(1);
	int64_t began_ns = thread_cpu_ns();
	for (int i = 0; i < wipes; i++) {
		memset(p + STACK - USED, 1, USED);
		madvise(p, STACK, MADV_DONTNEED);
	}
	double ns = ns_each(began_ns, wipes);
	munmap(p, STACK);
	return ns;
}

static double wipe_ns(void)
{
	static struct stack_pool pool;
	if (!pool.base)
		no_fail(stack_pool_init(&pool, stack_bytes_of(FIBER_SMALL), 1));
	int64_t began_ns = thread_cpu_ns();
	for (int i = 0; i < wipes; i++) {
		struct fiber *f = stack_get(&pool);
		memset((char *)f - USED, 1, USED);
		stack_put(f);
	}
	return ns_each(began_ns, wipes);
}

static double median_of_rounds(measure m)
{
	double ns[ROUNDS];
	for (int i = 0; i < rounds; i++)
		ns[i] = m();
	return median(ns, rounds);
}

static void run_all(void *arg)
{
	double plain = median_of_rounds(plain_round_trip_ns);
	figure_print(&(struct figure){"fiber switch", "ns", median_of_rounds(switch_ns),
		"swapcontext of glibc", median_of_rounds(swapcontext_ns), "<= 0.2"});
	figure_print(&(struct figure){
		"fiber spawn, run and join", "ns", median_of_rounds(spawn_ns), NULL, 0, NULL});
	figure_print(&(struct figure){
		"await of a ready operation", "ns", median_of_rounds(ready_ns), NULL, 0, NULL});
	figure_print(&(struct figure){"ring round trip, awaited", "ns",
		median_of_rounds(round_trip_ns), "plain liburing loop", plain, "<= 1.5"});
	figure_print(&(struct figure){"ring round trip, awaited with a deadline", "ns",
		median_of_rounds(round_trip_with_deadline_ns), "plain liburing loop", plain,
		"<= 2"});
	figure_print(&(struct figure){"wipe of a used stack", "ns", median_of_rounds(wipe_ns),
		"MADV_DONTNEED and faulting in again", median_of_rounds(drop_ns), "<= 0.2"});
}

int main(void)
{
	rounds = bench_count(ROUNDS, 1);
	turns = bench_count(TIMES, 320);
	wipes = bench_count(WIPES, 10);
	struct rt_options options = {.workers = 1};
	no_fail(rt_run(&options, run_all, NULL));
	return 0;
}
