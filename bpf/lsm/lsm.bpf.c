// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The LSM programs. They hang on the cgroup that is the parent of all sandboxes, so they run for
 * nobody else, and stay as long as it does. What seccomp, mounts and Landlock say by number and by
 * path is said here again by effect: whichever call, ring or descriptor leads to the hook.
 *
 * The kernel has ten places for hooks of this kind (CGROUP_LSM_NUM), all of which are taken.
 */
#include "bpf/lsm/lsm_logic.h"
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile struct lsm_constants lsm_constants;

/* What is read of the kernel's own types; their offsets are found when the programs are loaded. */
#define KERNEL __attribute__((preserve_access_index))
struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
} KERNEL;
struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
} KERNEL;
struct file {
	struct inode *f_inode;
	unsigned int f_mode;
	unsigned int f_flags;
} KERNEL;
struct linux_binprm {
	struct file *file;
} KERNEL;
struct path;
struct task_struct;
struct key;
struct cred;
union bpf_attr;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LSM_AGENTS_MAX);
	__type(key, __u64); /* cgroup */
	__type(value, struct lsm_agent);
} lsm_agents SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LSM_POLICIES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct lsm_policy);
} lsm_policies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LSM_FILES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lsm_file_key);
	__type(value, struct lsm_file);
} lsm_files SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lsm_counters);
} lsm_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lsm_sequence SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LSM_DENIALS_BYTES);
} lsm_denials SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LSM_LOSSES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lsm_loss_key);
	__type(value, __u64);
} lsm_losses SEC(".maps");

/* What a question found on the way to its answer, for the record. */
struct about {
	struct lsm_question q;
	struct lsm_file_key file;
	__u64 cgroup;
	__u32 rule;
	__u32 list_rule;
	__u32 detail;
};

static __always_inline void count_loss(__u64 cgroup)
{
	struct lsm_loss_key key = {.cgroup = cgroup};
	__u64 none = 0;
	__u64 *lost = bpf_map_lookup_elem(&lsm_losses, &key);

	if (!lost) {
		bpf_map_update_elem(&lsm_losses, &key, &none, BPF_NOEXIST);
		lost = bpf_map_lookup_elem(&lsm_losses, &key);
	}
	if (lost)
		__sync_fetch_and_add(lost, 1);
}

static __always_inline void record(const struct about *a, enum lsm_verdict v)
{
	__u32 zero = 0;
	struct lsm_counters *c = bpf_map_lookup_elem(&lsm_counts, &zero);
	__u64 *sequence = bpf_map_lookup_elem(&lsm_sequence, &zero);

	if (!c || !sequence)
		return;
	__sync_fetch_and_add(&c->denied[a->q.hook & (LSM_HOOK_SLOTS - 1)], 1);
	__u64 number = __sync_fetch_and_add(sequence, 1);
	struct lsm_denial *d = bpf_ringbuf_reserve(&lsm_denials, sizeof(*d), 0);
	if (!d) {
		count_loss(a->cgroup);
		return;
	}
	__builtin_memset(d, 0, sizeof(*d));
	d->time_ns = bpf_ktime_get_boot_ns();
	d->cgroup = a->cgroup;
	d->call_cgroup = bpf_get_current_cgroup_id();
	d->sequence = number;
	d->inode = a->file.inode;
	d->device = a->file.device;
	d->policy = a->file.policy;
	d->rule = v == LSM_DENY_UNLISTED ? a->list_rule : v == LSM_DENY_RULE ? a->rule : 0;
	d->pid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	d->cpu = bpf_get_smp_processor_id();
	d->detail = a->detail;
	d->hook = (__u8)a->q.hook;
	d->verdict = (__u8)v;
	bpf_get_current_comm(d->comm, sizeof(d->comm));
	bpf_ringbuf_submit(d, BPF_RB_FORCE_WAKEUP);
}

static __always_inline void find_agent(struct about *a)
{
	a->cgroup = bpf_get_current_ancestor_cgroup_id(lsm_constants.level);
	const struct lsm_agent *agent = bpf_map_lookup_elem(&lsm_agents, &a->cgroup);
	if (!agent)
		return;
	a->q.phase = agent->phase;
	a->file.policy = agent->policy;
	if (!agent->policy)
		return;
	const struct lsm_policy *p = bpf_map_lookup_elem(&lsm_policies, &a->file.policy);
	if (p) {
		a->q.policy_flags = p->flags;
		a->list_rule = p->rule;
	} else {
		a->q.phase = 0; /* of a policy that is not there nothing is known */
	}
}

static __always_inline void find_file(struct about *a, const struct file *file)
{
	const struct inode *inode = file->f_inode;

	a->file.inode = inode->i_ino;
	a->file.device = inode->i_sb->s_dev;
	a->q.filesystem = inode->i_sb->s_magic;
	const struct lsm_file *f = bpf_map_lookup_elem(&lsm_files, &a->file);
	if (f) {
		a->q.rights = f->rights;
		a->rule = f->rule;
	}
}

/* 1: go on; 0: EPERM. */
static __always_inline int answer(const struct about *a)
{
	enum lsm_verdict v = lsm_decide(&a->q);

	if (v == LSM_ALLOW)
		return 1;
	record(a, v);
	return 0;
}

static __always_inline int act(enum lsm_hook hook, __u32 detail)
{
	struct about a = {.q.hook = hook, .detail = detail};

	find_agent(&a);
	return answer(&a);
}

SEC("lsm_cgroup/bprm_check_security")
int BPF_PROG(lsm_exec, struct linux_binprm *bprm)
{
	struct about a = {.q.hook = LSM_HOOK_EXEC};

	find_agent(&a);
	find_file(&a, bprm->file);
	return answer(&a);
}

SEC("lsm_cgroup/file_open")
int BPF_PROG(lsm_open, struct file *file)
{
	struct about a = {.q.hook = LSM_HOOK_OPEN};

	bool executes = (file->f_flags & 0x20) != 0; /* __FMODE_EXEC: by execve, or its loader */
	a.q.reads = !executes && (file->f_mode & 1) != 0; /* FMODE_READ */
	a.q.writes = (file->f_mode & 2) != 0; /* FMODE_WRITE */
	find_agent(&a);
	find_file(&a, file);
	/* What is on no list is told apart when the program is known: see lsm_exec. */
	if (executes && (a.q.rights & LSM_FORBID_EXEC))
		a.q.hook = LSM_HOOK_EXEC;
	return answer(&a);
}

SEC("lsm_cgroup/socket_create")
int BPF_PROG(lsm_socket, int family, int type, int protocol, int kern)
{
	struct about a = {.q.hook = LSM_HOOK_SOCKET};

	if (kern) /* the kernel's own */
		return 1;
	a.q.family = (__u32)family;
	a.q.type = (__u32)type;
	a.q.protocol = (__u32)protocol;
	a.detail = a.q.family << 16 | a.q.type;
	find_agent(&a);
	return answer(&a);
}

SEC("lsm_cgroup/ptrace_access_check")
int BPF_PROG(lsm_ptrace, struct task_struct *child, unsigned int mode)
{
	struct about a = {.q.hook = LSM_HOOK_PTRACE, .q.mode = mode, .detail = mode};

	find_agent(&a);
	return answer(&a);
}

SEC("lsm_cgroup/sb_mount")
int BPF_PROG(lsm_mount)
{
	return act(LSM_HOOK_MOUNT, 0);
}

SEC("lsm_cgroup/move_mount")
int BPF_PROG(lsm_move_mount)
{
	return act(LSM_HOOK_MOVE_MOUNT, 0);
}

SEC("lsm_cgroup/bpf")
int BPF_PROG(lsm_bpf, int command)
{
	return act(LSM_HOOK_BPF, (__u32)command);
}

SEC("lsm_cgroup/kernel_module_request")
int BPF_PROG(lsm_module)
{
	return act(LSM_HOOK_MODULE, 0);
}

SEC("lsm_cgroup/key_alloc")
int BPF_PROG(lsm_key)
{
	return act(LSM_HOOK_KEY, 0);
}

SEC("lsm_cgroup/userns_create")
int BPF_PROG(lsm_userns)
{
	return act(LSM_HOOK_USERNS, 0);
}
