/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"
#include <stdio.h>

static bool names_volume(const struct json *manifest, struct span id)
{
	const struct json *volumes = json_get(json_get(manifest, "spec"), "volumes");

	if (volumes && volumes->type == JSON_ARRAY)
		json_for_each (v, volumes)
			if (span_eq(json_str(json_get(v, "source"), "volume_id", SPAN("")), id))
				return true;
	return false;
}

/* Appends the name of the agent if its manifest names the volume. */
static int look_at(struct session *s, struct span agent, struct span volume, struct buf *users)
{
	const struct json *v;
	const char *id = arena_cstr(s->arena, agent);
	int code = id
		? session_call(s, "GET", session_path(s, "/v1/agents/", id, ""), NULL, SPAN(""), &v)
		: cli_fail(CLI_INTERNAL, "no memory");

	if (code == CLI_OK && names_volume(json_get(v, "manifest"), volume)) {
		buf_puts(users, users->len ? ", " : "");
		cli_put_safe(users, json_str(v, "name", SPAN("?")), false);
	}
	return code == CLI_NOT_FOUND ? CLI_OK : code; /* removed meanwhile */
}

/* The agents that a run would fail of: deployed ones whose manifest names the volume. */
static int users_of(const struct cli *c, struct span volume, struct buf *users)
{
	const struct json *page = NULL;
	size_t offset = 0;
	int code;

	do { /* each page has its memory */
		struct session s;
		code = session_open(&s, c);
		if (code == CLI_OK)
			code = session_page(&s, "/v1/agents", &offset, &page);
		for (size_t i = 0; code == CLI_OK && page && i < page->count; i++)
			code = look_at(
				&s, json_str(&page->items[i], "id", SPAN("")), volume, users);
		session_close(&s);
	} while (code == CLI_OK && page);
	return code;
}

static int check(struct cli *c)
{
	struct buf users CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct session s;
	const struct json *v;
	int code = session_open(&s, c);

	if (code == CLI_OK)
		code = session_call(&s, "GET", session_path(&s, "/v1/volumes/", c->args[0], ""),
			NULL, SPAN(""), &v);
	if (code == CLI_OK)
		code = users_of(c, json_str(v, "id", SPAN("")), &users);
	session_close(&s);
	if (code == CLI_OK && users.len)
		return cli_fail(CLI_CONFLICT,
			"volume '%s' is what deployed agents work on, whose runs would fail "
			"without it: %s; accepted: --force, or update or remove them first",
			c->args[0], buf_cstr(&users));
	return code;
}

static int run(struct cli *c)
{
	int code = cli_value(c, "force") ? CLI_OK : check(c);

	return code ? code : session_do(c, "DELETE", "/v1/volumes/", "", "deleted");
}

static const struct cli_option options[] = {
	{"force", 0, NULL, "Also if the manifest of a deployed agent names it", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_volume_delete = {
	.group = "volume",
	.name = "delete",
	.arguments = "VOLUME",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.summary = "Delete a volume and all that is in it",
	.help = "Deletes a volume, named by name or id, with its files. One that is attached to an "
		"execution is\n"
		"kept, and the answer says to which; so is one that the manifest of a deployed "
		"agent "
		"names,\n"
		"unless --force is given.",
	.examples = "aegis volume delete models\n"
		    "aegis volume delete models --force",
	.run = run,
};
