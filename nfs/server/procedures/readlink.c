/* SPDX-License-Identifier: AGPL-3.0-only */
/* READLINK (3.3.5). */
#include "nfs/server/procedures/procedures.h"

int proc_readlink(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	enum { BEFORE_TARGET = 4 + 4 + 84 + 4 };
	struct fsal_object *o;
	struct fsal_post attr = {0};
	char *room = xdr_room(out, BEFORE_TARGET, LIMIT_PATH_BYTES);
	size_t n = 0;
	CHECK(room);
	int r = find(q, q->args.object, &o);
	if (r == 0)
		r = fsal_readlink(&q->fs, o, room, LIMIT_PATH_BYTES, &n, &attr);
	put_post(&res->readlink.attr, &attr);
	res->readlink.target = span_of(room, n);
	return answer(res, r);
}
