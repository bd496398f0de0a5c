/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Keywords about one value: type, enum, const, numbers and strings. Numbers are compared by value;
 * integers and decimals of up to 36 digits exactly, others as doubles.
 */
#include "daemon/schema/jsonschema_internal.h"

static bool is_integer(const struct json *v)
{
	int64_t n;
	int r = json_number_i64(v, &n);
	if (r < 0)
		err_clear();
	if (r != -EINVAL)
		return true;
	double d;
	if (json_number_double(v, &d) < 0) {
		err_clear();
		return false;
	}
	return d >= 0x1p63 || d <= -0x1p63;
}

static bool is_type(const struct json *instance, struct span word)
{
	switch (instance->type) {
	case JSON_NULL:
		return span_is(word, "null");
	case JSON_BOOL:
		return span_is(word, "boolean");
	case JSON_NUMBER:
		return span_is(word, "number") ||
			(span_is(word, "integer") && is_integer(instance));
	case JSON_STRING:
		return span_is(word, "string");
	case JSON_ARRAY:
		return span_is(word, "array");
	case JSON_OBJECT:
		return span_is(word, "object");
	}
	return false;
}

KEYWORD(keyword_type)
{
	if (k->value->type == JSON_STRING)
		return is_type(instance, k->value->text)
			? 0
			: check_refuse(c, "wanted type " SPAN_FMT ", found %s",
				  SPAN_ARG(k->value->text), json_type_name(instance->type));
	json_for_each (word, k->value)
		if (is_type(instance, word->text))
			return 0;
	return check_refuse(
		c, "type %s is not among those accepted", json_type_name(instance->type));
}

KEYWORD(keyword_enum)
{
	json_for_each (item, k->value) {
		int r = check_charge(c, 1 + item->count);
		if (r < 0)
			return err_trace(r);
		if (json_equal(item, instance))
			return 0;
	}
	return check_refuse(c, "is none of the %zu values that are accepted", k->value->count);
}

KEYWORD(keyword_const)
{
	return json_equal(k->value, instance) ? 0 : check_refuse(c, "is not the value required");
}

/* ---- numbers ---- */

struct decimal {
	__int128 digits;
	int exponent;
};

/* token = digits * 10^exponent; false beyond 36 digits or three digits of exponent. */
static bool decimal_of(struct span token, struct decimal *ret)
{
	struct decimal d = {0};
	int count = 0, scale = 0;
	bool fraction = false, negative = false;
	size_t i = 0;
	if (token.n && token.p[0] == '-') {
		negative = true;
		i++;
	}
	for (; i < token.n && token.p[i] != 'e' && token.p[i] != 'E'; i++) {
		if (token.p[i] == '.') {
			fraction = true;
			continue;
		}
		if (++count > 36)
			return false;
		d.digits = d.digits * 10 + (token.p[i] - '0');
		scale += fraction;
	}
	int64_t exponent = 0;
	if (i < token.n) {
		struct span rest = span_sub(token, i + 1, token.n);
		if (rest.n && rest.p[0] == '+')
			rest = span_sub(rest, 1, rest.n);
		if (span_to_i64(rest, &exponent) < 0 || exponent > 999 || exponent < -999)
			return false;
	}
	if (negative)
		d.digits = -d.digits;
	d.exponent = (int)exponent - scale;
	*ret = d;
	return true;
}

static bool scale_up(struct decimal *d, int exponent)
{
	for (; d->exponent > exponent; d->exponent--)
		if (__builtin_mul_overflow(d->digits, (__int128)10, &d->digits))
			return false;
	return true;
}

/* Both on the smaller exponent; false if that does not fit. */
static bool same_scale(
	const struct json *a, const struct json *b, struct decimal *x, struct decimal *y)
{
	if (!decimal_of(a->text, x) || !decimal_of(b->text, y))
		return false;
	int exponent = MIN(x->exponent, y->exponent);
	return scale_up(x, exponent) && scale_up(y, exponent);
}

static double double_of(const struct json *v)
{
	double d;
	if (json_number_double(v, &d) < 0) {
		err_clear();
		return v->text.p[0] == '-' ? -__builtin_inf() : __builtin_inf();
	}
	return d;
}

static int compare(const struct json *a, const struct json *b)
{
	struct decimal x, y;
	if (same_scale(a, b, &x, &y))
		return x.digits < y.digits ? -1 : x.digits > y.digits;
	double p = double_of(a), q = double_of(b);
	return p < q ? -1 : p > q;
}

static int refuse_number(struct check *c, const struct node_keyword *k, const struct json *instance,
	const char *accepted)
{
	return check_refuse(c, SPAN_FMT " is out of range; accepted: %s " SPAN_FMT,
		SPAN_ARG(span_sub(instance->text, 0, 40)), accepted,
		SPAN_ARG(span_sub(k->value->text, 0, 40)));
}

static bool draft4_exclusive(const struct node *n, const char *name)
{
	const struct node_keyword *k = node_find(n, name);
	return k && k->value->type == JSON_BOOL && k->value->boolean;
}

KEYWORD(keyword_maximum)
{
	int order = compare(instance, k->value);
	if (order < 0 || (order == 0 && !draft4_exclusive(n, "exclusiveMaximum")))
		return 0;
	return refuse_number(c, k, instance, order == 0 ? "less than" : "at most");
}

KEYWORD(keyword_minimum)
{
	int order = compare(instance, k->value);
	if (order > 0 || (order == 0 && !draft4_exclusive(n, "exclusiveMinimum")))
		return 0;
	return refuse_number(c, k, instance, order == 0 ? "more than" : "at least");
}

KEYWORD(keyword_exclusive_maximum)
{
	return compare(instance, k->value) < 0 ? 0 : refuse_number(c, k, instance, "less than");
}

KEYWORD(keyword_exclusive_minimum)
{
	return compare(instance, k->value) > 0 ? 0 : refuse_number(c, k, instance, "more than");
}

/* Doubles from 2^53 on have no fraction. */
static bool is_whole(double d)
{
	double size = __builtin_fabs(d);
	return size < 0x1p53 ? size == (double)(int64_t)size : !__builtin_isinf(size);
}

KEYWORD(keyword_multiple_of)
{
	struct decimal x, y;
	bool multiple;
	if (same_scale(instance, k->value, &x, &y)) {
		multiple = x.digits % y.digits == 0;
	} else {
		double quotient = double_of(instance) / double_of(k->value);
		multiple = is_whole(quotient);
	}
	return multiple ? 0 : refuse_number(c, k, instance, "multiples of");
}

/* ---- strings ---- */

static size_t code_points(struct span s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += (s.p[i] & 0xc0) != 0x80;
	return n;
}

int64_t json_bound(const struct json *v)
{
	int64_t n;
	if (json_number_i64(v, &n) < 0) {
		err_clear();
		return INT64_MAX;
	}
	return n;
}

KEYWORD(keyword_max_length)
{
	size_t length = code_points(instance->text);
	return (int64_t)length <= json_bound(k->value)
		? 0
		: check_refuse(c, "%zu characters are too many; accepted: at most %lld", length,
			  (long long)json_bound(k->value));
}

KEYWORD(keyword_min_length)
{
	size_t length = code_points(instance->text);
	return (int64_t)length >= json_bound(k->value)
		? 0
		: check_refuse(c, "%zu characters are too few; accepted: at least %lld", length,
			  (long long)json_bound(k->value));
}

KEYWORD(keyword_pattern)
{
	int r = check_pattern(c, k->patterns[0], instance->text);
	if (r < 0)
		return err_trace(r);
	return r == 0 ? 0
		      : check_refuse(c, "does not match the pattern " SPAN_FMT,
				SPAN_ARG(span_sub(k->value->text, 0, 120)));
}
