/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The schema as numbered steps, forward only. A step that was released never changes: its checksum
 * is kept in the database and compared at every start.
 */
#pragma once

#include "daemon/store/driver.h"

struct schema_step {
	int number; /* from 1, without gaps */
	const char *name;
	const char *sql;
};

extern const struct schema_step schema_steps[];
extern const int schema_step_count;

/* Brings the database to the last of the steps, each in a transaction of its own, noting
 * `now_ns`. -EPROTO if the database is ahead, -EUCLEAN if a checksum differs. */
int schema_migrate(struct sql_conn *c, const struct sql_driver *d, const struct schema_step *steps,
	int count, int64_t now_ns) MUST_USE;

/* As above, but only checks; -EPROTO too if the database is behind. */
int schema_check(struct sql_conn *c, const struct sql_driver *d, const struct schema_step *steps,
	int count) MUST_USE;

/* The SQL that makes the projections, for a place where they are built again. */
extern const char schema_projections[];
