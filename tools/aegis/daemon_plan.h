/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The two processes of a node as the command line sees them: aegis-helper (root) and aegisd. Where
 * their programs, folders, sockets, logs and pid files are, and under which ids they run.
 */
#pragma once

#include "tools/aegis/cli.h"
#include "daemon/config/config.h"
#include <sys/types.h>

struct daemon_plan {
	char bin[1024]; /* folder of this program, where aegisd is looked for first */
	char run_dir[1024]; /* --run-dir: the helper's sockets, and our pid files */
	char state_dir[1024]; /* --state-dir: the helper's, root's alone, and our logs */
	char helper_socket[1100], runtimes[1100], slots[64], user[64];
	char uid_text[16], gid_text[16];
	char network_range[32]; /* of sandboxes with network; "": none */
	char *api_socket; /* of aegisd */
	char config_path[4096]; /* absolute; "" for embedded defaults */
	uid_t uid;
	gid_t gid;
	int64_t grace_ms;
};

enum daemon_name { DAEMON_HELPER, DAEMON_AEGISD };
extern const char *const daemon_names[]; /* "aegis-helper", "aegisd" */

/* The options that all verbs of `aegis daemon` share. */
#define DAEMON_OPTIONS \
	{"run-dir", 0, "DIR", "Sockets and pid files (/run/aegis-helper)", NULL}, \
	{ \
		"state-dir", 0, "DIR", "State of the helper, and logs (/var/lib/aegis-helper)", \
			NULL \
	}

/* Of the verbs that start the helper, or say how it is started. */
#define DAEMON_NETWORK_OPTION \
	{ \
		"network-range", 0, "NET", \
			"A /19 of IPv4 that nobody else uses, for sandboxes with network, " \
			"such as 10.231.0.0/19 (none)", \
			NULL \
	}

/* From the configuration and the verb's options. CLI_OK, or an exit code after saying why. */
int daemon_plan_open(struct daemon_plan *p, const struct cli *c) MUST_USE;
/* Takes DAEMON_NETWORK_OPTION of a verb that has it. CLI_OK, or an exit code after saying why. */
int daemon_plan_range(struct daemon_plan *p, const struct cli *c) MUST_USE;
void daemon_plan_close(struct daemon_plan *p);

/* Full path of a program: beside this one, in ../libexec/aegis, or in PATH; false if nowhere. */
bool daemon_program(const struct daemon_plan *p, const char *name, char *ret, size_t size);

/* The arguments of each process, NULL at the end; texts live in the plan and in the paths given. */
enum { DAEMON_ARGS_MAX = 24 };
void daemon_args(const struct daemon_plan *p, enum daemon_name which, const char *program,
	const char *bootstrap, const char *ret[DAEMON_ARGS_MAX]);

/* pid of the process of the pid file, if that pid still is this program; else 0. *ret_pidfd (may be
 * NULL) is a descriptor to signal it by, so that no other process can be hit. */
pid_t daemon_running(const struct daemon_plan *p, enum daemon_name which, int *ret_pidfd);
void daemon_pid_path(const struct daemon_plan *p, enum daemon_name which, char *ret, size_t size);
void daemon_log_path(const struct daemon_plan *p, enum daemon_name which, char *ret, size_t size);

bool daemon_has_systemd(void); /* systemd is PID 1 */
bool daemon_unit_installed(void);
/* Runs systemctl with these words. An enum cli_exit. */
int daemon_systemctl(const char *const *words);
/* pid of the process that systemd runs for this unit; 0 if none. */
pid_t daemon_unit_pid(enum daemon_name which);

/* Kills everything in the sandboxes' cgroup, and removes it. An enum cli_exit. */
int daemon_kill_sandboxes(void);
/* Removes that cgroup if no sandbox is in it. The helper must be down for both. */
void daemon_forget_sandboxes(void);
