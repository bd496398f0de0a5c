/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What tests of the kernel's programs share: a cgroup as the parent of all sandboxes and one in it
 * as a sandbox, what processes do in there, and the layout that both sides were compiled with.
 * Anything that fails fails the test. LINK test_cgroups; the test needs ROOT.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct test_cgroups {
	char root[32]; /* of the v2 hierarchy */
	char parent[96], sandbox[128]; /* paths */
	int fd; /* of the parent */
	uint64_t id; /* of the sandbox's cgroup */
};

/* Fails the test if r < 0, with the meaning of errno. */
void must(int r, const char *what);

/* /NAME-PID and /NAME-PID/sandbox. */
void cgroups_make(struct test_cgroups *c, const char *name);
/* -1 if something is left in them. */
int cgroups_remove(struct test_cgroups *c);

/* The id of a new cgroup. */
uint64_t cgroup_make(const char *path);

/* Moves the calling process, a child that the test made, or ends it with status 250. */
void cgroup_enter(const char *path);
/* The wait status of a process that does act() in that cgroup (NULL: where the test is) and exits
 * with what it gives. ret_pid may be NULL. */
int cgroup_run(const char *path, int (*act)(void), pid_t *ret_pid);

struct layout_type {
	const char *name;
	size_t bytes;
};

/* That the programs of the object know these types in these sizes, by their own type information.
 */
void layout_check(
	const void *object, size_t object_bytes, const struct layout_type *types, size_t count);
