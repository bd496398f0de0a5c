/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/execute.h"
#include "daemon/agent/agent.h"
#include "tools/aegis/events.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct execute {
	const char *agent; /* name, id, or the file of a manifest, which is deployed first */
	const char *input; /* NULL: none */
	bool force; /* of that deploy */
	bool wait;
	bool follow; /* print events; implies wait */
	bool verbose;
};

bool execute_is_file(const char *text)
{
	struct span s = span_cstr(text);
	return strchr(text, '/') || span_ends(s, SPAN(".yaml")) || span_ends(s, SPAN(".yml")) ||
		span_ends(s, SPAN(".json"));
}

/* The same parser as the daemon's, here because it knows the file's name. */
static int check_manifest(struct session *s, const char *file, struct span text)
{
	struct report report;
	const struct agent_manifest *m = NULL;
	int r = report_init(&report, s->arena, file);
	if (r == 0)
		r = agent_manifest_parse(&report, text, &m);
	agent_manifest_unref(m);
	if (r < 0)
		return cli_fail_errno(r);
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	report_text(&report, &b);
	fprintf(stderr, SPAN_FMT, SPAN_ARG(buf_view(&b)));
	return r ? cli_fail(CLI_INVALID, "%s is not valid", file) : CLI_OK;
}

int execute_deploy(struct session *s, const char *file, const char *method, const char *path,
	const struct json **ret)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	int code = cli_read(file, &text);
	if (code == CLI_OK)
		code = check_manifest(s, file, buf_view(&text));
	if (code == CLI_OK)
		code = session_call(s, method, path, "application/yaml", buf_view(&text), ret);
	if (code == CLI_OK && !*ret)
		code = cli_fail(CLI_INTERNAL, "%s answered with nothing", client_door(s->client));
	return code;
}

/* The id of the agent to execute, deploying it if need be. */
static int find_agent(struct session *s, const struct execute *x, const char **ret)
{
	const struct json *v;
	*ret = x->agent;
	if (!execute_is_file(x->agent))
		return CLI_OK;
	int code = execute_deploy(
		s, x->agent, "POST", x->force ? "/v1/agents?force=true" : "/v1/agents", &v);
	if (code)
		return code;
	*ret = arena_cstr(s->arena, json_str(v, "id", SPAN("")));
	return *ret && **ret ? CLI_OK : cli_fail(CLI_INTERNAL, "the deploy gave no id");
}

static int start(struct session *s, const struct execute *x, const char **ret_id,
	const struct json **ret_reply)
{
	const char *agent;
	struct span input;
	int code = find_agent(s, x, &agent);
	if (code == CLI_OK)
		code = session_input(s, x->input, &input);
	if (code)
		return code;
	struct buf body CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&body);
	json_object(&w);
	if (input.n) {
		json_key(&w, "input");
		json_put_raw(&w, input);
	}
	json_end(&w);
	code = session_call(s, "POST", session_path(s, "/v1/agents/", agent, "/execute"),
		"application/json", buf_view(&body), ret_reply);
	if (code)
		return code;
	*ret_id = arena_cstr(s->arena, json_str(*ret_reply, "execution_id", SPAN("")));
	return *ret_id && **ret_id ? CLI_OK : cli_fail(CLI_INTERNAL, "the daemon gave no id");
}

/* Behind events, which have a line each, the result is one more line. */
static int print_line(const struct json *v)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);
	json_put(&w, v);
	buf_putc(&b, '\n');
	return cli_write(buf_view(&b));
}

static int print_result(struct session *s, const char *id, const struct json *v, bool line)
{
	struct span status = json_str(v, "status", SPAN("?"));
	struct span output = json_str(v, "output", SPAN(""));
	struct span error = json_str(v, "error", SPAN(""));
	bool well = span_is(status, "completed");
	int code = CLI_OK;
	if (s->cli->format == CLI_JSON || s->cli->format == CLI_YAML) {
		code = line && s->cli->format == CLI_JSON ? print_line(v)
							  : cli_print(s->cli, v, NULL);
	} else {
		struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_JSON_BYTES);
		cli_put_safe(&b, output, true);
		if (b.len && b.data[b.len - 1] != '\n')
			buf_putc(&b, '\n');
		code = cli_write(buf_view(&b));
	}
	if (code || well)
		return code;
	struct buf why CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	cli_put_safe(&why, error, false);
	return cli_fail(CLI_INTERNAL, "execution %s: " SPAN_FMT "%s" SPAN_FMT, id, SPAN_ARG(status),
		why.len ? ": " : "", SPAN_ARG(buf_view(&why)));
}

static int execute_agent(const struct cli *c, const struct execute *x)
{
	struct session s;
	const char *id = NULL;
	const struct json *v = NULL;
	int code = session_open(&s, c);
	if (code == CLI_OK)
		code = start(&s, x, &id, &v);
	bool structured = c->format == CLI_JSON || c->format == CLI_YAML;
	if (code == CLI_OK && !x->wait && !x->follow) {
		code = structured ? cli_print(c, v, NULL) : printf("%s\n", id) < 0;
	} else if (code == CLI_OK) {
		if (!structured)
			fprintf(stderr, "execution %s\n", id);
		struct events e = {.quiet = !x->follow, .verbose = x->verbose, .follow = true};
		code = events_read(&s, session_path(&s, "/v1/executions/", id, "/stream"), &e);
		if (code == CLI_OK)
			code = session_call(&s, "GET", session_path(&s, "/v1/executions/", id, ""),
				NULL, SPAN(""), &v);
		if (code == CLI_OK)
			code = print_result(&s, id, v, x->follow);
	}
	session_close(&s);
	return code;
}

int execute_verb(const struct cli *c, bool wait)
{
	return execute_agent(c,
		&(struct execute){
			.agent = c->args[0],
			.input = cli_value(c, "input"),
			.force = cli_value(c, "force"),
			.wait = wait,
			.follow = cli_value(c, "follow"),
			.verbose = cli_value(c, "verbose"),
		});
}
