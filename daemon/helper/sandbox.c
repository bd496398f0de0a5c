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

enum { FINISH_TRIES = 100, FINISH_MS = 10 };

void sandbox_set_init(struct sandbox_set *set, struct host *host)
{
	/* Those that were released may stand beside as many that are listed or prepared. */
	const size_t most = 4 * (size_t)HELPER_SANDBOXES_MAX;
	*set = (struct sandbox_set){.host = host};
	list_init(&set->all);
	list_init(&set->pool);
	map_init(&set->by_id, most);
	map_init(&set->by_key, most);
}

static struct span id_key(const uint64_t *id)
{
	return span_of((const char *)id, sizeof(*id));
}

static struct span whole_key(const struct sandbox_key *key)
{
	return span_of((const char *)key, sizeof(*key));
}

struct sandbox *sandbox_new(struct sandbox_set *set, uint64_t id)
{
	struct sandbox *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->mark = (struct mark){
		.magic = MARK_MAGIC, .version = MARK_VERSION, .id = id, .state = MARK_PREPARED};
	s->cgroup = s->pidfd = s->control = s->listener = s->log = -1;
	snprintf(s->name, sizeof(s->name), "s%016llx", (unsigned long long)id);
	if (map_put(&set->by_id, id_key(&s->mark.id), s) < 0) {
		err_clear();
		free(s);
		return NULL;
	}
	struct list *at = set->all.prev;
	while (at != &set->all && list_entry(at, struct sandbox, link)->mark.id > id)
		at = at->prev;
	list_insert_before(at->next, &s->link);
	set->count++;
	set->last_id = MAX(set->last_id, id);
	return s;
}

int sandbox_claim(struct sandbox_set *set, struct sandbox *s)
{
	s->key = (struct sandbox_key){s->mark.execution, s->mark.iteration};
	return err_trace(map_put(&set->by_key, whole_key(&s->key), s));
}

void sandbox_unlist(struct sandbox_set *set, struct sandbox *s)
{
	s->released = true;
	if (map_get(&set->by_key, whole_key(&s->key)) == s)
		(void)map_remove(&set->by_key, whole_key(&s->key));
}

void sandbox_pool_put(struct sandbox_set *set, struct sandbox *s)
{
	s->pooled = true;
	list_push_back(&set->pool, &s->pool_link);
	set->prepared++;
}

void sandbox_pool_remove(struct sandbox_set *set, struct sandbox *s)
{
	if (!s->pooled)
		return;
	s->pooled = false;
	list_remove(&s->pool_link);
	set->prepared--;
}

static void close_descriptors(const struct sandbox_set *set, struct sandbox *s)
{
	/* aegisd holds the same open file: closing ours would not end the watch. */
	if (s->pidfd >= 0)
		set->unwatch(set->arg, s);
	fd_cleanup(&s->pidfd);
	fd_cleanup(&s->control);
	fd_cleanup(&s->listener);
	fd_cleanup(&s->log);
}

void sandbox_forget(struct sandbox_set *set, struct sandbox *s)
{
	close_descriptors(set, s);
	fd_cleanup(&s->cgroup);
	sandbox_files_free(s);
	sandbox_unlist(set, s);
	(void)map_remove(&set->by_id, id_key(&s->mark.id));
	list_remove(&s->link);
	set->count--;
	set->unneeded = set->count == 0; /* also if it never came to live */
	free(s);
}

struct sandbox *sandbox_by_id(const struct sandbox_set *set, uint64_t id)
{
	return map_get(&set->by_id, id_key(&id));
}

struct sandbox *sandbox_find(const struct sandbox_set *set, uint64_t id, struct uuid execution)
{
	struct sandbox *s = sandbox_by_id(set, id);
	return s && !s->released && uuid_eq(s->mark.execution, execution) ? s : NULL;
}

bool sandbox_is_listed(const struct sandbox_set *set, const struct sandbox_key *key)
{
	return map_get(&set->by_key, whole_key(key)) != NULL;
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
		.network = m->network != 0,
		.uid = set->host->options.slot_base + m->slot,
		.files = s->files ? HELPER_FILES_NFS : (enum helper_files)m->files,
		.usage = usage,
	};
}

int sandbox_stop(struct sandbox_set *set, struct sandbox *s, enum helper_stop how)
{
	if (s->mark.state == MARK_ENDED)
		return 0;
	if (how == HELPER_STOP_ABANDON)
		sandbox_files_abandon(set, s);
	if (how != HELPER_STOP_TERMINATE)
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
	sandbox_files_tend(set, s);
	if (cgroup_populated(s->cgroup)) {
		int r = cgroup_kill(s->cgroup);
		if (r < 0) {
			err_log(r, s->name);
			err_clear();
		}
		if (!cgroup_wait_empty(s->cgroup, 0))
			return false;
	}
	if (!sandbox_files_finish(set, s))
		return false;
	struct helper_usage u = cgroup_usage(&h->cgroups, s->name, s->cgroup);
	s->mark.cpu_us = u.cpu_us;
	s->mark.memory_peak_bytes = u.memory_peak_bytes;
	s->mark.oom_kills = u.oom_kills;
	s->mark.state = MARK_ENDED;
	sandbox_unlink(set, s);
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
	if (s->pooled) { /* nobody waits for it */
		sandbox_pool_remove(set, s);
		sandbox_unlist(set, s);
	}
	learn_end(s);
	close_descriptors(set, s);
	set->unfinished++;
	sandbox_set_tick(set);
}

static bool finish_release(struct sandbox_set *set, struct sandbox *s)
{
	sandbox_unlink(set, s);
	int r = cgroup_remove(&set->host->cgroups, s->name);
	if (r < 0) {
		if (r != -EBUSY)
			err_log(r, s->name);
		err_clear();
		return false;
	}
	if (s->has_slot)
		host_slot_give_back(set->host, s->mark.slot);
	recordprog_dismiss(&set->host->record, s->cgroup_id);
	sandbox_forget(set, s);
	return true;
}

void sandbox_set_rest(struct sandbox_set *set)
{
	if (set->unneeded && set->count == 0) {
		lsmprog_detach(&set->host->lsm, set->host->cgroups.v2);
		recordprog_detach(&set->host->record);
		guardprog_detach(&set->host->guard);
	}
	set->unneeded = false;
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
	sandbox_unlist(set, s);
	set->unfinished++;
	sandbox_set_tick(set);
	return 0;
}

void sandbox_set_fini(struct sandbox_set *set)
{
	sandbox_seats_fini(set);
	list_for_each_safe (node, &set->all) {
		struct sandbox *s = list_entry(node, struct sandbox, link);
		if (s->pooled)
			sandbox_abandon(set, s);
	}
	/* What dies slowly is left to the next helper. */
	for (int i = 0; i < FINISH_TRIES && set->unfinished > 0; i++) {
		(void)poll(NULL, 0, FINISH_MS);
		sandbox_set_tick(set);
	}
	sandbox_set_rest(set);
	list_for_each_safe (node, &set->all)
		sandbox_forget(set, list_entry(node, struct sandbox, link));
	map_fini(&set->by_id);
	map_fini(&set->by_key);
}
