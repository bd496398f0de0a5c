/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the helper gives up for itself before it reads a byte of anybody's: privileges by execve,
 * the capabilities and the system calls that no part of it uses. Private to this room.
 *
 * It needs much: whoever makes namespaces, mounts and user ids is root in all but name. This is
 * no wall around a helper that was taken over, but it takes the short ways out of the host from
 * it: kernel modules, raw memory and ports, other processes, the clock, rings.
 */
#pragma once

#include "daemon/base/base.h"

/* Once, with one thread, before anything is opened. Fails if anything of it fails. Children inherit
 * it, and put on more. */
int harden_self(void) MUST_USE;

/* For tests and for who explains: bit n is capability n. */
uint64_t harden_capabilities(void);
