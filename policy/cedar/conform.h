/* SPDX-License-Identifier: AGPL-3.0-only */
/* Whether values and entities are what a schema says. -EINVAL with the path and what is expected.
 */
#pragma once

#include "policy/cedar/entities.h"
#include "policy/cedar/schema.h"

/* An id that an enumerated type has; an action that is declared. */
int conform_uid(const struct cedar_schema *s, const struct cedar_uid *uid) MUST_USE;

int conform_value(const struct cedar_schema *s, const struct cedar_value *v,
	const struct cedar_type *type) MUST_USE;

/* An entity that is no action: its type, id, attributes, tags, and the types of its parents. */
int conform_entity(const struct cedar_schema *s, const struct entity *e) MUST_USE;

/* An action among the entities: as the schema declares it, with the same groups. */
int conform_action(const struct cedar_schema *s, const struct entity *e) MUST_USE;
