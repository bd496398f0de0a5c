/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Turns the table into one program: in front a binary tree of ranges of numbers, which answers
 * every call whose verdict needs no argument; behind it libseccomp's program for the few whose
 * verdict does, and for other architectures. The kernel runs the whole once per number when it is
 * loaded (to fill its bitmap of plain answers), so its length at run time is the cost of starting a
 * sandbox: the tree loads several times faster than the tree libseccomp makes of all rules.
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

/* ---- libseccomp's half: calls that are judged by their arguments ---- */

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

static int add_conditional(scmp_filter_ctx ctx, const struct seccomp_conditional *c)
{
	int number;

	/* "Anything but these" is said in front. */
	if (!c->any || !call_number(c->call, &number))
		return 0;
	for (size_t i = 0; i < c->any_count; i++) {
		int r = add_matches(ctx, c->call, number, c->any[i]);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

/* ---- our half: ranges of numbers ---- */

enum {
	NUMBERS_MAX = 1024, /* beyond the newest call of any architecture */
	FRONT_MAX = 512,
#if defined(__x86_64__)
	NATIVE_ARCH = AUDIT_ARCH_X86_64,
#elif defined(__aarch64__)
	NATIVE_ARCH = AUDIT_ARCH_AARCH64,
#else
#error "the seccomp policy knows x86-64 and aarch64"
#endif
	X32_BIT = 0x40000000,
};

/* What happens to a number: an enum seccomp_verdict, or one of these. */
enum {
	FATE_ARGUMENTS = 100, /* libseccomp's half decides */
	FATE_EXCEPT, /* and onwards: the conditional of that index, "anything but these" */
};

struct range {
	uint32_t first; /* up to the next range's first */
	int fate;
};

struct front {
	struct sock_filter filter[FRONT_MAX];
	unsigned len;
	struct range ranges[NUMBERS_MAX];
	unsigned range_count;
	/* Jumps to what stands behind, to be set when that place is known. */
	unsigned onwards[FRONT_MAX];
	unsigned onward_count;
};

static void fates_of_numbers(int fates[NUMBERS_MAX])
{
	int number;

	for (int n = 0; n < NUMBERS_MAX; n++)
		fates[n] = SECCOMP_ABSENT;
	for (size_t i = 0; i < seccomp_group_count; i++)
		for (const char *const *call = seccomp_groups[i].calls; *call; call++)
			if (call_number(*call, &number) && number < NUMBERS_MAX)
				fates[number] = (int)seccomp_groups[i].verdict;
	for (size_t i = 0; i < seccomp_conditional_count; i++)
		if (call_number(seccomp_conditionals[i].call, &number) && number < NUMBERS_MAX)
			fates[number] =
				seccomp_conditionals[i].any ? FATE_ARGUMENTS : FATE_EXCEPT + (int)i;
}

static void find_ranges(struct front *f)
{
	int fates[NUMBERS_MAX];

	fates_of_numbers(fates);
	CHECK(fates[NUMBERS_MAX - 1] == SECCOMP_ABSENT); /* as everything up to X32_BIT */
	for (uint32_t n = 0; n < NUMBERS_MAX; n++)
		if (n == 0 || fates[n] != fates[n - 1])
			f->ranges[f->range_count++] = (struct range){n, fates[n]};
	CHECK(f->range_count < NUMBERS_MAX);
	f->ranges[f->range_count++] = (struct range){X32_BIT, FATE_ARGUMENTS};
}

static unsigned emit(struct front *f, uint16_t code, uint32_t k, unsigned jt, unsigned jf)
{
	CHECK(f->len < FRONT_MAX && jt <= UINT8_MAX && jf <= UINT8_MAX);
	f->filter[f->len] = (struct sock_filter){code, (uint8_t)jt, (uint8_t)jf, k};
	return f->len++;
}

static void emit_load(struct front *f, size_t offset)
{
	emit(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void emit_return(struct front *f, uint32_t value)
{
	emit(f, BPF_RET | BPF_K, value, 0, 0);
}

static void emit_onwards(struct front *f)
{
	f->onwards[f->onward_count++] = emit(f, BPF_JMP | BPF_JA, 0, 0, 0);
}

/* "Anything but these values": rules of libseccomp can only say "these bits are so". */
static void emit_except(struct front *f, const struct seccomp_conditional *c)
{
	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half comes first");
	emit_load(f, offsetof(struct seccomp_data, args) + c->except_argument * sizeof(uint64_t));
	for (size_t i = 0; i < c->except_count; i++)
		emit(f, BPF_JMP | BPF_JEQ | BPF_K, c->except[i], (unsigned)(c->except_count - i),
			0);
	emit_return(f, SECCOMP_RET_ALLOW);
	emit_return(f, SECCOMP_RET_ERRNO | EPERM);
}

static void emit_fate(struct front *f, int fate)
{
	if (fate >= FATE_EXCEPT)
		emit_except(f, &seccomp_conditionals[fate - FATE_EXCEPT]);
	else if (fate == FATE_ARGUMENTS)
		emit_onwards(f);
	else if (fate == SECCOMP_ALLOW)
		emit_return(f, SECCOMP_RET_ALLOW);
	else
		emit_return(f, SECCOMP_RET_ERRNO | (fate == SECCOMP_REFUSE ? EPERM : ENOSYS));
}

/* The tree over ranges [from, to): the number is in the accumulator. */
static void emit_tree(struct front *f, unsigned from, unsigned to)
{
	if (to - from == 1) {
		emit_fate(f, f->ranges[from].fate);
		return;
	}
	unsigned middle = from + (to - from) / 2;
	unsigned node = emit(f, BPF_JMP | BPF_JGE | BPF_K, f->ranges[middle].first, 0, 0);
	emit_tree(f, from, middle);
	CHECK(f->len - node - 1 <= UINT8_MAX);
	f->filter[node].jt = (uint8_t)(f->len - node - 1);
	emit_tree(f, middle, to);
}

static void front_build(struct front *f)
{
	find_ranges(f);
	emit_load(f, offsetof(struct seccomp_data, arch));
	emit(f, BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
	emit_onwards(f);
	emit_load(f, offsetof(struct seccomp_data, nr));
	emit_tree(f, 0, f->range_count);
	for (unsigned i = 0; i < f->onward_count; i++)
		f->filter[f->onwards[i]].k = f->len - f->onwards[i] - 1;
}

/* ---- building and loading ---- */

int seccomp_program_read(
	int fd, const struct sock_filter *front, unsigned front_len, struct seccomp_program *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(-errno, "fstat of the exported seccomp program");
	size_t bytes = (size_t)st.st_size;
	size_t count = bytes / sizeof(struct sock_filter) + front_len;
	if (bytes % sizeof(struct sock_filter) || count > SECCOMP_PROGRAM_MAX)
		return err_raise(-E2BIG, "the seccomp program has %zu instructions, at most %d fit",
			count, SECCOMP_PROGRAM_MAX);

	struct sock_filter *filter = calloc(count, sizeof(*filter));
	if (!filter)
		return err_raise(-ENOMEM, "seccomp program of %zu instructions", count);
	if (front_len > 0)
		memcpy(filter, front, front_len * sizeof(*filter));
	if (pread(fd, filter + front_len, bytes, 0) != (ssize_t)bytes) {
		free(filter);
		return err_raise(-EIO, "the exported seccomp program cannot be read back");
	}
	*ret = (struct seccomp_program){filter, (unsigned short)count};
	return 0;
}

static int export_conditionals(scmp_filter_ctx ctx, int fd)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (r < 0)
		return err_raise(r, "seccomp: kill on calls of other architectures");
	if ((r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2)) < 0)
		return err_raise(r, "seccomp: binary tree");
	for (size_t i = 0; i < seccomp_conditional_count; i++)
		if ((r = add_conditional(ctx, &seccomp_conditionals[i])) < 0)
			return err_trace(r);
	if ((r = seccomp_export_bpf(ctx, fd)) < 0)
		return err_raise(r, "seccomp: export of the program");
	return 0;
}

int seccomp_policy_build(struct seccomp_program *ret)
{
	scmp_filter_ctx ctx CLEANUP(context_cleanup) = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	AUTO_FD fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct front *front = calloc(1, sizeof(*front));
	int r = 0;

	if (!ctx || !front)
		r = err_raise(-ENOMEM, "seccomp program");
	else if (fd < 0)
		r = err_sys(-errno, "memfd_create for the seccomp program");
	if (r == 0)
		r = export_conditionals(ctx, fd);
	if (r == 0) {
		front_build(front);
		r = seccomp_program_read(fd, front->filter, front->len, ret);
	}
	free(front);
	return err_trace(r);
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
