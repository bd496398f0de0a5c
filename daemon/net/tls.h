/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * TLS 1.2 and 1.3. A tls_server or tls_client holds what its connections share; it may be used by
 * all workers at once. Making and reloading read files and block: do it at start-up or in an
 * offload. Fibers that speak TLS need FIBER_LARGE.
 */
#pragma once

#include "daemon/base/base.h"

struct tls_server;
struct tls_client;

struct tls_server_options {
	const char *certificate_file; /* PEM, chain included */
	const char *key_file; /* PEM */
	const char *client_ca_file; /* PEM; NULL: clients are not asked for a certificate */
	bool client_certificate_required; /* with client_ca_file: no certificate, no connection */
};

/* Messages name the file and what is wrong with it. Strings are copied. */
int tls_server_new(const struct tls_server_options *o, struct tls_server **ret) MUST_USE;
struct tls_server *tls_server_ref(struct tls_server *s);
struct tls_server *tls_server_unref(struct tls_server *s); /* always NULL; NULL is allowed */

/* Reads the files again; connections made from now on use them. On failure all stays as it was. */
int tls_server_reload(struct tls_server *s) MUST_USE;

struct tls_client_options {
	const char *ca_file; /* PEM; NULL: the system's store */
	const char *certificate_file; /* for servers that ask; NULL: none */
	const char *key_file;
};

/* The server's certificate and its name (or IP address) are always verified. */
int tls_client_new(const struct tls_client_options *o, struct tls_client **ret) MUST_USE;
struct tls_client *tls_client_ref(struct tls_client *c);
struct tls_client *tls_client_unref(struct tls_client *c);
