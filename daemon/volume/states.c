/* SPDX-License-Identifier: AGPL-3.0-only */
/* The durable states of a volume. */
#include "daemon/volume/volume.h"

static const struct state_row rows[VOLUME_STATE_COUNT] = {
	[VOLUME_CREATING] = {"creating",
		STATE_BIT(VOLUME_AVAILABLE) | STATE_BIT(VOLUME_FAILED) | STATE_BIT(VOLUME_DELETING),
		0},
	[VOLUME_AVAILABLE] = {"available", STATE_BIT(VOLUME_ATTACHED) | STATE_BIT(VOLUME_DELETING),
		0},
	[VOLUME_ATTACHED] = {"attached", STATE_BIT(VOLUME_DETACHED), 0},
	[VOLUME_DETACHED] = {"detached", STATE_BIT(VOLUME_ATTACHED) | STATE_BIT(VOLUME_DELETING),
		0},
	[VOLUME_DELETING] = {"deleting", STATE_BIT(VOLUME_DELETED), 0},
	[VOLUME_DELETED] = {"deleted", 0, STATE_FINAL},
	[VOLUME_FAILED] = {"failed", STATE_BIT(VOLUME_DELETING), 0},
};
const struct state_table volume_states = {"volume", rows, VOLUME_STATE_COUNT};
