/* SPDX-License-Identifier: AGPL-3.0-only */
/* Private to this room: the places of the current error trail as text, for err_log and CHECK. */
#pragma once

#include "daemon/base/annotate.h"

/* "file:line function < ...", innermost first, cut at bytes - 1. The number of bytes written. */
size_t trail_places_text(char *ret, size_t bytes);
