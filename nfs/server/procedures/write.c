/* SPDX-License-Identifier: AGPL-3.0-only */
/* WRITE (3.3.7). */
#include "nfs/server/procedures/procedures.h"

int proc_write(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	const struct nfs3_write_args *a = &q->args.write;
	struct fsal_object *o;
	struct fsal_wcc wcc = {0};
	enum fsal_stability committed = FSAL_UNSTABLE;
	struct span data = span_of(a->data.p, a->count);
	int r = find(q, a->file, &o);
	if (r == 0)
		r = fsal_write(&q->fs, o, a->offset, data, (enum fsal_stability)a->stable,
			&committed, &wcc);
	put_wcc(&res->write.wcc, &wcc);
	res->write.count = a->count;
	res->write.committed = committed;
	memcpy(res->write.verf, q->server->write_verf, sizeof(res->write.verf));
	return answer(res, r);
}
