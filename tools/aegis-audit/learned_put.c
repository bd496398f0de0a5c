/* SPDX-License-Identifier: AGPL-3.0-only */
/* A security context as the configuration has it, and the difference of two texts. */
#include "tools/aegis-audit/learned.h"

#include <errno.h>
#include <stdlib.h>

/* Double-quoted YAML takes JSON's strings as they are. */
static void put_quoted(struct buf *b, struct span s)
{
	struct json_writer w = json_writer(b);

	json_put_span(&w, s);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_items(struct buf *b, const char *indent, const struct rule_strings *list)
{
	const char **sorted = calloc(list->count + 1, sizeof(*sorted));

	if (!sorted) {
		b->error = -ENOMEM;
		return;
	}
	memcpy(sorted, list->items, list->count * sizeof(*sorted));
	qsort(sorted, list->count, sizeof(*sorted), by_text);
	for (size_t i = 0; i < list->count; i++) {
		buf_printf(b, "%s- ", indent);
		put_quoted(b, span_cstr(sorted[i]));
		buf_puts(b, "\n");
	}
	free(sorted);
}

static void put_list(struct buf *b, const char *key, const struct rule_strings *list)
{
	if (!list->count)
		return;
	buf_printf(b, "      %s:\n", key);
	put_items(b, "        ", list);
}

static void put_commands(struct buf *b, const struct rule_capability *c)
{
	bool any = false, some = false;

	for (size_t i = 0; i < c->command_count; i++) {
		if (c->commands[i].first_args.count)
			continue;
		buf_puts(b, any ? "" : "      command_allowlist:\n");
		any = true;
		buf_puts(b, "        - ");
		put_quoted(b, span_cstr(c->commands[i].command));
		buf_puts(b, "\n");
	}
	for (size_t i = 0; i < c->command_count; i++) {
		if (!c->commands[i].first_args.count)
			continue;
		buf_puts(b, some ? "" : "      subcommand_allowlist:\n");
		some = true;
		buf_puts(b, "        ");
		put_quoted(b, span_cstr(c->commands[i].command));
		buf_puts(b, ":\n");
		put_items(b, "          ", &c->commands[i].first_args);
	}
}

static void put_capability(struct buf *b, const struct rule_capability *c)
{
	buf_puts(b, "    - tool_pattern: ");
	put_quoted(b, span_cstr(c->tool_pattern));
	buf_puts(b, "\n");
	put_list(b, "path_allowlist", &c->paths);
	put_list(b, "domain_allowlist", &c->domains);
	put_commands(b, c);
	if (c->calls)
		buf_printf(b, "      rate_limit:\n        calls: %u\n        per_seconds: %lld\n",
			c->calls, (long long)(c->window_ms / 1000));
	if (c->max_response_bytes)
		buf_printf(b, "      max_response_size: %llu\n",
			(unsigned long long)c->max_response_bytes);
}

void learn_put_yaml(struct buf *b, const struct rule_context *c, const char *description)
{
	buf_puts(b, "- name: ");
	put_quoted(b, span_cstr(c->name));
	if (description) {
		buf_puts(b, "\n  description: ");
		put_quoted(b, span_cstr(description));
	}
	buf_puts(b, c->capability_count ? "\n  capabilities:\n" : "\n  capabilities: []\n");
	for (size_t i = 0; i < c->capability_count; i++)
		put_capability(b, &c->capabilities[i]);
	if (!c->deny_list.count)
		return;
	buf_puts(b, "  deny_list:\n");
	put_items(b, "    ", &c->deny_list);
}

/* ---- differences ---- */

enum { LINES_MAX = 4000, AROUND = 3 };

struct lines {
	struct span items[LINES_MAX];
	size_t count;
};

struct step {
	char mark; /* ' ', '-', '+' */
	struct span line;
	size_t old_at, new_at; /* lines before this one */
};

static int lines_of(struct span text, struct lines *ret)
{
	struct span line;
	bool done = false;

	ret->count = 0;
	if (!text.n)
		return 0;
	while (span_split(&text, '\n', &done, &line)) {
		if (done && !line.n)
			break;
		if (ret->count == LINES_MAX)
			return err_raise(-E2BIG, "more than %d lines to compare", LINES_MAX);
		ret->items[ret->count++] = line;
	}
	return 0;
}

/* Longest common subsequence; `table` has (old + 1) * (new + 1) cells. */
static void fill(const struct lines *old, const struct lines *new, uint16_t *table)
{
	size_t width = new->count + 1;

	for (size_t i = old->count; i-- > 0;)
		for (size_t k = new->count; k-- > 0;)
			table[i * width + k] = (uint16_t)(span_eq(old->items[i], new->items[k])
					? table[(i + 1) * width + k + 1] + 1
					: MAX(table[(i + 1) * width + k],
						  table[i * width + k + 1]));
}

static size_t walk(
	const struct lines *old, const struct lines *new, const uint16_t *table, struct step *steps)
{
	size_t width = new->count + 1, i = 0, k = 0, n = 0;

	while (i < old->count || k < new->count) {
		struct step *s = &steps[n++];
		*s = (struct step){.old_at = i, .new_at = k};
		bool both = i < old->count && k < new->count;
		if (both && span_eq(old->items[i], new->items[k])) {
			s->mark = ' ';
			s->line = old->items[i++];
			k++;
		} else if (k == new->count ||
			(i < old->count &&
				table[(i + 1) * width + k] >= table[i * width + k + 1])) {
			s->mark = '-';
			s->line = old->items[i++];
		} else {
			s->mark = '+';
			s->line = new->items[k++];
		}
	}
	return n;
}

static void put_hunk(struct buf *b, const struct step *steps, size_t from, size_t to)
{
	size_t olds = 0, news = 0;

	for (size_t i = from; i < to; i++) {
		olds += steps[i].mark != '+';
		news += steps[i].mark != '-';
	}
	buf_printf(b, "@@ -%zu,%zu +%zu,%zu @@\n", steps[from].old_at + (olds > 0), olds,
		steps[from].new_at + (news > 0), news);
	for (size_t i = from; i < to; i++)
		buf_printf(b, "%c" SPAN_FMT "\n", steps[i].mark, SPAN_ARG(steps[i].line));
}

static void put_hunks(struct buf *b, const struct step *steps, size_t count)
{
	for (size_t i = 0; i < count;) {
		if (steps[i].mark == ' ') {
			i++;
			continue;
		}
		size_t from = i > AROUND ? i - AROUND : 0, last = i;
		for (; i < count && i <= last + 2 * (size_t)AROUND; i++)
			if (steps[i].mark != ' ')
				last = i;
		size_t to = MIN(count, last + AROUND + 1);
		put_hunk(b, steps, from, to);
		i = to;
	}
}

int diff_put(
	struct buf *b, const char *old_name, struct span old, const char *new_name, struct span new)
{
	struct lines *lines = calloc(2, sizeof(*lines));
	int r = lines ? lines_of(old, &lines[0]) : err_raise(-ENOMEM, "out of memory");

	if (r == 0)
		r = lines_of(new, &lines[1]);
	if (r < 0) {
		free(lines);
		return err_trace(r);
	}
	uint16_t *table = calloc((lines[0].count + 1) * (lines[1].count + 1), sizeof(*table));
	struct step *steps = calloc(lines[0].count + lines[1].count + 1, sizeof(*steps));
	if (table && steps && !span_eq(old, new)) {
		fill(&lines[0], &lines[1], table);
		buf_printf(b, "--- %s\n+++ %s\n", old_name, new_name);
		put_hunks(b, steps, walk(&lines[0], &lines[1], table, steps));
	}
	r = table && steps ? buf_error(b) : err_raise(-ENOMEM, "out of memory");
	free(table);
	free(steps);
	free(lines);
	return err_trace(r);
}
