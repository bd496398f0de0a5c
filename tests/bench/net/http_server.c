/* SPDX-License-Identifier: AGPL-3.0-only */
/* What http.py measures: one worker, one small JSON route that goes through a router, as the API's
 * do. */
#include "daemon/net/net.h"
#include <stdio.h>

static struct router *routes;
static int result;

/* 100 bytes, written anew for each request. */
static void get_agent(struct http_request *q, struct http_reply *p, struct router_match *m)
{
	char text[256];
	struct buf b = {.data = text, .cap = sizeof(text) - 1, .max = sizeof(text) - 1};
	struct json_writer w = json_writer(&b);

	json_object(&w);
	json_field_span(&w, "id", router_param(m, "id"));
	json_field_cstr(&w, "name", "greeter");
	json_field_cstr(&w, "status", "active");
	json_field_cstr(&w, "description", "says hello to whoever comes by");
	json_field_i64(&w, "version", 7);
	json_end(&w);
	(void)!http_reply(p, 200, "application/json", buf_view(&b));
}

static void handle(void *ctx, struct http_request *q, struct http_reply *p)
{
	struct router_match m;
	int r = router_find(routes, q->arena, q->head->method, q->head->path, &m);

	if (r != 0)
		(void)!http_reply(p, 404, NULL, (struct span){0});
	else
		get_agent(q, p, &m);
}

static int open_door(struct http_server *s)
{
	struct door_tcp door = {.address = "127.0.0.1"};
	uint16_t port;
	int fd;
	int r = door_listen_tcp(&door, &fd, &port);

	if (r == 0)
		r = http_server_listen(s, fd, &(struct http_listen){.tag = NULL}, NULL);
	if (r == 0)
		printf("%u\n", port);
	fflush(stdout);
	return r;
}

static void serve(void *arg)
{
	struct http_server *s = NULL;
	sigset_t set;
	int r = http_server_start(&(struct http_server_options){.handler = handle}, &s);

	if (r == 0)
		r = open_door(s);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	if (r == 0)
		r = signal_wait(&set, DEADLINE_NONE);
	if (r < 0)
		err_log(r, "server");
	result = r < 0;
	http_server_stop(s, rt_now_ns());
}

int main(void)
{
	int r;

	routes = router_new();
	r = router_add(routes, HTTP_GET, "/v1/agents/{id}", routes);
	if (r == 0)
		r = rt_run(&(struct rt_options){.workers = 1}, serve, NULL);
	if (r < 0)
		err_log(r, "server");
	router_free(routes);
	return r < 0 || result;
}
