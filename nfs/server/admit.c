/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Which calls may wait for a backend. A connection that has too many under way is not read for a
 * while, which its client feels. A volume that has its share under way is answered NFS3ERR_JUKEBOX
 * at once: its backend is slow, and calls for other volumes may stand behind this one.
 *
 * The share is what there is, divided by the volumes that have calls under way and one more, so
 * that whoever comes next finds room, however slow the others are.
 */
#include "nfs/server/internal.h"

enum {
	ROOM_WAIT_MS = 1000, /* for an earlier call of the connection to end */
};

static struct share *share_of(struct call *q)
{
	list_for_each (l, &q->server->exports) {
		struct export *e = list_entry(l, struct export, link);
		if (e->at == q->at)
			return &e->share;
	}
	return &q->server->unknown;
}

static int share_max(const struct nfs_server *s, const struct share *mine)
{
	int busy = s->unknown.calls > 0 || mine == &s->unknown, exports = 0;

	list_for_each (l, &s->exports) {
		const struct export *e = list_entry(l, struct export, link);
		busy += e->share.calls > 0 || mine == &e->share;
		exports++;
	}
	int parts = MAX(exports, 1);
	parts = MIN(parts, busy + 1);
	return MAX(s->options.calls_max / parts, 1);
}

bool call_admit(struct call *q)
{
	struct conn *c = q->conn;
	struct nfs_server *s = q->server;
	int64_t deadline_ns = deadline_in_ms(ROOM_WAIT_MS);

	while (c->call_count >= s->options.connection_calls_max)
		if (waitq_wait(&c->call_ended, deadline_ns) < 0)
			return false;
	struct share *share = share_of(q);
	if (s->call_count >= s->options.calls_max || share->calls >= share_max(s, share))
		return false;
	q->share = share;
	share->calls++;
	c->call_count++;
	s->call_count++;
	return true;
}

void call_leave(struct call *q)
{
	struct conn *c = q->conn;

	q->share->calls--;
	c->call_count--;
	q->server->call_count--;
	waitq_wake_all(&c->call_ended);
}
