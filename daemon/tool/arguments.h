/* SPDX-License-Identifier: AGPL-3.0-only */
#pragma once

#include "daemon/tool/tool.h"

/* Parses the arguments of a call and checks them against the tool's table. Empty text counts as
 * {}. -EINVAL with "Invalid tool arguments: ..."; -ENOMEM. */
int tool_arguments_parse(const struct tool_description *d, struct span text, struct arena *a,
	const struct json **ret) MUST_USE;
