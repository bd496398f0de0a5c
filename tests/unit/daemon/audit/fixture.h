/* SPDX-License-Identifier: AGPL-3.0-only */
/* A journal in a folder of its own and a signer that behaves as the helper does. */
#pragma once

#include "daemon/audit/audit.h"
#include "tests/tap.h"
#include <errno.h>

struct signer {
	uint8_t public_key[HEAD_PUBLIC_KEY_BYTES];
	uint8_t secret_key[64];
	struct head_signed last; /* record 0: none yet */
	int calls;
};
void signer_init(struct signer *s);
int signer_sign(void *ctx, const struct head *head, struct head_signed *ret,
	struct head_signed *ret_last, int64_t deadline_ns);

struct fixture {
	char dir[64]; /* of the test */
	char journal_dir[96];
	struct signer signer;
	struct journal_options options;
	struct journal *journal;
};
int fixture_setup(void **state); /* an open journal, signed, unbatched */
int fixture_teardown(void **state);
void fixture_open(struct fixture *f); /* fails the test if it cannot */
void fixture_close(struct fixture *f);

/* Appends `count` file records "n" to the open journal. */
void append_some(struct journal *j, int count);
void append_event(struct journal *j, uint64_t number);

/* Reads every record; their number. Fails the test on damage. */
uint64_t read_all(const char *dir);

/* The one segment's file, or the newest's. */
void newest_segment(const struct fixture *f, char ret_path[160]);
