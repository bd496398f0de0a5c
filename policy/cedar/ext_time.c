/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * datetime: milliseconds since 1970-01-01T00:00:00Z in the proleptic Gregorian calendar; duration:
 * milliseconds. RFC 80 of the Cedar project. What follows the date is all or nothing:
 * THH:MM:SS[.SSS](Z|+hhmm|-hhmm).
 */
#include "policy/cedar/ext.h"

enum {
	SECOND_MS = 1000,
	MINUTE_MS = 60 * SECOND_MS,
	HOUR_MS = 60 * MINUTE_MS,
	DAY_MS = 24 * HOUR_MS
};

/* `n` digits at *at, which moves behind them. */
static bool number(struct span s, size_t *at, size_t n, int *ret)
{
	int v = 0;
	if (s.n - *at < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = s.p[*at + i];
		if (c < '0' || c > '9')
			return false;
		v = v * 10 + (c - '0');
	}
	*at += n;
	*ret = v;
	return true;
}

static bool character(struct span s, size_t *at, char c)
{
	if (*at >= s.n || s.p[*at] != c)
		return false;
	++*at;
	return true;
}

static int month_days(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01, by years that begin in March. */
static int64_t day_number(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year, era, of_era, of_year;
	era = (y >= 0 ? y : y - 399) / 400;
	of_era = y - era * 400;
	of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool parse_date(struct span s, size_t *at, int64_t *ret_ms)
{
	int year, month, day;
	if (!number(s, at, 4, &year) || !character(s, at, '-') || !number(s, at, 2, &month) ||
		!character(s, at, '-') || !number(s, at, 2, &day))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > month_days(year, month))
		return false;
	*ret_ms = day_number(year, month, day) * DAY_MS;
	return true;
}

static bool parse_offset(struct span s, size_t *at, int64_t *ms)
{
	int hours, minutes;
	bool plus = character(s, at, '+');
	if (!plus && !character(s, at, '-'))
		return false;
	if (!number(s, at, 2, &hours) || !number(s, at, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ms -= (plus ? 1 : -1) * ((int64_t)hours * HOUR_MS + (int64_t)minutes * MINUTE_MS);
	return true;
}

static bool parse_time(struct span s, size_t *at, int64_t *ms)
{
	int hour, minute, second, fraction = 0;
	if (!character(s, at, 'T') || !number(s, at, 2, &hour) || !character(s, at, ':') ||
		!number(s, at, 2, &minute) || !character(s, at, ':') || !number(s, at, 2, &second))
		return false;
	if (character(s, at, '.') && !number(s, at, 3, &fraction))
		return false;
	if (hour > 23 || minute > 59 || second > 59)
		return false;
	*ms += (int64_t)hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS + fraction;
	return character(s, at, 'Z') || parse_offset(s, at, ms);
}

int ext_parse_datetime(struct span s, int64_t *ret)
{
	size_t at = 0;
	int64_t ms = 0;
	if (!parse_date(s, &at, &ms) || (at < s.n && !parse_time(s, &at, &ms)) || at != s.n)
		return err_raise(-EINVAL,
			"`" SPAN_FMT "` is no datetime; expected YYYY-MM-DD, optionally with "
			"THH:MM:SS, .SSS, and Z or an offset such as +0130",
			SPAN_ARG(span_sub(s, 0, 80)));
	*ret = ms;
	return 0;
}

/* Digits and a unit at *at. False, with *at as it was, if something else stands there. */
static bool duration_part(
	struct span s, size_t *at, const char *unit, int64_t unit_ms, __int128 *ms)
{
	size_t from = *at, to = from, n = strlen(unit);
	uint64_t v;
	while (to < s.n && s.p[to] >= '0' && s.p[to] <= '9')
		to++;
	if (to == from || !span_eq(span_sub(s, to, to + n), span_of(unit, n)))
		return false;
	if (n == 1 && *unit == 'm' && to + 1 < s.n && s.p[to + 1] == 's')
		return false; /* milliseconds */
	*at = to + n;
	if (span_to_u64(span_sub(s, from, to), &v) < 0)
		v = UINT64_MAX;
	*ms += (__int128)v * unit_ms;
	return true;
}

int ext_parse_duration(struct span s, int64_t *ret)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"d", DAY_MS}, {"h", HOUR_MS}, {"m", MINUTE_MS}, {"s", SECOND_MS}, {"ms", 1}};
	size_t at = 0, parts = 0;
	__int128 ms = 0;
	bool negative = character(s, &at, '-');
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		parts += duration_part(s, &at, units[i].unit, units[i].ms, &ms);
	if (negative)
		ms = -ms;
	if (parts == 0 || at != s.n)
		return err_raise(-EINVAL,
			"`" SPAN_FMT
			"` is no duration; expected numbers with the units d, h, m, s, "
			"ms in this order, such as 1d12h or -90s",
			SPAN_ARG(span_sub(s, 0, 80)));
	if (ms < INT64_MIN || ms > INT64_MAX)
		return err_raise(-EINVAL, "the duration `" SPAN_FMT "` exceeds 64 bits of ms",
			SPAN_ARG(span_sub(s, 0, 80)));
	*ret = (int64_t)ms;
	return 0;
}

int64_t ext_time_of_day(int64_t datetime)
{
	int64_t rest = datetime % DAY_MS;
	return rest < 0 ? rest + DAY_MS : rest;
}

int ext_date_of(int64_t datetime, int64_t *ret)
{
	if (__builtin_sub_overflow(datetime, ext_time_of_day(datetime), ret))
		return err_raise(-ERANGE, "the date of this datetime exceeds 64 bits of ms");
	return 0;
}
