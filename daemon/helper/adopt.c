/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a restarted helper finds. Each directory below the cgroup parent that has a sandbox's name
 * is one of: running, and taken over with its two sockets, which pid 1 has kept for us; ended, and
 * listed until released; or nobody's (prepared, or without a mark), and removed.
 *
 * pid 1 of a sandbox is not trusted: what it kept is taken only if it is the very socket whose
 * cookie the mark names. A sandbox whose sockets are not what they were is killed.
 */
#include "daemon/helper/sandbox.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool name_to_id(const char *name, uint64_t *ret)
{
	uint8_t bytes[8];
	if (name[0] != 's' || strlen(name) != 17 ||
		hex_decode(span_cstr(name + 1), bytes, sizeof(bytes)) < 0)
		return false;
	*ret = 0;
	for (size_t i = 0; i < sizeof(bytes); i++)
		*ret = *ret << 8 | bytes[i];
	return true;
}

/* Whether that pid is in the cgroup of that name and the first process of its pid namespace:
 * numbers are used again, also by processes of the same sandbox. */
static bool is_pid1_of(const char *name, pid_t pid)
{
	char path[64], text[8192], line[CGROUP_NAME_BYTES + 2];
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (cgroup_read(AT_FDCWD, path, text, sizeof(text)) < 0) {
		err_clear();
		return false;
	}
	const char *ns = strstr(text, "\nNSpid:");
	const char *end = ns ? strchr(ns + 1, '\n') : NULL;
	if (!end || end[-1] != '1' || end[-2] != '\t')
		return false;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	if (cgroup_read(AT_FDCWD, path, text, sizeof(text)) < 0) {
		err_clear();
		return false;
	}
	const char *unified = strstr(text, "0::/");
	snprintf(line, sizeof(line), "/%s\n", name);
	return unified && strstr(unified, line);
}

static int fetch(int pidfd, int number, uint64_t cookie, int *ret_fd)
{
	AUTO_FD fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	if (fd < 0)
		return err_sys(-errno, "fetch descriptor %d from aegis-bootstrap", number);
	if (cookie == 0 || host_socket_cookie(fd) != cookie)
		return err_raise(
			-EBADF, "descriptor %d of aegis-bootstrap is not what it was", number);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int take_over(struct sandbox *s)
{
	pid_t pid = s->mark.pid;
	s->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (s->pidfd < 0 || !is_pid1_of(s->name, pid))
		return err_raise(-ESRCH, "sandbox %s has ended meanwhile", s->name);
	int r = fetch(s->pidfd, LAUNCH_FD_KEEP_CONTROL, s->mark.control_cookie, &s->control);
	if (r == 0)
		r = fetch(s->pidfd, LAUNCH_FD_KEEP_LISTENER, s->mark.listener_cookie, &s->listener);
	return err_trace(r);
}

/* The calls are the directories below; those kept for background work count as open again. */
static void find_calls(struct sandbox_set *set, struct sandbox *s)
{
	int fd = openat(s->cgroup, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d) {
		fd_cleanup(&fd);
		return;
	}
	for (struct dirent *e; (e = readdir(d)) && s->call_count < HELPER_CALLS_MAX;) {
		struct uuid call;
		struct stat st;
		if (e->d_name[0] == 'c' && uuid_parse(span_cstr(e->d_name + 1), &call) == 0 &&
			fstatat(dirfd(d), e->d_name, &st, 0) == 0) {
			s->calls[s->call_count++] = (struct sandbox_call){call, st.st_ino};
			if (recordprog_call(&set->host->record, st.st_ino, call) < 0)
				err_clear();
		}
	}
	closedir(d);
}

static void adopt_running(struct sandbox_set *set, struct sandbox *s)
{
	if (s->mark.files == HELPER_FILES_NFS)
		sandbox_files_adopt(set, s);
	int r = take_over(s);
	if (r == 0)
		r = network_admit(&set->host->network, s->cgroup_id, s->mark.slot);
	if (r == 0)
		r = lsmprog_adopt(&set->host->lsm, s->cgroup_id);
	if (r == 0)
		r = recordprog_adopt(&set->host->record, s->cgroup_id, s->mark.execution,
			s->mark.iteration, s->mark.strict != 0);
	if (r == 0) {
		find_calls(set, s);
		r = set->watch(set->arg, s);
	}
	if (r == 0) {
		log_info("sandbox %s is taken over", s->name);
		return;
	}
	err_log(r, "take over a sandbox");
	err_clear();
	if (cgroup_kill(s->cgroup) < 0)
		err_clear();
	sandbox_gone(set, s);
}

/* Nobody's: killed and removed. */
static void remove_orphan(struct sandbox_set *set, struct sandbox *s)
{
	log_info("cgroup %s is of no sandbox: removed", s->name);
	if (cgroup_kill(s->cgroup) < 0)
		err_clear();
	s->gone = true;
	sandbox_unlist(set, s);
	set->unfinished++;
	if (s->mark.files == HELPER_FILES_NFS)
		sandbox_files_adopt(set, s);
}

static int adopt_one(struct sandbox_set *set, const char *name, uint64_t id)
{
	struct stat st;
	struct mark m;
	struct sandbox *s = sandbox_new(set, id);
	if (!s)
		return err_raise(-ENOMEM, "no memory for a sandbox");
	s->cgroup = openat(set->host->cgroups.v2, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->cgroup < 0 || fstat(s->cgroup, &st) < 0) {
		sandbox_forget(set, s);
		return err_sys(-errno, "open cgroup %s", name);
	}
	s->cgroup_id = st.st_ino;
	bool marked = cgroup_mark_get(s->cgroup, &m) == 0 && m.id == id;
	s->has_slot = marked && host_slot_claim(set->host, m.slot) == 0;
	err_clear();
	if (marked) {
		s->mark = m;
		set->host->network.links += m.network != 0;
	}
	if (!s->has_slot || m.state == MARK_PREPARED || sandbox_claim(set, s) < 0) {
		err_clear();
		remove_orphan(set, s);
	} else if (m.state == MARK_ENDED) {
		s->gone = true;
	} else {
		adopt_running(set, s);
	}
	return 0;
}

int sandbox_adopt_all(struct sandbox_set *set)
{
	int fd = openat(set->host->cgroups.v2, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d) {
		int r = err_sys(-errno, "list the cgroup parent");
		fd_cleanup(&fd);
		return r;
	}
	int r = 0;
	for (struct dirent *e; r == 0 && (e = readdir(d));) {
		uint64_t id;
		if (e->d_type == DT_DIR && name_to_id(e->d_name, &id))
			r = adopt_one(set, e->d_name, id);
	}
	closedir(d);
	sandbox_files_sweep(set);
	sandbox_set_tick(set);
	network_settle(&set->host->network, set->host->cgroups.v2);
	if (set->count == 0)
		lsmprog_detach(&set->host->lsm, set->host->cgroups.v2);
	else if (r == 0)
		r = lsmprog_attach(&set->host->lsm, set->host->cgroups.v2);
	if (r == 0 && set->count > 0)
		r = recordprog_attach(&set->host->record, set->host->cgroups.v2);
	return err_trace(r);
}
