/* SPDX-License-Identifier: AGPL-3.0-only */
/* READ (3.3.6): straight into the reply. */
#include "nfs/server/procedures/procedures.h"

int proc_read(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	const struct nfs3_read_args *a = &q->args.read;
	struct fsal_object *o;
	struct fsal_post attr = {0};
	size_t want = MIN(a->count, (uint32_t)LIMIT_NFS_IO_BYTES);
	char *room = xdr_room(out, NFS3_READ_DATA_OFFSET, want);
	size_t n = 0;
	CHECK(room);
	int r = find(q, a->file, &o);
	if (r == 0)
		r = fsal_read(&q->fs, o, a->offset, room, want, &n, &res->read.eof, &attr);
	put_post(&res->read.attr, &attr);
	res->read.count = (uint32_t)n;
	res->read.data = span_of(room, n);
	return answer(res, r);
}
