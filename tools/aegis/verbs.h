/* SPDX-License-Identifier: AGPL-3.0-only */
/* Every verb; each stands in the file of its name. */
#pragma once

#include "tools/aegis/cli.h"

extern const struct verb verb_agent_validate;
extern const struct verb verb_completion;
extern const struct verb verb_config_generate;
extern const struct verb verb_config_show;
extern const struct verb verb_config_validate;
extern const struct verb verb_daemon_start;
extern const struct verb verb_help;
extern const struct verb verb_schema;
extern const struct verb verb_version;
