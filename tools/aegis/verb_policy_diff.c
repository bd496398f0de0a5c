/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/policy_sets.h"
#include "tools/aegis/verbs.h"

struct diff {
	const struct rule_set *old, *new;
	struct buf out;
	struct json_writer w;
	bool text;
	size_t changes;
};

/* Several policies may come from one field: they are told apart by their place among these. */
static ssize_t find(const struct rule_set *s, struct span id, size_t nth)
{
	for (size_t i = 0; i < rule_set_count(s); i++)
		if (span_eq(rule_set_policy(s, i).id, id) && nth-- == 0)
			return (ssize_t)i;
	return -1;
}

static size_t place_of(const struct rule_set *s, size_t index)
{
	struct span id = rule_set_policy(s, index).id;
	size_t nth = 0;

	for (size_t i = 0; i < index; i++)
		nth += span_eq(rule_set_policy(s, i).id, id);
	return nth;
}

static void put_text(struct buf *b, char mark, const struct buf *text)
{
	struct span rest = span_trim(buf_view(text)), line;
	bool done = false;

	while (span_split(&rest, '\n', &done, &line))
		buf_printf(b, "%c " SPAN_FMT "\n", mark, SPAN_ARG(line));
}

static void say(struct diff *d, const char *what, struct span id, const struct buf *old,
	const struct buf *new)
{
	d->changes++;
	if (d->text) {
		buf_printf(&d->out, "%s " SPAN_FMT "\n", what, SPAN_ARG(id));
		if (old)
			put_text(&d->out, '-', old);
		if (new)
			put_text(&d->out, '+', new);
		return;
	}
	json_object(&d->w);
	json_field_cstr(&d->w, "change", what);
	json_field_span(&d->w, "id", id);
	if (old)
		json_field_span(&d->w, "old", buf_view(old));
	if (new)
		json_field_span(&d->w, "new", buf_view(new));
	json_end(&d->w);
}

static void compare_old(struct diff *d, size_t i)
{
	struct buf old CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	struct buf new CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	struct span id = rule_set_policy(d->old, i).id;
	ssize_t at = find(d->new, id, place_of(d->old, i));

	rule_set_policy_text(d->old, i, &old);
	if (at < 0) {
		say(d, "removed", id, &old, NULL);
		return;
	}
	rule_set_policy_text(d->new, (size_t)at, &new);
	if (!span_eq(buf_view(&old), buf_view(&new)))
		say(d, "changed", id, &old, &new);
}

static void compare(struct diff *d)
{
	for (size_t i = 0; i < rule_set_count(d->old); i++)
		compare_old(d, i);
	for (size_t i = 0; i < rule_set_count(d->new); i++) {
		struct buf new CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
		struct span id = rule_set_policy(d->new, i).id;
		if (find(d->old, id, place_of(d->new, i)) >= 0)
			continue;
		rule_set_policy_text(d->new, i, &new);
		say(d, "added", id, NULL, &new);
	}
}

static int print(struct cli *c, struct diff *d)
{
	int code;

	d->out = buf_init((size_t)8 * LIMIT_RULE_SET_BYTES);
	d->w = json_writer(&d->out);
	d->text = c->format == CLI_TEXT || c->format == CLI_TABLE;
	if (!d->text)
		json_array(&d->w);
	compare(d);
	if (!d->text)
		json_end(&d->w);
	code = d->text ? cli_write(buf_view(&d->out)) : cli_print_text(c, buf_view(&d->out), NULL);
	buf_fini(&d->out);
	return code == CLI_OK && d->changes ? CLI_NOT_FOUND : code;
}

static int run(struct cli *c)
{
	struct policy_sets sets = {.cli = c};
	struct rule_set *old = NULL, *new = NULL;
	int code = policy_sets_get(&sets, c->args[0], &old);

	if (code == CLI_OK)
		code = policy_sets_get(&sets, c->arg_count > 1 ? c->args[1] : "current", &new);
	if (code == CLI_OK)
		code = print(c, &(struct diff){.old = old, .new = new});
	rule_set_unref(old);
	rule_set_unref(new);
	policy_sets_close(&sets);
	return code;
}

const struct verb verb_policy_diff = {
	.group = "policy",
	.name = "diff",
	.arguments = "OLD [NEW]",
	.min_args = 1,
	.max_args = 2,
	.summary = "Compare two policy sets, policy by policy",
	.help = "A set is `current`, a hash, or a file or folder; NEW is `current` if it is left "
		"out.\n"
		"Policies are compared by their ids. Exits 0 if the sets are the same, 1 if not.",
	.examples = "aegis policy diff /etc/aegis/policy.d.old\n"
		    "aegis policy diff current ./policy.d",
	.run = run,
};
