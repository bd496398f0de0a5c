/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The recording programs (bpf/record), private to this room and to the doctor. They hang on
 * tracepoints by links that live as long as somebody holds a descriptor: the helper does, and hands
 * them to aegisd beside the maps, so that either may die alone [4]. A helper that was started again
 * finds the links among the kernel's, by the cgroup that their programs were told, and goes on with
 * them and their maps; it replaces nothing, so that nothing is recorded twice. If both were away,
 * recording begins anew.
 *
 * They hang there only while a sandbox lives, prepared ones included. Where the kernel has no such
 * tracepoints, sandboxes live without records, and the doctor says so.
 */
#pragma once

#include "bpf/record/record_api.h"
#include "daemon/base/base.h"
#include "daemon/helper/progset.h"

struct recordprog {
	bool loaded; /* false: this kernel cannot, and the calls below do nothing */
	bool attached;
	struct progset programs; /* once loaded */
	int links[RECORD_HOOKS]; /* once attached */
};

/* Loads the programs: -EOPNOTSUPP says what this kernel lacks. `cgroup`: the parent of sandboxes,
 * whose earlier programs' maps are used; -1: none. */
int recordprog_load(int cgroup, uint32_t level, struct recordprog *ret) MUST_USE;
/* The same, and 0 where the kernel cannot. */
int recordprog_open(int cgroup, uint32_t level, struct recordprog *ret) MUST_USE;
void recordprog_close(struct recordprog *r);

/* Before the first sandbox; again: 0. */
int recordprog_attach(struct recordprog *r, int cgroup) MUST_USE;
/* No sandbox lives. The maps stay. */
void recordprog_detach(struct recordprog *r);

/* From here on what its processes do is recorded. `strict`: or they are killed; -EOPNOTSUPP where
 * the kernel cannot. */
int recordprog_admit(struct recordprog *r, uint64_t cgroup_id, struct uuid execution,
	uint32_t iteration, bool strict) MUST_USE;
/* It lives since an earlier helper, and keeps its counters if they are there. If they are not, it
 * was not recorded for a while: -ESTALE if it is strict. */
int recordprog_adopt(struct recordprog *r, uint64_t cgroup_id, struct uuid execution,
	uint32_t iteration, bool strict) MUST_USE;
int recordprog_call(struct recordprog *r, uint64_t cgroup_id, struct uuid call) MUST_USE;
/* Nobody asks for its counters any more. */
void recordprog_dismiss(struct recordprog *r, uint64_t cgroup_id);
