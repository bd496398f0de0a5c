/* SPDX-License-Identifier: AGPL-3.0-only */
/* Names for people: of the agents that executions are of, and those that somebody may have meant.
 */
#pragma once

#include "tools/aegis/session.h"

/* A copy of an execution, or of a list of them, each with `agent_name` behind its `agent_id` where
 * that agent is known. CLI_OK, or an exit code after saying why. */
int names_of_agents(struct session *s, const struct json *v, const struct json **ret) MUST_USE;

/* After nothing was found at `path` ("/v1/agents/NAME..."): says what it may have meant, or where
 * to look. */
void names_nearest(struct session *s, const char *path);
