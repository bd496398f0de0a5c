/* SPDX-License-Identifier: AGPL-3.0-only */
/* Calls of extension functions on values. */
#include "policy/cedar/value.h"

static int want(const struct cedar_value *v, enum value_type t)
{
	if (v->type == t)
		return 0;
	return err_raise(-EINVAL, "type error: expected %s, got %s", value_type_name(t),
		value_type_name(v->type));
}

static int construct(
	struct arena *a, enum ext_fn fn, const struct cedar_value *arg, struct cedar_value *ret)
{
	static const enum value_type types[] = {
		VALUE_DECIMAL, VALUE_IP, VALUE_DATETIME, VALUE_DURATION};
	struct ext_ip *ip;
	int r = want(arg, VALUE_STRING);
	if (r < 0)
		return err_trace(r);
	ret->type = types[fn];
	if (fn == EXT_DECIMAL)
		return ext_parse_decimal(arg->string, &ret->number);
	if (fn == EXT_DATETIME)
		return ext_parse_datetime(arg->string, &ret->number);
	if (fn == EXT_DURATION)
		return ext_parse_duration(arg->string, &ret->number);
	ip = arena_make(a, struct ext_ip);
	if (!ip)
		return err_raise(-ENOMEM, "no memory for an address");
	ret->ip = ip;
	return ext_parse_ip(arg->string, ip);
}

static int compare_decimals(enum ext_fn fn, const struct cedar_value *args, struct cedar_value *ret)
{
	int64_t a = args[0].number, b = args[1].number;
	int r = want(&args[0], VALUE_DECIMAL);
	if (r == 0)
		r = want(&args[1], VALUE_DECIMAL);
	ret->type = VALUE_BOOL;
	ret->boolean = fn == EXT_LESS_THAN     ? a < b
		: fn == EXT_LESS_THAN_OR_EQUAL ? a <= b
		: fn == EXT_GREATER_THAN       ? a > b
					       : a >= b;
	return err_trace(r);
}

static int ask_ip(enum ext_fn fn, const struct cedar_value *args, struct cedar_value *ret)
{
	int r = want(&args[0], VALUE_IP);
	if (r == 0 && fn == EXT_IS_IN_RANGE)
		r = want(&args[1], VALUE_IP);
	if (r < 0)
		return err_trace(r);
	ret->type = VALUE_BOOL;
	switch (fn) {
	case EXT_IS_IPV4:
		ret->boolean = !args[0].ip->v6;
		break;
	case EXT_IS_IPV6:
		ret->boolean = args[0].ip->v6;
		break;
	case EXT_IS_LOOPBACK:
		ret->boolean = ext_ip_loopback(args[0].ip);
		break;
	case EXT_IS_MULTICAST:
		ret->boolean = ext_ip_multicast(args[0].ip);
		break;
	default:
		ret->boolean = ext_ip_in_range(args[0].ip, args[1].ip);
		break;
	}
	return 0;
}

static int ask_datetime(enum ext_fn fn, const struct cedar_value *args, struct cedar_value *ret)
{
	bool over = false;
	int r = want(&args[0], VALUE_DATETIME);
	if (r == 0 && fn == EXT_OFFSET)
		r = want(&args[1], VALUE_DURATION);
	if (r == 0 && fn == EXT_DURATION_SINCE)
		r = want(&args[1], VALUE_DATETIME);
	if (r < 0)
		return err_trace(r);
	ret->type = fn == EXT_OFFSET || fn == EXT_TO_DATE ? VALUE_DATETIME : VALUE_DURATION;
	if (fn == EXT_TO_DATE)
		return ext_date_of(args[0].number, &ret->number);
	if (fn == EXT_TO_TIME)
		ret->number = ext_time_of_day(args[0].number);
	else if (fn == EXT_OFFSET)
		over = __builtin_add_overflow(args[0].number, args[1].number, &ret->number);
	else
		over = __builtin_sub_overflow(args[0].number, args[1].number, &ret->number);
	return over ? err_raise(-EINVAL, "%s: the result exceeds 64 bits of ms", ext_name(fn)) : 0;
}

static int ask_duration(enum ext_fn fn, const struct cedar_value *args, struct cedar_value *ret)
{
	static const int64_t units[] = {1, 1000, 60 * 1000, 60 * 60 * 1000, 24 * 60 * 60 * 1000};
	int r = want(&args[0], VALUE_DURATION);
	ret->type = VALUE_LONG;
	ret->number = args[0].number / units[fn - EXT_TO_MILLISECONDS];
	return err_trace(r);
}

int ext_apply(struct arena *a, enum ext_fn fn, const struct cedar_value *args, size_t count,
	struct cedar_value *ret)
{
	struct cedar_value v = {0};
	int r;
	if (fn == EXT_UNKNOWN)
		return err_raise(-EINVAL, "there is no extension function of that name");
	if (count != ext_arity(fn))
		return err_raise(-EINVAL, "%s takes %zu argument%s, not %zu", ext_name(fn),
			ext_arity(fn), ext_arity(fn) == 1 ? "" : "s", count);
	if (ext_is_constructor(fn))
		r = construct(a, fn, args, &v);
	else if (fn <= EXT_GREATER_THAN_OR_EQUAL)
		r = compare_decimals(fn, args, &v);
	else if (fn <= EXT_IS_IN_RANGE)
		r = ask_ip(fn, args, &v);
	else if (fn <= EXT_TO_TIME)
		r = ask_datetime(fn, args, &v);
	else
		r = ask_duration(fn, args, &v);
	if (r < 0)
		return err_trace(r);
	*ret = v;
	return 0;
}
