/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The servers of a node together: what is on offer, who serves a call, how they fare.
 *
 * Invariant: no two tools have the same name. It begins with the server's, which has no dot, is
 * nobody else's, and is not the first part of a built-in tool's; a server's list has each tool
 * once.
 */
#include "daemon/toolserver/internal.h"
#include <stdlib.h>

enum {
	STARTING_MS = 15 * 1000, /* a call waits so long for a server that is starting */
	PUBLISH_MS = 60 * 1000,
};

/* ---- what is on offer ---- */

struct catalog {
	struct tool_catalog base;
	size_t set_count;
	struct toolset **sets; /* a reference each: they hold the items' texts */
	struct tool_offer offers[];
};

static void catalog_free(struct tool_catalog *base)
{
	struct catalog *c = container_of(base, struct catalog, base);

	for (size_t i = 0; i < c->set_count; i++)
		toolset_unref(c->sets[i]);
	free(c->sets);
	free(c);
}

static void catalog_add(struct catalog *c, struct toolset *t)
{
	c->sets[c->set_count++] = toolset_ref(t);
	for (size_t i = 0; i < t->count; i++)
		c->offers[c->base.count++] = t->items[i].offer;
}

int tool_servers_publish(struct tool_servers *s)
{
	size_t tools = 0;

	for (size_t i = 0; i < s->count; i++)
		tools += s->items[i]->tools ? s->items[i]->tools->count : 0;
	struct catalog *c = calloc(1, sizeof(*c) + tools * sizeof(c->offers[0]));
	struct toolset **sets = calloc(s->count + 1, sizeof(struct toolset *));
	if (!c || !sets) {
		free(c);
		free(sets);
		return err_raise(-ENOMEM, "the tools on offer");
	}
	c->base = (struct tool_catalog){.refs = 1, .items = c->offers, .free = catalog_free};
	c->sets = sets;
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i]->tools)
			catalog_add(c, s->items[i]->tools);
	tool_catalog_unref(s->catalog);
	s->catalog = &c->base;
	return 0;
}

/* ---- a source of tools ---- */

static struct tool_catalog *source_catalog(void *ctx)
{
	struct tool_servers *s = ctx;

	s->catalog->refs++;
	return s->catalog;
}

struct check {
	const struct toolset_item *item;
	const struct json *arguments;
};

/* On an offload thread: what the schema costs is the server's choice, within limits. */
static int check_arguments(void *arg)
{
	const struct check *c = arg;
	struct jsonschema_error e;
	int r = jsonschema_check(c->item->arguments, c->arguments, &e);

	if (r == JSONSCHEMA_INVALID)
		return err_raise(-EINVAL, "%s%s%s", e.instance_path, *e.instance_path ? ": " : "",
			e.message);
	return r == -E2BIG ? err_wrap(-EINVAL, "the check") : err_trace(r);
}

static AWAITS int source_check(
	void *ctx, const struct tool_offer *o, const struct json *arguments, int64_t deadline_ns)
{
	struct tool_servers *s = ctx;
	struct check c = {o->of, arguments};
	int r = s->o.checks ? offload_call(s->o.checks, check_arguments, &c, deadline_ns)
			    : check_arguments(&c);

	return r == -ECANCELED || r == -ETIME ? r : err_trace(r);
}

static struct tool_server *server_find(struct tool_servers *s, struct span name)
{
	for (size_t i = 0; i < s->count; i++)
		if (span_is(name, s->items[i]->config.name))
			return s->items[i];
	return NULL;
}

static bool source_has_server(void *ctx, struct span name, struct buf *known)
{
	struct tool_servers *s = ctx;

	for (size_t i = 0; known && i < s->count; i++)
		buf_printf(known, "%s%s", i ? ", " : "", s->items[i]->config.name);
	return server_find(s, name) != NULL;
}

/* ---- a call ---- */

static int cannot(struct arena *a, struct span *ret, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int cannot(struct arena *a, struct span *ret, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	char *text = arena_vprintf(a, fmt, args);
	va_end(args);
	*ret = span_cstr(text);
	return text ? 0 : err_raise(-ENOMEM, "a tool's answer");
}

static AWAITS int await_ready(struct tool_server *s, int64_t deadline_ns)
{
	int r = 0;

	deadline_ns = deadline_earlier(deadline_ns, deadline_in_ms(STARTING_MS));
	while (r == 0 && s->state == TOOL_SERVER_STARTING)
		r = waitq_wait(&s->all->changed, deadline_ns);
	return r == -ETIME ? 0 : r;
}

static int take_answer(const struct tool_server *s, const struct tool_offer *o,
	const struct mcp_answer *answer, struct arena *a, struct span *ret, bool *ret_failed)
{
	if (answer->message.kind == RPC_RESULT)
		return err_trace(toolset_answer(answer->message.result, a, ret, ret_failed));
	*ret_failed = true;
	return cannot(a, ret, "%s: the tool server '%s' answers: " SPAN_FMT " (%lld)", o->name,
		s->config.name, SPAN_ARG(span_sub(answer->message.words, 0, 2048)),
		(long long)answer->message.code);
}

static AWAITS int ask(struct tool_server *s, const struct tool_offer *o, struct span params,
	struct arena *a, int64_t deadline_ns, struct span *ret, bool *ret_failed)
{
	int64_t own_ns = deadline_in_ms(s->config.call_timeout_ms);
	struct mcp_answer answer = {0};

	s->calls++;
	int r = mcp_client_request(
		s->client, "tools/call", params, deadline_earlier(own_ns, deadline_ns), &answer);
	s->calls--;
	if (r == 0)
		r = take_answer(s, o, &answer, a, ret, ret_failed);
	mcp_answer_fini(&answer);
	if (r == -EPIPE || (r == -ETIME && rt_now_ns() < deadline_ns)) {
		*ret_failed = true;
		int x = r == -ETIME ? cannot(a, ret, "%s: no answer within %lld s", o->name,
					      (long long)s->config.call_timeout_ms / 1000)
				    : cannot(a, ret, "%s: the tool server '%s' broke off: %s",
					      o->name, s->config.name, err_message(r));
		if (x == 0)
			err_clear();
		return err_trace(x);
	}
	return r;
}

/* By a server that is there, and stays as long as we hold it. */
static AWAITS int serve_call(struct tool_server *s, const struct tool_offer *o,
	const struct json *arguments, struct arena *a, int64_t deadline_ns, struct span *ret,
	bool *ret_failed)
{
	struct buf params CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_TOOL_ARGUMENT_BYTES);
	struct json_writer w = json_writer(&params);
	int r = await_ready(s, deadline_ns);

	if (r < 0)
		return r;
	*ret_failed = true;
	if (!s->client || s->state == TOOL_SERVER_STARTING)
		return cannot(a, ret, "%s: the tool server '%s' is %s%s%s", o->name, s->config.name,
			state_name(&tool_server_states, s->state), *s->error ? ": " : "", s->error);
	if (s->calls >= LIMIT_TOOLSERVER_CALLS)
		return cannot(a, ret, "%s: the tool server '%s' is busy with %d calls", o->name,
			s->config.name, s->calls);
	json_object(&w);
	json_field_cstr(&w, "name", o->remote);
	json_key(&w, "arguments");
	json_put(&w, arguments);
	json_end(&w);
	r = buf_error(&params);
	if (r < 0)
		return err_trace(r);
	*ret_failed = false;
	return ask(s, o, buf_view(&params), a, deadline_ns, ret, ret_failed);
}

static AWAITS int source_call(void *ctx, const struct tool_offer *o, const struct json *arguments,
	struct arena *a, int64_t deadline_ns, struct span *ret, bool *ret_failed)
{
	const struct toolset_item *item = o->of;
	struct tool_server *s = server_find(ctx, span_cstr(o->server));

	/* The call was judged by what that server offered, not by what stands in its place. */
	if (!s || s->number != item->set->server) {
		*ret_failed = true;
		return cannot(a, ret, "%s: the tool server '%s' has been %s meanwhile", o->name,
			o->server, s ? "configured anew" : "taken out of the configuration");
	}
	tool_server_ref(s);
	int r = serve_call(s, o, arguments, a, deadline_ns, ret, ret_failed);
	tool_server_unref(s);
	return r;
}

void tool_servers_source_make(struct tool_servers *s)
{
	s->source = (struct tool_source){
		source_catalog, source_check, source_call, source_has_server, s};
}

const struct tool_source *tool_servers_source(struct tool_servers *s)
{
	return &s->source;
}

/* ---- on record ---- */

static const char *transport_of(const struct tool_server_config *c)
{
	return c->url || c->http_port ? "http" : "stdio";
}

static void event_details(struct json_writer *w, const struct tool_server *s, const char *error)
{
	json_object(w);
	json_field_cstr(w, "server_id", s->config.name);
	json_field_cstr(w, "name", s->config.name);
	json_field_cstr(w, "transport", transport_of(&s->config));
	json_field_i64(w, "starts", s->starts);
	if (error)
		json_field_cstr(w, s->ending ? "reason" : "error", error);
	if (s->state == TOOL_SERVER_READY && s->tools) {
		json_key(w, "tools");
		json_array(w);
		for (size_t i = 0; i < s->tools->count; i++)
			json_put_cstr(w, s->tools->items[i].offer.name);
		json_end(w);
	}
	json_end(w);
}

void tool_server_record(struct tool_server *s, enum event_type type, const char *error)
{
	static const struct uuid nil;
	struct buf b CLEANUP(buf_fini) = buf_init(128 * 1024);
	struct json_writer w = json_writer(&b);
	struct store_event e = event_of(type, nil, nil, 0);
	struct store_commit c = {.events = &e, .event_count = 1};

	if (error)
		log_warn("tool server '%s' is %s: %s", s->config.name,
			state_name(&tool_server_states, s->state), error);
	else
		log_info("tool server '%s' is %s", s->config.name,
			state_name(&tool_server_states, s->state));
	if (!s->all->o.bus)
		return;
	event_details(&w, s, error);
	int r = buf_error(&b);
	e.tenant_id = span_cstr(s->all->o.tenant_id);
	e.details = buf_view(&b);
	if (r == 0)
		r = event_publish(s->all->o.bus, &c, deadline_in_ms(PUBLISH_MS));
	if (r < 0)
		err_log(r, "a tool server's event");
}

/* By what it is held, whatever it wants; of a child also while it is down: it starts so or not at
 * all. */
static void confinement_put(struct json_writer *w, const struct tool_server_config *c)
{
	struct buf b CLEANUP(buf_fini) = buf_init(4096);

	json_field_bool(w, "confined", c->executable != NULL);
	if (c->url) {
		json_field_cstr(w, "confined_by",
			"nothing of this node's: it runs elsewhere, and only calls to it are "
			"decided here");
		return;
	}
	buf_printf(&b,
		"a sandbox of its own: namespaces, seccomp, Landlock, cgroup (%u thousandths of a "
		"processor, %llu MiB); network: ",
		c->cpu_millis, (unsigned long long)(c->memory_bytes >> 20));
	if (c->network_count)
		buf_printf(&b, "%zu entries, checked by the kernel", c->network_count);
	else
		buf_puts(&b, "its own loopback alone");
	json_field_span(w, "confined_by", buf_view(&b));
}

void tool_servers_put(struct json_writer *w, const struct tool_servers *s)
{
	json_array(w);
	for (size_t i = 0; i < s->count; i++) {
		const struct tool_server *x = s->items[i];
		json_object(w);
		json_field_cstr(w, "name", x->config.name);
		json_field_cstr(w, "transport", transport_of(&x->config));
		json_field_cstr(w, "state", state_name(&tool_server_states, x->state));
		json_field_bool(w, "up",
			x->state == TOOL_SERVER_READY || x->state == TOOL_SERVER_UNHEALTHY);
		confinement_put(w, &x->config);
		json_field_i64(w, "tools", x->tools ? (int64_t)x->tools->count : 0);
		json_field_i64(w, "starts", x->starts);
		json_field_i64(w, "calls", x->calls);
		if (*x->error)
			json_field_cstr(w, "error", x->error);
		if (x->state == TOOL_SERVER_BACKING_OFF)
			json_field_i64(w, "next_start_in_ms",
				MAX(x->next_start_ns - rt_now_ns(), (int64_t)0) / NS_PER_MS);
		json_end(w);
	}
	json_end(w);
}

void tool_servers_states_put(struct json_writer *w, const struct tool_servers *s)
{
	json_object(w);
	for (size_t i = 0; i < s->count; i++)
		json_field_cstr(w, s->items[i]->config.name,
			state_name(&tool_server_states, s->items[i]->state));
	json_end(w);
}
