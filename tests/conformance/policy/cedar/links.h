/* SPDX-License-Identifier: AGPL-3.0-only */
/* Links of templates, as the pack's cases and those of diff.py write them. */
#pragma once

#include "policy/cedar/cedar.h"

/* The policy of that id, or NULL. */
const struct cedar_policy *links_find(const struct cedar_policies *set, struct span id);

/* Adds the link {templateId, newId, values}; the set must have room for it. -EINVAL: no such
 * template, or the id is taken, or the values are not those of its slots. */
int links_add(struct arena *a, struct cedar_policies *set, const struct json *link) MUST_USE;
