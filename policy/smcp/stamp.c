/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Time stamps of envelopes. Parsers differ in what else they take for a time (lower-case letters,
 * week dates, a comma, no zone at all), and a stamp that two parsers read differently is two
 * messages under one signature; so one form is accepted, which is the one that both SDKs write.
 */
#include "policy/smcp/internal.h"

enum { SECONDS_AT = 17, SHORTEST = 20 }; /* of "2026-02-17T14:32:01Z" */

static bool last_is_zone(struct span s)
{
	if (s.p[s.n - 1] == 'Z')
		return true;
	char sign = s.p[s.n - 6];
	return (sign == '+' || sign == '-') && s.p[s.n - 3] == ':';
}

int smcp_stamp_parse(struct span text, int64_t *ret_s)
{
	int64_t wall_ns;

	if (text.n < SHORTEST || text.n > CLOCK_RFC3339_BYTES + 5 || text.p[10] != 'T' ||
		!last_is_zone(text) || memcmp(text.p + SECONDS_AT, "60", 2) == 0)
		return -EINVAL;
	if (clock_parse_rfc3339(text, &wall_ns) < 0 || wall_ns < 0)
		return -EINVAL;
	*ret_s = wall_ns / NS_PER_S;
	return 0;
}
