/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * YAML text to a tree, over libyaml's events. libyaml scans YAML 1.1 but leaves the meaning of
 * plain scalars to us; they are read by the core schema of YAML 1.2 (section 10.3.2). Anchors hold
 * finished values only, so an alias can neither point into itself nor at something unfinished.
 */
#include "daemon/schema/schema_internal.h"
#include <yaml.h>

struct yaml_reader {
	struct doc_builder builder;
	struct map anchors; /* name -> struct doc in the arena */
	char *frame_anchors[LIMIT_DOC_DEPTH]; /* name for the list or map when it ends */
};

static struct report_place yaml_place(yaml_mark_t m)
{
	return (struct report_place){(int)m.line + 1, (int)m.column + 1};
}

static int yaml_bad(struct yaml_reader *y, yaml_mark_t at, const char *message)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_DOC_PATH_BYTES);
	report_error(y->builder.report, yaml_place(at), doc_builder_path(&y->builder, &text), "%s",
		message);
	return DOC_BAD;
}

/* ---- plain scalars ---- */

static bool word_in(struct span s, const char *const *words)
{
	for (; *words; words++)
		if (span_is(s, *words))
			return true;
	return false;
}

static size_t digits(struct span s, size_t from)
{
	size_t i = from;
	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	return i - from;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_decimal(struct span s)
{
	size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
	size_t whole = digits(s, i);
	i += whole;
	size_t fraction = 0;
	if (i < s.n && s.p[i] == '.') {
		fraction = digits(s, i + 1);
		i += 1 + fraction;
	}
	if (!whole && !fraction)
		return false;
	if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
		i++;
		if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
			i++;
		size_t exponent = digits(s, i);
		if (!exponent)
			return false;
		i += exponent;
	}
	return i == s.n;
}

/* JSON wants neither '+' nor leading zeros, and digits on both sides of the point. */
static struct span decimal_token(struct arena *a, struct span s)
{
	bool negative = s.p[0] == '-';
	size_t i = negative || s.p[0] == '+' ? 1 : 0;
	size_t whole = digits(s, i);
	while (whole > 1 && s.p[i] == '0') {
		i++;
		whole--;
	}
	size_t after = i + whole;
	bool bare_point = after < s.n && s.p[after] == '.' && !digits(s, after + 1);
	if (bare_point)
		after++;
	const char *token = arena_printf(a, "%s" SPAN_FMT "%s" SPAN_FMT, negative ? "-" : "",
		SPAN_ARG(whole ? span_of(s.p + i, whole) : SPAN("0")), bare_point ? ".0" : "",
		SPAN_ARG(span_of(s.p + after, s.n - after)));
	return span_cstr(token);
}

/* 0x1F, 0o17; false if it is neither or does not fit in 63 bits. */
static bool radix_value(struct span s, int64_t *ret)
{
	if (s.n < 3 || s.n > 24 || s.p[0] != '0' || (s.p[1] != 'x' && s.p[1] != 'o'))
		return false;
	uint64_t v = 0;
	uint64_t radix = s.p[1] == 'x' ? 16 : 8;
	for (size_t i = 2; i < s.n; i++) {
		char c = (char)(s.p[i] | 0x20);
		uint64_t d = s.p[i] >= '0' && s.p[i] <= '9' ? (uint64_t)(s.p[i] - '0')
			: c >= 'a' && c <= 'f'              ? (uint64_t)(c - 'a') + 10
							    : 16;
		if (d >= radix || v > (INT64_MAX - d) / radix)
			return false;
		v = v * radix + d;
	}
	*ret = (int64_t)v;
	return true;
}

static int yaml_resolve(struct yaml_reader *y, yaml_mark_t at, struct doc *value)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const trues[] = {"true", "True", "TRUE", NULL};
	static const char *const falses[] = {"false", "False", "FALSE", NULL};
	static const char *const endless[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF",
		"-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN", NULL};
	struct arena *a = y->builder.report->arena;
	struct span s = value->text;
	int64_t number = 0;

	if (word_in(s, nulls)) {
		value->type = DOC_NULL;
	} else if (word_in(s, trues) || word_in(s, falses)) {
		value->type = DOC_BOOL;
		value->boolean = word_in(s, trues);
	} else if (word_in(s, endless)) {
		return yaml_bad(y, at, "only finite numbers are accepted; put a text in quotes");
	} else if (is_decimal(s) || radix_value(s, &number)) {
		if (s.n > LIMIT_JSON_NUMBER_BYTES)
			return yaml_bad(y, at, "this number is too long");
		value->type = DOC_NUMBER;
		value->number = is_decimal(s)
			? decimal_token(a, s)
			: span_cstr(arena_printf(a, "%lld", (long long)number));
		if (!value->number.p)
			return err_raise(-ENOMEM, "no memory for a document");
	}
	return 0;
}

/* ---- anchors ---- */

static int yaml_remember(struct yaml_reader *y, const char *name, const struct doc *value)
{
	struct arena *a = y->builder.report->arena;
	struct doc *kept = arena_make(a, struct doc);
	char *kept_name = arena_strdup(a, name);
	if (!kept || !kept_name)
		return err_raise(-ENOMEM, "no memory for a document");
	*kept = *value;
	(void)map_remove(&y->anchors, span_cstr(name));
	int r = map_put(&y->anchors, span_cstr(kept_name), kept);
	return r < 0 ? err_trace(r) : 0;
}

static int yaml_alias(struct yaml_reader *y, const yaml_event_t *e)
{
	if (doc_builder_wants_key(&y->builder))
		return yaml_bad(y, e->start_mark, "an alias cannot be a key; write the key out");
	const struct doc *found = map_get(&y->anchors, span_cstr((char *)e->data.alias.anchor));
	if (!found)
		return yaml_bad(y, e->start_mark,
			"this alias has no finished value in front of it; define its anchor first");
	struct doc value = *found;
	value.at = yaml_place(e->start_mark);
	return doc_builder_value(&y->builder, value);
}

/* ---- events ---- */

static int yaml_key(struct yaml_reader *y, const yaml_event_t *e)
{
	struct span key = span_of(e->data.scalar.value, e->data.scalar.length);
	bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (plain && span_is(key, "<<"))
		return yaml_bad(y, e->start_mark,
			"merge keys (<<) are not part of YAML 1.2; write the fields out");
	if (plain && (key.n == 0 || span_is(key, "~")))
		return yaml_bad(y, e->start_mark, "an empty key is not accepted");
	return doc_builder_key(&y->builder, key, yaml_place(e->start_mark));
}

static int yaml_scalar(struct yaml_reader *y, const yaml_event_t *e)
{
	if (e->data.scalar.tag)
		return yaml_bad(
			y, e->start_mark, "tags (!) are not accepted; quote a text instead");
	if (doc_builder_wants_key(&y->builder))
		return yaml_key(y, e);

	struct doc value = {
		.type = DOC_STRING,
		.at = yaml_place(e->start_mark),
		.text = span_of(e->data.scalar.value, e->data.scalar.length),
		.quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE,
	};
	int r = value.quoted ? 0 : yaml_resolve(y, e->start_mark, &value);
	if (r == 0)
		r = doc_builder_scalar(&y->builder, value);
	if (r == 0 && e->data.scalar.anchor) {
		const struct doc_builder *b = &y->builder;
		r = yaml_remember(y, (char *)e->data.scalar.anchor, &b->stack[b->count - 1]);
	}
	return r;
}

static int yaml_open(struct yaml_reader *y, const yaml_event_t *e, enum doc_type type,
	const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (tag)
		return yaml_bad(y, e->start_mark, "tags (!) are not accepted; leave it out");
	if (doc_builder_wants_key(&y->builder))
		return yaml_bad(y, e->start_mark, "a key must be a text, not a list or a mapping");
	int depth = y->builder.depth;
	int r = doc_builder_open(&y->builder, type, yaml_place(e->start_mark));
	if (r)
		return r;
	y->frame_anchors[depth] = NULL;
	if (anchor) {
		y->frame_anchors[depth] =
			arena_strdup(y->builder.report->arena, (const char *)anchor);
		if (!y->frame_anchors[depth])
			return err_raise(-ENOMEM, "no memory for a document");
	}
	return 0;
}

static int yaml_close(struct yaml_reader *y)
{
	struct doc value;
	int r = doc_builder_close(&y->builder, &value);
	const char *anchor = y->frame_anchors[y->builder.depth];
	if (r == 0 && anchor)
		r = yaml_remember(y, anchor, &value);
	return r;
}

/* Sets *end when the stream is over. */
static int yaml_event(struct yaml_reader *y, const yaml_event_t *e, int *documents, bool *end)
{
	switch (e->type) {
	case YAML_STREAM_END_EVENT:
		*end = true;
		return 0;
	case YAML_DOCUMENT_START_EVENT:
		if ((*documents)++)
			return yaml_bad(y, e->start_mark,
				"a second document begins here; accepted: one document per file");
		return 0;
	case YAML_ALIAS_EVENT:
		return yaml_alias(y, e);
	case YAML_SCALAR_EVENT:
		return yaml_scalar(y, e);
	case YAML_SEQUENCE_START_EVENT:
		return yaml_open(
			y, e, DOC_LIST, e->data.sequence_start.anchor, e->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return yaml_open(
			y, e, DOC_MAP, e->data.mapping_start.anchor, e->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return yaml_close(y);
	default:
		return 0;
	}
}

/* What usually lies behind a scanner's words. */
static const char *yaml_hint(const char *problem)
{
	if (strstr(problem, "cannot start any token"))
		return "; a text that begins with such a character needs quotes, and tabs do not "
		       "indent";
	if (strstr(problem, "mapping values are not allowed"))
		return "; a text that holds \": \" needs quotes, and fields of one object the same "
		       "indentation";
	return "";
}

static int yaml_syntax_error(struct yaml_reader *y, const yaml_parser_t *p)
{
	if (p->error == YAML_MEMORY_ERROR)
		return err_raise(-ENOMEM, "no memory to read YAML");
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_DOC_PATH_BYTES);
	const char *problem = p->problem ? p->problem : "it cannot be read";
	report_error(y->builder.report, yaml_place(p->problem_mark),
		doc_builder_path(&y->builder, &text), "this is not YAML: %s%s%s%s", problem,
		p->context ? " " : "", p->context ? p->context : "", yaml_hint(problem));
	return DOC_BAD;
}

static int yaml_read(struct yaml_reader *y, yaml_parser_t *p, const struct doc **ret)
{
	int documents = 0;
	bool end = false;
	while (!end) {
		yaml_event_t e;
		if (!yaml_parser_parse(p, &e))
			return yaml_syntax_error(y, p);
		int r = yaml_event(y, &e, &documents, &end);
		yaml_event_delete(&e);
		if (r)
			return r;
	}
	if (!documents) {
		report_error(
			y->builder.report, (struct report_place){0}, "", "the document is empty");
		return DOC_BAD;
	}
	return doc_builder_finish(&y->builder, ret);
}

int doc_parse_yaml(struct report *r, struct span text, const struct doc **ret)
{
	if (!doc_text_ok(r, text))
		return DOC_BAD;
	if (span_starts(text, SPAN("\xef\xbb\xbf")))
		text = span_sub(text, 3, text.n);

	yaml_parser_t p;
	if (!yaml_parser_initialize(&p))
		return err_raise(-ENOMEM, "no memory to read YAML");
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)(text.p ? text.p : ""), text.n);

	struct yaml_reader *y = calloc(1, sizeof(*y));
	int result = -ENOMEM;
	if (y) {
		y->builder.report = r;
		map_init(&y->anchors, LIMIT_DOC_VALUES);
		result = yaml_read(y, &p, ret);
		map_fini(&y->anchors);
		doc_builder_fini(&y->builder);
		free(y);
	}
	yaml_parser_delete(&p);
	return result < 0 ? err_trace(result) : result;
}
