/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of policy/context: conditions on connections in the form that the kernel can check. */
#pragma once

#include "policy/cedar/partial.h"
#include "policy/context/kernel_rules.h"
#include "policy/context/rules.h"

/* A conjunction: a name or none, an address block or none, ports, a protocol. */
struct net_term {
	enum { TERM_ANY, TERM_NAME, TERM_BELOW, TERM_SUBTREE } names; /* SUBTREE: NAME and BELOW */
	struct span name;
	bool has_not; /* and it is not this name: only within a SUBTREE of it */
	struct span not_name;
	bool ranged;
	uint8_t address[16]; /* IPv4 mapped; bits beyond prefix_bits are 0 */
	uint8_t prefix_bits;
	uint16_t port_first, port_last;
	uint8_t protocol; /* 0: any */
};

/* A disjunction. */
struct net_terms {
	struct net_term *items;
	size_t count;
};

enum { NET_TERMS_MAX = 4096, NET_UNSUPPORTED = 1 };

extern const struct net_term net_term_any;
bool net_term_is_any(const struct net_term *t);
bool net_term_eq(const struct net_term *a, const struct net_term *b);

/* A condition, or its opposite, as terms. `domain`: the resource is a Domain, else an Address.
 * NET_UNSUPPORTED if terms cannot say it; -E2BIG beyond NET_TERMS_MAX. */
int net_terms_of(struct arena *a, const struct residual *r, bool negated, bool domain,
	struct net_terms *ret) MUST_USE;
int net_terms_and(struct arena *a, const struct net_terms *x, const struct net_terms *y,
	struct net_terms *ret) MUST_USE;

/* What the set's policies still ask of the action, for the execution, agent and tenant of `who`,
 * when the resource and these attributes of the context are unknown. */
int kernel_residuals(struct arena *a, const struct rule_set *s, const struct decision_request *who,
	const char *resource_type, const struct span *unknown, size_t unknown_count,
	struct cedar_residuals *ret) MUST_USE;

/* A condition on a path. Names are as policies have them. */
struct kernel_path_test {
	enum {
		PATH_TEST_CONST, /* `value` */
		PATH_TEST_NOT, /* kids[0] */
		PATH_TEST_AND,
		PATH_TEST_OR,
		PATH_TEST_IS, /* the path `text`, or what it leads to */
		PATH_TEST_IN, /* the same, or below */
		PATH_TEST_GLOB, /* `text` */
		PATH_TEST_LIKE, /* `like`, of the whole path or of its last component */
		PATH_TEST_VOLUME, /* in some volume */
	} op;
	bool value;
	bool of_name;
	struct span text;
	struct span led_to;
	struct {
		const struct pattern_piece *pieces;
		size_t count;
	} like;
	struct kernel_path_test *kids[2];
};
