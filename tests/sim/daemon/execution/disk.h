/* SPDX-License-Identifier: AGPL-3.0-only */
/* A disk under SQLite whose writes and syncs are operations of the simulation, and fail as such. */
#pragma once

/* Once, before the first run; from then on for every database of the process. */
void disk_may_fail(void);
