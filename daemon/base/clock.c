/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Clocks and the two texts of time: RFC 3339 moments and durations as manifests write them.
 * Calendar arithmetic is done on days since 1970-01-01 in the proleptic Gregorian calendar; years
 * are counted from March so that the leap day is the last of its year.
 */
#include "daemon/base/clock.h"
#include "daemon/base/check.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>

static const int64_t minute_s = 60, hour_s = 3600, day_s = 86400;

enum { DAYS_PER_ERA = 146097 /* 400 years */, EPOCH_DAYS = 719468 };

static int64_t read_clock(clockid_t id)
{
	struct timespec t;
	CHECK(clock_gettime(id, &t) == 0);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_mono_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t days_from_date(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = floor_div(y, 400);
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * DAYS_PER_ERA + day_of_era - EPOCH_DAYS;
}

static void date_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
	days += EPOCH_DAYS;
	int64_t era = floor_div(days, DAYS_PER_ERA);
	int64_t day_of_era = days - era * DAYS_PER_ERA;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
				      day_of_era / (DAYS_PER_ERA - 1)) /
		365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t march_month = (5 * day_of_year + 2) / 153;
	*ret_day = (int)(day_of_year - (153 * march_month + 2) / 5 + 1);
	*ret_month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
	*ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

void clock_rfc3339(int64_t wall_ns, int fraction_digits, char ret_text[CLOCK_RFC3339_BYTES])
{
	int year, month, day;
	int64_t seconds = floor_div(wall_ns, NS_PER_S);
	int64_t fraction = wall_ns % NS_PER_S;
	int64_t days = floor_div(seconds, day_s);
	int of_day = (int)(seconds - days * day_s);
	if (fraction < 0)
		fraction += NS_PER_S;
	CHECK(fraction_digits >= 0 && fraction_digits <= 9);
	date_from_days(days, &year, &month, &day);
	int n = snprintf(ret_text, CLOCK_RFC3339_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d", year,
		month, day, of_day / 3600, of_day / 60 % 60, of_day % 60);
	char *out = ret_text + n;
	if (fraction_digits > 0)
		*out++ = '.';
	for (int64_t unit = NS_PER_S / 10; fraction_digits > 0; fraction_digits--, unit /= 10)
		*out++ = (char)('0' + fraction / unit % 10);
	*out++ = 'Z';
	*out = '\0';
}

/* Exactly `digits` digits off the front. */
static bool take_number(struct span *s, size_t digits, int *ret)
{
	uint64_t v;
	if (s->n < digits || span_to_u64(span_sub(*s, 0, digits), &v) < 0)
		return false;
	*s = span_sub(*s, digits, s->n);
	*ret = (int)v;
	return true;
}

static bool take_char(struct span *s, char c)
{
	if (s->n == 0 || (s->p[0] != c && s->p[0] != c + ('a' - 'A')))
		return false;
	*s = span_sub(*s, 1, s->n);
	return true;
}

static bool take_sign(struct span *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = span_sub(*s, 1, s->n);
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

static bool take_date(struct span *s, int64_t *ret_days)
{
	int year, month, day;
	if (!take_number(s, 4, &year) || !take_sign(s, '-') || !take_number(s, 2, &month) ||
		!take_sign(s, '-') || !take_number(s, 2, &day))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
		return false;
	*ret_days = days_from_date(year, month, day);
	return true;
}

/* Digits beyond the ninth are read and dropped. */
static bool take_fraction(struct span *s, int64_t *ret_ns)
{
	int64_t ns = 0, unit = NS_PER_S / 10;
	*ret_ns = 0;
	if (!take_sign(s, '.'))
		return true;
	size_t n = 0;
	for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++, unit /= 10)
		ns += (s->p[n] - '0') * unit;
	*s = span_sub(*s, n, s->n);
	*ret_ns = ns;
	return n > 0;
}

static bool take_offset(struct span *s, int *ret_seconds)
{
	int hours, minutes;
	*ret_seconds = 0;
	if (take_char(s, 'Z'))
		return true;
	bool west = take_sign(s, '-');
	if (!west && !take_sign(s, '+'))
		return false;
	if (!take_number(s, 2, &hours) || !take_sign(s, ':') || !take_number(s, 2, &minutes) ||
		hours > 23 || minutes > 59)
		return false;
	*ret_seconds = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
	return true;
}

int clock_parse_rfc3339(struct span s, int64_t *ret_wall_ns)
{
	int64_t days, fraction, ns;
	int hour, minute, second, offset;
	if (!take_date(&s, &days) || !take_char(&s, 'T') || !take_number(&s, 2, &hour) ||
		!take_sign(&s, ':') || !take_number(&s, 2, &minute) || !take_sign(&s, ':') ||
		!take_number(&s, 2, &second) || !take_fraction(&s, &fraction) ||
		!take_offset(&s, &offset) || s.n > 0)
		return -EINVAL;
	if (hour > 23 || minute > 59 || second > 60)
		return -EINVAL;
	int64_t seconds = days * day_s + hour * hour_s + minute * minute_s + second - offset;
	/* A leap second ends a day of UTC; POSIX time gives it the number of the second after. */
	if (second == 60 && seconds % day_s != 0)
		return -EINVAL;
	if (seconds < 0 && fraction > 0) { /* so that no step overflows where the sum fits */
		seconds++;
		fraction -= NS_PER_S;
	}
	if (__builtin_mul_overflow(seconds, NS_PER_S, &ns) ||
		__builtin_add_overflow(ns, fraction, &ns))
		return -ERANGE;
	*ret_wall_ns = ns;
	return 0;
}

struct unit {
	struct span name;
	int64_t ns;
};

static const struct unit units[] = {
	{{"d", 1}, day_s *NS_PER_S},
	{{"h", 1}, 3600 * NS_PER_S},
	{{"m", 1}, 60 * NS_PER_S},
	{{"s", 1}, NS_PER_S},
	{{"ms", 2}, NS_PER_MS},
};

static size_t count_class(struct span s, bool digits)
{
	size_t n = 0;
	while (n < s.n && (s.p[n] >= '0' && s.p[n] <= '9') == digits)
		n++;
	return n;
}

int clock_parse_duration(struct span s, int64_t *ret_ns)
{
	int64_t total = 0, amount, part;
	size_t next = 0; /* units come from large to small, each at most once */
	if (span_to_i64(s, &amount) != -EINVAL && s.p[0] != '-') {
		if (span_to_i64(s, &amount) < 0 || __builtin_mul_overflow(amount, NS_PER_S, &part))
			return -ERANGE;
		*ret_ns = part;
		return 0;
	}
	if (s.n == 0)
		return -EINVAL;
	while (s.n > 0) {
		size_t digits = count_class(s, true);
		int r = span_to_i64(span_sub(s, 0, digits), &amount);
		if (r < 0)
			return r;
		s = span_sub(s, digits, s.n);
		size_t letters = count_class(s, false);
		while (next < ARRAY_LEN(units) &&
			!span_eq(units[next].name, span_sub(s, 0, letters)))
			next++;
		if (next == ARRAY_LEN(units))
			return -EINVAL;
		if (__builtin_mul_overflow(amount, units[next].ns, &part) ||
			__builtin_add_overflow(total, part, &total))
			return -ERANGE;
		s = span_sub(s, letters, s.n);
		next++;
	}
	*ret_ns = total;
	return 0;
}
