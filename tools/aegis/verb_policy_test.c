/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/policy_source.h"
#include "tools/aegis/verbs.h"

struct testing {
	struct cli *c;
	const char *file;
	struct policy_source *s;
	struct buf out;
	struct json_writer w;
	bool text;
	size_t passed, failed;
};

static bool same_expectation(const struct json *expect, const struct decision *d, struct buf *why)
{
	struct span decision = json_str(expect, "decision", SPAN(""));
	struct span policy = json_str(expect, "policy", SPAN(""));
	int64_t code = json_i64(expect, "code", -1);

	if (decision.n && !span_is(decision, d->allowed ? "allow" : "deny"))
		buf_printf(why, "decision %s, expected " SPAN_FMT, d->allowed ? "allow" : "deny",
			SPAN_ARG(decision));
	else if (code >= 0 && code != (int64_t)d->code)
		buf_printf(why, "code %d, expected %lld", (int)d->code, (long long)code);
	else if (policy.n && !span_eq(policy, d->policy_id))
		buf_printf(why, "policy " SPAN_FMT ", expected " SPAN_FMT, SPAN_ARG(d->policy_id),
			SPAN_ARG(policy));
	if (why->len && !d->allowed)
		buf_printf(why, " (" SPAN_FMT ")", SPAN_ARG(d->reason));
	return why->len == 0;
}

static void say(struct testing *t, struct span name, bool ok, struct span why)
{
	*(ok ? &t->passed : &t->failed) += 1;
	if (t->text) {
		buf_printf(&t->out, "%s " SPAN_FMT "%s" SPAN_FMT "\n", ok ? "ok    " : "FAILED",
			SPAN_ARG(name), why.n ? ": " : "", SPAN_ARG(why));
		return;
	}
	json_object(&t->w);
	json_field_span(&t->w, "name", name);
	json_field_bool(&t->w, "passed", ok);
	json_field_span(&t->w, "reason", why);
	json_end(&t->w);
}

static int check_expectation(const struct json *expect)
{
	struct span decision = json_str(expect, "decision", SPAN(""));

	if (!expect || expect->type != JSON_OBJECT)
		return err_raise(-EINVAL, "`expect` must be an object {decision, code, policy}");
	json_for_each (m, expect)
		if (!span_is(m->key, "decision") && !span_is(m->key, "code") &&
			!span_is(m->key, "policy"))
			return err_raise(-EINVAL,
				"`expect`: \"" SPAN_FMT
				"\" is not known; accepted: decision, code, "
				"policy",
				SPAN_ARG(m->key));
	if (!span_is(decision, "allow") && !span_is(decision, "deny"))
		return err_raise(-EINVAL, "`expect`: decision must be \"allow\" or \"deny\"");
	return 0;
}

static int run_case(struct testing *t, const struct json *v, size_t index)
{
	struct buf why CLEANUP(buf_fini) = buf_init(8192);
	const struct json *expect = json_get(v, "expect"), *request = json_get(v, "request");
	char *number = arena_printf(t->s->arena, "tests[%zu]", index);
	struct span name = json_str(v, "name", span_cstr(number));
	struct decision_request q;
	struct decision d;
	int r = check_expectation(expect);

	if (r == 0 && !request)
		r = err_raise(-EINVAL, "`request` is missing");
	if (r == 0)
		r = decision_request_load(t->s->arena, request, &q);
	if (r == 0)
		r = policy_canonical(t->s->arena, &q);
	if (r == 0)
		r = policy_decide(t->s->rules, NULL, &q, 0, t->s->arena, &d);
	if (r < 0)
		return cli_fail_errno(err_wrap(r, "%s: " SPAN_FMT, t->file, SPAN_ARG(name)));
	bool ok = same_expectation(expect, &d, &why);
	say(t, name, ok, buf_view(&why));
	return CLI_OK;
}

/* A member that names a file is relative to the folder of the tests. */
static const char *beside(struct arena *a, const char *file, const struct json *v, const char *key)
{
	struct span name = json_str(v, key, SPAN(""));
	const char *slash = strrchr(file, '/');

	if (!name.n)
		return NULL;
	if (name.p[0] == '/' || !slash)
		return arena_cstr(a, name);
	return arena_printf(a, "%.*s/" SPAN_FMT, (int)(slash - file), file, SPAN_ARG(name));
}

static int open_set(struct testing *t, struct arena *a, const struct json *v)
{
	struct cli *c = t->c;
	const char *policies = cli_value(c, "policies"), *context = cli_value(c, "context");
	const char *manifest = cli_value(c, "manifest");

	if (cli_value(c, "set"))
		return policy_source_open(t->s, c);
	if (!policies)
		policies = beside(a, t->file, v, "policies");
	if (!context && json_get(v, "context"))
		context = arena_cstr(a, json_str(v, "context", SPAN("")));
	if (!manifest)
		manifest = beside(a, t->file, v, "manifest");
	return policy_source_make(t->s, c, policies, context, manifest);
}

static int run_file(struct testing *t, const char *file)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(64 * (size_t)LIMIT_JSON_BYTES);
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct policy_source s = {0};
	const struct json *v = NULL;
	int code = a ? cli_read(file, &text) : cli_fail(CLI_INTERNAL, "no memory");

	if (code)
		return code;
	t->file = file;
	t->s = &s;
	int r = json_parse(a, buf_view(&text), NULL, &v);
	const struct json *tests = json_get(v, "tests");
	if (r == 0 && (!tests || tests->type != JSON_ARRAY))
		r = err_raise(-EINVAL, "expected an object with a list `tests`");
	if (r == 0 && tests->count == 0)
		return cli_fail(CLI_INVALID, "no test in %s", file);
	if (r < 0)
		return cli_fail_errno(err_wrap(r, "%s", file));
	code = open_set(t, a, v);
	for (size_t i = 0; code == CLI_OK && i < tests->count; i++)
		code = run_case(t, &tests->items[i], i);
	policy_source_close(&s);
	return code;
}

static int run(struct cli *c)
{
	struct testing t = {.c = c, .out = buf_init(LIMIT_JSON_BYTES)};
	int code = CLI_OK;

	t.w = json_writer(&t.out);
	t.text = c->format == CLI_TEXT || c->format == CLI_TABLE;
	if (!t.text) {
		json_object(&t.w);
		json_key(&t.w, "tests");
		json_array(&t.w);
	}
	for (int i = 0; code == CLI_OK && i < c->arg_count; i++)
		code = run_file(&t, c->args[i]);
	if (code == CLI_OK && t.text) {
		buf_printf(&t.out, "%zu passed, %zu failed\n", t.passed, t.failed);
		code = cli_write(buf_view(&t.out));
	} else if (code == CLI_OK) {
		json_end(&t.w);
		json_field_i64(&t.w, "passed", (int64_t)t.passed);
		json_field_i64(&t.w, "failed", (int64_t)t.failed);
		json_end(&t.w);
		code = cli_print_text(c, buf_view(&t.out), NULL);
	}
	buf_fini(&t.out);
	return code == CLI_OK && t.failed ? CLI_DENIED : code;
}

static const struct cli_option options[] = {
	POLICY_SET_OPTIONS,
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_policy_test = {
	.group = "policy",
	.name = "test",
	.arguments = "FILE...",
	.min_args = 1,
	.max_args = CLI_ARGS_MAX,
	.options = options,
	.summary = "Run requests against policies and compare the decisions",
	.help = "A file is {\"policies\": DIR, \"context\": NAME, \"manifest\": FILE, \"tests\": "
		"[...]}; the\n"
		"first three are optional, relative to the file, and give way to options. A test "
		"is\n"
		"{\"name\": ..., \"request\": {\"action\": ..., \"paths\": [...], \"argv\": [...], "
		"...},\n"
		"\"expect\": {\"decision\": \"allow\" | \"deny\", \"code\": N, \"policy\": ID}}. "
		"For CI: exits 0\n"
		"if all pass, 3 if one does not, 2 if a file or the policies are not valid.",
	.examples = "aegis policy test tests/policy.json\n"
		    "aegis policy test --manifest agent.yaml --context coder-default cases.json",
	.run = run,
};
