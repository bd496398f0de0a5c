/* SPDX-License-Identifier: AGPL-3.0-only */
/* REMOVE (3.3.12). */
#include "nfs/server/procedures/procedures.h"

int proc_remove(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	struct fsal_object *dir;
	struct fsal_wcc wcc = {0};
	int r = find(q, q->args.dirop.dir, &dir);
	if (r == 0)
		r = fsal_remove(&q->fs, dir, q->args.dirop.name, &wcc);
	r = settle_removed(q, r, &wcc);
	put_wcc(&res->wcc, &wcc);
	return answer(res, r);
}
