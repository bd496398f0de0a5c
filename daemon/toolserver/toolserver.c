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
	OPEN_MS = 60 * 1000,
	BACKOFF_FIRST_MS = 1000,
	BACKOFF_MAX_MS = 5 * 60 * 1000,
	GOOD_LIFE_MS = 60 * 1000,
	STARTING_MS = 15 * 1000, /* a call waits so long for a server that is starting */
	PUBLISH_MS = 60 * 1000,
	CONFIG_BYTES = 16 * 1024 * 1024,
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
		tools += s->items[i].tools ? s->items[i].tools->count : 0;
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
		if (s->items[i].tools)
			catalog_add(c, s->items[i].tools);
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

static int source_check(void *ctx, const struct tool_offer *o, const struct json *arguments)
{
	const struct toolset_item *item = o->of;
	struct jsonschema_error e;
	int r = jsonschema_check(item->arguments, arguments, &e);

	if (r == JSONSCHEMA_INVALID)
		return err_raise(-EINVAL, "%s%s%s", e.instance_path, *e.instance_path ? ": " : "",
			e.message);
	return r == -E2BIG ? err_wrap(-EINVAL, "the check") : err_trace(r);
}

static struct tool_server *server_find(struct tool_servers *s, struct span name)
{
	for (size_t i = 0; i < s->count; i++)
		if (span_is(name, s->items[i].config.name))
			return &s->items[i];
	return NULL;
}

static bool source_has_server(void *ctx, struct span name, struct buf *known)
{
	struct tool_servers *s = ctx;

	for (size_t i = 0; known && i < s->count; i++)
		buf_printf(known, "%s%s", i ? ", " : "", s->items[i].config.name);
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

static AWAITS int source_call(void *ctx, const struct tool_offer *o, const struct json *arguments,
	struct arena *a, int64_t deadline_ns, struct span *ret, bool *ret_failed)
{
	struct buf params CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_TOOL_ARGUMENT_BYTES);
	struct json_writer w = json_writer(&params);
	struct tool_server *s = server_find(ctx, span_cstr(o->server));
	int r = s ? await_ready(s, deadline_ns) : -EINVAL;

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

const struct tool_source *tool_servers_source(struct tool_servers *s)
{
	return &s->source;
}

/* ---- on record ---- */

static void event_details(struct json_writer *w, const struct tool_server *s, const char *error)
{
	json_object(w);
	json_field_cstr(w, "server_id", s->config.name);
	json_field_cstr(w, "name", s->config.name);
	json_field_cstr(w, "transport", s->config.url ? "http" : "stdio");
	json_field_i64(w, "starts", s->starts);
	if (error)
		json_field_cstr(w, "error", error);
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

void tool_servers_put(struct json_writer *w, const struct tool_servers *s)
{
	json_array(w);
	for (size_t i = 0; i < s->count; i++) {
		const struct tool_server *x = &s->items[i];
		json_object(w);
		json_field_cstr(w, "name", x->config.name);
		json_field_cstr(w, "transport", x->config.url ? "http" : "stdio");
		json_field_cstr(w, "state", state_name(&tool_server_states, x->state));
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
		json_field_cstr(w, s->items[i].config.name,
			state_name(&tool_server_states, s->items[i].state));
	json_end(w);
}

/* ---- up and down ---- */

static const char *const *copy_texts(struct arena *a, const char *const *from, size_t count)
{
	const char **to = arena_make_array(a, const char *, count + 1);

	for (size_t i = 0; to && i < count; i++)
		if (!(to[i] = arena_strdup(a, from[i])))
			return NULL;
	return to;
}

static int config_copy(
	struct arena *a, const struct tool_server_config *from, struct tool_server_config *to)
{
	struct tool_server_variable *variables =
		arena_make_array(a, struct tool_server_variable, from->variable_count + 1);

	*to = *from;
	to->name = arena_strdup(a, from->name);
	to->executable = from->executable ? arena_strdup(a, from->executable) : NULL;
	to->url = from->url ? arena_strdup(a, from->url) : NULL;
	to->health_method = arena_strdup(a, from->health_method);
	to->args = copy_texts(a, from->args, from->arg_count);
	to->capabilities = copy_texts(a, from->capabilities, from->capability_count);
	to->network = copy_texts(a, from->network, from->network_count);
	to->variables = variables;
	bool ok = to->name && to->health_method && to->args && to->capabilities && to->network &&
		variables && !to->executable == !from->executable && !to->url == !from->url;
	for (size_t i = 0; ok && i < from->variable_count; i++) {
		variables[i].name = arena_strdup(a, from->variables[i].name);
		variables[i].value = span_cstr(arena_cstr(a, from->variables[i].value));
		ok = variables[i].name && variables[i].value.p;
	}
	return ok ? 0 : err_raise(-ENOMEM, "the configuration of tool servers");
}

/* Their texts lie in an arena, which does not wipe. */
static void forget_secrets(struct tool_servers *s)
{
	for (size_t i = 0; i < s->count; i++)
		for (size_t n = 0; n < s->items[i].config.variable_count; n++) {
			struct span v = s->items[i].config.variables[n].value;
			secret_wipe((void *)(uintptr_t)v.p, v.n);
		}
}

static int config_check(
	const struct tool_servers *s, size_t before, const struct tool_server_config *c)
{
	if (strchr(c->name, '.') || strlen(c->name) > LIMIT_TOOLSERVER_NAME_BYTES)
		return err_raise(-EINVAL,
			"tool server '%s': a name of up to %d bytes without a dot is expected, "
			"because its tools are called NAME.TOOL",
			c->name, LIMIT_TOOLSERVER_NAME_BYTES);
	for (size_t i = 0; tool_at(i); i++)
		if (strncmp(tool_at(i)->name, c->name, strlen(c->name)) == 0 &&
			tool_at(i)->name[strlen(c->name)] == '.')
			return err_raise(-EINVAL,
				"tool server '%s': that name belongs to built-in tools (%s)",
				c->name, tool_at(i)->name);
	for (size_t i = 0; i < before; i++)
		if (strcmp(s->items[i].config.name, c->name) == 0)
			return err_raise(
				-EINVAL, "tool server '%s': that name is another's", c->name);
	for (size_t i = 0; i < c->network_count; i++) {
		int r = context_check_connect(c->network[i]);
		if (r < 0)
			return err_wrap(r, "tool server '%s': network_allowlist[%zu]", c->name, i);
	}
	if (strcmp(c->health_method, "ping") != 0 && strcmp(c->health_method, "tools/list") != 0)
		return err_raise(-EINVAL,
			"tool server '%s': health_check.method: ping and tools/list are accepted, "
			"not '%s'",
			c->name, c->health_method);
	return 0;
}

static int servers_take(struct tool_servers *s)
{
	int r = 0;

	if (s->o.count > LIMIT_TOOLSERVERS)
		return err_raise(
			-EINVAL, "%d tool servers are accepted, not more", LIMIT_TOOLSERVERS);
	for (size_t i = 0; r == 0 && i < s->o.count; i++) {
		struct tool_server *x = &s->items[i];
		x->all = s;
		r = config_check(s, i, &s->o.servers[i]);
		if (r == 0)
			r = config_copy(s->arena, &s->o.servers[i], &x->config);
		s->count += r == 0;
	}
	s->o.servers = NULL;
	return err_trace(r);
}

int tool_servers_new(const struct tool_servers_options *o, struct tool_servers **ret)
{
	struct tool_servers *s = calloc(1, sizeof(*s));

	if (!s)
		return err_raise(-ENOMEM, "tool servers");
	s->o = *o;
	s->o.open_ms = o->open_ms ? o->open_ms : OPEN_MS;
	s->o.backoff_first_ms = o->backoff_first_ms ? o->backoff_first_ms : BACKOFF_FIRST_MS;
	s->o.backoff_max_ms = o->backoff_max_ms ? o->backoff_max_ms : BACKOFF_MAX_MS;
	s->o.good_life_ms = o->good_life_ms ? o->good_life_ms : GOOD_LIFE_MS;
	s->source = (struct tool_source){
		source_catalog, source_check, source_call, source_has_server, s};
	group_init(&s->group);
	waitq_init(&s->changed);
	s->arena = arena_new(CONFIG_BYTES);
	s->items = calloc(o->count + 1, sizeof(*s->items));
	int r = s->arena && s->items ? servers_take(s) : err_raise(-ENOMEM, "tool servers");
	if (r == 0)
		r = tool_servers_publish(s);
	if (r < 0) {
		tool_servers_stop(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

int tool_servers_start(struct tool_servers *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->count; i++)
		r = group_spawn(
			&s->group, "tool server", FIBER_LARGE, tool_server_run, &s->items[i]);
	return err_trace(r);
}

int tool_servers_settled(struct tool_servers *s, int64_t deadline_ns)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->count; i++)
		while (r == 0 && s->items[i].state == TOOL_SERVER_STARTING)
			r = waitq_wait(&s->changed, deadline_ns);
	return r;
}

void tool_servers_stop(struct tool_servers *s)
{
	if (!s)
		return;
	group_close(&s->group);
	for (size_t i = 0; i < s->count; i++)
		toolset_unref(s->items[i].tools);
	tool_catalog_unref(s->catalog);
	forget_secrets(s);
	arena_free(s->arena);
	free(s->items);
	free(s);
}
