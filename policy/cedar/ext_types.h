/* SPDX-License-Identifier: AGPL-3.0-only */
/* What types the extension functions take and give: one table for all who reason about types. */
#pragma once

#include "policy/cedar/ext.h"
#include "policy/cedar/schema.h"

struct ext_signature {
	enum type_kind args[2]; /* of the first ext_arity() ones */
	enum type_kind result;
};

const struct ext_signature *ext_signature(enum ext_fn f);
