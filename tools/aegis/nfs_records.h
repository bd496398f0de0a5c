/* SPDX-License-Identifier: AGPL-3.0-only */
/* What `aegis nfs serve --records` writes: one operation, or several summed up, a line of JSON. */
#pragma once

#include "nfs/fsal/fsal.h"

struct nfs_records;

/* Appends to the file; made if it is not there. */
int nfs_records_open(const char *path, struct nfs_records **ret) MUST_USE;
/* An fsal_observer. Waits while the disk is slow: the layer then counts what it has no room for. */
AWAITS void nfs_records_take(void *records, const struct fsal_record *r);
/* In a fiber: writes what was taken, until cancelled. */
AWAITS void nfs_records_run(void *records);
/* After the last record; writes what is left. NULL is allowed. */
void nfs_records_close(struct nfs_records *q);
