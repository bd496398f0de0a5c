/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Invariant: a source is served only while it stands in the list, so an owner that removed itself
 * or a neighbour in a callback is never called again.
 */
#include "tools/aegis-bootstrap/loop.h"
#include <errno.h>
#include <limits.h>

void loop_add(struct loop *l, struct source *s)
{
	CHECK(l->count < LOOP_SOURCES_MAX);
	l->sources[l->count++] = s;
}

static bool is_in(const struct loop *l, const struct source *s)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->sources[i] == s)
			return true;
	return false;
}

void loop_remove(struct loop *l, struct source *s)
{
	for (size_t i = 0; i < l->count; i++) {
		if (l->sources[i] != s)
			continue;
		l->sources[i] = l->sources[--l->count];
		return;
	}
}

static int timeout_until(int64_t deadline_ns)
{
	if (deadline_ns == INT64_MAX)
		return -1;
	int64_t left_ns = deadline_ns - clock_mono_ns();
	if (left_ns <= 0)
		return 0;
	/* Upwards: waking a moment early would only poll again. */
	int64_t ms = (left_ns + NS_PER_MS - 1) / NS_PER_MS;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

int loop_step(struct loop *l, int64_t deadline_ns)
{
	struct source *now[LOOP_SOURCES_MAX];
	struct pollfd fds[LOOP_SOURCES_MAX];
	size_t count = l->count;

	for (size_t i = 0; i < count; i++) {
		struct source *s = now[i] = l->sources[i];
		fds[i] = (struct pollfd){.fd = s->events ? s->fd : -1, .events = s->events};
		deadline_ns = MIN(deadline_ns, s->deadline_ns);
	}
	if (poll(fds, count, timeout_until(deadline_ns)) < 0 && errno != EINTR)
		return err_sys(-errno, "poll");
	int64_t at = clock_mono_ns();
	for (size_t i = 0; i < count; i++) {
		if (!is_in(l, now[i]))
			continue;
		if (fds[i].revents || now[i]->deadline_ns <= at)
			now[i]->ready(now[i], fds[i].revents);
	}
	return 0;
}
