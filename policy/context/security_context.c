/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Security contexts as policies. As grants, each capability is a permit; as a ceiling, the same
 * conditions stand in forbids. Entries of deny_list are forbids in both, and so are limits.
 */
#include "policy/context/capability.h"
#include <stdio.h>

void context_name(
	struct naming *n, const struct rule_context *c, const char *what, size_t i, int line)
{
	snprintf(n->field, sizeof(n->field), "spec.security_contexts.%.80s%s", c->name, what);
	if (what[0])
		snprintf(n->field + strlen(n->field), sizeof(n->field) - strlen(n->field), "[%zu]",
			i);
	n->origin = (struct rule_origin){
		.field = n->field, .file = c->file, .line = line ? line : c->line};
}

/* ---- limits ---- */

static int add_limit(struct naming *n, const struct rule_capability *c)
{
	struct buf condition CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	struct rule_head head = {
		.origin = n->origin, .suffix = ".limits", .code = DECISION_RATE_LIMIT_EXCEEDED};

	if (!c->calls && !c->max_response_bytes)
		return 0;
	int r = capability_put_constraints(&condition, c, n->origin);
	if (r == 0)
		r = rule_begin(n->b, &head);
	if (r == 0)
		r = buf_error(&condition);
	if (r < 0)
		return err_trace(r);
	if (c->calls)
		buf_printf(&n->b->text, "@rate_calls(\"%u\")\n@rate_window_ms(\"%lld\")\n",
			c->calls, (long long)c->window_ms);
	if (c->max_response_bytes)
		buf_printf(&n->b->text, "@max_response_bytes(\"%llu\")\n",
			(unsigned long long)c->max_response_bytes);
	buf_puts(&n->b->text, "forbid (principal, ");
	put_tool_action(&n->b->text, span_cstr(c->tool_pattern));
	buf_puts(&n->b->text, ", resource)\nwhen { true");
	buf_span(&n->b->text, buf_view(&condition));
	buf_puts(&n->b->text, " };\n");
	return 0;
}

int rule_add_context(
	struct rule_set_builder *b, const struct rule_context *c, enum rule_context_use use)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_RULE_SET_MEMORY_BYTES);
	struct naming n = {.b = b};
	struct rule_capability *list =
		a ? arena_make_array(a, struct rule_capability, c->capability_count + 1) : NULL;
	int r = list ? 0 : err_raise(-ENOMEM, "security context: out of memory");

	for (size_t i = 0; r == 0 && i < c->deny_list.count; i++) {
		context_name(&n, c, ".deny_list", i, 0);
		r = context_deny(&n, c->deny_list.items[i], a);
	}
	for (size_t i = 0; r == 0 && i < c->capability_count; i++) {
		context_name(&n, c, ".capabilities", i, c->capabilities[i].line);
		r = capability_canonical(&c->capabilities[i], n.origin, a, &list[i]);
		if (r == 0 && use == RULE_CONTEXT_GRANTS)
			r = capability_grant(&n, &list[i]);
		if (r == 0)
			r = add_limit(&n, &list[i]);
	}
	if (r == 0 && use == RULE_CONTEXT_CEILING)
		r = context_ceiling(&n, c, list);
	return err_trace(r);
}
