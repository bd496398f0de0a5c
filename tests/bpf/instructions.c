/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * How long the programs in the kernel are, beside instructions.txt: growth that nobody meant costs
 * every packet, and sooner or later the verifier's patience. Compared is what the compiler made,
 * and only if it is the compiler that the file names; what the verifier went through differs from
 * kernel to kernel and is printed where the programs load.
 */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const unsigned char net_object[], net_object_end[], lsm_object[], lsm_object_end[],
	guard_object[], guard_object_end[], record_object[], record_object_end[];

static const struct {
	const char *name;
	const unsigned char *at, *end;
} objects[] = {
	{"net", net_object, net_object_end},
	{"lsm", lsm_object, lsm_object_end},
	{"guard", guard_object, guard_object_end},
	{"record", record_object, record_object_end},
};

enum { PROGRAMS_MAX = 64, PERCENT = 5, FEW = 8 /* that a short program may differ by */ };

struct row {
	char object[16], program[64];
	unsigned long instructions;
};

static struct row found[PROGRAMS_MAX], wanted[PROGRAMS_MAX];
static size_t found_count, wanted_count;
static char compiler[64] = "unknown", wanted_compiler[64];

static const char *file_path(void)
{
	static char path[512];
	const char *source = getenv("AEGIS_SOURCE");
	snprintf(path, sizeof(path), "%s/tests/bpf/instructions.txt", source ? source : ".");
	return path;
}

/* "14.0.6", from what the object says of who made it. */
static void read_compiler(const unsigned char *at, const unsigned char *end)
{
	static const char mark[] = "clang version ";
	const char *p = memmem(at, (size_t)(end - at), mark, sizeof(mark) - 1);
	if (!p)
		return;
	p += sizeof(mark) - 1;
	snprintf(compiler, sizeof(compiler), "%.*s", (int)strspn(p, "0123456789."), p);
}

static int silent(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return 0;
}

/* 0: it did not load here. */
static uint32_t verified(const struct bpf_program *p)
{
	struct bpf_prog_info info = {0};
	uint32_t bytes = sizeof(info);
	int fd = bpf_program__fd(p);
	return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0 ? info.verified_insns : 0;
}

static void add_row(const char *object, const struct bpf_program *p)
{
	assert_true(found_count < PROGRAMS_MAX);
	struct row *r = &found[found_count++];
	snprintf(r->object, sizeof(r->object), "%s", object);
	snprintf(r->program, sizeof(r->program), "%s", bpf_program__name(p));
	r->instructions = bpf_program__insn_cnt(p);
}

/* Counted before the object is loaded, which changes programs. */
static void count_object(size_t i)
{
	struct bpf_object *o =
		bpf_object__open_mem(objects[i].at, (size_t)(objects[i].end - objects[i].at), NULL);
	struct bpf_program *p;

	assert_non_null(o);
	const size_t first = found_count;
	bpf_object__for_each_program(p, o) add_row(objects[i].name, p);
	(void)!bpf_object__load(o);
	size_t at = first;
	bpf_object__for_each_program(p, o)
	{
		print_message("# %s %s: %lu instructions, %u verified\n", objects[i].name,
			found[at].program, found[at].instructions, verified(p));
		at++;
	}
	bpf_object__close(o);
	read_compiler(objects[i].at, objects[i].end);
}

static void count_all(void)
{
	libbpf_set_print(silent);
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		count_object(i);
}

static void write_file(void)
{
	FILE *f = fopen(file_path(), "we");
	if (!f)
		fail_msg("%s: %s", file_path(), strerror(errno));
	fprintf(f,
		"# Instructions of each program in the kernel, as this compiler makes it. To be "
		"written "
		"anew on purpose:\n"
		"# AEGIS_UPDATE=1 tools/test bpf/instructions\n"
		"clang %s\n",
		compiler);
	for (size_t i = 0; i < found_count; i++)
		fprintf(f, "%s %s %lu\n", found[i].object, found[i].program, found[i].instructions);
	fclose(f);
}

static void read_file(void)
{
	char line[160];
	FILE *f = fopen(file_path(), "re");
	if (!f)
		fail_msg("%s: %s", file_path(), strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		struct row *r = &wanted[wanted_count];
		if (line[0] == '#' || sscanf(line, "clang %63s", wanted_compiler) == 1)
			continue;
		assert_true(wanted_count < PROGRAMS_MAX);
		if (sscanf(line, "%15s %63s %lu", r->object, r->program, &r->instructions) != 3)
			fail_msg("%s: not a row: %s", file_path(), line);
		wanted_count++;
	}
	fclose(f);
}

static const struct row *row_of(const struct row *rows, size_t count, const struct row *like)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(rows[i].object, like->object) == 0 &&
			strcmp(rows[i].program, like->program) == 0)
			return &rows[i];
	return NULL;
}

static unsigned compare(void)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < found_count; i++) {
		const struct row *f = &found[i], *w = row_of(wanted, wanted_count, f);
		unsigned long before = w ? w->instructions : 0,
			      apart = f->instructions > before ? f->instructions - before
							       : before - f->instructions;
		if (apart <= FEW || apart * 100 <= before * PERCENT)
			continue;
		print_message("# %s %s has %lu instructions, in the file stand %lu\n", f->object,
			f->program, f->instructions, before);
		wrong++;
	}
	for (size_t i = 0; i < wanted_count; i++)
		if (!row_of(found, found_count, &wanted[i])) {
			print_message("# there is no %s %s\n", wanted[i].object, wanted[i].program);
			wrong++;
		}
	return wrong;
}

static void programs_are_as_long_as_they_were(void **state)
{
	count_all();
	if (getenv("AEGIS_UPDATE"))
		write_file();
	read_file();
	if (strcmp(compiler, wanted_compiler) != 0)
		test_skip("made by clang %s, the file is of clang %s", compiler, wanted_compiler);
	unsigned wrong = compare();
	if (wrong)
		fail_msg(
			"%u programs differ by more than %d %% from tests/bpf/instructions.txt; if "
			"that is meant: AEGIS_UPDATE=1 tools/test bpf/instructions",
			wrong, PERCENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_are_as_long_as_they_were),
	};
	return cmocka_run_group_tests_name("bpf instructions", tests, NULL, NULL);
}
