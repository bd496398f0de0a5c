/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * why: what decided, from what the record itself says. A decision record names the policy set by
 * its hash, the policies that decided and the request with its facts; what the kernel denied comes
 * with the packet's facts and the policy behind the rule. The text of the set is not in the
 * journal, so the command that shows it is named.
 */
#include "tools/aegis-audit/tool.h"

#include <ctype.h>
#include <errno.h>

enum {
	WHY_BYTES = 4 * LIMIT_AUDIT_PAYLOAD_BYTES,
	/* SMCP's codes of a denial (audit.h, struct audit_decision) */
	CODE_RATE_LIMIT = 2005,
	CODE_NOBODY = 2006,
};

static const char *const kernel_facts[] = {"hook", "address", "port", "protocol", "name", "type",
	"command", "pid", "cgroup", "call_cgroup", NULL};

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

/* The request was decided on as text; it is shown as the object that it is. */
static void put_facts(struct json_writer *w, struct arena *a, const struct facts *f)
{
	struct span text = json_str(f->decision, "request", SPAN(""));
	const struct json *request = json_get(f->decision, "request");

	json_key(w, "facts");
	if (f->decision && text.n && json_parse(a, text, NULL, &request) < 0) {
		err_clear();
		json_put_span(w, text);
		return;
	}
	if (request) {
		json_put(w, request);
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

static void put_why(
	struct json_writer *w, struct arena *a, const struct audit_record *r, const struct facts *f)
{
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
	put_facts(w, a, f);
	json_field_cstr(w, "change", change_of(f));
	json_end(w);
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

struct why {
	const struct tool *tool;
	struct arena *arena;
	int seen, explained;
	uint64_t last;
	int error;
};

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
	put_why(&w, y->arena, r, &f);
	y->error = buf_error(&b);
	if (y->error == 0)
		y->error = print_why(y->tool, y->arena, buf_view(&b));
	return y->error == 0;
}

int verb_why(struct tool *t)
{
	struct arena *a CLEANUP(arena_cleanup) = facts_arena();
	struct why y = {.tool = t, .arena = a};
	int code = a ? each_named(t, explain, &y) : tool_fail_errno(-ENOMEM);

	if (code)
		return code;
	if (y.error < 0)
		return tool_fail_errno(y.error);
	if (y.explained == 0)
		return tool_fail(CLI_NOT_FOUND,
			"record %llu holds no decision: `search --denied` finds records that do",
			(unsigned long long)y.last);
	return CLI_OK;
}
