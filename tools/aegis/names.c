/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/names.h"
#include "daemon/schema/schema.h"
#include <stdio.h>
#include <string.h>

enum { PAGES_MAX = 64, NAMES_MAX = 1000, SHOWN_MAX = 3, WORD_BYTES = 256 };

/* ---- names of agents ---- */

/* Pages that were asked for: first of those deployed, then, if somebody is not among them, of those
 * removed. */
struct agents {
	struct session *session;
	const struct json *pages[PAGES_MAX];
	size_t count, offset, list; /* which of the lists, and how far */
};

static const struct json *next_page(struct agents *a)
{
	static const char *const lists[] = {"/v1/agents", "/v1/agents?status=archived"};
	const struct json *page = NULL;

	while (!page && a->list < ARRAY_LEN(lists) && a->count < PAGES_MAX) {
		if (session_page(a->session, lists[a->list], &a->offset, &page) != CLI_OK)
			a->list = ARRAY_LEN(lists); /* then ids will do */
		else if (!page)
			a->list++;
		if (!page)
			a->offset = 0;
	}
	if (page)
		a->pages[a->count++] = page;
	return page;
}

static struct span name_in(const struct json *page, struct span id)
{
	json_for_each (agent, page)
		if (span_eq(json_str(agent, "id", SPAN("")), id))
			return json_str(agent, "name", SPAN(""));
	return SPAN("");
}

static struct span agent_name(struct agents *a, struct span id)
{
	struct span name = SPAN("");
	const struct json *page;

	for (size_t i = 0; i < a->count && !name.n; i++)
		name = name_in(a->pages[i], id);
	while (!name.n && (page = next_page(a)) != NULL)
		name = name_in(page, id);
	return name;
}

static void put_execution(struct json_writer *w, struct agents *a, const struct json *v)
{
	json_object(w);
	json_for_each (member, v) {
		json_key_span(w, member->key);
		json_put(w, member);
		if (!span_is(member->key, "agent_id") || json_get(v, "agent_name"))
			continue;
		struct span name = agent_name(a, member->text);
		if (name.n)
			json_field_span(w, "agent_name", name);
	}
	json_end(w);
}

int names_of_agents(struct session *s, const struct json *v, const struct json **ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);
	struct agents a = {.session = s};

	if (v->type == JSON_ARRAY) {
		json_array(&w);
		json_for_each (item, v)
			put_execution(&w, &a, item);
		json_end(&w);
	} else {
		put_execution(&w, &a, v);
	}
	int r = buf_error(&b);
	struct span kept = r == 0 ? arena_span(s->arena, buf_view(&b)) : SPAN("");
	if (r == 0)
		r = kept.p ? json_parse(s->arena, kept, NULL, ret) : -ENOMEM;
	return r < 0 ? cli_fail_errno(r) : CLI_OK;
}

/* ---- what was meant ---- */

struct place {
	const char *before; /* of the path */
	const char *list; /* where there are all of them */
	const char *member; /* by which they are named */
	const char *verb; /* that lists them */
};

static const struct place places[] = {
	{"/v1/agents/", "/v1/agents", "name", "aegis agent list"},
	{"/v1/volumes/", "/v1/volumes", "name", "aegis volume list"},
	{"/v1/executions/", "/v1/executions", "id", "aegis task list"},
};

/* The segment as it was typed. False: it is too long to be any name. */
static bool segment_of(const char *path, char ret[WORD_BYTES])
{
	size_t n = 0;

	for (; *path && !strchr("/?", *path); path++, n++) {
		uint8_t byte;
		if (n == WORD_BYTES - 1)
			return false;
		ret[n] = *path;
		if (*path == '%' && path[1] && path[2] &&
			hex_decode(span_of(path + 1, 2), &byte, 1) >= 0) {
			ret[n] = (char)byte;
			path += 2;
		}
	}
	ret[n] = '\0';
	err_clear();
	return n > 0;
}

/* An id is not misspelt but cut off. */
static size_t by_prefix(const char *const *names, const char *word, const char *ret[SHOWN_MAX])
{
	size_t count = 0;

	for (; *names; names++)
		if (span_starts(span_cstr(*names), span_cstr(word)) && count++ < SHOWN_MAX)
			ret[count - 1] = *names;
	return count;
}

static void say(const struct place *p, const char *const *names, const char *word)
{
	const char *shown[SHOWN_MAX];
	size_t count = by_prefix(names, word, shown);
	const char *nearest = strcmp(p->member, "name") == 0 ? table_nearest(word, names) : NULL;

	if (nearest || count == 1)
		cli_fail(0, "did you mean %s?", nearest ? nearest : shown[0]);
	else if (count)
		cli_fail(0, "%zu begin so; did you mean %s, %s%s%s?", count, shown[0], shown[1],
			count > 2 ? ", " : "", count > 2 ? shown[2] : "");
	else
		cli_fail(0, "see: %s", p->verb);
}

/* Whether the word is there after all. */
static bool take_page(struct session *s, const struct place *p, const struct json *page,
	const char *word, const char **names, size_t *count)
{
	json_for_each (item, page) {
		struct span name = json_str(item, p->member, SPAN(""));
		if (span_is(name, word) || span_is(json_str(item, "id", SPAN("")), word))
			return true;
		const char *text = arena_cstr(s->arena, name);
		if (name.n && text && *count < NAMES_MAX)
			names[(*count)++] = text;
	}
	return false;
}

void names_nearest(struct session *s, const char *path)
{
	const char **names = arena_make_array(s->arena, const char *, NAMES_MAX + 1);
	const struct place *p = places;
	const struct json *page;
	size_t count = 0, offset = 0;
	char word[WORD_BYTES];

	while (path && p < places + ARRAY_LEN(places) &&
		strncmp(path, p->before, strlen(p->before)) != 0)
		p++;
	if (!path || p == places + ARRAY_LEN(places) || !names ||
		!segment_of(path + strlen(p->before), word))
		return;
	do {
		if (session_page(s, p->list, &offset, &page) != CLI_OK)
			return;
		if (page && take_page(s, p, page, word, names, &count))
			return; /* it is there: something else was not found */
	} while (page && count < NAMES_MAX);
	names[count] = NULL;
	say(p, names, word);
}
