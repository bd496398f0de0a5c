/* SPDX-License-Identifier: AGPL-3.0-only */
/* The durable states. An iteration is never taken up again once the next has begun. */
#include "daemon/execution/execution.h"

enum { PENDING, RUNNING, COMPLETED, FAILED, CANCELLED };
enum { IT_RUNNING, IT_SUCCESS, IT_FAILED, IT_REFINING };

static const struct state_row execution_rows[] = {
	[PENDING] = {"pending", STATE_BIT(RUNNING) | STATE_BIT(FAILED) | STATE_BIT(CANCELLED), 0},
	[RUNNING] = {"running", STATE_BIT(COMPLETED) | STATE_BIT(FAILED) | STATE_BIT(CANCELLED), 0},
	[COMPLETED] = {"completed", 0, STATE_FINAL},
	[FAILED] = {"failed", 0, STATE_FINAL},
	[CANCELLED] = {"cancelled", 0, STATE_FINAL},
};
const struct state_table execution_states = {
	"execution", execution_rows, ARRAY_LEN(execution_rows)};

static const struct state_row iteration_rows[] = {
	[IT_RUNNING] = {"running",
		STATE_BIT(IT_SUCCESS) | STATE_BIT(IT_FAILED) | STATE_BIT(IT_REFINING), 0},
	[IT_SUCCESS] = {"success", 0, STATE_FINAL},
	[IT_FAILED] = {"failed", 0, STATE_FINAL},
	/* Rejected by a validator; the next iteration was told why. */
	[IT_REFINING] = {"refining", 0, STATE_FINAL},
};
const struct state_table iteration_states = {
	"iteration", iteration_rows, ARRAY_LEN(iteration_rows)};
