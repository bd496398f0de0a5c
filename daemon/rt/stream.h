/* SPDX-License-Identifier: AGPL-3.0-only */
/* The two halves of a stream (stream_recv.c, stream_send.c) and what they share. */
#pragma once

#include "daemon/rt/internal.h"

enum { STREAM_GATHER = 64 /* pieces in one send */ };

struct stream {
	int fd;
	struct worker *home;

	/* Received and not consumed: first what is left of one provided buffer, then own memory. */
	char *lent;
	size_t lent_n;
	int lent_id;
	char *own; /* [own_first, own_first + own_n) of own_cap */
	size_t own_first;
	size_t own_n;
	size_t own_cap;
	bool viewed; /* the reader looks at own: it must stay where it is */
	char *retired; /* former own memory that the reader looks at */
	struct op recv_op;
	bool recv_armed;
	bool recv_single; /* the operation under way fills own memory, once */
	bool recv_cancelling;
	bool starved; /* linked in worker->starved */
	bool reading; /* a fiber in stream_read waits until nothing is under way */
	uint8_t heads; /* receives in a row that take no more than a head; 0: the multishot one */
	int recv_end; /* 1: the peer has closed; negative: failed; 0: open */
	size_t wanted; /* somebody waits for more than this many bytes */
	struct list readers;
	struct list starved_link;

	/* Queued sends, in order; those gathered into the operation under way come first. */
	struct list sends;
	struct list flush_link; /* in worker->flush */
	struct op send_op;
	bool send_armed;
	bool send_cancelling;
	int send_error;
	struct msghdr msg;
	struct iovec pieces[STREAM_GATHER];

	struct list stopping; /* the fiber in stream_stop */
};

void stream_recv_arm(struct stream *s);
void stream_recv_disarm(struct stream *s);
void stream_recv_free(struct stream *s);
void stream_recv_done(struct op *op, int res, unsigned flags);
void stream_send_done(struct op *op, int res, unsigned flags);
void stream_idle(struct stream *s); /* an operation has ended */
