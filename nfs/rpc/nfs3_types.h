/* SPDX-License-Identifier: AGPL-3.0-only */
/* What arguments and results of NFS version 3 share; for this room only. */
#pragma once

#include "nfs/rpc/nfs3.h"

void nfs3_time(struct xdr *x, struct nfs3_time *t);
void nfs3_handle(struct xdr *x, struct span *h);
