/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * When operations complete. Each is given a moment before which nothing happens; from then on it
 * is tried, in an order that chance decides, until it can do something. Time moves only when
 * nothing can be done: to the next such moment, or to the deadline that the worker waits for.
 */
#include "daemon/rt/sim_internal.h"
#include <errno.h>
#include <stdlib.h>

enum {
	LONG_DELAY_PER_MILLE = 20, /* of operations that take a hundred times as long */
	END_MULTISHOT_PER_MILLE = 30, /* of answers after which a multishot operation ends */
	BATCH = 4, /* answers in one turn, at most */
	TURN_NS = 1000, /* what a turn costs */
};

#define TURNS_MAX INT64_C(20000000)

static int64_t some_delay(struct sim *s)
{
	int64_t ns = (int64_t)sim_pick(s, (uint64_t)s->options.delay_max_ns);
	return sim_chance(s, LONG_DELAY_PER_MILLE) ? 100 * ns : ns;
}

/* Number 0 is left to operations that nobody may lose: closing, cancelling. A number that must
 * fail is told apart by its sign. */
static void renumber(struct sim *s, struct sim_op *op)
{
	unsigned opcode = op->sqe.opcode;
	op->number = 0;
	if (sim_op_fallible(opcode) && sim_count(s, sim_op_name(opcode), &op->number))
		op->number = -op->number;
}

void sim_push(struct worker *w, const struct io_uring_sqe *sqe)
{
	struct sim *s = w->sim;
	struct sim_op *op = calloc(1, sizeof(*op));
	CHECK(op);
	op->sqe = *sqe;
	op->at_ns = s->now_ns + some_delay(s);
	renumber(s, op);
	list_push_back(&s->ops, &op->link);
	s->op_count++;
}

static bool gives_fd(const struct sim_op *op)
{
	return op->sqe.opcode == IORING_OP_ACCEPT || op->sqe.opcode == IORING_OP_OPENAT;
}

static void answer(struct worker *w, struct sim_op *op, int res, unsigned flags)
{
	struct sim *s = w->sim;
	struct ring *r = &w->ring;
	CHECK(r->batch_count < r->batch_max);
	r->batch[r->batch_count++] = (struct completion){op->sqe.user_data, res, flags};
	/* Numbers of descriptors may differ between runs. */
	sim_note(s, (uint64_t)s->now_ns);
	sim_note(s, (uint64_t)op->sqe.opcode << 32 | (uint32_t)(res > 0 && gives_fd(op) ? 0 : res));
	if (cqe_more(flags)) {
		op->at_ns = s->now_ns + some_delay(s);
		renumber(s, op);
		return;
	}
	list_remove(&op->link);
	s->op_count--;
	free(op);
}

static int cancel(struct worker *w, const struct sim_op *request)
{
	struct sim *s = w->sim;
	list_for_each (l, &s->ops) {
		struct sim_op *op = list_entry(l, struct sim_op, link);
		if (op == request || op->sqe.user_data != request->sqe.addr)
			continue;
		answer(w, op, op->done ? (int)op->done : -ECANCELED, 0);
		return 0;
	}
	return -ENOENT;
}

/* True if the operation has answered. */
static bool try_op(struct worker *w, struct sim_op *op)
{
	struct sim *s = w->sim;
	unsigned flags = 0;
	int res;
	if (op->number < 0)
		res = s->options.fail_errno ? -s->options.fail_errno
					    : sim_op_error(s, op->sqe.opcode);
	else if (op->sqe.opcode == IORING_OP_ASYNC_CANCEL)
		res = cancel(w, op);
	else
		res = sim_attempt(w, op, &flags);
	if (res == -EAGAIN)
		return false;
	bool ends = res < 0 || (res == 0 && op->sqe.opcode == IORING_OP_RECV) ||
		sim_chance(s, END_MULTISHOT_PER_MILLE);
	if (sim_op_multishot(op) && !ends)
		flags |= IORING_CQE_F_MORE;
	answer(w, op, res, flags);
	return true;
}

/* Tries all whose moment has come, beginning anywhere, until one answers. */
static bool answer_one(struct worker *w)
{
	struct sim *s = w->sim;
	if (s->op_count == 0)
		return false;
	size_t start = sim_pick(s, s->op_count);
	struct list *l = s->ops.next;
	for (size_t i = 0; i < start; i++)
		l = l->next;
	for (size_t i = s->op_count; i > 0; i--, l = l->next) {
		if (l == &s->ops)
			l = l->next;
		struct sim_op *op = list_entry(l, struct sim_op, link);
		if (op->at_ns <= s->now_ns && try_op(w, op))
			return true;
	}
	return false;
}

/* The next moment at which something may happen. */
static int64_t next_moment(const struct sim *s)
{
	int64_t next = DEADLINE_NONE;
	list_for_each (l, &s->ops) {
		const struct sim_op *op = list_entry(l, struct sim_op, link);
		if (op->at_ns > s->now_ns)
			next = deadline_earlier(next, op->at_ns);
	}
	return next;
}

void sim_turn(struct worker *w, bool wait, int64_t timeout_ns)
{
	struct sim *s = w->sim;
	s->now_ns += TURN_NS;
	s->turns++;
	if (s->now_ns - START_NS > s->options.time_limit_ns || s->turns == TURNS_MAX ||
		s->turns == 2 * TURNS_MAX) {
		sim_stuck(w, -ETIME);
		return;
	}
	int64_t deadline_ns = timeout_ns == DEADLINE_NONE ? timeout_ns : s->now_ns + timeout_ns;
	for (uint64_t left = 1 + sim_pick(s, BATCH); left > 0;) {
		if (answer_one(w)) {
			left--;
			continue;
		}
		if (!wait || w->ring.batch_count > 0)
			return;
		int64_t next = deadline_earlier(next_moment(s), deadline_ns);
		if (next == DEADLINE_NONE) {
			sim_stuck(w, -EDEADLK);
			return;
		}
		s->now_ns = MAX(s->now_ns, next);
		if (next == deadline_ns)
			return;
	}
}
