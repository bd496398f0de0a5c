/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Arguments. Names have no limit of their own here: the server answers NFS3ERR_NAMETOOLONG, which
 * tells a user more than a call that cannot be read. The record bounds them.
 */
#include "nfs/rpc/nfs3_types.h"

void nfs3_time(struct xdr *x, struct nfs3_time *t)
{
	xdr_u32(x, &t->seconds);
	xdr_u32(x, &t->nanoseconds);
}

void nfs3_handle(struct xdr *x, struct span *h)
{
	xdr_opaque(x, h, NFS3_HANDLE_BYTES);
}

static void name(struct xdr *x, struct span *s)
{
	xdr_opaque(x, s, LIMIT_RPC_RECORD_BYTES);
}

static void dirop(struct xdr *x, struct nfs3_dirop *d)
{
	nfs3_handle(x, &d->dir);
	name(x, &d->name);
}

static void verifier(struct xdr *x, uint8_t v[NFS3_VERIFIER_BYTES])
{
	xdr_fixed(x, v, NFS3_VERIFIER_BYTES);
}

static void optional_u32(struct xdr *x, bool *set, uint32_t *v)
{
	xdr_bool(x, set);
	if (*set)
		xdr_u32(x, v);
}

static void settime(struct xdr *x, uint32_t *how, struct nfs3_time *t)
{
	xdr_enum(x, how, NFS3_SET_TO_CLIENT_TIME);
	if (*how == NFS3_SET_TO_CLIENT_TIME)
		nfs3_time(x, t);
}

static void sattr(struct xdr *x, struct nfs3_sattr *a)
{
	optional_u32(x, &a->set_mode, &a->mode);
	optional_u32(x, &a->set_uid, &a->uid);
	optional_u32(x, &a->set_gid, &a->gid);
	xdr_bool(x, &a->set_size);
	if (a->set_size)
		xdr_u64(x, &a->size);
	settime(x, &a->atime_how, &a->atime);
	settime(x, &a->mtime_how, &a->mtime);
}

static void setattr(struct xdr *x, struct nfs3_setattr_args *a)
{
	nfs3_handle(x, &a->object);
	sattr(x, &a->attr);
	xdr_bool(x, &a->guarded);
	if (a->guarded)
		nfs3_time(x, &a->ctime);
}

static void read_args(struct xdr *x, struct nfs3_read_args *a)
{
	nfs3_handle(x, &a->file);
	xdr_u64(x, &a->offset);
	xdr_u32(x, &a->count);
}

static void write_args(struct xdr *x, struct nfs3_write_args *a)
{
	nfs3_handle(x, &a->file);
	xdr_u64(x, &a->offset);
	xdr_u32(x, &a->count);
	xdr_enum(x, &a->stable, NFS3_FILE_SYNC);
	xdr_opaque(x, &a->data, LIMIT_RPC_RECORD_BYTES);
	if (a->count > a->data.n)
		x->bad = true;
}

static void create(struct xdr *x, struct nfs3_create_args *a)
{
	dirop(x, &a->where);
	xdr_enum(x, &a->how, NFS3_EXCLUSIVE);
	if (a->how == NFS3_EXCLUSIVE)
		verifier(x, a->verf);
	else
		sattr(x, &a->attr);
}

static void mknod_args(struct xdr *x, struct nfs3_mknod_args *a)
{
	dirop(x, &a->where);
	xdr_enum(x, &a->type, NFS3_FIFO);
	bool device = a->type == NFS3_CHR || a->type == NFS3_BLK;
	if (device || a->type == NFS3_SOCK || a->type == NFS3_FIFO)
		sattr(x, &a->attr);
	if (!device)
		return;
	xdr_u32(x, &a->rdev_major);
	xdr_u32(x, &a->rdev_minor);
}

static void readdir_args(struct xdr *x, struct nfs3_readdir_args *a, bool plus)
{
	nfs3_handle(x, &a->dir);
	xdr_u64(x, &a->cookie);
	verifier(x, a->verf);
	if (plus)
		xdr_u32(x, &a->dircount);
	xdr_u32(x, &a->maxcount);
}

static void commit(struct xdr *x, struct nfs3_commit_args *a)
{
	nfs3_handle(x, &a->file);
	xdr_u64(x, &a->offset);
	xdr_u32(x, &a->count);
}

static void making_args(struct xdr *x, enum nfs3_proc proc, union nfs3_args *a)
{
	if (proc == NFS3_CREATE) {
		create(x, &a->create);
	} else if (proc == NFS3_MKNOD) {
		mknod_args(x, &a->mknod);
	} else if (proc == NFS3_MKDIR) {
		dirop(x, &a->mkdir.where);
		sattr(x, &a->mkdir.attr);
	} else {
		dirop(x, &a->symlink.where);
		sattr(x, &a->symlink.attr);
		name(x, &a->symlink.target);
	}
}

static void access_args(struct xdr *x, struct nfs3_access_args *a)
{
	nfs3_handle(x, &a->object);
	xdr_u32(x, &a->access);
}

static void link_args(struct xdr *x, struct nfs3_link_args *a)
{
	nfs3_handle(x, &a->file);
	dirop(x, &a->link);
}

static void rename_args(struct xdr *x, struct nfs3_rename_args *a)
{
	dirop(x, &a->from);
	dirop(x, &a->to);
}

void nfs3_args(struct xdr *x, enum nfs3_proc proc, union nfs3_args *a)
{
	switch (proc) {
	case NFS3_NULL:
		return;
	case NFS3_GETATTR:
	case NFS3_READLINK:
	case NFS3_FSSTAT:
	case NFS3_FSINFO:
	case NFS3_PATHCONF:
		return nfs3_handle(x, &a->object);
	case NFS3_SETATTR:
		return setattr(x, &a->setattr);
	case NFS3_LOOKUP:
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		return dirop(x, &a->dirop);
	case NFS3_ACCESS:
		return access_args(x, &a->access);
	case NFS3_READ:
		return read_args(x, &a->read);
	case NFS3_WRITE:
		return write_args(x, &a->write);
	case NFS3_CREATE:
	case NFS3_MKDIR:
	case NFS3_SYMLINK:
	case NFS3_MKNOD:
		return making_args(x, proc, a);
	case NFS3_RENAME:
		return rename_args(x, &a->rename);
	case NFS3_LINK:
		return link_args(x, &a->link);
	case NFS3_READDIR:
	case NFS3_READDIRPLUS:
		return readdir_args(x, &a->readdir, proc == NFS3_READDIRPLUS);
	case NFS3_COMMIT:
		return commit(x, &a->commit);
	case NFS3_PROC_COUNT:
		break;
	}
	UNREACHABLE();
}
