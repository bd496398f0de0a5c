/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of policy/cedar: one word, and the place, for an arena that is full. */
#pragma once

#include "daemon/base/base.h"

#define no_memory() err_raise(-ENOMEM, "no memory for policies, schemas or entities")
