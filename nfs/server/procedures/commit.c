/* SPDX-License-Identifier: AGPL-3.0-only */
/* COMMIT (3.3.21). */
#include "nfs/server/procedures/procedures.h"

/* Data that could not be written is gone from the page cache: whoever wrote some since the last
 * good COMMIT has to send it again, and learns so by a verifier that differs. */
static bool lost_data(int r)
{
	return r == -EIO || r == -ENOSPC || r == -EDQUOT;
}

int proc_commit(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	struct fsal_object *o;
	struct fsal_wcc wcc = {0};
	int r = find(q, q->args.commit.file, &o);
	if (r == 0)
		r = fsal_commit(&q->fs, o, &wcc);
	if (lost_data(r))
		rt_random(q->server->write_verf, sizeof(q->server->write_verf));
	put_wcc(&res->commit.wcc, &wcc);
	memcpy(res->commit.verf, q->server->write_verf, sizeof(res->commit.verf));
	return answer(res, r);
}
