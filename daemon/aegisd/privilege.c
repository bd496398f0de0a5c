/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/aegisd/privilege.h"
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

int privilege_drop(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_sys(-errno, "drop to %u:%u", uid, gid);
	CHECK(getuid() == uid && geteuid() == uid && getgid() == gid && setuid(0) < 0);
	/* After a change of uid the kernel clears this; a core of aegisd may hold secrets. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(-errno, "forbid core dumps");
	return 0;
}

int privilege_group(const char *name, gid_t *ret)
{
	struct group *g = getgrnam(name);
	if (!g)
		return err_raise(-EINVAL, "there is no group '%s'", name);
	*ret = g->gr_gid;
	return 0;
}
