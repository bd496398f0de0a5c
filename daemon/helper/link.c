/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A lost connection fails every call on it at once; the first of the callers that comes back makes
 * the next connection while the others wait.
 *
 * Invariant: a link is closed by its last user, and nobody begins a call on one that was lost.
 */
#include "daemon/helper/helper.h"
#include <errno.h>
#include <stdlib.h>

enum { PAUSE_FIRST_MS = 20, PAUSE_MAX_MS = 1000 };

struct link_connection {
	struct helper *helper;
	int users;
};

struct helper_link {
	char socket_path[108]; /* as struct sockaddr_un has it */
	struct link_connection *current; /* NULL: none, the next call makes one */
	bool connecting;
	struct waitq waiters; /* for the fiber that is connecting */
};

int helper_link_new(const char *socket_path, struct helper_link **ret)
{
	struct helper_link *l = calloc(1, sizeof(*l));

	if (!l)
		return err_raise(-ENOMEM, "connection to the helper");
	if (strlen(socket_path) >= sizeof(l->socket_path)) {
		free(l);
		return err_raise(-ENAMETOOLONG, "the helper's socket %s", socket_path);
	}
	memcpy(l->socket_path, socket_path, strlen(socket_path) + 1);
	waitq_init(&l->waiters);
	*ret = l;
	return 0;
}

static AWAITS void link_drop(struct helper_link *l, struct link_connection *k)
{
	if (l->current == k)
		l->current = NULL;
	if (k->users > 0)
		return;
	helper_close(k->helper);
	free(k);
}

struct helper_link *helper_link_free(struct helper_link *l)
{
	if (!l)
		return NULL;
	if (l->current)
		link_drop(l, l->current);
	free(l);
	return NULL;
}

/* Tries until the deadline: a helper that is being restarted is back within moments. */
static AWAITS int connect_helper(struct helper_link *l, int64_t deadline_ns)
{
	struct link_connection *k = calloc(1, sizeof(*k));
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

static AWAITS int link_get(struct helper_link *l, struct link_connection **ret, int64_t deadline_ns)
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

int helper_ask(struct helper_link *l, struct helper_request *q, int64_t deadline_ns)
{
	for (;;) {
		struct link_connection *k;
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
