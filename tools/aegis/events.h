/* SPDX-License-Identifier: AGPL-3.0-only */
/* Events as they come from the daemon, printed line by line. */
#pragma once

#include "tools/aegis/session.h"

struct events {
	bool quiet; /* print nothing: only the end matters */
	bool errors_only;
	bool verbose; /* with all details, prompts and answers included */
	bool follow; /* a broken connection is taken up again where it broke */
	/* results */
	char ended[32]; /* "execution_completed" or another end; "" if none came */
	/* private */
	const struct cli *cli;
	void *parser;
	char last_id[32];
	bool failed;
};

/* Reads the stream at `path` to its end. An enum cli_exit. */
int events_read(struct session *s, const char *path, struct events *e);

/* The whole of a verb that shows the events of args[0]; `errors` is its option for failures only.
 */
int events_verb(const struct cli *c, const char *before, const char *errors);
