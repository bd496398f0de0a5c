/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Cedar, language version 4.5 as the reference implementation 4.13 behaves: policies and templates
 * as text and as JSON (EST), schemas, entities, evaluation and authorisation, validation, layout.
 *
 * Everything here is a pure function over memory: no I/O, no clock, no locks, no AWAITS. What is
 * loaded lives in the arena that it was loaded into, is immutable afterwards and may be read by
 * many workers at once; it keeps pointing into the text or JSON that it came from, so these must
 * live as long. A decision allocates from the request's arena only.
 *
 * Loading walks trees of at most LIMIT_CEDAR_DEPTH levels and needs up to 1 MiB of stack: do it at
 * start, or offloaded, not on a request's fiber. cedar_authorize() recurses only where it compares
 * values, over their nesting: LIMIT_CEDAR_NESTING levels made by policies, LIMIT_JSON_DEPTH by
 * JSON.
 *
 * Errors of loading are -EINVAL with "line L column C: what is wrong, what is accepted", the source
 * line and a caret under the place, also for what nests too deep; -E2BIG for too large texts and
 * sets (limits.h); -ENOMEM beyond the arena.
 */
#pragma once

#include "daemon/base/base.h"

struct cedar_policy;
struct cedar_entities;
struct cedar_schema;
struct cedar_set;
struct cedar_value;

/* An entity's name: Type::"id". */
struct cedar_uid {
	struct span type; /* with its namespace: "Ns::User" */
	struct span id;
	uint64_t hash; /* cedar_uid_of() fills it */
};

struct cedar_uid cedar_uid_of(struct span type, struct span id);
bool cedar_uid_eq(const struct cedar_uid *a, const struct cedar_uid *b);

/* Policies of one text, in its order, with the ids policy0, policy1, ... Templates count too. */
struct cedar_policies {
	const struct cedar_policy **items;
	size_t count;
};

int cedar_policies_parse(struct arena *a, struct span text, struct cedar_policies *ret) MUST_USE;

/* Exactly one policy or template, under the given id (NULL p: "policy0"). */
int cedar_policy_parse(struct arena *a, struct span text, struct span id,
	const struct cedar_policy **ret) MUST_USE;

/* One policy or template in the reference's JSON form. Messages name the JSON path. */
int cedar_policy_from_json(struct arena *a, const struct json *v, struct span id,
	const struct cedar_policy **ret) MUST_USE;

struct span cedar_policy_id(const struct cedar_policy *p);
bool cedar_policy_is_template(const struct cedar_policy *p);
bool cedar_policy_is_forbid(const struct cedar_policy *p);

/* Value of an annotation, "" for one without a value; p == NULL if the policy has none so named. */
struct span cedar_policy_annotation(const struct cedar_policy *p, const char *name);

/* The policy as text that parses to the same policy, and as the reference's JSON form. */
void cedar_policy_print(struct buf *b, const struct cedar_policy *p);
void cedar_policy_to_json(struct json_writer *w, const struct cedar_policy *p);
void cedar_print_string(struct buf *b, struct span s); /* a string literal: quoted, escaped */

/* Appends the policies of a text laid out anew, byte for byte as the reference's formatter does:
 * 80 columns, two blanks a level, comments kept. Needs stack as loading does. What
 * cedar_policies_parse() refuses is refused with its message. */
int cedar_format(struct arena *a, struct span text, struct buf *b) MUST_USE;

/* A set in the reference's JSON form {staticPolicies, templates, templateLinks}: static policies
 * come first, then templates, then links, each in the order written. Ids stand once: -EINVAL. */
int cedar_policies_from_json(
	struct arena *a, const struct json *v, struct cedar_policies *ret) MUST_USE;
void cedar_policies_to_json(struct json_writer *w, const struct cedar_policies *policies);

/* A template with its slots filled, as a policy under a new id. A slot that the template has must
 * be given, one that it has not must be NULL: -EINVAL. */
int cedar_template_link(struct arena *a, const struct cedar_policy *template, struct span id,
	const struct cedar_uid *principal, const struct cedar_uid *resource,
	const struct cedar_policy **ret) MUST_USE;

/* Entities: a JSON array of {uid, attrs, parents, tags}. One that is given twice and not as before,
 * or that is above itself, is refused. */
int cedar_entities_from_json(
	struct arena *a, const struct json *v, const struct cedar_entities **ret) MUST_USE;

/* A request's context: a JSON object with __entity and __extn escapes. */
int cedar_context_from_json(
	struct arena *a, const struct json *v, const struct cedar_value **ret) MUST_USE;

/* An entity's name: {"type": ..., "id": ...}, or that inside {"__entity": ...}. */
int cedar_uid_from_json(const struct json *v, struct cedar_uid *ret) MUST_USE;

/* A schema in Cedar syntax, or in the reference's JSON form, with every name resolved. A type that
 * is nowhere declared, a cycle of common types or of action groups, a forbidden name: -EINVAL. */
int cedar_schema_parse(struct arena *a, struct span text, const struct cedar_schema **ret) MUST_USE;
int cedar_schema_from_json(
	struct arena *a, const struct json *v, const struct cedar_schema **ret) MUST_USE;

/* Several texts as one schema: a namespace may go on in another text. Messages begin with the
 * text's label (unless NULL) and ": ". */
struct cedar_source {
	const char *label;
	struct span text;
};

int cedar_schema_parse_all(struct arena *a, const struct cedar_source *sources, size_t count,
	const struct cedar_schema **ret) MUST_USE;

/* The schema in Cedar syntax. -EINVAL with the reason if Cedar syntax cannot say it, which happens
 * to schemas from JSON only: an entity type whose shape is the name of a type, or that has its name
 * in common with a type of its namespace. */
int cedar_schema_print(struct buf *b, const struct cedar_schema *s) MUST_USE;
void cedar_schema_to_json(struct json_writer *w, const struct cedar_schema *s);

/* Entities and a context read by their types in the schema: where it expects an extension value or
 * an entity, the implicit forms "10.0.0.1" and {type, id} are taken too. The entities are checked
 * against the schema, and its actions join them. Of the context, which is that of `action`, only
 * the attributes' names are checked: cedar_request_validate() does the rest. */
int cedar_entities_from_json_typed(struct arena *a, const struct cedar_schema *s,
	const struct json *v, const struct cedar_entities **ret) MUST_USE;
int cedar_context_from_json_typed(struct arena *a, const struct cedar_schema *s,
	const struct cedar_uid *action, const struct json *v,
	const struct cedar_value **ret) MUST_USE;

/* Entities that were not read by the schema: -EINVAL if one is not as it says. */
int cedar_entities_validate(
	const struct cedar_schema *s, const struct cedar_entities *entities) MUST_USE;

/* Policies made ready for decisions. Templates among them are passed over: link them first. */
int cedar_set_compile(struct arena *a, const struct cedar_policies *policies,
	const struct cedar_set **ret) MUST_USE;

struct cedar_request {
	struct cedar_uid principal, action, resource;
	const struct cedar_value *context;
};

/* -EINVAL with the reason if the request does not conform: an action that is not declared, a
 * principal or resource that it does not apply to, a context of another shape, an id that an
 * enumerated type has not. */
int cedar_request_validate(
	const struct cedar_schema *s, const struct cedar_request *request) MUST_USE;

/* What validation says of a place in a policy. */
struct cedar_finding {
	bool warning; /* worth a look, but no reason to refuse */
	struct span policy; /* id */
	uint32_t line, column; /* from 1; 0 if the policy did not come from text */
	const char *message; /* what is wrong, and what would be accepted */
	const char *excerpt; /* two lines: the source's, and a caret under the place; or "" */
};

struct cedar_validation {
	bool valid; /* no finding but warnings */
	size_t count;
	const struct cedar_finding *findings; /* by policy, as given, and place */
};

enum { CEDAR_NO_LEVEL = -1 };

/* Checks the types of policies, templates and links strictly, for every combination of principal,
 * action and resource that the schema allows: what passes cannot fail with a type error on requests
 * and entities that conform. With a level >= 0 also that no policy follows more than so many
 * references from entity to entity (level validation). Needs stack as loading does. */
int cedar_validate(struct arena *a, const struct cedar_schema *s,
	const struct cedar_policies *policies, int level, struct cedar_validation *ret) MUST_USE;

struct cedar_error {
	struct span policy; /* id */
	const char *message;
};

struct cedar_answer {
	bool allow;
	const struct span *reasons; /* ids of the policies that decided; none for a default deny */
	size_t reason_count;
	const struct cedar_error *errors; /* policies that failed and were passed over */
	size_t error_count;
};

/* Negative results (-ENOMEM beyond the arena) are no decision: the caller denies. */
int cedar_authorize(struct arena *a, const struct cedar_set *s,
	const struct cedar_entities *entities, const struct cedar_request *request,
	struct cedar_answer *ret) MUST_USE;
