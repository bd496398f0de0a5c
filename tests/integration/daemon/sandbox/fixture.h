/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Real processes of a test's own: the root half keeps the helper, the test itself runs without
 * privilege as aegisd would, and asks the root half over a pipe to kill and start the helper.
 */
#pragma once

#include "daemon/sandbox/sandbox.h"
#include "tests/unit/daemon/rt/in_fiber.h"

enum { FIXTURE_UID = 954322, FIXTURE_SLOT_BASE = 1965000, FIXTURE_SLOTS = 8 };

/* Becomes the unprivileged half and returns; the root half stays behind, and ends this program
 * with the status of this half, or 1 if anything of a sandbox is left. */
void fixture_split(void);

/* The same with a helper that gives network, in the network namespace that this process is in. */
void fixture_split_with_network(const char *range);

const char *fixture_socket(void); /* the helper's */
void fixture_restart_helper(void); /* SIGKILL, then a new one; blocks until it answers */

/* The registry of this host's runtimes; the caller's. */
struct runtime_registry *fixture_registry(void);
