/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/helper/nat.h"
#include "daemon/helper/veth.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FORWARD "/proc/sys/net/ipv4/ip_forward"

/* The comment on the rule that keeps a node closed which forwarded nothing before. */
#define CLOSED "the node forwards for sandboxes only"

enum { RULES_BYTES = 2048 };

/* Two helpers on one node have two ranges, and so two tables. */
static void table_name(struct in_addr range, char ret[32])
{
	snprintf(ret, 32, "aegis_%08x", ntohl(range.s_addr));
}

static void nft_cleanup(struct nft_ctx **nft)
{
	if (*nft)
		nft_ctx_free(*nft);
}

static struct nft_ctx *nft_new(void)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (nft) {
		nft_ctx_buffer_error(nft);
		nft_ctx_buffer_output(nft);
	}
	return nft;
}

static int run(const char *rules)
{
	struct nft_ctx *nft CLEANUP(nft_cleanup) = nft_new();
	char words[200];

	if (!nft)
		return err_raise(-ENOMEM, "no memory for nftables");
	if (nft_run_cmd_from_buffer(nft, rules) == 0)
		return 0;
	snprintf(words, sizeof(words), "%s", nft_ctx_get_error_buffer(nft));
	words[strcspn(words, "\n")] = '\0';
	return err_raise(-EOPNOTSUPP,
		"nftables refuses the table for sandboxes: %s; the kernel needs nf_tables with "
		"nft_masq and nf_conntrack",
		words);
}

/* Whether an earlier helper's table says that the node forwarded nothing before it came. */
static bool was_closed(const char *table)
{
	struct nft_ctx *nft CLEANUP(nft_cleanup) = nft_new();
	char command[64];

	snprintf(command, sizeof(command), "list table ip %s", table);
	return nft && nft_run_cmd_from_buffer(nft, command) == 0 &&
		strstr(nft_ctx_get_output_buffer(nft), CLOSED);
}

static int forwards(bool *ret)
{
	char value = '0';
	AUTO_FD fd = open(FORWARD, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &value, 1) != 1)
		return err_sys(-errno, "read %s", FORWARD);
	*ret = value != '0';
	return 0;
}

static int let_forward(void)
{
	AUTO_FD fd = open(FORWARD, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		return err_sys(-errno, "set %s to 1, which sandboxes with network need", FORWARD);
	return 0;
}

int nat_open(struct in_addr range)
{
	char rules[RULES_BYTES], table[32], base[INET_ADDRSTRLEN], gateway[INET_ADDRSTRLEN];
	struct in_addr at = veth_gateway(range);
	bool forwarded = false;
	int r = forwards(&forwarded);

	if (r < 0)
		return err_trace(r);
	table_name(range, table);
	bool open = forwarded && !was_closed(table);
	inet_ntop(AF_INET, &range, base, sizeof(base));
	inet_ntop(AF_INET, &at, gateway, sizeof(gateway));
	/* "add" and "flush" before it make the table anew, whether it was there or not. */
	snprintf(rules, sizeof(rules),
		"add table ip %s\nflush table ip %s\ntable ip %s {\n"
		"chain input { type filter hook input priority filter - 1; policy accept;\n"
		"  iifname \"" VETH_PREFIX "*\" udp dport 53 accept\n"
		"  iifname \"" VETH_PREFIX "*\" tcp dport 53 accept\n"
		"  iifname \"" VETH_PREFIX "*\" drop\n}\n"
		"chain forward { type filter hook forward priority filter - 1; policy accept;\n"
		"  iifname \"" VETH_PREFIX "*\" oifname \"" VETH_PREFIX "*\" drop\n"
		"  iifname \"" VETH_PREFIX "*\" accept\n"
		"  oifname \"" VETH_PREFIX "*\" ct state established,related accept\n"
		"  oifname \"" VETH_PREFIX "*\" drop\n%s}\n"
		"chain output { type filter hook output priority filter - 1; policy accept;\n"
		"  ip daddr %s drop\n}\n"
		"chain postrouting { type nat hook postrouting priority srcnat; policy accept;\n"
		"  ip saddr %s/%d oifname != \"" VETH_PREFIX "*\" masquerade\n}\n}\n",
		table, table, table, open ? "" : "  drop comment \"" CLOSED "\"\n", gateway, base,
		VETH_RANGE_BITS);
	r = run(rules);
	if (r == 0 && !forwarded)
		r = let_forward();
	return err_trace(r);
}

void nat_close(struct in_addr range)
{
	char rules[128], table[32];

	table_name(range, table);
	snprintf(rules, sizeof(rules), "add table ip %s\ndelete table ip %s\n", table, table);
	if (run(rules) < 0)
		err_clear();
}
