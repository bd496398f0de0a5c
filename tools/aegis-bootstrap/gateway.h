/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Asking the daemon: POST /v1/dispatch-gateway over the execution's own socket. While the daemon
 * is away the request is held here and repeated under the same X-Aegis-Request-Id, so that the
 * daemon can tell a repetition from a second request.
 */
#pragma once

#include "daemon/base/base.h"
#include "tools/aegis-bootstrap/loop.h"

struct gateway {
	struct loop *loop;
	const char *socket_path;
	const int *stop; /* not 0: give up */
	int64_t reply_timeout_ms; /* for one answer of a daemon that is there */
};

/* Sends `body` until it is answered. *ret_status and ret_body (appended) are the answer, whatever
 * its status. -ECANCELED told to stop, -ETIME no answer in time, -EBADMSG, -E2BIG: what is there
 * does not speak HTTP. */
int gateway_post(
	struct gateway *g, struct span body, int *ret_status, struct buf *ret_body) MUST_USE;

/* How long to wait before attempt number n (from 0) is repeated: 50 ms doubling to 5 s, spread by
 * a quarter so that a thousand sandboxes do not knock together. */
int64_t backoff_ns(int attempt);

/* A socket that is connected, or connecting, to a Unix path: non-blocking, CLOEXEC. -errno. */
int connect_unix(const char *path, int *ret_fd) MUST_USE;
