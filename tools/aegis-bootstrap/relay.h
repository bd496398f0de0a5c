/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The address an agent's program knows, http://127.0.0.1:PORT on the sandbox's own loopback, tied
 * to the execution's socket. Bytes pass as they are, with one exception: behind the first line of
 * the first request of a connection stands `X-Aegis-Request-Id`, so that a request which was sent
 * again, because the daemon died before it answered, is known for what it is.
 */
#pragma once

#include "daemon/base/base.h"
#include "tools/aegis-bootstrap/loop.h"

enum {
	RELAY_PORT = 8088, /* the usual one of an orchestrator; another one if it is taken */
	RELAY_CONNECTIONS_MAX = 64, /* more wait in the listener's queue */
	RELAY_HELD_BYTES = 256 * 1024, /* of a request that can be sent again */
	RELAY_BUFFER_BYTES = 32 * 1024, /* on the way back */
};

struct relay;

/* Listens. -EADDRNOTAVAIL: there is no loopback interface. */
int relay_start(struct loop *l, const char *socket_path, struct relay **ret) MUST_USE;
void relay_stop(struct relay *r); /* NULL is allowed */
uint16_t relay_port(const struct relay *r);
