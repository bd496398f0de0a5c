/* SPDX-License-Identifier: AGPL-3.0-only */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define COLD __attribute__((cold, noinline))

/* Marks a declaration whose body may park the calling fiber: everything read before it is stale. */
#define AWAITS

/* Runs `fn(&var)` when var leaves its scope. `fn` copes with the zero value. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Hands ownership over visibly: yields the pointer and leaves NULL behind. */
#define TAKE_PTR(ptr) \
	({ \
		__typeof__(ptr) *take_ = &(ptr); \
		__typeof__(ptr) taken_ = *take_; \
		*take_ = NULL; \
		taken_; \
	})

/* Hands a file descriptor over visibly: yields it and leaves -1 behind. */
#define TAKE_FD(fd) \
	({ \
		int *take_ = &(fd); \
		int taken_ = *take_; \
		*take_ = -1; \
		taken_; \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b) \
	({ \
		__typeof__(a) min_a_ = (a); \
		__typeof__(b) min_b_ = (b); \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define MAX(a, b) \
	({ \
		__typeof__(a) max_a_ = (a); \
		__typeof__(b) max_b_ = (b); \
		max_a_ > max_b_ ? max_a_ : max_b_; \
	})
