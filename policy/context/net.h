/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of policy/context: an entry of a list of whom to connect to. */
#pragma once

#include "policy/context/rules.h"

struct net_entry {
	enum { NET_NAME, NET_BELOW, NET_ANY_NAME, NET_RANGE } kind;
	const char *text; /* the name, or the block as written */
	struct ext_ip range;
	uint16_t port_first, port_last; /* inclusive */
};

int net_entry_parse(const char *entry, struct arena *a, struct net_entry *ret) MUST_USE;
