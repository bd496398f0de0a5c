/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The way in, for a program that listens on the sandbox's own loopback (a tool server that speaks
 * HTTP): nobody can connect into a sandbox, so connections are made from here to the execution's
 * socket and wait there. The first byte that the daemon sends on one joins it to a connection to
 * the program; another one takes its place in waiting. Bytes pass as they are.
 */
#pragma once

#include "daemon/base/base.h"
#include "tools/aegis-bootstrap/loop.h"

enum {
	INLET_CONNECTIONS_MAX = 64,
	INLET_WAITING = 4, /* at the daemon's disposal */
	INLET_BUFFER_BYTES = 16 * 1024, /* each way */
};

struct inlet;

/* A program that does not listen yet is tried again for as long as the daemon waits. */
int inlet_start(
	struct loop *l, const char *socket_path, uint16_t port, struct inlet **ret) MUST_USE;
void inlet_stop(struct inlet *i); /* NULL is allowed */
