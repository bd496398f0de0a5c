/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a cmocka program needs beside cmocka: a skip that says why. tools/test refuses a skip
 * without a reason, because such a skip hides a hole. Include it in place of <cmocka.h>.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Ends the running case as skipped. The reason names what this machine lacks. Does not return. */
#define test_skip(...) \
	do { \
		print_message("# SKIP "); \
		print_message(__VA_ARGS__); \
		print_message("\n"); \
		skip(); \
	} while (0)
