/* SPDX-License-Identifier: AGPL-3.0-only */
/* One file per procedure of RFC 1813, section 3.3; table.c lists them. */
#pragma once

#include "nfs/server/internal.h"

int proc_null(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_getattr(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_setattr(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_lookup(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_access(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_readlink(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_read(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_write(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_create(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_mkdir(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_symlink(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_mknod(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_remove(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_rmdir(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_rename(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_link(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_readdir(
	struct call *q, struct nfs3_res *res, struct xdr *out); /* READDIRPLUS, too */
AWAITS int proc_fsstat(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_fsinfo(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_pathconf(struct call *q, struct nfs3_res *res, struct xdr *out);
AWAITS int proc_commit(struct call *q, struct nfs3_res *res, struct xdr *out);
