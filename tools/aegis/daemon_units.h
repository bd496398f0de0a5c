/* SPDX-License-Identifier: AGPL-3.0-only */
/* The systemd units, from the templates in tools/systemd. */
#pragma once

#include "tools/aegis/daemon_plan.h"

struct daemon_unit {
	const char *name; /* "aegisd.service" */
	const char *text; /* @WORDS@ are filled in */
};
extern const struct daemon_unit daemon_units[]; /* name NULL ends; in order of start */

#define DAEMON_UNIT_FOLDER "/etc/systemd/system"

/* CLI_OK, or an exit code after saying why. */
int daemon_unit_write(const struct daemon_plan *p, const struct daemon_unit *u, struct buf *b);
