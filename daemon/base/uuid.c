/* SPDX-License-Identifier: AGPL-3.0-only */
/* UUIDs in the text form of RFC 9562 section 4: 8-4-4-4-12 hexadecimal digits. */
#include "daemon/base/uuid.h"
#include "daemon/base/check.h"
#include "daemon/base/clock.h"
#include "daemon/base/encode.h"
#include "daemon/base/err.h"
#include <errno.h>
#include <sys/random.h>

static bool dash_at(size_t text_index)
{
	return text_index == 8 || text_index == 13 || text_index == 18 || text_index == 23;
}

struct uuid uuid_from_random(const uint8_t random[16])
{
	struct uuid u;
	memcpy(u.bytes, random, sizeof(u.bytes));
	u.bytes[6] = (uint8_t)((u.bytes[6] & 0x0f) | 0x40);
	u.bytes[8] = (uint8_t)((u.bytes[8] & 0x3f) | 0x80);
	return u;
}

struct uuid uuid_new(void)
{
	uint8_t random[16];
	CHECK(getrandom(random, sizeof(random), 0) == (ssize_t)sizeof(random));
	return uuid_from_random(random);
}

struct uuid uuid_ordered(int64_t wall_ns)
{
	struct uuid u = uuid_new();
	uint64_t ms = (uint64_t)wall_ns / NS_PER_MS;
	/* RFC 9562 section 6.2, method 3: twelve bits of the millisecond's fraction. */
	uint64_t fraction = (uint64_t)wall_ns % NS_PER_MS * 4096 / NS_PER_MS;

	for (int i = 0; i < 6; i++)
		u.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
	u.bytes[6] = (uint8_t)(0x70 | fraction >> 8);
	u.bytes[7] = (uint8_t)fraction;
	return u;
}

void uuid_text(struct uuid u, char ret_text[UUID_TEXT_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	char *out = ret_text;
	for (size_t i = 0; i < sizeof(u.bytes); i++) {
		if (dash_at((size_t)(out - ret_text)))
			*out++ = '-';
		*out++ = digits[u.bytes[i] >> 4];
		*out++ = digits[u.bytes[i] & 0x0f];
	}
	*out = '\0';
}

int uuid_parse(struct span s, struct uuid *ret)
{
	char digits[32];
	size_t n = 0;
	struct uuid u;
	if (s.n != UUID_TEXT_BYTES - 1)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		if (dash_at(i) != (s.p[i] == '-'))
			return -EINVAL;
		if (s.p[i] != '-')
			digits[n++] = s.p[i];
	}
	int r = hex_decode(span_of(digits, n), u.bytes, sizeof(u.bytes));
	if (r < 0)
		return r;
	*ret = u;
	return 0;
}

bool uuid_eq(struct uuid a, struct uuid b)
{
	return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

bool uuid_is_nil(struct uuid u)
{
	return uuid_eq(u, (struct uuid){{0}});
}
