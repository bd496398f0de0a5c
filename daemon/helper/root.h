/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The root file systems of sandboxes, private to this room: per runtime one mount namespace whose
 * root is complete but for what each sandbox has of its own (/proc, /tmp, /dev/shm, /workspace,
 * the dispatch socket). A sandbox's root is a copy of that namespace, so nothing is assembled when
 * one starts. Templates are made when first needed and live as long as the helper.
 */
#pragma once

#include "daemon/confine/confine.h"

struct root_set {
	const char *staging; /* an empty root-owned directory to build on */
	const char *resolv_conf; /* the text of /etc/resolv.conf; literal or the caller's */
	int fds[LIMIT_RUNTIMES]; /* by index in the registry; -1 until needed */
};

void root_set_init(struct root_set *s, const char *staging, const char *resolv_conf);
void root_set_fini(struct root_set *s);

/* The namespace of a runtime's root; the descriptor stays the set's. -ENOENT names a bind that the
 * host does not have. */
int root_get(struct root_set *s, const struct runtime *r, size_t index, int *ret_fd) MUST_USE;
