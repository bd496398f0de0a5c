/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From rules to the text of Cedar policies. A rule becomes one policy, annotated with where it was
 * written, the code of a denial for want of it, and what it accepts. Nothing is kept but the text:
 * a set that was just built and one that is loaded years later are made from the same bytes.
 */
#include "policy/context/rules.h"
#include <stdlib.h>

struct rule_set_builder *rule_set_builder_new(void)
{
	struct rule_set_builder *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->text = buf_init(LIMIT_RULE_SET_BYTES);
	return b;
}

struct rule_set_builder *rule_set_builder_free(struct rule_set_builder *b)
{
	if (!b)
		return NULL;
	rule_set_unref(b->base);
	buf_fini(&b->text);
	free(b);
	return NULL;
}

static void annotate(struct buf *b, const char *name, struct span value)
{
	buf_printf(b, "@%s(", name);
	cedar_print_string(b, value);
	buf_puts(b, ")\n");
}

int rule_begin(struct rule_set_builder *b, const struct rule_head *head)
{
	struct buf id CLEANUP(buf_fini) = buf_init((size_t)RULE_ORIGIN_BYTES * 2);
	const struct rule_origin *o = &head->origin;

	if (b->count == LIMIT_RULES)
		return err_raise(-E2BIG, "%s: more than %d rules", o->field, LIMIT_RULES);
	b->count++;
	buf_puts(&id, o->field);
	buf_puts(&id, head->suffix ? head->suffix : "");
	int r = buf_error(&id);
	if (r < 0)
		return err_trace(r);
	annotate(&b->text, "id", buf_view(&id));
	if (o->file)
		annotate(&b->text, "file", span_cstr(o->file));
	if (o->line)
		buf_printf(&b->text, "@line(\"%d\")\n", o->line);
	annotate(&b->text, "field", span_cstr(o->field));
	if (head->code)
		buf_printf(&b->text, "@code(\"%d\")\n", (int)head->code);
	if (head->accepts.n)
		annotate(&b->text, "accepts", head->accepts);
	return 0;
}

int rule_add_set(struct rule_set_builder *b, const struct rule_set *s)
{
	if (b->count + rule_set_count(s) > LIMIT_RULES)
		return err_raise(-E2BIG, "policies: more than %d", LIMIT_RULES);
	b->count += rule_set_count(s);
	if (b->count == rule_set_count(s) && !s->base && !b->base && b->text.len == 0) {
		b->base = rule_set_ref((struct rule_set *)(uintptr_t)s);
		b->text.max -= MIN(b->text.max, s->text.n + 1);
		return 0;
	}
	set_for_each_layer(l, s)
	{
		buf_span(&b->text, l->text);
		buf_putc(&b->text, '\n');
	}
	return 0;
}

static enum rule_part part_of(const struct cedar_policy *p)
{
	struct span field = cedar_policy_annotation(p, "field");

	if (!field.p)
		return RULE_PART_FILES;
	return span_starts(field, SPAN("spec.security_contexts.")) ? RULE_PART_CONTEXTS
								   : RULE_PART_OTHERS;
}

int rule_add_set_parts(struct rule_set_builder *b, const struct rule_set *s, unsigned parts)
{
	for (size_t i = 0; i < rule_set_count(s); i++) {
		const struct cedar_policy *p = set_info_at(s, i)->policy;
		if (!(part_of(p) & parts))
			continue;
		if (b->count == LIMIT_RULES)
			return err_raise(-E2BIG, "policies: more than %d", LIMIT_RULES);
		b->count++;
		cedar_policy_print(&b->text, p);
		buf_putc(&b->text, '\n');
	}
	return err_trace(buf_error(&b->text));
}

void put_list(struct buf *b, const struct rule_strings *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (i)
			buf_puts(b, ", ");
		if (b->len > 400) {
			buf_puts(b, "...");
			return;
		}
		buf_puts(b, list->items[i]);
	}
}

/* ---- tools ---- */

int tool_pattern_check(const char *pattern, struct rule_origin o)
{
	struct span s = span_cstr(pattern);
	ssize_t star = span_find_byte(s, '*', 0);

	if (s.n == 0 || s.n > LIMIT_NAME_BYTES)
		return err_raise(
			-EINVAL, "%s: a tool pattern has 1 to %d bytes", o.field, LIMIT_NAME_BYTES);
	if (star >= 0 && !span_is(s, "*") &&
		!((size_t)star == s.n - 1 && s.n > 2 && span_ends(s, SPAN(".*"))))
		return err_raise(-EINVAL,
			"%s: tool pattern '%s': '*' is accepted alone or as the last segment "
			"(\"fs.*\")",
			o.field, pattern);
	return tool_pattern_is_vain(s) ? err_trace(tool_unknown(s, o.field)) : 0;
}

void put_tool_action(struct buf *b, struct span pattern)
{
	bool group = span_ends(pattern, SPAN("*"));
	struct buf name CLEANUP(buf_fini) = buf_init(LIMIT_NAME_BYTES + 8);

	buf_puts(&name, "tool");
	if (!span_is(pattern, "*")) {
		buf_putc(&name, ':');
		buf_span(&name, pattern);
	}
	buf_puts(b, group ? "action in Action::" : "action == Action::");
	cedar_print_string(b, buf_view(&name));
}

bool tool_pattern_covers(struct span pattern, struct span other)
{
	if (span_is(pattern, "*") || span_eq(pattern, other))
		return true;
	if (!span_ends(pattern, SPAN(".*")))
		return false;
	struct span stem = span_sub(pattern, 0, pattern.n - 1); /* with its dot */
	return other.n > stem.n && span_starts(other, stem);
}

int rule_allow_tool(struct rule_set_builder *b, const char *pattern, struct rule_origin o)
{
	struct span p = span_cstr(pattern);
	bool runs_commands = tool_pattern_covers(p, SPAN("cmd.run"));
	struct rule_head head = {.origin = o, .code = DECISION_TOOL_NOT_ALLOWED, .accepts = p};
	int r = tool_pattern_check(pattern, o);

	if (r == 0 && runs_commands && span_is(p, "cmd.run")) {
		head.code = DECISION_COMMAND_NOT_ALLOWED;
		head.accepts = SPAN("");
	}
	if (r == 0)
		r = rule_begin(b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(&b->text, "permit (principal, ");
	put_tool_action(&b->text, p);
	buf_puts(&b->text, ", resource)");
	/* The commands' own policies permit cmd.run; this one gives the denial its code. */
	if (runs_commands && span_is(p, "cmd.run"))
		buf_puts(&b->text, "\nwhen { false }");
	else if (runs_commands)
		buf_puts(&b->text, "\nunless { action == Action::\"tool:cmd.run\" }");
	buf_puts(&b->text, ";\n");
	return 0;
}

int rule_deny_tool(struct rule_set_builder *b, const char *pattern, struct rule_origin o)
{
	const struct rule_head head = {.origin = o, .code = DECISION_TOOL_DENIED};
	int r = tool_pattern_check(pattern, o);

	if (r == 0)
		r = rule_begin(b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(&b->text, "forbid (principal, ");
	put_tool_action(&b->text, span_cstr(pattern));
	buf_puts(&b->text, ", resource);\n");
	return 0;
}

int rule_rate_limit(struct rule_set_builder *b, const char *tool_pattern, uint32_t calls,
	int64_t window_ms, struct rule_origin o)
{
	const struct rule_head head = {.origin = o, .code = DECISION_RATE_LIMIT_EXCEEDED};
	int r = tool_pattern_check(tool_pattern, o);

	if (r == 0 && (calls == 0 || window_ms <= 0))
		return err_raise(
			-EINVAL, "%s: a rate limit needs at least 1 call and 1 ms", o.field);
	if (r == 0)
		r = rule_begin(b, &head);
	if (r < 0)
		return err_trace(r);
	buf_printf(&b->text, "@rate_calls(\"%u\")\n@rate_window_ms(\"%lld\")\n", calls,
		(long long)window_ms);
	buf_puts(&b->text, "forbid (principal, ");
	put_tool_action(&b->text, span_cstr(tool_pattern));
	buf_puts(&b->text, ", resource);\n");
	return 0;
}

/* ---- paths ---- */

int context_path_entry(const char *entry, struct rule_origin o, struct arena *a, const char **ret)
{
	struct span canonical;

	if (entry[0] != '/')
		return err_raise(-EINVAL, "%s: path '%s' must be absolute", o.field, entry);
	int r = context_canonical_path(span_cstr(entry), SPAN("/"), a, &canonical);
	if (r < 0)
		return err_wrap(r, "%s", o.field);
	*ret = arena_cstr(a, canonical);
	return *ret ? 0 : err_raise(-ENOMEM, "%s: out of memory", o.field);
}

static void put_path_entity(struct buf *b, const char *canonical)
{
	buf_puts(b, glob_is_plain(span_cstr(canonical)) ? "Path::" : "PathPattern::");
	cedar_print_string(b, span_cstr(canonical));
}

static void put_entities(struct buf *b, const char *subject, const struct rule_strings *list,
	bool plain, const char *type, bool *any)
{
	size_t n = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (glob_is_plain(span_cstr(list->items[i])) != plain)
			continue;
		if (n++ == 0)
			buf_printf(b, "%s%s in [", *any ? " || " : "", subject);
		else
			buf_puts(b, ", ");
		buf_puts(b, type);
		cedar_print_string(b, span_cstr(list->items[i]));
	}
	buf_puts(b, n ? "]" : "");
	*any |= n > 0;
}

void put_paths(struct buf *b, const char *subject, const struct rule_strings *canonical)
{
	bool any = false;

	buf_putc(b, '(');
	put_entities(b, subject, canonical, true, "Path::", &any);
	put_entities(b, subject, canonical, false, "PathPattern::", &any);
	buf_puts(b, any ? ")" : "false)");
}

int rule_allow_path(
	struct rule_set_builder *b, const char *action, const char *glob, struct rule_origin o)
{
	struct arena *scratch CLEANUP(arena_cleanup) = arena_new((size_t)4 * LIMIT_PATH_BYTES);
	const char *path;

	if (!scratch)
		return err_raise(-ENOMEM, "rules: out of memory");
	if (strcmp(action, "fs:read") != 0 && strcmp(action, "fs:write") != 0)
		return err_raise(-EINVAL, "%s: action '%s': fs:read and fs:write are accepted",
			o.field, action);
	int r = context_path_entry(glob, o, scratch, &path);
	if (r < 0)
		return err_trace(r);
	r = rule_begin(b,
		&(struct rule_head){.origin = o,
			.code = DECISION_PATH_NOT_ALLOWED,
			.accepts = span_cstr(path)});
	if (r < 0)
		return err_trace(r);
	buf_printf(&b->text, "permit (principal, action == Action::\"%s\", resource in ", action);
	put_path_entity(&b->text, path);
	buf_puts(&b->text, ");\n");
	return 0;
}

/* ---- commands ---- */

static void put_first_args(struct buf *b, const struct rule_strings *args)
{
	struct rule_strings folders = {0};
	const char **paths = malloc((args->count + 1) * sizeof(*paths));
	size_t words = 0;

	if (!paths) {
		b->error = -ENOMEM;
		return;
	}
	buf_puts(b, " && ((context.command has first && [");
	for (size_t i = 0; i < args->count; i++) {
		if (args->items[i][0] == '/') {
			paths[folders.count++] = args->items[i];
			continue;
		}
		buf_puts(b, words++ ? ", " : "");
		cedar_print_string(b, span_cstr(args->items[i]));
	}
	buf_puts(b, "].contains(context.command.first))");
	if (folders.count) {
		folders.items = paths;
		buf_puts(b, " || (context.command has script && ");
		put_paths(b, "context.command.script", &folders);
		buf_putc(b, ')');
	}
	buf_putc(b, ')');
	free(paths);
}

int put_command(struct buf *b, const struct rule_command *c, struct rule_origin o)
{
	struct span name = span_cstr(c->command);

	if (name.n == 0 || name.n > LIMIT_NAME_BYTES || strchr(c->command, '/'))
		return err_raise(-EINVAL,
			"%s: command '%s': give the program's base name, or \"*\"", o.field,
			c->command);
	/* A rule names a program by its base name, which PATH resolves; "./rm" or "/tmp/git" is
	 * another program, and only "*" covers it. */
	if (span_is(name, "*")) {
		buf_puts(b, "true");
	} else if (span_is(name, CONTEXT_ANY_BUT_SHELL)) {
		buf_puts(b, "!context.command.shell");
	} else {
		buf_puts(b, "context.command.program == ");
		cedar_print_string(b, name);
		if (c->first_args.count)
			put_first_args(b, &c->first_args);
	}
	return 0;
}

/* Entries of first arguments that begin with '/' are folders, and need one spelling. */
static int canonical_args(const char *const *args, size_t count, struct rule_origin o,
	struct arena *a, struct rule_strings *ret)
{
	const char **items = arena_make_array(a, const char *, count + 1);

	for (size_t i = 0; items && i < count; i++) {
		items[i] = args[i];
		int r = args[i][0] == '/' ? context_path_entry(args[i], o, a, &items[i]) : 0;
		if (r < 0)
			return err_trace(r);
	}
	*ret = (struct rule_strings){items, count};
	return items ? 0 : err_raise(-ENOMEM, "%s: out of memory", o.field);
}

int rule_allow_command(struct rule_set_builder *b, const char *command,
	const char *const *first_args, size_t count, struct rule_origin o)
{
	struct arena *scratch CLEANUP(arena_cleanup) = arena_new(LIMIT_RULE_SET_BYTES);
	struct rule_command c = {.command = command};
	const char *said =
		strcmp(command, CONTEXT_ANY_BUT_SHELL) == 0 ? "any but a shell" : command;
	struct buf condition CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	int r = scratch ? 0 : err_raise(-ENOMEM, "rules: out of memory");

	if (r == 0 && first_args)
		r = canonical_args(first_args, count, o, scratch, &c.first_args);
	if (r == 0)
		r = put_command(&condition, &c, o);
	if (r == 0)
		r = rule_begin(b,
			&(struct rule_head){.origin = o,
				.code = DECISION_COMMAND_NOT_ALLOWED,
				.accepts = span_cstr(said)});
	if (r == 0)
		r = buf_error(&condition);
	if (r < 0)
		return err_trace(r);
	buf_puts(&b->text,
		"permit (principal, action in [Action::\"tool:cmd.run\", Action::\"exec\"], "
		"resource)\nwhen { ");
	if (first_args && count == 0) /* none is accepted */
		buf_puts(&b->text, "false");
	else
		buf_span(&b->text, buf_view(&condition));
	buf_puts(&b->text, " };\n");
	return 0;
}

/* ---- domains ---- */

int context_domain_entry(const char *entry, struct rule_origin o, struct arena *a, const char **ret)
{
	bool below = strncmp(entry, "*.", 2) == 0;
	struct span name;

	*ret = entry;
	if (strcmp(entry, "*") == 0)
		return 0;
	int r = context_canonical_domain(span_cstr(below ? entry + 2 : entry), a, &name);
	if (r < 0)
		return err_wrap(r, "%s", o.field);
	*ret = arena_printf(a, "%s" SPAN_FMT, below ? "*." : "", SPAN_ARG(name));
	return *ret ? 0 : err_raise(-ENOMEM, "%s: out of memory", o.field);
}

void put_domains(struct buf *b, const char *subject, const struct rule_strings *canonical)
{
	bool any = false;

	buf_putc(b, '(');
	put_entities(b, subject, canonical, true, "Domain::", &any);
	for (size_t i = 0; i < canonical->count; i++) {
		const char *entry = canonical->items[i];
		if (glob_is_plain(span_cstr(entry)))
			continue;
		buf_puts(b, any ? " || " : "");
		any = true;
		if (strcmp(entry, "*") == 0) {
			buf_printf(b, "%s is Domain", subject);
			continue;
		}
		buf_printf(b, "(%s in Domain::", subject);
		cedar_print_string(b, span_cstr(entry + 2));
		buf_printf(b, " && %s != Domain::", subject);
		cedar_print_string(b, span_cstr(entry + 2));
		buf_putc(b, ')');
	}
	buf_puts(b, any ? ")" : "false)");
}
