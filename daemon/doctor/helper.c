/* SPDX-License-Identifier: AGPL-3.0-only */
/* The privileged process, as the kernel shows it: whether it holds only what it uses. */
#include "daemon/doctor/probe.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_helper(const char *pid)
{
	char path[64], name[32];

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	return pid[0] >= '1' && pid[0] <= '9' && read_line(path, name, sizeof(name)) &&
		strcmp(name, "aegis-helper") == 0;
}

/* Its pid, 0 if none runs. */
static long find_helper(void)
{
	DIR *d = opendir("/proc");
	long pid = 0;

	for (struct dirent *e; d && pid == 0 && (e = readdir(d));) {
		if (is_helper(e->d_name))
			pid = strtol(e->d_name, NULL, 10);
	}
	if (d)
		closedir(d);
	return pid;
}

bool status_is_hardened(const char *status)
{
	return strstr(status, "\nNoNewPrivs:\t1\n") && strstr(status, "\nSeccomp:\t2\n");
}

void probe_helper(const struct doctor_options *o, struct doctor_finding *f)
{
	char path[64], text[4096];
	long pid = find_helper();

	if (pid == 0) {
		found(f, DOCTOR_UNAVAILABLE, "start aegis-helper", "no aegis-helper runs here");
		return;
	}
	snprintf(path, sizeof(path), "/proc/%ld/status", pid);
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	if (status_is_hardened(text))
		found(f, DOCTOR_PREVENTED, NULL,
			"process %ld has a system call filter and cannot gain privileges", pid);
	else
		found(f, DOCTOR_NOT_COVERED, "start the aegis-helper of this build",
			"process %ld has no system call filter, or may gain privileges", pid);
}
