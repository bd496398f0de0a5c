/* SPDX-License-Identifier: AGPL-3.0-only */
/* Private to this room: tells AddressSanitizer which bytes of our own allocators are in use. */
#pragma once

#include "daemon/base/annotate.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN_ON 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ASAN_ON 1
#endif

#ifdef ASAN_ON
#include <sanitizer/asan_interface.h>
enum { ASAN_GAP_BYTES = 16 }; /* poisoned bytes between two allocations */
static inline void asan_poison(const void *p, size_t n)
{
	__asm__("" : "+r"(p)); /* gcc takes a const argument for a read of uninitialised bytes */
	__asan_poison_memory_region(p, n);
}
static inline void asan_unpoison(const void *p, size_t n)
{
	__asan_unpoison_memory_region(p, n);
}
#else
enum { ASAN_GAP_BYTES = 0 };
static inline void asan_poison(const void *p, size_t n)
{
}
static inline void asan_unpoison(const void *p, size_t n)
{
}
#endif
