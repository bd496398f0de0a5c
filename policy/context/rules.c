/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Rule sets: collected by a builder, sealed once, immutable and shared from then on. A set's text
 * is JSON from which rule_set_load makes the same set again, so that a decision that was recorded
 * with the hash of its set can be decided again years later.
 */
#include "policy/context/rules.h"
#include <sodium.h>
#include <stdlib.h>

struct rule_set_builder {
	struct arena *arena;
	struct rule *rules;
	size_t count;
	size_t capacity;
};

static const char *const kind_names[RULE_KINDS] = {
	[RULE_DENY_TOOL] = "deny_tool",
	[RULE_ALLOW_TOOL] = "allow_tool",
	[RULE_ALLOW_PATH] = "allow_path",
	[RULE_ALLOW_COMMAND] = "allow_command",
	[RULE_RATE_LIMIT] = "rate_limit",
};

struct rule_set_builder *rule_set_builder_new(void)
{
	struct rule_set_builder *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->arena = arena_new(LIMIT_RULE_SET_BYTES);
	return b->arena ? b : rule_set_builder_free(b);
}

struct rule_set_builder *rule_set_builder_free(struct rule_set_builder *b)
{
	if (!b)
		return NULL;
	arena_free(b->arena);
	free(b->rules);
	free(b);
	return NULL;
}

static int rule_add(struct rule_set_builder *b, const struct rule *rule, struct rule_origin o)
{
	if (b->count == LIMIT_RULES)
		return err_raise(-E2BIG, "%s: more than %d rules", o.field, LIMIT_RULES);
	if (b->count == b->capacity) {
		size_t capacity = b->capacity ? 2 * b->capacity : 16;
		struct rule *grown = realloc(b->rules, capacity * sizeof(*grown));
		if (!grown)
			return err_raise(-ENOMEM, "rules: out of memory");
		b->rules = grown;
		b->capacity = capacity;
	}
	struct rule copy = *rule;
	char *id = arena_strdup(b->arena, o.field);
	char *pattern = arena_cstr(b->arena, rule->pattern);
	char *file = o.file ? arena_strdup(b->arena, o.file) : NULL;
	if (!id || !pattern || (o.file && !file))
		return err_raise(-ENOMEM, "%s: rule set is full", o.field);
	copy.id = span_cstr(id);
	copy.pattern = span_of(pattern, rule->pattern.n);
	copy.file = span_cstr(file);
	copy.line = o.line;
	b->rules[b->count++] = copy;
	return 0;
}

static int tool_pattern_check(const char *pattern, struct rule_origin o)
{
	struct span s = span_cstr(pattern);
	ssize_t star = span_find_byte(s, '*', 0);

	if (s.n == 0 || s.n > LIMIT_NAME_BYTES)
		return err_raise(
			-EINVAL, "%s: a tool pattern has 1 to %d bytes", o.field, LIMIT_NAME_BYTES);
	if (star >= 0 && !span_is(s, "*") && !((size_t)star == s.n - 1 && span_ends(s, SPAN(".*"))))
		return err_raise(-EINVAL,
			"%s: tool pattern '%s': '*' is accepted alone or as the last segment "
			"(\"fs.*\")",
			o.field, pattern);
	return 0;
}

static int rule_add_tool(
	struct rule_set_builder *b, enum rule_kind kind, const char *pattern, struct rule_origin o)
{
	int r = tool_pattern_check(pattern, o);
	if (r < 0)
		return err_trace(r);
	return err_trace(
		rule_add(b, &(struct rule){.kind = kind, .pattern = span_cstr(pattern)}, o));
}

int rule_allow_tool(struct rule_set_builder *b, const char *pattern, struct rule_origin o)
{
	return err_trace(rule_add_tool(b, RULE_ALLOW_TOOL, pattern, o));
}

int rule_deny_tool(struct rule_set_builder *b, const char *pattern, struct rule_origin o)
{
	return err_trace(rule_add_tool(b, RULE_DENY_TOOL, pattern, o));
}

int rule_allow_path(
	struct rule_set_builder *b, const char *action, const char *glob, struct rule_origin o)
{
	struct arena *scratch CLEANUP(arena_cleanup) = arena_new(4 * LIMIT_PATH_BYTES);
	struct span canonical, name = span_cstr(action);

	if (!scratch)
		return err_raise(-ENOMEM, "rules: out of memory");
	if (!span_is(name, "fs:read") && !span_is(name, "fs:write"))
		return err_raise(-EINVAL, "%s: action '%s': fs:read and fs:write are accepted",
			o.field, action);
	if (glob[0] != '/')
		return err_raise(-EINVAL, "%s: path '%s' must be absolute", o.field, glob);
	int r = context_canonical_path(span_cstr(glob), SPAN("/"), scratch, &canonical);
	if (r < 0)
		return err_wrap(r, "%s", o.field);
	struct rule rule = {.kind = RULE_ALLOW_PATH, .pattern = canonical};
	rule.action = span_is(name, "fs:read") ? SPAN("fs:read") : SPAN("fs:write");
	return err_trace(rule_add(b, &rule, o));
}

int rule_allow_command(struct rule_set_builder *b, const char *command,
	const char *const *first_args, size_t count, struct rule_origin o)
{
	struct rule rule = {.kind = RULE_ALLOW_COMMAND, .pattern = span_cstr(command)};

	if (rule.pattern.n == 0 || rule.pattern.n > LIMIT_NAME_BYTES || strchr(command, '/'))
		return err_raise(-EINVAL,
			"%s: command '%s': give the program's base name, or \"*\"", o.field,
			command);
	if (first_args) {
		struct span *copy = arena_make_array(b->arena, struct span, count + 1);
		for (size_t i = 0; copy && i < count; i++) {
			copy[i] = span_cstr(arena_strdup(b->arena, first_args[i]));
			if (!copy[i].p)
				copy = NULL;
		}
		if (!copy)
			return err_raise(-ENOMEM, "%s: rule set is full", o.field);
		rule.first_args = copy;
		rule.first_arg_count = count;
	}
	return err_trace(rule_add(b, &rule, o));
}

int rule_rate_limit(struct rule_set_builder *b, const char *tool_pattern, uint32_t calls,
	int64_t window_ms, struct rule_origin o)
{
	int r = tool_pattern_check(tool_pattern, o);
	if (r < 0)
		return err_trace(r);
	if (calls == 0 || window_ms <= 0)
		return err_raise(
			-EINVAL, "%s: a rate limit needs at least 1 call and 1 ms", o.field);
	struct rule rule = {.kind = RULE_RATE_LIMIT, .pattern = span_cstr(tool_pattern)};
	rule.calls = calls;
	rule.window_ms = window_ms;
	return err_trace(rule_add(b, &rule, o));
}

static void rule_put(struct json_writer *w, const struct rule *rule)
{
	json_object(w);
	json_field_cstr(w, "kind", kind_names[rule->kind]);
	json_field_span(w, "id", rule->id);
	if (rule->file.n)
		json_field_span(w, "file", rule->file);
	if (rule->line)
		json_field_i64(w, "line", rule->line);
	json_field_span(w, "pattern", rule->pattern);
	if (rule->action.n)
		json_field_span(w, "action", rule->action);
	if (rule->first_args) {
		json_key(w, "first_args");
		json_array(w);
		for (size_t i = 0; i < rule->first_arg_count; i++)
			json_put_span(w, rule->first_args[i]);
		json_end(w);
	}
	if (rule->kind == RULE_RATE_LIMIT) {
		json_field_i64(w, "calls", rule->calls);
		json_field_i64(w, "window_ms", rule->window_ms);
	}
	json_end(w);
}

static int rule_set_describe(struct rule_set *s)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	struct json_writer w = json_writer(&b);
	uint8_t digest[32];

	json_object(&w);
	json_field_cstr(&w, "format", "aegis-rules/1");
	json_key(&w, "rules");
	json_array(&w);
	for (size_t i = 0; i < s->count; i++)
		rule_put(&w, &s->rules[i]);
	json_end(&w);
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	s->text = arena_span(s->arena, buf_view(&b));
	crypto_generichash(digest, sizeof(digest), (const uint8_t *)b.data, b.len, NULL, 0);
	buf_reset(&b);
	hex_encode(&b, span_of(digest, sizeof(digest)));
	s->hash = arena_span(s->arena, buf_view(&b));
	return s->text.p && s->hash.p ? 0 : err_raise(-ENOMEM, "rule set is full");
}

struct rule_set *rule_set_seal(struct rule_set_builder *b)
{
	struct rule_set *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->refs = 1;
	s->arena = TAKE_PTR(b->arena);
	s->rules = calloc(b->count + 1, sizeof(*s->rules));
	if (!s->rules)
		return rule_set_unref(s);
	for (int kind = 0; kind < RULE_KINDS; kind++) {
		s->first[kind] = s->count;
		for (size_t i = 0; i < b->count; i++)
			if (b->rules[i].kind == (enum rule_kind)kind)
				s->rules[s->count++] = b->rules[i];
	}
	s->first[RULE_KINDS] = s->count;
	b->count = 0;
	if (rule_set_describe(s) < 0)
		return rule_set_unref(s);
	return s;
}

struct rule_set *rule_set_ref(struct rule_set *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

struct rule_set *rule_set_unref(struct rule_set *s)
{
	/* Acquire and release: the last holder sees everything the others did. */
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return NULL;
	arena_free(s->arena);
	free(s->rules);
	free(s);
	return NULL;
}

struct span rule_set_hash(const struct rule_set *s)
{
	return s->hash;
}

struct span rule_set_text(const struct rule_set *s)
{
	return s->text;
}

static int load_command(struct rule_set_builder *b, const char *pattern, const struct json *v,
	struct arena *scratch, struct rule_origin o)
{
	const struct json *args = json_get(v, "first_args");
	const char **list = NULL;
	size_t count = 0;

	if (args) {
		list = arena_make_array(scratch, const char *, args->count + 1);
		if (!list)
			return err_raise(-ENOMEM, "rule set: out of memory");
		json_for_each (arg, args) {
			list[count] = arena_cstr(scratch, arg->text);
			if (!list[count++])
				return err_raise(-ENOMEM, "rule set: out of memory");
		}
	}
	return err_trace(rule_allow_command(b, pattern, list, count, o));
}

static int load_rule(struct rule_set_builder *b, const struct json *v, struct arena *scratch)
{
	struct rule_origin o = {.field = arena_cstr(scratch, json_str(v, "id", SPAN("rule")))};
	char *pattern = arena_cstr(scratch, json_str(v, "pattern", SPAN("")));
	char *action = arena_cstr(scratch, json_str(v, "action", SPAN("")));
	struct span kind = json_str(v, "kind", SPAN(""));

	if (json_get(v, "file"))
		o.file = arena_cstr(scratch, json_str(v, "file", SPAN("")));
	o.line = (int)json_i64(v, "line", 0);
	if (!o.field || !pattern || !action)
		return err_raise(-ENOMEM, "rule set: out of memory");
	if (span_is(kind, kind_names[RULE_DENY_TOOL]))
		return err_trace(rule_deny_tool(b, pattern, o));
	if (span_is(kind, kind_names[RULE_ALLOW_TOOL]))
		return err_trace(rule_allow_tool(b, pattern, o));
	if (span_is(kind, kind_names[RULE_ALLOW_PATH]))
		return err_trace(rule_allow_path(b, action, pattern, o));
	if (span_is(kind, kind_names[RULE_ALLOW_COMMAND]))
		return err_trace(load_command(b, pattern, v, scratch, o));
	if (span_is(kind, kind_names[RULE_RATE_LIMIT]))
		return err_trace(rule_rate_limit(b, pattern, (uint32_t)json_i64(v, "calls", 0),
			json_i64(v, "window_ms", 0), o));
	return err_raise(-EINVAL, "rule set: unknown kind '" SPAN_FMT "'", SPAN_ARG(kind));
}

int rule_set_load(struct span text, struct rule_set **ret)
{
	struct arena *scratch CLEANUP(arena_cleanup) = arena_new(4 * LIMIT_RULE_SET_BYTES);
	const struct json *v;

	if (!scratch)
		return err_raise(-ENOMEM, "rule set: out of memory");
	int r = json_parse(scratch, text, NULL, &v);
	if (r < 0)
		return err_wrap(r, "rule set");
	if (!span_is(json_str(v, "format", SPAN("")), "aegis-rules/1"))
		return err_raise(-EINVAL, "rule set: format is not aegis-rules/1");
	struct rule_set_builder *b = rule_set_builder_new();
	if (!b)
		return err_raise(-ENOMEM, "rule set: out of memory");
	const struct json *rules = json_get(v, "rules");
	for (size_t i = 0; rules && r == 0 && i < rules->count; i++)
		r = load_rule(b, &rules->items[i], scratch);
	struct rule_set *set = r == 0 ? rule_set_seal(b) : NULL;
	rule_set_builder_free(b);
	if (r < 0)
		return err_trace(r);
	if (!set)
		return err_raise(-ENOMEM, "rule set: out of memory");
	*ret = set;
	return 0;
}
