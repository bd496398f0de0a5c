/* SPDX-License-Identifier: AGPL-3.0-only */
/* One file per procedure of RFC 1813, section 3.3; table.c lists them. */
#pragma once

#include "nfs/server/internal.h"

int proc_null(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_getattr(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_setattr(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_lookup(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_access(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_readlink(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_read(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_write(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_create(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_mkdir(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_symlink(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_mknod(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_remove(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_rmdir(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_rename(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_link(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_readdir(struct call *q, struct nfs3_res *res, struct xdr *out); /* READDIRPLUS, too */
int proc_fsstat(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_fsinfo(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_pathconf(struct call *q, struct nfs3_res *res, struct xdr *out);
int proc_commit(struct call *q, struct nfs3_res *res, struct xdr *out);
