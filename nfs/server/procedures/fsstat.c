/* SPDX-License-Identifier: AGPL-3.0-only */
/* FSSTAT (3.3.18). */
#include "nfs/server/procedures/procedures.h"

int proc_fsstat(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	struct fsal_object *o;
	struct fsal_post attr = {0};
	struct fsal_statfs s = {0};
	int r = find(q, q->args.object, &o);
	if (r == 0)
		r = fsal_fsstat(&q->fs, o, &s, &attr);
	put_post(&res->fsstat.attr, &attr);
	res->fsstat.tbytes = s.bytes_total;
	res->fsstat.fbytes = s.bytes_free;
	res->fsstat.abytes = s.bytes_available;
	res->fsstat.tfiles = s.files_total;
	res->fsstat.ffiles = s.files_free;
	res->fsstat.afiles = s.files_available;
	return answer(res, r);
}
