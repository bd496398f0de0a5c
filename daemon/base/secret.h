/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A secret cannot be formatted, is wiped when freed, and is kept out of core dumps and swap where
 * the limits allow (sodium_malloc). Its bytes are seen only through secret_reveal.
 */
#pragma once

#include "daemon/base/span.h"

struct secret;

struct secret *secret_new(struct span bytes); /* copies; NULL if out of memory */
struct secret *secret_free(struct secret *s); /* wipes; always NULL */
void secret_cleanup(struct secret **s);
struct secret *secret_dup(const struct secret *s);
struct span secret_reveal(const struct secret *s); /* NUL-terminated behind the span */
bool secret_eq(const struct secret *s, struct span candidate); /* constant time in the content */
void secret_wipe(void *p, size_t n); /* for stack copies */
