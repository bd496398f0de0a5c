/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Layer 1: time, waiting and concurrency. One worker thread per core, each with its own io_uring
 * (SINGLE_ISSUER, DEFER_TASKRUN); straight-line code in stackful fibers that never change thread.
 *
 * Contract of every function marked AWAITS:
 *  - it may park the calling fiber; what was read before it is stale after it;
 *  - it returns a negative errno, never sets errno;
 *  - -ECANCELED if the fiber's group was cancelled (and at once, from then on, outside a shield);
 *  - -ETIME if `deadline_ns` (absolute, rt_now_ns) passes first;
 *  - it returns only after the kernel has let go of every buffer it was given;
 *  - these three start no error trail: the caller knows what it was waiting for.
 *
 * The same interface runs over a simulated ring (sim.h): one seed in, one trace out, and every
 * single operation can be made to fail in turn.
 */
#pragma once

#include "daemon/base/base.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/uio.h>
#include <signal.h>

/* ---- time ---- */

#define DEADLINE_NONE INT64_MAX

int64_t rt_now_ns(void); /* monotonic; simulated time under the simulator */
int64_t rt_wall_ns(void);

static inline int64_t deadline_in_ms(int64_t timeout_ms)
{
	return rt_now_ns() + timeout_ms * NS_PER_MS;
}

static inline int64_t deadline_earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void rt_random(void *p, size_t n); /* the kernel's generator; seeded under the simulator */

/* ---- fibers and groups ---- */

typedef void (*fiber_fn)(void *arg);

enum fiber_stack {
	FIBER_SMALL, /* 64 KiB: request handling */
	FIBER_LARGE, /* 256 KiB: code that calls OpenSSL, libpq, SQLite, libcurl */
};

/*
 * A group owns the fibers started in it. Its owner leaves the scope only through group_join or
 * group_close, so no fiber outlives the frame whose data it uses. Groups nest: a fiber started in
 * a group is cancelled with it, and so is everything that fiber waits for.
 */
struct group {
	struct list fibers;
	struct list waiters;
	int count;
	bool cancelled;
};

void group_init(struct group *g);

/* Starts fn(arg) on this worker; it runs when the caller next parks. -EAGAIN if no stack is left
 * (back-pressure: say "busy"), -ECANCELED if the group is cancelled. `name` is a literal, for gdb
 * and logs. */
int group_spawn(
	struct group *g, const char *name, enum fiber_stack stack, fiber_fn fn, void *arg) MUST_USE;

void group_cancel(struct group *g); /* asks; does not wait */
AWAITS int group_join(struct group *g, int64_t deadline_ns) MUST_USE; /* waits for all to end */
AWAITS void group_close(struct group *g); /* cancel, then join without a deadline, shielded */

void fiber_yield(void); /* lets the others run once */
bool fiber_cancelled(void); /* asked to stop, and not shielded */
bool fiber_told_to_stop(void); /* shielded or not: what waits for nobody in particular gives up */

/* Between them awaits ignore cancellation: for clean-up that must happen. Nests. */
void fiber_shield_begin(void);
void fiber_shield_end(void);

/* ---- waiting ---- */

AWAITS int rt_sleep_until(int64_t deadline_ns) MUST_USE; /* 0 when it has come */

/* A condition that fibers of one worker wait for. wake_one/wake_all never park and may be called
 * from callbacks of this worker. */
struct waitq {
	struct list fibers;
};

void waitq_init(struct waitq *q);
AWAITS int waitq_wait(struct waitq *q, int64_t deadline_ns) MUST_USE;
bool waitq_wake_one(struct waitq *q); /* false if nobody waits */
void waitq_wake_all(struct waitq *q);

/* One fiber at a time through a stretch of code that awaits. */
struct fiber_lock {
	bool held;
	struct waitq waiters;
};
void fiber_lock_init(struct fiber_lock *l);
AWAITS int fiber_lock_take(struct fiber_lock *l, int64_t deadline_ns) MUST_USE;
void fiber_lock_give(struct fiber_lock *l);

/* Bounded first-in-first-out queue of pointers between fibers of one worker. */
struct chan;
struct chan *chan_new(size_t capacity); /* NULL if out of memory */
struct chan *chan_free(struct chan *c); /* nobody may wait in it; items are the caller's */
AWAITS int chan_send(struct chan *c, void *item, int64_t deadline_ns) MUST_USE; /* -EPIPE closed */
int chan_try_send(struct chan *c, void *item) MUST_USE; /* -EAGAIN full, -EPIPE closed */
AWAITS int chan_recv(struct chan *c, void **ret_item,
	int64_t deadline_ns) MUST_USE; /* -EPIPE closed and empty */
void chan_close(struct chan *c); /* receivers drain what is left */

/* ---- I/O on descriptors ---- */

AWAITS ssize_t rt_read(int fd, void *p, size_t n, int64_t offset,
	int64_t deadline_ns) MUST_USE; /* offset -1: current */
AWAITS ssize_t rt_write(
	int fd, const void *p, size_t n, int64_t offset, int64_t deadline_ns) MUST_USE;
AWAITS ssize_t rt_recv(int fd, void *p, size_t n, int flags, int64_t deadline_ns) MUST_USE;
AWAITS ssize_t rt_send(int fd, const void *p, size_t n, int flags, int64_t deadline_ns) MUST_USE;
AWAITS int rt_send_all(int fd, const void *p, size_t n, int64_t deadline_ns) MUST_USE;
AWAITS ssize_t rt_sendmsg(int fd, const struct msghdr *m, int flags, int64_t deadline_ns) MUST_USE;
AWAITS ssize_t rt_recvmsg(int fd, struct msghdr *m, int flags, int64_t deadline_ns) MUST_USE;
AWAITS int rt_accept(int fd, int64_t deadline_ns) MUST_USE; /* the new descriptor, CLOEXEC */
AWAITS int rt_connect(
	int fd, const struct sockaddr *addr, socklen_t len, int64_t deadline_ns) MUST_USE;
AWAITS int rt_openat(
	int dirfd, const char *path, int flags, mode_t mode, int64_t deadline_ns) MUST_USE;
AWAITS int rt_fsync(int fd, bool data_only, int64_t deadline_ns) MUST_USE;
AWAITS int rt_poll(int fd, short events, int64_t deadline_ns) MUST_USE; /* the events that came */
void rt_close(int fd); /* does not park, ignores errors; fd < 0 is allowed */
void rt_shutdown(int fd, int how); /* shutdown(2), errors ignored; does not park */

/* A listening socket whose connections are accepted by a multishot operation. */
struct listener;
int listener_start(int fd, struct listener **ret) MUST_USE; /* takes fd */
AWAITS int listener_accept(struct listener *l, int64_t deadline_ns) MUST_USE;
AWAITS void listener_stop(struct listener *l);

/*
 * A connected socket that is received by a multishot operation into the worker's provided
 * buffers, and sent with as few system calls as the data allows. Hot paths use this.
 */
struct stream;
int stream_start(int fd, struct stream **ret) MUST_USE; /* takes fd; -ENOBUFS: back-pressure */
AWAITS void stream_stop(struct stream *s); /* cancels, closes; NULL is allowed */
int stream_fd(const struct stream *s);

/* The bytes that have arrived and were not consumed yet, waiting until there are more than
 * `have` of them. An empty *ret means the peer has closed. The view is valid until the next
 * stream_peek or stream_consume on this stream; other awaits do not touch it. It may be less than
 * all that has arrived: ask again with a greater `have`. At most RT_STREAM_BUFFER_BYTES are held;
 * beyond that receiving pauses, and a `have` that can never be exceeded is -E2BIG. What has
 * arrived, and the end, are reported even if the deadline has passed already. */
AWAITS int stream_peek(
	struct stream *s, size_t have, struct span *ret, int64_t deadline_ns) MUST_USE;
void stream_consume(struct stream *s, size_t n);

/* Exactly n bytes, consumed, into p: what has not arrived yet is received there and not copied.
 * -ECONNRESET if the peer closes before. After a failure the stream is out of step. */
AWAITS int stream_read(struct stream *s, char *p, size_t n, int64_t deadline_ns) MUST_USE;

/* Tells the peer that nothing more will be sent (SHUT_WR); receiving goes on. Does not park. */
void stream_shutdown(struct stream *s);

/* Sends everything, or fails: a failed stream sends nothing more. */
AWAITS int stream_send(struct stream *s, struct span bytes, int64_t deadline_ns) MUST_USE;
AWAITS int stream_sendv(
	struct stream *s, const struct iovec *v, int count, int64_t deadline_ns) MUST_USE;

enum { RT_STREAM_BUFFER_BYTES = 256 * 1024 };

/* ---- children ---- */

/* Waits for a child by its pidfd. *ret_status as waitid's si_status with the code in *ret_code
 * (CLD_EXITED, CLD_KILLED, CLD_DUMPED). The pidfd stays the caller's. */
AWAITS int child_wait(int pidfd, int *ret_code, int *ret_status, int64_t deadline_ns) MUST_USE;

/* posix_spawn with CLOEXEC on everything but 0, 1, 2, which are given here (-1: /dev/null). */
struct child {
	int pidfd;
	pid_t pid;
};
int child_spawn(const char *path, char *const argv[], char *const envp[], const int stdio[3],
	struct child *ret) MUST_USE;

/* ---- blocking code ---- */

/* Threads beside the workers for calls that must block. Each offload has its own threads and a
 * bounded queue. */
struct offload;
int offload_start(const char *name, int threads, size_t queue_max, struct offload **ret) MUST_USE;
void offload_stop(struct offload *o); /* after the last call; NULL is allowed */

/* Runs fn(arg) on one of its threads and returns its result. The call cannot be interrupted once
 * it runs; cancellation and the deadline apply while it is queued. -EAGAIN if the queue is full.
 * fn works under the caller's error trail and log context. Fibers of every worker may share one
 * offload. Under the simulator fn runs on the caller's thread, after a simulated delay. */
AWAITS int offload_call(
	struct offload *o, int (*fn)(void *arg), void *arg, int64_t deadline_ns) MUST_USE;

/* ---- workers ---- */

struct worker;

struct rt_options {
	int workers; /* 0: one per core the process may use */
	unsigned ring_entries; /* 0: 4096 */
	int max_fibers; /* per worker; 0: 8192 small and 512 large */
};

/* Runs main_fn(arg) as the first fiber of worker 0, with the other workers idle, until it returns;
 * then cancels and joins every worker's services. -ENOSYS, -EPERM or -ENOMEM with a message that
 * says why io_uring cannot be had: kernel without it, sysctl kernel.io_uring_disabled, a seccomp
 * filter, or the memlock limit. */
int rt_run(const struct rt_options *options, fiber_fn main_fn, void *arg) MUST_USE;

int worker_count(void);
struct worker *worker_at(int index);
struct worker *worker_self(void); /* NULL outside of workers */
int worker_index(const struct worker *w);

/* The worker's own fibers, which outlive requests: cancelled and joined when rt_run ends. */
struct group *worker_services(void);

/* Message to another worker: runs m->fn(m) there, as a callback that must not park. The message
 * belongs to the receiver from then on. From a worker it travels by MSG_RING; from other threads
 * through a queue and an eventfd. -EAGAIN if the target's queue is full. */
struct msg {
	void (*fn)(struct msg *m);
	struct list link;
};
int worker_post(struct worker *to, struct msg *m) MUST_USE;

/* Runs fn(arg) in a fiber on worker `to` and waits for its end. */
AWAITS int worker_call(struct worker *to, const char *name, int (*fn)(void *arg), void *arg,
	int64_t deadline_ns) MUST_USE;

/* Signals arrive as values: the next of `set` (blocked by rt_run in every thread). */
AWAITS int signal_wait(const sigset_t *set, int64_t deadline_ns) MUST_USE; /* the signal's number */

/* Logs what each parked fiber of this worker waits for, and its callers' addresses in the program.
 */
void rt_report_fibers(void);

/* For tests and `aegis doctor`: why io_uring cannot be used here, or 0. */
int rt_probe_ring(void) MUST_USE;
