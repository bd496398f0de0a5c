/* SPDX-License-Identifier: AGPL-3.0-only */
/* FSINFO (3.3.19). */
#include "nfs/server/procedures/procedures.h"

enum { MULTIPLE_BYTES = 4096 };

static void fill(struct nfs3_fsinfo_res *f, const struct fsal_limits *l)
{
	f->rtmax = f->rtpref = f->wtmax = f->wtpref = LIMIT_NFS_IO_BYTES;
	f->rtmult = f->wtmult = MULTIPLE_BYTES;
	f->dtpref = LIMIT_NFS_LISTING_BYTES;
	f->maxfilesize = l->file_bytes_max;
	f->time_delta = (struct nfs3_time){(uint32_t)(l->time_granularity_ns / NS_PER_S),
		(uint32_t)(l->time_granularity_ns % NS_PER_S)};
	f->properties = NFS3_FSF_HOMOGENEOUS | NFS3_FSF_CANSETTIME;
	if (l->has_links)
		f->properties |= NFS3_FSF_LINK;
	if (l->has_symlinks)
		f->properties |= NFS3_FSF_SYMLINK;
}

int proc_fsinfo(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	struct fsal_object *o;
	struct fsal_post attr = {0};
	struct fsal_limits l;
	int r = find(q, q->args.object, &o);
	if (r == 0) {
		fsal_limits_get(o, &l);
		r = fsal_getattr(&q->fs, o, &attr.attr);
		attr.present = r == 0;
	}
	put_post(&res->fsinfo.attr, &attr);
	if (r == 0)
		fill(&res->fsinfo, &l);
	return answer(res, r);
}
