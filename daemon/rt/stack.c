/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Stacks for fibers: one reserved range per size, cut into slots of a guard page and a stack. A
 * slot becomes accessible when it is first needed and stays with the pool; the one given back last
 * is handed out next, because it is warm. The fiber's own struct sits on top of its stack, so that
 * a parked fiber costs few pages.
 *
 * Invariant: every accessible free stack reads as zeros. stack_put wipes what the fiber used, so
 * no request finds the secrets of another. To know how much was used it looks for a gap of zeros
 * larger than any frame: -Wframe-larger-than bounds ours, and each leaves at least a return address
 * behind. Stacks for library code, whose frames obey no such rule, are wiped on top
 * and dropped below. (Dropping a small stack with madvise and faulting it in again costs
 * seventeen times as much as wiping it; tests/bench/daemon/rt measures both.)
 */
#include "daemon/rt/sanitize.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
	PAGE_BYTES = 4096,
	LINE_BYTES = 64, /* of the cache */
	SHIFTS = 16,
	GUARD_BYTES = PAGE_BYTES,
	KEEP_BYTES = 4 * PAGE_BYTES, /* wiped rather than dropped */
	BLOCK_BYTES = 256,
	FRAME_BYTES_MAX = 5120, /* -Wframe-larger-than, cmake/aegis.cmake */
	GAP_BLOCKS = FRAME_BYTES_MAX / BLOCK_BYTES + 1,
};
_Static_assert(PAGE_BYTES / SHIFTS % BLOCK_BYTES == 0, "a fiber's top ends a block");
_Static_assert(FRAME_BYTES_MAX % BLOCK_BYTES == 0, "one block more is room for what a call pushes");

size_t stack_bytes_of(enum fiber_stack kind)
{
	return (size_t)(kind == FIBER_LARGE ? 256 : 64) * 1024 * STACK_FACTOR;
}

int stack_pool_init(struct stack_pool *p, size_t stack_bytes, int max)
{
	*p = (struct stack_pool){.stack_bytes = stack_bytes,
		.max = max,
		.first_free = -1,
		.wide = __builtin_cpu_supports("avx2")};
	size_t bytes = (size_t)max * (stack_bytes + GUARD_BYTES);
	p->slots = calloc((size_t)max, sizeof(*p->slots));
	if (!p->slots)
		return err_raise(-ENOMEM, "no memory to keep book of %d stacks", max);
	void *base =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		int r = err_sys(
			-errno, "reserve %zu bytes of address space for %d stacks", bytes, max);
		free(p->slots);
		p->slots = NULL;
		return r;
	}
	p->base = base;
	/* A huge page would make a whole group of stacks resident at the first touch. */
	(void)madvise(base, bytes, MADV_NOHUGEPAGE);
	return 0;
}

void stack_pool_fini(struct stack_pool *p)
{
	if (!p->base)
		return;
	CHECK(p->used == 0);
	for (int i = 0; i < p->made; i++)
		VALGRIND_STACK_DEREGISTER(p->slots[i].valgrind_id);
	munmap(p->base, (size_t)p->max * (p->stack_bytes + GUARD_BYTES));
	free(p->slots);
	*p = (struct stack_pool){0};
}

static char *slot_low(const struct stack_pool *p, int slot)
{
	return p->base + (size_t)slot * (p->stack_bytes + GUARD_BYTES) + GUARD_BYTES;
}

/* Makes the next slot accessible. Each guard page splits a mapping, so this is what fails when
 * vm.max_map_count is used up. */
static int make_slot(struct stack_pool *p)
{
	if (p->made == p->max)
		return -1;
	char *low = slot_low(p, p->made);
	if (mprotect(low, p->stack_bytes, PROT_READ | PROT_WRITE) < 0)
		return -1;
	p->slots[p->made].valgrind_id = VALGRIND_STACK_REGISTER(low, low + p->stack_bytes);
	return p->made++;
}

static size_t fiber_bytes(void)
{
	return (sizeof(struct fiber) + LINE_BYTES - 1) & ~(size_t)(LINE_BYTES - 1);
}

/* Neighbours begin at different offsets in their pages. All at the same one would compete for the
 * same few lines of the cache: a fifth of the cost of a short fiber. */
static struct fiber *fiber_on(char *low, size_t bytes, int slot)
{
	size_t shift = (size_t)(slot % SHIFTS) * (PAGE_BYTES / SHIFTS);
	return (struct fiber *)(void *)(low + bytes - shift - fiber_bytes());
}

struct fiber *stack_get(struct stack_pool *p)
{
	int slot = p->first_free;
	if (slot >= 0)
		p->first_free = p->slots[slot].next_free;
	else
		slot = make_slot(p);
	if (slot < 0)
		return NULL;
	p->used++;
	char *low = slot_low(p, slot);
	struct fiber *f = fiber_on(low, p->stack_bytes, slot);
	f->pool = p;
	f->slot = slot;
	f->stack_low = low;
	f->stack_bytes = p->stack_bytes;
#if defined(RT_TSAN)
	f->tsan_fiber = __tsan_create_fiber(0);
#endif
	return f;
}

/* As wide as AVX2 has it; where that is missing the compiler takes two steps for one. Never passed
 * or returned: how depends on the processor that a function is compiled for. */
typedef uint64_t lanes __attribute__((vector_size(32), may_alias));

struct block {
	lanes part[8];
};

_Static_assert(sizeof(struct block) == BLOCK_BYTES, "a block is as large as its parts");

/* All of it is looked at, without a branch, because most blocks are zero to their end. */
static inline __attribute__((always_inline)) bool is_zero(const struct block *b)
{
	const lanes *p = b->part;
	const lanes x = ((p[0] | p[1]) | (p[2] | p[3])) | ((p[4] | p[5]) | (p[6] | p[7]));
	return ((x[0] | x[1]) | (x[2] | x[3])) == 0;
}

/* Part by part: the compiler would make a string instruction of the whole, which starts slowly. */
static inline __attribute__((always_inline)) void wipe(struct block *b)
{
	b->part[0] = b->part[1] = b->part[2] = b->part[3] = (lanes){0};
	b->part[4] = b->part[5] = b->part[6] = b->part[7] = (lanes){0};
}

/* Downwards from the top, writing only where something is, until the gap. Both ends are multiples
 * of a block. */
static inline __attribute__((always_inline)) void wipe_used(char *low, char *top)
{
	struct block *first = (struct block *)(void *)low;
	struct block *clean = (struct block *)(void *)top; /* from here on all is zero */
	for (struct block *b = clean; b > first && clean - b < GAP_BLOCKS;) {
		if (is_zero(--b))
			continue;
		wipe(b);
		clean = b;
	}
}

__attribute__((target("avx2"))) static void wipe_used_avx2(char *low, char *top)
{
	wipe_used(low, top);
}

static void wipe_small(const struct stack_pool *p, char *low, char *top)
{
	if (p->wide)
		wipe_used_avx2(low, top);
	else
		wipe_used(low, top);
}

static void wipe_large(char *low, char *top)
{
	memset(top - KEEP_BYTES, 0, KEEP_BYTES);
	size_t below = (size_t)(top - low) - KEEP_BYTES;
	if (madvise(low, below, MADV_DONTNEED) < 0)
		memset(low, 0, below);
}

void stack_put(struct fiber *f)
{
	struct stack_pool *p = f->pool;
	int slot = f->slot;
	char *low = f->stack_low;
#if defined(RT_TSAN)
	__tsan_destroy_fiber(f->tsan_fiber);
#endif
	sanitize_open(low, f->stack_bytes);
	if (p->stack_bytes == stack_bytes_of(FIBER_SMALL))
		wipe_small(p, low, (char *)f + fiber_bytes());
	else
		wipe_large(low, low + f->stack_bytes);
	p->slots[slot].next_free = p->first_free;
	p->first_free = slot;
	p->used--;
}
