/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Turns the table into one program through libseccomp, whose optimiser arranges the numbers as a
 * binary tree: the kernel walks that tree once per number when the program is loaded, so a tree
 * loads several times faster than a chain.
 *
 * Invariant: the program and seccomp_policy_verdict() agree on every number and argument. A test
 * interprets the program to prove it.
 */
#include "daemon/confine/seccomp_table.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void context_cleanup(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

/* The number of a call on this architecture. False where the architecture never had it, or where
 * libseccomp is older than the call: then it is unknown, and unknown numbers are absent. */
static bool call_number(const char *call, int *ret)
{
	int number = seccomp_syscall_resolve_name(call);

	if (number < 0)
		return false;
	*ret = number;
	return true;
}

static int add_group(scmp_filter_ctx ctx, const struct seccomp_group *g)
{
	uint32_t action = g->verdict == SECCOMP_ALLOW ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS);

	/* Refused is the filter's default, which libseccomp wants left unsaid. */
	if (g->verdict == SECCOMP_REFUSE)
		return 0;
	for (const char *const *call = g->calls; *call; call++) {
		int number;
		if (!call_number(*call, &number))
			continue;
		int r = seccomp_rule_add_exact_array(ctx, action, number, 0, NULL);
		if (r < 0)
			return err_raise(r, "seccomp rule for %s", *call);
	}
	return 0;
}

static int add_matches(scmp_filter_ctx ctx, const char *call, int number,
	const struct seccomp_match matches[SECCOMP_MATCHES_MAX])
{
	struct scmp_arg_cmp compare[SECCOMP_MATCHES_MAX];
	unsigned count = 0;

	for (int i = 0; i < SECCOMP_MATCHES_MAX && matches[i].mask; i++)
		compare[count++] = SCMP_CMP(
			matches[i].argument, SCMP_CMP_MASKED_EQ, matches[i].mask, matches[i].value);
	int r = seccomp_rule_add_exact_array(ctx, SCMP_ACT_ALLOW, number, count, compare);
	if (r < 0)
		return err_raise(r, "seccomp rule for %s", call);
	return 0;
}

/*
 * "Anything but these values", in a language that only knows "these bits are so": go down the bits
 * from the top along each prefix that some value shares, and allow a branch as soon as none does.
 */
static int add_all_but(scmp_filter_ctx ctx, const struct seccomp_conditional *c, int number,
	uint32_t mask, uint32_t prefix)
{
	bool shared = false;

	for (size_t i = 0; i < c->except_count; i++)
		shared |= (c->except[i] & mask) == prefix;
	if (!shared) {
		const struct seccomp_match branch[SECCOMP_MATCHES_MAX] = {
			{c->except_argument, mask, prefix}};
		return add_matches(ctx, c->call, number, branch);
	}
	if (mask == UINT32_MAX)
		return 0;
	uint32_t wider = mask >> 1 | UINT32_C(1) << 31;
	uint32_t bit = wider & ~mask;
	int r = add_all_but(ctx, c, number, wider, prefix);
	return r < 0 ? r : add_all_but(ctx, c, number, wider, prefix | bit);
}

static int add_conditional(scmp_filter_ctx ctx, const struct seccomp_conditional *c)
{
	int number;

	if (!call_number(c->call, &number))
		return 0;
	if (!c->any)
		return err_trace(add_all_but(ctx, c, number, 0, 0));
	for (size_t i = 0; i < c->any_count; i++) {
		int r = add_matches(ctx, c->call, number, c->any[i]);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int add_table(scmp_filter_ctx ctx)
{
	int r = 0;

	for (size_t i = 0; i < seccomp_group_count && r >= 0; i++)
		r = add_group(ctx, &seccomp_groups[i]);
	for (size_t i = 0; i < seccomp_conditional_count && r >= 0; i++)
		r = add_conditional(ctx, &seccomp_conditionals[i]);
	return err_trace(r);
}

/* ---- the numbers that the table does not name ---- */

enum {
	NUMBERS_MAX = 1024, /* beyond the newest call of any architecture */
	PREFIX_MAX = 64,
#if defined(__x86_64__)
	NATIVE_ARCH = AUDIT_ARCH_X86_64,
#elif defined(__aarch64__)
	NATIVE_ARCH = AUDIT_ARCH_AARCH64,
#else
#error "the seccomp policy knows x86-64 and aarch64"
#endif
	X32_BIT = 0x40000000,
};

struct prefix {
	struct sock_filter filter[PREFIX_MAX];
	unsigned short len;
};

static void prefix_add(struct prefix *p, struct sock_filter instruction)
{
	CHECK(p->len < PREFIX_MAX);
	p->filter[p->len++] = instruction;
}

static void prefix_absent(struct prefix *p, unsigned first, unsigned last)
{
	prefix_add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 0, 2));
	prefix_add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 1, 0));
	prefix_add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
}

/* libseccomp has one default for "no such rule" and "not with these arguments". The first must be
 * ENOSYS and the second EPERM, so the numbers without any row are answered in front of its
 * program; other architectures, x32 included, are left to it. */
static struct prefix prefix_build(void)
{
	struct prefix p = {.len = 0};
	bool named[NUMBERS_MAX] = {false};
	int number;

	for (size_t i = 0; i < seccomp_group_count; i++)
		for (const char *const *call = seccomp_groups[i].calls; *call; call++)
			if (call_number(*call, &number) && number < NUMBERS_MAX)
				named[number] = true;
	for (size_t i = 0; i < seccomp_conditional_count; i++)
		if (call_number(seccomp_conditionals[i].call, &number) && number < NUMBERS_MAX)
			named[number] = true;

	prefix_add(&p,
		(struct sock_filter)BPF_STMT(
			BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
	unsigned short foreign = p.len;
	prefix_add(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 0, 0));
	prefix_add(&p,
		(struct sock_filter)BPF_STMT(
			BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
	for (unsigned n = 0; n < NUMBERS_MAX; n++) {
		unsigned first = n;
		while (n < NUMBERS_MAX && !named[n])
			n++;
		if (n > first)
			prefix_absent(&p, first, n < NUMBERS_MAX ? n - 1 : X32_BIT - 1);
	}
	p.filter[foreign].jf = (uint8_t)(p.len - foreign - 1);
	return p;
}

/* ---- building and loading ---- */

static int read_program(int fd, const struct prefix *p, struct seccomp_program *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(-errno, "fstat of the exported seccomp program");
	size_t bytes = (size_t)st.st_size;
	size_t count = bytes / sizeof(struct sock_filter) + p->len;
	if (bytes % sizeof(struct sock_filter) || count > SECCOMP_PROGRAM_MAX)
		return err_raise(-E2BIG, "the seccomp program has %zu instructions, at most %d fit",
			count, SECCOMP_PROGRAM_MAX);

	struct sock_filter *filter = calloc(count, sizeof(*filter));
	if (!filter)
		return err_raise(-ENOMEM, "seccomp program of %zu instructions", count);
	memcpy(filter, p->filter, p->len * sizeof(*filter));
	if (pread(fd, filter + p->len, bytes, 0) != (ssize_t)bytes) {
		free(filter);
		return err_raise(-EIO, "the exported seccomp program cannot be read back");
	}
	*ret = (struct seccomp_program){filter, (unsigned short)count};
	return 0;
}

int seccomp_policy_build(struct seccomp_program *ret)
{
	scmp_filter_ctx ctx CLEANUP(context_cleanup) = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	AUTO_FD fd = -1;
	int r;

	if (!ctx)
		return err_raise(-ENOMEM, "seccomp_init");
	if ((r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)) < 0)
		return err_raise(r, "seccomp: kill on calls of other architectures");
	if ((r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2)) < 0)
		return err_raise(r, "seccomp: binary tree");
	if ((r = add_table(ctx)) < 0)
		return err_trace(r);
	fd = memfd_create("seccomp", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(-errno, "memfd_create for the seccomp program");
	if ((r = seccomp_export_bpf(ctx, fd)) < 0)
		return err_raise(r, "seccomp: export of the program");

	struct prefix prefix = prefix_build();
	return err_trace(read_program(fd, &prefix, ret));
}

void seccomp_program_fini(struct seccomp_program *p)
{
	free(p->filter);
	*p = (struct seccomp_program){NULL, 0};
}

int seccomp_program_load(const struct seccomp_program *p)
{
	struct sock_fprog program = {p->len, p->filter};

	/* The call itself, not libc's wrapper: errno of a process that shares its memory with the
	 * parent is the parent's. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return -errno;
	return 0;
}

/* ---- asking the table ---- */

static bool matches_hold(const struct seccomp_match *m, const uint64_t arguments[6])
{
	for (int i = 0; i < SECCOMP_MATCHES_MAX && m[i].mask; i++)
		if (((uint32_t)arguments[m[i].argument] & m[i].mask) != m[i].value)
			return false;
	return true;
}

static bool conditional_allows(const struct seccomp_conditional *c, const uint64_t arguments[6])
{
	for (size_t i = 0; i < c->any_count; i++)
		if (matches_hold(c->any[i], arguments))
			return true;
	if (c->any)
		return false;
	for (size_t i = 0; i < c->except_count; i++)
		if ((uint32_t)arguments[c->except_argument] == c->except[i])
			return false;
	return true;
}

static const struct seccomp_group *group_of(const char *call)
{
	for (size_t i = 0; i < seccomp_group_count; i++)
		for (const char *const *name = seccomp_groups[i].calls; *name; name++)
			if (strcmp(*name, call) == 0)
				return &seccomp_groups[i];
	return NULL;
}

static const struct seccomp_conditional *conditional_of(const char *call)
{
	for (size_t i = 0; i < seccomp_conditional_count; i++)
		if (strcmp(seccomp_conditionals[i].call, call) == 0)
			return &seccomp_conditionals[i];
	return NULL;
}

enum seccomp_verdict seccomp_policy_verdict(
	const char *call, const uint64_t arguments[6], const char **ret_why)
{
	const struct seccomp_conditional *c = conditional_of(call);
	const struct seccomp_group *g = c ? NULL : group_of(call);

	if (ret_why)
		*ret_why = c ? c->why : g ? g->why : "a call that the policy does not know";
	if (c)
		return conditional_allows(c, arguments) ? SECCOMP_ALLOW : SECCOMP_REFUSE;
	return g ? g->verdict : SECCOMP_ABSENT;
}

bool seccomp_policy_names(const char *call)
{
	return conditional_of(call) || group_of(call);
}
