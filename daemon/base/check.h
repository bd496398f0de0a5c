/* SPDX-License-Identifier: AGPL-3.0-only */
#pragma once

#include "daemon/base/annotate.h"

/*
 * CHECK states what cannot be false unless this program has a bug. It stays on in release builds:
 * it prints the condition, the place and the error trail, and aborts. Never use it on input.
 */
#define CHECK(cond) \
	do { \
		if (__builtin_expect(!(cond), 0)) \
			check_failed(#cond, __FILE__, __LINE__); \
	} while (0)

#define UNREACHABLE() check_failed("unreachable", __FILE__, __LINE__)

COLD __attribute__((noreturn)) void check_failed(const char *cond, const char *file, int line);
