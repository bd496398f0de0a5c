/* SPDX-License-Identifier: AGPL-3.0-only */
/* CREATE (3.3.8). */
#include "nfs/server/procedures/procedures.h"

int proc_create(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	static const enum fsal_create_how hows[] = {
		[NFS3_UNCHECKED] = FSAL_UNCHECKED,
		[NFS3_GUARDED] = FSAL_GUARDED,
		[NFS3_EXCLUSIVE] = FSAL_EXCLUSIVE,
	};
	const struct nfs3_create_args *a = &q->args.create;
	struct fsal_object *dir;
	struct fsal_made made = {0};
	struct fsal_sattr s;
	get_sattr(&s, &a->attr);
	int r = find(q, a->where.dir, &dir);
	if (r == 0) {
		fsal_ref(dir);
		r = fsal_create(&q->fs, dir, a->where.name, hows[a->how], &s, a->verf, &made);
		if (a->how == NFS3_GUARDED)
			r = settle_made(q, r, dir, a->where.name, S_IFREG, &made);
		fsal_unref(dir);
	}
	put_made(&res->create, &made, r == 0);
	return answer(res, r);
}
