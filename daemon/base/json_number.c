/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * JSON numbers, which are decimal tokens of any size. To compare two, or to see whether one is an
 * integer, they are brought to the form digits x 10^exponent, without zeros at either end.
 *
 * strtod and printf are used in the C locale: no program of this tree calls setlocale.
 */
#include "daemon/base/json_number.h"
#include "daemon/base/check.h"
#include "daemon/base/json.h"
#include "daemon/base/limits.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct decimal {
	bool negative;
	bool wide; /* the exponent does not fit; exponent holds its sign */
	int64_t exponent;
	size_t count; /* 0: the number is zero */
	char digits[LIMIT_JSON_NUMBER_BYTES];
};

static const int64_t exponent_max = INT64_C(100000000000000000);

static void read_exponent(struct span s, struct decimal *d)
{
	int64_t exponent = 0;
	bool negative = s.p[0] == '-';
	for (size_t i = negative || s.p[0] == '+'; i < s.n; i++) {
		exponent = exponent * 10 + (s.p[i] - '0');
		if (exponent >= exponent_max) {
			d->wide = true;
			exponent = 1;
			break;
		}
	}
	d->exponent = negative ? -exponent : exponent;
}

/* `token` follows the grammar. */
static void read_decimal(struct span token, struct decimal *d)
{
	int64_t shift = 0;
	bool in_fraction = false;
	size_t i = 0;
	*d = (struct decimal){.negative = token.p[0] == '-'};
	for (i = d->negative; i < token.n; i++) {
		char c = token.p[i];
		if (c == 'e' || c == 'E')
			break;
		if (c == '.') {
			in_fraction = true;
			continue;
		}
		shift -= in_fraction;
		if (d->count > 0 || c != '0')
			d->digits[d->count++] = c;
	}
	while (d->count > 0 && d->digits[d->count - 1] == '0') {
		d->count--;
		shift++;
	}
	if (d->count == 0) {
		d->negative = false;
		return;
	}
	if (i < token.n)
		read_exponent(span_sub(token, i + 1, token.n), d);
	if (!d->wide)
		d->exponent += shift;
}

bool json_number_equal(struct span a, struct span b)
{
	struct decimal x, y;
	if (span_eq(a, b))
		return true;
	read_decimal(a, &x);
	read_decimal(b, &y);
	if (x.wide || y.wide)
		return false;
	return x.negative == y.negative && x.exponent == y.exponent && x.count == y.count &&
		memcmp(x.digits, y.digits, x.count) == 0;
}

int json_number_i64(const struct json *v, int64_t *ret)
{
	enum { DIGITS_MAX = 19 };
	struct decimal d;
	char text[1 + DIGITS_MAX];
	if (!v || v->type != JSON_NUMBER)
		return -EINVAL;
	int r = span_to_i64(v->text, ret);
	if (r != -EINVAL)
		return r;
	read_decimal(v->text, &d);
	if (d.exponent < 0)
		return -EINVAL;
	if (d.wide || d.exponent > DIGITS_MAX || d.count + (size_t)d.exponent > DIGITS_MAX)
		return -ERANGE;
	size_t n = 0;
	text[n++] = d.negative ? '-' : '0';
	memcpy(text + n, d.digits, d.count);
	memset(text + n + d.count, '0', (size_t)d.exponent);
	n += d.count + (size_t)d.exponent;
	if (d.count == 0)
		text[n++] = '0';
	return span_to_i64(span_of(text, n), ret);
}

int json_number_double(const struct json *v, double *ret)
{
	char text[LIMIT_JSON_NUMBER_BYTES + 1];
	if (!v || v->type != JSON_NUMBER || v->text.n >= sizeof(text))
		return -EINVAL;
	memcpy(text, v->text.p, v->text.n);
	text[v->text.n] = '\0';
	double number = strtod(text, NULL);
	if (!isfinite(number))
		return -ERANGE;
	*ret = number;
	return 0;
}

void json_double_text(double v, char ret_text[JSON_DOUBLE_BYTES])
{
	CHECK(isfinite(v));
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(ret_text, JSON_DOUBLE_BYTES, "%.*g", digits, v);
		if (strtod(ret_text, NULL) == v)
			return;
	}
}
