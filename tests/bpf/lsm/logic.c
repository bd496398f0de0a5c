/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The logic of the LSM programs: against a table written down by hand, and as the kernel runs it
 * (BPF_PROG_TEST_RUN, on every kernel) against this compiler's for random questions. Both sides
 * have the same layout of what they share.
 */
#include "bpf/lsm/lsm_logic.h"
#include "daemon/base/base.h"
#include "tests/prop/random.h"
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "tests/bpf/cgroups.h"
#include "tests/tap.h"

extern const unsigned char lsm_wrapped_object[], lsm_wrapped_object_end[];
extern const unsigned char lsm_object[], lsm_object_end[];

enum { QUESTIONS = 3000 };

static void expect(const struct lsm_question *q, enum lsm_verdict v)
{
	if (lsm_decide(q) != v)
		fail_msg("hook %u: %d, expected %d", q->hook, (int)lsm_decide(q), (int)v);
}

static void unknown_sandboxes_do_nothing(void **state)
{
	for (unsigned hook = LSM_HOOK_EXEC; hook < LSM_HOOKS; hook++) {
		expect(&(struct lsm_question){.hook = hook}, LSM_DENY_UNKNOWN_AGENT);
		expect(&(struct lsm_question){.hook = hook, .phase = 7}, LSM_DENY_UNKNOWN_AGENT);
		expect(&(struct lsm_question){.hook = hook, .phase = LSM_MAKING}, LSM_ALLOW);
	}
}

static void acts_end_with_the_seal(void **state)
{
	static const enum lsm_hook acts[] = {LSM_HOOK_MOUNT, LSM_HOOK_MOVE_MOUNT, LSM_HOOK_BPF,
		LSM_HOOK_MODULE, LSM_HOOK_KEY, LSM_HOOK_USERNS};
	for (size_t i = 0; i < ARRAY_LEN(acts); i++)
		expect(&(struct lsm_question){.hook = acts[i], .phase = LSM_SEALED}, LSM_DENY_ACT);
	struct lsm_question trace = {.hook = LSM_HOOK_PTRACE, .phase = LSM_SEALED, .mode = 1 | 16};
	expect(&trace, LSM_ALLOW);
	trace.mode = 2 | 16;
	expect(&trace, LSM_DENY_ACT);
}

static void files_by_their_rights(void **state)
{
	struct lsm_question q = {.hook = LSM_HOOK_EXEC, .phase = LSM_SEALED};
	expect(&q, LSM_ALLOW);
	q.rights = LSM_FORBID_EXEC | LSM_PERMIT_EXEC; /* forbid wins */
	expect(&q, LSM_DENY_RULE);
	q.policy_flags = LSM_LISTED_PROGRAMS;
	expect(&q, LSM_DENY_RULE);
	q.rights = 0;
	expect(&q, LSM_DENY_UNLISTED);
	q.rights = LSM_PERMIT_EXEC;
	expect(&q, LSM_ALLOW);

	q = (struct lsm_question){.hook = LSM_HOOK_OPEN, .phase = LSM_SEALED};
	expect(&q, LSM_ALLOW);
	q.rights = LSM_FORBID_WRITE;
	q.reads = 1;
	expect(&q, LSM_ALLOW);
	q.writes = 1;
	expect(&q, LSM_DENY_RULE);
	q.rights = LSM_FORBID_READ; /* of one that is opened for both, too */
	expect(&q, LSM_DENY_RULE);
	q.writes = 0;
	expect(&q, LSM_DENY_RULE);
	q.reads = 0; /* to be executed */
	expect(&q, LSM_ALLOW);
	q.reads = 1;
	static const uint64_t steering[] = {CGROUP2_SUPER_MAGIC, CGROUP_SUPER_MAGIC, BPF_FS_MAGIC,
		DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC, SYSFS_MAGIC};
	for (size_t i = 0; i < ARRAY_LEN(steering); i++) {
		q.filesystem = steering[i];
		expect(&q, LSM_DENY_FILESYSTEM);
	}
	q.rights = 0;
	q.filesystem = PROC_SUPER_MAGIC;
	expect(&q, LSM_ALLOW);
}

static void socket_kinds(void **state)
{
	static const struct {
		unsigned family, type, protocol;
		enum lsm_verdict v;
	} rows[] = {
		{AF_INET, SOCK_STREAM, 0, LSM_ALLOW},
		{AF_INET6, SOCK_DGRAM, IPPROTO_UDP, LSM_ALLOW},
		{AF_UNIX, SOCK_DGRAM, 0, LSM_ALLOW},
		{AF_NETLINK, SOCK_RAW, 0, LSM_ALLOW},
		{AF_NETLINK, SOCK_RAW, 12, LSM_DENY_SOCKET},
		{AF_UNIX, SOCK_SEQPACKET, 0, LSM_DENY_SOCKET},
		{AF_INET, SOCK_STREAM, IPPROTO_MPTCP, LSM_DENY_SOCKET},
		{AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, LSM_DENY_SOCKET},
		{AF_INET, SOCK_DGRAM, IPPROTO_ICMP, LSM_DENY_SOCKET},
		{AF_INET, SOCK_RAW, IPPROTO_UDP, LSM_DENY_SOCKET},
		{AF_INET6, SOCK_STREAM, IPPROTO_SCTP, LSM_DENY_SOCKET},
		{AF_PACKET, SOCK_RAW, 0, LSM_DENY_SOCKET},
		{AF_VSOCK, SOCK_STREAM, 0, LSM_DENY_SOCKET},
		{AF_ALG, SOCK_SEQPACKET, 0, LSM_DENY_SOCKET},
		{AF_XDP, SOCK_RAW, 0, LSM_DENY_SOCKET},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect(&(struct lsm_question){.hook = LSM_HOOK_SOCKET,
			       .phase = LSM_SEALED,
			       .family = rows[i].family,
			       .type = rows[i].type,
			       .protocol = rows[i].protocol},
			rows[i].v);
}

static struct lsm_question random_question(struct random *r)
{
	static const uint64_t magics[] = {
		0, CGROUP2_SUPER_MAGIC, SYSFS_MAGIC, EXT4_SUPER_MAGIC, 0xcafe4a11, 0xcafe4a12};
	static const unsigned families[] = {0, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};
	static const unsigned protocols[] = {0, 6, 17, 132, 262};
	return (struct lsm_question){
		.filesystem = magics[random_below(r, ARRAY_LEN(magics))],
		.hook = (unsigned)random_below(r, LSM_HOOKS + 2),
		.phase = (unsigned)random_below(r, 4),
		.policy_flags = (unsigned)random_below(r, 4),
		.rights = (unsigned)random_below(r, 16),
		.writes = (unsigned)random_below(r, 2),
		.family = families[random_below(r, ARRAY_LEN(families))],
		.type = (unsigned)random_below(r, 6),
		.protocol = protocols[random_below(r, ARRAY_LEN(protocols))],
		.mode = (unsigned)random_below(r, 32),
	};
}

static void the_kernel_decides_alike(void **state)
{
	struct bpf_object *o = bpf_object__open_mem(
		lsm_wrapped_object, (size_t)(lsm_wrapped_object_end - lsm_wrapped_object), NULL);
	struct random r = {6};

	assert_non_null(o);
	assert_int_equal(bpf_object__load(o), 0);
	struct bpf_program *p = bpf_object__find_program_by_name(o, "lsm_wrapped");
	struct bpf_prog_info info = {0};
	uint32_t bytes = sizeof(info);
	assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &bytes), 0);
	print_message("# %u instructions verified\n", info.verified_insns);
	for (int i = 0; i < QUESTIONS; i++) {
		const struct lsm_question q = random_question(&r);
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &q, .data_size_in = sizeof(q));
		assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(p), &opts), 0);
		assert_int_equal(opts.retval, (unsigned)lsm_decide(&q));
	}
	bpf_object__close(o);
}

/* The sizes that the programs were compiled with, from their own type information. */
static void both_sides_have_one_layout(void **state)
{
	static const struct layout_type types[] = {
		{"lsm_agent", sizeof(struct lsm_agent)},
		{"lsm_policy", sizeof(struct lsm_policy)},
		{"lsm_file_key", sizeof(struct lsm_file_key)},
		{"lsm_file", sizeof(struct lsm_file)},
		{"lsm_counters", sizeof(struct lsm_counters)},
		{"lsm_constants", sizeof(struct lsm_constants)},
	};
	layout_check(lsm_object, (size_t)(lsm_object_end - lsm_object), types, ARRAY_LEN(types));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_sandboxes_do_nothing),
		cmocka_unit_test(acts_end_with_the_seal),
		cmocka_unit_test(files_by_their_rights),
		cmocka_unit_test(socket_kinds),
		cmocka_unit_test(both_sides_have_one_layout),
		cmocka_unit_test(the_kernel_decides_alike),
	};
	return cmocka_run_group_tests_name("lsm logic", tests, NULL, NULL);
}
