/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * NFS version 3 on the wire (RFC 1813): arguments and results of the 22 procedures. One function
 * per structure, for both directions (xdr.h). Names are the RFC's without the "3" suffixes.
 */
#pragma once

#include "nfs/rpc/rpc.h"

enum { NFS3_PROGRAM = 100003, NFS3_V3 = 3 };

enum nfs3_proc {
	NFS3_NULL = 0,
	NFS3_GETATTR = 1,
	NFS3_SETATTR = 2,
	NFS3_LOOKUP = 3,
	NFS3_ACCESS = 4,
	NFS3_READLINK = 5,
	NFS3_READ = 6,
	NFS3_WRITE = 7,
	NFS3_CREATE = 8,
	NFS3_MKDIR = 9,
	NFS3_SYMLINK = 10,
	NFS3_MKNOD = 11,
	NFS3_REMOVE = 12,
	NFS3_RMDIR = 13,
	NFS3_RENAME = 14,
	NFS3_LINK = 15,
	NFS3_READDIR = 16,
	NFS3_READDIRPLUS = 17,
	NFS3_FSSTAT = 18,
	NFS3_FSINFO = 19,
	NFS3_PATHCONF = 20,
	NFS3_COMMIT = 21,
	NFS3_PROC_COUNT,
};

const char *nfs3_proc_name(enum nfs3_proc p); /* "GETATTR" */

enum nfs3_stat { /* section 2.6 */
	NFS3_OK = 0,
	NFS3ERR_PERM = 1,
	NFS3ERR_NOENT = 2,
	NFS3ERR_IO = 5,
	NFS3ERR_NXIO = 6,
	NFS3ERR_ACCES = 13,
	NFS3ERR_EXIST = 17,
	NFS3ERR_XDEV = 18,
	NFS3ERR_NODEV = 19,
	NFS3ERR_NOTDIR = 20,
	NFS3ERR_ISDIR = 21,
	NFS3ERR_INVAL = 22,
	NFS3ERR_FBIG = 27,
	NFS3ERR_NOSPC = 28,
	NFS3ERR_ROFS = 30,
	NFS3ERR_MLINK = 31,
	NFS3ERR_NAMETOOLONG = 63,
	NFS3ERR_NOTEMPTY = 66,
	NFS3ERR_DQUOT = 69,
	NFS3ERR_STALE = 70,
	NFS3ERR_REMOTE = 71,
	NFS3ERR_BADHANDLE = 10001,
	NFS3ERR_NOT_SYNC = 10002,
	NFS3ERR_BAD_COOKIE = 10003,
	NFS3ERR_NOTSUPP = 10004,
	NFS3ERR_TOOSMALL = 10005,
	NFS3ERR_SERVERFAULT = 10006,
	NFS3ERR_BADTYPE = 10007,
	NFS3ERR_JUKEBOX = 10008,
};

enum nfs3_ftype {
	NFS3_REG = 1,
	NFS3_DIR = 2,
	NFS3_BLK = 3,
	NFS3_CHR = 4,
	NFS3_LNK = 5,
	NFS3_SOCK = 6,
	NFS3_FIFO = 7,
};

enum { NFS3_HANDLE_BYTES = 64, NFS3_VERIFIER_BYTES = 8 };

/* Seconds are 32 bits without sign on the wire. */
struct nfs3_time {
	uint32_t seconds;
	uint32_t nanoseconds;
};

struct nfs3_fattr {
	uint32_t type; /* enum nfs3_ftype */
	uint32_t mode; /* permission bits only */
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint64_t size;
	uint64_t used;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint64_t fsid;
	uint64_t fileid;
	struct nfs3_time atime;
	struct nfs3_time mtime;
	struct nfs3_time ctime;
};

struct nfs3_post_op_attr {
	bool present;
	struct nfs3_fattr attr;
};

struct nfs3_wcc_attr {
	uint64_t size;
	struct nfs3_time mtime;
	struct nfs3_time ctime;
};

struct nfs3_wcc {
	bool before_present;
	struct nfs3_wcc_attr before;
	struct nfs3_post_op_attr after;
};

struct nfs3_post_op_handle {
	bool present;
	struct span handle;
};

enum nfs3_time_how {
	NFS3_DONT_CHANGE = 0,
	NFS3_SET_TO_SERVER_TIME = 1,
	NFS3_SET_TO_CLIENT_TIME = 2,
};

struct nfs3_sattr {
	bool set_mode, set_uid, set_gid, set_size;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint64_t size;
	uint32_t atime_how; /* enum nfs3_time_how */
	uint32_t mtime_how;
	struct nfs3_time atime;
	struct nfs3_time mtime;
};

/* ---- arguments ---- */

struct nfs3_dirop {
	struct span dir; /* a handle */
	struct span name; /* as long as the client made it */
};

struct nfs3_setattr_args {
	struct span object;
	struct nfs3_sattr attr;
	bool guarded;
	struct nfs3_time ctime; /* of the guard */
};

struct nfs3_access_args {
	struct span object;
	uint32_t access; /* NFS3_ACCESS_... */
};

enum {
	NFS3_ACCESS_READ = 0x01,
	NFS3_ACCESS_LOOKUP = 0x02,
	NFS3_ACCESS_MODIFY = 0x04,
	NFS3_ACCESS_EXTEND = 0x08,
	NFS3_ACCESS_DELETE = 0x10,
	NFS3_ACCESS_EXECUTE = 0x20,
};

struct nfs3_read_args {
	struct span file;
	uint64_t offset;
	uint32_t count;
};

enum nfs3_stable { NFS3_UNSTABLE = 0, NFS3_DATA_SYNC = 1, NFS3_FILE_SYNC = 2 };

struct nfs3_write_args {
	struct span file;
	uint64_t offset;
	uint32_t count;
	uint32_t stable; /* enum nfs3_stable */
	struct span data;
};

enum nfs3_createmode { NFS3_UNCHECKED = 0, NFS3_GUARDED = 1, NFS3_EXCLUSIVE = 2 };

struct nfs3_create_args {
	struct nfs3_dirop where;
	uint32_t how; /* enum nfs3_createmode */
	struct nfs3_sattr attr; /* unless exclusive */
	uint8_t verf[NFS3_VERIFIER_BYTES]; /* if exclusive */
};

struct nfs3_mkdir_args {
	struct nfs3_dirop where;
	struct nfs3_sattr attr;
};

struct nfs3_symlink_args {
	struct nfs3_dirop where;
	struct nfs3_sattr attr;
	struct span target;
};

struct nfs3_mknod_args {
	struct nfs3_dirop where;
	uint32_t type; /* enum nfs3_ftype; attr counts for CHR, BLK, SOCK, FIFO */
	struct nfs3_sattr attr;
	uint32_t rdev_major, rdev_minor; /* CHR, BLK */
};

struct nfs3_rename_args {
	struct nfs3_dirop from;
	struct nfs3_dirop to;
};

struct nfs3_link_args {
	struct span file;
	struct nfs3_dirop link;
};

struct nfs3_readdir_args { /* READDIR has count in maxcount, and no dircount */
	struct span dir;
	uint64_t cookie;
	uint8_t verf[NFS3_VERIFIER_BYTES];
	uint32_t dircount;
	uint32_t maxcount;
};

struct nfs3_commit_args {
	struct span file;
	uint64_t offset;
	uint32_t count;
};

union nfs3_args {
	struct span object; /* GETATTR READLINK FSSTAT FSINFO PATHCONF */
	struct nfs3_setattr_args setattr;
	struct nfs3_dirop dirop; /* LOOKUP REMOVE RMDIR */
	struct nfs3_access_args access;
	struct nfs3_read_args read;
	struct nfs3_write_args write;
	struct nfs3_create_args create;
	struct nfs3_mkdir_args mkdir;
	struct nfs3_symlink_args symlink;
	struct nfs3_mknod_args mknod;
	struct nfs3_rename_args rename;
	struct nfs3_link_args link;
	struct nfs3_readdir_args readdir; /* READDIR READDIRPLUS */
	struct nfs3_commit_args commit;
};

/* The arguments of procedure `proc` (< NFS3_PROC_COUNT). */
void nfs3_args(struct xdr *x, enum nfs3_proc proc, union nfs3_args *a);

/* ---- results ---- */

struct nfs3_lookup_res {
	struct span object;
	struct nfs3_post_op_attr attr;
	struct nfs3_post_op_attr dir_attr; /* also on failure */
};

struct nfs3_access_res {
	struct nfs3_post_op_attr attr;
	uint32_t access;
};

struct nfs3_readlink_res {
	struct nfs3_post_op_attr attr;
	struct span target;
};

struct nfs3_read_res {
	struct nfs3_post_op_attr attr;
	uint32_t count;
	bool eof;
	struct span data;
};

/* From the result's first byte to its data, when attr is present. */
enum { NFS3_READ_DATA_OFFSET = 4 + 4 + 84 + 4 + 4 + 4 };

struct nfs3_write_res {
	struct nfs3_wcc wcc;
	uint32_t count;
	uint32_t committed; /* enum nfs3_stable */
	uint8_t verf[NFS3_VERIFIER_BYTES];
};

struct nfs3_create_res { /* CREATE MKDIR SYMLINK MKNOD */
	struct nfs3_post_op_handle object;
	struct nfs3_post_op_attr attr;
	struct nfs3_wcc dir_wcc; /* also on failure */
};

struct nfs3_rename_res {
	struct nfs3_wcc from_wcc;
	struct nfs3_wcc to_wcc;
};

struct nfs3_link_res {
	struct nfs3_post_op_attr attr;
	struct nfs3_wcc dir_wcc;
};

struct nfs3_readdir_res { /* the list's items follow: nfs3_dir_item, nfs3_dir_end */
	struct nfs3_post_op_attr dir_attr;
	uint8_t verf[NFS3_VERIFIER_BYTES];
};

struct nfs3_fsstat_res {
	struct nfs3_post_op_attr attr;
	uint64_t tbytes, fbytes, abytes;
	uint64_t tfiles, ffiles, afiles;
	uint32_t invarsec;
};

enum {
	NFS3_FSF_LINK = 0x01,
	NFS3_FSF_SYMLINK = 0x02,
	NFS3_FSF_HOMOGENEOUS = 0x08,
	NFS3_FSF_CANSETTIME = 0x10,
};

struct nfs3_fsinfo_res {
	struct nfs3_post_op_attr attr;
	uint32_t rtmax, rtpref, rtmult;
	uint32_t wtmax, wtpref, wtmult;
	uint32_t dtpref;
	uint64_t maxfilesize;
	struct nfs3_time time_delta;
	uint32_t properties; /* NFS3_FSF_... */
};

struct nfs3_pathconf_res {
	struct nfs3_post_op_attr attr;
	uint32_t linkmax;
	uint32_t name_max;
	bool no_trunc;
	bool chown_restricted;
	bool case_insensitive;
	bool case_preserving;
};

struct nfs3_commit_res {
	struct nfs3_wcc wcc;
	uint8_t verf[NFS3_VERIFIER_BYTES];
};

struct nfs3_res {
	uint32_t status; /* enum nfs3_stat */
	union {
		struct nfs3_fattr getattr;
		struct nfs3_wcc wcc; /* SETATTR, and of the directory: REMOVE RMDIR */
		struct nfs3_lookup_res lookup;
		struct nfs3_access_res access;
		struct nfs3_readlink_res readlink;
		struct nfs3_read_res read;
		struct nfs3_write_res write;
		struct nfs3_create_res create;
		struct nfs3_rename_res rename;
		struct nfs3_link_res link;
		struct nfs3_readdir_res readdir;
		struct nfs3_fsstat_res fsstat;
		struct nfs3_fsinfo_res fsinfo;
		struct nfs3_pathconf_res pathconf;
		struct nfs3_commit_res commit;
	};
};

/* The results of procedure `proc`, of success or failure as the status says. */
void nfs3_res(struct xdr *x, enum nfs3_proc proc, struct nfs3_res *r);

struct nfs3_dir_item {
	uint64_t fileid;
	struct span name;
	uint64_t cookie;
	struct nfs3_post_op_attr attr; /* READDIRPLUS only, and the handle */
	struct nfs3_post_op_handle handle;
};

/* One item of a listing. Reading, false at the list's end (and when bad). Writing, an item that
 * does not fit leaves *x as it was, good, and returns false. */
bool nfs3_dir_item(struct xdr *x, bool plus, struct nfs3_dir_item *e);
void nfs3_dir_end(struct xdr *x, bool *eof);
enum { NFS3_DIR_END_BYTES = 8 };

/* Bytes that the item counts for in READDIRPLUS's dircount: fileid, name, cookie. */
size_t nfs3_dir_item_dircount(const struct nfs3_dir_item *e);
