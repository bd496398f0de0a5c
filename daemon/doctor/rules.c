/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Per kind of rule: whether what policy forbids is prevented on this host, and by what. Each names
 * the means that carries it and asks the probe of that means; tools/bypass holds what these say
 * against what happens.
 */
#include "daemon/doctor/probe.h"
#include "daemon/helper/guardprog.h"

static const char *const lsm_how = "a kernel with CONFIG_BPF_LSM, and bpf in the lsm= list of its "
				   "command line (Debian 12 has both)";

static enum doctor_level ask(void (*probe)(const struct doctor_options *, struct doctor_finding *),
	const struct doctor_options *o)
{
	struct doctor_finding f = {0};

	probe(o, &f);
	return f.level;
}

static bool has_lsm(const struct doctor_options *o)
{
	return ask(probe_bpf_lsm, o) == DOCTOR_PREVENTED;
}

/* By number of the call, and where there is BPF LSM again by what it comes to. */
static void by_seccomp(
	const struct doctor_options *o, struct doctor_finding *f, const char *what, bool again)
{
	if (ask(probe_seccomp, o) != DOCTOR_PREVENTED)
		found(f, DOCTOR_NOT_COVERED, "a kernel with CONFIG_SECCOMP_FILTER",
			"%s: no filter of system calls here", what);
	else if (again && has_lsm(o))
		found(f, DOCTOR_PREVENTED, NULL,
			"%s by the filter of system calls, and again by "
			"their effect (BPF LSM)",
			what);
	else
		found(f, DOCTOR_PREVENTED, NULL, "%s by the filter of system calls", what);
}

void probe_rule_calls(const struct doctor_options *o, struct doctor_finding *f)
{
	by_seccomp(o, f, "mounting, tracing, bpf, keys, modules and namespaces are refused", true);
}

void probe_rule_sockets(const struct doctor_options *o, struct doctor_finding *f)
{
	by_seccomp(o, f, "raw, packet, vsock, SCTP, MPTCP and other sockets are refused", true);
}

void probe_rule_rings(const struct doctor_options *o, struct doctor_finding *f)
{
	by_seccomp(o, f, "io_uring is refused", false);
}

void probe_rule_set_id(const struct doctor_options *o, struct doctor_finding *f)
{
	by_seccomp(o, f, "set-user-id and set-group-id bits are refused", false);
}

void probe_rule_cgroup(const struct doctor_options *o, struct doctor_finding *f)
{
	by_seccomp(
		o, f, "no cgroup file system is mounted in a sandbox, and clone3 is refused", true);
}

/* The second wall: whoever gets out in spite of all does not go on. */
void probe_rule_leaving(const struct doctor_options *o, struct doctor_finding *f)
{
	struct guardprog guard;

	if (!is_root()) {
		found(f, DOCTOR_UNAVAILABLE, "ask as root: sudo aegis doctor",
			"loading BPF programs is root's");
		return;
	}
	int r = guardprog_load(&(struct guard_constants){.level = 1}, &guard);
	if (r == 0)
		r = guardprog_attach(&guard);
	if (r < 0)
		found(f, DOCTOR_NOT_COVERED,
			"a kernel from 6.1 with CONFIG_DEBUG_INFO_BTF and BPF events", "%s",
			err_message(r));
	else
		found(f, DOCTOR_PREVENTED, NULL,
			"the guard loads (%u instructions) and attaches: a process that leaves is "
			"killed before it goes on; one that another user of the host takes out "
			"lives until it forks or executes",
			guard.programs.instructions);
	if (r < 0)
		err_clear();
	guardprog_close(&guard);
}

void probe_rule_files(const struct doctor_options *o, struct doctor_finding *f)
{
	if (ask(probe_landlock, o) == DOCTOR_PREVENTED)
		found(f, DOCTOR_PREVENTED, NULL,
			"by the mounts of the sandbox, and again by Landlock");
	else
		found(f, DOCTOR_PREVENTED, "Linux 5.13 or later with Landlock is a second wall",
			"by the mounts of the sandbox alone");
}

void probe_rule_running(const struct doctor_options *o, struct doctor_finding *f)
{
	if (has_nfs_client())
		found(f, DOCTOR_PREVENTED, NULL,
			"the files of workspaces are decided operation by operation; the runtime's "
			"are read-only");
	else
		found(f, DOCTOR_NOT_COVERED, "a kernel with an NFS client",
			"mounts and Landlock are fixed before the first instruction: a stricter "
			"rule about a file holds for the file tools, and for new sandboxes");
}

void probe_rule_programs(const struct doctor_options *o, struct doctor_finding *f)
{
	if (!is_root())
		found(f, DOCTOR_UNAVAILABLE, "ask as root: sudo aegis doctor",
			"loading BPF programs is root's");
	else if (has_lsm(o))
		found(f, DOCTOR_PREVENTED, NULL,
			"by inode, in running sandboxes too (BPF LSM); policies that ask for a "
			"command's words are decided for calls of cmd.run only");
	else
		found(f, DOCTOR_NOT_COVERED, lsm_how,
			"policy about programs and the runtime's files is decided for tool calls; "
			"inside a sandbox a program starts and reads whatever the runtime brings");
}

void probe_rule_neighbours(const struct doctor_options *o, struct doctor_finding *f)
{
	if (!is_root())
		found(f, DOCTOR_UNAVAILABLE, "ask as root: sudo aegis doctor",
			"loading BPF programs is root's");
	else if (has_lsm(o))
		found(f, DOCTOR_PREVENTED, NULL, "by effect (BPF LSM)");
	else
		found(f, DOCTOR_NOT_COVERED, lsm_how,
			"the filter of system calls refuses ptrace and its kin, but a process may "
			"read another of its own sandbox through /proc/PID/mem");
}

/* No packet filter can tell names apart that share an address. */
void probe_rule_leases(const struct doctor_options *o, struct doctor_finding *f)
{
	if (ask(probe_network_policy, o) == DOCTOR_PREVENTED)
		found(f, DOCTOR_PREVENTED, NULL,
			"destinations, by the call's own cgroup and the kernel's clock; files and "
			"programs cannot be leased to a call, and a manifest that asks is refused");
	else
		found(f, DOCTOR_NOT_COVERED,
			"what network.policy needs; without it no destination is reached at all",
			"no program decides by the cgroup of a call");
}

void probe_rule_shared(const struct doctor_options *o, struct doctor_finding *f)
{
	found(f, DOCTOR_NOT_COVERED, "permit addresses, or names of hosts that serve one owner",
		"who may reach a name's address may ask it for another name that lives there, "
		"and say anything to it");
}
