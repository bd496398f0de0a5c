/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What readers of JSON forms (policies, schemas) share. Messages say where: a path of member names,
 * as in `conditions[0].body.==.left`. Unknown members anywhere are refused.
 */
#pragma once

#include "policy/cedar/ast.h"

enum { READER_PATH_BYTES = 160 };

struct reader {
	struct arena *arena;
	const char *what; /* "the policy": the name of the whole */
	int nesting;
	char path[READER_PATH_BYTES]; /* of what is being read; cut if longer */
	size_t path_length;
};

int reader_fail(const struct reader *rd, const char *expected) MUST_USE;

/* Extends the path by a member (or, if index >= 0, by an index); returns what reader_leave() wants.
 */
size_t reader_enter(struct reader *rd, const char *name, ssize_t index);
size_t reader_enter_span(struct reader *rd, struct span name);
void reader_leave(struct reader *rd, size_t before);

/* An array in place of an object has the members' values in the order of `names`, a NULL-terminated
 * list, from the first on, as in the reference: the object that it stands for. Anything else is
 * given back as it is. NULL beyond the arena. */
const struct json *reader_named(struct arena *a, const struct json *v, const char *const *names);
/* The value is an object, or an array that stands for one, and *v is then that object; all its
 * members are among the names. */
int reader_struct(struct reader *rd, const struct json **v, const char *const *names) MUST_USE;
/* The value is an object, and all its members are among the names, a NULL-terminated list. */
int reader_only(struct reader *rd, const struct json *v, const char *const *names) MUST_USE;

int reader_string(
	struct reader *rd, const struct json *v, const char *name, struct span *ret) MUST_USE;
int reader_name(
	struct reader *rd, const struct json *v, const char *name, struct span *ret) MUST_USE;
/* Further members are passed over, as the reference does. */
int reader_uid(struct reader *rd, const struct json *v, struct cedar_uid *ret) MUST_USE;

/* The member `annotations`; v == NULL: none. */
int reader_annotations(struct reader *rd, const struct json *v, size_t *ret_count,
	const struct annotation **ret) MUST_USE;

/* est_read_value.c: a Cedar value in JSON, as an expression: {"__entity"} and {"__extn"} escapes,
 * sets, records. */
int est_read_value(struct reader *rd, const struct json *v, const struct expr **ret) MUST_USE;
/* Reads each item or member of `v` into the kids of `e`. */
typedef int (*est_read_fn)(struct reader *rd, const struct json *v, const struct expr **ret);
int est_read_items(
	struct reader *rd, const struct json *v, struct expr *e, est_read_fn read) MUST_USE;
/* A record with the names of the members of `v`; NULL beyond the arena. */
struct expr *est_make_record(struct reader *rd, const struct json *v);
struct expr *est_make(struct reader *rd, enum expr_op op, size_t kids);
int est_finish(struct reader *rd, struct expr *e, const struct expr **ret) MUST_USE;

/* est_read_expr.c: the member `name`, an expression. */
int est_read_kid(struct reader *rd, const struct json *v, const char *name,
	const struct expr **ret) MUST_USE;
