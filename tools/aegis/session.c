/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/session.h"
#include "tools/aegis/names.h"
#include <errno.h>
#include <stdio.h>

int session_open(struct session *s, const struct cli *c)
{
	*s = (struct session){.cli = c, .arena = arena_new(8 * (size_t)LIMIT_JSON_BYTES)};
	if (!s->arena)
		return cli_fail(CLI_INTERNAL, "no memory");
	return client_open(c, &s->client);
}

void session_close(struct session *s)
{
	s->client = client_close(s->client);
	s->arena = arena_free(s->arena);
}

const char *session_path(
	struct session *s, const char *before, const char *segment, const char *after)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES);
	client_put_segment(&b, segment);
	return arena_printf(s->arena, "%s" SPAN_FMT "%s", before, SPAN_ARG(buf_view(&b)), after);
}

int session_call(struct session *s, const char *method, const char *path, const char *content_type,
	struct span body, const struct json **ret)
{
	const struct client_request q = {
		.method = method,
		.path = path,
		.content_type = body.n ? content_type : NULL,
		.body = body,
		.timeout_ms = 60000,
	};
	if (!path)
		return cli_fail(CLI_INTERNAL, "no memory for a request");
	int code = client_call(s->client, &q, s->arena, ret);
	if (code == CLI_NOT_FOUND)
		names_nearest(s, path);
	return code;
}

int session_page(struct session *s, const char *path, size_t *offset, const struct json **ret)
{
	const struct client_request q = {
		.method = "GET",
		.path = arena_printf(
			s->arena, "%s%soffset=%zu", path, strchr(path, '?') ? "&" : "?", *offset),
		.timeout_ms = 60000,
	};
	const struct json *v;

	*ret = NULL;
	if (!q.path)
		return cli_fail(CLI_INTERNAL, "no memory for a request");
	int code = client_call(s->client, &q, s->arena, &v);
	if (code)
		return code;
	const struct json *items = json_get(v, "items");
	if (!items || items->type != JSON_ARRAY)
		return cli_fail(CLI_INTERNAL, "%s answered with no list", client_door(s->client));
	*offset += items->count;
	*ret = items->count ? items : NULL;
	return CLI_OK;
}

int session_show(struct session *s, const char *path, const struct cli_column *columns)
{
	const struct json *v;
	int code = session_call(s, "GET", path, NULL, SPAN(""), &v);
	if (code)
		return code;
	const struct json *items = json_get(v, "items");
	if (!v)
		return cli_fail(CLI_INTERNAL, "%s answered with nothing", client_door(s->client));
	return cli_print(s->cli, items ? items : v, columns);
}

int session_print(const struct cli *c, const struct json *v, const char *const *members,
	void (*rest)(struct buf *b, const struct json *v))
{
	if (c->format != CLI_TEXT)
		return cli_print(c, v, NULL);
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_JSON_BYTES);
	for (; *members; members++) {
		buf_printf(&b, "%-14s ", *members);
		cli_put_safe(&b, json_str(v, *members, SPAN("-")), false);
		buf_putc(&b, '\n');
	}
	if (rest)
		rest(&b, v);
	return cli_write(buf_view(&b));
}

int session_view(struct cli *c, const char *before, const char *const *members,
	void (*rest)(struct buf *b, const struct json *v))
{
	struct session s;
	const struct json *v;
	int code = session_open(&s, c);
	if (code == CLI_OK)
		code = session_call(
			&s, "GET", session_path(&s, before, c->args[0], ""), NULL, SPAN(""), &v);
	if (code == CLI_OK)
		code = session_print(c, v, members, rest);
	session_close(&s);
	return code;
}

int session_do(
	struct cli *c, const char *method, const char *before, const char *after, const char *done)
{
	struct session s;
	const struct json *v;
	int code = session_open(&s, c);
	if (code == CLI_OK)
		code = session_call(&s, method, session_path(&s, before, c->args[0], after), NULL,
			SPAN(""), &v);
	if (code == CLI_OK && (c->format == CLI_JSON || c->format == CLI_YAML) && v)
		code = cli_print(c, v, NULL);
	else if (code == CLI_OK)
		printf("%s %s\n", done, c->args[0]);
	session_close(&s);
	return code;
}

static int input_text(struct session *s, struct span text, struct span *ret_json)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);
	json_put_span(&w, text);
	*ret_json = arena_span(s->arena, buf_view(&b));
	return ret_json->p ? CLI_OK : cli_fail(CLI_INTERNAL, "no memory for the input");
}

int session_input(struct session *s, const char *text, struct span *ret_json)
{
	struct buf file CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	*ret_json = SPAN("");
	if (!text)
		return CLI_OK;
	struct span given = span_cstr(text);
	if (*text == '@') {
		int code = cli_read(text + 1, &file);
		if (code)
			return code;
		given = buf_view(&file);
	}
	const struct json *v;
	int r = json_parse(s->arena, given, NULL, &v);
	struct span trimmed = span_trim(given);
	bool meant_json = *text == '@' || (trimmed.n && strchr("{[\"", trimmed.p[0]) != NULL);
	if (r < 0 && meant_json) {
		cli_fail(CLI_INVALID, "--input: this is not JSON: %s", err_message(r));
		err_clear();
		return CLI_INVALID;
	}
	if (r < 0) {
		err_clear();
		return input_text(s, given, ret_json);
	}
	*ret_json = arena_span(s->arena, trimmed);
	return ret_json->p ? CLI_OK : cli_fail(CLI_INTERNAL, "no memory for the input");
}

static void put_notices(struct buf *b, const char *file, const char *what, const struct json *list)
{
	if (!list || list->type != JSON_ARRAY)
		return;
	json_for_each (n, list) {
		buf_printf(b, "%s:%lld: %s: ", file, (long long)json_i64(n, "line", 0), what);
		cli_put_safe(b, json_str(n, "path", SPAN("")), false);
		buf_puts(b, ": ");
		cli_put_safe(b, json_str(n, "reason", SPAN("")), false);
		buf_putc(b, '\n');
	}
}

void session_put_notices(struct buf *b, const char *file, const struct json *reply)
{
	put_notices(b, file, "no effect yet", json_get(reply, "without_effect"));
	put_notices(b, file, "a run would be refused", json_get(reply, "refused_at_run"));
}
