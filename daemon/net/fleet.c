/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One server per worker behind the same sockets. Each worker accepts from a descriptor of its own
 * for the shared socket; the kernel wakes one of them per connection. Nothing is shared after that.
 */
#include "daemon/net/server.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

struct http_fleet {
	struct http_server_options options;
	int count;
	struct http_server *servers[]; /* by worker index */
};

/* Errands to one worker. */
struct errand {
	struct http_fleet *fleet;
	int index;
	const struct http_listen *listen;
	int fd;
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

	return http_server_listen(e->fleet->servers[e->index], TAKE_FD(e->fd), e->listen, NULL);
}

static int stop_here(void *arg)
{
	struct errand *e = arg;

	http_server_stop(TAKE_PTR(e->fleet->servers[e->index]), e->deadline_ns);
	return 0;
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
		int r = worker_call(worker_at(i), "http-start", start_here, &e, DEADLINE_NONE);
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
	int r = 0;

	for (int i = 0; i < f->count && r == 0; i++) {
		struct errand e = {.fleet = f, .index = i, .listen = l};
		e.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (e.fd < 0)
			r = err_sys(-errno, "listening socket for worker %d", i);
		else
			r = worker_call(
				worker_at(i), "http-listen", listen_here, &e, DEADLINE_NONE);
		rt_close(e.fd);
	}
	rt_close(fd);
	return r < 0 ? err_trace(r) : 0;
}

void http_fleet_stop(struct http_fleet *f, int64_t deadline_ns)
{
	if (!f)
		return;
	fiber_shield_begin();
	for (int i = 0; i < f->count; i++) {
		struct errand e = {.fleet = f, .index = i, .deadline_ns = deadline_ns};
		int r = worker_call(worker_at(i), "http-stop", stop_here, &e, DEADLINE_NONE);
		if (r < 0)
			err_log(r, "stopping an HTTP server");
	}
	fiber_shield_end();
	free(f);
}
