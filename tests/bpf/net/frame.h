/* SPDX-License-Identifier: AGPL-3.0-only */
/* Frames, and the programs to give them to: loaded for the hierarchy's root, which is the one
 * cgroup that a test run belongs to on every host. */
#pragma once

#include "bpf/net/net_api.h"
#include "daemon/helper/netprog.h"
#include "tests/tap.h"
#include <bpf/bpf.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

enum { POLICY = 7, SLOT = 3, FRAME_BYTES = 128, ETHER_BYTES = 14 };

static struct netprog programs;
static uint64_t root_cgroup;

static inline int load_programs(void **state)
{
	const char *root = "/sys/fs/cgroup/unified";
	struct statfs fs;
	struct stat st;

	if (statfs(root, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		root = "/sys/fs/cgroup";
	if (statfs(root, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC || stat(root, &st) < 0)
		return -1;
	root_cgroup = st.st_ino;
	int r = netprog_load(-1, &(struct net_constants){.level = 0}, &programs);
	if (r < 0)
		print_message("# %s\n", err_message(r));
	return r;
}

static inline int unload_programs(void **state)
{
	netprog_close(&programs);
	return 0;
}

static inline bool is_ipv4(const uint8_t *address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	return memcmp(address, mapped, 12) == 0;
}

struct packet {
	uint8_t address[16];
	uint16_t port;
	uint8_t protocol;
};

/* An Ethernet frame with the packet, a TCP one being the first of its connection. */
static inline size_t put_frame(const struct packet *p, uint8_t *frame)
{
	uint8_t *ip = frame + ETHER_BYTES, *ports_at;
	size_t n;

	memset(frame, 0, FRAME_BYTES);
	if (is_ipv4(p->address)) {
		frame[12] = 0x08;
		ip[0] = 0x45;
		ip[3] = 40;
		ip[8] = 64;
		ip[9] = p->protocol;
		memcpy(ip + 12, "\x0a\x09\x09\x09", 4);
		memcpy(ip + 16, p->address + 12, 4);
		ports_at = ip + 20;
	} else {
		frame[12] = 0x86;
		frame[13] = 0xdd;
		ip[0] = 0x60;
		ip[5] = 20;
		ip[6] = p->protocol;
		ip[7] = 64;
		ip[8] = 0xfd;
		memcpy(ip + 24, p->address, 16);
		ports_at = ip + 40;
	}
	n = (size_t)(ports_at - frame) + 20;
	ports_at[0] = 0x9c;
	ports_at[2] = (uint8_t)(p->port >> 8);
	ports_at[3] = (uint8_t)p->port;
	if (p->protocol == IPPROTO_TCP) {
		ports_at[12] = 0x50;
		ports_at[13] = 0x02;
	}
	return n;
}

static inline int run(int program, const uint8_t *frame, size_t n)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)n);
	assert_int_equal(bpf_prog_test_run_opts(program, &opts), 0);
	return (int)opts.retval;
}

static inline void enter_agent(void)
{
	struct net_agent agent = {.policy = POLICY, .slot = SLOT};
	assert_int_equal(
		bpf_map_update_elem(programs.maps[NET_MAP_AGENTS], &root_cgroup, &agent, BPF_ANY),
		0);
}
