/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Text to tree in one pass, without recursion.
 *
 * Slots: values that are read but whose container is still open stand on a stack of slots; a
 * container's slot is followed by those of its children. When it closes, the children move into
 * the arena as one array, and the members of an object are sorted, which also finds duplicates.
 *
 * Texts: a decoded string or a number token is never longer than what was read so far, so all of
 * them go into one piece of memory as large as the input, and copying needs no bounds check.
 *
 * Both are bounded by the arena: the slots, which are not in it, may take what it has left.
 */
#include "daemon/base/json.h"
#include "daemon/base/check.h"
#include "daemon/base/err.h"
#include "daemon/base/json_scan.h"
#include "daemon/base/limits.h"
#include "daemon/base/utf8.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const struct json_limits json_limits_default = {LIMIT_JSON_BYTES, LIMIT_JSON_DEPTH};

enum {
	FIRST_SLOTS = 24, /* on the stack of the caller; small documents need no more */
	FEW_TO_SORT = 24,
};

struct slot {
	struct json value;
	size_t key_at; /* offset of the key in the text */
};

struct parser {
	const char *p;
	const char *end;
	char *out; /* where the next text goes */
	struct slot *slots;
	size_t count;
	size_t capacity;
	struct span key; /* of the value that comes next */
	size_t key_at;
	int depth;
	struct arena *arena;
	const struct json_limits *limits;
	struct span text;
	struct slot *heap_slots; /* NULL, or slots */
	uint32_t open[LIMIT_JSON_DEPTH]; /* slots of the open containers */
};

static const char value_wanted[] = "a value is expected: an object, an array, a string in double "
				   "quotes, a number, true, false or null";

/* Raises code with line and column (in characters) of `at`. */
COLD PRINTF_LIKE(4, 5) static int fail(
	const struct parser *p, int code, const char *at, const char *fmt, ...)
{
	char what[256];
	size_t line = 1, column = 1;
	va_list args;
	for (const char *c = p->text.p; c < at; c++) {
		if (*c == '\n') {
			line++;
			column = 1;
		} else if (((unsigned char)*c & 0xc0) != 0x80) {
			column++;
		}
	}
	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	return err_raise(code, "line %zu column %zu: %s", line, column, what);
}

/* Complains about what stands at p->p. */
COLD static int fail_here(const struct parser *p, const char *wanted)
{
	if (p->p == p->end)
		return fail(p, -EINVAL, p->p, "the text ends here; %s", wanted);
	unsigned char c = (unsigned char)*p->p;
	if (isgraph(c))
		return fail(p, -EINVAL, p->p, "unexpected '%c'; %s", c, wanted);
	return fail(p, -EINVAL, p->p, "unexpected byte 0x%02x; %s", c, wanted);
}

COLD static int fail_memory(const struct parser *p)
{
	return err_raise(-ENOMEM,
		"JSON text of %zu bytes needs more memory than one request may use", p->text.n);
}

static void skip_blanks(struct parser *p)
{
	while (p->p < p->end && (*p->p == ' ' || *p->p == '\n' || *p->p == '\r' || *p->p == '\t'))
		p->p++;
}

/* The next byte that is no blank, or -1 at the end. */
static int peek(struct parser *p)
{
	if (p->p < p->end && (unsigned char)*p->p > ' ')
		return (unsigned char)*p->p;
	skip_blanks(p);
	return p->p < p->end ? (unsigned char)*p->p : -1;
}

COLD static int more_slots(struct parser *p)
{
	size_t capacity = p->capacity * 2;
	if (capacity * sizeof(*p->slots) > arena_left(p->arena))
		return fail_memory(p);
	struct slot *slots = realloc(p->heap_slots, capacity * sizeof(*slots));
	if (!slots)
		return fail_memory(p);
	if (!p->heap_slots)
		memcpy(slots, p->slots, p->count * sizeof(*slots));
	p->heap_slots = slots;
	p->slots = slots;
	p->capacity = capacity;
	return 0;
}

static int read_hex4(struct parser *p, const char *s, uint32_t *ret)
{
	uint32_t v = 0;
	if (p->end - s < 4)
		return fail(p, -EINVAL, s, "four hexadecimal digits must follow \\u");
	for (int i = 0; i < 4; i++) {
		int digit = json_hex_value(s[i]);
		if (digit < 0)
			return fail(p, -EINVAL, s, "four hexadecimal digits must follow \\u");
		v = v << 4 | (uint32_t)digit;
	}
	*ret = v;
	return 0;
}

static char *put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* *s stands behind "\u". A high surrogate needs its low half; alone, neither is a character. */
static int read_unicode(struct parser *p, const char **s, char **out)
{
	uint32_t c, low;
	int r = read_hex4(p, *s, &c);
	if (r < 0)
		return r;
	if (c >= 0xdc00 && c <= 0xdfff)
		return fail(p, -EINVAL, *s - 2, "low surrogate without a high one before it");
	if (c >= 0xd800 && c <= 0xdbff) {
		if (p->end - *s < 10 || (*s)[4] != '\\' || (*s)[5] != 'u')
			return fail(
				p, -EINVAL, *s - 2, "high surrogate without a low one behind it");
		r = read_hex4(p, *s + 6, &low);
		if (r < 0)
			return r;
		if (low < 0xdc00 || low > 0xdfff)
			return fail(
				p, -EINVAL, *s - 2, "high surrogate without a low one behind it");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		*s += 6;
	}
	*s += 4;
	*out = put_utf8(*out, c);
	return 0;
}

/* *s stands at the backslash. */
static int read_escape(struct parser *p, const char **s, char **out)
{
	char c = p->end - *s > 1 ? (*s)[1] : '\0';
	*s += 2;
	switch (c) {
	case '"':
	case '\\':
	case '/':
		*(*out)++ = c;
		return 0;
	case 'b':
		*(*out)++ = '\b';
		return 0;
	case 'f':
		*(*out)++ = '\f';
		return 0;
	case 'n':
		*(*out)++ = '\n';
		return 0;
	case 'r':
		*(*out)++ = '\r';
		return 0;
	case 't':
		*(*out)++ = '\t';
		return 0;
	case 'u':
		return read_unicode(p, s, out);
	default:
		return fail(p, -EINVAL, *s - 2,
			"unknown escape; \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX are "
			"accepted");
	}
}

/* p->p stands at the opening quote. */
static int read_string(struct parser *p, struct span *ret)
{
	const char *s = p->p + 1, *end = p->end;
	char *out = p->out;
	for (;;) {
		while (end - s >= JSON_WORD_BYTES) {
			size_t plain = json_copy_plain(out, s);
			out += plain;
			s += plain;
			if (plain < JSON_WORD_BYTES)
				break;
		}
		if (s == end)
			return fail(p, -EINVAL, p->p, "string without an end");
		unsigned char c = (unsigned char)*s;
		if (c == '"')
			break;
		if (c == '\\') {
			int r = read_escape(p, &s, &out);
			if (r < 0)
				return r;
		} else if (c < 0x20) {
			return fail(p, -EINVAL, s, "byte 0x%02x in a string; write \\u%04x", c, c);
		} else {
			size_t n = utf8_sequence((const unsigned char *)s, (size_t)(end - s));
			if (n == 0)
				return fail(p, -EINVAL, s, "byte 0x%02x is not UTF-8", c);
			for (; n > 0; n--)
				*out++ = *s++;
		}
	}
	*ret = span_of(p->out, (size_t)(out - p->out));
	p->out = out;
	p->p = s + 1;
	return 0;
}

static bool digit(const char *s, const char *end)
{
	return s < end && *s >= '0' && *s <= '9';
}

static const char *skip_digits(const char *s, const char *end)
{
	while (digit(s, end))
		s++;
	return s;
}

static int read_number(struct parser *p, struct json *v)
{
	const char *s = p->p, *end = p->end;
	s += *s == '-';
	if (!digit(s, end))
		return fail(p, -EINVAL, s, "a digit is expected");
	if (*s == '0' && digit(s + 1, end))
		return fail(p, -EINVAL, s, "a number has no leading zeros");
	s = skip_digits(s, end);
	if (s < end && *s == '.') {
		if (!digit(++s, end))
			return fail(p, -EINVAL, s, "a digit is expected after the point");
		s = skip_digits(s, end);
	}
	if (s < end && (*s == 'e' || *s == 'E')) {
		s++;
		s += s < end && (*s == '+' || *s == '-');
		if (!digit(s, end))
			return fail(p, -EINVAL, s, "a digit is expected in the exponent");
		s = skip_digits(s, end);
	}
	size_t n = (size_t)(s - p->p);
	if (n > LIMIT_JSON_NUMBER_BYTES)
		return fail(p, -E2BIG, p->p, "number of %zu characters; at most %d are accepted", n,
			LIMIT_JSON_NUMBER_BYTES);
	memcpy(p->out, p->p, n);
	v->type = JSON_NUMBER;
	v->text = span_of(p->out, n);
	p->out += n;
	p->p = s;
	return 0;
}

static int read_literal(struct parser *p, struct span word)
{
	if (!span_starts(span_of(p->p, (size_t)(p->end - p->p)), word))
		return fail_here(p, value_wanted);
	p->p += word.n;
	return 0;
}

/* The key and the colon of the next member. */
static int read_key(struct parser *p)
{
	if (peek(p) != '"')
		return fail_here(p, "a key in double quotes is expected");
	p->key_at = (size_t)(p->p - p->text.p);
	int r = read_string(p, &p->key);
	if (r < 0)
		return r;
	if (peek(p) != ':')
		return fail_here(p, "a colon is expected after the key");
	p->p++;
	return 0;
}

static void sift_down(const struct json **v, size_t root, size_t n)
{
	for (;;) {
		size_t child = 2 * root + 1;
		if (child >= n)
			return;
		if (child + 1 < n && span_cmp(v[child]->key, v[child + 1]->key) < 0)
			child++;
		if (span_cmp(v[root]->key, v[child]->key) >= 0)
			return;
		const struct json *swap = v[root];
		v[root] = v[child];
		v[child] = swap;
		root = child;
	}
}

/* Heap sort: never worse than n log n, whatever keys somebody thinks of, and in place. */
static void sort_many(const struct json **v, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sift_down(v, i, n);
	for (size_t last = n - 1; last > 0; last--) {
		const struct json *swap = v[0];
		v[0] = v[last];
		v[last] = swap;
		sift_down(v, 0, last);
	}
}

static void sort_few(const struct json **v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		const struct json *moving = v[i];
		size_t at = i;
		for (; at > 0 && span_cmp(v[at - 1]->key, moving->key) > 0; at--)
			v[at] = v[at - 1];
		v[at] = moving;
	}
}

static int sort_members(struct parser *p, struct json *object, const struct slot *children)
{
	const struct json **sorted = object->sorted;
	size_t n = object->count;
	bool in_order = true;
	for (size_t i = 0; i < n; i++) {
		sorted[i] = &object->items[i];
		in_order = in_order && (i == 0 || span_cmp(sorted[i - 1]->key, sorted[i]->key) < 0);
	}
	if (in_order)
		return 0;
	(n <= FEW_TO_SORT ? sort_few : sort_many)(sorted, n);
	for (size_t i = 1; i < n; i++) {
		if (!span_eq(sorted[i - 1]->key, sorted[i]->key))
			continue;
		size_t second = (size_t)(MAX(sorted[i - 1], sorted[i]) - object->items);
		return fail(p, -EINVAL, p->text.p + children[second].key_at,
			"the key \"" SPAN_FMT "\" appears a second time in its object",
			(int)MIN(sorted[i]->key.n, (size_t)64), sorted[i]->key.p);
	}
	return 0;
}

/* p->p stands at the closing bracket of the innermost container. */
static int close_container(struct parser *p)
{
	size_t at = p->open[--p->depth];
	struct json *v = &p->slots[at].value;
	const struct slot *children = &p->slots[at + 1];
	size_t n = p->count - at - 1;
	bool object = v->type == JSON_OBJECT;
	p->p++;
	p->count = at + 1;
	v->count = n;
	if (n == 0)
		return 0;
	struct json *items = arena_raw(
		p->arena, n * (sizeof(*items) + (object ? sizeof(const struct json *) : 0)));
	if (!items)
		return fail_memory(p);
	for (size_t i = 0; i < n; i++)
		items[i] = children[i].value;
	v->items = items;
	if (!object)
		return 0;
	v->sorted = (const struct json **)(items + n);
	return sort_members(p, v, children);
}

enum { COMPLETE, MORE }; /* a value is read; another value must follow first */

static int open_container(struct parser *p, enum json_type type)
{
	if (p->depth == p->limits->depth)
		return fail(p, -E2BIG, p->p, "nested deeper than %d levels", p->limits->depth);
	p->slots[p->count - 1].value.type = type;
	p->open[p->depth++] = (uint32_t)(p->count - 1);
	p->p++;
	int next = peek(p);
	if (next == (type == JSON_OBJECT ? '}' : ']'))
		return close_container(p);
	p->key = (struct span){0};
	int r = type == JSON_OBJECT ? read_key(p) : 0;
	return r < 0 ? r : MORE;
}

/* Reads a scalar or an empty container whole, and the beginning of any other container. */
static int read_value(struct parser *p)
{
	int c = peek(p);
	if (p->count == p->capacity) {
		int r = more_slots(p);
		if (r < 0)
			return r;
	}
	struct slot *slot = &p->slots[p->count++];
	struct json *v = &slot->value;
	*v = (struct json){.key = p->key};
	slot->key_at = p->key_at;
	switch (c) {
	case '"':
		v->type = JSON_STRING;
		return read_string(p, &v->text);
	case '{':
		return open_container(p, JSON_OBJECT);
	case '[':
		return open_container(p, JSON_ARRAY);
	case 't':
	case 'f':
		v->type = JSON_BOOL;
		v->boolean = c == 't';
		return read_literal(p, c == 't' ? SPAN("true") : SPAN("false"));
	case 'n':
		return read_literal(p, SPAN("null"));
	case '-':
	case '0' ... '9':
		return read_number(p, v);
	default:
		return fail_here(p, value_wanted);
	}
}

/* What follows a complete value: closing brackets, a comma, or the end of the text. */
static int read_behind(struct parser *p)
{
	while (p->depth > 0) {
		bool object = p->slots[p->open[p->depth - 1]].value.type == JSON_OBJECT;
		int c = peek(p);
		if (c == ',') {
			p->p++;
			int r = object ? read_key(p) : 0;
			return r < 0 ? r : MORE;
		}
		if (c != (object ? '}' : ']'))
			return fail_here(p,
				object ? "a comma or '}' is expected"
				       : "a comma or ']' is expected");
		int r = close_container(p);
		if (r < 0)
			return r;
	}
	if (peek(p) >= 0)
		return fail_here(p, "nothing may follow the value");
	return COMPLETE;
}

static int parse(struct parser *p, const struct json **ret)
{
	if (span_starts(p->text, SPAN("\xef\xbb\xbf")))
		return fail(p, -EINVAL, p->p, "a byte order mark is not accepted");
	for (int r = MORE; r == MORE;) {
		r = read_value(p);
		if (r == COMPLETE)
			r = read_behind(p);
		if (r < 0)
			return r;
	}
	struct json *root = arena_raw(p->arena, sizeof(*root));
	if (!root)
		return fail_memory(p);
	*root = p->slots[0].value;
	*ret = root;
	return 0;
}

int json_parse(struct arena *a, struct span text, const struct json_limits *limits,
	const struct json **ret)
{
	struct slot first[FIRST_SLOTS];
	struct parser p;
	limits = limits ? limits : &json_limits_default;
	CHECK(limits->depth >= 0 && limits->depth <= LIMIT_JSON_DEPTH);
	CHECK(limits->bytes <= UINT32_MAX);
	if (text.n > limits->bytes)
		return err_raise(-E2BIG, "JSON text of %zu bytes; at most %zu are accepted", text.n,
			limits->bytes);
	/* Not initialised as a whole: `open` is large and written before it is read. */
	p.p = text.p;
	p.end = text.n ? text.p + text.n : text.p;
	p.out = arena_bytes(a, text.n);
	p.slots = first;
	p.count = 0;
	p.capacity = FIRST_SLOTS;
	p.key = (struct span){0};
	p.key_at = 0;
	p.depth = 0;
	p.arena = a;
	p.limits = limits;
	p.text = text;
	p.heap_slots = NULL;
	if (!p.out)
		return fail_memory(&p);
	int r = parse(&p, ret);
	free(p.heap_slots);
	return r < 0 ? err_trace(r) : 0;
}
