/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The life of a server: started, asked what it offers, asked now and then whether it still
 * answers, and when it ends, for whatever reason, started again after a wait that doubles from one
 * bad life to the next. Its tools stay on offer meanwhile, and a call says why it cannot be served:
 * a model that is told so can do something else; one whose tool has vanished cannot.
 *
 * Invariant: `client` is set only while the conversation is open, and everybody has left it before
 * it is gone.
 */
#include "daemon/toolserver/internal.h"
#include <stdio.h>

enum { GRACE_MS = 5000, RELIST_MS = 1000, WORDS_BYTES = 2048 };

static const struct state_row rows[TOOL_SERVER_STATE_COUNT] = {
	[TOOL_SERVER_STARTING] = {"starting",
		STATE_BIT(TOOL_SERVER_READY) | STATE_BIT(TOOL_SERVER_BACKING_OFF) |
			STATE_BIT(TOOL_SERVER_STOPPED) | STATE_BIT(TOOL_SERVER_FAILED),
		0},
	[TOOL_SERVER_READY] = {"ready",
		STATE_BIT(TOOL_SERVER_UNHEALTHY) | STATE_BIT(TOOL_SERVER_BACKING_OFF) |
			STATE_BIT(TOOL_SERVER_STOPPED),
		0},
	[TOOL_SERVER_UNHEALTHY] = {"unhealthy",
		STATE_BIT(TOOL_SERVER_READY) | STATE_BIT(TOOL_SERVER_BACKING_OFF) |
			STATE_BIT(TOOL_SERVER_STOPPED),
		0},
	[TOOL_SERVER_BACKING_OFF] = {"backing_off",
		STATE_BIT(TOOL_SERVER_STARTING) | STATE_BIT(TOOL_SERVER_STOPPED), 0},
	[TOOL_SERVER_STOPPED] = {"stopped", 0, STATE_FINAL},
	[TOOL_SERVER_FAILED] = {"failed", 0, STATE_FINAL},
};
const struct state_table tool_server_states = {"tool server", rows, TOOL_SERVER_STATE_COUNT};

static void move(struct tool_server *s, enum tool_server_state to)
{
	int r = state_move(&tool_server_states, &s->state, to);

	CHECK(r == 0);
	waitq_wake_all(&s->all->changed);
}

/* ---- a conversation ---- */

struct conversation {
	struct mcp_client client;
	struct tool_server_child *running; /* NULL: an address */
	struct mcp_pipe pipe;
	struct mcp_child child;
	struct mcp_endpoint endpoint;
};

static bool speaks_http(const struct tool_server_config *c)
{
	return c->url || c->http_port;
}

static AWAITS int child_open(struct tool_server *s, struct conversation *c)
{
	const struct tool_launcher *l = &s->all->o.launcher;
	int r = l->start(l->ctx, &s->config, &c->running, deadline_in_ms(s->all->o.open_ms));

	if (r < 0)
		return err_trace(r);
	int fd = c->running->fd;
	c->running->fd = -1;
	if (speaks_http(&s->config))
		return err_trace(mcp_child_open(&c->child, &c->client, fd, c->running->listener));
	return err_trace(mcp_pipe_open(&c->pipe, &c->client, fd));
}

static AWAITS int conversation_open(struct tool_server *s, struct conversation *c)
{
	c->pipe.link.send = mcp_pipe_send;
	c->endpoint.link = (struct mcp_link){mcp_endpoint_send, mcp_endpoint_broken};
	list_init(&c->endpoint.sending);
	mcp_client_init(&c->client, speaks_http(&s->config) ? &c->endpoint.link : &c->pipe.link,
		s->config.name);
	int r = s->config.url ? 0 : child_open(s, c);
	if (r == 0 && speaks_http(&s->config))
		r = mcp_endpoint_open(&c->endpoint, &c->client, s->all->o.http, &s->config,
			s->config.url ? NULL : &c->child.dial);
	return err_trace(r);
}

static AWAITS void conversation_close(
	struct tool_server *s, struct conversation *c, struct buf *words)
{
	mcp_client_fini(&c->client);
	mcp_endpoint_close(&c->endpoint);
	mcp_child_close(&c->child);
	mcp_pipe_close(&c->pipe);
	if (c->running)
		s->all->o.launcher.stop(
			s->all->o.launcher.ctx, c->running, GRACE_MS * NS_PER_MS, words);
}

/* ---- a good life ---- */

static AWAITS int list_again(struct tool_server *s, int64_t deadline_ns)
{
	struct toolset *now;

	s->client->tools_changed = false;
	int r = toolset_read(s->client, &s->config, &now, deadline_ns);
	if (r < 0)
		return r;
	now->server = s->number;
	toolset_unref(s->tools);
	s->tools = now;
	return err_trace(tool_servers_publish(s->all));
}

/* As the configuration asks: by a method without an effect. -EPROTO: it answers that it cannot. */
static AWAITS int ask_health(struct tool_server *s)
{
	struct mcp_answer a = {0};
	int64_t deadline_ns = deadline_in_ms(s->config.health_timeout_ms);

	if (strcmp(s->config.health_method, "tools/list") == 0)
		return list_again(s, deadline_ns);
	int r = mcp_client_request(s->client, s->config.health_method, SPAN("{}"), deadline_ns, &a);
	mcp_answer_fini(&a); /* an error is an answer, too: it lives */
	return r;
}

static AWAITS int check_health(struct tool_server *s)
{
	int r = ask_health(s);

	if (r != -ETIME)
		return r;
	move(s, TOOL_SERVER_UNHEALTHY);
	tool_server_record(s, EVENT_TOOL_SERVER_UNHEALTHY, "it does not answer in time");
	r = ask_health(s);
	if (r == -ETIME)
		return err_raise(-EPIPE, "it did not answer '%s' within %lld ms, twice",
			s->config.health_method, (long long)s->config.health_timeout_ms);
	if (r == 0)
		move(s, TOOL_SERVER_READY);
	return r;
}

static AWAITS int attend(struct tool_server *s)
{
	int64_t health_ns = deadline_in_ms(s->config.health_interval_ms);
	int r = 0;

	while (r == 0) {
		if (s->client->broken)
			return err_raise(-EPIPE, "%s", s->client->why);
		if (s->client->tools_changed) {
			/* A server that changes its mind all the time is asked once a second. */
			r = list_again(s, deadline_in_ms(s->all->o.open_ms));
			if (r == 0)
				r = rt_sleep_until(deadline_in_ms(RELIST_MS));
			continue;
		}
		r = waitq_wait(&s->client->news, health_ns);
		if (r != -ETIME)
			continue;
		r = check_health(s);
		health_ns = deadline_in_ms(s->config.health_interval_ms);
	}
	return r == -ETIME ? err_raise(-EPIPE, "it did not list its tools in time") : r;
}

static AWAITS int become_ready(struct tool_server *s, struct mcp_client *c)
{
	int64_t deadline_ns = deadline_in_ms(s->all->o.open_ms);
	int r = mcp_client_open(c, deadline_ns);

	s->client = c;
	if (r == 0)
		r = list_again(s, deadline_ns);
	if (r == -ETIME)
		return err_raise(-EPIPE, "it did not initialize within %lld ms",
			(long long)s->all->o.open_ms);
	if (r < 0)
		return r;
	s->ready_ns = rt_now_ns();
	s->error[0] = '\0';
	move(s, TOOL_SERVER_READY);
	tool_server_record(s, EVENT_TOOL_SERVER_STARTED, NULL);
	return 0;
}

/* Negative always: what ended it. */
static AWAITS int live(struct tool_server *s)
{
	static const size_t words_max = WORDS_BYTES;
	struct conversation c = {0};
	struct buf words CLEANUP(buf_fini) = buf_init(words_max);
	int64_t began_ns = rt_now_ns();
	bool good;

	s->starts++;
	s->ready_ns = 0;
	int r = conversation_open(s, &c);
	bool at_fault = r == -ENOENT || r == -EINVAL;
	if (r == 0)
		r = become_ready(s, &c.client);
	if (r == 0)
		r = attend(s);
	if (s->ending && fiber_cancelled())
		r = err_raise(-EPIPE, "%s", s->ending);
	good = s->ready_ns && rt_now_ns() - began_ns >= s->all->o.good_life_ms * NS_PER_MS;
	const char *hint = c.running && !s->ready_ns ? c.running->hint : NULL;
	snprintf(s->error, sizeof(s->error), "%s%s%s", err_message(r), hint ? "; " : "",
		hint ? hint : "");
	mcp_client_break(&c.client, r);
	s->client = NULL;
	conversation_close(s, &c, &words);
	if (words.len)
		snprintf(s->error + strlen(s->error), sizeof(s->error) - strlen(s->error),
			"; it last said: " SPAN_FMT, SPAN_ARG(span_trim(buf_view(&words))));
	s->failures = good ? 0 : s->failures + 1;
	return at_fault ? -EINVAL : r;
}

/* ---- one after the other ---- */

static int64_t backoff_ms(const struct tool_server *s)
{
	const struct tool_servers_options *o = &s->all->o;
	int64_t ms = o->backoff_first_ms;
	uint32_t chance;

	for (int i = 1; i < s->failures && ms < o->backoff_max_ms; i++)
		ms *= 2;
	ms = MIN(ms, o->backoff_max_ms);
	/* Servers that fell together do not rise together. */
	rt_random(&chance, sizeof(chance));
	return ms - (int64_t)(chance % (uint64_t)(ms / 4 + 1));
}

void tool_server_run(void *server)
{
	struct tool_server *s = server;

	for (;;) {
		int r = live(s);
		if (fiber_cancelled())
			break;
		bool final = r == -EINVAL && s->starts == 1;
		s->next_start_ns = deadline_in_ms(backoff_ms(s));
		move(s, final ? TOOL_SERVER_FAILED : TOOL_SERVER_BACKING_OFF);
		tool_server_record(s, EVENT_TOOL_SERVER_FAILED, s->error);
		if (final)
			return;
		if (rt_sleep_until(s->next_start_ns) < 0)
			break;
		move(s, TOOL_SERVER_STARTING);
	}
	if (s->ending)
		snprintf(s->error, sizeof(s->error), "%s", s->ending);
	move(s, TOOL_SERVER_STOPPED);
	fiber_shield_begin();
	tool_server_record(s, EVENT_TOOL_SERVER_STOPPED, s->ending);
	fiber_shield_end();
}
