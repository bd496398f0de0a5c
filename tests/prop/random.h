/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Repeatable randomness for property tests. A test runs under each seed of a fixed range, so that
 * a run is the same everywhere; AEGIS_SEED=n runs that one alone, AEGIS_ROUNDS=n that many more.
 * Print the seed with whatever fails.
 */
#pragma once

#include "daemon/base/base.h"
#include <stdlib.h>

struct random {
	uint64_t state;
};

/* splitmix64 (Steele, Lea, Flood 2014): every seed is a good one. */
static inline uint64_t random_u64(struct random *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* In [0, below), below > 0. */
static inline size_t random_below(struct random *r, size_t below)
{
	return (size_t)(random_u64(r) % below);
}

static inline bool random_chance(struct random *r, size_t one_in)
{
	return random_below(r, one_in) == 0;
}

static inline void random_bytes(struct random *r, void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((unsigned char *)p)[i] = (unsigned char)random_u64(r);
}

/* Integers of all sizes: small ones, and those near powers of two, are as likely as large ones. */
static inline int64_t random_i64(struct random *r)
{
	uint64_t v = random_u64(r) >> random_below(r, 64);
	return (int64_t)(random_chance(r, 2) ? v : 0 - v);
}

static inline uint64_t random_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	uint64_t v;
	return text && span_to_u64(span_cstr(text), &v) == 0 ? v : otherwise;
}

/* for_each_seed (seed, 200) { struct random r = {seed}; ... } */
/* NOLINTBEGIN(bugprone-macro-parentheses): the loop variable's name is no expression */
#define for_each_seed(seed, rounds) \
	for (uint64_t seed = random_env("AEGIS_SEED", 0), \
		      last_##seed = getenv("AEGIS_SEED") \
			? seed \
			: random_env("AEGIS_ROUNDS", (rounds)) - 1; \
		seed <= last_##seed; seed++)
/* NOLINTEND(bugprone-macro-parentheses) */
