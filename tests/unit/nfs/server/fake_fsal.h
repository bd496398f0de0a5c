/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A file layer in memory with the interface of nfs/fsal, for tests of the server alone: it can be
 * slow where a test wants it, and counts what it does. It takes the place of aegis_fsal.
 */
#pragma once

#include "nfs/server/server.h"

struct fake {
	int64_t delay_ns; /* of operations on names in `slow`, or of all if that is NULL */
	const char *slow;
	int64_t (*delay)(void); /* of each operation, if set; 0: at once */
	int changes; /* operations that were run and change something */
	int commit_error; /* for the next COMMIT */
};
extern struct fake fake;

struct fsal *fake_new(void); /* with two attachments */
void fake_free(struct fsal *f);
struct fsal_attachment *fake_attachment(struct fsal *f);
struct fsal_attachment *fake_other_attachment(struct fsal *f);
