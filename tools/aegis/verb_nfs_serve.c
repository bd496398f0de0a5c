/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/nfs_serve.h"
#include <arpa/inet.h>

enum { WINDOW_MS = 1000, WINDOW_MS_MAX = 3600 * 1000 };

/* "127.0.0.1:2049", or an address alone, or ":2049" alone. */
static int parse_listen(const char *text, struct sockaddr_in *ret)
{
	char host[INET_ADDRSTRLEN] = "127.0.0.1";
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : strlen(text);
	uint64_t port = 0;
	*ret = (struct sockaddr_in){.sin_family = AF_INET};
	if (n > 0 && n < sizeof(host)) {
		memcpy(host, text, n);
		host[n] = 0;
	}
	if (n >= sizeof(host) || inet_pton(AF_INET, host, &ret->sin_addr) != 1 ||
		(colon && (span_to_u64(span_cstr(colon + 1), &port) < 0 || port > 65535)))
		return cli_fail(CLI_INVALID,
			"--listen %s: accepted: an IPv4 address, with a colon and a port or "
			"without",
			text);
	ret->sin_port = htons((uint16_t)port);
	return CLI_OK;
}

static int run(struct cli *c)
{
	if (c->names_door)
		return cli_fail(CLI_INVALID,
			"--host and --port are about the daemon's HTTP API, which serves no NFS; "
			"where to listen: --listen ADDRESS:PORT");
	const char *listen = cli_value(c, "listen");
	struct nfs_serve_options o = {
		.directory = c->args[0],
		.export_path = cli_value(c, "export"),
		.policy_file = cli_value(c, "policy"),
		.records_file = cli_value(c, "records"),
		.state_directory = cli_value(c, "state"),
		.posix = cli_value(c, "posix") != NULL,
		.read_only = cli_value(c, "read-only") != NULL,
		.sync = cli_value(c, "sync") != NULL,
		.portmap = cli_value(c, "portmap") != NULL,
	};
	const char *window = cli_value(c, "window");
	uint64_t window_ms = WINDOW_MS;
	if (window && (span_to_u64(span_cstr(window), &window_ms) < 0 || window_ms > WINDOW_MS_MAX))
		return cli_fail(CLI_INVALID,
			"--window %s: accepted: milliseconds, 0 to %d; 0: each operation by itself",
			window, WINDOW_MS_MAX);
	o.window_ms = (int64_t)window_ms;
	int code = parse_listen(listen ? listen : "127.0.0.1", &o.listen);
	if (code != CLI_OK)
		return code;
	if (o.export_path && o.export_path[0] != '/')
		return cli_fail(CLI_INVALID, "--export %s: accepted: a path that begins with /",
			o.export_path);
	int r = nfs_serve(&o);
	return r < 0 ? cli_fail_errno(r) : CLI_OK;
}

static const struct cli_option options[] = {
	{"listen", 0, "ADDRESS:PORT", "Where to listen; else 127.0.0.1 and a free port", NULL},
	{"policy", 0, "FILE", "Cedar policies that decide every operation; else all are allowed",
		NULL},
	{"records", 0, "FILE", "Append what was done, and by which policy, to FILE: lines of JSON",
		NULL},
	{"window", 0, "MS",
		"Reads, writes and look-ups of a file within are one record (1000; 0: none are)",
		NULL},
	{"export", 0, "PATH",
		"Name the path instead of a secret one: open to all who reach the port", NULL},
	{"posix", 0, NULL, "Honour the clients' users and modes as a local file system does (root)",
		NULL},
	{"read-only", 0, NULL, "Refuse every change", NULL},
	{"sync", 0, NULL, "Changes of names, too, survive loss of power", NULL},
	{"portmap", 0, NULL, "Register with this host's port mapper (rpcbind)", NULL},
	{"state", 0, "DIR", "Keep what lets mounts go on after a restart", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_nfs_serve = {
	.group = "nfs",
	.name = "serve",
	.arguments = "DIR",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.summary = "Serve one directory over NFS version 3",
	.help = "Serves DIR to Linux and other NFSv3 clients with the code that serves volumes to\n"
		"sandboxes, and prints the command that mounts it. Its path is a random secret:\n"
		"who does not know it cannot mount. With --export it is what you name, for test\n"
		"suites and load generators, and the port is open to all who reach it.\n"
		"\n"
		"Without --posix everything belongs to the user that runs the server, whoever the\n"
		"clients say they are. With --posix the users that clients name count, which is\n"
		"only for clients that you trust.\n"
		"\n"
		"The policy is read again on SIGHUP and holds from the next operation on, for "
		"files\n"
		"that are open, too; one with a mistake changes nothing.\n"
		"\n"
		"With --state, the server may be killed and started again with the same options "
		"and\n"
		"port: mounts go on, and no operation happens twice. It ends at SIGINT or SIGTERM.",
	.examples =
		"aegis nfs serve /srv/data\n"
		"aegis nfs serve /srv/data --listen 10.0.0.1:2049 --state /var/lib/aegis/nfs\n"
		"aegis nfs serve /srv/data --policy rules.cedar --read-only\n"
		"aegis nfs serve /srv/data --policy rules.cedar --records done.jsonl --window 0\n"
		"aegis nfs serve /srv/test --export /test --posix --listen 127.0.0.1:12049",
	.run = run,
};
