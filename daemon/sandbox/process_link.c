/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A lost connection fails every call on it at once; the first of the callers that comes back makes
 * the next connection while the others wait.
 *
 * Invariant: a link is closed by its last user, and nobody begins a call on one that was lost.
 */
#include "daemon/sandbox/process_link.h"
#include <errno.h>
#include <stdlib.h>

enum { PAUSE_FIRST_MS = 20, PAUSE_MAX_MS = 1000 };

struct process_link {
	struct helper *helper;
	int users;
};

void process_links_init(struct process_links *l)
{
	l->current = NULL;
	l->connecting = false;
	waitq_init(&l->waiters);
}

static AWAITS void link_drop(struct process_links *l, struct process_link *k)
{
	if (l->current == k)
		l->current = NULL;
	if (k->users > 0)
		return;
	helper_close(k->helper);
	free(k);
}

void process_links_fini(struct process_links *l)
{
	if (l->current)
		link_drop(l, l->current);
}

/* Tries until the deadline: a helper that is being restarted is back within moments. */
static AWAITS int connect_helper(struct process_links *l, int64_t deadline_ns)
{
	struct process_link *k = calloc(1, sizeof(*k));
	int64_t pause_ms = PAUSE_FIRST_MS;
	int r;

	if (!k)
		return err_raise(-ENOMEM, "connection to the helper");
	while ((r = helper_connect(l->socket_path, &k->helper, deadline_ns)) < 0) {
		bool gone = r == -ENOTCONN || r == -ECONNREFUSED || r == -ENOENT;
		if (!gone || deadline_in_ms(pause_ms) >= deadline_ns)
			break;
		r = rt_sleep_until(deadline_in_ms(pause_ms));
		if (r < 0)
			break;
		pause_ms = MIN(pause_ms * 2, (int64_t)PAUSE_MAX_MS);
	}
	if (r < 0) {
		free(k);
		return err_trace(r == -ECONNREFUSED || r == -ENOENT ? -ENOTCONN : r);
	}
	l->current = k;
	return 0;
}

static AWAITS int link_get(struct process_links *l, struct process_link **ret, int64_t deadline_ns)
{
	while (!l->current) {
		int r;
		if (l->connecting) {
			r = waitq_wait(&l->waiters, deadline_ns);
		} else {
			l->connecting = true;
			r = connect_helper(l, deadline_ns);
			l->connecting = false;
			waitq_wake_all(&l->waiters);
		}
		if (r == -ETIME)
			return err_raise(-ENOTCONN, "the helper is away (%s)", l->socket_path);
		if (r < 0)
			return err_trace(r);
	}
	l->current->users++;
	*ret = l->current;
	return 0;
}

int process_ask(struct process_links *l, struct process_request *q, int64_t deadline_ns)
{
	for (;;) {
		struct process_link *k;
		int r = link_get(l, &k, deadline_ns);
		if (r < 0)
			return err_trace(r);
		r = q->fn(k->helper, q, deadline_ns);
		k->users--;
		if (r == -ENOTCONN || k != l->current)
			link_drop(l, k);
		if (r != -ENOTCONN || rt_now_ns() >= deadline_ns)
			return err_trace(r);
		q->repeated = true;
	}
}
