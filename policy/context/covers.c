/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Is every permission of one context a permission of another? A capability is a product of tools,
 * paths, domains and commands; each point of it (one entry of each list) must lie in one capability
 * of the outer context, limits included, and what the outer one denies there the inner must deny,
 * too. Whatever these rules cannot show is answered with no.
 */
#include "policy/context/capability.h"

enum { POINTS_MAX = 1000 * 1000 };

/* One entry of each list; NULL: any. */
struct point {
	const char *path;
	const char *domain;
	const struct rule_command *command;
};

static int no_memory(void)
{
	return err_raise(-ENOMEM, "security context: out of memory");
}

static bool path_within(const char *path, const char *outer)
{
	struct span p = span_cstr(path), o = span_cstr(outer);

	if (span_eq(p, o))
		return true;
	if (!glob_is_plain(o))
		return glob_is_plain(p) ? false : strcmp(outer, "/**") == 0;
	/* A glob lies where its fixed folders do. */
	size_t fixed = 0;
	for (size_t i = 0; i < p.n && p.p[i] != '*' && p.p[i] != '?'; i++)
		if (p.p[i] == '/')
			fixed = i;
	if (!glob_is_plain(p))
		p = span_sub(p, 0, MAX(fixed, (size_t)1));
	return path_rule_match(o, p);
}

static bool domain_within(const char *domain, const char *outer)
{
	bool below = strncmp(domain, "*.", 2) == 0, outer_below = strncmp(outer, "*.", 2) == 0;
	struct span d = span_cstr(below ? domain + 2 : domain);
	struct span o = span_cstr(outer_below ? outer + 2 : outer);

	if (strcmp(outer, "*") == 0)
		return true;
	if (strcmp(domain, "*") == 0)
		return false;
	if (span_eq(d, o))
		return below || !outer_below;
	return d.n > o.n && span_ends(d, o) && d.p[d.n - o.n - 1] == '.';
}

static bool argument_within(const char *argument, const struct rule_strings *outer)
{
	for (size_t i = 0; i < outer->count; i++) {
		bool both_paths = argument[0] == '/' && outer->items[i][0] == '/';
		if (strcmp(argument, outer->items[i]) == 0 ||
			(both_paths && path_within(argument, outer->items[i])))
			return true;
	}
	return false;
}

static bool command_within(const struct rule_command *c, const struct rule_command *outer)
{
	bool any = strcmp(outer->command, "*") == 0;

	if (!any && strcmp(c->command, outer->command) != 0)
		return false;
	if (any || !outer->first_args.count)
		return true;
	for (size_t i = 0; i < c->first_args.count; i++)
		if (!argument_within(c->first_args.items[i], &outer->first_args))
			return false;
	return c->first_args.count > 0;
}

static bool limits_within(const struct rule_capability *c, const struct rule_capability *outer)
{
	/* Calls and windows both bound: a burst is at most `calls`, the flow calls per window. */
	if (outer->calls &&
		(!c->calls || c->calls > outer->calls ||
			(double)c->calls * (double)outer->window_ms >
				(double)outer->calls * (double)c->window_ms))
		return false;
	return !outer->max_response_bytes ||
		(c->max_response_bytes && c->max_response_bytes <= outer->max_response_bytes);
}

static bool list_holds(const struct rule_strings *list, const char *entry,
	bool (*within)(const char *, const char *))
{
	if (list->count == 0)
		return true;
	for (size_t i = 0; entry && i < list->count; i++)
		if (within(entry, list->items[i]))
			return true;
	return false;
}

static bool capability_holds(
	const struct rule_capability *outer, const struct rule_capability *c, const struct point *p)
{
	if (!tool_pattern_covers(span_cstr(outer->tool_pattern), span_cstr(c->tool_pattern)) ||
		!limits_within(c, outer) || !list_holds(&outer->paths, p->path, path_within) ||
		!list_holds(&outer->domains, p->domain, domain_within))
		return false;
	if (outer->command_count == 0 ||
		!tool_pattern_covers(span_cstr(c->tool_pattern), SPAN("cmd.run")))
		return true;
	for (size_t i = 0; p->command && i < outer->command_count; i++)
		if (command_within(p->command, &outer->commands[i]))
			return true;
	return false;
}

static int doubt(struct arena *a, const struct rule_capability *c, const struct point *p,
	const char *why, struct span *ret)
{
	char *text = arena_printf(a, "%s%s%s%s%s%s%s%s%s", c->tool_pattern, p->path ? " on " : "",
		p->path ? p->path : "", p->domain ? " at " : "", p->domain ? p->domain : "",
		p->command ? " with " : "", p->command ? p->command->command : "", why ? ": " : "",
		why ? why : "");

	if (!text)
		return no_memory();
	*ret = span_cstr(text);
	return RULE_NOT_COVERED;
}

struct contexts {
	const struct rule_capability *outer, *inner; /* canonical */
	size_t outer_count, inner_count;
	struct arena *arena;
};

static int point_covered(const struct contexts *x, const struct rule_capability *c,
	const struct point *p, struct span *ret_doubt)
{
	for (size_t i = 0; i < x->outer_count; i++)
		if (capability_holds(&x->outer[i], c, p))
			return 0;
	return doubt(x->arena, c, p, NULL, ret_doubt);
}

static int capability_covered(
	const struct contexts *x, const struct rule_capability *c, struct span *ret_doubt)
{
	size_t paths = MAX(c->paths.count, (size_t)1), domains = MAX(c->domains.count, (size_t)1);
	size_t commands = MAX(c->command_count, (size_t)1);
	int r = 0;

	if ((double)paths * (double)domains * (double)commands * (double)(x->outer_count + 1) >
		POINTS_MAX)
		return doubt(
			x->arena, c, &(struct point){0}, "too many entries to compare", ret_doubt);
	for (size_t i = 0; i < paths * domains * commands && r == 0; i++) {
		size_t domain = i / paths % domains, command = i / paths / domains;
		const struct point p = {
			.path = c->paths.count ? c->paths.items[i % paths] : NULL,
			.domain = c->domains.count ? c->domains.items[domain] : NULL,
			.command = c->command_count ? &c->commands[command] : NULL,
		};
		r = point_covered(x, c, &p, ret_doubt);
	}
	return r;
}

/* ---- what the outer context denies ---- */

static bool patterns_meet(const char *a, const char *b)
{
	return tool_pattern_covers(span_cstr(a), span_cstr(b)) ||
		tool_pattern_covers(span_cstr(b), span_cstr(a));
}

static bool deny_concerns(const struct deny_entry *e, const struct rule_capability *c)
{
	struct span denied = span_cstr(e->pattern), pattern = span_cstr(c->tool_pattern);

	if (patterns_meet(e->pattern, c->tool_pattern))
		return true;
	return (tool_pattern_covers(denied, SPAN("fs.write")) &&
		       pattern_touches_files(pattern, true)) ||
		(tool_pattern_covers(denied, SPAN("fs.read")) &&
			pattern_touches_files(pattern, false)) ||
		(tool_pattern_covers(denied, SPAN("web.fetch")) &&
			span_starts(pattern, SPAN("web.")));
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static int deny_kept(const struct rule_context *inner, const struct deny_entry *e, struct arena *a,
	bool *ret_kept)
{
	*ret_kept = false;
	for (size_t i = 0; !*ret_kept && i < inner->deny_list.count; i++) {
		struct deny_entry own;
		int r = deny_entry_parse(inner->deny_list.items[i],
			(struct rule_origin){.field = inner->name}, a, &own);
		if (r < 0)
			return err_trace(r);
		bool whole = !own.path && !own.command && !own.domain;
		bool same = same_text(own.path, e->path) && same_text(own.command, e->command) &&
			same_text(own.domain, e->domain);
		*ret_kept = (whole || same) &&
			tool_pattern_covers(span_cstr(own.pattern), span_cstr(e->pattern));
	}
	return 0;
}

static int denies_covered(const struct contexts *x, const struct rule_context *outer,
	const struct rule_context *inner, struct span *ret_doubt)
{
	for (size_t i = 0; i < outer->deny_list.count; i++) {
		struct deny_entry e;
		bool kept = false;
		int r = deny_entry_parse(outer->deny_list.items[i],
			(struct rule_origin){.field = outer->name}, x->arena, &e);
		if (r == 0)
			r = deny_kept(inner, &e, x->arena, &kept);
		if (r < 0)
			return err_trace(r);
		for (size_t k = 0; !kept && k < x->inner_count; k++) {
			if (!deny_concerns(&e, &x->inner[k]))
				continue;
			const char *why = arena_printf(
				x->arena, "'%s' is denied there", outer->deny_list.items[i]);
			return doubt(x->arena, &x->inner[k], &(struct point){0}, why, ret_doubt);
		}
	}
	return 0;
}

static int canonical(
	const struct rule_context *c, struct arena *a, const struct rule_capability **ret)
{
	struct rule_capability *list =
		arena_make_array(a, struct rule_capability, c->capability_count + 1);
	int r = list ? 0 : no_memory();

	for (size_t i = 0; r == 0 && i < c->capability_count; i++)
		r = capability_canonical(
			&c->capabilities[i], (struct rule_origin){.field = c->name}, a, &list[i]);
	*ret = list;
	return err_trace(r);
}

int rule_context_covers(const struct rule_context *outer, const struct rule_context *inner,
	struct arena *a, struct span *ret_doubt)
{
	struct contexts x = {.outer_count = outer->capability_count,
		.inner_count = inner->capability_count,
		.arena = a};
	int r = canonical(outer, a, &x.outer);

	if (r == 0)
		r = canonical(inner, a, &x.inner);
	for (size_t i = 0; r == 0 && i < x.inner_count; i++)
		r = capability_covered(&x, &x.inner[i], ret_doubt);
	if (r == 0)
		r = denies_covered(&x, outer, inner, ret_doubt);
	return r < 0 ? err_trace(r) : r;
}
