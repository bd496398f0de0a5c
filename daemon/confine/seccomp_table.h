/* SPDX-License-Identifier: AGPL-3.0-only */
/* The table behind seccomp_policy.h: private to this room and its tests. */
#pragma once

#include "daemon/confine/seccomp_policy.h"

/* Calls that share a fate and the reason for it. */
struct seccomp_group {
	const char *name;
	enum seccomp_verdict verdict;
	const char *why;
	const char *const *calls; /* NULL at the end */
};

/* A call that is allowed only for some arguments; refused for all others. */
struct seccomp_conditional {
	const char *call;
	const char *why;
	/* Allowed if all matches of one of these hold ... */
	const struct seccomp_match (*any)[SECCOMP_MATCHES_MAX]; /* mask 0: unused */
	size_t any_count;
	/* ... or, if `any` is NULL, unless the argument equals one of these values. */
	uint8_t except_argument;
	const uint32_t *except;
	size_t except_count;
};

extern const struct seccomp_group seccomp_groups[];
extern const size_t seccomp_group_count;
extern const struct seccomp_conditional seccomp_conditionals[];
extern const size_t seccomp_conditional_count;

/* `front`, and behind it what stands in the file. -E2BIG, -ENOMEM, -EIO. */
int seccomp_program_read(int fd, const struct sock_filter *front, unsigned front_len,
	struct seccomp_program *ret) MUST_USE;
