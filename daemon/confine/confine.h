/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What confines a sandbox and is the same for all of them: the system call policy, and the
 * registry of runtimes, which names everything of the host that a sandbox may see. Pure but for
 * reading that file; shared by the helper, which enforces both, and by aegisd, which explains them.
 */
#pragma once

#include "daemon/confine/runtime_registry.h"
#include "daemon/confine/seccomp_policy.h"
