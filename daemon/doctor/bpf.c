/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Probes of BPF, by loading the smallest program of each kind and, where that is harmless,
 * attaching it. Lists and versions are not believed: hosts were seen that list BPF among their
 * security modules and refuse every program of it.
 */
#include "daemon/doctor/probe.h"
#include "daemon/helper/lsmprog.h"
#include "daemon/helper/netprog.h"
#include "daemon/helper/recordprog.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <unistd.h>

static const char *const as_root = "ask as root: sudo aegis doctor";

/* return `value`; */
#define RETURN(value) \
	{ \
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = (value)}, \
		{ \
			.code = BPF_JMP | BPF_EXIT \
		} \
	}

static int silent(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return 0;
}

void probe_bpf_cgroup(const struct doctor_options *o, struct doctor_finding *f)
{
	struct bpf_insn allow[] = RETURN(1);
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_CGROUP_INET4_CONNECT);

	if (!is_root()) {
		found(f, DOCTOR_UNAVAILABLE, as_root, "loading BPF programs is root's");
		return;
	}
	libbpf_set_print(silent);
	AUTO_FD fd = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "doctor", "Dual BSD/GPL", allow,
		ARRAY_LEN(allow), &opts);
	if (fd >= 0)
		found(f, DOCTOR_PREVENTED, NULL, "a program for connect(2) was loaded");
	else
		found(f, DOCTOR_NOT_COVERED, "a kernel with CONFIG_CGROUP_BPF", "loading one: %s",
			strerror(-fd));
}

/* Loads and attaches a program that changes nothing. 0, or -errno with the step in *ret_step. */
static int try_btf(enum bpf_prog_type type, enum bpf_attach_type attach, const char *hook,
	const char **ret_step)
{
	struct bpf_insn nothing[] = RETURN(0);
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach);

	*ret_step = "finding the hook in the kernel's BTF";
	int id = libbpf_find_vmlinux_btf_id(hook, attach);
	if (id < 0)
		return id;
	opts.attach_btf_id = (uint32_t)id;
	*ret_step = "loading a program";
	AUTO_FD fd =
		bpf_prog_load(type, "doctor", "Dual BSD/GPL", nothing, ARRAY_LEN(nothing), &opts);
	if (fd < 0)
		return fd;
	*ret_step = "attaching a program";
	AUTO_FD link = bpf_raw_tracepoint_open(NULL, fd);
	return link < 0 ? link : 0;
}

/* The very programs that the helper attaches, and the means of a sandbox's link. */
void probe_network_policy(const struct doctor_options *o, struct doctor_finding *f)
{
	struct netprog programs;

	if (!is_root()) {
		found(f, DOCTOR_UNAVAILABLE, as_root, "loading BPF programs is root's");
		return;
	}
	int r = netprog_load(-1, &(struct net_constants){.level = 1}, &programs);
	if (r < 0) {
		found(f, DOCTOR_NOT_COVERED,
			"a kernel from 6.1 with CONFIG_CGROUP_BPF and CONFIG_BPF_SYSCALL; without "
			"it "
			"sandboxes have loopback only",
			"%s", err_message(r));
		err_clear();
		return;
	}
	found(f, DOCTOR_PREVENTED, NULL,
		"the programs load (%u instructions); sandboxes get network where aegis-helper "
		"runs "
		"with --network-range, IPv4 only",
		programs.instructions);
	netprog_close(&programs);
}

/* The very programs that the helper attaches to the sandboxes' cgroup. */
void probe_bpf_lsm(const struct doctor_options *o, struct doctor_finding *f)
{
	const char *step = "",
		   *how = "a kernel with CONFIG_BPF_LSM, and bpf in the lsm= list of its "
			  "command line (Debian 12 has both)";
	char list[256] = "";
	struct lsmprog programs;

	if (!is_root()) {
		found(f, DOCTOR_UNAVAILABLE, as_root, "loading BPF programs is root's");
		return;
	}
	bool known = read_line("/sys/kernel/security/lsm", list, sizeof(list));
	int r = lsmprog_load(-1, 1, &programs);
	if (r < 0) {
		found(f, DOCTOR_NOT_COVERED, how, "%s", err_message(r));
		err_clear();
		return;
	}
	uint32_t instructions = programs.programs.instructions;
	lsmprog_close(&programs);
	/* Only attaching shows whether there are trampolines. */
	r = try_btf(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "file_open", &step);
	if (r < 0)
		found(f, DOCTOR_NOT_COVERED, how, "%s: %s", step, strerror(-r));
	else if (known && !strstr(list, "bpf"))
		/* It loads and attaches, and is never called. */
		found(f, DOCTOR_NOT_COVERED, how, "bpf is not among the security modules: %.150s",
			list);
	else
		found(f, DOCTOR_PREVENTED, NULL,
			"the LSM programs load (%u instructions) and attach", instructions);
}

/* The very programs that the helper attaches. */
void probe_bpf_tracing(const struct doctor_options *o, struct doctor_finding *f)
{
	static const char how[] = "a kernel with CONFIG_DEBUG_INFO_BTF and BPF events; without it "
				  "what agents' programs do is not recorded";
	struct recordprog programs;
	const char *step;

	if (!is_root()) {
		found(f, DOCTOR_UNAVAILABLE, as_root, "loading BPF programs is root's");
		return;
	}
	int r = recordprog_load(-1, 1, &programs);
	if (r < 0) {
		found(f, DOCTOR_NOT_COVERED, how, "%s", err_message(r));
		err_clear();
		return;
	}
	uint32_t instructions = programs.programs.instructions;
	recordprog_close(&programs);
	r = try_btf(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "sched_process_exec", &step);
	if (r < 0)
		found(f, DOCTOR_NOT_COVERED, how, "%s: %s", step, strerror(-r));
	else
		found(f, DOCTOR_DETECTED, NULL,
			"recorded of every sandbox: fork, exec with its arguments, exit, io_uring "
			"rings made and what is asked of them (%u instructions, %d MiB of ring). "
			"While a sandbox lives, each fork, exec and exit of the host costs one "
			"look-up more; system calls cost nothing. Threads are their process's. "
			"Recording can be strict (spec.audit.recording, spec.security.recording)",
			instructions, RECORD_RING_BYTES >> 20);
}
