// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Leaving the cgroup is death. Everything that the kernel decides about a sandbox it decides by the
 * cgroup, so a task that got out of it must not go on. Each task of a sandbox carries a tag, given
 * when it enters and inherited by what it makes; the tag is compared where a task is moved, makes
 * another and executes. Tracepoints can prevent nothing, but a task that gets SIGKILL in one does
 * not return from the system call.
 */
#include "bpf/lsm/lsm_api.h"
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile struct guard_constants guard_constants;

#define KERNEL __attribute__((preserve_access_index))
struct kernfs_node {
	__u64 id;
} KERNEL;
struct cgroup_root {
	int hierarchy_id;
} KERNEL;
struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup_root *root;
	struct cgroup *ancestors[1];
} KERNEL;
struct css_set {
	struct cgroup *dfl_cgrp;
} KERNEL;
struct task_struct {
	int tgid;
	struct css_set *cgroups;
} KERNEL;

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64); /* cgroup of its sandbox */
} guard_tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct guard_counters);
} guard_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LSM_GUARD_BYTES);
} guard_denials SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LSM_LOSSES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lsm_loss_key);
	__type(value, __u64);
} guard_losses SEC(".maps");

/* The ancestor at a level; `level` is a constant of the node. */
static __always_inline struct cgroup *ancestor(struct cgroup *c, __u32 level)
{
	struct cgroup *found = NULL;
	const char *list = (const char *)__builtin_preserve_access_index(&c->ancestors);

	bpf_probe_read_kernel(&found, sizeof(found), list + (__u64)level * sizeof(found));
	return found;
}

/* The sandbox that a cgroup is of, or lies in; 0: none. */
static __always_inline __u64 sandbox_of(struct cgroup *c)
{
	__u32 level = guard_constants.level;

	if (level == 0 || (__u32)BPF_CORE_READ(c, level) < level)
		return 0;
	if (BPF_CORE_READ(ancestor(c, level - 1), kn, id) != guard_constants.parent)
		return 0;
	return BPF_CORE_READ(ancestor(c, level), kn, id);
}

static __always_inline __u64 tag_of(struct task_struct *t)
{
	__u64 *tag = bpf_task_storage_get(&guard_tasks, t, NULL, 0);
	return tag ? *tag : 0;
}

static __always_inline void count_loss(__u64 cgroup)
{
	struct lsm_loss_key key = {.cgroup = cgroup};
	__u64 none = 0;
	__u64 *lost = bpf_map_lookup_elem(&guard_losses, &key);

	if (!lost) {
		bpf_map_update_elem(&guard_losses, &key, &none, BPF_NOEXIST);
		lost = bpf_map_lookup_elem(&guard_losses, &key);
	}
	if (lost)
		__sync_fetch_and_add(lost, 1);
}

static __always_inline void record(__u64 tag, __u64 cgroup, __u32 pid, enum guard_way way)
{
	__u32 zero = 0;
	struct guard_counters *c = bpf_map_lookup_elem(&guard_counts, &zero);

	if (!c)
		return;
	__sync_fetch_and_add(&c->left, 1);
	__u64 number = __sync_fetch_and_add(&c->sequence, 1);
	struct lsm_denial *d = bpf_ringbuf_reserve(&guard_denials, sizeof(*d), 0);
	if (!d) {
		count_loss(tag);
		return;
	}
	__builtin_memset(d, 0, sizeof(*d));
	d->time_ns = bpf_ktime_get_boot_ns();
	d->cgroup = tag;
	d->call_cgroup = cgroup;
	d->sequence = number;
	d->pid = pid;
	d->cpu = bpf_get_smp_processor_id();
	d->detail = way;
	d->hook = LSM_HOOK_LEAVE;
	d->verdict = LSM_DENY_LEFT;
	bpf_get_current_comm(d->comm, sizeof(d->comm));
	bpf_ringbuf_submit(d, BPF_RB_FORCE_WAKEUP);
}

/* The task that is at work dies before it is back in its program. */
static __always_inline void death(__u64 tag, __u64 cgroup, __u32 pid, enum guard_way way)
{
	record(tag, cgroup, pid, way);
	bpf_send_signal(9);
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(guard_attach, struct cgroup *to, const char *path, struct task_struct *task)
{
	struct task_struct *self = bpf_get_current_task_btf();

	if (BPF_CORE_READ(to, root, hierarchy_id) != 0) /* of cgroup v1 */
		return 0;
	__u64 tag = tag_of(task), now = sandbox_of(to);
	if (!tag && now)
		bpf_task_storage_get(&guard_tasks, task, &now, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!tag || tag == now)
		return 0;
	/* Who moves another out of its own sandbox dies; one that is moved by somebody outside
	 * does as soon as it makes or executes anything. */
	if (self == task || tag_of(self) == tag)
		death(tag, BPF_CORE_READ(to, kn, id), (__u32)BPF_CORE_READ(task, tgid),
			GUARD_MOVED);
	else
		record(tag, BPF_CORE_READ(to, kn, id), (__u32)BPF_CORE_READ(task, tgid),
			GUARD_MOVED_BY_ANOTHER);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(guard_fork, struct task_struct *parent, struct task_struct *child)
{
	__u64 tag = tag_of(parent);
	struct cgroup *to = BPF_CORE_READ(child, cgroups, dfl_cgrp);
	__u64 now = sandbox_of(to);
	__u64 inherited = tag ? tag : now;

	if (!inherited)
		return 0;
	bpf_task_storage_get(&guard_tasks, child, &inherited, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (tag && tag != now)
		death(tag, BPF_CORE_READ(to, kn, id), (__u32)BPF_CORE_READ(child, tgid),
			GUARD_FORKED);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(guard_exec, struct task_struct *task)
{
	__u64 tag = tag_of(task);

	if (!tag)
		return 0;
	struct cgroup *in = BPF_CORE_READ(task, cgroups, dfl_cgrp);
	if (sandbox_of(in) != tag)
		death(tag, BPF_CORE_READ(in, kn, id), (__u32)BPF_CORE_READ(task, tgid),
			GUARD_EXECUTED);
	return 0;
}
