/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/bench/kernel/places.h"
#include "tests/shell.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

extern const unsigned char bench_empty_object[], bench_empty_object_end[];

static const struct {
	const char *name;
	enum bpf_attach_type type;
} empty_hooks[] = {
	{"empty_egress", BPF_CGROUP_INET_EGRESS},
	{"empty_ingress", BPF_CGROUP_INET_INGRESS},
	{"empty_connect4", BPF_CGROUP_INET4_CONNECT},
	{"empty_connect6", BPF_CGROUP_INET6_CONNECT},
	{"empty_sendmsg4", BPF_CGROUP_UDP4_SENDMSG},
	{"empty_sendmsg6", BPF_CGROUP_UDP6_SENDMSG},
	{"empty_bind4", BPF_CGROUP_INET4_BIND},
	{"empty_bind6", BPF_CGROUP_INET6_BIND},
	{"empty_socket", BPF_CGROUP_INET_SOCK_CREATE},
};

static void make_cgroups(struct place *p)
{
	const char *root = "/sys/fs/cgroup/unified";
	struct statfs fs;
	struct stat st;

	if (statfs(root, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		root = "/sys/fs/cgroup";
	snprintf(p->parent, sizeof(p->parent), "%s/aegis-bench-%d", root, getpid());
	snprintf(p->sandbox, sizeof(p->sandbox), "%s/sandbox", p->parent);
	if (mkdir(p->parent, 0755) < 0 || mkdir(p->sandbox, 0755) < 0 || stat(p->sandbox, &st) < 0)
		die(p->sandbox);
	p->cgroup = st.st_ino;
	p->parent_fd = open(p->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->parent_fd < 0)
		die(p->parent);
}

static void put_range(int map, uint32_t policy, uint32_t third, uint32_t bits)
{
	struct net_prefix_key key = {.bits = 32 + bits, .policy = policy};
	struct net_rules rules = {.count = 1, .rule = {{.port_last = 65535, .id = 1}}};
	const uint8_t address[4] = {192, (uint8_t)(third >> 8), (uint8_t)third, 1};

	key.address[10] = key.address[11] = 0xff;
	memcpy(key.address + 12, address, bits == 128 ? 4 : 3);
	if (bpf_map_update_elem(map, &key, &rules, BPF_ANY) < 0)
		die("net_prefixes");
}

void place_enter_policies(int map, uint32_t policies, uint32_t prefixes)
{
	for (uint32_t i = FIRST_POLICY; i < FIRST_POLICY + policies; i++) {
		put_range(map, i, 2, 128); /* PROBE_ADDRESS */
		for (uint32_t k = 1; k < prefixes; k++)
			put_range(map, i, 256 + k, 120);
	}
}

static void load(struct place *p)
{
	struct net_agent agent = {.policy = POLICY, .slot = SLOT};

	if (netprog_load(p->parent_fd, &(struct net_constants){.level = 2}, &p->net) < 0 ||
		recordprog_open(p->parent_fd, 2, &p->record) < 0) {
		fprintf(stderr, "bench kernel: %s\n", err_message(-EIO));
		exit(1);
	}
	p->empty = bpf_object__open_mem(
		bench_empty_object, (size_t)(bench_empty_object_end - bench_empty_object), NULL);
	if (!p->empty || bpf_object__load(p->empty) < 0)
		die("the empty programs");
	place_enter_policies(p->net.maps[NET_MAP_PREFIXES], POLICIES, PREFIXES);
	if (bpf_map_update_elem(p->net.maps[NET_MAP_AGENTS], &p->cgroup, &agent, BPF_ANY) < 0)
		die("net_agents");
	if (p->record.loaded &&
		recordprog_admit(&p->record, p->cgroup, (struct uuid){{1}}, 1, false) < 0)
		die("record_agents");
}

void place_make(struct place *p)
{
	*p = (struct place){.hooked = HOOKS_NONE};
	make_cgroups(p);
	if (unshare(CLONE_NEWNET) < 0)
		die("network namespace");
	if (!test_shell("ip link set lo up && ip addr add " PROBE_ADDRESS "/32 dev lo"))
		exit(1);
	load(p);
}

static void hook_empty(struct place *p, bool on)
{
	for (size_t i = 0; i < ARRAY_LEN(empty_hooks); i++) {
		int fd = bpf_program__fd(
			bpf_object__find_program_by_name(p->empty, empty_hooks[i].name));
		int r = on
			? bpf_prog_attach(fd, p->parent_fd, empty_hooks[i].type, BPF_F_ALLOW_MULTI)
			: bpf_prog_detach2(fd, p->parent_fd, empty_hooks[i].type);
		if (r < 0)
			die(empty_hooks[i].name);
	}
}

void place_hook(struct place *p, enum hooks h)
{
	if (p->hooked == HOOKS_EMPTY)
		hook_empty(p, false);
	if (p->hooked == HOOKS_OURS) {
		netprog_detach(p->parent_fd);
		recordprog_detach(&p->record);
	}
	if (h == HOOKS_EMPTY)
		hook_empty(p, true);
	if (h == HOOKS_OURS &&
		(netprog_attach(&p->net, p->parent_fd) < 0 ||
			recordprog_attach(&p->record, p->parent_fd) < 0))
		die("attach");
	p->hooked = h;
}

void place_remove(struct place *p)
{
	place_hook(p, HOOKS_NONE);
	bpf_object__close(p->empty);
	netprog_close(&p->net);
	recordprog_close(&p->record);
	close(p->parent_fd);
	if (rmdir(p->sandbox) < 0 || rmdir(p->parent) < 0)
		die(p->parent);
}
