/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Is the answer of an iteration acceptable? The deterministic validators all run, in order, so that
 * the next attempt is told everything at once; the lowest score decides. What needs a judge or a
 * script is recorded as not run. Patterns run under PCRE2's match limits: one that needs more has
 * not matched.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "daemon/execution/internal.h"
#include <pcre2.h>

static int reason(struct verdict *v, struct arena *a, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int reason(struct verdict *v, struct arena *a, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	char *text = arena_vprintf(a, fmt, args);
	va_end(args);
	if (!text)
		return err_raise(-ENOMEM, "validation: out of memory");
	v->reason = span_cstr(text);
	return 0;
}

/* The outcome of a check that yields yes or no. */
static void decide(struct verdict *v, bool good)
{
	v->ran = true;
	v->score = good ? 1.0 : 0.0;
}

/* ---- formats ---- */

/* RFC 4180, either line end: quotes are closed, and every record has as many fields as the first.
 */
static bool csv_valid(struct span s, size_t *ret_line)
{
	size_t fields = 1, expected = 0, i = 0;
	*ret_line = 1;

	while (i < s.n) {
		if (s.p[i] == '"') {
			for (i++; i < s.n && (s.p[i] != '"' || (i + 1 < s.n && s.p[i + 1] == '"'));)
				i += s.p[i] == '"' ? 2 : 1;
			if (i++ >= s.n)
				return false;
			if (i < s.n && !strchr(",\r\n", s.p[i]))
				return false;
		}
		while (i < s.n && s.p[i] != ',' && s.p[i] != '\n' && s.p[i] != '"')
			i++;
		if (i < s.n && s.p[i] == '"')
			return false;
		if (i < s.n && s.p[i] == ',') {
			fields++;
			i++;
			continue;
		}
		if (expected && fields != expected)
			return false;
		expected = fields;
		fields = 1;
		if (i++ < s.n && i < s.n)
			++*ret_line;
	}
	/* After a last comma an empty field ends the text. */
	return s.n > 0 && (fields == 1 || !expected || fields == expected);
}

static int check_yaml(struct verdict *v, struct span output, struct arena *a)
{
	struct report *report = arena_make(a, struct report);
	struct buf b CLEANUP(buf_fini) = buf_init(ERR_MESSAGE_BYTES + 64);
	const struct doc *doc;

	if (!report || report_init(report, a, "output") < 0)
		return err_raise(-ENOMEM, "validation: out of memory");
	int r = doc_parse_yaml(report, output, &doc);
	if (r < 0)
		return err_trace(r);
	decide(v, r == 0);
	if (r == 0)
		return 0;
	report_summary(report, &b);
	return reason(v, a, "the output is no valid YAML: " SPAN_FMT, SPAN_ARG(buf_view(&b)));
}

/* Parses the output; a failure becomes the verdict. */
static int output_json(
	struct verdict *v, struct span output, struct arena *a, const struct json **ret)
{
	int r = json_parse(a, span_trim(output), NULL, ret);

	if (r == -ENOMEM)
		return err_trace(r);
	if (r == 0)
		return 0;
	decide(v, false);
	const char *fenced = span_starts(span_trim(output), SPAN("```"))
		? "; it is wrapped in a code fence, give the bare JSON"
		: "";
	int x = reason(v, a, "the output is no valid JSON: %s%s", err_message(r), fenced);
	err_clear();
	*ret = NULL;
	return x;
}

static int check_format(struct verdict *v, const struct evidence *e, struct arena *a)
{
	const struct json *json;
	size_t line;
	int r;

	switch ((enum agent_output_format)v->validator->format) {
	case AGENT_OUTPUT_JSON:
		r = output_json(v, e->output, a, &json);
		if (r == 0 && json)
			decide(v, true);
		return r;
	case AGENT_OUTPUT_YAML:
		return check_yaml(v, e->output, a);
	case AGENT_OUTPUT_TEXT:
		decide(v, span_utf8_bad(e->output) < 0);
		return v->score > 0 ? 0 : reason(v, a, "the output is no UTF-8 text");
	case AGENT_OUTPUT_CSV:
		decide(v, csv_valid(e->output, &line));
		return v->score > 0
			? 0
			: reason(v, a, "the output is no valid CSV: see line %zu", line);
	case AGENT_OUTPUT_PDF:
		return reason(v, a, "an answer is text; a PDF cannot be checked yet");
	}
	UNREACHABLE();
}

/* ---- schema and pattern ---- */

static int check_schema(struct verdict *v, const struct evidence *e, struct arena *a)
{
	struct jsonschema_error error = {0};
	struct jsonschema *schema;
	const struct json *json;
	int r = output_json(v, e->output, a, &json);

	if (r < 0 || !json)
		return r;
	r = jsonschema_new(v->validator->schema, JSONSCHEMA_2020_12, &schema);
	if (r == -ENOMEM)
		return err_trace(r);
	if (r == 0) {
		r = jsonschema_check(schema, json, &error);
		jsonschema_free(schema);
	}
	if (r == -ENOMEM)
		return err_trace(r);
	decide(v, r == 0);
	if (r > 0)
		r = reason(v, a, "%s%s%s", error.instance_path, error.instance_path[0] ? ": " : "",
			error.message);
	else if (r < 0) {
		/* A schema that cannot be used has accepted nothing. */
		int x = reason(v, a, "the schema cannot be applied: %s", err_message(r));
		err_clear();
		r = x;
	}
	return r;
}

static int pattern_run(const char *pattern, struct span subject, bool *ret_matched, char why[120])
{
	PCRE2_SIZE offset;
	int code, r = -ENOMEM;
	pcre2_code *re = pcre2_compile(
		(PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &code, &offset, NULL);

	*ret_matched = false;
	if (!re) {
		pcre2_get_error_message(code, (PCRE2_UCHAR *)why, 120);
		return 0;
	}
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	pcre2_match_context *context = pcre2_match_context_create(NULL);
	if (data && context) {
		pcre2_set_match_limit(context, LIMIT_PATTERN_MATCH_STEPS);
		pcre2_set_depth_limit(context, LIMIT_PATTERN_MATCH_DEPTH);
		pcre2_set_heap_limit(context, LIMIT_PATTERN_MATCH_KIB);
		code = pcre2_match(re, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0, 0,
			data, context);
		*ret_matched = code >= 0;
		if (code < 0 && code != PCRE2_ERROR_NOMATCH)
			pcre2_get_error_message(code, (PCRE2_UCHAR *)why, 120);
		r = 0;
	}
	pcre2_match_context_free(context);
	pcre2_match_data_free(data);
	pcre2_code_free(re);
	return r;
}

static int check_regex(struct verdict *v, const struct evidence *e, struct arena *a)
{
	const struct agent_validator *spec = v->validator;
	char why[120] = "";
	bool matched;
	int r = pattern_run(spec->pattern, spec->on_stderr ? e->errors : e->output, &matched, why);

	if (r < 0)
		return err_raise(r, "validation: out of memory");
	decide(v, matched);
	if (matched)
		return 0;
	return reason(v, a, "%s does not match /%.200s/%s%s",
		spec->on_stderr ? "stderr" : "the output", spec->pattern, why[0] ? ": " : "", why);
}

/* ---- all of them ---- */

static int check_one(struct verdict *v, const struct evidence *e, struct arena *a)
{
	switch ((enum agent_validator_type)v->validator->type) {
	case AGENT_VALIDATE_EXIT_CODE:
		decide(v, e->exit_code == v->validator->expected);
		return v->score > 0 ? 0
				    : reason(v, a, "exit code %d; %lld was expected", e->exit_code,
					      (long long)v->validator->expected);
	case AGENT_VALIDATE_STDERR:
		decide(v, span_trim(e->errors).n == 0);
		return v->score > 0 ? 0
				    : reason(v, a, "something was written to stderr: %.*s",
					      (int)MIN(e->errors.n, (size_t)400), e->errors.p);
	case AGENT_VALIDATE_FORMAT:
		return check_format(v, e, a);
	case AGENT_VALIDATE_JSON_SCHEMA:
		return check_schema(v, e, a);
	case AGENT_VALIDATE_REGEX:
		return check_regex(v, e, a);
	case AGENT_VALIDATE_SCRIPT:
		return reason(v, a, "scripts are not run yet");
	case AGENT_VALIDATE_SEMANTIC:
	case AGENT_VALIDATE_MULTI_JUDGE:
		return reason(v, a, "judges are not asked yet");
	}
	UNREACHABLE();
}

int validate(const struct agent_manifest *m, const struct evidence *e, struct arena *a,
	struct validation *ret)
{
	size_t count = m->spec.execution.validators.count;
	struct validation v = {.score = 1.0, .passed = true, .count = count};

	v.verdicts = arena_make_array(a, struct verdict, count + 1);
	if (!v.verdicts)
		return err_raise(-ENOMEM, "validation: out of memory");
	for (size_t i = 0; i < count; i++) {
		struct verdict *verdict = &v.verdicts[i];
		verdict->validator = &m->spec.execution.validators.items[i];
		int r = check_one(verdict, e, a);
		if (r < 0)
			return err_trace(r);
		if (!verdict->ran)
			continue;
		/* Fail closed: only a score that reaches the bound passes. */
		verdict->passed = verdict->score >= verdict->validator->min_score;
		v.score = MIN(v.score, verdict->score);
		v.passed = v.passed && verdict->passed;
	}
	*ret = v;
	return 0;
}

void validation_put(struct json_writer *w, const struct validation *v)
{
	json_object(w);
	json_key(w, "score");
	json_put_double(w, v->score);
	json_field_bool(w, "passed", v->passed);
	json_key(w, "validators");
	json_array(w);
	for (size_t i = 0; i < v->count; i++) {
		const struct verdict *x = &v->verdicts[i];
		json_object(w);
		json_field_cstr(w, "type", agent_validator_name(x->validator->type));
		json_field_cstr(w, "path", x->validator->path);
		json_field_bool(w, "ran", x->ran);
		if (x->ran) {
			json_field_bool(w, "passed", x->passed);
			json_key(w, "score");
			json_put_double(w, x->score);
			json_key(w, "min_score");
			json_put_double(w, x->validator->min_score);
		}
		if (x->reason.n)
			json_field_span(w, "reason", x->reason);
		json_end(w);
	}
	json_end(w);
	json_end(w);
}

int validation_feedback(
	const struct validation *v, uint32_t number, struct arena *a, struct span *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_EXECUTION_HISTORY_BYTES);

	buf_printf(&b, "Iteration %u failed validation.\n", number);
	for (size_t i = 0; i < v->count; i++) {
		const struct verdict *x = &v->verdicts[i];
		if (!x->ran || x->passed)
			continue;
		buf_printf(&b, "\nValidator: %s\nScore: %.1f (threshold: %.1f)\nDetails: ",
			agent_validator_name(x->validator->type), x->score,
			x->validator->min_score);
		buf_span(&b, span_sub(x->reason, 0, 2000));
		buf_putc(&b, '\n');
	}
	buf_puts(&b, "\nPlease fix the issue and try again.");
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret = arena_span(a, buf_view(&b));
	return ret->p ? 0 : err_raise(-ENOMEM, "validation: out of memory");
}
