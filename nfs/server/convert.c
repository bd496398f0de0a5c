/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Attributes and times between the wire and the file layer. The wire has 32 bits of seconds
 * without sign: times outside of 1970 to 2106 wrap, as with every NFSv3 server.
 */
#include "nfs/server/internal.h"

static struct nfs3_time put_time(int64_t ns)
{
	int64_t seconds = ns / NS_PER_S;
	int64_t rest = ns % NS_PER_S;
	if (rest < 0) {
		rest += NS_PER_S;
		seconds--;
	}
	return (struct nfs3_time){(uint32_t)seconds, (uint32_t)rest};
}

int64_t get_time(struct nfs3_time t)
{
	return t.seconds * NS_PER_S + MIN(t.nanoseconds, (uint32_t)(NS_PER_S - 1));
}

static uint32_t type_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return NFS3_DIR;
	case S_IFBLK:
		return NFS3_BLK;
	case S_IFCHR:
		return NFS3_CHR;
	case S_IFLNK:
		return NFS3_LNK;
	case S_IFSOCK:
		return NFS3_SOCK;
	case S_IFIFO:
		return NFS3_FIFO;
	default:
		return NFS3_REG;
	}
}

void put_attr(struct nfs3_fattr *to, const struct fsal_attr *from)
{
	to->type = type_of(from->mode);
	to->mode = from->mode & 07777;
	to->nlink = from->nlink;
	to->uid = from->uid;
	to->gid = from->gid;
	to->size = from->size_bytes;
	to->used = from->used_bytes;
	to->rdev_major = from->rdev_major;
	to->rdev_minor = from->rdev_minor;
	to->fsid = from->fsid;
	to->fileid = from->file_id;
	to->atime = put_time(from->atime_ns);
	to->mtime = put_time(from->mtime_ns);
	to->ctime = put_time(from->ctime_ns);
}

void put_post(struct nfs3_post_op_attr *to, const struct fsal_post *from)
{
	to->present = from->present;
	if (from->present)
		put_attr(&to->attr, &from->attr);
}

void put_wcc(struct nfs3_wcc *to, const struct fsal_wcc *from)
{
	to->before_present = from->before_present;
	to->before.size = from->before_size_bytes;
	to->before.mtime = put_time(from->before_mtime_ns);
	to->before.ctime = put_time(from->before_ctime_ns);
	put_post(&to->after, &from->after);
}

void put_made(struct nfs3_create_res *to, const struct fsal_made *from, bool ok)
{
	if (ok) {
		to->object = (struct nfs3_post_op_handle){true, fsal_handle(from->object)};
		to->attr.present = true;
		put_attr(&to->attr.attr, &from->attr);
	}
	put_wcc(&to->dir_wcc, &from->dir);
}

static enum fsal_time_how time_how(uint32_t how)
{
	if (how == NFS3_SET_TO_SERVER_TIME)
		return FSAL_TIME_NOW;
	return how == NFS3_SET_TO_CLIENT_TIME ? FSAL_TIME_SET : FSAL_TIME_KEEP;
}

void get_sattr(struct fsal_sattr *to, const struct nfs3_sattr *from)
{
	*to = (struct fsal_sattr){
		.set_mode = from->set_mode,
		.set_uid = from->set_uid,
		.set_gid = from->set_gid,
		.set_size = from->set_size,
		.mode = from->mode & 07777,
		.uid = from->uid,
		.gid = from->gid,
		.size_bytes = from->size,
		.atime_how = time_how(from->atime_how),
		.mtime_how = time_how(from->mtime_how),
		.atime_ns = get_time(from->atime),
		.mtime_ns = get_time(from->mtime),
	};
}

int find_two(struct call *q, struct span a, struct span b, struct fsal_object **ret_a,
	struct fsal_object **ret_b)
{
	struct fsal_object *first;
	struct fsal_object *second;
	int r = find(q, a, &first);
	if (r != 0)
		return r;
	fsal_ref(first);
	r = find(q, b, &second);
	if (r != 0) {
		fsal_unref(first);
		return r;
	}
	*ret_a = first;
	*ret_b = fsal_ref(second);
	return 0;
}
