/* SPDX-License-Identifier: AGPL-3.0-only */
/* LINK (3.3.15). */
#include "nfs/server/procedures/procedures.h"

int proc_link(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	const struct nfs3_link_args *a = &q->args.link;
	struct fsal_object *o;
	struct fsal_object *dir;
	struct fsal_post attr = {0};
	struct fsal_wcc wcc = {0};
	int r = find_two(q, a->file, a->link.dir, &o, &dir);
	if (r == 0) {
		r = fsal_link(&q->fs, o, dir, a->link.name, &attr, &wcc);
		r = settle_linked(q, r, o, dir, a->link.name);
		fsal_unref(o);
		fsal_unref(dir);
	}
	put_post(&res->link.attr, &attr);
	put_wcc(&res->link.dir_wcc, &wcc);
	return answer(res, r);
}
