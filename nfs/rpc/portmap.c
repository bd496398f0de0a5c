/* SPDX-License-Identifier: AGPL-3.0-only */
#include "nfs/rpc/portmap.h"

void portmap_mapping(struct xdr *x, struct portmap_mapping *m)
{
	xdr_u32(x, &m->prog);
	xdr_u32(x, &m->vers);
	xdr_u32(x, &m->prot);
	xdr_u32(x, &m->port);
}
