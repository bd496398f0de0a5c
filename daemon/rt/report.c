/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a daemon that seems to hang waits for, in its log: where no debugger is at hand. Every part
 * is built with frame pointers, so that a parked fiber's callers can be followed from its saved
 * registers; the addresses are the program's own, as addr2line takes them.
 */
#include "daemon/rt/internal.h"
#include <stdint.h>
#include <stdio.h>

enum {
	CALLERS_MAX = 24,
	SAVED_RBP = 5, /* words above the saved stack pointer (fiber_x86_64.S) */
	SAVED_RIP = 6,
};

/* Set by the linker. NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
extern const char __executable_start[];

static bool on_stack(const struct fiber *f, uintptr_t at)
{
	uintptr_t low = (uintptr_t)f->stack_low;

	return at % sizeof(uintptr_t) == 0 && at >= low &&
		at + 2 * sizeof(uintptr_t) <= low + f->stack_bytes;
}

/* Unpoisoned reads: a parked frame may lie beside a red zone. */
__attribute__((no_sanitize("address", "thread"))) static void put_callers(
	const struct fiber *f, char *text, size_t bytes)
{
	const uintptr_t *saved = f->sp;
	uintptr_t frame = saved[SAVED_RBP], pc = saved[SAVED_RIP];
	size_t n = 0;

	text[0] = '\0';
	for (int i = 0; i < CALLERS_MAX && n < bytes; i++) {
		n += (size_t)snprintf(text + n, bytes - n, " 0x%zx",
			(size_t)(pc - (uintptr_t)__executable_start));
		if (!on_stack(f, frame))
			break;
		const uintptr_t *at =
			(const uintptr_t *)frame; /* NOLINT(performance-no-int-to-ptr) */
		frame = at[0];
		pc = at[1];
	}
}

void rt_report_fibers(void)
{
	CHECK(worker_current);
	list_for_each (l, &worker_current->fibers) {
		const struct fiber *f = list_entry(l, struct fiber, all);
		char callers[CALLERS_MAX * 20];
		if (f->state != FIBER_PARKED || !f->pool)
			continue;
		put_callers(f, callers, sizeof(callers));
		log_info("fiber %s waits for %s%s%s:%s", f->name, f->waits_for,
			f->shield ? " (shielded)" : "",
			f->group && f->group->cancelled ? " (cancelled)" : "", callers);
	}
}
