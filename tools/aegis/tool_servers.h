/* SPDX-License-Identifier: AGPL-3.0-only */
/* What doctor and status say of the node's MCP tool servers: up or not, confined or not, by what.
 */
#pragma once

#include "daemon/config/config.h"
#include "tools/aegis/client.h"

/* The daemon's own list; *ret NULL if it does not answer, about which nothing is said. CLI_OK, or
 * an exit code after saying why. */
int tool_servers_ask(struct client *c, struct arena *a, const struct json **ret) MUST_USE;

/* Those of a configuration whose daemon does not run, in the same form. -ENOMEM. */
int tool_servers_of(const struct config *config, struct arena *a, const struct json **ret) MUST_USE;

/* One line each. */
void tool_servers_lines(struct buf *b, const struct json *servers);
