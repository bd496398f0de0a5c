/* SPDX-License-Identifier: AGPL-3.0-only */
/* SETATTR (3.3.2). */
#include "nfs/server/procedures/procedures.h"

int proc_setattr(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	const struct nfs3_setattr_args *a = &q->args.setattr;
	struct fsal_object *o;
	struct fsal_wcc wcc = {0};
	struct fsal_sattr s;
	int64_t guard_ns = get_time(a->ctime);
	get_sattr(&s, &a->attr);
	int r = find(q, a->object, &o);
	if (r == 0)
		r = fsal_setattr(&q->fs, o, &s, a->guarded ? &guard_ns : NULL, &wcc);
	r = settle_changed(q, r, &wcc);
	put_wcc(&res->wcc, &wcc);
	return answer(res, r);
}
