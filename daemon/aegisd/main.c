/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * aegisd: the unprivileged half. Everything that needs root (the doctor's probes, the data
 * directory's owner) happens here, before it drops to its own uid for good and before a single byte
 * from outside is read.
 */
#include "daemon/base/usage.h"
#include "daemon/aegisd/aegisd.h"
#include "daemon/aegisd/privilege.h"
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static const struct usage_option option_table[] = {
	{"config", 'c', "FILE",
		"Node configuration; else it is searched for, and without one the defaults hold"},
	{"helper-socket", 's', "PATH",
		"Socket of aegis-helper (default /run/aegis-helper/helper.sock)"},
	{"runtimes", 'r', "FILE", "Runtime registry (default /var/lib/aegis-helper/runtimes)"},
	{"user", 'u', "UID:GID", "Drop to these ids after the start; needed when started by root"},
	{"socket", 'p', "PATH", "The Unix door (default: the configuration's)"},
	{"no-auth", 'n', NULL, "No bearer key on the TCP door; refused unless it is on loopback"},
	{"manual", 'm', NULL, "Print the manual page, aegisd(8)"},
	{"completion", 'C', "SHELL", "Print a completion script for bash, zsh or fish"},
	{"version", 'v', NULL, "Print the version"},
	{"help", 'h', NULL, "Print this"},
	{NULL, 0, NULL, NULL},
};

static const struct usage usage = {
	.program = "aegisd",
	.section = 8,
	.summary = "the AEGIS daemon: runs agents in sandboxes, decides and records what they do",
	.synopsis = "[options]",
	.options = option_table,
	.text = "aegisd has no privilege once it is up; aegis-helper, which must run before it, "
		"does "
		"what needs root. \"aegis daemon start\" starts both, and \"aegis daemon install\" "
		"writes units for systemd.\n"
		"\n"
		"SIGHUP reads the configuration and the policies again; what cannot be read leaves "
		"the "
		"old ones in force. SIGTERM and SIGINT end it: running executions go on at the "
		"next "
		"start.\n"
		"\n"
		"Exit status: 0 after SIGTERM or SIGINT, 1 after a failure, 2 if the options are "
		"not "
		"accepted.",
	.example = "aegisd --config /etc/aegis/config.yaml --user 990:990",
};

static int parse_user(struct aegisd *d, const char *text)
{
	struct span s = span_cstr(text);
	ssize_t colon = span_find_byte(s, ':', 0);
	uint64_t uid = 0, gid = 0;
	if (colon < 0 || span_to_u64(span_sub(s, 0, (size_t)colon), &uid) < 0 ||
		span_to_u64(span_sub(s, (size_t)colon + 1, s.n), &gid) < 0 || uid == 0 ||
		gid == 0 || uid > INT32_MAX || gid > INT32_MAX)
		return err_raise(
			-EINVAL, "--user %s: UID:GID is accepted, two numbers above 0", text);
	d->uid = (uid_t)uid;
	d->gid = (gid_t)gid;
	d->drop = true;
	return 0;
}

enum parse_outcome { PARSE_DONE = 1 };

static int parse_options(struct aegisd *d, int argc, char **argv)
{
	struct option accepted[USAGE_OPTIONS_MAX + 1];

	usage_getopt(&usage, accepted);
	for (int option; (option = getopt_long(argc, argv, "c:", accepted, NULL)) != -1;) {
		switch (option) {
		case 'c':
			d->config_path = optarg;
			break;
		case 's':
			d->helper_socket = optarg;
			break;
		case 'r':
			d->runtimes_path = optarg;
			break;
		case 'p':
			d->socket_path = optarg;
			break;
		case 'n':
			d->no_auth = true;
			break;
		case 'u': {
			int r = parse_user(d, optarg);
			if (r < 0)
				return err_trace(r);
			break;
		}
		case 'v':
			printf("aegisd " AEGIS_VERSION "\n");
			return PARSE_DONE;
		case 'h':
			usage_print(&usage, usage_text);
			return PARSE_DONE;
		case 'm':
			usage_print(&usage, usage_manual);
			return PARSE_DONE;
		case 'C': {
			int r = usage_print_completion(&usage, optarg);
			return r < 0 ? err_trace(r) : PARSE_DONE;
		}
		default:
			return err_raise(-EINVAL, "see aegisd --help");
		}
	}
	return optind == argc ? 0
			      : err_raise(-EINVAL, "'%s': no arguments are accepted", argv[optind]);
}

static int config_open(struct aegisd *d)
{
	static const struct config_environment env = {0};
	struct config_search search;
	const char *path = NULL;
	struct report report;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_API_MANIFEST_ARENA_BYTES);

	int r = config_discover(d->config_path, &env, &search, &path);
	if (r == CONFIG_NOT_FOUND)
		return err_raise(-ENOENT, "configuration '%s' does not exist",
			search.tried[search.count - 1].path);
	if (r < 0)
		return err_trace(r);
	if (!path)
		return err_trace(config_default(&env, &d->config));
	r = a ? report_init(&report, a, path) : -ENOMEM;
	if (r == 0)
		r = config_load(path, &env, &report, &d->config);
	if (r < 0)
		return err_trace(r);
	struct buf text CLEANUP(buf_fini) = buf_init(1024 * 1024);
	report_text(&report, &text);
	if (text.len)
		fprintf(stderr, SPAN_FMT, SPAN_ARG(buf_view(&text)));
	return r == CONFIG_INVALID ? err_raise(-EINVAL, "configuration '%s' is not valid", path)
				   : 0;
}

/* A node without a resolver runs; its agents reach addresses, and no names. */
static void resolvers_read(struct aegisd *d)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_RESOLVER_CONF_BYTES);
	int r = fd_read_file("/etc/resolv.conf", &b);

	if (r == 0)
		r = resolver_servers_parse(buf_view(&b), &d->resolvers);
	if (r < 0)
		log_warn("agents cannot resolve names: %s", err_message(r));
	err_clear();
}

static int registry_open(struct aegisd *d)
{
	AUTO_FD fd = open(d->runtimes_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(-errno,
			"runtime registry '%s' (aegis-helper writes it at its first start)",
			d->runtimes_path);
	return err_trace(runtime_registry_read(fd, d->runtimes_path, &d->registry));
}

static void log_open(const struct config *c)
{
	static const enum log_level levels[] = {
		[CONFIG_LOG_TRACE] = LOG_DEBUG,
		[CONFIG_LOG_DEBUG] = LOG_DEBUG,
		[CONFIG_LOG_INFO] = LOG_INFO,
		[CONFIG_LOG_WARN] = LOG_WARN,
		[CONFIG_LOG_ERROR] = LOG_ERROR,
	};
	const struct config_logging *logging = &c->observability.logging;
	bool to_people = isatty(STDERR_FILENO);
	log_setup(levels[logging->level],
		logging->format == CONFIG_LOG_JSON && !to_people ? LOG_JSON : LOG_TEXT, "aegisd");
}

static int drop_privileges(const struct aegisd *d)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(-errno, "set no_new_privs");
	if (d->drop)
		return err_trace(privilege_drop(d->uid, d->gid));
	if (geteuid() == 0)
		return err_raise(-EPERM,
			"aegisd parses what strangers send and does not run as root: give --user "
			"UID:GID");
	return 0;
}

static int run(struct aegisd *d)
{
	int r = config_open(d);
	if (r == 0) {
		d->first_config = config_ref(d->config);
		log_open(d->config);
		/* The doctor tries what the data directory's file system can do. */
		r = aegisd_prepare(d);
	}
	if (r == 0) {
		doctor_run(&(struct doctor_options){.data_dir = d->config->daemon.data_directory},
			d->doctor);
		r = aegisd_require(d);
	}
	if (r == 0)
		r = drop_privileges(d);
	if (r == 0)
		r = registry_open(d);
	if (r == 0)
		resolvers_read(d);
	if (r < 0)
		return err_trace(r);
	struct rt_options options = {.workers = (int)d->config->daemon.workers};
	fd_raise_limit();
	return err_trace(rt_run(&options, aegisd_main, d));
}

int main(int argc, char **argv)
{
	struct aegisd d = {
		.helper_socket = "/run/aegis-helper/helper.sock",
		.runtimes_path = "/var/lib/aegis-helper/runtimes",
	};
	log_setup(LOG_INFO, LOG_TEXT, "aegisd");
	int r = parse_options(&d, argc, argv);
	if (r == PARSE_DONE)
		return 0;
	if (r < 0) {
		fprintf(stderr, "aegisd: %s\n", err_message(r));
		return 2;
	}
	d.doctor = calloc(1, sizeof(*d.doctor));
	r = d.doctor ? run(&d) : -ENOMEM;
	if (r < 0) {
		fprintf(stderr, "aegisd: %s\n", err_message(r));
		d.exit_code = 1;
	}
	secret_free(d.bearer_key);
	free(d.smcp_keys_path);
	free(d.smcp_workspaces_path);
	runtime_registry_free(d.registry);
	config_unref(d.config);
	config_unref(d.first_config);
	free(d.doctor);
	return d.exit_code;
}
