/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The permissions of a POSIX file system (IEEE 1003.1-2017, section 4.5 and the pages of the system
 * calls), decided here, because the daemon runs as root where they count and the kernel would let
 * it do anything.
 */
#include "nfs/fsal/internal.h"

bool perm_is_root(const struct fsal_cred *cred)
{
	return !cred || cred->uid == 0;
}

bool perm_owns(const struct fsal_cred *cred, const struct fsal_attr *a)
{
	return perm_is_root(cred) || cred->uid == a->uid;
}

bool perm_in_group(const struct fsal_cred *cred, uint32_t gid)
{
	if (!cred || cred->gid == gid)
		return true;
	for (size_t i = 0; i < cred->group_count; i++)
		if (cred->groups[i] == gid)
			return true;
	return false;
}

uint32_t perm_grants(const struct fsal_cred *cred, const struct fsal_attr *a, uint32_t wanted)
{
	uint32_t bits;

	if (perm_is_root(cred)) {
		/* Root runs what anybody may run. */
		bool runs = (a->mode & 0111) || (a->mode & S_IFMT) == S_IFDIR;
		return runs ? wanted : wanted & ~(uint32_t)PERM_EXEC;
	}
	if (cred->uid == a->uid)
		bits = a->mode >> 6;
	else if (perm_in_group(cred, a->gid))
		bits = a->mode >> 3;
	else
		bits = a->mode;
	return bits & wanted & 7;
}

int perm_unlinks(
	const struct fsal_cred *cred, const struct fsal_attr *dir, const struct fsal_attr *victim)
{
	if (perm_grants(cred, dir, PERM_WRITE | PERM_EXEC) != (PERM_WRITE | PERM_EXEC))
		return -EACCES;
	if ((dir->mode & S_ISVTX) && !perm_owns(cred, dir) && !perm_owns(cred, victim))
		return -EPERM;
	return 0;
}

static int owner_changes(
	const struct fsal_cred *cred, const struct fsal_attr *a, const struct fsal_sattr *s)
{
	if (perm_is_root(cred))
		return 0;
	if (s->set_uid && (s->uid != a->uid || cred->uid != a->uid))
		return -EPERM;
	if (s->set_gid &&
		(cred->uid != a->uid || (s->gid != a->gid && !perm_in_group(cred, s->gid))))
		return -EPERM;
	return 0;
}

static int time_changes(
	const struct fsal_cred *cred, const struct fsal_attr *a, const struct fsal_sattr *s)
{
	if (perm_owns(cred, a))
		return 0;
	if (s->atime_how == FSAL_TIME_SET || s->mtime_how == FSAL_TIME_SET)
		return -EPERM;
	bool touches = s->atime_how == FSAL_TIME_NOW || s->mtime_how == FSAL_TIME_NOW;
	return touches && !perm_grants(cred, a, PERM_WRITE) ? -EACCES : 0;
}

int perm_setattr(const struct fsal_cred *cred, const struct fsal_attr *a, struct fsal_sattr *s)
{
	int r = owner_changes(cred, a, s);

	if (r == 0)
		r = time_changes(cred, a, s);
	if (r == 0 && s->set_mode && !perm_owns(cred, a))
		r = -EPERM;
	/* The size of a file that its owner holds open may be changed whatever its mode says now.
	 */
	if (r == 0 && s->set_size && !perm_owns(cred, a) && !perm_grants(cred, a, PERM_WRITE))
		r = -EACCES;
	if (r < 0 || perm_is_root(cred))
		return r;
	bool file = (a->mode & S_IFMT) != S_IFDIR;
	uint32_t gid = s->set_gid ? s->gid : a->gid;
	if (s->set_mode && !perm_in_group(cred, gid))
		s->mode &= ~(uint32_t)S_ISGID;
	bool falls = s->set_size || ((s->set_uid || s->set_gid) && !s->set_mode);
	uint32_t drops = (a->mode & S_ISUID) |
		((a->mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) ? S_ISGID : 0);
	if (file && falls && drops && !s->set_mode) {
		s->set_mode = true;
		s->mode = a->mode & 07777 & ~drops;
	}
	return 0;
}
