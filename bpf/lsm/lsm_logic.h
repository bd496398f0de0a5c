/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the LSM programs decide, as one inline function over memory: no map, no helper, so that the
 * same code runs in the kernel and in a test.
 */
#pragma once

#include "bpf/lsm/lsm_api.h"

#define LSM_INLINE static inline __attribute__((always_inline))

enum {
	LSM_AF_UNIX = 1,
	LSM_AF_INET = 2,
	LSM_AF_INET6 = 10,
	LSM_AF_NETLINK = 16,
	LSM_SOCK_STREAM = 1,
	LSM_SOCK_DGRAM = 2,
	LSM_SOCK_RAW = 3,
	LSM_PROTO_TCP = 6,
	LSM_PROTO_UDP = 17,
	LSM_NETLINK_ROUTE = 0,
	LSM_PTRACE_ATTACH = 2, /* PTRACE_MODE_ATTACH */
};

/* File systems whose files steer the kernel, by the magic number of linux/magic.h. */
#define LSM_CGROUP2_MAGIC 0x63677270UL
#define LSM_CGROUP_MAGIC 0x27e0ebUL
#define LSM_BPF_MAGIC 0xcafe4a11UL
#define LSM_DEBUG_MAGIC 0x64626720UL
#define LSM_TRACE_MAGIC 0x74726163UL
#define LSM_SECURITY_MAGIC 0x73636673UL
#define LSM_SYS_MAGIC 0x62656572UL

/* One question, with what the maps say about it. */
struct lsm_question {
	__u64 filesystem; /* magic number, of OPEN */
	__u32 hook; /* enum lsm_hook */
	__u32 phase; /* enum lsm_phase; 0: the sandbox is unknown */
	__u32 policy_flags;
	__u32 rights; /* of the file, enum lsm_right */
	__u32 reads; /* OPEN: for reading; not to be executed */
	__u32 writes; /* OPEN: for writing */
	__u32 family; /* SOCKET */
	__u32 type;
	__u32 protocol;
	__u32 mode; /* PTRACE */
};

/* TCP, UDP, Unix sockets and the list of interfaces. */
LSM_INLINE int lsm_socket_known(__u32 family, __u32 type, __u32 protocol)
{
	if (family == LSM_AF_UNIX)
		return type == LSM_SOCK_STREAM || type == LSM_SOCK_DGRAM;
	if (family == LSM_AF_INET || family == LSM_AF_INET6)
		return (type == LSM_SOCK_STREAM && (protocol == 0 || protocol == LSM_PROTO_TCP)) ||
			(type == LSM_SOCK_DGRAM && (protocol == 0 || protocol == LSM_PROTO_UDP));
	if (family == LSM_AF_NETLINK)
		return (type == LSM_SOCK_RAW || type == LSM_SOCK_DGRAM) &&
			protocol == LSM_NETLINK_ROUTE;
	return 0;
}

LSM_INLINE int lsm_filesystem_steers(__u64 magic)
{
	return magic == LSM_CGROUP2_MAGIC || magic == LSM_CGROUP_MAGIC || magic == LSM_BPF_MAGIC ||
		magic == LSM_DEBUG_MAGIC || magic == LSM_TRACE_MAGIC ||
		magic == LSM_SECURITY_MAGIC || magic == LSM_SYS_MAGIC;
}

LSM_INLINE enum lsm_verdict lsm_decide_exec(const struct lsm_question *q)
{
	if (q->rights & LSM_FORBID_EXEC)
		return LSM_DENY_RULE;
	if ((q->policy_flags & LSM_LISTED_PROGRAMS) && !(q->rights & LSM_PERMIT_EXEC))
		return LSM_DENY_UNLISTED;
	return LSM_ALLOW;
}

LSM_INLINE enum lsm_verdict lsm_decide_open(const struct lsm_question *q)
{
	if (lsm_filesystem_steers(q->filesystem))
		return LSM_DENY_FILESYSTEM;
	if ((q->reads && (q->rights & LSM_FORBID_READ)) ||
		(q->writes && (q->rights & LSM_FORBID_WRITE)))
		return LSM_DENY_RULE;
	return LSM_ALLOW;
}

LSM_INLINE enum lsm_verdict lsm_decide(const struct lsm_question *q)
{
	if (q->phase == LSM_MAKING)
		return LSM_ALLOW;
	if (q->phase != LSM_SEALED)
		return LSM_DENY_UNKNOWN_AGENT;
	if (q->hook == LSM_HOOK_EXEC)
		return lsm_decide_exec(q);
	if (q->hook == LSM_HOOK_OPEN)
		return lsm_decide_open(q);
	if (q->hook == LSM_HOOK_SOCKET)
		return lsm_socket_known(q->family, q->type, q->protocol) ? LSM_ALLOW
									 : LSM_DENY_SOCKET;
	if (q->hook == LSM_HOOK_PTRACE) /* to read about a neighbour, as ps does, is no harm */
		return q->mode & LSM_PTRACE_ATTACH ? LSM_DENY_ACT : LSM_ALLOW;
	return LSM_DENY_ACT;
}
