/* SPDX-License-Identifier: AGPL-3.0-only */
/* MKNOD (3.3.11). */
#include "nfs/server/procedures/procedures.h"

static uint32_t type_bits(uint32_t type)
{
	switch (type) {
	case NFS3_CHR:
		return S_IFCHR;
	case NFS3_BLK:
		return S_IFBLK;
	case NFS3_SOCK:
		return S_IFSOCK;
	case NFS3_FIFO:
		return S_IFIFO;
	default:
		return 0;
	}
}

int proc_mknod(struct call *q, struct nfs3_res *res, struct xdr *out)
{
	const struct nfs3_mknod_args *a = &q->args.mknod;
	uint32_t type = type_bits(a->type);
	struct fsal_object *dir;
	struct fsal_made made = {0};
	struct fsal_sattr s;
	get_sattr(&s, &a->attr);
	int r = find(q, a->where.dir, &dir);
	if (r == 0 && type == 0) {
		res->status = NFS3ERR_BADTYPE;
		return 0;
	}
	if (r == 0) {
		fsal_ref(dir);
		r = fsal_mknod(
			&q->fs, dir, a->where.name, type, a->rdev_major, a->rdev_minor, &s, &made);
		r = settle_made(q, r, dir, a->where.name, type, &made);
		fsal_unref(dir);
	}
	put_made(&res->create, &made, r == 0);
	return answer(res, r);
}
