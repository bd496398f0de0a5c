/* SPDX-License-Identifier: AGPL-3.0-only */
/* One function per kind of damage; `emit` hands each copy out. */
#include "tests/unit/mutate.h"
#include "daemon/base/base.h"
#include <stdio.h>
#include <stdlib.h>

struct run {
	struct span valid;
	void (*fn)(struct span damaged, const char *what, void *arg);
	void *arg;
	size_t copies;
};

/* The valid bytes in [from, to), with `gap` bytes of room before index `at`. */
static char *copy(const struct run *run, size_t from, size_t to, size_t at, size_t gap)
{
	size_t n = to - from;
	char *p = malloc(n + gap ? n + gap : 1);
	CHECK(p);
	if (at > 0)
		memcpy(p, run->valid.p + from, at);
	if (n > at)
		memcpy(p + at + gap, run->valid.p + from + at, n - at);
	return p;
}

static void emit(struct run *run, char *p, size_t n, const char *verb, size_t index)
{
	char what[64];
	snprintf(what, sizeof(what), verb, index);
	if (n != run->valid.n || memcmp(p, run->valid.p, n) != 0) {
		run->copies++;
		run->fn(span_of(p, n), what, run->arg);
	}
	free(p);
}

static void flip_bits(struct run *run, bool two)
{
	size_t n = run->valid.n;
	for (size_t i = 0; i < n * 8; i++) {
		for (size_t j = two ? i + 1 : i; j < (two ? n * 8 : i + 1); j++) {
			char *p = copy(run, 0, n, 0, 0);
			p[i / 8] = (char)(p[i / 8] ^ 1 << i % 8);
			if (two)
				p[j / 8] = (char)(p[j / 8] ^ 1 << j % 8);
			emit(run, p, n, two ? "bit %zu and another flipped" : "bit %zu flipped", i);
		}
	}
}

static void set_bytes(struct run *run, size_t i)
{
	static const char tricky[] = "\0\xff\x80\x7f\x01 \t\r\n\"'\\/{}[]()<>,:;=%#&+-.0:9eu";
	for (size_t k = 0; k < sizeof(tricky) - 1; k++) {
		char *p = copy(run, 0, run->valid.n, 0, 0);
		p[i] = tricky[k];
		emit(run, p, run->valid.n, "byte %zu set to another", i);
	}
}

static void edit_byte(struct run *run, unsigned kinds, size_t i)
{
	size_t n = run->valid.n;
	char *p;
	if (kinds & MUTATE_FLIP_BYTE) {
		p = copy(run, 0, n, 0, 0);
		p[i] = (char)~p[i];
		emit(run, p, n, "byte %zu flipped", i);
	}
	if (kinds & MUTATE_DROP_BYTE) {
		p = copy(run, 0, n - 1, 0, 0);
		memcpy(p + i, run->valid.p + i + 1, n - i - 1);
		emit(run, p, n - 1, "byte %zu dropped", i);
	}
	if (kinds & MUTATE_DOUBLE_BYTE) {
		p = copy(run, 0, n, i, 1);
		p[i] = run->valid.p[i];
		emit(run, p, n + 1, "byte %zu doubled", i);
	}
	if ((kinds & MUTATE_SWAP_BYTES) && i + 1 < n) {
		p = copy(run, 0, n, 0, 0);
		p[i] = run->valid.p[i + 1];
		p[i + 1] = run->valid.p[i];
		emit(run, p, n, "byte %zu swapped with the next", i);
	}
	if (kinds & MUTATE_SET_BYTE)
		set_bytes(run, i);
}

size_t mutate(struct span valid, unsigned kinds,
	void (*fn)(struct span damaged, const char *what, void *arg), void *arg)
{
	struct run run = {valid, fn, arg, 0};
	if (kinds & MUTATE_FLIP_BIT)
		flip_bits(&run, false);
	if (kinds & MUTATE_FLIP_TWO_BITS)
		flip_bits(&run, true);
	for (size_t i = 0; i < valid.n; i++) {
		edit_byte(&run, kinds, i);
		if (kinds & MUTATE_CUT_END)
			emit(&run, copy(&run, 0, i, 0, 0), i, "cut to %zu bytes", i);
		if ((kinds & MUTATE_CUT_START) && i > 0)
			emit(&run, copy(&run, i, valid.n, 0, 0), valid.n - i, "first %zu bytes cut",
				i);
	}
	return run.copies;
}
