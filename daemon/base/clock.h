/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The process's clocks. Code that runs in fibers asks daemon/rt instead (rt_now_ns), whose answer
 * a simulation controls. policy/ is given the time as an argument.
 */
#pragma once

#include "daemon/base/buf.h"

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

int64_t clock_mono_ns(void); /* CLOCK_MONOTONIC */
int64_t clock_wall_ns(void); /* CLOCK_REALTIME, since 1970-01-01T00:00:00Z */

enum { CLOCK_RFC3339_BYTES = 31 }; /* with the NUL */

/* "2026-02-17T14:32:01.123Z" (fraction_digits 0, 3, 6 or 9), always UTC. Years 0000..9999. */
void clock_rfc3339(int64_t wall_ns, int fraction_digits, char ret_text[CLOCK_RFC3339_BYTES]);

/* RFC 3339 section 5.6, offsets and leap seconds included; digits beyond the ninth of a fraction
 * are dropped. -EINVAL, -ERANGE outside of 1677..2262 (int64 nanoseconds). Starts no trail. */
int clock_parse_rfc3339(struct span s, int64_t *ret_wall_ns) MUST_USE;

/* "90s", "5m", "1h30m", "250ms", "2d": whole numbers with units d, h, m, s, ms, large before small,
 * each at most once; a bare number counts as seconds; no sign.
 * -EINVAL, -ERANGE. Starts no trail. */
int clock_parse_duration(struct span s, int64_t *ret_ns) MUST_USE;
