/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * JSON Schema: drafts 4, 6, 7, 2019-09 and 2020-12 (json-schema.org), as validators and tool
 * arguments use them. Pure: nothing is fetched; a $ref reaches into the schema itself, its own $id
 * and $anchor, and the meta-schemas' ids are known only as dialect names. `format` is annotation
 * only, as the drafts from 2019-09 on define it. Patterns are PCRE2 under match limits. Depth and
 * work are bounded (LIMIT_JSONSCHEMA_*), so that neither a hostile schema nor a hostile instance
 * costs more than a known amount: a check needs at most 40 KiB of stack.
 */
#pragma once

#include "daemon/base/base.h"

enum jsonschema_draft {
	JSONSCHEMA_DRAFT4,
	JSONSCHEMA_DRAFT6,
	JSONSCHEMA_DRAFT7,
	JSONSCHEMA_2019_09,
	JSONSCHEMA_2020_12,
};

struct jsonschema;

/* Checks and prepares `schema`, which must outlive the result. Its $schema decides the draft;
 * `otherwise` holds if it has none. -EINVAL with the place (JSON pointer) and the reason: a
 * keyword with a value of the wrong kind, a pattern that does not compile, a $ref that leads
 * nowhere or outside; -E2BIG beyond the limits; -ENOMEM. */
int jsonschema_new(const struct json *schema, enum jsonschema_draft otherwise,
	struct jsonschema **ret) MUST_USE;
struct jsonschema *jsonschema_free(struct jsonschema *s); /* always NULL */

enum { JSONSCHEMA_INVALID = 1 };

/* Why an instance was refused: the first violation found. */
struct jsonschema_error {
	char instance_path[256]; /* JSON pointer, "" for the whole */
	char schema_path[256]; /* JSON pointer of the keyword */
	char message[256]; /* "\"abc\" is no integer" */
};

/* 0 valid, JSONSCHEMA_INVALID with *ret_error filled (may be NULL), -E2BIG if the check would cost
 * more than LIMIT_JSONSCHEMA_STEPS or LIMIT_JSONSCHEMA_DEPTH (never counts as valid), -ENOMEM. */
int jsonschema_check(const struct jsonschema *s, const struct json *instance,
	struct jsonschema_error *ret_error) MUST_USE;
