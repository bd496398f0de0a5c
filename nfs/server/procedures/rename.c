/* SPDX-License-Identifier: AGPL-3.0-only */
/* RENAME (3.3.14). */
#include "nfs/server/procedures/procedures.h"

int proc_rename(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	const struct nfs3_rename_args *a = &q->args.rename;
	struct fsal_object *from;
	struct fsal_object *to;
	struct fsal_wcc from_wcc = {0};
	struct fsal_wcc to_wcc = {0};
	int r = find_two(q, a->from.dir, a->to.dir, &from, &to);
	if (r == 0) {
		r = fsal_rename(&q->fs, from, a->from.name, to, a->to.name, &from_wcc, &to_wcc);
		r = settle_renamed(q, r, to, a->to.name, &to_wcc);
		fsal_unref(from);
		fsal_unref(to);
	}
	put_wcc(&res->rename.from_wcc, &from_wcc);
	put_wcc(&res->rename.to_wcc, &to_wcc);
	return answer(res, r);
}
