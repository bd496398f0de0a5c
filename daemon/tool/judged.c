/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What policy is told about the arguments of a tool that we do not know: those that the operator
 * named as paths, a domain or a URL, in the same canonical form as those of the built-in tools. The
 * server gets what was written, so what could mean one thing here and another one there (a path
 * with "..", a home directory, an address in place of a name) is refused; links inside the server's
 * own sandbox are the server's.
 */
#include "daemon/tool/internal.h"
#include "daemon/net/net.h"

enum { PATHS_MAX = 256 };

struct judging {
	struct tool_call *call;
	const struct tool_offer *offer;
	struct span paths[PATHS_MAX];
	size_t path_count;
	struct span domain;
};

static int take_path(struct judging *j, const char *name, const struct json *v)
{
	struct span text = v->text, at = j->offer->cwd ? span_cstr(j->offer->cwd) : SPAN("");

	if (v->type != JSON_STRING)
		return err_raise(
			-EINVAL, "/%s: a path is expected, not %s", name, json_type_name(v->type));
	if (j->path_count == PATHS_MAX)
		return err_raise(-EINVAL, "/%s: at most %d paths are accepted", name, PATHS_MAX);
	if (span_starts(text, SPAN("~")) || span_find(text, SPAN("://"), 0) >= 0)
		return err_raise(-EINVAL, "/%s: a plain path is expected, without ~ and ://", name);
	if (!at.n && !span_starts(text, SPAN("/")))
		return err_raise(-EINVAL, "/%s: an absolute path is expected", name);
	int r = context_canonical_path(
		text, at.n ? at : SPAN("/"), j->call->arena, &j->paths[j->path_count]);
	j->path_count += r == 0;
	return r == -EINVAL ? err_wrap(r, "/%s", name) : r;
}

static int take_paths(struct judging *j, const char *name, const struct json *v)
{
	int r = 0;

	if (v->type != JSON_ARRAY)
		return take_path(j, name, v);
	for (size_t i = 0; r == 0 && i < v->count; i++)
		r = take_path(j, name, &v->items[i]);
	return r;
}

static int take_domain(struct judging *j, const char *name, const struct json *v, bool in_url)
{
	struct url u = {.host = v->text};
	int r = v->type == JSON_STRING
		? 0
		: err_raise(-EINVAL, "a text is expected, not %s", json_type_name(v->type));

	if (r == 0 && in_url)
		r = url_parse(v->text, &u);
	if (r == 0)
		r = context_canonical_domain(u.host, j->call->arena, &j->domain);
	return r == -EINVAL ? err_wrap(r, "/%s", name) : r;
}

static int take(struct judging *j)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < j->offer->judged_count; i++) {
		const struct tool_judged *what = &j->offer->judged[i];
		const struct json *v = json_get(j->call->arguments, what->name);
		if (!v)
			continue; /* then no list of paths or domains permits the call */
		r = what->kind == TOOL_JUDGED_PATH
			? take_paths(j, what->name, v)
			: take_domain(j, what->name, v, what->kind == TOOL_JUDGED_URL);
	}
	return r;
}

int offer_judge(struct tool_call *c, const struct tool_offer *o, struct decision_request *q)
{
	struct judging *j;

	if (!o->judged_count)
		return 0;
	j = arena_make(c->arena, struct judging);
	if (!j)
		return err_raise(-ENOMEM, "tool: request memory used up");
	*j = (struct judging){.call = c, .offer = o};
	int r = take(j);
	q->paths = j->paths;
	q->path_count = j->path_count;
	q->domain = j->domain;
	return r;
}
