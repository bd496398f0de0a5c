/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a policy says to the kernel, in neutral terms (decisions, [15]): daemon/sensor turns it into
 * map entries, daemon/sandbox into seccomp and Landlock. Every rule names the policy that it comes
 * from. Forbid wins over permit, and what no rule permits is denied.
 */
#pragma once

#include "daemon/base/base.h"

/* One rule about whom a sandbox may talk to: an address range or a name, never both. */
struct kernel_net_rule {
	bool forbid;
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP; 0: both */
	uint16_t port_first; /* inclusive; any: 0..65535 */
	uint16_t port_last;
	uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d; bits beyond prefix_bits are 0 */
	uint8_t prefix_bits; /* of 128: an IPv4 /24 is 120 */
	struct span name; /* "example.org", "*.example.org" (one label or more in front), "*";
			     lower case; empty: the address range holds */
	struct span policy_id;
};

/*
 * One rule about files: what it is true of is forbidden. Policies about files and programs that
 * permit are not among them: what is in a sandbox is what its runtime and its volumes brought.
 */
struct kernel_path_test;
struct kernel_path_rule {
	enum { KERNEL_EXEC, KERNEL_READ, KERNEL_WRITE } right;
	struct kernel_path_test *when; /* NULL: the kernel cannot check it, see `why` */
	const char *why; /* for people; NULL if it can */
	const char *where; /* for people: policy, file and line */
	struct span policy_id;
};

struct kernel_rules {
	const struct kernel_net_rule *net;
	size_t net_count;
	const struct kernel_path_rule *paths;
	size_t path_count;
};

/* ---- what rules about files say of a path: canonical, as the sandbox sees it ---- */

bool kernel_path_holds(const struct kernel_path_test *t, struct span path);

/* Of a file that a link leads to: a pattern that matches the link means the file, too, unless it is
 * under a negation. */
bool kernel_path_holds_by(const struct kernel_path_test *t, struct span path, struct span link);

/* Whether any such pattern matches it: else there is nothing to ask of what it leads to. */
bool kernel_path_means_link(const struct kernel_path_test *t, struct span link);

/* Of a path that no rule names. */
bool kernel_path_holds_elsewhere(const struct kernel_path_test *t);

/* Of a folder and all that may ever be in it. */
enum kernel_path_extent { KERNEL_PATH_NONE, KERNEL_PATH_SOME, KERNEL_PATH_ALL };
enum kernel_path_extent kernel_path_extent(const struct kernel_path_test *t, struct span folder);

/* The same, but a pattern that begins with no folder ("*.key", a name) counts only where it is of
 * all that is in one: who writes it means files of volumes. `folder` is short (64). */
enum kernel_path_extent kernel_path_named_extent(
	const struct kernel_path_test *t, struct span folder);

/* The folders and files that a rule names, `fn` once for each, as the folder below which all lies
 * that the name may mean. `*led_to` is empty; if a name is a link to another place, set it there:
 * the rule means what it leads to, too. `led_to` is NULL for the folder that a pattern begins with:
 * only paths as they really are match it, so that it can be no link. A negative answer ends the
 * walk and is returned. */
typedef int (*kernel_path_name_fn)(void *ctx, struct span name, struct span *led_to);
int kernel_path_names(struct kernel_path_test *t, kernel_path_name_fn fn, void *ctx) MUST_USE;
