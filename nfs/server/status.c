/* SPDX-License-Identifier: AGPL-3.0-only */
/* The file layer's answers as statuses of RFC 1813, section 2.6. The only place that knows both. */
#include "nfs/server/internal.h"

static enum nfs3_stat outcome_status(enum fsal_outcome r)
{
	switch (r) {
	case FSAL_DENIED:
		return NFS3ERR_ACCES;
	case FSAL_CHANGED:
		return NFS3ERR_NOT_SYNC;
	case FSAL_BAD_COOKIE:
		return NFS3ERR_BAD_COOKIE;
	case FSAL_WOULD_PARK:
		break;
	}
	UNREACHABLE();
}

static enum nfs3_stat errno_status(int e)
{
	switch (e) {
	case EPERM:
		return NFS3ERR_PERM;
	case ENOENT:
		return NFS3ERR_NOENT;
	case EIO:
		return NFS3ERR_IO;
	case ENXIO:
		return NFS3ERR_NXIO;
	case EACCES:
	case ETXTBSY:
		return NFS3ERR_ACCES;
	case EEXIST:
		return NFS3ERR_EXIST;
	case EXDEV:
		return NFS3ERR_XDEV;
	case ENODEV:
		return NFS3ERR_NODEV;
	case ENOTDIR:
		return NFS3ERR_NOTDIR;
	case EISDIR:
		return NFS3ERR_ISDIR;
	case EINVAL:
	case ELOOP: /* a link where none is followed; other NFSv3 servers say so, too */
		return NFS3ERR_INVAL;
	case EFBIG:
		return NFS3ERR_FBIG;
	case ENOSPC:
		return NFS3ERR_NOSPC;
	case EROFS:
		return NFS3ERR_ROFS;
	case EMLINK:
		return NFS3ERR_MLINK;
	case ENAMETOOLONG:
		return NFS3ERR_NAMETOOLONG;
	case ENOTEMPTY:
		return NFS3ERR_NOTEMPTY;
	case EDQUOT:
		return NFS3ERR_DQUOT;
	case ESTALE:
		return NFS3ERR_STALE;
	case EREMOTE:
		return NFS3ERR_REMOTE;
	case EBADMSG:
		return NFS3ERR_BADHANDLE;
	case EOPNOTSUPP:
	case ENOSYS:
		return NFS3ERR_NOTSUPP;
	case EAGAIN:
	case EBUSY:
	case ETIME:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
		return NFS3ERR_JUKEBOX;
	default:
		log_warn("nfs: the file layer answers %s; the client is told SERVERFAULT",
			err_name(-e));
		return NFS3ERR_SERVERFAULT;
	}
}

enum nfs3_stat status_of(int r)
{
	if (r == 0)
		return NFS3_OK;
	return r > 0 ? outcome_status((enum fsal_outcome)r) : errno_status(-r);
}

int answer(struct nfs3_res *res, int r)
{
	if (r == FSAL_WOULD_PARK)
		return CALL_WOULD_PARK;
	if (r == -ECANCELED)
		return r;
	res->status = status_of(r);
	return 0;
}
