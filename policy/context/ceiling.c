/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A security context over rules that others write: what no capability lists is forbidden, whoever
 * permits it. A capability with constraints gets a forbid of its own, so that a denial names what
 * was wanting.
 */
#include "policy/context/capability.h"

/* All capabilities, one behind the other, as the body of an `unless`. */
static int put_any(struct naming *n, const struct rule_capability *list, size_t count)
{
	struct buf *b = &n->b->text;

	buf_puts(b, count ? "" : "false");
	for (size_t i = 0; i < count; i++) {
		buf_puts(b, i ? "\n\t|| (" : "(");
		put_tool_action(b, span_cstr(list[i].tool_pattern));
		int r = capability_put_constraints(b, &list[i], n->origin);
		if (r < 0)
			return err_trace(r);
		buf_putc(b, ')');
	}
	return 0;
}

static int forbid_other_tools(struct naming *n, const struct rule_capability *list, size_t count)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192);
	struct rule_head head = {
		.origin = n->origin, .suffix = ".capabilities", .code = DECISION_TOOL_NOT_ALLOWED};

	for (size_t i = 0; i < count && accepts.len < 400; i++)
		buf_printf(&accepts, "%s%s", i ? ", " : "", list[i].tool_pattern);
	head.accepts = accepts.len ? buf_view(&accepts) : SPAN("nothing");
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(
		&n->b->text, "forbid (principal, action in Action::\"tool\", resource)\nunless { ");
	buf_puts(&n->b->text, count ? "" : "false");
	for (size_t i = 0; i < count; i++) {
		buf_puts(&n->b->text, i ? " || " : "");
		put_tool_action(&n->b->text, span_cstr(list[i].tool_pattern));
	}
	buf_puts(&n->b->text, " };\n");
	return 0;
}

/* For the tools of one constrained capability: none of all capabilities lists the call. */
static int forbid_unlisted(
	struct naming *n, const struct rule_capability *list, size_t count, size_t of)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192);
	struct rule_head head = {
		.origin = n->origin, .code = capability_constraint(&list[of], &accepts)};

	head.accepts = buf_view(&accepts);
	if (head.code == DECISION_TOOL_NOT_ALLOWED)
		return 0;
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(&n->b->text, "forbid (principal, ");
	put_tool_action(&n->b->text, span_cstr(list[of].tool_pattern));
	buf_puts(&n->b->text, ", resource)\nunless { ");
	r = put_any(n, list, count);
	buf_puts(&n->b->text, " };\n");
	return err_trace(r);
}

static int forbid_other_files(
	struct naming *n, const struct rule_capability *list, size_t count, bool writing)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192),
			   any CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	struct rule_head head = {.origin = n->origin,
		.suffix = writing ? ".fs:write" : ".fs:read",
		.code = DECISION_PATH_NOT_ALLOWED};

	for (size_t i = 0; i < count; i++) {
		if (!pattern_touches_files(span_cstr(list[i].tool_pattern), writing))
			continue;
		if (!list[i].paths.count)
			return 0;
		buf_puts(&accepts, accepts.len ? ", " : "");
		put_list(&accepts, &list[i].paths);
		buf_puts(&any, any.len ? " || " : "");
		put_paths(&any, "resource", &list[i].paths);
	}
	head.accepts = accepts.len ? buf_view(&accepts) : SPAN("nothing");
	int r = buf_error(&accepts);
	if (r == 0)
		r = buf_error(&any);
	if (r == 0)
		r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_printf(&n->b->text, "forbid (principal, action == Action::\"%s\", resource)",
		writing ? "fs:write" : "fs:read");
	if (any.len) {
		buf_puts(&n->b->text, "\nunless { ");
		buf_span(&n->b->text, buf_view(&any));
		buf_puts(&n->b->text, " }");
	}
	buf_puts(&n->b->text, ";\n");
	return 0;
}

static int forbid_other_programs(struct naming *n, const struct rule_capability *list, size_t count)
{
	const struct rule_head head = {
		.origin = n->origin, .suffix = ".exec", .code = DECISION_COMMAND_NOT_ALLOWED};
	size_t limited = 0;

	for (size_t i = 0; i < count; i++) {
		if (capability_runs_commands(&list[i]) && !list[i].command_count)
			return 0;
		limited += capability_runs_commands(&list[i]);
	}
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(&n->b->text, "forbid (principal, action == Action::\"exec\", resource)");
	buf_puts(&n->b->text, limited ? "\nunless { " : "");
	for (size_t i = 0, put = 0; r == 0 && i < count; i++) {
		if (!capability_runs_commands(&list[i]))
			continue;
		buf_puts(&n->b->text, put++ ? " || " : "");
		r = capability_put_commands(&n->b->text, &list[i], n->origin);
	}
	buf_puts(&n->b->text, limited ? " };\n" : ";\n");
	return err_trace(r);
}

static int forbid_other_net(struct naming *n, const struct rule_capability *list, size_t count)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192),
			   any CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	struct rule_head head = {
		.origin = n->origin, .suffix = ".net", .code = DECISION_DOMAIN_NOT_ALLOWED};

	for (size_t i = 0; i < count; i++) {
		if (!capability_reaches_net(&list[i]))
			continue;
		if (capability_is_wide(&list[i]) && !list[i].domains.count)
			return 0;
		buf_puts(&any, any.len ? " || " : "");
		buf_puts(&accepts, accepts.len ? ", " : "");
		if (list[i].domains.count) {
			put_domains(&any, "resource", &list[i].domains);
			put_list(&accepts, &list[i].domains);
		} else {
			buf_puts(&any, "resource is Domain");
			buf_puts(&accepts, "*");
		}
	}
	head.accepts = accepts.len ? buf_view(&accepts) : SPAN("nothing");
	int r = buf_error(&any);
	if (r == 0)
		r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(&n->b->text, "forbid (principal, action == Action::\"net:connect\", resource)");
	if (any.len) {
		buf_puts(&n->b->text, "\nunless { ");
		buf_span(&n->b->text, buf_view(&any));
		buf_puts(&n->b->text, " }");
	}
	buf_puts(&n->b->text, ";\n");
	return 0;
}

int context_ceiling(
	struct naming *n, const struct rule_context *c, const struct rule_capability *list)
{
	size_t count = c->capability_count;

	context_name(n, c, "", 0, 0);
	int r = forbid_other_tools(n, list, count);
	if (r == 0)
		r = forbid_other_files(n, list, count, false);
	if (r == 0)
		r = forbid_other_files(n, list, count, true);
	if (r == 0)
		r = forbid_other_programs(n, list, count);
	if (r == 0)
		r = forbid_other_net(n, list, count);
	for (size_t i = 0; r == 0 && i < count; i++) {
		context_name(n, c, ".capabilities", i, list[i].line);
		r = forbid_unlisted(n, list, count, i);
	}
	return err_trace(r);
}
