/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * aegisd is trusted, its words are not: a dispatch that is not as it should be is answered with
 * what is wrong, and nothing of it runs.
 */
#include "tools/aegis-bootstrap/protocol.h"
#include <errno.h>

static const struct json_limits reply_limits = {.bytes = 8 * 1024 * 1024, .depth = 64};

/* A decoded string that can be an argument: no NUL inside. NULL if it cannot. */
static char *to_cstr(struct arena *a, const struct json *v)
{
	if (!v || v->type != JSON_STRING || memchr(v->text.p ? v->text.p : "", 0, v->text.n))
		return NULL;
	return arena_cstr(a, v->text);
}

static const char *parse_argv(struct arena *a, const struct json *v, struct dispatch *d)
{
	const struct json *command = json_get(v, "command"), *args = json_get(v, "args");
	size_t count = args && args->type == JSON_ARRAY ? args->count : 0;

	if (args && args->type != JSON_ARRAY && args->type != JSON_NULL)
		return "args: an array of strings is accepted";
	if (count > LIMIT_DISPATCH_ARGS)
		return "args: more than 4096 arguments";
	char **argv = arena_make_array(a, char *, count + 2);
	if (!argv)
		return "out of memory";
	argv[0] = to_cstr(a, command);
	if (!argv[0] || !argv[0][0])
		return "command: the name or path of a program is accepted";
	for (size_t i = 0; i < count; i++)
		if (!(argv[i + 1] = to_cstr(a, &args->items[i])))
			return "args: only strings without NUL are accepted";
	d->argv = argv;
	return NULL;
}

static const char *parse_env(struct arena *a, const struct json *v, struct dispatch *d)
{
	const struct json *additions = json_get(v, "env_additions");
	size_t count = additions && additions->type == JSON_OBJECT ? additions->count : 0, n = 0;

	if (additions && additions->type != JSON_OBJECT && additions->type != JSON_NULL)
		return "env_additions: an object of strings is accepted";
	if (count > LIMIT_DISPATCH_ENV)
		return "env_additions: more than 256 variables";
	char **env = arena_make_array(a, char *, count + 1);
	if (!env)
		return "out of memory";
	for (size_t i = 0; i < count; i++) {
		const struct json *item = &additions->items[i];
		const char *value = to_cstr(a, item);
		if (!value || item->key.n == 0 || item->key.n > LIMIT_NAME_BYTES ||
			memchr(item->key.p, '=', item->key.n) ||
			memchr(item->key.p, 0, item->key.n))
			return "env_additions: names without = and values that are strings are "
			       "accepted";
		env[n] = arena_printf(a, SPAN_FMT "=%s", SPAN_ARG(item->key), value);
		if (!env[n++])
			return "out of memory";
	}
	d->env = env;
	return NULL;
}

/* A number within 1..max; absent or null gives the default. False if it is anything else. */
static bool parse_bounded(
	const struct json *v, const char *key, int64_t otherwise, int64_t max, int64_t *ret)
{
	const struct json *n = json_get(v, key);

	*ret = otherwise;
	if (!n || n->type == JSON_NULL)
		return true;
	return n->type == JSON_NUMBER && json_number_i64(n, ret) == 0 && *ret >= 1 && *ret <= max;
}

static const char *parse_exec(struct arena *a, const struct json *v, struct dispatch *d)
{
	const struct json *cwd = json_get(v, "cwd");
	int64_t timeout_s, output;
	const char *problem;

	if ((problem = parse_argv(a, v, d)) || (problem = parse_env(a, v, d)))
		return problem;
	d->cwd = "/workspace";
	if (cwd && cwd->type != JSON_NULL && !(d->cwd = to_cstr(a, cwd)))
		return "cwd: a path is accepted";
	if (!parse_bounded(
		    v, "timeout_secs", DISPATCH_TIMEOUT_S, LIMIT_DISPATCH_TIMEOUT_S, &timeout_s))
		return "timeout_secs: 1 to 86400 is accepted";
	if (!parse_bounded(v, "max_output_bytes", DISPATCH_OUTPUT_BYTES,
		    LIMIT_DISPATCH_OUTPUT_BYTES, &output))
		return "max_output_bytes: 1 to 4194304 is accepted";
	d->timeout_ms = timeout_s * 1000;
	d->output_max = (size_t)output;
	d->background = json_bool(v, "background", false);
	return NULL;
}

int reply_parse(struct arena *a, struct span text, struct reply *ret)
{
	const struct json *v;
	int r = json_parse(a, text, &reply_limits, &v);

	if (r < 0)
		return err_wrap(r, "reply of the orchestrator");
	if (v->type != JSON_OBJECT)
		return err_raise(-EINVAL,
			"reply of the orchestrator: an object is accepted, not %s",
			json_type_name(v->type));
	*ret = (struct reply){.kind = REPLY_FINAL};
	if (!span_is(json_str(v, "type", SPAN("final")), "dispatch")) {
		ret->content = json_str(v, "content", (struct span){NULL, 0});
		return 0;
	}
	struct dispatch *d = &ret->dispatch;
	d->id = json_str(v, "dispatch_id", (struct span){NULL, 0});
	if (d->id.n == 0 || d->id.n > LIMIT_DISPATCH_ID_BYTES)
		return err_raise(-EINVAL,
			"dispatch of the orchestrator: dispatch_id of 1 to %d "
			"bytes is accepted",
			LIMIT_DISPATCH_ID_BYTES);
	d->action = json_str(v, "action", (struct span){NULL, 0});
	if (!span_is(d->action, "exec")) {
		ret->kind = REPLY_UNKNOWN_ACTION;
		return 0;
	}
	ret->problem = parse_exec(a, v, d);
	ret->kind = ret->problem ? REPLY_BAD_DISPATCH : REPLY_DISPATCH;
	return 0;
}

/* ---- writing ---- */

void write_generate(struct buf *b, const struct speaker *s, const char *prompt)
{
	struct json_writer w = json_writer(b);

	json_object(&w);
	json_field_cstr(&w, "type", "generate");
	json_field_cstr(&w, "agent_id", s->agent_id);
	json_field_cstr(&w, "execution_id", s->execution_id);
	json_field_i64(&w, "iteration_number", s->iteration);
	json_field_cstr(&w, "model_alias", s->model_alias);
	json_field_cstr(&w, "prompt", prompt);
	json_key(&w, "messages");
	json_array(&w);
	json_end(&w);
	json_end(&w);
}

static void write_result(struct json_writer *w, const struct result *r)
{
	json_field_i64(w, "exit_code", r->exit_code);
	json_field_span(w, "stdout", r->out);
	json_field_span(w, "stderr", r->err);
	json_field_i64(w, "duration_ms", r->duration_ms);
	json_field_bool(w, "truncated", r->truncated);
}

void write_dispatch_result(
	struct buf *b, const struct speaker *s, struct span dispatch_id, const struct result *r)
{
	struct json_writer w = json_writer(b);

	json_object(&w);
	json_field_cstr(&w, "type", "dispatch_result");
	json_field_cstr(&w, "execution_id", s->execution_id);
	json_field_span(&w, "dispatch_id", dispatch_id);
	write_result(&w, r);
	json_end(&w);
}

void write_program_result(struct buf *b, const struct speaker *s, const struct result *r)
{
	struct json_writer w = json_writer(b);

	json_object(&w);
	json_field_cstr(&w, "type", "program_result");
	json_field_cstr(&w, "execution_id", s->execution_id);
	json_field_i64(&w, "iteration_number", s->iteration);
	write_result(&w, r);
	json_end(&w);
}
