/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The life of a stream. Its operations outlive single awaits, so they and their buffers belong to
 * the stream, and stopping it waits for both directions to fall silent.
 */
#include "daemon/rt/stream.h"
#include <errno.h>
#include <stdlib.h>

int stream_start(int fd, struct stream **ret)
{
	struct worker *w = worker_current;
	struct stream *s = w->streams < w->streams_max ? calloc(1, sizeof(*s)) : NULL;
	if (!s) {
		rt_close(fd);
		return -ENOBUFS;
	}
	w->streams++;
	s->fd = fd;
	s->home = w;
	s->lent_id = -1;
	s->recv_op.done = stream_recv_done;
	s->send_op.done = stream_send_done;
	list_init(&s->readers);
	list_init(&s->starved_link);
	list_init(&s->sends);
	list_init(&s->flush_link);
	list_init(&s->stopping);
	stream_recv_arm(s);
	*ret = s;
	return 0;
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

void stream_shutdown(struct stream *s)
{
	rt_shutdown(s->fd, SHUT_WR);
}

void stream_idle(struct stream *s)
{
	struct list *l = list_pop_front(&s->stopping);
	if (l)
		fiber_wake(list_entry(l, struct fiber, link), 0);
}

void stream_stop(struct stream *s)
{
	if (!s)
		return;
	CHECK(s->home == worker_current && list_empty(&s->readers));
	/* Whoever sends holds a piece of this stream: the owner joins them before. */
	CHECK(list_empty(&s->sends));
	stream_recv_disarm(s);
	fiber_shield_begin();
	while (s->recv_armed || s->send_armed)
		CHECK(fiber_wait_in(&s->stopping, "stream_stop", DEADLINE_NONE, s) == 0);
	fiber_shield_end();
	stream_recv_free(s);
	list_remove(&s->flush_link);
	s->home->streams--;
	rt_close(s->fd);
	free(s);
}
