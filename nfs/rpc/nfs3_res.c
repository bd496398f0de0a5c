/* SPDX-License-Identifier: AGPL-3.0-only */
/* Results. Each procedure's failure keeps the attributes that its success has. */
#include "nfs/rpc/nfs3_types.h"

static const char *const proc_names[NFS3_PROC_COUNT] = {"NULL", "GETATTR", "SETATTR", "LOOKUP",
	"ACCESS", "READLINK", "READ", "WRITE", "CREATE", "MKDIR", "SYMLINK", "MKNOD", "REMOVE",
	"RMDIR", "RENAME", "LINK", "READDIR", "READDIRPLUS", "FSSTAT", "FSINFO", "PATHCONF",
	"COMMIT"};

const char *nfs3_proc_name(enum nfs3_proc p)
{
	return p < NFS3_PROC_COUNT ? proc_names[p] : "?";
}

static void fattr(struct xdr *x, struct nfs3_fattr *a)
{
	xdr_u32(x, &a->type);
	xdr_u32(x, &a->mode);
	xdr_u32(x, &a->nlink);
	xdr_u32(x, &a->uid);
	xdr_u32(x, &a->gid);
	xdr_u64(x, &a->size);
	xdr_u64(x, &a->used);
	xdr_u32(x, &a->rdev_major);
	xdr_u32(x, &a->rdev_minor);
	xdr_u64(x, &a->fsid);
	xdr_u64(x, &a->fileid);
	nfs3_time(x, &a->atime);
	nfs3_time(x, &a->mtime);
	nfs3_time(x, &a->ctime);
	if (a->type < NFS3_REG || a->type > NFS3_FIFO)
		x->bad = true;
}

static void post_op_attr(struct xdr *x, struct nfs3_post_op_attr *a)
{
	xdr_bool(x, &a->present);
	if (a->present)
		fattr(x, &a->attr);
}

static void wcc(struct xdr *x, struct nfs3_wcc *w)
{
	xdr_bool(x, &w->before_present);
	if (w->before_present) {
		xdr_u64(x, &w->before.size);
		nfs3_time(x, &w->before.mtime);
		nfs3_time(x, &w->before.ctime);
	}
	post_op_attr(x, &w->after);
}

static void post_op_handle(struct xdr *x, struct nfs3_post_op_handle *h)
{
	xdr_bool(x, &h->present);
	if (h->present)
		nfs3_handle(x, &h->handle);
}

static void verifier(struct xdr *x, uint8_t v[NFS3_VERIFIER_BYTES])
{
	xdr_fixed(x, v, NFS3_VERIFIER_BYTES);
}

static void lookup(struct xdr *x, bool ok, struct nfs3_lookup_res *r)
{
	if (ok) {
		nfs3_handle(x, &r->object);
		post_op_attr(x, &r->attr);
	}
	post_op_attr(x, &r->dir_attr);
}

static void access_res(struct xdr *x, bool ok, struct nfs3_access_res *r)
{
	post_op_attr(x, &r->attr);
	if (ok)
		xdr_u32(x, &r->access);
}

static void readlink_res(struct xdr *x, bool ok, struct nfs3_readlink_res *r)
{
	post_op_attr(x, &r->attr);
	if (ok)
		xdr_opaque(x, &r->target, LIMIT_RPC_RECORD_BYTES);
}

static void read_res(struct xdr *x, bool ok, struct nfs3_read_res *r)
{
	post_op_attr(x, &r->attr);
	if (!ok)
		return;
	xdr_u32(x, &r->count);
	xdr_bool(x, &r->eof);
	xdr_opaque(x, &r->data, LIMIT_RPC_RECORD_BYTES);
	if (r->count != r->data.n)
		x->bad = true;
}

static void write_res(struct xdr *x, bool ok, struct nfs3_write_res *r)
{
	wcc(x, &r->wcc);
	if (!ok)
		return;
	xdr_u32(x, &r->count);
	xdr_enum(x, &r->committed, NFS3_FILE_SYNC);
	verifier(x, r->verf);
}

static void create_res(struct xdr *x, bool ok, struct nfs3_create_res *r)
{
	if (ok) {
		post_op_handle(x, &r->object);
		post_op_attr(x, &r->attr);
	}
	wcc(x, &r->dir_wcc);
}

static void readdir_res(struct xdr *x, bool ok, struct nfs3_readdir_res *r)
{
	post_op_attr(x, &r->dir_attr);
	if (ok)
		verifier(x, r->verf);
}

static void fsstat(struct xdr *x, bool ok, struct nfs3_fsstat_res *r)
{
	post_op_attr(x, &r->attr);
	if (!ok)
		return;
	xdr_u64(x, &r->tbytes);
	xdr_u64(x, &r->fbytes);
	xdr_u64(x, &r->abytes);
	xdr_u64(x, &r->tfiles);
	xdr_u64(x, &r->ffiles);
	xdr_u64(x, &r->afiles);
	xdr_u32(x, &r->invarsec);
}

static void fsinfo(struct xdr *x, bool ok, struct nfs3_fsinfo_res *r)
{
	post_op_attr(x, &r->attr);
	if (!ok)
		return;
	uint32_t *const words[] = {
		&r->rtmax, &r->rtpref, &r->rtmult, &r->wtmax, &r->wtpref, &r->wtmult, &r->dtpref};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		xdr_u32(x, words[i]);
	xdr_u64(x, &r->maxfilesize);
	nfs3_time(x, &r->time_delta);
	xdr_u32(x, &r->properties);
}

static void pathconf_res(struct xdr *x, bool ok, struct nfs3_pathconf_res *r)
{
	post_op_attr(x, &r->attr);
	if (!ok)
		return;
	xdr_u32(x, &r->linkmax);
	xdr_u32(x, &r->name_max);
	xdr_bool(x, &r->no_trunc);
	xdr_bool(x, &r->chown_restricted);
	xdr_bool(x, &r->case_insensitive);
	xdr_bool(x, &r->case_preserving);
}

static void commit(struct xdr *x, bool ok, struct nfs3_commit_res *r)
{
	wcc(x, &r->wcc);
	if (ok)
		verifier(x, r->verf);
}

static void rename_res(struct xdr *x, struct nfs3_rename_res *r)
{
	wcc(x, &r->from_wcc);
	wcc(x, &r->to_wcc);
}

static void link_res(struct xdr *x, struct nfs3_link_res *r)
{
	post_op_attr(x, &r->attr);
	wcc(x, &r->dir_wcc);
}

static void getattr(struct xdr *x, bool ok, struct nfs3_fattr *a)
{
	if (ok)
		fattr(x, a);
}

void nfs3_res(struct xdr *x, enum nfs3_proc proc, struct nfs3_res *r)
{
	if (proc == NFS3_NULL)
		return;
	xdr_u32(x, &r->status);
	bool ok = r->status == NFS3_OK;
	switch (proc) {
	case NFS3_NULL:
		return;
	case NFS3_GETATTR:
		return getattr(x, ok, &r->getattr);
	case NFS3_SETATTR:
	case NFS3_REMOVE:
	case NFS3_RMDIR:
		return wcc(x, &r->wcc);
	case NFS3_LOOKUP:
		return lookup(x, ok, &r->lookup);
	case NFS3_ACCESS:
		return access_res(x, ok, &r->access);
	case NFS3_READLINK:
		return readlink_res(x, ok, &r->readlink);
	case NFS3_READ:
		return read_res(x, ok, &r->read);
	case NFS3_WRITE:
		return write_res(x, ok, &r->write);
	case NFS3_CREATE:
	case NFS3_MKDIR:
	case NFS3_SYMLINK:
	case NFS3_MKNOD:
		return create_res(x, ok, &r->create);
	case NFS3_RENAME:
		return rename_res(x, &r->rename);
	case NFS3_LINK:
		return link_res(x, &r->link);
	case NFS3_READDIR:
	case NFS3_READDIRPLUS:
		return readdir_res(x, ok, &r->readdir);
	case NFS3_FSSTAT:
		return fsstat(x, ok, &r->fsstat);
	case NFS3_FSINFO:
		return fsinfo(x, ok, &r->fsinfo);
	case NFS3_PATHCONF:
		return pathconf_res(x, ok, &r->pathconf);
	case NFS3_COMMIT:
		return commit(x, ok, &r->commit);
	case NFS3_PROC_COUNT:
		break;
	}
	UNREACHABLE();
}

/* ---- listings ---- */

bool nfs3_dir_item(struct xdr *x, bool plus, struct nfs3_dir_item *e)
{
	struct xdr start = *x;
	bool more = true;
	xdr_bool(x, &more);
	if (!more || x->bad)
		return false;
	xdr_u64(x, &e->fileid);
	xdr_opaque(x, &e->name, LIMIT_RPC_RECORD_BYTES);
	xdr_u64(x, &e->cookie);
	if (plus) {
		post_op_attr(x, &e->attr);
		post_op_handle(x, &e->handle);
	}
	if (!x->bad)
		return true;
	if (x->encoding)
		*x = start;
	return false;
}

void nfs3_dir_end(struct xdr *x, bool *eof)
{
	if (x->encoding)
		xdr_put_u32(x, false);
	xdr_bool(x, eof);
}

size_t nfs3_dir_item_dircount(const struct nfs3_dir_item *e)
{
	return 8 + 4 + ((e->name.n + 3) & ~(size_t)3) + 8;
}
