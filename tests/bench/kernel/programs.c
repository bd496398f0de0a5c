/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the programs cost by themselves, run by the kernel on a packet of ours (BPF_PROG_TEST_RUN),
 * beside an empty program run likewise: everything is in the CPU's caches then, so it is the least
 * that they can cost. The LSM programs load on few hosts; what they decide is run everywhere,
 * wrapped in a program of another kind.
 */
#include "bpf/lsm/lsm_api.h"
#include "bpf/lsm/lsm_logic.h"
#include "tests/bench/kernel/places.h"
#include "tests/bench/smoke.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

extern const unsigned char bench_empty_object[], bench_empty_object_end[];
extern const unsigned char lsm_wrapped_object[], lsm_wrapped_object_end[];

enum { ROUNDS = 11, RUNS = 100000, FRAME_BYTES = 14 + 20 + 8 + 64, LINK = 1 };

static uint8_t frame[FRAME_BYTES];
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1}, own[4] = {10, 9, 9, 9}, there[4] = {192, 0, 2, 1};

static void make_frame(void)
{
	uint8_t *ip = frame + 14;

	memcpy(frame + 6, mac, 6);
	frame[12] = 8;
	memcpy(ip, (uint8_t[]){0x45, 0, 0, FRAME_BYTES - 14, 0, 1, 0, 0, 64, IPPROTO_UDP}, 10);
	memcpy(ip + 12, own, 4);
	memcpy(ip + 16, there, 4);
	memcpy(ip + 20, (uint8_t[]){0x9c, 0x40, 0x11, 0x51, 0, 72}, 6);
}

static double run_ns(int program, const void *data, size_t bytes, uint32_t verdict)
{
	struct sample s = {0};

	for (int i = 0; i < bench_count(ROUNDS, 1); i++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data,
			.data_size_in = (uint32_t)bytes, .repeat = bench_count(RUNS, 10));
		if (bpf_prog_test_run_opts(program, &opts) < 0)
			die("BPF_PROG_TEST_RUN");
		CHECK(opts.retval == verdict);
		sample_add(&s, opts.duration);
	}
	return sample_best(&s);
}

static struct bpf_object *open_object(const unsigned char *at, const unsigned char *end)
{
	struct bpf_object *o = bpf_object__open_mem(at, (size_t)(end - at), NULL);
	if (!o || bpf_object__load(o) < 0)
		die("load a program");
	return o;
}

static int program_of(const struct bpf_object *o, const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(o, name);
	CHECK(p);
	return bpf_program__fd(p);
}

/* The hierarchy's root is the one cgroup that a test run belongs to. */
static void enter_root(const struct netprog *n)
{
	const char *root = "/sys/fs/cgroup/unified";
	struct statfs fs;
	struct stat st;
	struct net_agent agent = {.policy = POLICY, .slot = SLOT};
	struct net_link link = {.address = {[10] = 0xff, [11] = 0xff}};
	uint32_t interface = LINK;

	if (statfs(root, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		root = "/sys/fs/cgroup";
	if (stat(root, &st) < 0)
		die(root);
	uint64_t cgroup = st.st_ino;
	link.cgroup = cgroup;
	memcpy(link.address + 12, own, 4);
	memcpy(link.mac, mac, 6);
	if (bpf_map_update_elem(n->maps[NET_MAP_AGENTS], &cgroup, &agent, BPF_ANY) < 0 ||
		bpf_map_update_elem(n->maps[NET_MAP_LINKS], &interface, &link, BPF_ANY) < 0)
		die("a sandbox");
}

static void measure_net(const struct bpf_object *empty, uint32_t prefixes, const char *suffix)
{
	static const struct {
		const char *name, *empty;
		int hook; /* -1: the link's */
	} rows[] = {{"egress", "empty_egress", 0}, {"link", "empty_link", -1}};
	struct netprog n;
	char name[64];

	if (netprog_load(-1, &(struct net_constants){.level = 0}, &n) < 0)
		die("the network programs");
	enter_root(&n);
	place_enter_policies(n.maps[NET_MAP_PREFIXES], POLICIES, prefixes);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool link = rows[i].hook < 0;
		double ours = run_ns(
			link ? n.link : n.hooks[rows[i].hook], frame, sizeof(frame), link ? 0 : 1);
		double nothing = run_ns(program_of(empty, rows[i].empty), frame, sizeof(frame), 1);
		snprintf(name, sizeof(name), "%s_alone%s", rows[i].name, suffix);
		figure(name, ours, "ns", "an empty program", nothing, NULL, false);
	}
	netprog_close(&n);
}

static void measure_lsm(const struct bpf_object *empty)
{
	struct bpf_object *o = open_object(lsm_wrapped_object, lsm_wrapped_object_end);
	const struct lsm_question q = {.hook = LSM_HOOK_OPEN,
		.phase = LSM_SEALED,
		.reads = 1,
		.rights = LSM_PERMIT_EXEC,
		.filesystem = EXT4_SUPER_MAGIC};
	int program = program_of(o, "lsm_wrapped");
	struct bpf_prog_info info = {0};
	uint32_t bytes = sizeof(info);

	if (bpf_obj_get_info_by_fd(program, &info, &bytes) < 0)
		die("lsm_wrapped");
	figure("lsm_logic_alone", run_ns(program, &q, sizeof(q), LSM_ALLOW), "ns",
		"an empty program",
		run_ns(program_of(empty, "empty_link"), frame, sizeof(frame), 1), NULL, false);
	figure("lsm_logic_verified", info.verified_insns, "instructions", NULL, 0, NULL, false);
	bpf_object__close(o);
}

int main(void)
{
	struct bpf_object *empty = open_object(bench_empty_object, bench_empty_object_end);

	make_frame();
	measure_net(empty, PREFIXES, "");
	measure_net(empty, (uint32_t)bench_count(1000, 20), "_100k_prefixes");
	measure_lsm(empty);
	bpf_object__close(empty);
	return 0;
}
