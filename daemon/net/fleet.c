/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One server per worker behind the same sockets. Worker 0 accepts and hands the connections round
 * (accept.c); nothing is shared after that.
 *
 * Stopping goes through the workers twice: first nobody accepts any more and everybody finishes
 * what is under way, then each server is stopped. So no connection is on its way to one that is
 * gone, and the deadline is the same for all.
 */
#include "daemon/net/conn.h"
#include <errno.h>
#include <stdlib.h>

struct http_fleet {
	struct http_server_options options;
	int count;
	struct http_server *servers[]; /* by worker index */
};

/* An errand to one worker. */
struct errand {
	struct http_fleet *fleet;
	int index;
	const struct http_listen *listen;
	bool is_unix;
	int fd;
	struct http_listener **team;
	int64_t deadline_ns;
};

static int start_here(void *arg)
{
	struct errand *e = arg;

	return http_server_start(&e->fleet->options, &e->fleet->servers[e->index]);
}

static int listen_here(void *arg)
{
	struct errand *e = arg;

	return listener_open(e->fleet->servers[e->index], TAKE_FD(e->fd), e->is_unix, e->listen,
		&e->team[e->index]);
}

static int accept_here(void *arg)
{
	struct errand *e = arg;

	return listener_accept_from(e->team[0], e->team, e->fleet->count);
}

static int wind_down_here(void *arg)
{
	struct errand *e = arg;

	if (e->fleet->servers[e->index])
		server_wind_down(e->fleet->servers[e->index]);
	return 0;
}

static int stop_here(void *arg)
{
	struct errand *e = arg;

	http_server_stop(TAKE_PTR(e->fleet->servers[e->index]), e->deadline_ns);
	return 0;
}

static int send_to(int worker, int (*fn)(void *arg), struct errand *e)
{
	return worker_call(worker_at(worker), "http-fleet", fn, e, DEADLINE_NONE);
}

int http_fleet_start(const struct http_server_options *o, struct http_fleet **ret)
{
	int count = worker_count();
	struct http_fleet *f = calloc(1, sizeof(*f) + (size_t)count * sizeof(struct http_server *));

	if (!f)
		return err_raise(-ENOMEM, "HTTP servers");
	f->options = *o;
	f->count = count;
	for (int i = 0; i < count; i++) {
		struct errand e = {.fleet = f, .index = i};
		int r = send_to(i, start_here, &e);
		if (r < 0) {
			http_fleet_stop(f, 0);
			return err_trace(r);
		}
	}
	*ret = f;
	return 0;
}

struct http_server *http_fleet_here(struct http_fleet *f)
{
	return f->servers[worker_index(worker_self())];
}

int http_fleet_listen(struct http_fleet *f, int fd, const struct http_listen *l)
{
	struct errand e = {.fleet = f, .listen = l, .fd = fd};
	int r = listener_family(fd, &e.is_unix);

	e.team = calloc((size_t)f->count, sizeof(struct http_listener *));
	if (r == 0 && !e.team)
		r = err_raise(-ENOMEM, "HTTP listener");
	for (int i = 0; i < f->count && r == 0; i++) {
		e.index = i;
		r = send_to(i, listen_here, &e); /* the first takes fd */
	}
	rt_close(e.fd);
	if (r < 0) {
		free(e.team);
		return err_trace(r);
	}
	return err_trace(send_to(0, accept_here, &e));
}

static void send_to_all(struct http_fleet *f, int (*fn)(void *arg), int64_t deadline_ns)
{
	for (int i = 0; i < f->count; i++) {
		struct errand e = {.fleet = f, .index = i, .deadline_ns = deadline_ns};
		int r = send_to(i, fn, &e);
		if (r < 0)
			err_log(r, "stopping an HTTP server");
	}
}

void http_fleet_stop(struct http_fleet *f, int64_t deadline_ns)
{
	if (!f)
		return;
	fiber_shield_begin();
	send_to_all(f, wind_down_here, deadline_ns);
	send_to_all(f, stop_here, deadline_ns);
	fiber_shield_end();
	free(f);
}
