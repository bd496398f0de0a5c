/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What an operation does when its time has come. Sockets that the simulation knows are served
 * from memory; anything else is the real system call, made so that it cannot block.
 */
#include "daemon/rt/sim_internal.h"
#include "daemon/rt/sanitize.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *name;
	int errors[3]; /* that it can have; none: it cannot be made to fail */
} kinds[IORING_OP_LAST] = {
	[IORING_OP_READ] = {"read", {EIO, ECONNRESET, EISDIR}},
	[IORING_OP_WRITE] = {"write", {EIO, ENOSPC, EPIPE}},
	[IORING_OP_RECV] = {"recv", {ECONNRESET, ETIMEDOUT, ENOMEM}},
	[IORING_OP_RECVMSG] = {"recvmsg", {ECONNRESET, ETIMEDOUT, ENOMEM}},
	[IORING_OP_SEND] = {"send", {EPIPE, ECONNRESET, ENOMEM}},
	[IORING_OP_SENDMSG] = {"sendmsg", {EPIPE, ECONNRESET, ENOMEM}},
	[IORING_OP_ACCEPT] = {"accept", {EMFILE, ECONNABORTED, ENOMEM}},
	[IORING_OP_CONNECT] = {"connect", {ECONNREFUSED, ETIMEDOUT, ENETUNREACH}},
	[IORING_OP_OPENAT] = {"openat", {EACCES, EMFILE, ENOSPC}},
	[IORING_OP_FSYNC] = {"fsync", {EIO, ENOSPC, EDQUOT}},
	[IORING_OP_POLL_ADD] = {"poll", {ENOMEM, ENOMEM, ENOMEM}},
};

const char *sim_op_name(unsigned opcode)
{
	return opcode < IORING_OP_LAST && kinds[opcode].name ? kinds[opcode].name : "operation";
}

bool sim_op_fallible(unsigned opcode)
{
	return opcode < IORING_OP_LAST && kinds[opcode].errors[0] != 0;
}

int sim_op_error(struct sim *s, unsigned opcode)
{
	return -kinds[opcode].errors[sim_pick(s, ARRAY_LEN(kinds[opcode].errors))];
}

bool sim_op_multishot(const struct sim_op *op)
{
	return (op->sqe.opcode == IORING_OP_RECV && op->sqe.ioprio & IORING_RECV_MULTISHOT) ||
		(op->sqe.opcode == IORING_OP_ACCEPT && op->sqe.ioprio & IORING_ACCEPT_MULTISHOT);
}

size_t sim_shorten(struct sim *s, size_t n)
{
	return n > 1 && sim_chance(s, s->options.short_per_mille) ? 1 + sim_pick(s, n - 1) : n;
}

static void *op_addr(const struct sim_op *op)
{
	return (void *)(uintptr_t)op->sqe.addr;
}

/* ---- transfers ---- */

struct transfer {
	struct iovec v[SIM_PIECES];
	int count;
	size_t bytes;
};

/* The pieces of the operation, without the first op->done bytes. */
static void op_pieces(const struct sim_op *op, struct transfer *ret)
{
	struct iovec one = {op_addr(op), op->sqe.len};
	const struct iovec *v = &one;
	size_t count = 1;
	if (op->sqe.opcode == IORING_OP_SENDMSG || op->sqe.opcode == IORING_OP_RECVMSG) {
		const struct msghdr *m = op_addr(op);
		v = m->msg_iov;
		count = m->msg_iovlen;
	}
	size_t skip = op->done;
	*ret = (struct transfer){0};
	for (size_t i = 0; i < count && ret->count < SIM_PIECES; i++) {
		size_t gone = MIN(skip, v[i].iov_len);
		skip -= gone;
		if (v[i].iov_len == gone)
			continue;
		ret->v[ret->count++] =
			(struct iovec){(char *)v[i].iov_base + gone, v[i].iov_len - gone};
		ret->bytes += v[i].iov_len - gone;
	}
}

static void cut(struct transfer *t, size_t n)
{
	t->bytes = MIN(t->bytes, n);
	size_t left = t->bytes;
	for (int i = 0; i < t->count; i++) {
		t->v[i].iov_len = MIN(t->v[i].iov_len, left);
		left -= t->v[i].iov_len;
	}
}

static bool ready_now(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	return poll(&p, 1, 0) == 1;
}

static bool is_stream(int fd)
{
	int type = 0;
	socklen_t n = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM;
}

static ssize_t real_message(const struct sim_op *op, const struct transfer *t, bool sending)
{
	struct msghdr m = {0};
	int flags = (int)op->sqe.msg_flags & ~MSG_WAITALL;
	if (op->sqe.opcode == IORING_OP_SENDMSG || op->sqe.opcode == IORING_OP_RECVMSG)
		m = *(const struct msghdr *)op_addr(op);
	m.msg_iov = (struct iovec *)(uintptr_t)t->v;
	m.msg_iovlen = (size_t)t->count;
	ssize_t n = sending ? sendmsg(op->sqe.fd, &m, flags | MSG_DONTWAIT | MSG_NOSIGNAL)
			    : recvmsg(op->sqe.fd, &m, flags | MSG_DONTWAIT);
	if (n >= 0 && !sending && op->sqe.opcode == IORING_OP_RECVMSG) {
		/* All that the call reports, but not our list of pieces. */
		struct msghdr *theirs = op_addr(op);
		m.msg_iov = theirs->msg_iov;
		m.msg_iovlen = theirs->msg_iovlen;
		*theirs = m;
	}
	return n;
}

static ssize_t real_file(const struct sim_op *op, const struct transfer *t, bool sending)
{
	off_t offset = (off_t)op->sqe.off;
	if (!ready_now(op->sqe.fd, sending ? POLLOUT : POLLIN)) {
		errno = EAGAIN;
		return -1;
	}
	if (offset < 0)
		return sending ? writev(op->sqe.fd, t->v, t->count)
			       : readv(op->sqe.fd, t->v, t->count);
	ssize_t n = sending ? pwritev(op->sqe.fd, t->v, t->count, offset)
			    : preadv(op->sqe.fd, t->v, t->count, offset);
	/* Offset 0 is what callers give where there is no offset, too. */
	if (n < 0 && errno == ESPIPE)
		return sending ? writev(op->sqe.fd, t->v, t->count)
			       : readv(op->sqe.fd, t->v, t->count);
	return n;
}

static bool is_file_op(const struct sim_op *op)
{
	return op->sqe.opcode == IORING_OP_READ || op->sqe.opcode == IORING_OP_WRITE;
}

static int move_bytes(struct worker *w, struct sim_op *op, bool sending)
{
	struct sim *s = w->sim;
	struct sim_object *o = sim_object_at(s, op->sqe.fd);
	struct transfer t;
	op_pieces(op, &t);
	if (o && o->kind == SIM_SOCKET) {
		cut(&t, sim_shorten(s, t.bytes));
		return sending ? sim_socket_send(s, o, t.v, t.count)
			       : sim_socket_receive(s, o, t.v, t.count);
	}
	/* Messages with a boundary go whole. */
	if (is_file_op(op) || is_stream(op->sqe.fd))
		cut(&t, sim_shorten(s, t.bytes));
	ssize_t n = is_file_op(op) ? real_file(op, &t, sending) : real_message(op, &t, sending);
	return n < 0 ? -errno : (int)n;
}

/* MSG_WAITALL goes on until everything is moved, the stream ends, or it fails. */
static int transfer(struct worker *w, struct sim_op *op, bool sending)
{
	bool all = !is_file_op(op) && op->sqe.msg_flags & MSG_WAITALL;
	int n = move_bytes(w, op, sending);
	if (!all || n == -EAGAIN)
		return n;
	if (n <= 0)
		return op->done ? (int)op->done : n;
	struct transfer rest;
	op->done += (size_t)n;
	op_pieces(op, &rest);
	if (rest.bytes == 0)
		return (int)op->done;
	/* Not stuck: there is a moment at which it goes on. */
	op->at_ns = w->sim->now_ns + 1 + (int64_t)sim_pick(w->sim, NS_PER_MS);
	return -EAGAIN;
}

/* A receive into one of the worker's provided buffers. */
static int receive_provided(struct worker *w, struct sim_op *op, unsigned *ret_flags)
{
	struct sim *s = w->sim;
	struct bufs *b = &w->bufs;
	unsigned short tail = __atomic_load_n(&b->ring->tail, __ATOMIC_ACQUIRE);
	if ((unsigned short)s->bufs_head == tail)
		return -ENOBUFS;
	struct io_uring_buf *buf = &b->ring->bufs[s->bufs_head & (BUFS_COUNT - 1)];
	struct sim_op with = *op;
	with.sqe.addr = buf->addr;
	with.sqe.len = buf->len;
	ASAN_UNPOISON_MEMORY_REGION((char *)(uintptr_t)buf->addr, buf->len);
	int n = move_bytes(w, &with, false);
	if (n <= 0) {
		ASAN_POISON_MEMORY_REGION((char *)(uintptr_t)buf->addr, buf->len);
		return n;
	}
	*ret_flags = IORING_CQE_F_BUFFER | (unsigned)buf->bid << IORING_CQE_BUFFER_SHIFT;
	s->bufs_head++;
	return n;
}

/* ---- the others ---- */

static int poll_once(struct worker *w, const struct sim_op *op)
{
	const struct sim_object *o = sim_object_at(w->sim, op->sqe.fd);
	struct pollfd p = {.fd = op->sqe.fd, .events = (short)op->sqe.poll32_events};
	if (o && o->kind == SIM_SOCKET) {
		p.revents = sim_socket_poll(w->sim, o) & (p.events | POLLERR | POLLHUP);
	} else if (poll(&p, 1, 0) < 0) {
		return -errno;
	}
	return p.revents ? p.revents : -EAGAIN;
}

static int open_file(struct worker *w, const struct sim_op *op)
{
	int fd = openat(
		op->sqe.fd, op_addr(op), (int)op->sqe.open_flags | O_NONBLOCK, (mode_t)op->sqe.len);
	if (fd < 0)
		return -errno;
	sim_object_add(w->sim, fd, SIM_OTHER);
	return fd;
}

static int close_fd(struct worker *w, const struct sim_op *op)
{
	struct sim_object *o = sim_object_at(w->sim, op->sqe.fd);
	if (o)
		sim_object_close(w->sim, o);
	return close(op->sqe.fd) < 0 ? -errno : 0;
}

int sim_attempt(struct worker *w, struct sim_op *op, unsigned *ret_flags)
{
	switch (op->sqe.opcode) {
	case IORING_OP_NOP:
	case IORING_OP_FSYNC: /* no power is lost in here */
		return 0;
	case IORING_OP_RECV:
		if (op->sqe.flags & IOSQE_BUFFER_SELECT)
			return receive_provided(w, op, ret_flags);
		return transfer(w, op, false);
	case IORING_OP_READ:
	case IORING_OP_RECVMSG:
		return transfer(w, op, false);
	case IORING_OP_WRITE:
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
		return transfer(w, op, true);
	case IORING_OP_ACCEPT:
		return sim_listener_accept(w->sim, op->sqe.fd);
	case IORING_OP_CONNECT:
		return sim_connect(w->sim, op->sqe.fd, op_addr(op), (socklen_t)op->sqe.off);
	case IORING_OP_POLL_ADD:
		return poll_once(w, op);
	case IORING_OP_OPENAT:
		return open_file(w, op);
	case IORING_OP_CLOSE:
		return close_fd(w, op);
	default:
		return -EINVAL;
	}
}
