/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * why: what decided. A decision record names the policy set by its hash, the policies that decided
 * and the request with its facts; what the kernel denied comes with the packet's facts and the
 * policy behind the rule. Where the journal holds the set, the question is decided once more, by
 * the same matcher, so that each policy can be shown with its place and what kept it from applying;
 * where it does not, the command that shows the set is named.
 */
#include "tools/aegis-audit/tool.h"

#include <ctype.h>
#include <errno.h>

enum {
	WHY_BYTES = 4 * LIMIT_AUDIT_PAYLOAD_BYTES,
	WHY_ARENA_BYTES = 512 * 1024 * 1024,
	/* SMCP's codes of a denial (audit.h, struct audit_decision) */
	CODE_RATE_LIMIT = 2005,
	CODE_NOBODY = 2006,
	RULES_SHOWN = 64,
};

struct why {
	const struct tool *tool;
	struct arena *arena;
	struct runs *runs;
	struct kept_sets *sets;
	int seen, explained;
	uint64_t last;
	int error;
};

static const char *const kernel_facts[] = {"hook", "path", "address", "port", "protocol", "name",
	"type", "command", "pid", "cgroup", "call_cgroup", NULL};

static const char *const basis_names[] = {[BASIS_POLICY] = "policy",
	[BASIS_DEFAULT] = "no policy: what none permits is denied",
	[BASIS_OTHER] = "no policy: none was asked"};

static void put_head(struct json_writer *w, const struct audit_record *r, const struct facts *f)
{
	char text[CLOCK_RFC3339_BYTES];
	char id[UUID_TEXT_BYTES];

	json_key(w, "record");
	json_put_u64(w, r->number);
	json_field_span(w, "kind", r->kind);
	clock_rfc3339(r->wall_ns, 6, text);
	json_field_cstr(w, "time", text);
	if (!uuid_is_nil(r->execution_id)) {
		uuid_text(r->execution_id, id);
		json_field_cstr(w, "execution_id", id);
	}
	json_field_bool(w, "denied", f->denied);
}

static void put_policies(struct json_writer *w, const struct facts *f)
{
	const struct json *list = json_get(f->decision, "policies");
	struct span one = json_str(f->details, "policy_id", SPAN(""));

	json_key(w, "policies");
	json_array(w);
	if (list && list->type == JSON_ARRAY) {
		json_for_each (item, list)
			if (item->type == JSON_STRING && !span_is(item->text, "default"))
				json_put_span(w, item->text);
	} else if (one.n && !span_is(one, "default")) {
		json_put_span(w, one);
	}
	json_end(w);
}

static void put_facts(struct json_writer *w, const struct facts *f)
{
	json_key(w, "facts");
	if (f->request) {
		json_put(w, f->request);
		return;
	}
	json_object(w);
	for (size_t i = 0; kernel_facts[i]; i++) {
		const struct json *v = json_get(f->details, kernel_facts[i]);
		if (!v)
			continue;
		json_key(w, kernel_facts[i]);
		json_put(w, v);
	}
	json_end(w);
}

static const char *change_of(const struct facts *f)
{
	int64_t code = json_i64(f->decision, "code", 0);

	if (!f->denied)
		return "Nothing: it was allowed. It would have been denied without the policies "
		       "named, or with one that forbids it.";
	if (code == CODE_RATE_LIMIT)
		return "Fewer calls in the window that the policy names, or a higher limit in it.";
	if (code == CODE_NOBODY)
		return "The request: no policy can permit what it asks for.";
	switch (facts_basis(f)) {
	case BASIS_POLICY:
		return "The policies that forbid it: a forbid holds whatever other policies "
		       "permit, so each "
		       "of them must be changed or taken out, and one must permit the facts above.";
	case BASIS_DEFAULT:
		return "A policy must permit the facts above: none does.";
	case BASIS_OTHER:
		break;
	}
	return "What the reason names: this was refused without asking policy, so no policy can "
	       "permit it.";
}

/* ---- deciding once more ---- */

/* Verdicts leave out limits, so their order is not enough. */
static size_t index_of(const struct rule_set *set, const struct rule_verdict *v)
{
	size_t i = 0;

	while (i + 1 < rule_set_count(set) && !span_eq(rule_set_policy(set, i).id, v->id))
		i++;
	return i;
}

static void put_rule(struct json_writer *w, const struct rule_set *set, size_t index,
	const struct rule_verdict *v)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);

	json_object(w);
	json_field_span(w, "id", v->id);
	if (v->file.n)
		json_field_span(w, "file", v->file);
	if (v->line)
		json_field_i64(w, "line", v->line);
	json_field_cstr(w, "effect", v->forbid ? "forbid" : "permit");
	json_field_bool(w, "applies", v->fate == RULE_APPLIES);
	json_field_cstr(w, "because", rule_fate_text(v->fate));
	if (v->detail.n)
		json_field_span(w, "detail", v->detail);
	if (v->fate == RULE_APPLIES) {
		rule_set_policy_text(set, index, &text);
		json_field_span(w, "text", buf_view(&text));
	}
	json_end(w);
}

/* Those that apply, and the permits that a condition kept from applying: what a change would begin
 * with. Policies of other actions and resources are left out. */
static bool tells(const struct rule_verdict *v)
{
	return v->fate == RULE_APPLIES || v->fate == RULE_ERROR ||
		(!v->forbid && (v->fate == RULE_CONDITION_FALSE || v->fate == RULE_OTHER_RESOURCE));
}

/* Of the set that held when the record was written; the text of a limit is not among its verdicts.
 */
static int put_again(struct json_writer *w, struct why *y, const struct asked *q)
{
	struct rule_verdict *list = NULL;
	struct rule_set *set = NULL;
	struct decision d;
	size_t count = 0, shown = 0;
	int r = kept_get(y->sets, q->policy_set, &set);

	json_field_bool(w, "decided_again", r == 0);
	if (r != 0)
		return r < 0 ? err_trace(r) : 0;
	r = policy_explain(set, &q->q, y->arena, &d, &list, &count);
	if (r < 0)
		return err_trace(r);
	json_field_bool(w, "same_verdict", d.allowed == q->allowed || q->limited);
	json_key(w, "rules");
	json_array(w);
	for (size_t i = 0; i < count && shown < RULES_SHOWN; i++) {
		if (!tells(&list[i]))
			continue;
		put_rule(w, set, index_of(set, &list[i]), &list[i]);
		shown++;
	}
	json_end(w);
	return 0;
}

static int put_why(
	struct json_writer *w, struct why *y, const struct audit_record *r, const struct facts *f)
{
	struct arena *a = y->arena;
	struct asked asked;
	struct span set = json_str(f->decision, "policy_set", SPAN(""));

	json_object(w);
	put_head(w, r, f);
	if (f->decision)
		json_field_i64(w, "code", json_i64(f->decision, "code", 0));
	json_field_span(
		w, "reason", json_str(f->decision ? f->decision : f->details, "reason", SPAN("")));
	json_field_cstr(w, "decided_by", basis_names[facts_basis(f)]);
	put_policies(w, f);
	json_field_span(w, "policy_set", set);
	put_facts(w, f);
	json_field_cstr(w, "change", change_of(f));
	int res = asked_of(a, f, r, y->runs, &asked);
	if (res == 0)
		res = put_again(w, y, &asked);
	json_end(w);
	return res < 0 ? err_trace(res) : 0;
}

/* ---- for people ---- */

static void put_value(struct buf *b, const struct json *v)
{
	struct buf raw CLEANUP(buf_fini) = buf_init(WHY_BYTES);
	struct json_writer w = json_writer(&raw);

	if (v->type == JSON_STRING) {
		cli_put_safe(b, v->text, false);
		return;
	}
	json_put(&w, v);
	cli_put_safe(b, buf_view(&raw), false);
}

/* An id that somebody chose goes into a command line only if no shell sees more in it. */
static bool plain_word(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && !strchr("-_.:/[]", s.p[i]))
			return false;
	return s.n > 0;
}

static void put_decided_by(struct buf *b, const struct json *v)
{
	const struct json *list = json_get(v, "policies");
	struct span set = json_str(v, "policy_set", SPAN(""));

	if (!list || list->count == 0) {
		struct span by = json_str(v, "decided_by", SPAN(""));
		buf_printf(b, "decided by  " SPAN_FMT "%s\n", SPAN_ARG(by),
			span_is(by, basis_names[BASIS_POLICY]) ? " that the record does not name"
							       : "");
	} else {
		json_for_each (item, list) {
			buf_puts(b, "decided by  policy ");
			cli_put_safe(b, item->text, false);
			buf_puts(b, "\n");
		}
	}
	if (!plain_word(set)) {
		buf_puts(b, "policy set  not named by this record\n");
		return;
	}
	buf_printf(b, "policy set  " SPAN_FMT "\nwritten in  aegis policy show " SPAN_FMT,
		SPAN_ARG(set), SPAN_ARG(set));
	if (list && list->count == 1 && plain_word(list->items[0].text))
		buf_printf(b, " '" SPAN_FMT "'", SPAN_ARG(list->items[0].text));
	buf_puts(b, "\n");
}

/* "permit  policy.d/net.cedar:3 (egress): its condition is false: resource.name == ..." */
static void put_rules(struct buf *b, const struct json *rules)
{
	if (!rules || rules->count == 0)
		return;
	buf_puts(b, "policies\n");
	json_for_each (rule, rules) {
		struct span file = json_str(rule, "file", SPAN(""));
		struct span detail = json_str(rule, "detail", SPAN(""));
		buf_printf(b, "  " SPAN_FMT "  ", SPAN_ARG(json_str(rule, "effect", SPAN(""))));
		if (file.n) {
			cli_put_safe(b, file, false);
			buf_printf(b, ":%lld (", (long long)json_i64(rule, "line", 0));
		}
		cli_put_safe(b, json_str(rule, "id", SPAN("")), false);
		buf_printf(b, "%s: " SPAN_FMT, file.n ? ")" : "",
			SPAN_ARG(json_str(rule, "because", SPAN(""))));
		if (detail.n) {
			buf_puts(b, ": ");
			cli_put_safe(b, detail, false);
		}
		buf_puts(b, "\n");
	}
}

static void put_text(struct buf *b, const struct json *v)
{
	const struct json *facts = json_get(v, "facts");
	struct span reason = json_str(v, "reason", SPAN(""));
	int64_t code = json_i64(v, "code", 0);

	buf_printf(b, "record      %lld ", (long long)json_i64(v, "record", 0));
	cli_put_safe(b, json_str(v, "kind", SPAN("")), false);
	buf_printf(b, ", " SPAN_FMT "\n", SPAN_ARG(json_str(v, "time", SPAN(""))));
	if (json_get(v, "execution_id"))
		buf_printf(b, "execution   " SPAN_FMT "\n",
			SPAN_ARG(json_str(v, "execution_id", SPAN(""))));
	buf_printf(b, "verdict     %s", json_bool(v, "denied", true) ? "denied" : "allowed");
	if (code)
		buf_printf(b, " (%lld)", (long long)code);
	if (reason.n) {
		buf_puts(b, ": ");
		cli_put_safe(b, reason, false);
	}
	buf_puts(b, "\n");
	put_decided_by(b, v);
	buf_puts(b, "facts\n");
	if (facts && facts->type == JSON_OBJECT) {
		json_for_each (m, facts) {
			buf_puts(b, "  ");
			cli_put_safe(b, m->key, false);
			for (size_t n = m->key.n; n < 14; n++)
				buf_putc(b, ' ');
			buf_puts(b, "  ");
			put_value(b, m);
			buf_puts(b, "\n");
		}
	}
	put_rules(b, json_get(v, "rules"));
	if (json_get(v, "same_verdict") && !json_bool(v, "same_verdict", true))
		buf_puts(b,
			"decided again with that set, it comes out otherwise: the record or the "
			"set "
			"is not what held\n");
	buf_printf(b, "to change   " SPAN_FMT "\n", SPAN_ARG(json_str(v, "change", SPAN(""))));
}

static int print_why(const struct tool *t, struct arena *a, struct span json)
{
	const struct json_limits limits = {WHY_BYTES, LIMIT_JSON_DEPTH};
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)WHY_BYTES);
	const struct json *v;
	int r;

	if (t->format == CLI_JSON || t->format == CLI_YAML) {
		r = put_document(&b, t, json);
	} else {
		r = json_parse(a, json, &limits, &v);
		if (r == 0) {
			put_text(&b, v);
			r = buf_error(&b);
		}
	}
	if (r < 0)
		return err_trace(r);
	tool_write(buf_view(&b));
	return 0;
}

static bool explain(void *ctx, const struct audit_record *r)
{
	struct why *y = ctx;
	struct buf b CLEANUP(buf_fini) = buf_init(WHY_BYTES);
	struct json_writer w = json_writer(&b);
	struct facts f = facts_of(y->arena, r);

	y->seen++;
	y->last = r->number;
	if (!f.payload || (!f.decision && !f.denied))
		return true;
	if (y->explained++ && y->tool->format != CLI_JSON && y->tool->format != CLI_YAML)
		tool_write(SPAN("\n"));
	y->error = put_why(&w, y, r, &f);
	if (y->error == 0)
		y->error = buf_error(&b);
	if (y->error == 0)
		y->error = print_why(y->tool, y->arena, buf_view(&b));
	return y->error == 0;
}

static int why(const struct tool *t, const char *name)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(WHY_ARENA_BYTES);
	struct why y = {.tool = t, .arena = a, .runs = runs_new(), .sets = kept_new()};
	int code = a && y.runs && y.sets ? survey(t, y.runs, y.sets) : tool_fail_errno(-ENOMEM);

	if (code == CLI_OK)
		code = each_named(t, name, explain, &y);
	if (code == CLI_OK && y.error < 0)
		code = tool_fail_errno(y.error);
	else if (code == CLI_OK && y.explained == 0)
		code = tool_fail(CLI_NOT_FOUND,
			"record %llu holds no decision: `search --denied` finds records that do",
			(unsigned long long)y.last);
	runs_free(y.runs);
	kept_free(y.sets);
	return code;
}

static int run_why(struct cli *c)
{
	struct tool t;
	int code = tool_begin(&t, c);

	return code ? code : why(&t, c->args[0]);
}

const struct verb verb_why = {
	.name = "why",
	.arguments = "RECORD",
	.min_args = 1,
	.max_args = 1,
	.summary = "Explain a verdict: policies with their lines, facts, what would have to change",
	.help = "RECORD is a number, event:NUMBER of the event table, or the UUID of an event or "
		"call.\n"
		"The recorded question is decided once more by the recorded policy set, so that "
		"each\n"
		"policy is shown with file and line, and with what kept it from applying.",
	.examples = "aegis-audit why 1204\naegis-audit why event:17 --output json",
	.run = run_why,
};
