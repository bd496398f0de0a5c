/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The decision. Forbid wins over permit, and what no policy permits is denied: every path through
 * this file that does not end in a permit ends in a denial. A forbid that cannot be evaluated
 * counts as one that applies, where Cedar by itself would pass it over.
 */
#include "policy/context/rules.h"

const char *decision_code_name(enum decision_code c)
{
	switch (c) {
	case DECISION_OK:
		return "OK";
	case DECISION_TOOL_NOT_ALLOWED:
		return "TOOL_NOT_ALLOWED";
	case DECISION_TOOL_DENIED:
		return "TOOL_DENIED";
	case DECISION_PATH_NOT_ALLOWED:
		return "PATH_NOT_ALLOWED";
	case DECISION_COMMAND_NOT_ALLOWED:
		return "COMMAND_NOT_ALLOWED";
	case DECISION_DOMAIN_NOT_ALLOWED:
		return "DOMAIN_NOT_ALLOWED";
	case DECISION_RATE_LIMIT_EXCEEDED:
		return "RATE_LIMIT_EXCEEDED";
	case DECISION_NO_MATCHING_CAPABILITY:
		return "NO_MATCHING_CAPABILITY";
	}
	return "UNKNOWN";
}

static int refuse(struct decision *ret, enum decision_code code, const char *reason)
{
	ret->allowed = false;
	ret->code = code;
	ret->policy_id = SPAN("default");
	ret->policy_ids = NULL;
	ret->policy_count = 0;
	ret->reason = span_cstr(reason);
	return reason ? 0 : err_raise(-ENOMEM, "decision: request memory used up");
}

/* A request that lacks what its action is about is not asked. */
static int check_request(const struct decision_request *q, struct arena *a, struct decision *ret)
{
	enum action_kind kind = action_kind(q->action);

	switch (kind) {
	case ACTION_FILE:
		if (q->path_count == 0)
			return refuse(ret, DECISION_PATH_NOT_ALLOWED, "no path was given");
		return 0;
	case ACTION_EXEC:
		if (q->argv_count == 0)
			return refuse(ret, DECISION_COMMAND_NOT_ALLOWED, "no command was given");
		return 0;
	case ACTION_TOOL:
		if (q->action.n == strlen("tool:"))
			return refuse(ret, DECISION_TOOL_NOT_ALLOWED, "no tool was named");
		if (span_is(q->action, "tool:cmd.run") && q->argv_count == 0)
			return refuse(ret, DECISION_COMMAND_NOT_ALLOWED, "no command was given");
		return 0;
	case ACTION_NET:
		if (q->domain.n == 0 && q->address.n == 0)
			return refuse(ret, DECISION_DOMAIN_NOT_ALLOWED,
				"no domain and no address was given");
		return 0;
	case ACTION_SYS:
		return 0;
	case ACTION_UNKNOWN: /* an action nobody wrote a rule for is denied, not ignored */
		break;
	}
	return refuse(ret, DECISION_NO_MATCHING_CAPABILITY,
		arena_printf(a, "action '" SPAN_FMT "' is not known", SPAN_ARG(q->action)));
}

static bool a_forbid_failed(const struct rule_set *s, const struct cedar_answer *answer)
{
	for (size_t i = 0; i < answer->error_count; i++)
		if (set_info(s, answer->errors[i].policy)->forbids)
			return true;
	return false;
}

static int name_policies(const struct rule_set *s, const struct cedar_answer *answer,
	struct arena *a, struct decision *ret)
{
	struct span *ids = arena_raw(a, (answer->reason_count + 1) * sizeof(*ids));

	if (!ids)
		return err_raise(-ENOMEM, "decision: request memory used up");
	for (size_t i = 0; i < answer->reason_count; i++)
		ids[i] = set_info(s, answer->reasons[i])->id;
	ret->policy_ids = ids;
	ret->policy_count = answer->reason_count;
	ret->policy_id = answer->reason_count ? ids[0] : SPAN("default");
	return 0;
}

static int ask(const struct rule_set *s, const struct decision_request *q,
	const struct question *question, struct arena *a, struct decision *ret)
{
	struct cedar_answer answer;
	int r = set_authorize(a, s, SET_VERDICTS, question, &answer);

	if (r == 0)
		r = name_policies(s, &answer, a, ret);
	if (r < 0)
		return err_trace(r);
	ret->allowed = answer.allow && !a_forbid_failed(s, &answer);
	ret->code = DECISION_OK;
	return ret->allowed ? 0 : err_trace(deny_explain(a, s, q, question, &answer, ret));
}

/* Asks about each path, or once if there is none; stops at the first denial. */
static int decide(const struct rule_set *s, const struct decision_request *q, struct arena *a,
	struct question *last, struct decision *ret)
{
	int r = check_request(q, a, ret);

	if (r < 0 || ret->code)
		return err_trace(r);
	size_t count = MAX(q->path_count, (size_t)1);
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = question_make(a, s, q, i, last);
		if (r == -EINVAL) {
			r = refuse(ret, DECISION_NO_MATCHING_CAPABILITY,
				arena_strdup(a, err_message(r)));
			err_clear();
			return err_trace(r);
		}
		if (r == 0)
			r = ask(s, q, last, a, ret);
		if (!ret->allowed)
			break;
	}
	return err_trace(r);
}

int policy_decide(const struct rule_set *s, struct rate_state *rate,
	const struct decision_request *q, int64_t now_ns, struct arena *a, struct decision *ret)
{
	struct decision d = {.policy_set = s->hash, .policy_id = SPAN("default")};
	struct question last = {0};
	int r = decide(s, q, a, &last, &d);

	if (r == 0 && d.allowed && action_kind(q->action) == ACTION_TOOL)
		r = limits_apply(rate, s, q, now_ns, a, &d);
	if (r < 0)
		return err_trace(r);
	*ret = d;
	return 0;
}

/* ---- explanations ---- */

const char *rule_fate_text(enum rule_fate f)
{
	switch (f) {
	case RULE_APPLIES:
		return "applies";
	case RULE_OTHER_PRINCIPAL:
		return "is about other principals";
	case RULE_OTHER_ACTION:
		return "is about other actions";
	case RULE_OTHER_RESOURCE:
		return "is about other resources";
	case RULE_CONDITION_FALSE:
		return "its condition is false";
	case RULE_ERROR:
		return "its condition cannot be evaluated";
	}
	return "unknown";
}

static enum rule_fate fate_of(enum cedar_fate f)
{
	switch (f) {
	case CEDAR_SATISFIED:
		return RULE_APPLIES;
	case CEDAR_OTHER_PRINCIPAL:
		return RULE_OTHER_PRINCIPAL;
	case CEDAR_OTHER_ACTION:
		return RULE_OTHER_ACTION;
	case CEDAR_OTHER_RESOURCE:
		return RULE_OTHER_RESOURCE;
	case CEDAR_CONDITION_FALSE:
		return RULE_CONDITION_FALSE;
	case CEDAR_FAILED:
		break;
	}
	return RULE_ERROR;
}

/* Of a layer's verdicts, behind those of the one before. */
static int explain_layer(const struct rule_set *s, const struct rule_set *layer,
	const struct question *q, struct arena *a, struct rule_verdict *to)
{
	struct cedar_verdict *verdicts = NULL;
	int r = cedar_explain(a, layer->verdicts, q->entities, &q->request, &verdicts);

	if (r < 0)
		return err_trace(r);
	for (size_t i = 0; i < cedar_set_count(layer->verdicts); i++) {
		const struct policy_info *info = set_info(s, cedar_policy_id(verdicts[i].policy));
		to[i] = (struct rule_verdict){.id = info->id,
			.file = info->file,
			.line = info->line,
			.forbid = info->forbids,
			.fate = fate_of(verdicts[i].fate),
			.detail = verdicts[i].detail};
	}
	return 0;
}

int policy_explain(const struct rule_set *s, const struct decision_request *q, struct arena *a,
	struct decision *ret, struct rule_verdict **ret_verdicts, size_t *ret_count)
{
	struct decision d = {.policy_set = s->hash, .policy_id = SPAN("default")};
	struct question last = {0};
	int r = decide(s, q, a, &last, &d);
	struct rule_verdict *list = arena_make_array(a, struct rule_verdict, rule_set_count(s) + 1);
	size_t count = 0;

	if (r == 0 && !list)
		r = err_raise(-ENOMEM, "decision: request memory used up");
	if (last.entities) {
		set_for_each_layer(l, s)
		{
			if (r == 0)
				r = explain_layer(s, l, &last, a, list + count);
			count += cedar_set_count(l->verdicts);
		}
	}
	if (r < 0)
		return err_trace(r);
	*ret = d;
	*ret_verdicts = list;
	*ret_count = count;
	return 0;
}
