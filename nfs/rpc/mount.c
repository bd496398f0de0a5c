/* SPDX-License-Identifier: AGPL-3.0-only */
/* MOUNT's types. Its lists are linked by a word in front of each item that says "one more". */
#include "nfs/rpc/mount.h"
#include "nfs/rpc/nfs3.h"

void mount_path(struct xdr *x, struct span *path)
{
	xdr_opaque(x, path, MOUNT_PATH_BYTES);
}

void mount_mnt_res(struct xdr *x, struct mount_mnt_res *r)
{
	xdr_u32(x, &r->status);
	if (r->status != MNT3_OK)
		return;
	xdr_opaque(x, &r->handle, NFS3_HANDLE_BYTES);
	xdr_enum(x, &r->flavor_count, MOUNT_FLAVORS);
	for (uint32_t i = 0; i < r->flavor_count; i++)
		xdr_u32(x, &r->flavors[i]);
}

bool mount_dump_item(struct xdr *x, struct span *host, struct span *path)
{
	bool more = true;
	xdr_bool(x, &more);
	if (!more || x->bad)
		return false;
	xdr_opaque(x, host, MOUNT_NAME_BYTES);
	xdr_opaque(x, path, MOUNT_PATH_BYTES);
	return !x->bad;
}

static void groups(struct xdr *x)
{
	struct span name = {0};
	bool more = false;
	for (xdr_bool(x, &more); more && !x->bad; xdr_bool(x, &more))
		xdr_opaque(x, &name, MOUNT_NAME_BYTES);
}

bool mount_export_item(struct xdr *x, struct span *path)
{
	bool more = true;
	xdr_bool(x, &more);
	if (!more || x->bad)
		return false;
	xdr_opaque(x, path, MOUNT_PATH_BYTES);
	groups(x);
	return !x->bad;
}

void mount_list_end(struct xdr *x)
{
	xdr_put_u32(x, false);
}
