/* SPDX-License-Identifier: AGPL-3.0-only */
/* The probes that `require:` names, in node configurations and in manifests. */
#pragma once

#include "tools/aegis/cli.h"
#include "daemon/schema/schema.h"

/* Reports each name that no probe of `aegis doctor` has, under the path of `field`, except `other`
 * (NULL: none). */
void probes_check(struct report *report, const char *field, const char *const *names, size_t count,
	const char *other);
