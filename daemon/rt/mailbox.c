/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Messages to a worker. From another worker they travel by MSG_RING and cost no system call of
 * their own; from other threads they wait in a locked list, and an eventfd tells the worker's ring
 * when it stops being empty; from the worker to itself they wait for the end of the turn, because
 * a callback never runs inside its poster. mail_count bounds what is on the way.
 */
#include "daemon/rt/internal.h"
#include "daemon/rt/sanitize.h"
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static bool in_this_room(const struct worker *from, const struct worker *to)
{
	return from != NULL && from->ring.uring.ring_fd >= 0 && to->ring.uring.ring_fd >= 0;
}

static void post_foreign(struct worker *to, struct msg *m)
{
	pthread_mutex_lock(&to->mail_lock);
	bool was_empty = list_empty(&to->mail_foreign);
	list_push_back(&to->mail_foreign, &m->link);
	pthread_mutex_unlock(&to->mail_lock);
	if (was_empty)
		CHECK(eventfd_write(to->mail_fd, 1) == 0);
}

void worker_post_always(struct worker *to, struct msg *m)
{
	struct worker *from = worker_current;
	atomic_fetch_add_explicit(&to->mail_count, 1, memory_order_relaxed);
	list_init(&m->link);
	if (from == to) {
		list_push_back(&to->mail_local, &m->link);
	} else if (in_this_room(from, to)) {
		struct io_uring_sqe sqe = {0};
		/* Should the kernel refuse, mailbox_unsent must know where it was meant to go. */
		m->link.next = (struct list *)(void *)to;
		sanitize_release(m);
		io_uring_prep_msg_ring(&sqe, to->ring.uring.ring_fd, 0, (uintptr_t)m | RING_MSG, 0);
		ring_submit_msg(from, &sqe, m);
	} else {
		post_foreign(to, m);
	}
}

int worker_post(struct worker *to, struct msg *m)
{
	if (atomic_load_explicit(&to->mail_count, memory_order_relaxed) >= MAILBOX_MAX)
		return -EAGAIN;
	worker_post_always(to, m);
	return 0;
}

void mailbox_unsent(struct msg *m, int res)
{
	struct worker *to = (struct worker *)(void *)m->link.next;
	log_debug("MSG_RING to worker %d: %s; by eventfd instead", to->index, err_name(res));
	post_foreign(to, m);
}

void mailbox_receive(struct worker *w, struct msg *m)
{
	sanitize_acquire(m);
	atomic_fetch_sub_explicit(&w->mail_count, 1, memory_order_relaxed);
	m->fn(m);
}

static void run_list(struct worker *w, struct list *mail)
{
	for (struct list *l; (l = list_pop_front(mail));)
		mailbox_receive(w, list_entry(l, struct msg, link));
}

/* Moves all of `from` to the empty `to`. */
static void list_move(struct list *from, struct list *to)
{
	list_init(to);
	if (list_empty(from))
		return;
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	list_init(from);
}

void mailbox_run_local(struct worker *w)
{
	struct list mail;
	if (list_empty(&w->mail_local))
		return;
	list_move(&w->mail_local, &mail);
	run_list(w, &mail);
}

static void arm(struct worker *w)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_read(&sqe, w->mail_fd, &w->mail_ticks, sizeof(w->mail_ticks), 0);
	ring_submit(w, &sqe, &w->mail_op);
	w->mail_armed = true;
}

static void ticked(struct op *op, int res, unsigned flags)
{
	struct worker *w = container_of(op, struct worker, mail_op);
	struct list mail;
	w->mail_armed = false;
	if (res == -ECANCELED)
		return;
	CHECK(res == sizeof(w->mail_ticks) || res == -EINTR || res == -EAGAIN);
	pthread_mutex_lock(&w->mail_lock);
	list_move(&w->mail_foreign, &mail);
	pthread_mutex_unlock(&w->mail_lock);
	run_list(w, &mail);
	if (!w->leaving)
		arm(w);
}

int mailbox_init(struct worker *w)
{
	list_init(&w->mail_local);
	list_init(&w->mail_foreign);
	atomic_init(&w->mail_count, 0);
	pthread_mutex_init(&w->mail_lock, NULL);
	w->mail_fd = eventfd(0, EFD_CLOEXEC);
	if (w->mail_fd < 0)
		return err_sys(-errno, "make the eventfd of worker %d", w->index);
	w->mail_op.done = ticked;
	return 0;
}

void mailbox_fini(struct worker *w)
{
	if (w->mail_fd >= 0)
		close(w->mail_fd);
	w->mail_fd = -1;
	pthread_mutex_destroy(&w->mail_lock);
}

void mailbox_start(struct worker *w)
{
	/* No thread but the simulation's own posts to a simulated worker. */
	if (!w->backend)
		arm(w);
}

void mailbox_stop(struct worker *w)
{
	if (w->mail_armed)
		ring_cancel(w, &w->mail_op);
}
