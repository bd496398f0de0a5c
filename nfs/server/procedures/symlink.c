/* SPDX-License-Identifier: AGPL-3.0-only */
/* SYMLINK (3.3.10). */
#include "nfs/server/procedures/procedures.h"

int proc_symlink(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	const struct nfs3_symlink_args *a = &q->args.symlink;
	struct fsal_object *dir;
	struct fsal_made made = {0};
	struct fsal_sattr s;
	get_sattr(&s, &a->attr);
	int r = find(q, a->where.dir, &dir);
	if (r == 0) {
		fsal_ref(dir);
		r = fsal_symlink(&q->fs, dir, a->where.name, a->target, &s, &made);
		r = settle_made(q, r, dir, a->where.name, S_IFLNK, &made);
		fsal_unref(dir);
	}
	put_made(&res->create, &made, r == 0);
	return answer(res, r);
}
