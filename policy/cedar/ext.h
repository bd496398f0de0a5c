/* SPDX-License-Identifier: AGPL-3.0-only */
/* The extension functions: their names, and how the texts of extension values are read. */
#pragma once

#include "policy/cedar/cedar.h"

enum ext_fn {
	EXT_DECIMAL, /* constructors: one string */
	EXT_IP,
	EXT_DATETIME,
	EXT_DURATION,
	EXT_LESS_THAN, /* methods: the receiver is the first argument */
	EXT_LESS_THAN_OR_EQUAL,
	EXT_GREATER_THAN,
	EXT_GREATER_THAN_OR_EQUAL,
	EXT_IS_IPV4,
	EXT_IS_IPV6,
	EXT_IS_LOOPBACK,
	EXT_IS_MULTICAST,
	EXT_IS_IN_RANGE,
	EXT_OFFSET,
	EXT_DURATION_SINCE,
	EXT_TO_DATE,
	EXT_TO_TIME,
	EXT_TO_MILLISECONDS,
	EXT_TO_SECONDS,
	EXT_TO_MINUTES,
	EXT_TO_HOURS,
	EXT_TO_DAYS,
	EXT_UNKNOWN, /* a name of no function, which policies in JSON may hold: a call of it fails
		      */
	EXT_COUNT,
};

static inline bool ext_is_constructor(enum ext_fn f)
{
	return f <= EXT_DURATION;
}

const char *ext_name(enum ext_fn f);
size_t ext_arity(enum ext_fn f); /* the receiver included */
bool ext_find(struct span name, enum ext_fn *ret);

/* An address or a range of addresses. */
struct ext_ip {
	bool v6;
	uint8_t prefix; /* bits */
	uint8_t address[16]; /* network order; 4 bytes of it for IPv4 */
};

/* -EINVAL with the reason. decimal is scaled by 10,000; times are milliseconds. */
int ext_parse_decimal(struct span s, int64_t *ret) MUST_USE;
int ext_parse_ip(struct span s, struct ext_ip *ret) MUST_USE;
int ext_parse_datetime(struct span s, int64_t *ret) MUST_USE;
int ext_parse_duration(struct span s, int64_t *ret) MUST_USE;

bool ext_ip_loopback(const struct ext_ip *ip);
bool ext_ip_multicast(const struct ext_ip *ip);
bool ext_ip_in_range(const struct ext_ip *ip, const struct ext_ip *range);

int64_t ext_time_of_day(int64_t datetime); /* ms since midnight */
int ext_date_of(int64_t datetime, int64_t *ret) MUST_USE; /* -ERANGE */
