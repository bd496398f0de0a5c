/* SPDX-License-Identifier: AGPL-3.0-only */
/* Runs a seccomp program as the kernel would, on one made-up call. */
#pragma once

#include "daemon/base/base.h"
#include <linux/filter.h>
#include <linux/seccomp.h>

/* The program's return value; -EINVAL for an instruction that the kernel's checker would refuse
 * or a jump beyond the end. */
int bpf_interpret(const struct sock_filter *filter, unsigned len, const struct seccomp_data *data,
	uint32_t *ret) MUST_USE;
