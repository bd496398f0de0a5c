/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The simulator's parts: sim.c (the run, time, chance), sim_ring.c (when an operation completes),
 * sim_op.c (what it does), sim_socket.c (sockets in memory).
 */
#pragma once

#include "daemon/rt/backend.h"
#include "daemon/rt/sim.h"

enum { SIM_FDS = 8192, SIM_PIECES = 64 };

#define START_NS NS_PER_S /* of the virtual clock: deadlines of 0 and 1 have passed */

enum sim_kind { SIM_SOCKET, SIM_LISTENER, SIM_OTHER /* only remembered, to find leaks */ };

struct sim_object {
	enum sim_kind kind;
	int fd;
	uint64_t dev;
	uint64_t ino; /* with dev: tells whether fd still is what it was */
	struct list link; /* of a socket that waits to be accepted */

	struct sim_object *peer; /* NULL once it is gone */
	char *data; /* that the peer has sent and nobody received yet */
	size_t n;
	bool read_shut;
	bool write_shut; /* nothing more goes to the peer */
	bool reset; /* the peer vanished with bytes of ours unread */

	struct list backlog; /* of a listener: sockets */
	struct sockaddr_storage address;
};

struct sim_op {
	struct list link; /* in sim->ops, in order of submission */
	struct io_uring_sqe sqe;
	int64_t number; /* 0: cannot be made to fail */
	int64_t at_ns; /* not before */
	size_t done; /* bytes moved by earlier attempts (MSG_WAITALL) */
};

struct sim {
	struct sim_options options;
	uint64_t random;
	int64_t now_ns;
	int64_t turns;
	uint64_t trace;
	int64_t operations;
	bool spared; /* by sim_faults */
	const char *failed;
	struct list ops;
	size_t op_count;
	unsigned bufs_head; /* provided buffers taken so far */
	size_t socket_bytes; /* capacity of one direction of a socket */
	struct sim_object *by_fd[SIM_FDS];
	sigset_t pending;
	struct list signal_waiters;
	int stuck; /* -EDEADLK, -ETIME, or 0 */
	char report[SIM_REPORT_BYTES];
};

uint64_t sim_random(struct sim *s);
uint64_t sim_pick(struct sim *s, uint64_t n); /* below n */
bool sim_chance(struct sim *s, int per_mille);
void sim_note(struct sim *s, uint64_t what); /* into the trace */
void sim_stuck(struct worker *w, int why);

/* Takes the next number; true if the operation that gets it must fail. */
bool sim_count(struct sim *s, const char *what, int64_t *ret_number);

void sim_push(struct worker *w, const struct io_uring_sqe *sqe);
void sim_turn(struct worker *w, bool wait, int64_t timeout_ns);

/* ---- sim_op.c ---- */

const char *sim_op_name(unsigned opcode);
bool sim_op_fallible(unsigned opcode);
int sim_op_error(struct sim *s, unsigned opcode); /* one that it can have */
bool sim_op_multishot(const struct sim_op *op);

/* Does as much as can be done now. -EAGAIN: not yet. *ret_flags as in a CQE, without F_MORE. */
int sim_attempt(struct worker *w, struct sim_op *op, unsigned *ret_flags);

/* n bytes at most are moved now. */
size_t sim_shorten(struct sim *s, size_t n);

/* ---- sim_socket.c ---- */

struct sim_object *sim_object_at(struct sim *s, int fd); /* NULL: nothing of ours */
struct sim_object *sim_object_add(struct sim *s, int fd, enum sim_kind kind);
void sim_object_close(struct sim *s, struct sim_object *o);
int sim_objects_close_all(struct sim *s); /* how many were still open */
int sim_socket_receive(struct sim *s, struct sim_object *o, const struct iovec *v, int count);
int sim_socket_send(struct sim *s, struct sim_object *o, const struct iovec *v, int count);
short sim_socket_poll(struct sim *s, const struct sim_object *o);
int sim_listener_accept(struct sim *s, int fd);
int sim_connect(struct sim *s, int fd, const struct sockaddr *addr, socklen_t len);
int sim_listen(struct sim *s, int fd); /* knows a listening socket from now on */
void sim_socket_shutdown(struct sim_object *o, int how);
