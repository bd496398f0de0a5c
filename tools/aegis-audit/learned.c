/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From questions to a context. Nothing here knows what a capability permits: the matcher is asked.
 * Each round asks every question; for what is denied the narrowest entry is added, and the next
 * round shows whether it was enough. At the end every entry is taken out once, and stays out if
 * nothing misses it, so that what is left is needed.
 */
#include "tools/aegis-audit/learned.h"

#include <errno.h>
#include <stdlib.h>

enum { ROUNDS_MAX = 8, FOLD_ABOVE = 64, PRUNE_DECISIONS_MAX = 4 * 1000 * 1000 };

static int no_memory(void)
{
	return err_raise(-ENOMEM, "learn: out of memory");
}

/* ---- questions ---- */

int learn_question(struct learn *l, const struct decision_request *q)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct json_writer w = json_writer(&b);
	const struct json *v;

	decision_request_put(&w, q);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	if (map_get(&l->known, buf_view(&b)))
		return 0;
	if (l->count == LEARN_QUESTIONS_MAX)
		return err_raise(-E2BIG,
			"learn: more than %d different decisions; use --from and --to",
			LEARN_QUESTIONS_MAX);
	struct decision_request *copy = arena_make(l->arena, struct decision_request);
	struct span text = arena_span(l->arena, buf_view(&b));
	if (!copy || !text.p)
		return no_memory();
	r = json_parse(l->arena, text, NULL, &v);
	if (r == 0)
		r = decision_request_load(l->arena, v, copy);
	if (r == 0)
		r = map_put(&l->known, text, copy);
	if (r < 0)
		return err_trace(r);
	l->questions[l->count++] = copy;
	return 0;
}

/* ---- entries ---- */

static int add_text(struct learn *l, const char ***list, size_t *count, struct span text)
{
	for (size_t i = 0; i < *count; i++)
		if (span_is(text, (*list)[i]))
			return 0;
	if (*count == LEARN_ENTRIES_MAX)
		return 0; /* the next round finds it missing */
	if (!*list) /* grown once, to its limit: entries are pointers */
		*list = arena_make_array(l->arena, const char *, LEARN_ENTRIES_MAX);
	const char *copy = arena_cstr(l->arena, text);
	if (!*list || !copy)
		return no_memory();
	(*list)[(*count)++] = copy;
	return 1;
}

/* With its list of paths empty a capability permits any path, so calls with and without one do not
 * share it. */
static int grant_of(struct learn *l, const char *tool, bool with_path, bool with_domain,
	struct learn_grant **ret)
{
	for (size_t i = 0; i < l->grant_count; i++) {
		struct learn_grant *g = &l->grants[i];
		if (strcmp(g->tool, tool) == 0 && g->with_path == with_path &&
			g->with_domain == with_domain) {
			*ret = g;
			return 0;
		}
	}
	*ret = NULL;
	if (l->grant_count == LEARN_GRANTS_MAX)
		return 0;
	const char *copy = arena_cstr(l->arena, span_cstr(tool));
	if (!copy)
		return no_memory();
	*ret = &l->grants[l->grant_count++];
	**ret = (struct learn_grant){
		.tool = copy, .with_path = with_path, .with_domain = with_domain};
	return 1;
}

static int add_command(struct learn *l, struct learn_grant *g, const struct decision_request *q)
{
	struct span program = q->argv[0];
	struct span first = q->argv_count > 1 ? q->argv[1] : SPAN("");
	size_t i = 0;

	if (span_find_byte(program, '/', 0) >= 0)
		return 0; /* contexts name programs by base name */
	while (i < g->command_count &&
		(!span_is(program, g->commands[i].command) ||
			!g->commands[i].first_args.count != !first.n))
		i++;
	if (!g->commands)
		g->commands = arena_make_array(l->arena, struct rule_command, LEARN_ENTRIES_MAX);
	if (!g->commands)
		return no_memory();
	if (i == LEARN_ENTRIES_MAX)
		return 0;
	if (i < g->command_count && !first.n)
		return 0;
	if (i == g->command_count) {
		const char *name = arena_cstr(l->arena, program);
		if (!name)
			return no_memory();
		g->commands[g->command_count++] = (struct rule_command){.command = name};
	}
	if (!first.n)
		return 1;
	struct rule_strings *args = &g->commands[i].first_args;
	const char **items = (const char **)(uintptr_t)args->items;
	int r = add_text(l, &items, &args->count, first);
	args->items = items;
	return r;
}

static int sum(int changed, int r)
{
	return changed < 0 ? changed : r < 0 ? r : changed + r;
}

static int widen_tool(struct learn *l, const struct decision_request *q)
{
	char tool[LIMIT_NAME_BYTES + 1];
	struct span name = span_sub(q->action, strlen("tool:"), q->action.n);
	struct learn_grant *g;

	if (name.n > LIMIT_NAME_BYTES)
		return 0;
	memcpy(tool, name.p, name.n);
	tool[name.n] = '\0';
	int changed = grant_of(l, tool, q->path_count > 0, q->domain.n > 0, &g);
	if (!g || changed < 0)
		return changed;
	for (size_t i = 0; i < q->path_count; i++)
		changed = sum(changed, add_text(l, &g->paths, &g->path_count, q->paths[i]));
	if (q->domain.n)
		changed = sum(changed, add_text(l, &g->domains, &g->domain_count, q->domain));
	if (q->argv_count)
		changed = sum(changed, add_command(l, g, q));
	return changed;
}

/* What programs did to files stands beside the calls of the tools that do the same. */
static int widen_file(struct learn *l, const struct decision_request *q)
{
	const char *tool = span_is(q->action, "fs:write") ? "fs.write" : "fs.read";
	struct learn_grant *g;
	int changed = grant_of(l, tool, true, false, &g);

	if (!g || changed < 0)
		return changed;
	for (size_t i = 0; i < q->path_count; i++)
		changed = sum(changed, add_text(l, &g->paths, &g->path_count, q->paths[i]));
	return changed;
}

/* 1 or more if something was added, 0 if nothing can be. */
static int widen(struct learn *l, const struct decision_request *q)
{
	struct learn_grant *g;
	int changed;

	if (span_starts(q->action, SPAN("tool:")))
		return widen_tool(l, q);
	if (span_starts(q->action, SPAN("fs:")))
		return widen_file(l, q);
	if (span_is(q->action, "exec") && q->argv_count) {
		changed = grant_of(l, "cmd.run", false, false, &g);
		return g && changed >= 0 ? sum(changed, add_command(l, g, q)) : changed;
	}
	if (span_is(q->action, "net:connect") && q->domain.n) {
		changed = grant_of(l, "web.fetch", false, true, &g);
		return g && changed >= 0
			? sum(changed, add_text(l, &g->domains, &g->domain_count, q->domain))
			: changed;
	}
	return 0; /* addresses and system calls: a context has no words for them */
}

/* ---- folding: many files of one folder ---- */

static struct span folder_of(const char *path)
{
	struct span s = span_cstr(path);

	while (s.n > 1 && s.p[s.n - 1] != '/')
		s.n--;
	return s.n > 1 ? span_sub(s, 0, s.n - 1) : s;
}

static int fold(struct learn *l, struct learn_grant *g)
{
	while (g->path_count > FOLD_ABOVE) {
		const char **old = g->paths;
		size_t count = g->path_count;
		g->paths = NULL;
		g->path_count = 0;
		for (size_t i = 0; i < count; i++) {
			int r = add_text(l, &g->paths, &g->path_count, folder_of(old[i]));
			if (r < 0)
				return r;
		}
		if (g->path_count == count)
			break;
	}
	return 0;
}

/* ---- asking ---- */

int learn_context(struct learn *l, struct rule_context *ret)
{
	struct rule_capability *list =
		arena_make_array(l->arena, struct rule_capability, l->grant_count + 1);
	size_t n = 0;

	if (!list)
		return no_memory();
	for (size_t i = 0; i < l->grant_count; i++) {
		const struct learn_grant *g = &l->grants[i];
		if ((g->with_path && !g->path_count) || (g->with_domain && !g->domain_count))
			continue; /* an empty list would permit everything */
		if (strcmp(g->tool, "cmd.run") == 0 && !g->command_count)
			continue;
		list[n++] = (struct rule_capability){.tool_pattern = g->tool,
			.paths = {g->paths, g->path_count},
			.domains = {g->domains, g->domain_count},
			.commands = g->commands,
			.command_count = g->command_count};
	}
	*ret = (struct rule_context){.name = l->name, .capabilities = list, .capability_count = n};
	return 0;
}

static int seal(struct learn *l, struct rule_set **ret)
{
	struct rule_set_builder *b = rule_set_builder_new();
	struct rule_context c;
	int r = b ? learn_context(l, &c) : no_memory();

	if (r == 0)
		r = rule_add_context(b, &c, RULE_CONTEXT_GRANTS);
	if (r == 0) {
		*ret = rule_set_seal(b);
		r = *ret ? 0 : -EINVAL;
	}
	rule_set_builder_free(b);
	return err_trace(r);
}

static int is_permitted(
	struct learn *l, const struct rule_set *set, const struct decision_request *q, bool *ret)
{
	struct decision d;

	arena_reset(l->ask);
	int r = policy_decide(set, NULL, q, 0, l->ask, &d);
	*ret = r == 0 && d.allowed;
	return err_trace(r);
}

int learn_denied(struct learn *l, const struct rule_set *set, size_t *ret, size_t *ret_first)
{
	*ret = 0;
	for (size_t i = 0; i < l->count; i++) {
		bool ok = true;
		int r = l->beyond[i] ? 0 : is_permitted(l, set, l->questions[i], &ok);
		if (r < 0)
			return err_trace(r);
		if (!ok && (*ret)++ == 0)
			*ret_first = i;
	}
	return 0;
}

/* How many entries were added; what is denied while none can be is beyond. */
static int round_of(struct learn *l)
{
	struct rule_set *set = NULL;
	int r = seal(l, &set), added = 0;

	for (size_t i = 0; r >= 0 && i < l->count; i++) {
		bool ok = true;
		r = l->beyond[i] ? 0 : is_permitted(l, set, l->questions[i], &ok);
		if (r < 0 || ok)
			continue;
		r = widen(l, l->questions[i]);
		added = sum(added, r);
		l->beyond[i] = added == 0;
		l->beyond_count += l->beyond[i];
	}
	rule_set_unref(set);
	for (size_t i = 0; r >= 0 && added > 0 && i < l->grant_count; i++)
		r = fold(l, &l->grants[i]);
	return r < 0 ? err_trace(r) : added;
}

/* ---- taking out ---- */

static int still_enough(struct learn *l, bool *ret)
{
	struct rule_set *set = NULL;
	size_t denied = 0, first;
	int r = seal(l, &set);

	if (r == 0)
		r = learn_denied(l, set, &denied, &first);
	rule_set_unref(set);
	*ret = denied == 0;
	return err_trace(r);
}

/* Takes entry i out of a list, for good if nothing misses it. The last one stays: see
 * learn_context(). */
static int try_without(struct learn *l, const char **list, size_t *count, size_t i, bool *ret_out)
{
	const char *entry = list[i];

	memmove(list + i, list + i + 1, (*count - i - 1) * sizeof(*list));
	(*count)--;
	int r = still_enough(l, ret_out);
	if (r < 0 || *ret_out)
		return r;
	memmove(list + i + 1, list + i, (*count - i) * sizeof(*list));
	list[i] = entry;
	(*count)++;
	return 0;
}

static int prune_list(struct learn *l, const char **list, size_t *count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < *count;) {
		bool out = false;
		r = try_without(l, list, count, i, &out);
		i += !out;
	}
	return r;
}

static int prune_grant(struct learn *l, size_t i)
{
	struct learn_grant kept = l->grants[i];
	bool out = false;

	memmove(l->grants + i, l->grants + i + 1, (l->grant_count - i - 1) * sizeof(kept));
	l->grant_count--;
	int r = still_enough(l, &out);
	if (r < 0 || out)
		return r < 0 ? r : 1;
	memmove(l->grants + i + 1, l->grants + i, (l->grant_count - i) * sizeof(kept));
	l->grants[i] = kept;
	l->grant_count++;
	r = prune_list(l, l->grants[i].paths, &l->grants[i].path_count);
	return r < 0 ? r : prune_list(l, l->grants[i].domains, &l->grants[i].domain_count);
}

static size_t entries(const struct learn *l)
{
	size_t n = l->grant_count;

	for (size_t i = 0; i < l->grant_count; i++)
		n += l->grants[i].path_count + l->grants[i].domain_count;
	return n;
}

int learn_solve(struct learn *l)
{
	int r = 1;

	for (int i = 0; r > 0 && i < ROUNDS_MAX; i++)
		r = round_of(l);
	/* Each try asks every question: with very many, what is added first is left as it is. */
	if (r < 0 || entries(l) * l->count > PRUNE_DECISIONS_MAX)
		return r < 0 ? err_trace(r) : 0;
	for (size_t i = 0; r >= 0 && i < l->grant_count;) {
		r = prune_grant(l, i);
		i += r == 0;
	}
	return r < 0 ? err_trace(r) : 0;
}
