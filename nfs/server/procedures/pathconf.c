/* SPDX-License-Identifier: AGPL-3.0-only */
/* PATHCONF (3.3.20). */
#include "nfs/server/procedures/procedures.h"

int proc_pathconf(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	struct fsal_object *o;
	struct fsal_post attr = {0};
	struct fsal_limits l;
	int r = find(q, q->args.object, &o);
	if (r == 0) {
		fsal_limits_get(o, &l);
		r = fsal_getattr(&q->fs, o, &attr.attr);
		attr.present = r == 0;
	}
	put_post(&res->pathconf.attr, &attr);
	if (r == 0) {
		res->pathconf.linkmax = l.link_max;
		res->pathconf.name_max = l.name_bytes_max;
		res->pathconf.no_trunc = true;
		res->pathconf.chown_restricted = true;
		res->pathconf.case_preserving = true;
	}
	return answer(res, r);
}
