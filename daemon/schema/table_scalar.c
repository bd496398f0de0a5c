/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One written value against one field that is no list, map or object. Every refusal says what was
 * found and what would be accepted; a secret's value is never repeated.
 */
#include "daemon/schema/schema_internal.h"

static int bad_type(struct table_run *run, const struct doc *d, const char *wants, const char *hint)
{
	run_error(
		run, d->at, "wanted %s, found %s%s", wants, shown_doc(run->report->arena, d), hint);
	return DOC_BAD;
}

/* ---- strings ---- */

enum { UNSET = 2 }; /* beside 0 and DOC_BAD: the variable is unset, and that is tolerated */

/* Looks up env:NAME. */
static int expand_env(
	struct table_run *run, const struct doc *d, struct span name, const char **ret)
{
	const char *variable = arena_cstr(run->report->arena, name);
	if (!variable)
		return err_raise(-ENOMEM, "no memory for a configuration");
	*ret = run->env ? run->env(run->env_ctx, variable) : NULL;
	if (*ret)
		return 0;
	if (run->env_may_be_unset) {
		run_warning(run, d->at, "the environment variable %s is not set here", variable);
		return UNSET;
	}
	run_error(run, d->at, "the environment variable %s is not set; set it, or write the value",
		variable);
	return DOC_BAD;
}

static int expand(
	struct table_run *run, const struct table_field *f, const struct doc *d, struct span *ret)
{
	*ret = d->text;
	if (!run->credentials || f->flags & TABLE_PLAIN)
		return 0;
	if (span_starts(d->text, SPAN("literal:"))) {
		*ret = span_sub(d->text, 8, d->text.n);
	} else if (span_starts(d->text, SPAN("secret:"))) {
		run_error(run, d->at,
			"this field is no secret, so it cannot come from the secret store; "
			"accepted: a text, env:NAME, literal:TEXT");
		return DOC_BAD;
	} else if (span_starts(d->text, SPAN("env:"))) {
		const char *value;
		int r = expand_env(run, d, span_sub(d->text, 4, d->text.n), &value);
		if (r)
			return r;
		*ret = span_cstr(value);
		if (span_utf8_bad(*ret) >= 0) {
			run_error(run, d->at, "the environment variable's value is not UTF-8");
			return DOC_BAD;
		}
	}
	return 0;
}

static const char *accepted_length(struct arena *a, const struct table_field *f)
{
	const char *text = f->max
		? arena_printf(a, "%lld to %lld bytes", (long long)f->min, (long long)f->max)
		: f->min == 1 ? "a text that is not empty"
			      : arena_printf(a, "at least %lld bytes", (long long)f->min);
	return text ? text : "another length";
}

static int check_string(
	struct table_run *run, const struct table_field *f, const struct doc *d, struct span s)
{
	struct arena *a = run->report->arena;
	if ((int64_t)s.n < f->min || (f->max && (int64_t)s.n > f->max)) {
		run_error(run, d->at, "%s is not accepted; accepted: %s", shown_text(a, d->text),
			accepted_length(a, f));
		return DOC_BAD;
	}
	if (!f->pattern)
		return 0;
	struct pattern *p CLEANUP(pattern_cleanup) = NULL;
	int r = pattern_new(span_cstr(f->pattern), true, &p);
	if (r == 0)
		r = pattern_match(p, s, NULL);
	if (r == PATTERN_NO_MATCH || r == -E2BIG) {
		run_error(run, d->at, "%s is not accepted; accepted: %s", shown_text(a, d->text),
			f->pattern_says);
		return DOC_BAD;
	}
	return r < 0 ? err_trace(r) : 0;
}

static int load_string(
	struct table_run *run, const struct table_field *f, const struct doc *d, const char **dst)
{
	if (d->type == DOC_NUMBER || d->type == DOC_BOOL) {
		const char *hint =
			arena_printf(run->report->arena, "; write it in quotes: \"" SPAN_FMT "\"",
				SPAN_ARG(span_sub(d->text, 0, 40)));
		return bad_type(run, d, "a string", hint ? hint : "");
	}
	if (d->type != DOC_STRING)
		return bad_type(run, d, "a string", "");
	struct span s;
	int r = expand(run, f, d, &s);
	if (r == 0)
		r = check_string(run, f, d, s);
	if (r && r != UNSET)
		return r;
	*dst = arena_cstr(run->report->arena, s);
	return *dst ? 0 : err_raise(-ENOMEM, "no memory for a document");
}

static int load_enum(
	struct table_run *run, const struct table_field *f, const struct doc *d, int *dst)
{
	struct arena *a = run->report->arena;
	if (d->type == DOC_LIST || d->type == DOC_MAP || d->type == DOC_NULL)
		return bad_type(
			run, d, arena_printf(a, "one of %s", shown_words(a, f->values)), "");
	int index = words_find(f->values, d->text);
	if (index < 0) {
		const char *word = arena_cstr(a, span_sub(d->text, 0, 64));
		const char *nearest = word ? table_nearest(word, f->values) : NULL;
		run_error(run, d->at, "%s is not accepted; accepted: %s%s%s%s",
			shown_text(a, d->text), shown_words(a, f->values),
			nearest ? "; did you mean \"" : "", nearest ? nearest : "",
			nearest ? "\"?" : "");
		return DOC_BAD;
	}
	*dst = index;
	return 0;
}

/* ---- numbers ---- */

static int load_bool(struct table_run *run, const struct doc *d, bool *dst)
{
	static const char *const yes[] = {
		"yes", "Yes", "YES", "on", "On", "ON", "y", "Y", "true", "True", "1", NULL};
	static const char *const no[] = {
		"no", "No", "NO", "off", "Off", "OFF", "n", "N", "false", "False", "0", NULL};
	if (d->type == DOC_BOOL) {
		*dst = d->boolean;
		return 0;
	}
	const char *word = words_find(yes, d->text) >= 0 ? "true"
		: words_find(no, d->text) >= 0           ? "false"
							 : NULL;
	const char *why =
		d->quoted ? "without quotes" : "YAML 1.2 reads yes, no, on and off as text";
	const char *hint = word && d->type == DOC_STRING
		? arena_printf(run->report->arena, "; %s: write %s", why, word)
		: "";
	return bad_type(run, d, "true or false", hint ? hint : "");
}

/* "1 to 20", "at least 1" with the field's own unit. */
static const char *accepted_range(struct arena *a, const struct table_field *f)
{
	const char *text;
	if (f->type == TABLE_NUMBER)
		text = arena_printf(a, "%g to %g", f->least, f->most);
	else if (f->type == TABLE_DURATION)
		text = f->max ? arena_printf(a, "%gs to %gs", (double)f->min / NS_PER_S,
					(double)f->max / NS_PER_S)
			      : arena_printf(a, "at least %gs", (double)f->min / NS_PER_S);
	else if (f->max)
		text = arena_printf(a, "%lld to %lld%s", (long long)f->min, (long long)f->max,
			f->type == TABLE_SIZE ? " bytes" : "");
	else
		text = arena_printf(a, "at least %lld%s", (long long)f->min,
			f->type == TABLE_SIZE ? " bytes" : "");
	return text ? text : "another value";
}

static int check_range(
	struct table_run *run, const struct table_field *f, const struct doc *d, int64_t v)
{
	bool bounded = f->min || f->max;
	if (!bounded || (v >= f->min && (!f->max || v <= f->max)))
		return 0;
	run_error(run, d->at, SPAN_FMT " is out of range; accepted: %s",
		SPAN_ARG(span_sub(d->text, 0, 40)), accepted_range(run->report->arena, f));
	return DOC_BAD;
}

static int number_i64(const struct doc *d, int64_t *ret)
{
	struct json j = {.type = JSON_NUMBER, .text = d->number};
	int r = json_number_i64(&j, ret);
	if (r < 0)
		err_clear();
	return r;
}

static int load_int(
	struct table_run *run, const struct table_field *f, const struct doc *d, int64_t *dst)
{
	int64_t v;
	if (d->type == DOC_STRING && span_to_i64(d->text, &v) == 0)
		return bad_type(run, d, "an integer", "; write it without quotes");
	if (d->type != DOC_NUMBER)
		return bad_type(run, d, "an integer", "");
	int r = number_i64(d, &v);
	if (r == -ERANGE) {
		run_error(run, d->at, SPAN_FMT " is out of range; accepted: %s",
			SPAN_ARG(span_sub(d->text, 0, 40)),
			f->min || f->max ? accepted_range(run->report->arena, f)
					 : "a 64-bit integer");
		return DOC_BAD;
	}
	if (r < 0)
		return bad_type(run, d, "an integer", "");
	if (check_range(run, f, d, v))
		return DOC_BAD;
	*dst = v;
	return 0;
}

static int load_number(
	struct table_run *run, const struct table_field *f, const struct doc *d, double *dst)
{
	if (d->type != DOC_NUMBER)
		return bad_type(run, d, "a number",
			d->type == DOC_STRING ? "; numbers are written without quotes" : "");
	struct json j = {.type = JSON_NUMBER, .text = d->number};
	double v;
	bool bounded = f->least != 0 || f->most != 0;
	if (json_number_double(&j, &v) < 0) {
		err_clear();
		bounded = true;
		v = f->most + 1;
	}
	if (bounded && (v < f->least || v > f->most)) {
		run_error(run, d->at, SPAN_FMT " is out of range; accepted: %s",
			SPAN_ARG(span_sub(d->text, 0, 40)), accepted_range(run->report->arena, f));
		return DOC_BAD;
	}
	*dst = v;
	return 0;
}

/* ---- durations and sizes: a text with a unit, or a bare number ---- */

int table_parse_size(struct span s, int64_t *ret_bytes)
{
	static const struct {
		struct span suffix;
		int64_t factor;
	} units[] = {
		{SPAN("Ki"), 1024},
		{SPAN("Mi"), 1024 * 1024},
		{SPAN("Gi"), 1024 * 1024 * 1024},
		{SPAN("Ti"), INT64_C(1024) * 1024 * 1024 * 1024},
		{SPAN("k"), 1000},
		{SPAN("K"), 1000},
		{SPAN("M"), 1000 * 1000},
		{SPAN("G"), 1000 * 1000 * 1000},
		{SPAN("T"), INT64_C(1000) * 1000 * 1000 * 1000},
	};
	int64_t factor = 1;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (span_ends(s, units[i].suffix)) {
			factor = units[i].factor;
			s = span_sub(s, 0, s.n - units[i].suffix.n);
			break;
		}
	}
	uint64_t v;
	int r = span_to_u64(s, &v);
	if (r < 0)
		return r;
	if (v > (uint64_t)(INT64_MAX / factor))
		return -ERANGE;
	*ret_bytes = (int64_t)v * factor;
	return 0;
}

static int load_measure(
	struct table_run *run, const struct table_field *f, const struct doc *d, int64_t *dst)
{
	bool duration = f->type == TABLE_DURATION;
	const char *wants = duration
		? "a duration like 90s, 5m, 1h30m or 250ms, or a number of seconds"
		: "a size like 512Mi, 1Gi or 64Ki, or a number of bytes";
	if (d->type != DOC_STRING && d->type != DOC_NUMBER)
		return bad_type(run, d, wants, "");
	struct span text = d->type == DOC_NUMBER ? d->number : d->text;
	int64_t v;
	int r = duration ? clock_parse_duration(text, &v) : table_parse_size(text, &v);
	if (r < 0) {
		run_error(run, d->at, "%s is not accepted; accepted: %s",
			shown_text(run->report->arena, d->text), wants);
		return DOC_BAD;
	}
	if (check_range(run, f, d, v))
		return DOC_BAD;
	*dst = v;
	return 0;
}

/* ---- secrets ---- */

void table_secrets_fini(struct table_secrets *s)
{
	for (size_t i = 0; i < s->count; i++) {
		secret_free(s->items[i].secret);
		secret_wipe((void *)s->items[i].written.p, s->items[i].written.n);
	}
	free(s->items);
	*s = (struct table_secrets){0};
}

static int keep_secret(
	struct table_run *run, struct span text, struct span written, const struct secret **ret)
{
	struct table_secrets *list = run->secrets;
	CHECK(list);
	struct table_secret_kept *items =
		reallocarray(list->items, list->count + 1, sizeof(*items));
	if (!items)
		return err_raise(-ENOMEM, "no memory for a secret");
	list->items = items;
	struct secret *s = secret_new(text);
	if (!s)
		return err_raise(-ENOMEM, "no memory for a secret");
	items[list->count++] = (struct table_secret_kept){s, written};
	*ret = s;
	return 0;
}

/* What the secret is made of: its value where it is known, empty where it comes later. */
static int read_secret(
	struct table_run *run, const struct doc *d, struct table_secret *s, struct span *ret_value)
{
	struct arena *a = run->report->arena;
	*ret_value = span_of(NULL, 0);
	if (span_starts(d->text, SPAN("secret:"))) {
		s->from = TABLE_SECRET_STORE;
		s->name = arena_cstr(a, span_sub(d->text, 7, d->text.n));
	} else if (span_starts(d->text, SPAN("env:"))) {
		const char *text;
		s->from = TABLE_SECRET_ENV;
		s->name = arena_cstr(a, span_sub(d->text, 4, d->text.n));
		int r = expand_env(run, d, span_sub(d->text, 4, d->text.n), &text);
		if (r == UNSET)
			return 0;
		if (r)
			return r;
		*ret_value = span_cstr(text);
	} else {
		bool prefixed = span_starts(d->text, SPAN("literal:"));
		*ret_value = span_sub(d->text, prefixed ? 8 : 0, d->text.n);
		return 0;
	}
	return s->name ? 0 : err_raise(-ENOMEM, "no memory for a document");
}

static int load_secret(struct table_run *run, const struct doc *d, struct table_secret *dst)
{
	if (d->type != DOC_STRING || !d->text.n) {
		run_error(run, d->at,
			"wanted a secret (the value found is not shown); accepted: env:NAME, "
			"secret:PATH, literal:TEXT, or a text in quotes");
		return DOC_BAD;
	}
	struct table_secret s = {.from = TABLE_SECRET_LITERAL};
	struct span value;
	int r = read_secret(run, d, &s, &value);
	struct span written = s.from == TABLE_SECRET_LITERAL ? d->text : SPAN("");
	if (r == 0 && value.p)
		r = keep_secret(run, value, written, &s.value);
	if (r)
		return r < 0 ? err_trace(r) : r;
	*dst = s;
	return 0;
}

int scalar_load(struct table_run *run, const struct table_field *f, const struct doc *d, void *dst)
{
	switch (f->type) {
	case TABLE_STRING:
		return load_string(run, f, d, dst);
	case TABLE_ENUM:
		return load_enum(run, f, d, dst);
	case TABLE_BOOL:
		return load_bool(run, d, dst);
	case TABLE_INT:
		return load_int(run, f, d, dst);
	case TABLE_NUMBER:
		return load_number(run, f, d, dst);
	case TABLE_DURATION:
	case TABLE_SIZE:
		return load_measure(run, f, d, dst);
	case TABLE_SECRET:
		return load_secret(run, d, dst);
	case TABLE_JSON: {
		const struct json *j = doc_to_json(run->report->arena, d);
		memcpy(dst, &j, sizeof(j));
		return j ? 0 : err_raise(-ENOMEM, "no memory for a document");
	}
	case TABLE_LIST:
	case TABLE_MAP:
	case TABLE_OBJECT:
	case TABLE_FORMS:
		break;
	}
	UNREACHABLE();
}
