/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The LSM programs (bpf/lsm) on the cgroup of sandboxes, as progset.h does it. Where the kernel has
 * no BPF LSM, sandboxes live without: mounts, seccomp and Landlock stand alone, and the doctor says
 * so.
 *
 * They hang there only while a sandbox lives, prepared ones included. A sandbox is admitted before
 * its first process is made, and sealed when that process is aegis-bootstrap.
 */
#pragma once

#include "bpf/lsm/lsm_api.h"
#include "daemon/base/base.h"
#include "daemon/helper/progset.h"

struct lsmprog {
	bool loaded; /* false: this kernel has no BPF LSM, and the calls below do nothing */
	bool attached;
	struct progset programs; /* once loaded */
};

/* Loads the programs: -EOPNOTSUPP says what this kernel lacks. */
int lsmprog_load(int cgroup, uint32_t level, struct lsmprog *ret) MUST_USE;

/* The same, and 0 on a kernel that has no BPF LSM: *ret is then one that is not loaded. Programs of
 * an earlier helper on the cgroup are replaced, their maps taken over; that failing is an error. */
int lsmprog_open(int cgroup, uint32_t level, struct lsmprog *ret) MUST_USE;
void lsmprog_close(struct lsmprog *l); /* what is attached stays */

/* Before the first sandbox. */
int lsmprog_attach(struct lsmprog *l, int cgroup) MUST_USE;
/* No sandbox lives. */
void lsmprog_detach(struct lsmprog *l, int cgroup);

int lsmprog_admit(struct lsmprog *l, uint64_t cgroup_id) MUST_USE;
/* It lives since an earlier helper, and keeps what it had. */
int lsmprog_adopt(struct lsmprog *l, uint64_t cgroup_id) MUST_USE;
int lsmprog_seal(struct lsmprog *l, uint64_t cgroup_id) MUST_USE; /* for good: -ENOENT */
/* Puts it under a policy about files; 0: none. -EINVAL if no such policy was entered. */
int lsmprog_bind(struct lsmprog *l, uint64_t cgroup_id, uint32_t policy) MUST_USE;
void lsmprog_dismiss(struct lsmprog *l, uint64_t cgroup_id);
