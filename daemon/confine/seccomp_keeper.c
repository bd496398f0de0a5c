/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A program for the process that starts sandboxes. It cannot be narrower than theirs, which they
 * put on top of it: where both refuse, the kernel takes the errno of theirs, so that nothing
 * changes for them. What it takes away from its owner is what neither of them has a use for: new
 * kernel code, the clock, swap, rings, other processes' memory.
 */
#include "daemon/confine/seccomp_table.h"
#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

static void context_cleanup(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

static int allow(scmp_filter_ctx ctx, const char *call)
{
	int number = seccomp_syscall_resolve_name(call);
	if (number < 0)
		return 0; /* not of this architecture, or newer than the library: refused */
	int r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 0);
	return r < 0 && r != -EEXIST ? err_raise(r, "seccomp: rule for %s", call) : 0;
}

static int allow_all(scmp_filter_ctx ctx, const char *const calls[])
{
	int r = 0;
	for (; r == 0 && *calls; calls++)
		r = allow(ctx, *calls);
	return err_trace(r);
}

static int add_rules(scmp_filter_ctx ctx, const char *const own[])
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r < 0)
		return err_raise(r, "seccomp: attributes");
	for (size_t i = 0; r == 0 && i < seccomp_group_count; i++) {
		if (seccomp_groups[i].verdict == SECCOMP_ALLOW)
			r = allow_all(ctx, seccomp_groups[i].calls);
	}
	for (size_t i = 0; r == 0 && i < seccomp_conditional_count; i++)
		r = allow(ctx, seccomp_conditionals[i].call);
	return r == 0 ? err_trace(allow_all(ctx, own)) : err_trace(r);
}

int seccomp_keeper_build(const char *const own[], struct seccomp_program *ret)
{
	scmp_filter_ctx ctx CLEANUP(context_cleanup) = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	AUTO_FD fd = memfd_create("seccomp", MFD_CLOEXEC);
	if (!ctx)
		return err_raise(-ENOMEM, "seccomp program");
	if (fd < 0)
		return err_sys(-errno, "memfd_create for the seccomp program");
	int r = add_rules(ctx, own);
	if (r < 0)
		return err_trace(r);
	if ((r = seccomp_export_bpf(ctx, fd)) < 0)
		return err_raise(r, "seccomp: export of the program");
	return err_trace(seccomp_program_read(fd, NULL, 0, ret));
}
