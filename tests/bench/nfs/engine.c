/* SPDX-License-Identifier: AGPL-3.0-only */
/* Keeps depth x connections calls under way: for every reply that has come, a new call leaves, all
 * of one connection's in one piece. Or, with a rate, calls leave as time goes by, whatever has
 * come, and their latency counts from when they were due. */
#include "tests/bench/nfs/load.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PACE_NS = 100 * 1000, /* calls that fall due within leave together */
	SLOT_BITS = 8,
	SAMPLES_MAX = 4 * 1024 * 1024
};

struct connection {
	int fd;
	struct load_call *calls; /* by slot, which is in the xid's low bits */
	char *in;
	size_t in_used;
	char *out;
	size_t out_used;
	size_t out_sent;
	bool writing; /* waits until more can be sent */
	int under_way;
};

struct engine {
	struct load *load;
	struct connection *connections;
	int ep;
	uint64_t next;
	uint64_t limit; /* calls; 0: by time */
	uint64_t least; /* if by time: that every place is written */
	uint64_t answered;
	uint32_t *samples_ns;
	int64_t end_ns;
	size_t in_cap, out_cap;
};

int64_t load_cpu_ns(int pid)
{
	char path[64];
	int64_t sum = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *d = opendir(path);
	if (!d)
		load_die("no process %d", pid);
	for (struct dirent *e; (e = readdir(d));) {
		long long ns = 0;
		char file[128];
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%s/%.20s/schedstat", path, e->d_name);
		FILE *f = fopen(file, "re");
		if (f && fscanf(f, "%lld", &ns) == 1)
			sum += ns;
		if (f)
			fclose(f);
	}
	closedir(d);
	return sum;
}

static bool more_wanted(const struct engine *e, int64_t now_ns)
{
	if (e->load->rate > 0)
		return false;
	if (e->limit)
		return e->next < e->limit;
	return now_ns < e->end_ns || e->next < e->least;
}

static void add_call(struct engine *e, struct connection *c, uint32_t slot, int64_t now_ns)
{
	struct load_call *x = &c->calls[slot];
	x->number = e->next++;
	x->xid = ((e->load->first_xid + (uint32_t)x->number) << SLOT_BITS) | slot;
	x->sent_ns = now_ns;
	x->answered = false;
	c->out_used += load_build(e->load, x, c->out + c->out_used, e->out_cap - c->out_used);
	c->under_way++;
}

static void push(struct engine *e, struct connection *c)
{
	while (c->out_sent < c->out_used) {
		ssize_t n = send(c->fd, c->out + c->out_sent, c->out_used - c->out_sent,
			MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			load_die("send: %s", strerror(errno));
		c->out_sent += (size_t)n;
	}
	bool blocked = c->out_sent < c->out_used;
	if (!blocked)
		c->out_used = c->out_sent = 0;
	if (blocked == c->writing)
		return;
	c->writing = blocked;
	struct epoll_event ev = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = c};
	if (epoll_ctl(e->ep, EPOLL_CTL_MOD, c->fd, &ev) < 0)
		load_die("epoll_ctl");
}

static void take_reply(struct engine *e, struct connection *c, struct span record, int64_t now_ns)
{
	uint32_t xid;
	if (record.n < sizeof(xid))
		load_die("a reply of %zu bytes", record.n);
	memcpy(&xid, record.p, sizeof(xid));
	xid = be32toh(xid);
	uint32_t slot = xid & ((1u << SLOT_BITS) - 1);
	if (slot >= (uint32_t)e->load->depth || c->calls[slot].xid != xid)
		load_die("a reply to no call (xid %08x)", xid);
	load_verify(e->load, &c->calls[slot], record);
	if (e->answered < SAMPLES_MAX)
		e->samples_ns[e->answered] = (uint32_t)(now_ns - c->calls[slot].sent_ns);
	e->answered++;
	c->under_way--;
	c->calls[slot].xid = ~xid;
	c->calls[slot].answered = true;
	if (more_wanted(e, now_ns) && e->out_cap - c->out_used >= load_call_bytes(e->load))
		add_call(e, c, slot, now_ns);
}

static void pull(struct engine *e, struct connection *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_used, e->in_cap - c->in_used, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		load_die("the server closed a connection");
	c->in_used += (size_t)n;
	int64_t now_ns = clock_mono_ns();
	size_t at = 0;
	while (c->in_used - at >= RPC_MARK_BYTES) {
		size_t bytes = rpc_mark_get(c->in + at).bytes;
		if (c->in_used - at - RPC_MARK_BYTES < bytes)
			break;
		take_reply(e, c, span_of(c->in + at + RPC_MARK_BYTES, bytes), now_ns);
		at += RPC_MARK_BYTES + bytes;
	}
	memmove(c->in, c->in + at, c->in_used - at);
	c->in_used -= at;
	push(e, c);
}

static void open_connections(struct engine *e)
{
	struct load *l = e->load;
	e->ep = epoll_create1(0);
	e->in_cap = load_reply_bytes(l) + 256 * 1024;
	e->out_cap = (size_t)l->depth * load_call_bytes(l) + LOAD_CALL_BYTES;
	e->connections = calloc((size_t)l->connections, sizeof(*e->connections));
	for (int i = 0; i < l->connections; i++) {
		struct connection *c = &e->connections[i];
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
		c->fd = load_connect(l, l->port);
		c->in = malloc(e->in_cap);
		c->out = malloc(e->out_cap);
		c->calls = calloc((size_t)l->depth, sizeof(*c->calls));
		if (!c->in || !c->out || !c->calls ||
			epoll_ctl(e->ep, EPOLL_CTL_ADD, c->fd, &ev) < 0)
			load_die("a connection cannot be had");
	}
}

static void close_connections(struct engine *e)
{
	for (int i = 0; i < e->load->connections; i++) {
		struct connection *c = &e->connections[i];
		close(c->fd);
		free(c->in);
		free(c->out);
		free(c->calls);
	}
	free(e->connections);
	close(e->ep);
}

/* A call of each place in turn that is free, if one is due. */
static void add_due(struct engine *e, int64_t start_ns, int64_t now_ns)
{
	struct load *l = e->load;
	uint64_t due = (uint64_t)((double)(MIN(now_ns, e->end_ns) - start_ns) / 1e9 * l->rate);
	for (int i = 0; i < l->connections; i++) {
		struct connection *c = &e->connections[i];
		for (uint32_t d = 0; e->next < due && d < (uint32_t)l->depth; d++) {
			bool busy = c->calls[d].sent_ns && !c->calls[d].answered;
			if (!busy && e->out_cap - c->out_used >= load_call_bytes(l))
				add_call(e, c, d,
					start_ns + (int64_t)((double)e->next / l->rate * 1e9));
		}
		push(e, c);
	}
}

static void drive_at_rate(struct engine *e)
{
	int64_t start_ns = clock_mono_ns();
	const struct timespec pause = {.tv_nsec = PACE_NS};
	for (int64_t now_ns = start_ns; now_ns < e->end_ns || e->answered < e->next;
		now_ns = clock_mono_ns()) {
		struct epoll_event ev[64];
		add_due(e, start_ns, now_ns);
		int n = epoll_pwait2(e->ep, ev, 64, &pause, NULL);
		for (int i = 0; i < n; i++) {
			if (ev[i].events & EPOLLOUT)
				push(e, ev[i].data.ptr);
			if (ev[i].events & EPOLLIN)
				pull(e, ev[i].data.ptr);
		}
		if (now_ns > e->end_ns + 10000000000)
			load_die("no reply for 10 seconds");
	}
}

static void drive(struct engine *e)
{
	int64_t now_ns = clock_mono_ns();
	struct load *l = e->load;
	for (int i = 0; i < l->connections; i++) {
		for (int d = 0; d < l->depth; d++)
			if (more_wanted(e, now_ns))
				add_call(e, &e->connections[i], (uint32_t)d, now_ns);
		push(e, &e->connections[i]);
	}
	while (e->answered < e->next) {
		struct epoll_event ev[64];
		int n = epoll_wait(e->ep, ev, 64, 10000);
		if (n == 0)
			load_die("no reply for 10 seconds");
		for (int i = 0; i < n; i++) {
			if (ev[i].events & EPOLLOUT)
				push(e, ev[i].data.ptr);
			if (ev[i].events & EPOLLIN)
				pull(e, ev[i].data.ptr);
		}
	}
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static double quantile_us(const struct engine *e, double q)
{
	uint64_t n = MIN(e->answered, (uint64_t)SAMPLES_MAX);
	return n ? e->samples_ns[(uint64_t)((double)(n - 1) * q)] / 1e3 : 0;
}

/* `limit` calls, or as many as the time allows. */
static struct load_result run(struct load *l, uint64_t limit)
{
	struct engine e = {.load = l, .limit = limit};
	if (l->op == LOAD_WRITE)
		e.least = LOAD_FILES * l->file_bytes / l->size;
	e.samples_ns = malloc(SAMPLES_MAX * sizeof(*e.samples_ns));
	if (!e.samples_ns)
		load_die("no memory");
	open_connections(&e);
	int64_t cpu_ns = l->pid ? load_cpu_ns(l->pid) : 0;
	int64_t start_ns = clock_mono_ns();
	e.end_ns = start_ns + (int64_t)(l->seconds * 1e9);
	if (l->rate > 0)
		drive_at_rate(&e);
	else
		drive(&e);
	int64_t elapsed_ns = clock_mono_ns() - start_ns;
	cpu_ns = l->pid ? load_cpu_ns(l->pid) - cpu_ns : 0;
	close_connections(&e);
	qsort(e.samples_ns, MIN(e.answered, (uint64_t)SAMPLES_MAX), sizeof(*e.samples_ns), by_size);
	struct load_result r = {
		.calls = e.answered,
		.seconds = (double)elapsed_ns / 1e9,
		.server_cpu_us = (double)cpu_ns / 1e3 / (double)MAX(e.answered, (uint64_t)1),
		.p50_us = quantile_us(&e, 0.5),
		.p99_us = quantile_us(&e, 0.99),
		.p999_us = quantile_us(&e, 0.999),
	};
	free(e.samples_ns);
	return r;
}

enum { REMOVES = 50000 };

struct load_result load_run(struct load *l)
{
	struct load_result r;
	if (l->op == LOAD_REMOVE && !l->echo) {
		l->op = LOAD_CREATE;
		(void)run(l, REMOVES);
		l->op = LOAD_REMOVE;
		return run(l, REMOVES);
	}
	r = run(l, 0);
	if (l->op == LOAD_CREATE)
		l->made = r.calls;
	return r;
}
