/* SPDX-License-Identifier: AGPL-3.0-only */
/* A process belongs to its own cgroup and to those above, as the kernel says, and to no other. */
#include "daemon/base/base.h"
#include "daemon/sandbox/membership.h"
#include "tests/tap.h"
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The id of the cgroup that this process is in; 0 if there is no v2 hierarchy. */
static uint64_t own(void)
{
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char line[PATH_MAX], path[PATH_MAX * 2];
	struct stat st;
	uint64_t id = 0;
	FILE *f = fopen("/proc/self/cgroup", "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < 2 && strncmp(line, "0::", 3) == 0 && id == 0; i++) {
			snprintf(path, sizeof(path), "%s/cgroup.procs", roots[i]);
			if (access(path, F_OK) < 0)
				continue;
			snprintf(path, sizeof(path), "%s%s", roots[i], line + 3);
			id = stat(path, &st) == 0 ? st.st_ino : 0;
		}
	}
	fclose(f);
	return id;
}

static void processes(void **state)
{
	uint64_t id = own();
	pid_t child;
	(void)state;
	if (id == 0)
		test_skip("no cgroup v2 hierarchy is mounted where this process is in it");
	assert_true(membership_in(getpid(), id));
	assert_false(membership_in(getpid(), id + (UINT64_C(1) << 40)));
	assert_false(membership_in(getpid(), 0));
	child = fork();
	if (child == 0)
		_exit(0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_false(membership_in(child, id)); /* gone */
	assert_false(membership_in(0, id));
	assert_false(membership_in(-1, id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(processes)};
	return cmocka_run_group_tests_name("membership", tests, NULL, NULL);
}
