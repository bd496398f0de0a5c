/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the helper takes from disk must have been put there by root. */
#include "daemon/helper/host.h"
#include "tests/tap.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static int setup(void **state)
{
	char path[128];
	if (geteuid() != 0)
		return 0;
	snprintf(dir, sizeof(dir), "/tmp/aegis-trust-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/below", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/below/file", dir);
	assert_int_equal(fd_replace_file(path, SPAN("x"), 0644), 0);
	snprintf(path, sizeof(path), "%s/link", dir);
	assert_int_equal(symlink("below", path), 0);
	return 0;
}

static int teardown(void **state)
{
	err_clear();
	return dir[0] ? fd_remove_tree(AT_FDCWD, dir) : 0;
}

static int trusted(const char *below)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, below);
	return host_check_trusted(path);
}

static void test_trusted(void **state)
{
	char path[128];
	if (geteuid() != 0)
		test_skip("needs root: files of two owners");
	assert_int_equal(trusted("below/file"), 0);
	assert_int_equal(trusted("below/"), 0);
	assert_int_equal(host_check_trusted("/"), 0);
	assert_int_equal(host_check_trusted("below"), -EINVAL);
	assert_int_equal(trusted("nothing"), -ENOENT);
	assert_int_equal(trusted("link/file"), -EPERM);

	snprintf(path, sizeof(path), "%s/below/file", dir);
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(trusted("below/file"), -EPERM);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chown(path, 1000, 0), 0);
	assert_int_equal(trusted("below/file"), -EPERM);
	assert_int_equal(chown(path, 0, 0), 0);
	assert_int_equal(trusted("below/file"), 0);

	snprintf(path, sizeof(path), "%s/below", dir);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(trusted("below/file"), -EPERM);
	assert_int_equal(chmod(path, 01777), 0); /* as /tmp: others cannot exchange the file */
	assert_int_equal(trusted("below/file"), 0);
	assert_int_equal(trusted("below"), -EPERM);
}

int main(void)
{
	const struct CMUnitTest helper[] = {cmocka_unit_test(test_trusted)};
	return cmocka_run_group_tests(helper, setup, teardown);
}
