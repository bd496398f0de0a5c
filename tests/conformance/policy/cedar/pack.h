/* SPDX-License-Identifier: AGPL-3.0-only */
/* Checks of one case of a Cedar conformance pack. Each returns whether our answer is the expected
 * one, and explains in `why` if not. */
#pragma once

#include "policy/cedar/cedar.h"

/* The member, NULL if it is null: no less absent than one that is not there. */
const struct json *given(const struct json *c, const char *member);

enum verdict { VERDICT_PASS, VERDICT_FAIL, VERDICT_LEFT_OUT };

enum verdict check_authz(struct arena *a, const struct json *c, struct buf *why);
enum verdict check_policyset(struct arena *a, const struct json *c, struct buf *why);
enum verdict check_expr(struct arena *a, const struct json *c, struct buf *why);
enum verdict check_est(struct arena *a, const struct json *c, struct buf *why);

enum verdict check_schema(struct arena *a, const struct json *c, struct buf *why);
enum verdict check_schema_json(struct arena *a, const struct json *c, struct buf *why);
enum verdict check_entities_json(struct arena *a, const struct json *c, struct buf *why);

/* Whether the policies validate as the case says, if it says so. */
bool check_validation(struct arena *a, const struct cedar_policies *policies, const struct json *c,
	struct buf *why);

/* Text -> policies -> text and text -> policies -> JSON -> policies -> JSON give the same JSON. */
bool round_trips(struct arena *a, const struct cedar_policy *p, struct buf *why);

/* Policies -> JSON of the whole set -> policies -> JSON gives the same JSON. */
bool set_round_trips(struct arena *a, const struct cedar_policies *set, struct buf *why);

/* The policy's JSON form, parsed; NULL if it is nested deeper than our codec reads. */
const struct json *policy_json(struct arena *a, const struct cedar_policy *p);

/* Whether the expression's decision and failure are those of the case. */
bool expr_outcome(
	struct arena *a, const struct cedar_policy *p, const struct json *c, struct buf *why);

/* The schema's JSON form, parsed. */
const struct json *schema_json(struct arena *a, const struct cedar_schema *s);
