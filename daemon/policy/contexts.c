/* SPDX-License-Identifier: AGPL-3.0-only */
/* Security contexts of the configuration, in the words of policy/context. */
#include "daemon/policy/internal.h"

static struct rule_strings strings(const config_strings *list)
{
	return (struct rule_strings){(const char *const *)list->items, list->count};
}

static int commands_make(struct arena *a, const struct config_grant *g, struct rule_capability *ret)
{
	size_t count = g->command_allowlist.count + g->subcommand_allowlist.count;
	struct rule_command *commands = arena_make_array(a, struct rule_command, count + 1);

	if (!commands)
		return err_raise(-ENOMEM, "security contexts: out of memory");
	for (size_t i = 0; i < g->command_allowlist.count; i++)
		commands[ret->command_count++].command = g->command_allowlist.items[i];
	for (size_t i = 0; i < g->subcommand_allowlist.count; i++)
		commands[ret->command_count++] =
			(struct rule_command){g->subcommand_allowlist.keys[i],
				strings(&g->subcommand_allowlist.values[i])};
	ret->commands = commands;
	return 0;
}

static int context_make(struct arena *a, const struct config *c,
	const struct config_security_context *from, struct rule_context *ret)
{
	size_t count = from->capabilities.count;
	struct rule_capability *list = arena_make_array(a, struct rule_capability, count + 1);
	int r = list ? 0 : err_raise(-ENOMEM, "security contexts: out of memory");

	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct config_grant *g = &from->capabilities.items[i];
		list[i] = (struct rule_capability){
			.tool_pattern = g->tool_pattern,
			.paths = strings(&g->path_allowlist),
			.domains = strings(&g->domain_allowlist),
			.calls = (uint32_t)g->rate_limit.calls,
			.window_ms = g->rate_limit.per_seconds * 1000,
			.max_response_bytes = (uint64_t)g->max_response_bytes,
			.line = g->line,
		};
		r = commands_make(a, g, &list[i]);
	}
	*ret = (struct rule_context){.name = from->name,
		.file = c->file,
		.line = from->line,
		.capabilities = list,
		.capability_count = count,
		.deny_list = strings(&from->deny_list)};
	return err_trace(r);
}

int contexts_make(struct policy_snapshot *s, const struct config *c)
{
	size_t count = c->security_contexts.count;
	int r = 0;

	s->contexts = arena_make_array(s->arena, struct rule_context, count + 1);
	if (!s->contexts)
		return err_raise(-ENOMEM, "security contexts: out of memory");
	for (size_t i = 0; r == 0 && i < count; i++)
		r = context_make(s->arena, c, &c->security_contexts.items[i], &s->contexts[i]);
	s->context_count = count;
	return err_trace(r);
}

size_t policy_context_count(const struct policy_snapshot *s)
{
	return s->context_count;
}

const struct rule_context *policy_context_at(const struct policy_snapshot *s, size_t index)
{
	return &s->contexts[index];
}

const struct rule_context *policy_context_find(const struct policy_snapshot *s, struct span name)
{
	for (size_t i = 0; i < s->context_count; i++)
		if (span_is(name, s->contexts[i].name))
			return &s->contexts[i];
	return NULL;
}

int policy_builder(const struct policy_snapshot *s, struct span context, enum rule_context_use use,
	struct rule_set_builder **ret)
{
	bool unnamed = context.n == 0 && use == RULE_CONTEXT_CEILING;
	const struct rule_context *c = policy_context_find(s, unnamed ? SPAN("default") : context);

	if (!c && !unnamed)
		return POLICY_NO_CONTEXT;
	struct rule_set_builder *b = rule_set_builder_new();
	int r = b ? rule_add_set(b, s->rules) : err_raise(-ENOMEM, "policy: out of memory");
	if (r == 0 && c)
		r = rule_add_context(b, c, use);
	if (r < 0) {
		rule_set_builder_free(b);
		return err_trace(r);
	}
	*ret = b;
	return 0;
}
