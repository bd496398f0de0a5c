/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A benchmark also runs as a test (tests/peer/bench), which asks whether it still runs to its end,
 * not for its figures: with AEGIS_BENCH_SMOKE in the environment it does as little as shows that.
 */
#pragma once

#include <stdlib.h>

/* How often: as usual, or the little that a test asks for. */
static inline int bench_count(int usual, int little)
{
	return getenv("AEGIS_BENCH_SMOKE") ? little : usual;
}
