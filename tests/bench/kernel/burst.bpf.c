/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Fills the ring of the recording programs, as they do, as fast as a CPU can; only that it waits
 * for room instead of counting what has none, so that what comes out is what can be had without
 * loss.
 */
#include "bpf/record/record_logic.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "AGPL-3.0-only";

enum { BURST = 64, EXIT = RECORD_EXIT };

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RECORD_RING_BYTES);
} record_ring SEC(".maps");

__u64 burst_sequence, burst_lost;

static __always_inline void one(void)
{
	struct record_event *e = bpf_ringbuf_reserve(&record_ring, sizeof(*e), 0);

	if (!e) {
		burst_lost++;
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->time_ns = bpf_ktime_get_boot_ns();
	e->cgroup = e->call_cgroup = bpf_get_current_cgroup_id();
	e->sequence = burst_sequence++;
	e->kind = EXIT;
	e->pid = 4711;
	e->parent_pid = 4710;
	e->start_ns = e->parent_start_ns = e->time_ns;
	e->execution[0] = e->call[0] = 1;
	e->iteration = 1;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	__u64 waiting = bpf_ringbuf_query(&record_ring, BPF_RB_AVAIL_DATA);
	bpf_ringbuf_submit(e, record_wakes(waiting) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

/* 1: there was no room for a burst. */
SEC("tc")
int burst(struct __sk_buff *skb)
{
	if (bpf_ringbuf_query(&record_ring, BPF_RB_AVAIL_DATA) > RECORD_RING_BYTES / 4 * 3)
		return 1;
	for (int i = 0; i < BURST; i++)
		one();
	return 0;
}
