// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The recording programs. They hang on tracepoints, which fire for every process of the host, so
 * they hang there only while a sandbox lives, and the first thing each does is to ask whether the
 * task is a sandbox's.
 *
 * The ring is read in batches: a record wakes the reader only when much has come together.
 */
#include "bpf/record/record_logic.h"
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

_Static_assert(RECORD_KINDS <= RECORD_KIND_SLOTS, "each kind has its own count");

const volatile struct record_constants record_constants;

/* What is read of the kernel's own types; their offsets are found when the programs are loaded. */
#define KERNEL __attribute__((preserve_access_index))
struct super_block {
	__u32 s_dev;
} KERNEL;
struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
} KERNEL;
struct file {
	struct inode *f_inode;
} KERNEL;
struct linux_binprm {
	struct file *file;
	const char *filename;
	const char *interp;
} KERNEL;
struct mm_struct {
	unsigned long arg_start, arg_end;
} KERNEL;
typedef struct {
	int counter;
} atomic_t;
struct io_kiocb {
	__u8 opcode;
} KERNEL;
struct signal_struct {
	atomic_t live;
	unsigned long long sum_sched_runtime;
} KERNEL;
struct sched_entity {
	__u64 sum_exec_runtime;
} KERNEL;
struct task_struct {
	struct sched_entity se;
	struct mm_struct *mm;
	int exit_code;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	__u64 start_boottime;
	char comm[16];
	struct signal_struct *signal;
} KERNEL;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, RECORD_AGENTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* cgroup */
	__type(value, struct record_agent);
} record_agents SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, RECORD_CALLS_MAX);
	__type(key, __u64); /* cgroup */
	__type(value, struct record_call);
} record_calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, RECORD_AGENTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* cgroup */
	__type(value, __u64);
} record_told SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} record_numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RECORD_RING_BYTES);
} record_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} record_doomed SEC(".maps");

/* Some sandbox has made a ring: until then nobody asks whose the requests of the host's are. */
static volatile __u32 rings; /* volatile: or the compiler makes it a byte, which has no type */

/* Whose task this is. */
struct owner {
	struct record_agent *agent;
	__u64 cgroup;
};

static __always_inline bool find_owner(struct owner *ret)
{
	ret->cgroup = bpf_get_current_ancestor_cgroup_id(record_constants.level);
	ret->agent = bpf_map_lookup_elem(&record_agents, &ret->cgroup);
	return ret->agent != NULL;
}

/* It does not return from the system call that it is in. */
static __always_inline void kill_self(struct owner *o)
{
	__sync_fetch_and_add(&o->agent->killed, 1);
	bpf_send_signal(9);
}

/* A strict sandbox's process that is on no record does nothing that would be. */
static __always_inline bool is_doomed(struct owner *o)
{
	return o->agent->strict == RECORD_STRICT_ALL_DOOMED ||
		(o->agent->strict &&
			bpf_task_storage_get(&record_doomed, bpf_get_current_task_btf(), NULL, 0));
}

/* Without memory for the mark nobody could tell which one it is: fails closed, for all of them. */
static __always_inline void doom(struct owner *o, struct task_struct *child)
{
	if (!bpf_task_storage_get(&record_doomed, child, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE))
		o->agent->strict = RECORD_STRICT_ALL_DOOMED;
}

static __always_inline void lose(struct owner *o, __u64 *counter, enum record_kind kind)
{
	__sync_fetch_and_add(counter, 1);
	if (record_kills(o->agent, kind))
		kill_self(o);
}

/* Room for a record, counted whether or not there is some: NULL. The kinds are constants. */
static __always_inline void *begin(struct owner *o, enum record_kind kind, __u64 bytes)
{
	struct record_count *c = &o->agent->count[kind];
	__u64 waiting = bpf_ringbuf_query(&record_ring, BPF_RB_AVAIL_DATA);
	__u64 ring_bytes = bpf_ringbuf_query(&record_ring, BPF_RB_RING_SIZE);
	__u32 zero = 0;
	__u64 *next = bpf_map_lookup_elem(&record_numbers, &zero);
	__u64 now_ns = bpf_ktime_get_boot_ns(), call_cgroup = bpf_get_current_cgroup_id();

	if (!next)
		return NULL;
	__sync_fetch_and_add(&c->happened, 1);
	__u64 sequence = __sync_fetch_and_add(next, 1);
	if (is_doomed(o) && record_kills(o->agent, kind))
		kill_self(o);
	enum record_room room = record_may_take(o->agent, kind, now_ns, waiting, ring_bytes);
	if (room == RECORD_OVER) {
		lose(o, &c->over, kind);
		return NULL;
	}
	struct record_event *e =
		room == RECORD_ROOM ? bpf_ringbuf_reserve(&record_ring, bytes, 0) : NULL;
	if (!e) {
		lose(o, &c->full, kind);
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->time_ns = now_ns;
	e->cgroup = o->cgroup;
	e->call_cgroup = call_cgroup;
	e->sequence = sequence;
	__builtin_memcpy(e->execution, o->agent->execution, sizeof(e->execution));
	e->iteration = o->agent->iteration;
	e->cpu = bpf_get_smp_processor_id();
	e->kind = kind;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	const struct record_call *call = bpf_map_lookup_elem(&record_calls, &call_cgroup);
	if (call)
		__builtin_memcpy(e->call, call->call, sizeof(e->call));
	return e;
}

static __always_inline void name_process(
	struct record_event *e, struct task_struct *task, struct task_struct *parent)
{
	e->pid = (__u32)task->tgid;
	e->start_ns = task->group_leader->start_boottime;
	e->parent_pid = (__u32)parent->tgid;
	e->parent_start_ns = parent->group_leader->start_boottime;
}

static __always_inline void finish(void *event)
{
	__u64 waiting = bpf_ringbuf_query(&record_ring, BPF_RB_AVAIL_DATA);

	bpf_ringbuf_submit(event, record_wakes(waiting) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(record_fork, struct task_struct *parent, struct task_struct *child)
{
	struct owner o;

	if (!find_owner(&o))
		return 0;
	bool born_doomed = is_doomed(&o);
	if (child->pid != child->tgid) {
		if (born_doomed) /* the mark is a thread's: another one would be without */
			kill_self(&o);
		return 0;
	}
	struct record_event *e = begin(&o, RECORD_FORK, sizeof(*e));
	/* One look at it: the verifier of 6.1 takes a second one for a way to lose it. */
	if (!e) {
		if (o.agent->strict)
			doom(&o, child);
		return 0;
	}
	if (born_doomed)
		doom(&o, child);
	name_process(e, child, parent);
	finish(e);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(record_execute, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct owner o;

	if (!find_owner(&o))
		return 0;
	struct record_exec *e = begin(&o, RECORD_EXEC, sizeof(*e));
	if (!e)
		return 0;
	name_process(&e->event, task, task->real_parent);
	e->inode = bprm->file->f_inode->i_ino;
	e->device = bprm->file->f_inode->i_sb->s_dev;
	e->path[0] = e->interpreter[0] = '\0';
	bpf_probe_read_kernel_str(e->path, sizeof(e->path), bprm->filename);
	if (bprm->interp != bprm->filename)
		bpf_probe_read_kernel_str(e->interpreter, sizeof(e->interpreter), bprm->interp);
	unsigned long from = task->mm->arg_start, to = task->mm->arg_end;
	e->arguments_bytes = to > from ? (__u32)(to - from) : 0;
	__u64 kept = record_arguments_kept(e->arguments_bytes, sizeof(e->arguments));
	asm volatile("" : "+r"(kept)); /* the verifier of 6.1 must see the bounds of what is used */
	kept &= 1023;
	if (kept <= sizeof(e->arguments) &&
		bpf_probe_read_user(e->arguments, (__u32)kept, (const void *)from) == 0)
		e->event.value = kept;
	finish(e);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(record_exit, struct task_struct *task)
{
	struct owner o;

	if (task->signal->live.counter != 0 || !find_owner(&o))
		return 0;
	struct record_event *e = begin(&o, RECORD_EXIT, sizeof(*e));
	if (!e)
		return 0;
	name_process(e, task, task->real_parent);
	e->status = (__u32)task->exit_code;
	e->value = task->signal->sum_sched_runtime + task->se.sum_exec_runtime;
	finish(e);
	return 0;
}

SEC("tp_btf/io_uring_create")
int BPF_PROG(record_ring_made, int fd, void *ring, __u32 sq_entries)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct owner o;

	if (!find_owner(&o))
		return 0;
	rings = 1;
	struct record_event *e = begin(&o, RECORD_RING, sizeof(*e));
	if (!e)
		return 0;
	name_process(e, task, task->real_parent);
	e->value = sq_entries;
	finish(e);
	return 0;
}

/* Before Linux 6.3 the tracepoint is io_uring_submit_sqe, with the same first argument. Here the
 * task is the one that asks, also where a thread of the kernel's reads the ring for it. */
SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(record_request, struct io_kiocb *request)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct owner o;

	if (!rings || !find_owner(&o))
		return 0;
	struct record_event *e = begin(&o, RECORD_REQUEST, sizeof(*e));
	if (!e)
		return 0;
	name_process(e, task, task->real_parent);
	e->value = request->opcode;
	finish(e);
	return 0;
}
