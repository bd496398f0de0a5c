/* SPDX-License-Identifier: AGPL-3.0-only */
/* READDIR and READDIRPLUS (3.3.16, 3.3.17): entries go straight into the reply. */
#include "nfs/server/procedures/procedures.h"

enum { HEAD_BYTES = 4 + 4 + 84 + NFS3_VERIFIER_BYTES };

struct listing {
	struct xdr x;
	bool plus;
	uint32_t count;
	size_t dir_bytes; /* counted against dircount */
	size_t dir_bytes_max;
};

static bool add(void *ctx, const struct fsal_dirent *e)
{
	struct listing *l = ctx;
	struct nfs3_dir_item item = {.fileid = e->file_id, .name = e->name, .cookie = e->cookie};
	size_t dir_bytes = nfs3_dir_item_dircount(&item);
	/* One entry goes out whatever dircount says, so that the client gets on. */
	if (l->plus && l->count > 0 && l->dir_bytes + dir_bytes > l->dir_bytes_max)
		return false;
	if (l->plus && e->object) {
		item.attr.present = true;
		put_attr(&item.attr.attr, &e->attr);
		item.handle = (struct nfs3_post_op_handle){true, fsal_handle(e->object)};
	}
	if (!nfs3_dir_item(&l->x, l->plus, &item))
		return false;
	l->dir_bytes += dir_bytes;
	l->count++;
	return true;
}

/* Room for entries alone: behind the head, in front of the list's end. */
static struct listing begin(const struct call *q, const struct xdr *out)
{
	const struct nfs3_readdir_args *a = &q->args.readdir;
	size_t max = MIN(a->maxcount, (uint32_t)LIMIT_NFS_LISTING_BYTES);
	size_t frame = HEAD_BYTES + NFS3_DIR_END_BYTES;
	size_t room = max > frame ? max - frame : 0;
	CHECK(xdr_left(out) >= frame + room);
	return (struct listing){
		.x = xdr_encoder(out->p + HEAD_BYTES, room),
		.plus = q->rpc.proc == NFS3_READDIRPLUS,
		.dir_bytes_max = a->dircount,
	};
}

/* Puts the head in front of the entries and the end behind them. Entries move if the directory's
 * attributes are not to be had. */
static void finish(
	struct call *q, struct nfs3_res *res, struct xdr *out, const struct listing *l, bool eof)
{
	char *entries = out->p + HEAD_BYTES;
	size_t n = (size_t)(l->x.p - entries);
	nfs3_res(out, q->rpc.proc, res);
	if (out->p != entries)
		memmove(out->p, entries, n);
	out->p += n;
	nfs3_dir_end(out, &eof);
}

int proc_readdir(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	const struct nfs3_readdir_args *a = &q->args.readdir;
	struct listing l = begin(q, out);
	struct fsal_object *dir;
	struct fsal_post attr = {0};
	uint64_t verifier;
	bool eof = false;
	memcpy(&verifier, a->verf, sizeof(verifier));
	int r = find(q, a->dir, &dir);
	if (r == 0)
		r = fsal_readdir(&q->fs, dir, a->cookie, &verifier, l.plus, add, &l, &eof, &attr);
	put_post(&res->readdir.dir_attr, &attr);
	if (r != 0)
		return answer(res, r);
	if (l.count == 0 && !eof) {
		res->status = NFS3ERR_TOOSMALL;
		return 0;
	}
	memcpy(res->readdir.verf, &verifier, sizeof(verifier));
	finish(q, res, out, &l, eof);
	return CALL_ANSWERED;
}
