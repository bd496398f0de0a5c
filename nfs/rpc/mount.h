/* SPDX-License-Identifier: AGPL-3.0-only */
/* MOUNT version 3 (RFC 1813 appendix I), in the codec style of nfs3.h. */
#pragma once

#include "nfs/rpc/rpc.h"

enum { MOUNT_PROGRAM = 100005, MOUNT_V3 = 3 };

enum mount_proc {
	MOUNT_NULL = 0,
	MOUNT_MNT = 1,
	MOUNT_DUMP = 2,
	MOUNT_UMNT = 3,
	MOUNT_UMNTALL = 4,
	MOUNT_EXPORT = 5,
	MOUNT_PROC_COUNT,
};

enum mount_stat { /* mountstat3 */
	MNT3_OK = 0,
	MNT3ERR_PERM = 1,
	MNT3ERR_NOENT = 2,
	MNT3ERR_IO = 5,
	MNT3ERR_ACCES = 13,
	MNT3ERR_NOTDIR = 20,
	MNT3ERR_INVAL = 22,
	MNT3ERR_NAMETOOLONG = 63,
	MNT3ERR_NOTSUPP = 10004,
	MNT3ERR_SERVERFAULT = 10006,
};

enum {
	MOUNT_PATH_BYTES = 1024, /* MNTPATHLEN */
	MOUNT_NAME_BYTES = 255, /* MNTNAMLEN */
	MOUNT_FLAVORS = 8, /* of one answer */
};

struct mount_mnt_res {
	uint32_t status; /* enum mount_stat; what follows counts for MNT3_OK */
	struct span handle;
	uint32_t flavor_count;
	uint32_t flavors[MOUNT_FLAVORS];
};

/* Arguments of MNT and UMNT; longer paths are bad. */
void mount_path(struct xdr *x, struct span *path);
void mount_mnt_res(struct xdr *x, struct mount_mnt_res *r);

/* Lists: each item with mount_dump_item or mount_export_item, then mount_list_end. Reading, an
 * item function is false at the list's end (and when bad). */
bool mount_dump_item(struct xdr *x, struct span *host, struct span *path);
bool mount_export_item(struct xdr *x, struct span *path); /* without groups: open to everybody */
void mount_list_end(struct xdr *x);
