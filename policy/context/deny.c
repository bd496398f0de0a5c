/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a denied caller is told: the code, what was refused, and what would be accepted. If a forbid
 * decided, these are its own. If nothing permitted, the permits that came near (all but their
 * conditions held) give the code; what is accepted is what permits of that code accept.
 */
#include "policy/context/rules.h"

enum { ACCEPTED_BYTES = 512, ACCEPTED_ENOUGH = 400 };

static int no_memory(void)
{
	return err_raise(-ENOMEM, "decision: request memory used up");
}

static enum decision_code usual_code(enum action_kind kind, bool forbidden)
{
	switch (kind) {
	case ACTION_FILE:
		return DECISION_PATH_NOT_ALLOWED;
	case ACTION_EXEC:
		return DECISION_COMMAND_NOT_ALLOWED;
	case ACTION_NET:
		return DECISION_DOMAIN_NOT_ALLOWED;
	case ACTION_TOOL:
	case ACTION_SYS:
		return forbidden ? DECISION_TOOL_DENIED : DECISION_TOOL_NOT_ALLOWED;
	case ACTION_UNKNOWN:
		break;
	}
	return DECISION_NO_MATCHING_CAPABILITY;
}

/* The highest code among the permits that came near: a constraint says more than a pattern. */
static enum decision_code near_code(const struct rule_set *s, const struct question *q)
{
	enum decision_code code = DECISION_OK;

	for (size_t i = 0; i < set_half_count(s, SET_VERDICTS); i++) {
		const struct cedar_policy *p = set_half_at(s, SET_VERDICTS, i);
		const struct policy_info *info = set_info(s, cedar_policy_id(p));
		if (!info->forbids && info->code > code &&
			cedar_policy_meets_scope(p, q->entities, &q->request))
			code = info->code;
	}
	return code;
}

static void add_accepted(struct buf *b, struct span accepts)
{
	if (!accepts.n || b->len > ACCEPTED_ENOUGH)
		return;
	if (b->len)
		buf_puts(b, ", ");
	if (b->len + accepts.n > ACCEPTED_ENOUGH) {
		buf_puts(b, "...");
		while (b->len <= ACCEPTED_ENOUGH)
			buf_putc(b, ' ');
		return;
	}
	buf_span(b, accepts);
}

/* What permits of this code accept: for tools all of them, else those about this action. */
static const char *accepted(const struct rule_set *s, const struct question *q,
	enum decision_code code, struct arena *a)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * ACCEPTED_BYTES);

	for (size_t i = 0; i < set_half_count(s, SET_VERDICTS); i++) {
		const struct cedar_policy *p = set_half_at(s, SET_VERDICTS, i);
		const struct policy_info *info = set_info(s, cedar_policy_id(p));
		if (info->forbids || info->code != code)
			continue;
		if (code == DECISION_TOOL_NOT_ALLOWED ||
			cedar_policy_meets_action(p, q->entities, &q->request.action))
			add_accepted(&b, info->accepts);
	}
	return arena_cstr(a, b.len ? span_trim(buf_view(&b)) : SPAN("nothing"));
}

/* "tool 'x'", "fs:read of '/etc'", "command 'rm -rf'", "domain 'x'": what was refused. */
static const char *subject(const struct decision_request *q, struct span path,
	enum decision_code code, struct arena *a)
{
	enum action_kind kind = action_kind(q->action);
	struct span tool = span_sub(q->action, strlen("tool:"), q->action.n);

	if (kind == ACTION_SYS)
		return arena_printf(a, "system call '" SPAN_FMT "'",
			SPAN_ARG(span_sub(q->action, strlen("sys:"), q->action.n)));
	if (kind == ACTION_FILE || (code == DECISION_PATH_NOT_ALLOWED && path.n))
		return arena_printf(
			a, SPAN_FMT " of '" SPAN_FMT "'", SPAN_ARG(q->action), SPAN_ARG(path));
	if (q->argv_count && (kind == ACTION_EXEC || code == DECISION_COMMAND_NOT_ALLOWED)) {
		struct span first = q->argv_count > 1 ? q->argv[1] : SPAN("");
		return arena_printf(a, "command '" SPAN_FMT "%s" SPAN_FMT "'", SPAN_ARG(q->argv[0]),
			first.n ? " " : "", SPAN_ARG(first));
	}
	if (kind == ACTION_NET)
		return arena_printf(a, "connection to '" SPAN_FMT "' port %u",
			SPAN_ARG(q->domain.n ? q->domain : q->address), (unsigned)q->port);
	if (code == DECISION_DOMAIN_NOT_ALLOWED && q->domain.n)
		return arena_printf(a, "domain '" SPAN_FMT "' for tool '" SPAN_FMT "'",
			SPAN_ARG(q->domain), SPAN_ARG(tool));
	return arena_printf(a, "tool '" SPAN_FMT "'", SPAN_ARG(tool));
}

static const char *allowed_word(enum decision_code code)
{
	return code == DECISION_COMMAND_NOT_ALLOWED ? "allowed programs" : "allowed";
}

/* The first forbid that applied, or else the first that failed. */
static const struct policy_info *forbid_of(
	const struct rule_set *s, const struct cedar_answer *answer, const char **ret_failure)
{
	*ret_failure = NULL;
	if (answer->reason_count && set_info(s, answer->reasons[0])->forbids)
		return set_info(s, answer->reasons[0]);
	for (size_t i = 0; i < answer->error_count; i++) {
		const struct policy_info *info = set_info(s, answer->errors[i].policy);
		if (info->forbids) {
			*ret_failure = answer->errors[i].message;
			return info;
		}
	}
	return NULL;
}

static int deny_by(struct arena *a, const struct decision_request *q, struct span path,
	const struct policy_info *by, const char *failure, struct decision *ret)
{
	const char *text;

	ret->code = by->code ? by->code : usual_code(action_kind(q->action), true);
	text = subject(q, path, ret->code, a);
	if (text && failure)
		text = arena_printf(
			a, "%s is denied: the policy cannot be evaluated: %s", text, failure);
	else if (text && by->accepts.n)
		text = arena_printf(a, "%s is not allowed; %s: " SPAN_FMT, text,
			allowed_word(ret->code), SPAN_ARG(by->accepts));
	else if (text)
		text = arena_printf(a, "%s is denied", text);
	if (failure) {
		struct span *id = arena_raw(a, sizeof(*id));
		if (!id)
			return no_memory();
		*id = by->id;
		ret->policy_ids = id;
		ret->policy_count = 1;
		ret->policy_id = by->id;
	}
	ret->reason = span_cstr(text);
	return text ? 0 : no_memory();
}

int deny_explain(struct arena *a, const struct rule_set *s, const struct decision_request *q,
	const struct question *question, const struct cedar_answer *answer, struct decision *ret)
{
	enum action_kind kind = action_kind(q->action);
	const char *failure, *what, *list;
	const struct policy_info *by = forbid_of(s, answer, &failure);

	if (by)
		return err_trace(deny_by(a, q, question->path, by, failure, ret));
	ret->code = kind == ACTION_FILE ? DECISION_OK : near_code(s, question);
	if (!ret->code)
		ret->code = usual_code(kind, false);
	what = subject(q, question->path, ret->code, a);
	list = accepted(s, question, ret->code, a);
	if (!what || !list)
		return no_memory();
	ret->reason = span_cstr(
		arena_printf(a, "%s is not allowed; %s: %s", what, allowed_word(ret->code), list));
	return ret->reason.p ? 0 : no_memory();
}
