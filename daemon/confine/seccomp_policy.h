/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Which system calls a sandbox may make (decisions, [8]). One table holds every call that Linux
 * has numbered so far: it is allowed, allowed for some arguments, refused (EPERM), or played as
 * absent (ENOSYS); a number that the table does not name is absent too, so that a call which a
 * later kernel invents is closed until somebody has thought about it. Calls through another
 * architecture's door (i386 compat, x32) kill the process.
 *
 * The helper builds the program once, when it starts, and every sandbox loads the same bytes:
 * building costs a millisecond, loading tens of microseconds.
 */
#pragma once

#include "daemon/base/base.h"
#include <linux/filter.h>

enum seccomp_verdict {
	SECCOMP_ALLOW,
	SECCOMP_REFUSE, /* EPERM: the call exists and is forbidden here */
	SECCOMP_ABSENT, /* ENOSYS: programs then take their older way */
};

/* `argument & mask == value`; 32 bits, because the kernel truncates these arguments to an int and
 * a comparison of 64 would be passed by garbage in the upper half. */
struct seccomp_match {
	uint8_t argument; /* 0..5 */
	uint32_t mask;
	uint32_t value;
};

enum { SECCOMP_MATCHES_MAX = 3, SECCOMP_PROGRAM_MAX = 4096 /* BPF_MAXINSNS */ };

/* A program as prctl(PR_SET_SECCOMP) takes it. */
struct seccomp_program {
	struct sock_filter *filter; /* owned; NULL if none */
	unsigned short len; /* instructions */
};

/* Builds the program for the architecture that this was compiled for. Allocates. -ENOMEM, or what
 * libseccomp says. */
int seccomp_policy_build(struct seccomp_program *ret) MUST_USE;

/* The program of who starts sandboxes: it allows what a sandbox may call, with any arguments,
 * because a sandbox inherits it, and the calls that `own` names (NULL-ended), and refuses all
 * others. What libseccomp does not know is refused. */
int seccomp_keeper_build(const char *const own[], struct seccomp_program *ret) MUST_USE;

void seccomp_program_fini(struct seccomp_program *p);

/* Confines the calling thread and what it will become, with no_new_privs set by the caller. Uses
 * no memory but the program: may be called between fork and exec. Returns -errno, no trail. */
int seccomp_program_load(const struct seccomp_program *p) MUST_USE;

/* The table, for tests, `aegis doctor` and `aegis-audit why`: what happens to a call of that name
 * with these arguments, and the reason of its group in *ret_why (a literal; NULL allowed). */
enum seccomp_verdict seccomp_policy_verdict(
	const char *call, const uint64_t arguments[6], const char **ret_why);
bool seccomp_policy_names(const char *call); /* the table has thought about it */
