/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The logic of the recording programs: against a table written down by hand, and as the kernel runs
 * it (BPF_PROG_TEST_RUN, on every kernel) against this compiler's. Both sides have the same layout
 * of what they share.
 */
#include "bpf/record/record_logic.h"
#include "daemon/base/base.h"
#include "tests/prop/random.h"
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "tests/bpf/cgroups.h"
#include "tests/tap.h"

extern const unsigned char record_wrapped_object[], record_wrapped_object_end[];
extern const unsigned char record_object[], record_object_end[];

enum { ROUNDS = 3000, BUDGET = 5 };

static void a_second_has_its_budget(void **state)
{
	struct record_agent a = {.budget = BUDGET};
	const uint64_t second = UINT64_C(1) << RECORD_SECOND_SHIFT;

	for (uint64_t s = 7; s < 10; s++) {
		for (int i = 0; i < BUDGET; i++)
			assert_true(record_within_budget(&a, s * second + (uint64_t)i));
		for (int i = 0; i < 3; i++)
			assert_false(record_within_budget(&a, (s + 1) * second - 1));
	}
	a.budget = 0;
	assert_false(record_within_budget(&a, 11 * second));
}

static void a_strict_sandbox_leaves_room_for_ends(void **state)
{
	enum { RING = 1600, LEFT = 1500, LEFT_BY_ALL = 700 };
	struct record_agent loose = {.budget = BUDGET},
			    strict = {.budget = BUDGET, .strict = RECORD_STRICT};

	assert_int_equal(record_may_take(&loose, RECORD_FORK, 1, LEFT_BY_ALL, RING), RECORD_ROOM);
	for (int kind = RECORD_FORK; kind < RECORD_KINDS; kind++) {
		struct record_agent flood = {.budget = BUDGET};
		assert_int_equal(
			record_may_take(&flood, (enum record_kind)kind, 1, LEFT_BY_ALL + 1, RING),
			RECORD_FULL);
	}
	assert_int_equal(record_may_take(&strict, RECORD_FORK, 1, LEFT, RING), RECORD_ROOM);
	assert_int_equal(record_may_take(&strict, RECORD_EXEC, 1, LEFT + 1, RING), RECORD_FULL);
	assert_int_equal(record_may_take(&strict, RECORD_EXIT, 1, LEFT + 1, RING), RECORD_ROOM);
	for (int i = 0; i < BUDGET; i++) {
		(void)record_may_take(&loose, RECORD_FORK, 1, 0, RING);
		(void)record_may_take(&strict, RECORD_FORK, 1, 0, RING);
	}
	assert_int_equal(record_may_take(&loose, RECORD_EXIT, 1, 0, RING), RECORD_OVER);
	assert_int_equal(record_may_take(&strict, RECORD_FORK, 1, 0, RING), RECORD_OVER);
	assert_int_equal(record_may_take(&strict, RECORD_EXIT, 1, 0, RING), RECORD_ROOM);
	assert_false(record_kills(&loose, RECORD_FORK));
	assert_true(record_kills(&strict, RECORD_FORK));
	assert_false(record_kills(&strict, RECORD_EXIT));
}

static void arguments_are_kept_as_far_as_there_is_room(void **state)
{
	assert_int_equal(record_arguments_kept(0, 576), 0);
	assert_int_equal(record_arguments_kept(576, 576), 576);
	assert_int_equal(record_arguments_kept(577, 576), 576);
	assert_int_equal(record_arguments_kept(UINT32_MAX, 576), 576);
}

/* A reader that is behind is not woken by each record; one that sleeps is, when it is time. */
static void a_reader_is_woken_now_and_then(void **state)
{
	unsigned wakes = 0;
	for (uint64_t waiting = 0; waiting < 16 * RECORD_WAKE_BYTES;
		waiting += sizeof(struct record_event))
		wakes += (unsigned)record_wakes(waiting);
	assert_int_equal(wakes, 15 * (RECORD_WAKE_SLACK_BYTES / sizeof(struct record_event)));
	assert_true(RECORD_WAKE_SLACK_BYTES > sizeof(struct record_exec) + 8);
	assert_false(record_wakes(RECORD_WAKE_BYTES - 1));
	assert_true(record_wakes(RECORD_WAKE_BYTES));
}

static void the_kernel_counts_alike(void **state)
{
	LIBBPF_OPTS(bpf_object_open_opts, open, .object_name = "record_wrapped");
	struct bpf_object *o = bpf_object__open_mem(record_wrapped_object,
		(size_t)(record_wrapped_object_end - record_wrapped_object), &open);
	assert_non_null(o);
	assert_int_equal(bpf_object__load(o), 0);
	struct bpf_program *p = bpf_object__find_program_by_name(o, "record_wrapped");
	int map = bpf_object__find_map_fd_by_name(o, "wrapped_agent");
	struct record_agent ours = {.budget = BUDGET}, theirs;
	uint32_t zero = 0;
	uint64_t packet[8] = {0}; /* as long as one must be */
	struct random random = {20261125};

	for (int i = 0; i < ROUNDS; i++) {
		ours.strict = (uint32_t)random_below(&random, RECORD_STRICT_ALL_DOOMED + 1);
		assert_int_equal(bpf_map_update_elem(map, &zero, &ours, BPF_ANY), 0);
		packet[0] += random_below(&random, UINT64_C(1) << (RECORD_SECOND_SHIFT - 1));
		packet[1] = random_below(&random, RECORD_RING_BYTES + 1);
		packet[2] = RECORD_FORK + random_below(&random, RECORD_KINDS - RECORD_FORK);
		LIBBPF_OPTS(
			bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));
		assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(p), &opts), 0);
		assert_int_equal(opts.retval,
			(unsigned)record_may_take(&ours, (enum record_kind)packet[2], packet[0],
				packet[1], RECORD_RING_BYTES));
		assert_int_equal(bpf_map_lookup_elem(map, &zero, &theirs), 0);
		assert_memory_equal(&ours, &theirs, sizeof(ours));
	}
	bpf_object__close(o);
}

/* The sizes that the programs were compiled with, from their own type information; those of the
 * records, which are in no map, are asserted where they are declared. */
static void both_sides_have_one_layout(void **state)
{
	static const struct layout_type types[] = {
		{"record_agent", sizeof(struct record_agent)},
		{"record_call", sizeof(struct record_call)},
		{"record_constants", sizeof(struct record_constants)},
	};
	layout_check(record_object, (size_t)(record_object_end - record_object), types,
		ARRAY_LEN(types));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_has_its_budget),
		cmocka_unit_test(a_strict_sandbox_leaves_room_for_ends),
		cmocka_unit_test(arguments_are_kept_as_far_as_there_is_room),
		cmocka_unit_test(both_sides_have_one_layout),
		cmocka_unit_test(a_reader_is_woken_now_and_then),
		cmocka_unit_test(the_kernel_counts_alike),
	};
	return cmocka_run_group_tests_name("record logic", tests, NULL, NULL);
}
