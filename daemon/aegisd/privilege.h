/* SPDX-License-Identifier: AGPL-3.0-only */
/* Ids and groups of the system. A header of its own because <grp.h> has a struct group too. */
#pragma once

#include "daemon/base/base.h"

/* Drops to these ids for good: no group, capability or way back by exec remains. */
int privilege_drop(uid_t uid, gid_t gid) MUST_USE;

int privilege_group(const char *name, gid_t *ret) MUST_USE; /* -EINVAL: there is none */
