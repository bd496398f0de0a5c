/* SPDX-License-Identifier: AGPL-3.0-only */
/* ACCESS (3.3.4). */
#include "nfs/server/procedures/procedures.h"

int proc_access(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	struct fsal_object *o;
	struct fsal_post attr = {0};
	int r = find(q, q->args.access.object, &o);
	if (r == 0)
		r = fsal_access(&q->fs, o, q->args.access.access, &res->access.access, &attr);
	put_post(&res->access.attr, &attr);
	return answer(res, r);
}
