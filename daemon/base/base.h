/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Layer 0, and the only header of this room that other rooms include. It knows nobody: no fibers,
 * no I/O beyond stderr, no clock but the two functions in clock.h.
 */
#pragma once

#include "daemon/base/annotate.h"
#include "daemon/base/check.h"
#include "daemon/base/err.h"
#include "daemon/base/limits.h"
#include "daemon/base/span.h"
#include "daemon/base/buf.h"
#include "daemon/base/cursor.h"
#include "daemon/base/arena.h"
#include "daemon/base/pool.h"
#include "daemon/base/list.h"
#include "daemon/base/map.h"
#include "daemon/base/state.h"
#include "daemon/base/clock.h"
#include "daemon/base/uuid.h"
#include "daemon/base/encode.h"
#include "daemon/base/secret.h"
#include "daemon/base/fd.h"
#include "daemon/base/log.h"
#include "daemon/base/json.h"
