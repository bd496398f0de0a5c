/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A client and its idle connections. The pool is a list, longest idle first: it is short, and the
 * freshest connection is the one least likely to have been closed by its server.
 */
#include "daemon/net/link.h"
#include <errno.h>
#include <stdlib.h>

enum {
	RESOLVER_THREADS = 2,
	RESOLVER_QUEUE = 64,
	CLOSE_MS = 1000, /* for the polite last words of a connection */
};

/* ---- links ---- */

void link_close(struct link *l)
{
	if (!l)
		return;
	if (l->transport.tls)
		tls_session_close(l->transport.tls, deadline_in_ms(CLOSE_MS));
	transport_stop(&l->transport);
	free(l->key);
	free(l);
}

static struct link *take_idle(struct http_client *c, const char *key)
{
	for (struct list *node = c->idle.prev; node != &c->idle; node = node->prev) {
		struct link *l = list_entry(node, struct link, idle_link);
		if (strcmp(l->key, key) != 0)
			continue;
		list_remove(&l->idle_link);
		c->idle_count--;
		return l;
	}
	return NULL;
}

/* A server that has closed, or spoken unasked, while nobody looked. The socket is asked too: the
 * ring may not have told the stream yet. */
static bool is_stale(struct link *l)
{
	struct span view;
	char byte;
	int r = transport_peek(&l->transport, 0, &view, 0);

	err_clear();
	return r != -ETIME ||
		recv(stream_fd(l->transport.stream), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

int link_get(struct http_client *c, const struct target *t, bool fresh, int64_t deadline_ns,
	struct link **ret)
{
	struct link *l;
	int r;

	while (!fresh && (l = take_idle(c, t->key))) {
		if (!is_stale(l)) {
			l->reused = true;
			*ret = l;
			return 0;
		}
		link_close(l);
	}
	l = calloc(1, sizeof(*l));
	if (l)
		l->key = strdup(t->key);
	if (!l || !l->key) {
		free(l);
		return err_raise(-ENOMEM, "no memory for a connection");
	}
	list_init(&l->idle_link);
	r = link_connect(c, t, deadline_ns, &l->transport);
	if (r < 0) {
		free(l->key);
		free(l);
		return err_trace(r);
	}
	*ret = l;
	return 0;
}

void link_keep(struct http_client *c, struct link *l)
{
	l->reused = false;
	l->idle_since_ns = rt_now_ns();
	list_push_back(&c->idle, &l->idle_link);
	c->idle_count++;
}

/* ---- the client ---- */

static struct link *longest_idle(struct http_client *c)
{
	return list_empty(&c->idle) ? NULL : list_first(&c->idle, struct link, idle_link);
}

static bool is_due(const struct http_client *c, const struct link *l)
{
	return c->idle_count > c->idle_max || rt_now_ns() - l->idle_since_ns >= c->idle_timeout_ns;
}

static void close_idle(struct http_client *c, bool all)
{
	struct link *l;

	while ((l = longest_idle(c)) && (all || is_due(c, l))) {
		list_remove(&l->idle_link);
		c->idle_count--;
		link_close(l);
	}
}

static void sweep(void *arg)
{
	struct http_client *c = arg;

	while (rt_sleep_until(rt_now_ns() + c->idle_timeout_ns / 2) == 0)
		close_idle(c, false);
}

int http_client_start(const struct http_client_options *o, struct http_client **ret)
{
	struct http_client *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_raise(-ENOMEM, "HTTP client");
	c->tls = tls_client_ref(o->tls);
	c->user_agent = strdup(o->user_agent ? o->user_agent : "aegis/" AEGIS_VERSION);
	c->idle_max = o->idle_max ? o->idle_max : 32;
	c->idle_timeout_ns = (o->idle_timeout_ms ? o->idle_timeout_ms : 30000) * NS_PER_MS;
	list_init(&c->idle);
	group_init(&c->services);
	if (!c->user_agent)
		r = err_raise(-ENOMEM, "HTTP client");
	else if (!http_valid_value(span_cstr(c->user_agent)))
		r = err_raise(-EINVAL, "the user agent has bytes that may not stand in a header");
	else
		r = offload_start("resolver", RESOLVER_THREADS, RESOLVER_QUEUE, &c->resolver);
	if (r == 0)
		r = group_spawn(&c->services, "http-idle", FIBER_LARGE, sweep, c);
	if (r < 0) {
		http_client_stop(c);
		return err_wrap(r, "HTTP client");
	}
	*ret = c;
	return 0;
}

void http_client_stop(struct http_client *c)
{
	if (!c)
		return;
	CHECK(c->exchanges == 0);
	group_close(&c->services);
	fiber_shield_begin();
	close_idle(c, true);
	fiber_shield_end();
	offload_stop(c->resolver);
	tls_client_unref(c->tls);
	free(c->user_agent);
	free(c);
}
