/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the sanitizers and Valgrind must be told about stacks that switch. Without it ASan takes a
 * fiber's stack for a wild pointer, and TSan sees one thread run two call chains at once.
 */
#pragma once

#include "daemon/rt/internal.h"

#if defined(__SANITIZE_ADDRESS__)
#define RT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RT_ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define RT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RT_TSAN 1
#endif
#endif

#if defined(RT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#if defined(RT_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) ((void)(low), (void)(high), 0u)
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#define VALGRIND_MAKE_MEM_DEFINED(p, n) ((void)(p), (void)(n))
#endif

/* Instrumented frames are several times as large. */
#if defined(RT_ASAN) || defined(RT_TSAN)
enum { STACK_FACTOR = 4 };
#else
enum { STACK_FACTOR = 1 };
#endif

/* Called on `from`, just before it leaves; `last`: it will never be resumed. */
static inline void sanitize_leave(struct fiber *from, struct fiber *to, bool last)
{
#if defined(RT_ASAN)
	__sanitizer_start_switch_fiber(
		last ? NULL : &from->asan_fake_stack, to->stack_low, to->stack_bytes);
#endif
#if defined(RT_TSAN)
	__tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
	(void)from;
	(void)to;
	(void)last;
}

/* Called on `now`, just after it got the processor. */
static inline void sanitize_arrive(struct fiber *now)
{
#if defined(RT_ASAN)
	__sanitizer_finish_switch_fiber(now->asan_fake_stack, NULL, NULL);
#endif
	(void)now;
}

/* A stack that nobody stands on may be read and written as a whole. */
static inline void sanitize_open(void *low, size_t bytes)
{
	ASAN_UNPOISON_MEMORY_REGION(low, bytes);
	(void)VALGRIND_MAKE_MEM_DEFINED(low, bytes);
}

/* Valgrind does not see what the kernel writes for an operation. */
static inline void sanitize_filled(void *p, ssize_t n)
{
	if (n > 0)
		(void)VALGRIND_MAKE_MEM_DEFINED(p, n);
}

/* A message passes through the kernel, where TSan cannot see that it orders the two sides. */
static inline void sanitize_release(void *p)
{
#if defined(RT_TSAN)
	__tsan_release(p);
#endif
	(void)p;
}

static inline void sanitize_acquire(void *p)
{
#if defined(RT_TSAN)
	__tsan_acquire(p);
#endif
	(void)p;
}
