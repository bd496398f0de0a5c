/* SPDX-License-Identifier: AGPL-3.0-only */
/* Private to this room: from the shared halves of tls.h to one connection's SSL. */
#pragma once

#include "daemon/net/tls.h"
#include <openssl/ssl.h>

SSL *tls_server_ssl(struct tls_server *s); /* NULL if out of memory */
SSL *tls_client_ssl(struct tls_client *c);

/* Raises `code` with `what` and the oldest entry of OpenSSL's queue, which it empties. */
int tls_raise_at(int code, const char *what) MUST_USE;
#define tls_raise(code, what) err_negative_(tls_raise_at((code), (what)))
