/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Between policy and the kernel: turns rules into entries of the maps that the helper loaded
 * (bpf/net/net_api.h says how they are read), and binds sandboxes to them.
 */
#pragma once

#include "bpf/net/net_api.h"
#include "daemon/base/base.h"
#include "policy/context/kernel_rules.h"

/* ---- rules as entries: pure ---- */

/* Entries of one policy; `policy` and `name` of the keys are 0 and filled in when it is entered. */
struct sensor_prefix {
	struct net_prefix_key key;
	struct net_rules rules;
};

struct sensor_table {
	const struct sensor_prefix *prefixes; /* in order of address, then length */
	size_t prefix_count;
	const struct kernel_rules *source; /* id of a net_rule - 1 is an index into its rules */
};

/*
 * Merges the rules about addresses so that forbid wins (decisions, [16]): each entry carries the
 * rules of all prefixes that contain it. Everything lives in the arena; *source must live as long.
 * -E2BIG if more than NET_RULES_MAX rules meet in one prefix or there are more prefixes than the
 * kernel's table holds: names the policy whose rule did not fit. -EINVAL for a rule that is
 * malformed (ports reversed, bits set beyond the prefix).
 */
int sensor_compile(
	const struct kernel_rules *source, struct arena *a, struct sensor_table *ret) MUST_USE;

/* The rules about one name, merged likewise; count 0 if no rule speaks of it. `name` is lower case,
 * without a trailing dot. -E2BIG as above. */
int sensor_name_rules(
	const struct kernel_rules *source, struct span name, struct net_rules *ret) MUST_USE;
