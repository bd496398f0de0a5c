/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a schema declares, by full name, and how references find it. */
#pragma once

#include "policy/cedar/schema_ast.h"

struct type_def {
	struct span name; /* with the namespace */
	const struct schema_namespace *ns;
	const struct common_decl *decl;
	enum { TYPE_NEW, TYPE_BEGUN, TYPE_DONE } visit; /* while types are resolved */
	const struct cedar_type *type;
};

struct entity_def {
	struct span name;
	const struct schema_namespace *ns;
	const struct entity_decl *decl; /* NULL: a type of actions */
	struct schema_entity *entity;
};

struct action_def {
	struct cedar_uid uid;
	const struct schema_namespace *ns;
	const struct action_decl *decl;
	struct schema_action *action;
};

/* All lists are sorted by name; `entities` first holds entity_count entity types, behind them, and
 * sorted by themselves, the types of actions. */
struct resolver {
	struct arena *arena;
	const struct schema_fragment *fragment;
	size_t type_count, entity_count, action_type_count, action_count;
	struct type_def *types;
	struct entity_def *entities, *action_types;
	struct action_def *actions;
	int nesting; /* of the type that is being resolved */
};

/* Fills the lists; refuses what is declared twice, reserved, or shadows (RFC 70). */
int schema_names_collect(struct resolver *r) MUST_USE;

enum ref_kind { REF_COMMON = 1, REF_ENTITY = 2 };

/* What a reference means; one of the three is set. */
struct ref_target {
	const struct cedar_type *builtin;
	struct type_def *common;
	struct entity_def *entity;
};

/* `kinds`: what may be meant. A bare name is sought in the namespace, then outside of all. */
int schema_names_find(struct resolver *r, const struct schema_namespace *ns, struct schema_ref ref,
	int kinds, struct ref_target *ret) MUST_USE;

int schema_names_find_action(struct resolver *r, const struct schema_namespace *ns,
	const struct action_parent *ref, struct action_def **ret) MUST_USE;

/* schema_types.c */
int schema_types_resolve(struct resolver *r, const struct schema_namespace *ns,
	const struct schema_type *t, const struct cedar_type **ret) MUST_USE;
int schema_types_resolve_all(struct resolver *r) MUST_USE; /* the common types, used or not */

/* schema_closure.c: of `count` nodes, each with a list of nodes directly above it. */
struct index_list {
	size_t count;
	uint32_t *items; /* ascending */
};

int schema_closure(struct arena *a, size_t count, const struct index_list *parents,
	struct index_list **ret_ancestors, struct index_list **ret_descendants) MUST_USE;
