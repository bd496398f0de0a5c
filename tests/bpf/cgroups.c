/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/bpf/cgroups.h"
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/tap.h"

void must(int r, const char *what)
{
	if (r < 0)
		fail_msg("%s: %s", what, strerror(errno));
}

uint64_t cgroup_make(const char *path)
{
	struct stat st;
	must(mkdir(path, 0755), path);
	must(stat(path, &st), path);
	return st.st_ino;
}

void cgroups_make(struct test_cgroups *c, const char *name)
{
	struct statfs fs;
	const char *root = "/sys/fs/cgroup/unified";
	if (statfs(root, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		root = "/sys/fs/cgroup";
	snprintf(c->root, sizeof(c->root), "%s", root);
	snprintf(c->parent, sizeof(c->parent), "%s/%s-%d", root, name, getpid());
	snprintf(c->sandbox, sizeof(c->sandbox), "%s/sandbox", c->parent);
	(void)cgroup_make(c->parent);
	c->id = cgroup_make(c->sandbox);
	c->fd = open(c->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(c->fd, c->parent);
}

int cgroups_remove(struct test_cgroups *c)
{
	close(c->fd);
	return rmdir(c->sandbox) < 0 || rmdir(c->parent) < 0 ? -1 : 0;
}

void cgroup_enter(const char *path)
{
	char procs[192];
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	int fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(250);
	close(fd);
}

int cgroup_run(const char *path, int (*act)(void), pid_t *ret_pid)
{
	int status;
	pid_t pid = fork();
	must(pid, "fork");
	if (pid == 0) {
		if (path)
			cgroup_enter(path);
		_exit(act());
	}
	must(waitpid(pid, &status, 0), "waitpid");
	if (ret_pid)
		*ret_pid = pid;
	return status;
}

void layout_check(
	const void *object, size_t object_bytes, const struct layout_type *types, size_t count)
{
	struct bpf_object *o = bpf_object__open_mem(object, object_bytes, NULL);
	assert_non_null(o);
	const struct btf *btf = bpf_object__btf(o);
	for (size_t i = 0; i < count; i++) {
		int id = btf__find_by_name_kind(btf, types[i].name, BTF_KIND_STRUCT);
		if (id < 0)
			fail_msg("the programs know no %s", types[i].name);
		assert_int_equal(btf__resolve_size(btf, (unsigned)id), types[i].bytes);
	}
	bpf_object__close(o);
}
