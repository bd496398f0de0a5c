/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * aegis-helper: the privileged half. It is told everything on its command line, which is root's,
 * and reads no configuration of aegisd's.
 */
#include "daemon/helper/harden.h"
#include "daemon/helper/monitor.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
	"usage: aegis-helper --uid UID --gid GID --slots BASE:COUNT --bootstrap FILE [options]\n"
	"  --uid UID --gid GID    ids of aegisd, the only one who may speak to the helper\n"
	"  --slots BASE:COUNT     host uids and gids for sandboxes, one each, nobody else's\n"
	"  --bootstrap FILE       aegis-bootstrap, the first process of every sandbox\n"
	"  --run-dir DIR          sockets (default /run/aegis-helper)\n"
	"  --state-dir DIR        audit key, signed heads, workspaces (default "
	"/var/lib/aegis-helper)\n"
	"  --runtimes FILE        runtime registry (default DIR/runtimes, written if missing)\n"
	"  --cgroup-parent NAME   where sandboxes' cgroups stand (default aegis-sandboxes)\n"
	"  --network-pool N       network namespaces kept ready, 0 to 256 (default 8)\n"
	"  --prepared N           sandboxes kept ready, of the runtime asked for last, 0 to 256 "
	"(default 2)\n"
	"  --seats N              cgroups kept ready on hosts with v1 controllers, 0 to 256 "
	"(default 8)\n"
	"  --network-range NET    a /19 of IPv4 that nobody else uses, such as 10.231.0.0/19, for\n"
	"                         sandboxes with network; the node then forwards for them "
	"(default\n"
	"                         none: every sandbox has loopback only)\n"
	"  --log-format FORMAT    text or json (default text)\n"
	"Every path is absolute; what is read must belong to root and be writable by nobody else.\n"
	"example: aegis-helper --uid 990 --gid 990 --slots 1000000:256 \\\n"
	"             --bootstrap /usr/libexec/aegis/aegis-bootstrap\n";

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
	static const struct option options[] = {
		{"uid", required_argument, NULL, 'u'},
		{"gid", required_argument, NULL, 'g'},
		{"slots", required_argument, NULL, 's'},
		{"bootstrap", required_argument, NULL, 'b'},
		{"run-dir", required_argument, NULL, 'r'},
		{"state-dir", required_argument, NULL, 'd'},
		{"runtimes", required_argument, NULL, 't'},
		{"cgroup-parent", required_argument, NULL, 'c'},
		{"network-pool", required_argument, NULL, 'n'},
		{"prepared", required_argument, NULL, 'p'},
		{"seats", required_argument, NULL, 'e'},
		{"network-range", required_argument, NULL, 'w'},
		{"log-format", required_argument, NULL, 'l'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c, r = 0;
	while (r == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'h' || c == 'v') {
			fputs(c == 'h' ? usage : "aegis-helper " AEGIS_VERSION "\n", stdout);
			exit(0);
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
		fprintf(stderr, "aegis-helper: %s\n%s", err_message(r), usage);
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
