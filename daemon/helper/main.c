/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * aegis-helper: the privileged half. It is told everything on its command line, which is root's,
 * and reads no configuration of aegisd's.
 */
#include "daemon/base/usage.h"
#include "daemon/helper/harden.h"
#include "daemon/helper/monitor.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const struct usage_option options[] = {
	{"uid", 'u', "UID", "Id of aegisd, the only one who may speak to the helper"},
	{"gid", 'g', "GID", "Its group"},
	{"slots", 's', "BASE:COUNT", "Host uids and gids for sandboxes, one each, nobody else's"},
	{"bootstrap", 'b', "FILE", "aegis-bootstrap, the first process of every sandbox"},
	{"run-dir", 'r', "DIR", "Sockets (default /run/aegis-helper)"},
	{"state-dir", 'd', "DIR",
		"Audit key, signed heads, workspaces (default /var/lib/aegis-helper)"},
	{"runtimes", 't', "FILE",
		"Runtime registry (default: runtimes in --state-dir, written if missing)"},
	{"cgroup-parent", 'c', "NAME", "Where sandboxes' cgroups stand (default aegis-sandboxes)"},
	{"network-pool", 'n', "N", "Network namespaces kept ready, 0 to 256 (default 8)"},
	{"prepared", 'p', "N",
		"Sandboxes kept ready, of the runtime asked for last, 0 to 256 (default 2)"},
	{"seats", 'e', "N",
		"Cgroups kept ready on hosts with v1 controllers, 0 to 256 (default 8)"},
	{"network-range", 'w', "NET",
		"A /19 of IPv4 that nobody else uses, such as 10.231.0.0/19, for sandboxes with "
		"network; the node then forwards for them (default: none, every sandbox has "
		"loopback only)"},
	{"log-format", 'l', "FORMAT", "text or json (default text)"},
	{"manual", 'm', NULL, "Print the manual page, aegis-helper(8)"},
	{"completion", 'C', "SHELL", "Print a completion script for bash, zsh or fish"},
	{"version", 'v', NULL, "Print the version"},
	{"help", 'h', NULL, "Print this"},
	{NULL, 0, NULL, NULL},
};

static const struct usage usage = {
	.program = "aegis-helper",
	.section = 8,
	.summary = "the privileged half of AEGIS: makes sandboxes for aegisd and signs audit heads",
	.synopsis = "--uid UID --gid GID --slots BASE:COUNT --bootstrap FILE [options]",
	.options = options,
	.text = "Does for aegisd, on typed requests that are checked one by one, what needs root, "
		"and reads "
		"nothing from a network or an agent. Every path is absolute; what is read must "
		"belong to "
		"root and be writable by nobody else.\n"
		"\n"
		"SIGTERM and SIGINT end it; sandboxes live on, and the next helper takes them "
		"over.\n"
		"\n"
		"Exit status: 0 after SIGTERM or SIGINT, 1 after a failure, 2 if the options are "
		"not "
		"accepted.",
	.example = "aegis-helper --uid 990 --gid 990 --slots 1000000:256 \\\n"
		   "    --bootstrap /usr/libexec/aegis/aegis-bootstrap",
};

static int number(const char *option, struct span s, uint64_t most, uint32_t *ret)
{
	uint64_t v;
	if (span_to_u64(s, &v) < 0 || v > most)
		return err_raise(-EINVAL, "--%s " SPAN_FMT ": a number up to %llu is accepted",
			option, SPAN_ARG(s), (unsigned long long)most);
	*ret = (uint32_t)v;
	return 0;
}

static int slots(const char *text, struct host_options *o)
{
	struct span s = span_cstr(text);
	ssize_t colon = span_find_byte(s, ':', 0);
	if (colon < 0)
		return err_raise(-EINVAL, "--slots %s: BASE:COUNT is accepted", text);
	int r = number("slots", span_sub(s, 0, (size_t)colon), INT32_MAX, &o->slot_base);
	if (r == 0)
		r = number("slots", span_sub(s, (size_t)colon + 1, s.n), HELPER_SANDBOXES_MAX,
			&o->slot_count);
	return err_trace(r);
}

static int network_range(const char *text, struct host_options *o)
{
	char base[INET_ADDRSTRLEN] = "";
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : 0;
	struct in_addr a;

	if (n > 0 && n < sizeof(base))
		memcpy(base, text, n);
	if (!slash || strcmp(slash + 1, "19") != 0 || inet_pton(AF_INET, base, &a) != 1 ||
		a.s_addr == 0 || (ntohl(a.s_addr) & 0x1fff) != 0)
		return err_raise(-EINVAL,
			"--network-range %s: the base address of a /19 is accepted, such as "
			"10.231.0.0/19",
			text);
	o->network_range = a;
	return 0;
}

static int log_format(const char *text)
{
	if (strcmp(text, "text") != 0 && strcmp(text, "json") != 0)
		return err_raise(-EINVAL, "--log-format %s: text or json is accepted", text);
	log_setup(LOG_INFO, text[0] == 'j' ? LOG_JSON : LOG_TEXT, "aegis-helper");
	return 0;
}

static int take_option(int option, const char *value, struct host_options *o)
{
	switch (option) {
	case 'u':
		return err_trace(number("uid", span_cstr(value), INT32_MAX, &o->uid));
	case 'g':
		return err_trace(number("gid", span_cstr(value), INT32_MAX, &o->gid));
	case 's':
		return err_trace(slots(value, o));
	case 'n':
		return err_trace(number("network-pool", span_cstr(value), 256, &o->network_pool));
	case 'p':
		return err_trace(number("prepared", span_cstr(value), 256, &o->prepared));
	case 'w':
		return err_trace(network_range(value, o));
	case 'e':
		return err_trace(number("seats", span_cstr(value), 256, &o->seats));
	case 'l':
		return err_trace(log_format(value));
	case 'b':
		o->bootstrap = value;
		return 0;
	case 'r':
		o->run_dir = value;
		return 0;
	case 'd':
		o->state_dir = value;
		return 0;
	case 't':
		o->runtimes = value;
		return 0;
	case 'c':
		o->cgroup_parent = value;
		return 0;
	default:
		return err_raise(-EINVAL, "unknown option; --help lists what is accepted");
	}
}

static int parse(int argc, char **argv, struct host_options *o)
{
	struct option accepted[USAGE_OPTIONS_MAX + 1];
	usage_getopt(&usage, accepted);
	int c, r = 0;
	while (r == 0 && (c = getopt_long(argc, argv, "", accepted, NULL)) != -1) {
		if (c == 'h' || c == 'm' || c == 'v') {
			if (c == 'v')
				puts("aegis-helper " AEGIS_VERSION);
			else
				usage_print(&usage, c == 'h' ? usage_text : usage_manual);
			exit(0);
		}
		if (c == 'C') {
			r = usage_print_completion(&usage, optarg);
			if (r == 0)
				exit(0);
			return err_trace(r);
		}
		r = take_option(c, optarg, o);
	}
	if (r == 0 && (optind != argc || !o->bootstrap || o->slot_count == 0))
		r = err_raise(-EINVAL,
			"--uid, --gid, --slots and --bootstrap are required, and nothing but "
			"options");
	return err_trace(r);
}

int main(int argc, char **argv)
{
	struct host_options o = {
		.run_dir = "/run/aegis-helper",
		.state_dir = "/var/lib/aegis-helper",
		.cgroup_parent = "aegis-sandboxes",
		.network_pool = 8,
		.prepared = 2,
		.seats = 8,
	};
	static struct monitor m;
	log_setup(LOG_INFO, LOG_TEXT, "aegis-helper");
	int r = parse(argc, argv, &o);
	if (r < 0) {
		fprintf(stderr, "aegis-helper: %s; see aegis-helper --help\n", err_message(r));
		return 2;
	}
	r = harden_self();
	if (r == 0)
		r = monitor_open(&m, &o);
	if (r == 0) {
		log_info("serving %s/helper.sock for uid %u", o.run_dir, o.uid);
		r = monitor_run(&m);
		monitor_close(&m);
	}
	if (r < 0)
		err_log(r, "aegis-helper");
	return r < 0;
}
