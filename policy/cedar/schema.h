/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A schema with all names resolved: what the type checker, the validation of requests and entities,
 * and the reading of JSON by type look at. Immutable, in the arena that it was loaded into. Lists
 * are sorted, entity types and attributes by the bytes of their names, actions by type and id, so
 * that lookups are binary searches and walks have an order.
 *
 * Within one schema a common type's record is shared by all who name it; other types are not
 * interned: compare with type_eq(), not by address. Entity types and actions are: address equality
 * is identity.
 */
#pragma once

#include "policy/cedar/value.h"

struct schema_action;
struct schema_entity;

enum type_kind {
	TYPE_NEVER, /* of no value: the checker's; no schema holds it */
	TYPE_TRUE, /* these two also only the checker's */
	TYPE_FALSE,
	TYPE_BOOL,
	TYPE_LONG,
	TYPE_STRING,
	TYPE_SET,
	TYPE_RECORD,
	TYPE_ENTITY,
	TYPE_ANY_ENTITY, /* some entity, of whatever type: the checker's */
	TYPE_DECIMAL,
	TYPE_IP,
	TYPE_DATETIME,
	TYPE_DURATION,
};

struct schema_attr {
	struct span name;
	bool required;
	const struct cedar_type *type;
};

/* By name, each once. */
struct schema_attrs {
	size_t count;
	const struct schema_attr *items;
	bool open; /* values may hold further attributes: the checker's; no schema says so */
};

struct cedar_type {
	enum type_kind kind;
	uint32_t depth; /* levels, at most LIMIT_CEDAR_DEPTH; 0 in types that the checker makes */
	union {
		const struct cedar_type *element; /* TYPE_SET; NULL: of an unknown type */
		const struct schema_attrs *attrs; /* TYPE_RECORD */
		const struct schema_entity *entity; /* TYPE_ENTITY */
	};
};

struct schema_entities {
	size_t count;
	const struct schema_entity *const *items;
};

struct schema_actions {
	size_t count;
	const struct schema_action *const *items;
};

/* An entity type. The types of actions (`Action`, `Ns::Action`) are such too, with `action` set,
 * and nothing else but a name. */
struct schema_entity {
	struct span name; /* with its namespace */
	bool action;
	struct schema_attrs attrs;
	const struct cedar_type *tags; /* NULL: may have none */
	const struct cedar_type *type; /* TYPE_ENTITY of this */
	/* Closed over memberOf; the type itself is in neither unless declared a member of itself.
	 */
	struct schema_entities ancestors, descendants;
	size_t choice_count; /* of an enumerated type: the only ids; 0: any id */
	const struct span *choices;
	uint32_t index; /* among the schema's entities or action types */
};

struct schema_action {
	struct cedar_uid uid;
	const struct schema_entity *type;
	struct schema_entities principals, resources; /* appliesTo; none: applies to nothing */
	const struct cedar_type *context; /* TYPE_RECORD */
	struct schema_actions ancestors, descendants; /* closed; without the action itself */
	uint32_t index; /* among the schema's actions */
};

struct schema_fragment; /* schema_ast.h: as it was written, for the writers */

struct cedar_schema {
	struct schema_entities entities; /* without the types of actions */
	struct schema_entities action_types;
	struct schema_actions actions;
	const struct schema_fragment *fragment;
	const struct cedar_entities *action_entities; /* with their groups as parents */
};

/* NULL if there is none. schema_entity_find() finds types of actions too. */
const struct schema_entity *schema_entity_find(const struct cedar_schema *s, struct span name);
const struct schema_action *schema_action_find(
	const struct cedar_schema *s, const struct cedar_uid *uid);
const struct schema_attr *schema_attr_find(const struct schema_attrs *attrs, struct span name);

/* Members of a list by binary search. */
bool schema_entities_have(const struct schema_entities *l, const struct schema_entity *e);
bool schema_actions_have(const struct schema_actions *l, const struct schema_action *a);

/* True for enumerated types only if it is one of their ids. */
bool schema_entity_allows(const struct schema_entity *e, struct span id);

/* The types without content, TYPE_BOOL, TYPE_LONG, TYPE_DECIMAL, ... */
const struct cedar_type *type_plain(enum type_kind k);

bool type_eq(const struct cedar_type *a, const struct cedar_type *b);
bool type_is_extension(enum type_kind k);

/* As a schema writes it: Set<Long>, {name: String, age?: Long}, Ns::User, ipaddr. Cut at what the
 * buffer takes. */
void type_print(struct buf *b, const struct cedar_type *t);
