/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the recording programs count, as a program of a kind that any kernel loads: the packet is a
 * sandbox's entry and the moment. */
#include "bpf/record/record_logic.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "AGPL-3.0-only";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct record_agent);
} wrapped_agent SEC(".maps");

SEC("tc")
int record_wrapped(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u64 packet[3]; /* now, bytes that wait, kind */
	struct record_agent *a = bpf_map_lookup_elem(&wrapped_agent, &zero);

	if (!a || bpf_skb_load_bytes(skb, 0, packet, sizeof(packet)))
		return -1;
	return record_may_take(
		a, (enum record_kind)packet[2], packet[0], packet[1], RECORD_RING_BYTES);
}
