/* SPDX-License-Identifier: AGPL-3.0-only */
/* Who may come in by which door: sockets, and what a request must show (decisions, [7]). */
#pragma once

#include "daemon/net/http.h"

struct secret;

struct door_tcp {
	const char *address; /* an IP literal, or "localhost" (127.0.0.1) */
	uint16_t port; /* 0: any free one */
	bool has_tls;
	bool allow_insecure; /* the operator accepts a non-loopback address without TLS */
};

/* A listening TCP socket, close-on-exec. -EACCES if the address is not loopback and there is no
 * TLS and it is not allowed by name; -EINVAL no address; else from the system. With messages that
 * name the address and the way out. ret_port may be NULL. */
int door_listen_tcp(const struct door_tcp *o, int *ret_fd, uint16_t *ret_port) MUST_USE;

/* A listening Unix socket with that mode. A socket left behind by a dead process is replaced; one
 * that answers is -EADDRINUSE; anything else at that path is -EEXIST. */
int door_listen_unix(const char *path, mode_t mode, int *ret_fd) MUST_USE;

/*
 * Against DNS rebinding and other sites' scripts: the request's authority must be one of
 * `accepted` ("host" for any port, "host:port", "[::1]:port"), and if it carries an Origin, that
 * origin's authority must be too; "null" is refused. Loopback names (localhost, 127.0.0.1, [::1])
 * are in the list only if the caller puts them there. 0, or -EACCES with a message (403).
 */
int door_check_origin(const struct http_head *h, const char *const *accepted, int count) MUST_USE;

/* The token of "Authorization: Bearer <token>" (RFC 6750 section 2.1). 0; DOOR_NO_TOKEN;
 * -EBADMSG with a message: another scheme, two headers, bytes outside b64token. */
enum { DOOR_NO_TOKEN = 1 };
int door_bearer(const struct http_head *h, struct span *ret_token) MUST_USE;

/* 0 if the request carries this key, compared in constant time; -EACCES with a message that says
 * what is missing, never what was given. */
int door_check_bearer(const struct http_head *h, const struct secret *key) MUST_USE;
