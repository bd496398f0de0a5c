/* SPDX-License-Identifier: AGPL-3.0-only */
/* Setting an agent to work, and what comes of it: `agent run` and `task execute`. */
#pragma once

#include "tools/aegis/session.h"

/* The options that both verbs take; `task execute` has --wait, too. */
#define EXECUTE_OPTIONS \
	{"input", 'i', "INPUT", "JSON, @FILE with JSON, or a text", NULL}, \
		{"follow", 'f', NULL, "Print events as they happen", NULL}, \
		{"verbose", 0, NULL, "With all details, prompts and answers included", NULL}, \
	{ \
		"force", 0, NULL, "Deploy the file even if its version exists", NULL \
	}

/* The whole of a verb with these options. An enum cli_exit; CLI_INTERNAL for an execution that
 * ended otherwise than well. */
int execute_verb(const struct cli *c, bool wait);

/* Deploys a manifest file: CLI_OK with the reply. Findings are said by file and line. */
int execute_deploy(struct session *s, const char *file, const char *method, const char *path,
	const struct json **ret) MUST_USE;

bool execute_is_file(const char *text); /* a path, rather than a name or an id */
