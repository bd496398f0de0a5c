/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the verbs of `aegis config` share: finding and loading the configuration. */
#pragma once

#include "tools/aegis/cli.h"
#include "daemon/config/config.h"

struct config_source {
	struct arena *arena;
	struct report report;
	struct config_search *search;
	const char *path; /* NULL: no file was found, embedded defaults hold */
	const struct config *config; /* NULL: not valid; see the report */
};

/* `file` NULL: by discovery. CLI_OK, CLI_INVALID with the report filled, or another exit code after
 * saying why. */
int config_source_open(struct config_source *s, const struct cli *c, const char *file,
	bool env_may_be_unset) MUST_USE;
void config_source_close(struct config_source *s);
void config_source_put_paths(const struct config_source *s, struct json_writer *w);
