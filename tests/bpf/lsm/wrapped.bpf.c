/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the LSM programs decide, as a program of a kind that any kernel loads: the packet is the
 * question. */
#include "bpf/lsm/lsm_logic.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "AGPL-3.0-only";

SEC("tc")
int lsm_wrapped(struct __sk_buff *skb)
{
	struct lsm_question q;

	if (bpf_skb_load_bytes(skb, 0, &q, sizeof(q)))
		return -1;
	return lsm_decide(&q);
}
