/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Any bytes to the JSON parser. What it accepts must survive each written form unchanged, and the
 * canonical form must be canonical already.
 */
#include "daemon/base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	INPUT_BYTES_MAX = 64 * 1024,
	MEMORY_BYTES = 64 * 1024 * 1024,
	TEXT_BYTES = 64 * 1024 * 1024
};

static const struct json *reparse(struct arena *a, const struct buf *b)
{
	const struct json *v = NULL;
	CHECK(json_parse(a, buf_view(b), NULL, &v) == 0);
	return v;
}

static void check_forms(struct arena *a, const struct json *v)
{
	struct buf compact CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct buf canonical CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct buf again CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct buf pretty CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct json_writer w = json_writer(&compact);
	json_put(&w, v);
	CHECK(json_equal(v, reparse(a, &compact)));
	json_canonical(&canonical, v);
	json_canonical(&again, reparse(a, &canonical));
	CHECK(span_eq(buf_view(&canonical), buf_view(&again)));
	json_pretty(&pretty, v);
	CHECK(json_equal(v, reparse(a, &pretty)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct json *v;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(MEMORY_BYTES);
	/* Pretty text may nest past the size limit of a reparse; small inputs do not. */
	if (size > INPUT_BYTES_MAX)
		return 0;
	if (json_parse(a, span_of(data, size), NULL, &v) < 0) {
		err_clear();
		return 0;
	}
	check_forms(a, v);
	return 0;
}
