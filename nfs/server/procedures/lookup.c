/* SPDX-License-Identifier: AGPL-3.0-only */
/* LOOKUP (3.3.3). */
#include "nfs/server/procedures/procedures.h"

int proc_lookup(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	struct fsal_object *dir;
	struct fsal_object *o;
	struct fsal_attr a;
	struct fsal_post dir_attr = {0};
	int r = find(q, q->args.dirop.dir, &dir);
	if (r == 0)
		r = fsal_lookup(&q->fs, dir, q->args.dirop.name, &o, &a, &dir_attr);
	if (r == 0) {
		res->lookup.object = fsal_handle(o);
		res->lookup.attr.present = true;
		put_attr(&res->lookup.attr.attr, &a);
	}
	put_post(&res->lookup.dir_attr, &dir_attr);
	return answer(res, r);
}
