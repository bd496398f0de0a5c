/* SPDX-License-Identifier: AGPL-3.0-only */
/* The name that somebody may have meant, for messages. */
#pragma once

#include "daemon/base/base.h"

struct nearest {
	struct span wanted;
	struct span best; /* empty as long as nothing is near enough */
	size_t distance;
};

struct nearest nearest_to(struct span wanted);
void nearest_offer(struct nearest *n, struct span candidate);

/* "; did you mean `best`?", or "" if nothing is near. Valid as long as `bytes`. */
const char *nearest_hint(const struct nearest *n, char *bytes, size_t size);
