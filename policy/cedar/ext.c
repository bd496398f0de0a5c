/* SPDX-License-Identifier: AGPL-3.0-only */
/* Names of the extension functions; decimals and addresses. */
#include "policy/cedar/ext.h"
#include "policy/cedar/lex.h"

enum { DECIMAL_PLACES = 4, DECIMAL_SCALE = 10000, IP_TEXT_BYTES = 43 };

static const struct {
	const char *name;
	uint8_t arity;
} functions[EXT_COUNT] = {
	[EXT_DECIMAL] = {"decimal", 1},
	[EXT_IP] = {"ip", 1},
	[EXT_DATETIME] = {"datetime", 1},
	[EXT_DURATION] = {"duration", 1},
	[EXT_LESS_THAN] = {"lessThan", 2},
	[EXT_LESS_THAN_OR_EQUAL] = {"lessThanOrEqual", 2},
	[EXT_GREATER_THAN] = {"greaterThan", 2},
	[EXT_GREATER_THAN_OR_EQUAL] = {"greaterThanOrEqual", 2},
	[EXT_IS_IPV4] = {"isIpv4", 1},
	[EXT_IS_IPV6] = {"isIpv6", 1},
	[EXT_IS_LOOPBACK] = {"isLoopback", 1},
	[EXT_IS_MULTICAST] = {"isMulticast", 1},
	[EXT_IS_IN_RANGE] = {"isInRange", 2},
	[EXT_OFFSET] = {"offset", 2},
	[EXT_DURATION_SINCE] = {"durationSince", 2},
	[EXT_TO_DATE] = {"toDate", 1},
	[EXT_TO_TIME] = {"toTime", 1},
	[EXT_TO_MILLISECONDS] = {"toMilliseconds", 1},
	[EXT_TO_SECONDS] = {"toSeconds", 1},
	[EXT_TO_MINUTES] = {"toMinutes", 1},
	[EXT_TO_HOURS] = {"toHours", 1},
	[EXT_TO_DAYS] = {"toDays", 1},
	[EXT_UNKNOWN] = {"an unknown function", 0},
};

const char *ext_name(enum ext_fn f)
{
	return functions[f].name;
}

size_t ext_arity(enum ext_fn f)
{
	return functions[f].arity;
}

bool ext_find(struct span name, enum ext_fn *ret)
{
	for (size_t i = 0; i < EXT_UNKNOWN; i++)
		if (span_is(name, functions[i].name)) {
			*ret = (enum ext_fn)i;
			return true;
		}
	return false;
}

static int malformed(const char *what, struct span s, const char *accepted)
{
	return err_raise(-EINVAL, "`" SPAN_FMT "` is no %s; expected %s",
		SPAN_ARG(span_sub(s, 0, 80)), what, accepted);
}

static bool digits(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

int ext_parse_decimal(struct span s, int64_t *ret)
{
	static const char accepted[] =
		"digits, a point and one to four digits, from -922337203685477.5808 to "
		"922337203685477.5807";
	bool negative = span_starts(s, SPAN("-"));
	ssize_t point = span_find_byte(s, '.', 0);
	struct span whole = span_sub(s, negative, point < 0 ? 0 : (size_t)point);
	struct span part = span_sub(s, point < 0 ? s.n : (size_t)point + 1, s.n);
	__int128 value = 0;
	if (!digits(whole) || !digits(part) || part.n > DECIMAL_PLACES)
		return malformed("decimal", s, accepted);
	for (size_t i = 0; i < whole.n && value <= INT64_MAX; i++)
		value = value * 10 + (whole.p[i] - '0');
	for (size_t i = 0; i < DECIMAL_PLACES; i++)
		value = value * 10 + (i < part.n ? part.p[i] - '0' : 0);
	if (negative)
		value = -value;
	if (value < INT64_MIN || value > INT64_MAX)
		return malformed("decimal", s, accepted);
	*ret = (int64_t)value;
	return 0;
}

static bool parse_v4(struct span s, uint8_t address[16])
{
	struct span rest = s, part;
	bool done = false;
	size_t n = 0;
	while (span_split(&rest, '.', &done, &part)) {
		uint64_t v;
		if (n == 4 || part.n > 3 || (part.n > 1 && part.p[0] == '0') || !digits(part) ||
			span_to_u64(part, &v) < 0 || v > 255)
			return false;
		address[n++] = (uint8_t)v;
	}
	return n == 4;
}

/* Groups joined by single colons; the empty text has none. At most `most`; -1 if malformed. */
static int parse_groups(struct span s, int most, uint8_t *out)
{
	struct span rest = s, part;
	bool done = false;
	int n = 0;
	if (s.n == 0)
		return 0;
	while (span_split(&rest, ':', &done, &part)) {
		unsigned v = 0;
		if (n == most || part.n == 0 || part.n > 4)
			return -1;
		for (size_t i = 0; i < part.n; i++) {
			int d = hex_digit(part.p[i]);
			if (d < 0)
				return -1;
			v = v * 16 + (unsigned)d;
		}
		out[n * 2] = (uint8_t)(v >> 8);
		out[n * 2 + 1] = (uint8_t)v;
		n++;
	}
	return n;
}

static bool parse_v6(struct span s, uint8_t address[16])
{
	uint8_t tail[16];
	ssize_t gap = span_find(s, SPAN("::"), 0);
	int head_count, tail_count;
	if (gap < 0)
		return parse_groups(s, 8, address) == 8;
	head_count = parse_groups(span_sub(s, 0, (size_t)gap), 7, address);
	if (head_count < 0)
		return false;
	tail_count = parse_groups(span_sub(s, (size_t)gap + 2, s.n), 7 - head_count, tail);
	if (tail_count < 0)
		return false;
	memset(address + head_count * 2, 0, (size_t)(16 - head_count * 2));
	memcpy(address + 16 - tail_count * 2, tail, (size_t)tail_count * 2);
	return true;
}

int ext_parse_ip(struct span s, struct ext_ip *ret)
{
	static const char accepted[] = "an IPv4 or IPv6 address, or a range such as 10.0.0.0/8";
	ssize_t slash = span_find_byte(s, '/', 0);
	struct span host = span_sub(s, 0, slash < 0 ? s.n : (size_t)slash);
	struct span length = span_sub(s, slash < 0 ? s.n : (size_t)slash + 1, s.n);
	struct ext_ip ip = {0};
	uint64_t prefix, most;
	if (s.n > IP_TEXT_BYTES)
		return malformed("address", s, accepted);
	ip.v6 = span_find_byte(host, ':', 0) >= 0;
	if (ip.v6 ? !parse_v6(host, ip.address) : !parse_v4(host, ip.address))
		return malformed("address", s, accepted);
	most = prefix = ip.v6 ? 128 : 32;
	if (slash >= 0 &&
		(!digits(length) || length.n > 3 || (length.n > 1 && length.p[0] == '0') ||
			span_to_u64(length, &prefix) < 0 || prefix > most))
		return malformed("address", s, accepted);
	ip.prefix = (uint8_t)prefix;
	*ret = ip;
	return 0;
}

bool ext_ip_loopback(const struct ext_ip *ip)
{
	static const uint8_t one[16] = {[15] = 1};
	if (!ip->v6)
		return ip->address[0] == 127 && ip->prefix >= 8;
	return memcmp(ip->address, one, 16) == 0 && ip->prefix == 128;
}

bool ext_ip_multicast(const struct ext_ip *ip)
{
	if (!ip->v6)
		return (ip->address[0] & 0xf0) == 0xe0 && ip->prefix >= 4;
	return ip->address[0] == 0xff && ip->prefix >= 8;
}

/* A range lies in another when its prefix is no shorter and begins with the other's bits. */
bool ext_ip_in_range(const struct ext_ip *ip, const struct ext_ip *range)
{
	unsigned whole = range->prefix / 8, rest = range->prefix % 8;
	if (ip->v6 != range->v6 || ip->prefix < range->prefix ||
		memcmp(ip->address, range->address, whole) != 0)
		return false;
	return rest == 0 || ((ip->address[whole] ^ range->address[whole]) >> (8 - rest)) == 0;
}
