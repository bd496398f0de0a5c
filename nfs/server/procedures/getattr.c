/* SPDX-License-Identifier: AGPL-3.0-only */
/* GETATTR (3.3.1). */
#include "nfs/server/procedures/procedures.h"

int proc_getattr(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	struct fsal_object *o;
	struct fsal_attr a;
	int r = find(q, q->args.object, &o);
	if (r == 0)
		r = fsal_getattr(&q->fs, o, &a);
	if (r == 0)
		put_attr(&res->getattr, &a);
	return answer(res, r);
}
