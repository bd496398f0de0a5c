/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The decision. Forbid wins over permit, and what no rule permits is denied: every path through
 * this file that does not end in a matching permit ends in `deny`.
 */
#include "policy/context/rules.h"
#include <stdlib.h>

struct bucket {
	double tokens;
	int64_t filled_ns;
};

struct rate_state {
	const struct rule_set *set;
	struct bucket buckets[]; /* one per RULE_RATE_LIMIT rule, in the set's order */
};

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

struct rate_state *rate_state_new(struct rule_set *s)
{
	size_t count = s->first[RULE_RATE_LIMIT + 1] - s->first[RULE_RATE_LIMIT];
	struct rate_state *r = calloc(1, sizeof(*r) + count * sizeof(r->buckets[0]));
	if (!r)
		return NULL;
	r->set = s;
	for (size_t i = 0; i < count; i++) {
		r->buckets[i].tokens = s->rules[s->first[RULE_RATE_LIMIT] + i].calls;
		r->buckets[i].filled_ns = INT64_MIN; /* set by the first call */
	}
	return r;
}

struct rate_state *rate_state_free(struct rate_state *r)
{
	free(r);
	return NULL;
}

#define for_each_rule(rule, set, kind) \
	for (const struct rule *rule = (set)->rules + (set)->first[kind]; \
		rule < (set)->rules + (set)->first[(kind) + 1]; rule++)

static void allow(const struct rule *by, struct decision *ret)
{
	ret->allowed = true;
	ret->code = DECISION_OK;
	ret->policy_id = by->id;
	ret->reason = SPAN("");
}

static int deny(
	struct decision *ret, enum decision_code code, struct span policy_id, const char *reason)
{
	ret->allowed = false;
	ret->code = code;
	ret->policy_id = policy_id;
	ret->reason = span_cstr(reason);
	return reason ? 0 : err_raise(-ENOMEM, "decision: request memory used up");
}

/* "a, b, c" of what rules of a kind accept, for the reason of a denial. */
static const char *accepted(
	const struct rule_set *s, enum rule_kind kind, struct span action, struct arena *a)
{
	struct buf b CLEANUP(buf_fini) = buf_init(512);

	for_each_rule(rule, s, kind)
	{
		if (action.n && !span_eq(rule->action, action))
			continue;
		if (b.len)
			buf_puts(&b, ", ");
		if (b.len + rule->pattern.n > 400) {
			buf_puts(&b, "...");
			break;
		}
		buf_span(&b, rule->pattern);
	}
	return arena_cstr(a, b.len ? buf_view(&b) : SPAN("nothing"));
}

static int decide_path(const struct rule_set *s, const struct decision_request *q, struct arena *a,
	struct decision *ret)
{
	const struct rule *by = NULL;

	if (q->path_count == 0)
		return deny(ret, DECISION_PATH_NOT_ALLOWED, SPAN("default"), "no path was given");
	for (size_t i = 0; i < q->path_count; i++) {
		by = NULL;
		for_each_rule(rule, s, RULE_ALLOW_PATH)
		{
			if (span_eq(rule->action, q->action) &&
				path_rule_match(rule->pattern, q->paths[i])) {
				by = rule;
				break;
			}
		}
		if (!by)
			return deny(ret, DECISION_PATH_NOT_ALLOWED, SPAN("default"),
				arena_printf(a,
					SPAN_FMT " of '" SPAN_FMT "' is not allowed; allowed: %s",
					SPAN_ARG(q->action), SPAN_ARG(q->paths[i]),
					accepted(s, RULE_ALLOW_PATH, q->action, a)));
	}
	CHECK(by);
	allow(by, ret);
	return 0;
}

/* An accepted first argument that begins with '/' is a folder: the argument, made absolute, must
 * lie in it. A path that cannot be made canonical is in no folder. */
static bool first_arg_match(struct span accept, struct span arg, struct span cwd, struct arena *a)
{
	struct span path;

	if (accept.n == 0 || accept.p[0] != '/')
		return span_eq(accept, arg);
	if (arg.n == 0 || arg.p[0] == '-')
		return false;
	if (context_canonical_path(arg, cwd, a, &path) < 0) {
		err_clear();
		return false;
	}
	return path_rule_match(accept, path);
}

/* By base name: "/bin/sh" is one too. What a program starts by itself is the sandbox's care. */
static bool is_shell(struct span program)
{
	static const char *const shells[] = {"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh",
		"csh", "tcsh", "fish", "busybox", "rbash"};
	struct span name = program;

	for (size_t i = program.n; i > 0; i--) {
		if (program.p[i - 1] == '/') {
			name = span_sub(program, i, program.n);
			break;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(shells); i++)
		if (span_is(name, shells[i]))
			return true;
	return false;
}

static bool command_rule_match(
	const struct rule *rule, const struct decision_request *q, struct arena *a)
{
	if (span_is(rule->pattern, "*"))
		return true;
	if (span_is(rule->pattern, CONTEXT_ANY_BUT_SHELL))
		return !is_shell(q->argv[0]);
	/* A rule names a program by its base name, which PATH resolves; "./rm" or "/tmp/git" is
	 * another program, and only "*" covers it. */
	if (!span_eq(rule->pattern, q->argv[0]))
		return false;
	if (!rule->first_args)
		return true;
	for (size_t i = 0; q->argv_count > 1 && i < rule->first_arg_count; i++)
		if (first_arg_match(rule->first_args[i], q->argv[1], q->cwd, a))
			return true;
	return false;
}

static int decide_command(const struct rule_set *s, const struct decision_request *q,
	struct arena *a, struct decision *ret)
{
	if (q->argv_count == 0)
		return deny(
			ret, DECISION_COMMAND_NOT_ALLOWED, SPAN("default"), "no command was given");
	for_each_rule(rule, s, RULE_ALLOW_COMMAND)
	{
		if (command_rule_match(rule, q, a)) {
			allow(rule, ret);
			return 0;
		}
	}
	struct span first = q->argv_count > 1 ? q->argv[1] : SPAN("");
	return deny(ret, DECISION_COMMAND_NOT_ALLOWED, SPAN("default"),
		arena_printf(a,
			"command '" SPAN_FMT "%s" SPAN_FMT "' is not allowed; allowed programs: %s",
			SPAN_ARG(q->argv[0]), first.n ? " " : "", SPAN_ARG(first),
			accepted(s, RULE_ALLOW_COMMAND, SPAN(""), a)));
}

static bool bucket_take(struct bucket *b, const struct rule *rule, int64_t now_ns)
{
	if (b->filled_ns == INT64_MIN) {
		b->filled_ns = now_ns;
	} else if (now_ns > b->filled_ns) {
		double window_ns = (double)rule->window_ms * (double)NS_PER_MS;
		b->tokens += (double)(now_ns - b->filled_ns) / window_ns * rule->calls;
		if (b->tokens > rule->calls)
			b->tokens = rule->calls;
		b->filled_ns = now_ns;
	}
	if (b->tokens < 1)
		return false;
	b->tokens -= 1;
	return true;
}

static int decide_rate(const struct rule_set *s, struct rate_state *rate, struct span name,
	int64_t now_ns, struct arena *a, struct decision *ret)
{
	struct bucket *bucket = rate->buckets;

	CHECK(rate->set == s);
	for_each_rule(rule, s, RULE_RATE_LIMIT)
	{
		if (tool_pattern_match(rule->pattern, name) && !bucket_take(bucket, rule, now_ns))
			return deny(ret, DECISION_RATE_LIMIT_EXCEEDED, rule->id,
				arena_printf(a,
					"tool '" SPAN_FMT "': more than %u calls in %lld ms",
					SPAN_ARG(name), rule->calls, (long long)rule->window_ms));
		bucket++;
	}
	return 0;
}

static int decide_tool(const struct rule_set *s, struct rate_state *rate,
	const struct decision_request *q, int64_t now_ns, struct arena *a, struct decision *ret)
{
	struct span name = span_sub(q->action, strlen("tool:"), q->action.n);
	const struct rule *by = NULL;

	for_each_rule(rule, s,
		RULE_DENY_TOOL) if (tool_pattern_match(rule->pattern, name)) return deny(ret,
		DECISION_TOOL_DENIED, rule->id,
		arena_printf(a, "tool '" SPAN_FMT "' is denied", SPAN_ARG(name)));
	for_each_rule(rule, s, RULE_ALLOW_TOOL)
	{
		if (tool_pattern_match(rule->pattern, name)) {
			by = rule;
			break;
		}
	}
	if (!by)
		return deny(ret, DECISION_TOOL_NOT_ALLOWED, SPAN("default"),
			arena_printf(a, "tool '" SPAN_FMT "' is not allowed; allowed: %s",
				SPAN_ARG(name), accepted(s, RULE_ALLOW_TOOL, SPAN(""), a)));
	allow(by, ret);
	if (span_is(name, "cmd.run")) {
		int r = decide_command(s, q, a, ret);
		if (r < 0 || !ret->allowed)
			return err_trace(r);
	}
	return rate ? err_trace(decide_rate(s, rate, name, now_ns, a, ret)) : 0;
}

int policy_decide(const struct rule_set *s, struct rate_state *rate,
	const struct decision_request *q, int64_t now_ns, struct arena *a, struct decision *ret)
{
	struct decision d = {.policy_set = s->hash, .policy_id = SPAN("default")};
	int r;

	if (span_starts(q->action, SPAN("tool:")))
		r = decide_tool(s, rate, q, now_ns, a, &d);
	else if (span_is(q->action, "fs:read") || span_is(q->action, "fs:write"))
		r = decide_path(s, q, a, &d);
	else if (span_is(q->action, "exec"))
		r = decide_command(s, q, a, &d);
	else /* an action nobody wrote a rule for is denied, not ignored */
		r = deny(&d, DECISION_NO_MATCHING_CAPABILITY, SPAN("default"),
			arena_printf(a, "action '" SPAN_FMT "' is not known", SPAN_ARG(q->action)));
	if (r < 0)
		return err_trace(r);
	*ret = d;
	return 0;
}
