/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a ring of denials had no room for, by sandbox, as the kernel counted it. */
#pragma once

#include "daemon/base/base.h"

struct sensor_loss {
	uint64_t cgroup; /* of the sandbox */
	uint64_t count; /* lost since it was last told */
	uint64_t total; /* since the sandbox began */
};
