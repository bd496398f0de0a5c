/* SPDX-License-Identifier: AGPL-3.0-only */
/* Which cgroup a process is in. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether the process is in the cgroup of that id (of the v2 hierarchy), or in one below. False if
 * it is gone, or if that cannot be found out. */
bool membership_in(pid_t pid, uint64_t cgroup);
