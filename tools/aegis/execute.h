/* SPDX-License-Identifier: AGPL-3.0-only */
/* Setting an agent to work, and what comes of it: `agent run` and `task execute`. */
#pragma once

#include "tools/aegis/session.h"

struct execute {
	const char *agent; /* name, id, or the file of a manifest, which is deployed first */
	const char *input; /* --input, NULL: none */
	bool force; /* of that deploy */
	bool wait;
	bool follow; /* print events; implies wait */
	bool verbose;
};

/* An enum cli_exit; CLI_INTERNAL for an execution that ended otherwise than well. */
int execute_agent(const struct cli *c, const struct execute *x);

/* Deploys a manifest file: CLI_OK with the reply. Findings are said by file and line. */
int execute_deploy(struct session *s, const char *file, const char *method, const char *path,
	const struct json **ret) MUST_USE;

bool execute_is_file(const char *text); /* a path, rather than a name or an id */
