/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Values. A set holds each element once, in the order of value_cmp(); a record's members are in
 * order of their keys; so that equality is a walk. Values nest at most LIMIT_JSON_DEPTH plus
 * LIMIT_CEDAR_NESTING levels, as their sources do.
 */
#pragma once

#include "policy/cedar/ext.h"

enum value_type {
	VALUE_BOOL,
	VALUE_LONG,
	VALUE_STRING,
	VALUE_ENTITY,
	VALUE_SET,
	VALUE_RECORD,
	VALUE_DECIMAL,
	VALUE_IP,
	VALUE_DATETIME,
	VALUE_DURATION,
};

struct value_set;
struct value_record;

struct cedar_value {
	enum value_type type;
	union {
		bool boolean;
		int64_t number; /* VALUE_LONG, VALUE_DECIMAL, VALUE_DATETIME, VALUE_DURATION */
		struct span string;
		const struct cedar_uid *uid;
		const struct value_set *set;
		const struct value_record *record;
		const struct ext_ip *ip;
	};
};

struct value_set {
	size_t count;
	struct cedar_value *items;
};

struct value_member {
	struct span key;
	struct cedar_value value;
};

struct value_record {
	size_t count;
	struct value_member *members;
};

extern const struct value_record value_record_empty;

const char *value_type_name(enum value_type t);

/* A total order: by type, then by content. */
int value_cmp(const struct cedar_value *a, const struct cedar_value *b);
uint64_t value_hash(const struct cedar_value *v); /* equal values have equal hashes */

/* Takes over `items`, `members` and puts them in order. Two members of one key: -EINVAL. */
int value_make_set(
	struct arena *a, struct cedar_value *items, size_t count, struct cedar_value *ret) MUST_USE;
int value_make_record(struct arena *a, struct value_member *members, size_t count,
	struct cedar_value *ret) MUST_USE;

const struct cedar_value *value_member(const struct value_record *r, struct span key);
bool value_set_has(const struct value_set *s, const struct cedar_value *v);

/* As an expression in Cedar that evaluates to the value. */
void value_print(struct buf *b, const struct cedar_value *v);

/* Calls an extension function. -EINVAL if the arguments do not fit or the result does not. */
int ext_apply(struct arena *a, enum ext_fn fn, const struct cedar_value *args, size_t count,
	struct cedar_value *ret) MUST_USE;
