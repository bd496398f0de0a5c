/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Conditions on paths, asked of one path, and of all paths of a folder at once: whether some rule
 * can be checked by looking at files that are there depends on what it says of those to come.
 */
#include "policy/context/kernel.h"
#include <stdio.h>

enum { ANY_BYTES = 64 }; /* of a folder that is asked about, and some more */

static struct span name_of(struct span path)
{
	for (size_t i = path.n; i > 0; i--)
		if (path.p[i - 1] == '/')
			return span_sub(path, i, path.n);
	return path;
}

static bool in_folder(struct span path, struct span folder)
{
	if (folder.n == 0)
		return false;
	return span_is(folder, "/") ||
		(span_starts(path, folder) && (path.n == folder.n || path.p[folder.n] == '/'));
}

static bool like(const struct kernel_path_test *t, struct span path)
{
	return cedar_like(t->like.pieces, t->like.count, t->of_name ? name_of(path) : path);
}

static bool matches(const struct kernel_path_test *t, struct span path)
{
	return t->op == PATH_TEST_GLOB ? context_glob_match(t->text, path) : like(t, path);
}

/* `link`: another name of the file, which counts for patterns that forbid; empty: none does. */
static bool holds(const struct kernel_path_test *t, struct span path, struct span link)
{
	switch (t->op) {
	case PATH_TEST_CONST:
		return t->value;
	case PATH_TEST_NOT: /* what is excepted is excepted under its real name */
		return !holds(t->kids[0], path, SPAN(""));
	case PATH_TEST_AND:
		return holds(t->kids[0], path, link) && holds(t->kids[1], path, link);
	case PATH_TEST_OR:
		return holds(t->kids[0], path, link) || holds(t->kids[1], path, link);
	case PATH_TEST_IS:
		return span_eq(path, t->text) || (t->led_to.n && span_eq(path, t->led_to));
	case PATH_TEST_IN:
		return in_folder(path, t->text) || in_folder(path, t->led_to);
	case PATH_TEST_GLOB:
	case PATH_TEST_LIKE:
		return matches(t, path) || (link.n && matches(t, link));
	case PATH_TEST_VOLUME:
		return false;
	}
	return true; /* of what is not known all is forbidden */
}

bool kernel_path_holds(const struct kernel_path_test *t, struct span path)
{
	return holds(t, path, SPAN(""));
}

bool kernel_path_holds_by(const struct kernel_path_test *t, struct span path, struct span link)
{
	return holds(t, path, link);
}

bool kernel_path_means_link(const struct kernel_path_test *t, struct span link)
{
	switch (t->op) {
	case PATH_TEST_AND:
	case PATH_TEST_OR:
		return kernel_path_means_link(t->kids[0], link) ||
			kernel_path_means_link(t->kids[1], link);
	case PATH_TEST_GLOB:
	case PATH_TEST_LIKE:
		return matches(t, link);
	default:
		return false;
	}
}

bool kernel_path_holds_elsewhere(const struct kernel_path_test *t)
{
	switch (t->op) {
	case PATH_TEST_CONST:
		return t->value;
	case PATH_TEST_NOT:
		return !kernel_path_holds_elsewhere(t->kids[0]);
	case PATH_TEST_AND:
		return kernel_path_holds_elsewhere(t->kids[0]) &&
			kernel_path_holds_elsewhere(t->kids[1]);
	case PATH_TEST_OR:
		return kernel_path_holds_elsewhere(t->kids[0]) ||
			kernel_path_holds_elsewhere(t->kids[1]);
	default:
		return false;
	}
}

/* ---- folders ---- */

/* The part of a pattern that every match begins with. */
static struct span fixed_part(const struct kernel_path_test *t)
{
	size_t n = 0;

	if (t->op == PATH_TEST_LIKE)
		return t->of_name || t->like.count == 0 || t->like.pieces[0].wildcard
			? SPAN("")
			: t->like.pieces[0].text;
	while (n < t->text.n && t->text.p[n] != '*' && t->text.p[n] != '?')
		n++;
	return span_sub(t->text, 0, n);
}

/* Whether a pattern holds in the folder of what has no name that anybody would write. */
static bool holds_of_any(const struct kernel_path_test *t, struct span folder)
{
	static const char *const below[] = {"", "/\x7f", "/\x7f/\x7f"};
	char path[ANY_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(below); i++) {
		int n = snprintf(path, sizeof(path), SPAN_FMT "%s", SPAN_ARG(folder), below[i]);
		if (n >= ANY_BYTES || kernel_path_holds(t, span_cstr(path)))
			return true;
	}
	return false;
}

static enum kernel_path_extent pattern_extent(
	const struct kernel_path_test *t, struct span folder, bool named)
{
	struct span fixed = fixed_part(t);

	if (named && fixed.n <= 1)
		return holds_of_any(t, folder) ? KERNEL_PATH_SOME : KERNEL_PATH_NONE;
	bool meet = fixed.n <= folder.n
		? span_starts(folder, fixed)
		: span_starts(fixed, folder) && (folder.n <= 1 || fixed.p[folder.n] == '/');

	return meet ? KERNEL_PATH_SOME : KERNEL_PATH_NONE;
}

static enum kernel_path_extent in_extent(const struct kernel_path_test *t, struct span folder)
{
	if (in_folder(folder, t->text) || in_folder(folder, t->led_to))
		return KERNEL_PATH_ALL;
	return in_folder(t->text, folder) || in_folder(t->led_to, folder) ? KERNEL_PATH_SOME
									  : KERNEL_PATH_NONE;
}

static enum kernel_path_extent both(enum kernel_path_extent x, enum kernel_path_extent y)
{
	return MIN(x, y);
}

/* Two that hold of some paths each may hold of all, or of none: SOME is what cannot be told. */
static enum kernel_path_extent extent(
	const struct kernel_path_test *t, struct span folder, bool named)
{
	switch (t->op) {
	case PATH_TEST_CONST:
		return t->value ? KERNEL_PATH_ALL : KERNEL_PATH_NONE;
	case PATH_TEST_NOT:
		return KERNEL_PATH_ALL - extent(t->kids[0], folder, named);
	case PATH_TEST_AND:
		return both(extent(t->kids[0], folder, named), extent(t->kids[1], folder, named));
	case PATH_TEST_OR:
		return MAX(extent(t->kids[0], folder, named), extent(t->kids[1], folder, named));
	case PATH_TEST_IS:
		return in_folder(t->text, folder) || in_folder(t->led_to, folder)
			? KERNEL_PATH_SOME
			: KERNEL_PATH_NONE;
	case PATH_TEST_IN:
		return in_extent(t, folder);
	case PATH_TEST_GLOB:
	case PATH_TEST_LIKE:
		return pattern_extent(t, folder, named);
	case PATH_TEST_VOLUME:
		return in_folder(folder, SPAN("/workspace")) ||
				in_folder(SPAN("/workspace"), folder)
			? KERNEL_PATH_SOME
			: KERNEL_PATH_NONE;
	}
	return KERNEL_PATH_SOME;
}

enum kernel_path_extent kernel_path_extent(const struct kernel_path_test *t, struct span folder)
{
	return extent(t, folder, false);
}

enum kernel_path_extent kernel_path_named_extent(
	const struct kernel_path_test *t, struct span folder)
{
	return extent(t, folder, true);
}

/* ---- names ---- */

/* The folder that holds all that a pattern can match. */
static struct span folder_of(struct span fixed)
{
	for (size_t i = fixed.n; i > 1; i--)
		if (fixed.p[i - 1] == '/')
			return span_sub(fixed, 0, i - 1);
	return SPAN("/");
}

int kernel_path_names(struct kernel_path_test *t, kernel_path_name_fn fn, void *ctx)
{
	int r = 0;

	switch (t->op) {
	case PATH_TEST_CONST:
	case PATH_TEST_VOLUME:
		return 0;
	case PATH_TEST_IS:
	case PATH_TEST_IN:
		return fn(ctx, t->text, &t->led_to);
	case PATH_TEST_GLOB:
	case PATH_TEST_LIKE:
		return fn(ctx, folder_of(fixed_part(t)), NULL);
	case PATH_TEST_NOT:
		return kernel_path_names(t->kids[0], fn, ctx);
	case PATH_TEST_AND:
	case PATH_TEST_OR:
		r = kernel_path_names(t->kids[0], fn, ctx);
		return r < 0 ? r : kernel_path_names(t->kids[1], fn, ctx);
	}
	return r;
}
