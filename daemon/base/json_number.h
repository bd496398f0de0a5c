/* SPDX-License-Identifier: AGPL-3.0-only */
/* Private to this room: numbers as tokens. */
#pragma once

#include "daemon/base/span.h"

/* Equal by mathematical value: 1, 1.0 and 10e-1. Exponents of more than 17 digits are equal only
 * if the tokens are. */
bool json_number_equal(struct span a, struct span b);

enum { JSON_DOUBLE_BYTES = 32 }; /* with the NUL */

/* The shortest text that reads back as v, which is finite. */
void json_double_text(double v, char ret_text[JSON_DOUBLE_BYTES]);
