/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A simulated run: its clock, its chance, its end. All randomness comes from one generator, and
 * nothing else that could differ between two runs (descriptor numbers, addresses, ports) enters
 * a decision or the trace.
 */
#include "daemon/rt/sim_internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHORT_PER_MILLE = 300, SMALL_PER_MILLE = 250 };

#define TIME_LIMIT_NS (INT64_C(86400) * NS_PER_S)
#define DELAY_MAX_NS NS_PER_MS

/* ---- chance ---- */

/* splitmix64 */
uint64_t sim_random(struct sim *s)
{
	uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t sim_pick(struct sim *s, uint64_t n)
{
	CHECK(n > 0);
	return sim_random(s) % n;
}

bool sim_chance(struct sim *s, int per_mille)
{
	return per_mille > 0 && sim_pick(s, 1000) < (uint64_t)per_mille;
}

/* FNV-1a over the bytes of `what`. */
void sim_note(struct sim *s, uint64_t what)
{
	for (int i = 0; i < 8; i++, what >>= 8)
		s->trace = (s->trace ^ (what & 0xff)) * UINT64_C(0x100000001b3);
}

bool sim_count(struct sim *s, const char *what, int64_t *ret_number)
{
	*ret_number = 0;
	if (s->spared)
		return false;
	*ret_number = ++s->operations;
	if (*ret_number == s->options.fail_at) {
		s->failed = what;
		return true;
	}
	return sim_chance(s, s->options.fail_per_mille);
}

/* ---- what the runtime asks of a backend ---- */

static struct fiber *pick_ready(struct worker *w)
{
	uint64_t n = 0;
	list_for_each (l, &w->ready)
		n++;
	sim_note(w->sim, n);
	uint64_t at = sim_pick(w->sim, n);
	struct list *l = w->ready.next;
	while (at-- > 0)
		l = l->next;
	return list_entry(l, struct fiber, link);
}

static bool may_spawn(struct worker *w)
{
	int64_t number;
	/* The main fiber is there, whatever happens. */
	return w->alive == 0 || !sim_count(w->sim, "spawn", &number);
}

static int64_t now_ns(struct worker *w)
{
	return w->sim->now_ns;
}

static int64_t wall_ns(struct worker *w)
{
	return SIM_EPOCH_NS + w->sim->now_ns - START_NS;
}

static void fill_random(struct worker *w, void *p, size_t n)
{
	char *at = p;
	for (; n > 0; n--)
		*at++ = (char)sim_random(w->sim);
}

static void shut(struct worker *w, int fd, int how)
{
	struct sim_object *o = sim_object_at(w->sim, fd);
	if (o && o->kind == SIM_SOCKET)
		sim_socket_shutdown(o, how);
	else
		(void)shutdown(fd, how);
}

/* ---- signals ---- */

static int take_pending(struct sim *s, const sigset_t *set)
{
	for (int signo = 1; signo < NSIG; signo++)
		if (sigismember(set, signo) == 1 && sigismember(&s->pending, signo) == 1) {
			sigdelset(&s->pending, signo);
			return signo;
		}
	return 0;
}

static int wait_for_signal(struct worker *w, const sigset_t *set, int64_t deadline_ns)
{
	for (;;) {
		int signo = take_pending(w->sim, set);
		if (signo > 0)
			return signo;
		int r = fiber_wait_in(&w->sim->signal_waiters, "signal", deadline_ns, NULL);
		if (r < 0)
			return r;
	}
}

void sim_raise(int signo)
{
	struct sim *s = worker_current->sim;
	CHECK(s);
	sigaddset(&s->pending, signo);
	for (struct list *l; (l = list_pop_front(&s->signal_waiters));)
		fiber_wake(list_entry(l, struct fiber, link), 0);
}

void sim_faults(bool on)
{
	CHECK(worker_current && worker_current->sim);
	worker_current->sim->spared = !on;
}

bool sim_fails(const char *what)
{
	int64_t number;
	CHECK(worker_current && worker_current->sim);
	return sim_count(worker_current->sim, what, &number);
}

uint64_t sim_below(uint64_t n)
{
	CHECK(worker_current && worker_current->sim);
	return sim_pick(worker_current->sim, n);
}

/* ---- the run ---- */

static void report_fibers(struct worker *w)
{
	struct sim *s = w->sim;
	size_t n = 0;
	list_for_each (l, &w->fibers) {
		const struct fiber *f = list_entry(l, struct fiber, all);
		if (n >= sizeof(s->report))
			break;
		n += (size_t)snprintf(s->report + n, sizeof(s->report) - n, "%s%s waits for %s",
			n ? "; " : "", f->name, f->waits_for ? f->waits_for : "nothing");
	}
}

/* The scenario hangs: say who waits, then cancel everything, so that the run can end. */
void sim_stuck(struct worker *w, int why)
{
	struct sim *s = w->sim;
	if (s->stuck) {
		report_fibers(w);
		log_error("the simulation hangs even when all is cancelled: %s", s->report);
		UNREACHABLE();
	}
	s->stuck = why;
	report_fibers(w);
	s->options.time_limit_ns *= 2;
	group_cancel(&w->services);
}

static const struct backend simulator = {
	.push = sim_push,
	.turn = sim_turn,
	.pick = pick_ready,
	.may_spawn = may_spawn,
	.now_ns = now_ns,
	.wall_ns = wall_ns,
	.random = fill_random,
	.shutdown = shut,
	.signal_wait = wait_for_signal,
};

static struct sim *sim_new(const struct sim_options *options)
{
	struct sim *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->options = *options;
	s->random = options->seed;
	s->now_ns = START_NS;
	s->trace = UINT64_C(0xcbf29ce484222325);
	if (!s->options.short_per_mille)
		s->options.short_per_mille = SHORT_PER_MILLE;
	if (!s->options.delay_max_ns)
		s->options.delay_max_ns = DELAY_MAX_NS;
	if (!s->options.time_limit_ns)
		s->options.time_limit_ns = TIME_LIMIT_NS;
	s->socket_bytes = options->socket_buffer_bytes;
	if (!s->socket_bytes)
		s->socket_bytes = (size_t)256 << sim_pick(s, 9);
	list_init(&s->ops);
	list_init(&s->signal_waiters);
	sigemptyset(&s->pending);
	return s;
}

int sim_run(const struct sim_options *options, fiber_fn main_fn, void *arg, struct sim_result *ret)
{
	struct rt_options rt = {
		.workers = 1, .ring_entries = 64, .max_fibers = options->max_fibers};
	struct sim *s = sim_new(options);
	if (!s)
		return err_raise(-ENOMEM, "no memory for a simulation");
	uint8_t key[16];
	memset(key, 's', sizeof(key));
	map_hash_fix_key(key);
	int r = run_over(&simulator, s, &rt, main_fn, arg);
	int leaked = sim_objects_close_all(s);
	if (r == 0) {
		sim_note(s, (uint64_t)s->now_ns);
		*ret = (struct sim_result){
			.trace = s->trace,
			.operations = s->operations,
			.failed = s->failed,
			.elapsed_ns = s->now_ns - START_NS,
			.leaked_fds = leaked,
		};
		memcpy(ret->report, s->report, sizeof(ret->report));
		r = s->stuck;
	}
	free(s);
	return r;
}
