/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The list of a server's tools, page by page. Each tool is judged alone: one that cannot be taken
 * (its name, its schema) does not take the others with it.
 */
#include "daemon/toolserver/toolset.h"
#include <stdlib.h>

enum {
	NAME_BYTES_MAX = 128, /* of SERVER.TOOL, as models and policies take it */
	TOLD_MAX = 16, /* tools that are not taken */
};

struct toolset *toolset_ref(struct toolset *t)
{
	if (t)
		t->refs++;
	return t;
}

struct toolset *toolset_unref(struct toolset *t)
{
	if (!t || --t->refs)
		return NULL;
	for (size_t i = 0; i < t->count; i++)
		jsonschema_free(t->items[i].arguments);
	arena_free(t->arena);
	free(t->items);
	free(t);
	return NULL;
}

static struct toolset *toolset_new(void)
{
	struct toolset *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->refs = 1;
	t->arena = arena_new(LIMIT_TOOLSERVER_ARENA_BYTES);
	t->items = calloc(LIMIT_TOOLSERVER_TOOLS, sizeof(*t->items));
	return t->arena && t->items ? t : toolset_unref(t);
}

/* ---- which ---- */

static bool matches(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);

	if (n >= 2 && strcmp(pattern + n - 2, ".*") == 0)
		return strncmp(pattern, name, n - 1) == 0;
	return strcmp(pattern, name) == 0;
}

/* Whether `pattern` names that tool of the server: TOOL, SERVER.TOOL, PREFIX.* or SERVER.*. */
static bool names(const struct tool_server_config *c, const char *pattern, const char *tool)
{
	size_t n = strlen(c->name);
	bool full = strncmp(pattern, c->name, n) == 0 && pattern[n] == '.';

	return matches(pattern, tool) ||
		(full && (matches(pattern + n + 1, tool) || !strcmp(pattern + n, ".*")));
}

bool toolset_offers(const struct tool_server_config *c, const char *tool)
{
	for (size_t i = 0; i < c->capability_count; i++)
		if (names(c, c->capabilities[i], tool))
			return true;
	return c->capability_count == 0;
}

/* What the operator says of its arguments. One that was named twice is judged twice. */
static int judged_take(struct toolset *t, const struct tool_server_config *c, struct tool_offer *o)
{
	struct tool_judged *judged =
		arena_make_array(t->arena, struct tool_judged, c->judged_count + 1);
	size_t domains = 0;

	if (!judged)
		return err_raise(-ENOMEM, "the tools of a server");
	for (size_t i = 0; i < c->judged_count; i++) {
		struct tool_judged one = c->judged[i].argument;
		if (!names(c, c->judged[i].tools, o->remote))
			continue;
		one.name = arena_strdup(t->arena, one.name);
		if (!one.name)
			return err_raise(-ENOMEM, "the tools of a server");
		domains += one.kind != TOOL_JUDGED_PATH;
		judged[o->judged_count++] = one;
	}
	o->judged = judged;
	o->cwd = c->url ? NULL : "/workspace";
	return domains <= 1 ? 0
			    : err_raise(-EINVAL,
				      "two of its arguments are named as a domain or a "
				      "URL; policy judges one");
}

static bool name_valid(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '_' || c == '-';
		if (!word && (c != '.' || i == 0 || i + 1 == s.n))
			return false;
	}
	return s.n > 0 && s.n <= LIMIT_TOOLSERVER_NAME_BYTES;
}

/* ---- one tool ---- */

static int schema_take(struct toolset *t, const struct json *written, struct toolset_item *item)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_TOOLSERVER_SCHEMA_BYTES);
	struct json_writer w = json_writer(&b);
	const struct json *schema;

	if (!written || written->type != JSON_OBJECT ||
		!span_is(json_str(written, "type", SPAN("")), "object"))
		return err_raise(-EINVAL, "inputSchema: a JSON Schema of an object is expected");
	json_put(&w, written);
	if (b.error == -E2BIG) {
		return err_raise(-EINVAL, "inputSchema is longer than the %d bytes accepted",
			LIMIT_TOOLSERVER_SCHEMA_BYTES);
	}
	item->offer.schema = arena_span(t->arena, buf_view(&b));
	if (b.error || !item->offer.schema.p)
		return err_raise(-ENOMEM, "the tools of a server");
	/* Of its own: what was read is gone with its message. */
	int r = json_parse(t->arena, item->offer.schema, NULL, &schema);
	if (r == 0)
		r = jsonschema_new(schema, JSONSCHEMA_2020_12, &item->arguments);
	return r == -ENOMEM || r == 0 ? err_trace(r) : err_wrap(-EINVAL, "inputSchema");
}

/* Cut between characters. */
static struct span description_of(const struct json *tool)
{
	struct span s = json_str(tool, "description", json_str(tool, "title", SPAN("")));

	if (s.n > LIMIT_TOOLSERVER_DESCRIPTION_BYTES) {
		s.n = LIMIT_TOOLSERVER_DESCRIPTION_BYTES;
		while (s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
			s.n--;
	}
	return s;
}

static bool is_listed(const struct toolset *t, struct span remote)
{
	for (size_t i = 0; i < t->count; i++)
		if (span_is(remote, t->items[i].offer.remote))
			return true;
	return false;
}

static int item_take(struct toolset *t, const struct tool_server_config *c, const struct json *tool)
{
	struct toolset_item item = {0};
	struct span remote = json_str(tool, "name", SPAN(""));

	if (!name_valid(remote) || strlen(c->name) + 1 + remote.n > NAME_BYTES_MAX)
		return err_raise(-EINVAL,
			"its name is not acceptable: 1 to %d letters, digits, '_', '-' and '.' are",
			LIMIT_TOOLSERVER_NAME_BYTES);
	if (is_listed(t, remote))
		return err_raise(-EINVAL, "its name stands in the list twice");
	item.offer = (struct tool_offer){
		.server = arena_strdup(t->arena, c->name),
		.remote = arena_cstr(t->arena, remote),
		.name = arena_printf(t->arena, "%s." SPAN_FMT, c->name, SPAN_ARG(remote)),
		.description = arena_cstr(t->arena, description_of(tool)),
	};
	if (!item.offer.server || !item.offer.remote || !item.offer.name || !item.offer.description)
		return err_raise(-ENOMEM, "the tools of a server");
	if (!toolset_offers(c, item.offer.remote))
		return 0;
	int r = judged_take(t, c, &item.offer);
	if (r == 0)
		r = schema_take(t, json_get(tool, "inputSchema"), &item);
	if (r < 0)
		return err_trace(r);
	t->items[t->count++] = item;
	return 0;
}

/* ---- the list ---- */

/* A tool that is not taken. Told a few times only: the server chooses how many there are. */
static void tell_refused(const struct toolset *t, const struct tool_server_config *c,
	const struct json *tool, int r, size_t refused)
{
	if (refused <= TOLD_MAX)
		log_warn("tool server '%s': the tool '" SPAN_FMT "' is not offered: %s", c->name,
			SPAN_ARG(span_sub(json_str(tool, "name", SPAN("?")), 0, 100)),
			err_message(r));
	else if (refused == TOLD_MAX + 1)
		log_warn("tool server '%s': more of its %zu tools so far are not offered, which is "
			 "not told one by one",
			c->name, t->listed);
}

static int page_take(
	struct toolset *t, const struct tool_server_config *c, const struct json *result, bool tell)
{
	const struct json *tools = json_get(result, "tools");

	if (!tools || tools->type != JSON_ARRAY)
		return err_raise(-EPROTO, "tools/list: an array of tools is expected");
	json_for_each (tool, tools) {
		if (t->listed++ == LIMIT_TOOLSERVER_LISTED || t->count == LIMIT_TOOLSERVER_TOOLS)
			return err_raise(-EPROTO,
				"it has more than %d tools, or lists more than %d",
				LIMIT_TOOLSERVER_TOOLS, LIMIT_TOOLSERVER_LISTED);
		int r = item_take(t, c, tool);
		if (r == -ENOMEM)
			return err_trace(r);
		if (r < 0 && tell)
			tell_refused(t, c, tool, r, ++t->refused);
		if (r < 0)
			err_clear();
	}
	return 0;
}

/* One page. *cursor is the next one's, empty behind the last. */
static AWAITS int page_read(struct mcp_client *c, const struct tool_server_config *config,
	struct toolset *t, struct buf *cursor, int64_t deadline_ns)
{
	struct buf params CLEANUP(buf_fini) = buf_init(64 * 1024);
	struct json_writer w = json_writer(&params);
	struct mcp_answer a = {0};

	json_object(&w);
	if (cursor->len)
		json_field_span(&w, "cursor", buf_view(cursor));
	json_end(&w);
	int r = buf_error(&params);
	if (r == 0)
		r = mcp_client_request(c, "tools/list", buf_view(&params), deadline_ns, &a);
	if (r < 0)
		return r;
	if (a.message.kind == RPC_ERROR) {
		r = err_raise(-EPROTO, "tools/list: " SPAN_FMT " (%lld)",
			SPAN_ARG(span_sub(a.message.words, 0, 300)), (long long)a.message.code);
	} else {
		struct span next = json_str(a.message.result, "nextCursor", SPAN(""));
		r = page_take(t, config, a.message.result, !c->listed);
		if (r == 0 && next.n && span_eq(next, buf_view(cursor)))
			r = err_raise(-EPROTO, "tools/list: a page names itself as the next");
		buf_reset(cursor);
		buf_span(cursor, next);
		if (r == 0 && cursor->error)
			r = err_raise(-EPROTO, "tools/list: the cursor is longer than accepted");
	}
	mcp_answer_fini(&a);
	return err_trace(r);
}

static int by_name(const void *a, const void *b)
{
	const struct toolset_item *x = a, *y = b;

	return strcmp(x->offer.name, y->offer.name);
}

int toolset_read(struct mcp_client *c, const struct tool_server_config *config,
	struct toolset **ret, int64_t deadline_ns)
{
	struct buf cursor CLEANUP(buf_fini) = buf_init(4096);
	struct toolset *t = toolset_new();
	int r = t ? 0 : err_raise(-ENOMEM, "the tools of a server"), pages = 0;

	if (r == 0 && c->has_tools)
		do {
			r = ++pages > LIMIT_TOOLSERVER_PAGES
				? err_raise(-EPROTO, "tools/list: more than %d pages",
					  LIMIT_TOOLSERVER_PAGES)
				: page_read(c, config, t, &cursor, deadline_ns);
		} while (r == 0 && cursor.len);
	if (r < 0) {
		toolset_unref(t);
		return r == -ETIME || r == -ECANCELED ? r : err_trace(r);
	}
	c->listed = true;
	qsort(t->items, t->count, sizeof(*t->items), by_name);
	for (size_t i = 0; i < t->count; i++) {
		t->items[i].set = t;
		t->items[i].offer.of = &t->items[i];
	}
	*ret = t;
	return 0;
}
