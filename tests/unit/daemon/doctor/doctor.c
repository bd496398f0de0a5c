/* SPDX-License-Identifier: AGPL-3.0-only */
/* Every probe on this very host, the requirements, and the JSON. */
#include "daemon/doctor/probe.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "tests/tap.h"

static struct doctor_report report;

static int run(void **state)
{
	const struct doctor_options o = {.data_dir = "/tmp"};

	doctor_run(&o, &report);
	return 0;
}

static void every_finding_explains_itself(void **state)
{
	assert_true(report.count >= 15);
	assert_true(report.kernel[0]);
	for (size_t i = 0; i < report.count; i++) {
		const struct doctor_finding *f = &report.findings[i];
		print_message("# %-28s %-12s %s%s%s\n", f->id, doctor_level_name(f->level), f->why,
			f->how[0] ? "; " : "", f->how);
		assert_true(f->why[0] && f->protects[0] && f->area[0]);
		assert_true(strlen(f->why) < sizeof(f->why) - 1); /* whole */
		assert_true(strlen(f->how) < sizeof(f->how) - 1);
		if (f->level < DOCTOR_PREVENTED && f->level != DOCTOR_DETECTED)
			assert_true(f->how[0]);
		assert_ptr_equal(doctor_find(&report, f->id), f); /* ids are unique */
	}
}

/* What this program itself can see must agree with the findings. */
static void findings_are_true(void **state)
{
	assert_int_equal(doctor_find(&report, "sandbox.seccomp")->level, DOCTOR_PREVENTED);
	bool kvm = access("/dev/kvm", R_OK | W_OK) == 0;
	if (!kvm)
		assert_int_equal(doctor_find(&report, "vm.kvm")->level, DOCTOR_NOT_COVERED);
	bool swap = doctor_find(&report, "host.swap")->level == DOCTOR_NOT_COVERED;
	FILE *f = fopen("/proc/swaps", "re");
	int lines = 0;
	for (int c; f && (c = fgetc(f)) != EOF;)
		lines += c == '\n';
	if (f)
		fclose(f);
	assert_int_equal(swap, lines > 1);
	assert_int_equal(report.privileged, geteuid() == 0);
	if (geteuid() != 0)
		assert_int_equal(doctor_find(&report, "bpf.lsm")->level, DOCTOR_UNAVAILABLE);
}

static void a_helper_needs_both(void **state)
{
	assert_true(status_is_hardened("Name:\ta\nNoNewPrivs:\t1\nSeccomp:\t2\nX:\t0\n"));
	assert_false(status_is_hardened("Name:\ta\nNoNewPrivs:\t0\nSeccomp:\t2\nX:\t0\n"));
	assert_false(status_is_hardened("Name:\ta\nNoNewPrivs:\t1\nSeccomp:\t0\nX:\t0\n"));
	assert_false(status_is_hardened(""));
	assert_non_null(doctor_find(&report, "host.helper"));
}

static struct doctor_report made_up(void)
{
	return (struct doctor_report){.count = 4,
		.findings = {{.id = "a", .level = DOCTOR_PREVENTED},
			{.id = "b", .level = DOCTOR_DETECTED},
			{.id = "c", .level = DOCTOR_NOT_COVERED, .advisory = true},
			{.id = "d", .level = DOCTOR_UNAVAILABLE}}};
}

static void requirements_find_what_falls_short(void **state)
{
	struct doctor_report r = made_up();
	struct doctor_unmet u[8];
	const struct doctor_requirement named[] = {{"a", DOCTOR_PREVENTED},
		{"b", DOCTOR_NOT_COVERED}, {"c", DOCTOR_DETECTED}, {"nobody", DOCTOR_DETECTED}};

	assert_int_equal(doctor_unmet(&r, DOCTOR_UNAVAILABLE, NULL, 0, u, 8), 0);
	assert_int_equal(doctor_unmet(&r, DOCTOR_DETECTED, NULL, 0, u, 8), 1);
	assert_string_equal(u[0].id, "d");
	assert_int_equal(doctor_unmet(&r, DOCTOR_PREVENTED, NULL, 0, u, 8), 2);
	assert_int_equal(doctor_unmet(&r, DOCTOR_PREVENTED, NULL, 0, u, 1), 2);

	assert_int_equal(doctor_unmet(&r, DOCTOR_DETECTED, named, 4, u, 8), 3);
	assert_string_equal(u[0].id, "d");
	assert_string_equal(u[1].id, "c");
	assert_ptr_equal(u[1].finding, &r.findings[2]);
	assert_string_equal(u[2].id, "nobody");
	assert_null(u[2].finding);
}

static void json_says_the_same(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	const struct json *v;

	doctor_write_json(&report, &b);
	assert_int_equal(json_parse(a, buf_view(&b), NULL, &v), 0);
	const struct json *findings = json_get(v, "findings");
	assert_int_equal(findings->count, report.count);
	for (size_t i = 0; i < report.count; i++) {
		const struct json *f = &findings->items[i];
		enum doctor_level level;
		char name[32];
		snprintf(name, sizeof(name), SPAN_FMT, SPAN_ARG(json_str(f, "level", SPAN(""))));
		assert_int_equal(doctor_level_parse(name, &level), 0);
		assert_int_equal(level, report.findings[i].level);
		assert_true(span_is(json_str(f, "id", SPAN("")), report.findings[i].id));
	}
	enum doctor_level level;
	assert_int_equal(doctor_level_parse("perfect", &level), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_finding_explains_itself),
		cmocka_unit_test(findings_are_true),
		cmocka_unit_test(a_helper_needs_both),
		cmocka_unit_test(requirements_find_what_falls_short),
		cmocka_unit_test(json_says_the_same),
	};
	return cmocka_run_group_tests_name("doctor", tests, run, NULL);
}
