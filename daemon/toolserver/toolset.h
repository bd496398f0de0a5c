/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a server offers, read, judged and kept; and what its tools answer. */
#pragma once

#include "daemon/schema/schema.h"
#include "daemon/toolserver/client.h"
#include "daemon/toolserver/toolserver.h"

struct toolset {
	int refs;
	uint64_t server; /* its number, of who offers this */
	struct arena *arena;
	size_t listed; /* by the server, whatever was taken */
	size_t refused;
	size_t count;
	struct toolset_item {
		const struct toolset *set;
		struct tool_offer offer;
		struct jsonschema *arguments;
	} * items; /* in order of name */
};

struct toolset *toolset_ref(struct toolset *t); /* NULL is allowed */
struct toolset *toolset_unref(struct toolset *t); /* NULL is allowed; always NULL */

/* Asks for all pages. A tool that is not acceptable is left out, with a word in the log; a list
 * that breaks the protocol is -EPROTO. Else as mcp_client_request. */
AWAITS int toolset_read(struct mcp_client *c, const struct tool_server_config *config,
	struct toolset **ret, int64_t deadline_ns) MUST_USE;

/* Whether the configuration offers a tool of that name; pure. */
bool toolset_offers(const struct tool_server_config *c, const char *tool);

/* The result of tools/call as one text: what is no text is named by its type and size. *ret_failed:
 * the tool says that it failed. -ENOMEM. Pure. */
int toolset_answer(
	const struct json *result, struct arena *a, struct span *ret, bool *ret_failed) MUST_USE;
