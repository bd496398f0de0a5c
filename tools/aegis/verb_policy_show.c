/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/policy_sets.h"
#include "tools/aegis/verbs.h"
#include "daemon/schema/schema.h"

static void put_one(struct buf *b, const struct rule_set *s, struct span id, bool *ret_found)
{
	for (size_t i = 0; i < rule_set_count(s); i++) {
		if (!span_eq(rule_set_policy(s, i).id, id))
			continue;
		rule_set_policy_text(s, i, b);
		buf_putc(b, '\n');
		*ret_found = true;
	}
}

static int no_policy(const struct rule_set *s, const char *id)
{
	size_t count = rule_set_count(s);
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_RULE_SET_MEMORY_BYTES);
	const char **names = a ? arena_make_array(a, const char *, count + 1) : NULL;

	for (size_t i = 0; names && i < count; i++)
		if (!(names[i] = arena_cstr(a, rule_set_policy(s, i).id)))
			names = NULL;
	if (!names)
		return cli_fail(CLI_INTERNAL, "no memory");
	names[count] = NULL;
	const char *nearest = table_nearest(id, names);
	return cli_fail(CLI_NOT_FOUND, "the set has no policy '%s'%s%s%s", id,
		nearest ? "; did you mean " : "; its policies: aegis policy list",
		nearest ? nearest : "", nearest ? "?" : "");
}

static int print(const struct cli *c, const struct rule_set *s, const char *id)
{
	struct buf text CLEANUP(buf_fini) = buf_init((size_t)2 * LIMIT_RULE_SET_BYTES);
	struct arena *a CLEANUP(arena_cleanup) = arena_new((size_t)2 * LIMIT_RULE_SET_BYTES);
	struct span whole = a && !id ? rule_set_text(s, a) : SPAN("");
	bool found = !id;

	if (!a || !whole.p)
		return err_raise(-ENOMEM, "policy: out of memory");
	if (id)
		put_one(&text, s, span_cstr(id), &found);
	else
		buf_span(&text, whole);
	if (!found)
		return no_policy(s, id);
	if (c->format != CLI_JSON && c->format != CLI_YAML && !rule_set_count(s))
		return cli_write(SPAN("// this set has no policies\n"));
	if (c->format == CLI_TEXT || c->format == CLI_TABLE)
		return cli_write(buf_view(&text));
	struct buf b CLEANUP(buf_fini) = buf_init((size_t)4 * LIMIT_RULE_SET_BYTES);
	struct json_writer w = json_writer(&b);
	json_object(&w);
	json_field_span(&w, "policy_set", rule_set_hash(s));
	json_field_span(&w, "text", buf_view(&text));
	json_end(&w);
	return cli_print_text(c, buf_view(&b), NULL);
}

static int run(struct cli *c)
{
	struct policy_sets sets = {.cli = c};
	struct rule_set *s = NULL;
	int code = policy_sets_get(&sets, c->arg_count ? c->args[0] : "current", &s);

	if (code == CLI_OK)
		code = print(c, s, c->arg_count > 1 ? c->args[1] : NULL);
	rule_set_unref(s);
	policy_sets_close(&sets);
	return code;
}

const struct verb verb_policy_show = {
	.group = "policy",
	.name = "show",
	.arguments = "[SET [ID]]",
	.max_args = 2,
	.summary = "Print a policy set, or one policy of it",
	.help = "A set is `current`, the hash that a decision record carries, or a file or folder. "
		"Each\n"
		"set that ever decided is kept under its hash, so that the decision can be decided "
		"again.",
	.examples = "aegis policy show\n"
		    "aegis policy show current no-keys\n"
		    "aegis policy show "
		    "5c1d0e6b0f0a4b6b8a4a5f3f4a1b7d9ce0f5b2a6c7d8e9f0a1b2c3d4e5f60718",
	.run = run,
};
