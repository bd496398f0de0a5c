/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Probes of cgroups: pure v2, or hybrid, where v1 hierarchies hold the controllers beside a v2
 * hierarchy without any.
 */
#include "daemon/doctor/probe.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { CGROUP2_MAGIC = 0x63677270, MOUNTS_BYTES = 1024 * 1024 };

static const char *const wanted[] = {"cpu", "memory", "pids"};

/* Where the v2 hierarchy is mounted; NULL if nowhere usual. */
static const char *unified_root(void)
{
	static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct statfs s;
		if (statfs(places[i], &s) == 0 && s.f_type == CGROUP2_MAGIC)
			return places[i];
	}
	return NULL;
}

static bool has_word(const char *text, const char *word)
{
	struct span rest = span_cstr(text), piece;
	bool done = false;

	while (span_split(&rest, ' ', &done, &piece))
		if (span_is(piece, word))
			return true;
	return false;
}

static bool unified_has(const char *root, const char *controller)
{
	char path[128], text[256];

	snprintf(path, sizeof(path), "%s/cgroup.controllers", root);
	return read_line(path, text, sizeof(text)) && has_word(text, controller);
}

static bool legacy_has(const char *controller)
{
	char path[128];
	struct statfs s;

	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", controller);
	return statfs(path, &s) == 0 && s.f_type == 0x27e0eb /* CGROUP_SUPER_MAGIC */;
}

void probe_cgroup(const struct doctor_options *o, struct doctor_finding *f)
{
	const char *root = unified_root(),
		   *how = "boot with systemd.unified_cgroup_hierarchy=1, or "
			  "mount cgroup2 on /sys/fs/cgroup";
	char missing[64] = "";
	bool legacy = false;

	if (!root) {
		found(f, DOCTOR_NOT_COVERED, how, "no cgroup v2 hierarchy is mounted");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		bool in_legacy = !unified_has(root, wanted[i]);
		if (in_legacy && !legacy_has(wanted[i])) {
			size_t n = strlen(missing);
			snprintf(
				missing + n, sizeof(missing) - n, "%s%s", n ? ", " : "", wanted[i]);
		}
		legacy |= in_legacy;
	}
	if (missing[0])
		found(f, DOCTOR_NOT_COVERED,
			"enable them: cgroup_enable=memory on the kernel's command line, or "
			"delegate "
			"them to this machine",
			"controllers that are missing: %s", missing);
	else
		found(f, DOCTOR_PREVENTED, legacy ? "pure cgroup v2 starts sandboxes faster" : NULL,
			"cpu, memory and pids are there (%s)", legacy ? "hybrid" : "cgroup v2");
}

/* The file is in every cgroup but the root one. */
static bool kill_file_in(const char *dir)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/cgroup.kill", dir);
	return access(path, F_OK) == 0;
}

static bool own_cgroup(const char *root, char *ret, size_t size)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024);
	struct span rest, line;
	bool done = false;

	if (fd_read_file("/proc/self/cgroup", &b) < 0)
		return false;
	rest = buf_view(&b);
	while (span_split(&rest, '\n', &done, &line)) {
		if (!span_starts(line, SPAN("0::")))
			continue;
		struct span path = span_sub(line, 3, line.n);
		return (size_t)snprintf(ret, size, "%s" SPAN_FMT, root, SPAN_ARG(path)) < size;
	}
	return false;
}

void probe_cgroup_kill(const struct doctor_options *o, struct doctor_finding *f)
{
	const char *root = unified_root(), *how = "Linux 5.14 or later";
	char dir[200];

	if (!root) {
		found(f, DOCTOR_NOT_COVERED, "mount a cgroup v2 hierarchy",
			"there is no cgroup v2");
		return;
	}
	bool there = own_cgroup(root, dir, sizeof(dir)) && kill_file_in(dir);
	if (!there && is_root()) {
		snprintf(dir, sizeof(dir), "%s/aegis-doctor-%d", root, (int)getpid());
		if (mkdir(dir, 0700) == 0) {
			there = kill_file_in(dir);
			rmdir(dir);
		}
	} else if (!there) {
		found(f, DOCTOR_UNAVAILABLE, "ask as root: sudo aegis doctor",
			"this process is in the root cgroup, which does not show it");
		return;
	}
	if (there)
		found(f, DOCTOR_PREVENTED, NULL, "cgroup.kill ends a whole sandbox at once");
	else
		found(f, DOCTOR_NOT_COVERED, how, "this kernel has no cgroup.kill");
}

void probe_favordynmods(const struct doctor_options *o, struct doctor_finding *f)
{
	struct buf b CLEANUP(buf_fini) = buf_init(MOUNTS_BYTES);

	if (fd_read_file("/proc/self/mounts", &b) < 0)
		found(f, DOCTOR_UNAVAILABLE, NULL, "the mounts cannot be read");
	else if (span_find(buf_view(&b), SPAN("favordynmods"), 0) >= 0)
		found(f, DOCTOR_PREVENTED, NULL, "it is on");
	else
		found(f, DOCTOR_NOT_COVERED,
			"mount -o remount,favordynmods of the cgroup2 hierarchy; it costs every "
			"fork "
			"and exit of the host a little, and stays until reboot",
			"it is off: moving a process into a cgroup waits for an RCU grace period");
}
