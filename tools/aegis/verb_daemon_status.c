/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/daemon_plan.h"
#include "tools/aegis/session.h"
#include "tools/aegis/tool_servers.h"
#include "tools/aegis/verbs.h"
#include <stdio.h>

static void put_process(struct json_writer *w, const struct daemon_plan *p, enum daemon_name which)
{
	char log[1200];
	pid_t pid = daemon_unit_pid(which);
	if (pid) {
		snprintf(log, sizeof(log), "journalctl -u %s", daemon_names[which]);
	} else {
		pid = daemon_running(p, which, NULL);
		daemon_log_path(p, which, log, sizeof(log));
	}
	json_key(w, daemon_names[which]);
	json_object(w);
	json_field_bool(w, "running", pid != 0);
	json_field_i64(w, "pid", pid);
	json_field_cstr(w, "log", log);
	json_end(w);
}

/* {"aegis-helper":{...},"aegisd":{...},"door":"unix:...","health":{...} or
 * null,"tool_servers":[...] if it answers} */
static int report(struct session *s, const struct daemon_plan *p, struct buf *b)
{
	const struct client_request q = {
		.method = "GET", .path = "/health", .timeout_ms = 5000, .quiet_if_away = true};
	const struct json *health = NULL, *servers = NULL;
	int code = client_call(s->client, &q, s->arena, &health);
	if (code == CLI_OK)
		code = tool_servers_ask(s->client, s->arena, &servers);
	struct json_writer w = json_writer(b);
	json_object(&w);
	put_process(&w, p, DAEMON_HELPER);
	put_process(&w, p, DAEMON_AEGISD);
	json_field_cstr(&w, "door", client_door(s->client));
	json_key(&w, "health");
	if (health)
		json_put(&w, health);
	else
		json_put_null(&w);
	if (servers) {
		json_key(&w, "tool_servers");
		json_put(&w, servers);
	}
	json_end(&w);
	return code;
}

static void put_line(struct buf *b, const char *name, const struct json *v)
{
	buf_printf(b, "%-14s", name);
	if (json_bool(v, "running", false))
		buf_printf(b, "running (%lld), log: " SPAN_FMT "\n",
			(long long)json_i64(v, "pid", 0), SPAN_ARG(json_str(v, "log", SPAN("?"))));
	else
		buf_puts(b, "not running, or started by hand\n");
}

static void put_health(struct buf *b, const struct json *health)
{
	json_for_each (member, health) {
		if (span_is(member->key, "tool_servers"))
			continue; /* these have lines of their own */
		struct buf value CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
		struct json_writer w = json_writer(&value);
		if (member->type == JSON_STRING)
			buf_span(&value, member->text);
		else
			json_put(&w, member);
		buf_puts(b, "  ");
		cli_put_safe(b, member->key, false);
		buf_puts(b, ": ");
		cli_put_safe(b, buf_view(&value), false);
		buf_putc(b, '\n');
	}
}

static int print_text(const struct json *v)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	const struct json *health = json_get(v, "health");
	put_line(&b, "aegis-helper", json_get(v, "aegis-helper"));
	put_line(&b, "aegisd", json_get(v, "aegisd"));
	buf_printf(&b, "%-14s%s at " SPAN_FMT "\n", "door",
		health && health->type == JSON_OBJECT ? "answers" : "does not answer",
		SPAN_ARG(json_str(v, "door", SPAN("?"))));
	if (health && health->type == JSON_OBJECT)
		put_health(&b, health);
	if (json_get(v, "tool_servers"))
		tool_servers_lines(&b, json_get(v, "tool_servers"));
	return cli_write(buf_view(&b));
}

static int show(struct cli *c, struct session *s, const struct daemon_plan *p)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	const struct json *v;
	int code = report(s, p, &b);
	int r = json_parse(s->arena, buf_view(&b), NULL, &v);
	if (r < 0)
		return cli_fail_errno(r);
	int printed = c->format == CLI_TEXT || c->format == CLI_TABLE ? print_text(v)
								      : cli_print(c, v, NULL);
	return printed ? printed : code;
}

static int run(struct cli *c)
{
	struct daemon_plan p;
	struct session s = {0};
	int code = daemon_plan_open(&p, c);
	if (code == CLI_OK)
		code = session_open(&s, c);
	if (code == CLI_OK)
		code = show(c, &s, &p);
	session_close(&s);
	daemon_plan_close(&p);
	return code;
}

static const struct cli_option options[] = {
	DAEMON_OPTIONS,
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_daemon_status = {
	.group = "daemon",
	.name = "status",
	.arguments = "",
	.options = options,
	.summary = "Say whether the daemon runs, and how it is",
	.help = "Shows both processes and what the daemon says about itself: version, time up, "
		"settings\n"
		"that weaken a guarantee, its tool servers and by what they are confined. The exit "
		"code is 5 if it does not answer.",
	.examples = "aegis daemon status\naegis daemon status --output json",
	.run = run,
};
