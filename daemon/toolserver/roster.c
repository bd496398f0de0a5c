/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Which servers there are, at the start and after each change of the configuration. A list is
 * judged whole before anything of it holds. Those that are the same go on undisturbed; one that has
 * changed ends and another one of its name begins, after it: they share a workspace.
 *
 * Invariant: a server that has left the list is in no list, its fiber has ended before its last
 * reference is given back by us, and its tools are on offer no more.
 */
#include "daemon/toolserver/internal.h"
#include <stdlib.h>

enum {
	OPEN_MS = 60 * 1000,
	BACKOFF_FIRST_MS = 1000,
	BACKOFF_MAX_MS = 5 * 60 * 1000,
	GOOD_LIFE_MS = 60 * 1000,
	CONFIG_BYTES = 16 * 1024 * 1024,
};

/* ---- one ---- */

struct tool_server *tool_server_ref(struct tool_server *s)
{
	s->refs++;
	return s;
}

void tool_server_unref(struct tool_server *s)
{
	if (!s || --s->refs)
		return;
	toolset_unref(s->tools);
	tool_server_config_forget(&s->config);
	arena_free(s->arena);
	free(s);
}

static int server_new(
	struct tool_servers *all, const struct tool_server_config *c, struct tool_server **ret)
{
	struct tool_server *s = calloc(1, sizeof(*s));

	if (!s)
		return err_raise(-ENOMEM, "tool servers");
	*s = (struct tool_server){
		.all = all, .refs = 1, .number = ++all->numbers, .arena = arena_new(CONFIG_BYTES)};
	group_init(&s->life);
	int r = s->arena ? tool_server_config_copy(s->arena, c, &s->config)
			 : err_raise(-ENOMEM, "tool servers");
	if (r < 0) {
		tool_server_unref(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

static int server_start(struct tool_server *s)
{
	int r = group_spawn(&s->life, "tool server", FIBER_LARGE, tool_server_run, s);

	s->started = r == 0;
	return r < 0 ? err_wrap(r, "start the tool server '%s'", s->config.name) : 0;
}

/* ---- a list ---- */

struct roster {
	struct tool_server **items;
	size_t count;
};

static struct tool_server *find(const struct tool_servers *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->items[i]->config.name, name) == 0)
			return s->items[i];
	return NULL;
}

static bool goes_on(const struct tool_server *s, const struct tool_server_config *c)
{
	/* Whose configuration was at fault is tried again: the fault may have been elsewhere. */
	return s && s->state != TOOL_SERVER_FAILED && tool_server_config_same(&s->config, c);
}

static void roster_fini(struct roster *l)
{
	for (size_t i = 0; i < l->count; i++)
		tool_server_unref(l->items[i]);
	free(l->items);
}

static int roster_make(struct tool_servers *s, const struct tool_server_config *servers,
	size_t count, struct roster *ret)
{
	struct roster l = {.items = calloc(count + 1, sizeof(struct tool_server *))};
	int r = l.items ? 0 : err_raise(-ENOMEM, "tool servers");

	if (count > LIMIT_TOOLSERVERS)
		r = err_raise(-EINVAL, "%d tool servers are accepted, not more", LIMIT_TOOLSERVERS);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = tool_server_config_check(servers, i);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct tool_server *old = find(s, servers[i].name);
		if (goes_on(old, &servers[i]))
			l.items[i] = tool_server_ref(old);
		else
			r = server_new(s, &servers[i], &l.items[i]);
		l.count += r == 0;
	}
	if (r < 0) {
		roster_fini(&l);
		return err_trace(r);
	}
	*ret = l;
	return 0;
}

/* ---- changes ---- */

static bool is_in(const struct tool_servers *s, const struct tool_server *x)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i] == x)
			return true;
	return false;
}

/* Those that are in the list no more: asked together, so that they end beside each other. */
static AWAITS void end_others(
	struct tool_servers *s, struct roster *old, struct tool_servers_changes *changes)
{
	for (size_t i = 0; i < old->count; i++) {
		struct tool_server *x = old->items[i];
		if (is_in(s, x))
			continue;
		bool changed = find(s, x->config.name) != NULL;
		changes->changed += changed;
		changes->removed += !changed;
		x->ending = changed ? "its configuration has changed: it starts again"
				    : "it has been taken out of the configuration";
		group_cancel(&x->life);
	}
	for (size_t i = 0; i < old->count; i++)
		if (!is_in(s, old->items[i]))
			group_close(&old->items[i]->life);
}

static int start_new(struct tool_servers *s)
{
	int r = 0;

	for (size_t i = 0; i < s->count; i++) {
		int one = s->items[i]->started ? 0 : server_start(s->items[i]);
		r = r < 0 ? r : one;
	}
	return err_trace(r);
}

int tool_servers_reload(struct tool_servers *s, const struct tool_server_config *servers,
	size_t count, struct tool_servers_changes *ret)
{
	struct tool_servers_changes changes = {0};
	struct roster fresh, old;
	int r = 0;

	while (r == 0 && s->reloading)
		r = waitq_wait(&s->changed, DEADLINE_NONE);
	if (r == 0)
		r = roster_make(s, servers, count, &fresh);
	if (r < 0)
		return err_trace(r);
	s->reloading = true;
	old = (struct roster){s->items, s->count};
	s->items = fresh.items;
	s->count = fresh.count;
	r = tool_servers_publish(s);
	end_others(s, &old, &changes);
	for (size_t i = 0; i < s->count; i++)
		changes.added += !s->items[i]->started;
	changes.added -= changes.changed;
	int started = start_new(s);
	roster_fini(&old);
	s->reloading = false;
	waitq_wake_all(&s->changed);
	*ret = changes;
	return r < 0 ? err_trace(r) : err_trace(started);
}

/* ---- up and down ---- */

int tool_servers_new(const struct tool_servers_options *o, struct tool_servers **ret)
{
	struct tool_servers *s = calloc(1, sizeof(*s));
	struct roster l;

	if (!s)
		return err_raise(-ENOMEM, "tool servers");
	s->o = *o;
	s->o.servers = NULL;
	s->o.open_ms = o->open_ms ? o->open_ms : OPEN_MS;
	s->o.backoff_first_ms = o->backoff_first_ms ? o->backoff_first_ms : BACKOFF_FIRST_MS;
	s->o.backoff_max_ms = o->backoff_max_ms ? o->backoff_max_ms : BACKOFF_MAX_MS;
	s->o.good_life_ms = o->good_life_ms ? o->good_life_ms : GOOD_LIFE_MS;
	tool_servers_source_make(s);
	waitq_init(&s->changed);
	int r = roster_make(s, o->servers, o->count, &l);
	if (r == 0) {
		s->items = l.items;
		s->count = l.count;
		r = tool_servers_publish(s);
	}
	if (r < 0) {
		tool_servers_stop(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

int tool_servers_start(struct tool_servers *s)
{
	return err_trace(start_new(s));
}

int tool_servers_settled(struct tool_servers *s, int64_t deadline_ns)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->count; i++)
		if (s->items[i]->state == TOOL_SERVER_STARTING) {
			r = waitq_wait(&s->changed, deadline_ns);
			i = (size_t)-1; /* the list may have changed */
		}
	return r;
}

void tool_servers_stop(struct tool_servers *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		group_cancel(&s->items[i]->life);
	for (size_t i = 0; i < s->count; i++)
		group_close(&s->items[i]->life);
	roster_fini(&(struct roster){s->items, s->count});
	tool_catalog_unref(s->catalog);
	free(s);
}
