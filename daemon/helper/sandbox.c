/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The life of a sandbox: made, running, gone (its pid 1 has ended), ended (nothing of it is alive,
 * its mark says how), released (its cgroup is removed, its slot free). Each step is written on the
 * mark before anybody hears of it, so that a helper killed anywhere is continued by the next.
 *
 * Killing is done by the cgroup: no process of a sandbox can leave it, and the kernel kills all
 * that is in it, also what forks meanwhile.
 */
#include "daemon/helper/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALL_EMPTY_TIMEOUT_MS = 50 };

struct sandbox *sandbox_new(struct sandbox_set *set, uint64_t id)
{
	struct sandbox *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->mark = (struct mark){
		.magic = MARK_MAGIC, .version = MARK_VERSION, .id = id, .state = MARK_PREPARED};
	s->cgroup = s->pidfd = s->control = s->listener = -1;
	snprintf(s->name, sizeof(s->name), "s%016llx", (unsigned long long)id);
	struct list *at = set->all.prev;
	while (at != &set->all && list_entry(at, struct sandbox, link)->mark.id > id)
		at = at->prev;
	list_insert_before(at->next, &s->link);
	set->count++;
	set->last_id = MAX(set->last_id, id);
	return s;
}

static void close_descriptors(const struct sandbox_set *set, struct sandbox *s)
{
	/* aegisd holds the same open file: closing ours would not end the watch. */
	if (s->pidfd >= 0)
		set->unwatch(set->arg, s);
	fd_cleanup(&s->pidfd);
	fd_cleanup(&s->control);
	fd_cleanup(&s->listener);
}

void sandbox_forget(struct sandbox_set *set, struct sandbox *s)
{
	close_descriptors(set, s);
	fd_cleanup(&s->cgroup);
	list_remove(&s->link);
	set->count--;
	free(s);
}

/* Nanoseconds of the wall clock, or the next number: larger than any before, over restarts too. */
static uint64_t next_id(const struct sandbox_set *set)
{
	return MAX((uint64_t)clock_wall_ns(), set->last_id + 1);
}

static int check_new(
	const struct sandbox_set *set, const struct wire_create *w, size_t *ret_runtime)
{
	const struct runtime_registry *reg = set->host->registry;
	if (set->count >= HELPER_SANDBOXES_MAX)
		return err_raise(-EBUSY, "%zu sandboxes are listed already", set->count);
	list_for_each (node, &set->all) {
		const struct sandbox *s = list_entry(node, struct sandbox, link);
		if (!s->released && uuid_eq(s->mark.execution, w->execution) &&
			s->mark.iteration == w->iteration)
			return err_raise(-EEXIST,
				"a sandbox of this execution and iteration %u is listed",
				w->iteration);
	}
	for (size_t i = 0; i < runtime_registry_count(reg); i++) {
		if (strcmp(runtime_registry_at(reg, i)->name, w->runtime) == 0) {
			*ret_runtime = i;
			return 0;
		}
	}
	return err_raise(-ENOENT, "runtime %s is not in the registry", w->runtime);
}

/* After a failure between preparation and start. */
static void abandon(struct sandbox_set *set, struct sandbox *s)
{
	if (s->cgroup >= 0 && cgroup_kill(s->cgroup) < 0)
		err_clear();
	s->released = true;
	if (s->pidfd >= 0) {
		siginfo_t info;
		while (waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED) < 0 && errno == EINTR)
			;
		close_descriptors(set, s);
		s->gone = true;
	}
	set->unfinished++;
	sandbox_set_tick(set);
}

int sandbox_create(
	struct sandbox_set *set, const struct wire_create *w, struct sandbox **ret, int *ret_log)
{
	size_t runtime = 0;
	uint32_t slot;
	AUTO_FD log_fd = -1;
	int r = check_new(set, w, &runtime);
	if (r == 0)
		r = host_slot_take(set->host, &slot);
	if (r < 0)
		return err_trace(r);
	struct sandbox *s = sandbox_new(set, next_id(set));
	if (!s) {
		host_slot_give_back(set->host, slot);
		return err_raise(-ENOMEM, "no memory for a sandbox");
	}
	s->mark.slot = slot;
	s->has_slot = true;
	s->runtime = runtime;
	r = launch_prepare(set->host, s, &log_fd);
	if (r < 0) {
		host_slot_give_back(set->host, slot);
		sandbox_forget(set, s);
		return err_trace(r);
	}
	r = launch_assign(set->host, s, w);
	if (r == 0)
		r = set->watch(set->arg, s);
	if (r < 0) {
		char message[ERR_MESSAGE_BYTES];
		snprintf(message, sizeof(message), "%s", err_message(r));
		abandon(set, s);
		return err_raise(r, "%s", message);
	}
	*ret = s;
	*ret_log = TAKE_FD(log_fd);
	return 0;
}

struct sandbox *sandbox_by_id(const struct sandbox_set *set, uint64_t id)
{
	list_for_each (node, &set->all) {
		struct sandbox *s = list_entry(node, struct sandbox, link);
		if (s->mark.id == id)
			return s;
	}
	return NULL;
}

struct sandbox *sandbox_find(const struct sandbox_set *set, uint64_t id, struct uuid execution)
{
	struct sandbox *s = sandbox_by_id(set, id);
	return s && !s->released && uuid_eq(s->mark.execution, execution) ? s : NULL;
}

bool sandbox_of_execution(const struct sandbox_set *set, struct uuid execution)
{
	list_for_each (node, &set->all) {
		const struct sandbox *s = list_entry(node, struct sandbox, link);
		if (!s->released && uuid_eq(s->mark.execution, execution))
			return true;
	}
	return false;
}

struct helper_sandbox sandbox_view(const struct sandbox_set *set, const struct sandbox *s)
{
	const struct mark *m = &s->mark;
	bool ended = m->state == MARK_ENDED;
	struct helper_usage usage = {m->cpu_us, m->memory_peak_bytes, m->oom_kills};
	if (!ended)
		usage = cgroup_usage(&set->host->cgroups, s->name, s->cgroup);
	return (struct helper_sandbox){
		.id = m->id,
		.cgroup_id = s->cgroup_id,
		.execution = m->execution,
		.iteration = m->iteration,
		.state = ended ? HELPER_SANDBOX_ENDED : HELPER_SANDBOX_RUNNING,
		.end = (enum helper_end)m->end,
		.end_status = m->end_status,
		.pid = m->pid,
		.usage = usage,
	};
}

int sandbox_stop(const struct sandbox *s, enum helper_stop how)
{
	if (s->mark.state == MARK_ENDED)
		return 0;
	if (how == HELPER_STOP_KILL)
		return err_trace(cgroup_kill(s->cgroup));
	if (s->pidfd >= 0 && syscall(SYS_pidfd_send_signal, s->pidfd, SIGTERM, NULL, 0) < 0 &&
		errno != ESRCH)
		return err_sys(-errno, "send SIGTERM to sandbox %s", s->name);
	return 0;
}

/* ---- the end ---- */

/* What a process that is not our child ended with: the kernel remembers it from Linux 6.15 on, for
 * whoever held a pidfd. */
static bool exit_of_stranger(int pidfd, int *ret_wait_status)
{
	struct {
		__u64 mask;
		__u64 cgroupid;
		__u32 pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
		__s32 exit_code;
	} info = {0}; /* struct pidfd_info; bit 3 of mask: PIDFD_INFO_EXIT */
	/* It is told only after its parent has reaped it, which may be a moment away. */
	for (int i = 0; i < 20; i++) {
		info.mask = 1U << 3;
		if (ioctl(pidfd, _IOWR(0xff, 11, info) /* PIDFD_GET_INFO */, &info) == 0 &&
			(info.mask & (1U << 3))) {
			*ret_wait_status = info.exit_code;
			return true;
		}
		if (errno == ENOTTY || errno == EINVAL)
			break; /* an older kernel */
		(void)poll(NULL, 0, 1);
	}
	return false;
}

static void learn_end(struct sandbox *s)
{
	siginfo_t info = {0};
	int status;
	struct mark *m = &s->mark;
	if (s->child && waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED) == 0) {
		m->end = info.si_code == CLD_EXITED ? HELPER_END_EXITED : HELPER_END_KILLED;
		m->end_status = info.si_status;
	} else if (s->pidfd >= 0 && exit_of_stranger(s->pidfd, &status)) {
		m->end = WIFEXITED(status) ? HELPER_END_EXITED : HELPER_END_KILLED;
		m->end_status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
	} else {
		m->end = HELPER_END_UNKNOWN;
	}
}

/* True when nothing is alive and the mark says so. */
static bool finish_end(struct sandbox_set *set, struct sandbox *s)
{
	struct host *h = set->host;
	if (cgroup_populated(s->cgroup)) {
		int r = cgroup_kill(s->cgroup);
		if (r < 0) {
			err_log(r, s->name);
			err_clear();
		}
		if (!cgroup_wait_empty(s->cgroup, 0))
			return false;
	}
	struct helper_usage u = cgroup_usage(&h->cgroups, s->name, s->cgroup);
	s->mark.cpu_us = u.cpu_us;
	s->mark.memory_peak_bytes = u.memory_peak_bytes;
	s->mark.oom_kills = u.oom_kills;
	s->mark.state = MARK_ENDED;
	int r = cgroup_mark_set(s->cgroup, &s->mark);
	if (r == 0)
		r = cgroup_remove_v1(&h->cgroups, s->name);
	if (r < 0) {
		err_log(r, s->name);
		err_clear();
	}
	s->call_count = 0;
	return true;
}

void sandbox_gone(struct sandbox_set *set, struct sandbox *s)
{
	if (s->gone)
		return;
	s->gone = true;
	learn_end(s);
	close_descriptors(set, s);
	set->unfinished++;
	sandbox_set_tick(set);
}

static bool finish_release(struct sandbox_set *set, struct sandbox *s)
{
	int r = cgroup_remove(&set->host->cgroups, s->name);
	if (r < 0) {
		if (r != -EBUSY)
			err_log(r, s->name);
		err_clear();
		return false;
	}
	if (s->has_slot)
		host_slot_give_back(set->host, s->mark.slot);
	sandbox_forget(set, s);
	return true;
}

void sandbox_set_tick(struct sandbox_set *set)
{
	if (set->unfinished == 0)
		return;
	list_for_each_safe (node, &set->all) {
		struct sandbox *s = list_entry(node, struct sandbox, link);
		bool ending = s->gone && s->mark.state != MARK_ENDED;
		if (ending && finish_end(set, s)) {
			ending = false;
			if (!s->released) {
				set->unfinished--;
				set->ended(set->arg, s);
			}
		}
		if (!ending && s->released && finish_release(set, s))
			set->unfinished--;
	}
}

int sandbox_release(struct sandbox_set *set, struct sandbox *s)
{
	if (s->mark.state != MARK_ENDED)
		return err_raise(-EBUSY, "sandbox %s still runs", s->name);
	s->released = true;
	set->unfinished++;
	sandbox_set_tick(set);
	return 0;
}

void sandbox_set_fini(struct sandbox_set *set)
{
	list_for_each_safe (node, &set->all)
		sandbox_forget(set, list_entry(node, struct sandbox, link));
}

/* ---- dispatched calls ---- */

void sandbox_call_name(struct uuid call, char ret[CGROUP_NAME_BYTES])
{
	char text[UUID_TEXT_BYTES];
	uuid_text(call, text);
	snprintf(ret, CGROUP_NAME_BYTES, "c%s", text);
}

static struct sandbox_call *find_call(struct sandbox *s, struct uuid call)
{
	for (size_t i = 0; i < s->call_count; i++) {
		if (uuid_eq(s->calls[i].call, call))
			return &s->calls[i];
	}
	return NULL;
}

static int tell_call(const struct sandbox *s, enum launch_type type, struct uuid call,
	const int *fds, int fd_count)
{
	struct launch_call m = {.header = {LAUNCH_MAGIC, type, sizeof(m), 0}};
	memcpy(m.call, call.bytes, sizeof(m.call));
	const struct iovec part = {&m, sizeof(m)};
	return err_trace(launch_send(s, &part, 1, fds, fd_count));
}

static int hand_over(const struct sandbox *s, int dir, struct uuid call)
{
	AUTO_FD procs = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	AUTO_FD kill_file = openat(dir, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (procs < 0 || kill_file < 0)
		return err_sys(-errno, "open the cgroup of a call");
	const int fds[LAUNCH_CALL_FDS] = {procs, kill_file};
	return err_trace(tell_call(s, LAUNCH_CALL_OPEN, call, fds, LAUNCH_CALL_FDS));
}

int sandbox_call_open(struct sandbox *s, struct uuid call, uint64_t *ret_cgroup_id)
{
	char name[CGROUP_NAME_BYTES];
	struct stat st;
	if (s->control < 0)
		return err_raise(-ESRCH, "sandbox %s has ended", s->name);
	if (s->call_count == HELPER_CALLS_MAX)
		return err_raise(
			-EMFILE, "%d calls are open in sandbox %s", HELPER_CALLS_MAX, s->name);
	sandbox_call_name(call, name);
	if (mkdirat(s->cgroup, name, 0755) < 0)
		return err_sys(-errno, "make the cgroup of call %s", name + 1);
	AUTO_FD dir = openat(s->cgroup, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 || fstat(dir, &st) < 0 ? err_sys(-errno, "open the cgroup of a call")
					       : hand_over(s, dir, call);
	if (r < 0) {
		(void)unlinkat(s->cgroup, name, AT_REMOVEDIR);
		return err_trace(r);
	}
	s->calls[s->call_count++] = (struct sandbox_call){call, st.st_ino};
	*ret_cgroup_id = st.st_ino;
	return 0;
}

/* Removes the directory of a call; one that is still busy is left to the sandbox's end. */
static void remove_call(const struct sandbox *s, const char *name)
{
	if (unlinkat(s->cgroup, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		log_info("the cgroup of call %s stays until sandbox %s ends", name + 1, s->name);
}

int sandbox_call_close(
	struct sandbox *s, struct uuid call, enum helper_call_rest rest, struct helper_usage *ret)
{
	char name[CGROUP_NAME_BYTES];
	struct sandbox_call *c = find_call(s, call);
	if (!c)
		return err_raise(-ENOENT, "no such call is open in sandbox %s", s->name);
	sandbox_call_name(call, name);
	AUTO_FD dir = openat(s->cgroup, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(-errno, "open the cgroup of call %s", name + 1);
	bool had_rest = cgroup_populated(dir);
	int r = 0;
	if (had_rest && rest == HELPER_CALL_KILL) {
		r = cgroup_kill(dir);
		if (r < 0)
			return err_trace(r);
		(void)cgroup_wait_empty(dir, CALL_EMPTY_TIMEOUT_MS);
	}
	/* A call has a directory in the v2 hierarchy only. */
	const struct cgroup_host unified = {.mode = HELPER_CGROUP_UNIFIED};
	*ret = cgroup_usage(&unified, name, dir);
	if (!had_rest || rest == HELPER_CALL_KILL)
		remove_call(s, name);
	if (s->control >= 0 && tell_call(s, LAUNCH_CALL_CLOSED, call, NULL, 0) < 0)
		err_clear(); /* it keeps two descriptors of a cgroup that is gone */
	*c = s->calls[--s->call_count];
	return had_rest ? HELPER_CALL_HAD_REST : 0;
}
