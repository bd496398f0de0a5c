/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Matching of names and paths. Both sides are canonical, so matching is on components: "fs.*" does
 * not match "fsx.read", and "/workspace" does not match "/workspace2". Time is linear in the
 * product of the lengths at worst: one saved position per kind of star, no recursion.
 */
#include "policy/context/rules.h"

bool glob_is_plain(struct span glob)
{
	for (size_t i = 0; i < glob.n; i++)
		if (glob.p[i] == '*' || glob.p[i] == '?')
			return false;
	return true;
}

struct star {
	size_t glob_next; /* where to go on in the glob; 0: none seen */
	size_t path_next; /* how much of the path it has swallowed */
};

/* Lets the star swallow one byte more. A single star never swallows a slash. */
static bool star_extend(struct star *s, struct span path, bool crosses, size_t *g, size_t *p)
{
	if (s->glob_next == 0 || s->path_next >= path.n)
		return false;
	if (!crosses && path.p[s->path_next] == '/')
		return false;
	*g = s->glob_next;
	*p = ++s->path_next;
	return true;
}

bool context_glob_match(struct span glob, struct span path)
{
	struct star one = {0}, two = {0};
	size_t g = 0, p = 0;

	for (;;) {
		if (g < glob.n && glob.p[g] == '*') {
			bool crosses = g + 1 < glob.n && glob.p[g + 1] == '*';
			g += crosses ? 2 : 1;
			/* "/ ** /" also stands for nothing between the slashes. */
			if (crosses && g < glob.n && glob.p[g] == '/' &&
				(p == 0 || path.p[p - 1] == '/'))
				g++;
			*(crosses ? &two : &one) = (struct star){g, p};
			if (crosses)
				one = (struct star){0};
			continue;
		}
		if (g == glob.n && p == path.n)
			return true;
		if (g < glob.n && p < path.n &&
			(glob.p[g] == path.p[p] || (glob.p[g] == '?' && path.p[p] != '/'))) {
			g++;
			p++;
			continue;
		}
		if (star_extend(&one, path, false, &g, &p))
			continue;
		one = (struct star){0};
		if (!star_extend(&two, path, true, &g, &p))
			return false;
	}
}

bool path_rule_match(struct span pattern, struct span path)
{
	if (!glob_is_plain(pattern))
		return context_glob_match(pattern, path);
	if (span_is(pattern, "/"))
		return true;
	return span_starts(path, pattern) && (path.n == pattern.n || path.p[pattern.n] == '/');
}
