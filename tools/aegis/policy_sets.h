/* SPDX-License-Identifier: AGPL-3.0-only */
/* Policy sets by name: what the verbs `show` and `diff` share. */
#pragma once

#include "tools/aegis/session.h"
#include "policy/context/context.h"

/* `name`: "current" (the node's policies that hold), 64 hexadecimal digits (a set that the daemon
 * keeps), or a file or a folder of policies. The session is opened at need. */
struct policy_sets {
	const struct cli *cli;
	struct session session;
	bool open;
};

int policy_sets_get(struct policy_sets *p, const char *name, struct rule_set **ret) MUST_USE;
void policy_sets_close(struct policy_sets *p);
