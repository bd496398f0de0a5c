/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * learn: the smallest security context for a recorded run, as a difference that a person can
 * review. It is proved before it is printed: alone as grants, and as the ceiling beside the
 * policies and the manifest of the recording, it denies nothing that the recording allowed.
 */
#include "tools/aegis-audit/learned.h"
#include "daemon/policy/policy.h"
#include "daemon/schema/schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	LEARN_BYTES = 1024 * 1024 * 1024,
	ASK_BYTES = 256 * 1024 * 1024,
	YAML_BYTES = 16 * 1024 * 1024,
	REPORT_BYTES = 1024 * 1024,
	SETS_MAX = 64, /* that one run went over to */
	CONTEXTS_SHOWN = 16, /* of a configuration that lacks one */
};

struct learning {
	const struct tool *tool;
	struct runs *runs;
	struct kept_sets *sets;
	struct told *told;
	struct arena *facts;
	struct learn learn;
	struct span set_hashes[SETS_MAX]; /* under which it was allowed */
	size_t set_count, sets_missing;
	uint64_t decisions, unknown;
	size_t denied; /* by the context, of what it should permit */
	size_t denied_at;
};

/* ---- the recording ---- */

static int note_set(struct learning *y, struct span hash)
{
	for (size_t i = 0; i < y->set_count; i++)
		if (span_eq(y->set_hashes[i], hash))
			return 0;
	if (y->set_count == SETS_MAX || !hash.n)
		return 0;
	y->set_hashes[y->set_count] = arena_span(y->learn.arena, hash);
	return y->set_hashes[y->set_count++].p ? 0 : err_raise(-ENOMEM, "out of memory");
}

static int take(struct learning *y, const struct audit_record *record)
{
	struct facts f = facts_of(y->facts, record);
	struct asked asked;
	if (told_again(y->told, record, &f))
		return 0;
	if (facts_failure(record, &f).n)
		return 0; /* nothing came of it: nothing needs to be granted for it */
	int r = asked_of(y->facts, &f, record, y->runs, &asked);

	if (r == ASKED_UNKNOWN && !f.denied)
		y->unknown++;
	if (r != 0 || !asked.allowed)
		return r < 0 ? err_trace(r) : 0;
	y->decisions++;
	r = note_set(y, asked.policy_set);
	return r < 0 ? err_trace(r) : err_trace(learn_question(&y->learn, &asked.q));
}

static int take_all(struct learning *y, struct audit_reader *reader)
{
	struct audit_record record;
	int r = audit_reader_seek(reader, 1);

	while (r == 0 && (r = audit_reader_next(reader, &record)) == 0)
		if (filter_takes(&y->tool->filter, y->facts, &record))
			r = take(y, &record);
	return r < 0 ? err_trace(r) : 0;
}

/* ---- the proof ---- */

/* As a ceiling beside the rest of a set that allowed. */
static int prove_beside(struct learning *y, const struct rule_context *c, struct span hash)
{
	struct rule_set *recorded, *set = NULL;
	struct rule_set_builder *b;
	size_t denied = 0;
	int r = kept_get(y->sets, hash, &recorded);

	if (r != 0) {
		y->sets_missing += r > 0;
		return r < 0 ? err_trace(r) : 0;
	}
	b = rule_set_builder_new();
	r = b ? rule_add_set_parts(b, recorded, RULE_PART_FILES | RULE_PART_OTHERS) : -ENOMEM;
	if (r == 0)
		r = rule_add_context(b, c, RULE_CONTEXT_CEILING);
	if (r == 0) {
		set = rule_set_seal(b);
		r = set ? learn_denied(&y->learn, set, &denied, &y->denied_at) : -EINVAL;
	}
	y->denied += denied;
	rule_set_unref(set);
	rule_set_builder_free(b);
	return err_trace(r);
}

static int prove(struct learning *y, const struct rule_context *c)
{
	struct rule_set_builder *b = rule_set_builder_new();
	struct rule_set *set = NULL;
	int r = b ? rule_add_context(b, c, RULE_CONTEXT_GRANTS) : -ENOMEM;

	if (r == 0) {
		set = rule_set_seal(b);
		r = set ? learn_denied(&y->learn, set, &y->denied, &y->denied_at) : -EINVAL;
	}
	rule_set_unref(set);
	rule_set_builder_free(b);
	/* One set: with several, what one allowed another may have denied rightly. */
	if (r == 0 && y->set_count == 1)
		r = prove_beside(y, c, y->set_hashes[0]);
	return err_trace(r);
}

/* ---- what it is compared with ---- */

static int say_findings(const struct report *report)
{
	struct buf text CLEANUP(buf_fini) = buf_init(REPORT_BYTES);

	report_text(report, &text);
	fprintf(stderr, "%s", buf_cstr(&text));
	return CLI_INVALID;
}

static int no_context(const struct policy_snapshot *s, const char *file, const char *name)
{
	struct buf names CLEANUP(buf_fini) = buf_init(REPORT_BYTES);
	const char *list[CONTEXTS_SHOWN + 1] = {NULL};
	size_t count = policy_context_count(s);

	for (size_t i = 0; i < MIN(count, (size_t)CONTEXTS_SHOWN); i++) {
		list[i] = policy_context_at(s, i)->name;
		buf_printf(&names, "%s%s", i ? ", " : "", list[i]);
	}
	const char *nearest = table_nearest(name, list);
	if (nearest)
		return tool_fail(CLI_NOT_FOUND, "%s has no security context '%s'; did you mean %s?",
			file, name, nearest);
	return tool_fail(CLI_NOT_FOUND,
		"%s has no security context '%s'; it has: %s. Without --config, a new context of "
		"that name is proposed",
		file, name, count ? buf_cstr(&names) : "none");
}

static int put_context_of(struct buf *b, const struct config *c, const char *file, const char *name)
{
	struct buf findings CLEANUP(buf_fini) = buf_init(REPORT_BYTES);
	struct policy_snapshot *s = NULL;
	int r = policy_load(NULL, c, &findings, &s);

	if (r == 0) {
		const struct rule_context *found = policy_context_find(s, span_cstr(name));
		int code = found ? CLI_OK : no_context(s, file, name);
		if (found)
			learn_put_yaml(b, found, NULL);
		policy_unref(s);
		return code;
	}
	if (r > 0)
		fprintf(stderr, "%s", buf_cstr(&findings));
	return r < 0 ? tool_fail_errno(r) : CLI_INVALID;
}

/* The context of that name in a node configuration, in the same form. */
static int put_old(const struct tool *t, struct buf *b)
{
	const char *file = cli_value(t->cli, "config"), *name = cli_value(t->cli, "context");
	const struct config_environment env = {.may_be_unset = true};
	struct arena *a CLEANUP(arena_cleanup) = NULL;
	const struct config *c = NULL;
	struct report report;

	if (!file)
		return CLI_OK;
	a = arena_new(LIMIT_CONFIG_ARENA_BYTES);
	int r = a ? report_init(&report, a, file) : err_raise(-ENOMEM, "out of memory");
	if (r == 0)
		r = config_load(file, &env, &report, &c);
	if (r < 0)
		return tool_fail_errno(r);
	int code = r ? say_findings(&report) : put_context_of(b, c, file, name);
	config_unref(c);
	return code;
}

/* ---- what is printed ---- */

static void put_proof(const struct learning *y, struct json_writer *w)
{
	const struct {
		const char *name;
		uint64_t n;
	} counts[] = {{"decisions", y->decisions}, {"questions", y->learn.count},
		{"denied", y->denied}, {"beyond_contexts", y->learn.beyond_count},
		{"not_decided_again", y->unknown}, {"policy_sets", y->set_count},
		{"policy_sets_missing", y->sets_missing}};

	json_object(w);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		json_key(w, counts[i].name);
		json_put_u64(w, counts[i].n);
	}
	json_end(w);
}

static void put_question(struct buf *b, const struct decision_request *q)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct json_writer w = json_writer(&text);

	decision_request_put(&w, q);
	cli_put_safe(b, span_sub(buf_view(&text), 0, 300), false);
	buf_puts(b, "\n");
}

static void put_proof_text(const struct learning *y, struct buf *b)
{
	const struct learn *l = &y->learn;
	size_t shown = 0;

	buf_printf(b,
		"# %llu allowed decisions, %zu different questions: %zu denied by the context "
		"below, alone%s\n",
		(unsigned long long)y->decisions, l->count, y->denied,
		y->set_count == 1 && !y->sets_missing
			? " and as the ceiling of the recorded policies"
			: "");
	if (y->denied) {
		buf_puts(b, "# denied, for one: ");
		put_question(b, l->questions[y->denied_at]);
	}
	if (y->unknown)
		buf_printf(b, "# %llu decisions lack part of their question, and are not covered\n",
			(unsigned long long)y->unknown);
	if (l->beyond_count)
		buf_printf(b,
			"# %zu questions are beyond what a security context can say; manifest or "
			"policy must permit them:\n",
			l->beyond_count);
	for (size_t i = 0; i < l->count && shown < 20; i++) {
		if (!l->beyond[i])
			continue;
		shown++;
		buf_puts(b, "#   ");
		put_question(b, l->questions[i]);
	}
}

static int print_learned(const struct learning *y, struct span yaml, struct span diff)
{
	struct buf b CLEANUP(buf_fini) = buf_init(4 * (size_t)YAML_BYTES);
	struct buf out CLEANUP(buf_fini) = buf_init(8 * (size_t)YAML_BYTES);
	struct json_writer w = json_writer(&b);
	int r = 0;

	if (y->tool->format == CLI_JSON || y->tool->format == CLI_YAML) {
		json_object(&w);
		json_key(&w, "proof");
		put_proof(y, &w);
		json_field_span(&w, "security_context", yaml);
		json_field_span(&w, "diff", diff);
		json_end(&w);
		r = buf_error(&b);
		if (r == 0)
			r = put_document(&out, y->tool, buf_view(&b));
	} else {
		put_proof_text(y, &out);
		buf_span(&out, diff.n ? diff : SPAN("# nothing changes\n"));
		r = buf_error(&out);
	}
	if (r < 0)
		return tool_fail_errno(r);
	tool_write(buf_view(&out));
	return y->denied || y->learn.beyond_count || y->unknown ? AUDIT_FLIPS : CLI_OK;
}

static int propose(struct learning *y)
{
	struct buf yaml CLEANUP(buf_fini) = buf_init(YAML_BYTES);
	struct buf old CLEANUP(buf_fini) = buf_init(YAML_BYTES);
	struct buf diff CLEANUP(buf_fini) = buf_init(2 * (size_t)YAML_BYTES);
	bool against = cli_value(y->tool->cli, "config");
	const char *name = arena_printf(y->learn.arena, "security_contexts/%s", y->learn.name);
	struct rule_context c;
	int r = name ? learn_solve(&y->learn) : err_raise(-ENOMEM, "out of memory");

	if (r == 0)
		r = learn_context(&y->learn, &c);
	if (r == 0)
		r = prove(y, &c);
	if (r < 0)
		return tool_fail_errno(r);
	learn_put_yaml(&yaml, &c, NULL);
	int code = put_old(y->tool, &old);
	if (code)
		return code;
	r = buf_error(&yaml);
	if (r == 0)
		r = diff_put(
			&diff, against ? name : "/dev/null", buf_view(&old), name, buf_view(&yaml));
	return r < 0 ? tool_fail_errno(r) : print_learned(y, buf_view(&yaml), buf_view(&diff));
}

static int learn_begin(struct learn *l, const struct tool *t)
{
	const char *context = cli_value(t->cli, "context");

	l->arena = arena_new(LEARN_BYTES);
	l->ask = arena_new(ASK_BYTES);
	map_init(&l->known, LEARN_QUESTIONS_MAX + 1);
	l->questions = calloc(LEARN_QUESTIONS_MAX, sizeof(struct decision_request *));
	l->beyond = calloc(LEARN_QUESTIONS_MAX, sizeof(bool));
	l->name = context ? context : "learned";
	return l->arena && l->ask && l->questions && l->beyond ? CLI_OK : tool_fail_errno(-ENOMEM);
}

static void learn_end(struct learn *l)
{
	free(l->questions);
	free(l->beyond);
	map_fini(&l->known);
	arena_free(l->ask);
	arena_free(l->arena);
}

static int nothing(const struct tool *t)
{
	int code = tool_fail(CLI_NOT_FOUND, "nothing was allowed there: no context to learn");

	hint_at_names(t);
	return code;
}

static int learn(struct tool *t)
{
	struct arena *facts CLEANUP(arena_cleanup) = facts_arena();
	struct learning *y = calloc(1, sizeof(*y));
	struct audit_reader *reader = NULL;

	if (!y || !facts) {
		free(y);
		return tool_fail_errno(-ENOMEM);
	}
	y->tool = t;
	y->facts = facts;
	y->runs = runs_new();
	y->sets = kept_new();
	y->told = told_new();
	int code = learn_begin(&y->learn, t);
	if (code == CLI_OK)
		code = y->runs && y->sets && y->told ? survey(t, y->runs, y->sets)
						     : tool_fail_errno(-ENOMEM);
	if (code == CLI_OK)
		code = tool_open(t, &reader);
	if (code == CLI_OK) {
		int r = take_all(y, reader);
		if (r < 0)
			code = tool_fail_errno(r);
		else if (y->decisions)
			code = propose(y);
		else
			code = nothing(t);
	}
	audit_reader_close(reader);
	runs_free(y->runs);
	kept_free(y->sets);
	told_free(y->told);
	learn_end(&y->learn);
	free(y);
	return code;
}

static int run_learn(struct cli *c)
{
	struct tool t;

	if (!cli_value(c, "execution") && !cli_value(c, "agent"))
		return tool_fail(
			CLI_INVALID, "learn from what? Say --execution ID, or --agent NAME");
	if (cli_value(c, "config") && !cli_value(c, "context"))
		return tool_fail(
			CLI_INVALID, "--config needs --context NAME: the one to compare with");
	int code = tool_begin(&t, c);
	if (code == CLI_OK)
		code = learn(&t);
	tool_end(&t);
	return code;
}

static const struct cli_option learn_options[] = {
	{"context", 0, "NAME", "Name of the proposed context (learned)", NULL},
	{"config", 0, "FILE", "Node configuration: what changes in its context of that name", NULL},
	FILTER_OPTIONS,
};

const struct verb verb_learn = {
	.name = "learn",
	.arguments = "",
	.options = learn_options,
	.summary = "Propose the smallest security context for a recorded run",
	.help = "Prints, as a diff, a security context that permits what the recorded run was "
		"allowed,\n"
		"and no path, domain or tool that it can do without. It is proved first by "
		"replaying\n"
		"the recording: the lines with # say how. Many files of one folder become the "
		"folder.\n"
		"Exits 6 if something that was allowed is beyond what a context can say.",
	.examples = "aegis-audit learn --execution 7f1c1f8e-0a51-4f0b-9d2e-6a2f3c1b0d4e\n"
		    "aegis-audit learn --agent coder --from 7d --context coder --config node.yaml",
	.run = run_learn,
};
