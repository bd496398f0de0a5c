/* SPDX-License-Identifier: AGPL-3.0-only */
/* Procedure numbers and their functions. */
#include "nfs/server/procedures/procedures.h"

const nfs_procedure nfs_procedures[NFS3_PROC_COUNT] = {
	[NFS3_NULL] = proc_null,
	[NFS3_GETATTR] = proc_getattr,
	[NFS3_SETATTR] = proc_setattr,
	[NFS3_LOOKUP] = proc_lookup,
	[NFS3_ACCESS] = proc_access,
	[NFS3_READLINK] = proc_readlink,
	[NFS3_READ] = proc_read,
	[NFS3_WRITE] = proc_write,
	[NFS3_CREATE] = proc_create,
	[NFS3_MKDIR] = proc_mkdir,
	[NFS3_SYMLINK] = proc_symlink,
	[NFS3_MKNOD] = proc_mknod,
	[NFS3_REMOVE] = proc_remove,
	[NFS3_RMDIR] = proc_rmdir,
	[NFS3_RENAME] = proc_rename,
	[NFS3_LINK] = proc_link,
	[NFS3_READDIR] = proc_readdir,
	[NFS3_READDIRPLUS] = proc_readdir,
	[NFS3_FSSTAT] = proc_fsstat,
	[NFS3_FSINFO] = proc_fsinfo,
	[NFS3_PATHCONF] = proc_pathconf,
	[NFS3_COMMIT] = proc_commit,
};
