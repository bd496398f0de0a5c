/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From a method and a path to a value. Patterns are segments: literals, {name} for one segment,
 * and {name...} at the end for one or more. A literal wins over a parameter. The path is decoded
 * segment by segment, after it was split, so an escaped slash never makes a segment; it is
 * accepted only inside {name...}. "." and ".." are refused in every spelling.
 *
 *	router_add(r, HTTP_GET, "/v1/agents/{id}", &agent_get);
 */
#pragma once

#include "daemon/net/http.h"

struct router;

struct router_param {
	struct span name;
	struct span value; /* decoded, valid UTF-8 without control characters */
};

struct router_match {
	void *value;
	int param_count;
	struct router_param params[LIMIT_HTTP_PATH_PARAMS];
	const char *allow; /* with ROUTER_METHOD: "GET, HEAD, POST" */
};

struct router *router_new(void); /* NULL if out of memory */
struct router *router_free(struct router *r); /* always NULL; values are the caller's */

/* Keeps a view of pattern: a literal. -EINVAL: no pattern, or a parameter with two names;
 * -EEXIST; -ENOMEM. With a message. */
int router_add(struct router *r, enum http_method m, const char *pattern, void *value) MUST_USE;

enum {
	ROUTER_NONE = 1, /* 404 */
	ROUTER_METHOD = 2, /* 405, with ret->allow */
};

/* 0, one of the above, -EINVAL with a message (400) if the path cannot be decoded, -ENOMEM. HEAD
 * finds GET's value where it has none of its own. Immutable after the last router_add: any
 * number of workers may ask at once. */
int router_find(const struct router *r, struct arena *a, enum http_method m, struct span path,
	struct router_match *ret) MUST_USE;

/* The parameter's value; p == NULL if the pattern has none of that name. */
struct span router_param(const struct router_match *m, const char *name);
