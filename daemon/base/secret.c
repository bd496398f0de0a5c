/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Secrets in libsodium's guarded memory: a page of its own between guard pages, locked where the
 * limits allow, left out of core dumps, read-only once filled, wiped when freed.
 */
#include "daemon/base/secret.h"
#include "daemon/base/check.h"
#include <sodium.h>
#include <stdlib.h>

struct secret {
	char *bytes; /* sodium_malloc'ed, n + 1 with the NUL */
	size_t n;
};

struct secret *secret_new(struct span bytes)
{
	if (bytes.n == SIZE_MAX || sodium_init() < 0)
		return NULL;
	struct secret *s = malloc(sizeof(*s));
	if (!s)
		return NULL;
	*s = (struct secret){sodium_malloc(bytes.n + 1), bytes.n};
	if (!s->bytes) {
		free(s);
		return NULL;
	}
	if (bytes.n > 0)
		memcpy(s->bytes, bytes.p, bytes.n);
	s->bytes[bytes.n] = '\0';
	if (sodium_mprotect_readonly(s->bytes) < 0)
		return secret_free(s);
	return s;
}

struct secret *secret_free(struct secret *s)
{
	if (s) {
		sodium_free(s->bytes);
		free(s);
	}
	return NULL;
}

void secret_cleanup(struct secret **s)
{
	*s = secret_free(*s);
}

struct secret *secret_dup(const struct secret *s)
{
	return secret_new(secret_reveal(s));
}

struct span secret_reveal(const struct secret *s)
{
	CHECK(s);
	return span_of(s->bytes, s->n);
}

bool secret_eq(const struct secret *s, struct span candidate)
{
	if (!s || s->n != candidate.n)
		return false;
	return s->n == 0 || sodium_memcmp(s->bytes, candidate.p, s->n) == 0;
}

void secret_wipe(void *p, size_t n)
{
	if (n)
		explicit_bzero(p, n);
}
