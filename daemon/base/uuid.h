/* SPDX-License-Identifier: AGPL-3.0-only */
#pragma once

#include "daemon/base/span.h"

enum { UUID_TEXT_BYTES = 37 }; /* with the NUL */

struct uuid {
	uint8_t bytes[16]; /* network order, RFC 9562 section 4 */
};

/* Version 4 from the 16 random bytes given: the caller draws them (rt_random in fibers). */
struct uuid uuid_from_random(const uint8_t random[16]);
struct uuid uuid_new(void); /* version 4 from the kernel's generator */
/* Version 7: later ones sort behind earlier ones, so that an index over many grows at its end. The
 * time stands in it for all to read. */
struct uuid uuid_ordered(int64_t wall_ns);
void uuid_text(struct uuid u, char ret_text[UUID_TEXT_BYTES]); /* lower case */
int uuid_parse(struct span s, struct uuid *ret) MUST_USE; /* -EINVAL; either case; no braces */
bool uuid_eq(struct uuid a, struct uuid b);
bool uuid_is_nil(struct uuid u);
