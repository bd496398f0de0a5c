/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A security context for a caller that has nothing else: each capability is a permit for its tools,
 * and for what its tools do to files, programs and the net.
 */
#include "policy/context/capability.h"

static int grant_tools(struct naming *n, const struct rule_capability *c)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192),
			   condition CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	struct rule_head head = {.origin = n->origin};

	head.code = capability_constraint(c, &accepts);
	head.accepts = buf_view(&accepts);
	int r = capability_put_constraints(&condition, c, n->origin);
	if (r == 0)
		r = rule_begin(n->b, &head);
	if (r == 0)
		r = buf_error(&condition);
	if (r < 0)
		return err_trace(r);
	buf_puts(&n->b->text, "permit (principal, ");
	put_tool_action(&n->b->text, span_cstr(c->tool_pattern));
	buf_puts(&n->b->text, ", resource)");
	if (condition.len) {
		buf_puts(&n->b->text, "\nwhen { true");
		buf_span(&n->b->text, buf_view(&condition));
		buf_puts(&n->b->text, " }");
	}
	buf_puts(&n->b->text, ";\n");
	return 0;
}

static int grant_files(struct naming *n, const struct rule_capability *c, bool writing)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192);
	struct rule_head head = {.origin = n->origin,
		.suffix = writing ? ".fs:write" : ".fs:read",
		.code = DECISION_PATH_NOT_ALLOWED};

	if (!pattern_touches_files(span_cstr(c->tool_pattern), writing))
		return 0;
	put_list(&accepts, &c->paths);
	head.accepts = accepts.len ? buf_view(&accepts) : SPAN("/");
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_printf(&n->b->text, "permit (principal, action == Action::\"%s\", resource)",
		writing ? "fs:write" : "fs:read");
	if (c->paths.count) {
		buf_puts(&n->b->text, "\nwhen { ");
		put_paths(&n->b->text, "resource", &c->paths);
		buf_puts(&n->b->text, " }");
	}
	buf_puts(&n->b->text, ";\n");
	return 0;
}

static int grant_programs(struct naming *n, const struct rule_capability *c)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192);
	struct rule_head head = {
		.origin = n->origin, .suffix = ".exec", .code = DECISION_COMMAND_NOT_ALLOWED};

	if (!capability_runs_commands(c))
		return 0;
	capability_put_accepted_commands(&accepts, c);
	head.accepts = accepts.len ? buf_view(&accepts) : SPAN("*");
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(&n->b->text, "permit (principal, action == Action::\"exec\", resource)");
	if (c->command_count) {
		buf_puts(&n->b->text, "\nwhen { ");
		r = capability_put_commands(&n->b->text, c, n->origin);
		buf_puts(&n->b->text, " }");
	}
	buf_puts(&n->b->text, ";\n");
	return err_trace(r);
}

static int grant_net(struct naming *n, const struct rule_capability *c)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192);
	struct rule_head head = {
		.origin = n->origin, .suffix = ".net", .code = DECISION_DOMAIN_NOT_ALLOWED};

	if (!capability_reaches_net(c))
		return 0;
	put_list(&accepts, &c->domains);
	head.accepts = accepts.len ? buf_view(&accepts) : SPAN("*");
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(&n->b->text,
		"permit (principal, action == Action::\"net:connect\", resource is Domain)");
	if (c->domains.count) {
		buf_puts(&n->b->text, "\nwhen { ");
		put_domains(&n->b->text, "resource", &c->domains);
		buf_puts(&n->b->text, " }");
	}
	buf_puts(&n->b->text, ";\n");
	return 0;
}

int capability_grant(struct naming *n, const struct rule_capability *c)
{
	int r = grant_tools(n, c);

	if (r == 0)
		r = grant_files(n, c, false);
	if (r == 0)
		r = grant_files(n, c, true);
	if (r == 0)
		r = grant_net(n, c);
	return r < 0 ? err_trace(r) : err_trace(grant_programs(n, c));
}
