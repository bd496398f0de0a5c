/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The peer: the shortest loop over liburing that does the same work, with multishot receives into
 * provided buffers and one send for all replies to what one receive brought. It relies on the
 * client to let a record never straddle two receives by more than its own carry buffer.
 */
#include "tests/bench/daemon/rt/echo.h"
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUFS = 1024, BUF_BYTES = 4096, ENTRIES = 1024 };

struct connection {
	int fd;
	char carry[CALL_BYTES]; /* the beginning of a call whose rest has not come */
	size_t carried;
	char out[2 * DEPTH * REPLY_BYTES];
	size_t out_bytes;
	size_t sending; /* bytes of the send under way */
};

static struct io_uring ring;
static struct io_uring_buf_ring *bufs;
static char *buf_memory;
static struct connection connections[CONNECTIONS];
static int64_t calls;

static void die(const char *what)
{
	fprintf(stderr, "%s failed\n", what);
	exit(1);
}

static struct io_uring_sqe *get_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	if (!sqe)
		die("io_uring_get_sqe");
	return sqe;
}

static void give_buffer(int id)
{
	io_uring_buf_ring_add(bufs, buf_memory + (size_t)id * BUF_BYTES, BUF_BYTES,
		(unsigned short)id, io_uring_buf_ring_mask(BUFS), 0);
	io_uring_buf_ring_advance(bufs, 1);
}

static void arm(struct connection *c)
{
	struct io_uring_sqe *sqe = get_sqe();
	io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 1;
	io_uring_sqe_set_data64(sqe, (uintptr_t)c);
}

static void send_replies(struct connection *c)
{
	if (c->sending || c->out_bytes == 0)
		return;
	struct io_uring_sqe *sqe = get_sqe();
	c->sending = c->out_bytes;
	io_uring_prep_send(sqe, c->fd, c->out, c->out_bytes, MSG_WAITALL | MSG_NOSIGNAL);
	io_uring_sqe_set_data64(sqe, (uintptr_t)c | 1);
}

static void answer(struct connection *c, const char *call)
{
	if (c->out_bytes + REPLY_BYTES > sizeof(c->out))
		die("room for replies");
	make_reply(c->out + c->out_bytes, call);
	c->out_bytes += REPLY_BYTES;
	calls++;
}

static void received(struct connection *c, const char *p, size_t n)
{
	if (c->carried > 0) {
		size_t rest = CALL_BYTES - c->carried;
		size_t part = n < rest ? n : rest;
		memcpy(c->carry + c->carried, p, part);
		c->carried += part;
		p += part;
		n -= part;
		if (c->carried < CALL_BYTES)
			return;
		answer(c, c->carry);
		c->carried = 0;
	}
	for (size_t bytes; (bytes = record_bytes(p, n)) > 0; p += bytes, n -= bytes)
		answer(c, p);
	memcpy(c->carry, p, n);
	c->carried = n;
}

static void sent(struct connection *c, int res)
{
	if (res != (int)c->sending)
		die("send");
	memmove(c->out, c->out + c->sending, c->out_bytes - c->sending);
	c->out_bytes -= c->sending;
	c->sending = 0;
}

static void setup(int listening)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_CQSIZE,
		.cq_entries = 4 * ENTRIES,
	};
	struct io_uring_buf_reg reg = {.ring_entries = BUFS, .bgid = 1};
	if (io_uring_queue_init_params(ENTRIES, &ring, &p) < 0)
		die("io_uring_queue_init");
	io_uring_register_ring_fd(&ring);
	if (posix_memalign((void **)&bufs, 4096, BUFS * sizeof(struct io_uring_buf)) != 0)
		die("posix_memalign");
	buf_memory = malloc((size_t)BUFS * BUF_BYTES);
	reg.ring_addr = (uintptr_t)bufs;
	io_uring_buf_ring_init(bufs);
	if (!buf_memory || io_uring_register_buf_ring(&ring, &reg, 0) < 0)
		die("io_uring_register_buf_ring");
	for (int i = 0; i < BUFS; i++)
		give_buffer(i);
	memset(connections, 0, sizeof(connections));
	calls = 0;
	for (int i = 0; i < CONNECTIONS; i++) {
		connections[i].fd = accept(listening, NULL, NULL);
		arm(&connections[i]);
	}
	close(listening);
}

static void teardown(void)
{
	for (int i = 0; i < CONNECTIONS; i++)
		close(connections[i].fd);
	io_uring_queue_exit(&ring);
	free(buf_memory);
	free(bufs);
}

/* True if the peer has closed. */
static bool complete(const struct io_uring_cqe *cqe)
{
	struct connection *c = (struct connection *)(uintptr_t)(cqe->user_data & ~UINT64_C(1));
	if (cqe->user_data & 1) {
		sent(c, cqe->res);
		send_replies(c);
		return false;
	}
	if (cqe->res <= 0)
		return true;
	int id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	received(c, buf_memory + (size_t)id * BUF_BYTES, (size_t)cqe->res);
	give_buffer(id);
	send_replies(c);
	if (!(cqe->flags & IORING_CQE_F_MORE))
		arm(c);
	return false;
}

int64_t serve_plain(int listening)
{
	int open = CONNECTIONS;
	setup(listening);
	while (open > 0) {
		unsigned head;
		unsigned n = 0;
		struct io_uring_cqe *cqe;
		io_uring_submit_and_wait(&ring, 1);
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			open -= complete(cqe);
			n++;
		}
		io_uring_cq_advance(&ring, n);
	}
	teardown();
	return calls;
}
