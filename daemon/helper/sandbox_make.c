/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * How a sandbox comes about: one that was prepared in an idle moment is taken if there is one of
 * the runtime that is asked for, else one is prepared now. Prepared ones are of the runtime that
 * was asked for last. They hold slots, but never keep a slot from who needs it.
 */
#include "daemon/helper/sandbox.h"
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

uint64_t sandbox_next_id(struct sandbox_set *set)
{
	set->last_id = MAX((uint64_t)clock_wall_ns(), set->last_id + 1);
	return set->last_id;
}

static int check_new(
	const struct sandbox_set *set, const struct wire_create *w, size_t *ret_runtime)
{
	const struct runtime_registry *reg = set->host->registry;
	if (set->count - set->prepared >= HELPER_SANDBOXES_MAX)
		return err_raise(-EBUSY, "%d sandboxes are listed already", HELPER_SANDBOXES_MAX);
	const struct sandbox_key key = {w->execution, w->iteration};
	if (sandbox_is_listed(set, &key))
		return err_raise(-EEXIST, "a sandbox of this execution and iteration %u is listed",
			w->iteration);
	for (size_t i = 0; i < runtime_registry_count(reg); i++) {
		if (strcmp(runtime_registry_at(reg, i)->name, w->runtime) == 0) {
			*ret_runtime = i;
			return 0;
		}
	}
	return err_raise(-ENOENT, "runtime %s is not in the registry", w->runtime);
}

void sandbox_abandon(struct sandbox_set *set, struct sandbox *s)
{
	sandbox_pool_remove(set, s);
	sandbox_unlist(set, s);
	if (s->cgroup >= 0 && cgroup_kill(s->cgroup) < 0)
		err_clear();
	if (s->pidfd >= 0) {
		siginfo_t info;
		while (waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED) < 0 && errno == EINTR)
			;
		s->gone = true;
	}
	set->unfinished++;
	sandbox_set_tick(set);
}

static int prepare(struct sandbox_set *set, size_t runtime, const struct wire_limits *limits,
	struct sandbox **ret)
{
	uint32_t slot;
	int r = host_slot_take(set->host, &slot);
	if (r < 0)
		return err_trace(r);
	struct seat *seat = sandbox_seat_ready(set);
	struct sandbox *s = sandbox_new(set, seat ? seat->id : sandbox_next_id(set));
	if (!s) {
		host_slot_give_back(set->host, slot);
		return err_raise(-ENOMEM, "no memory for a sandbox");
	}
	s->mark.slot = slot;
	s->has_slot = true;
	s->runtime = runtime;
	s->limits = *limits;
	r = launch_prepare(set->host, s, seat, &s->log);
	if (seat)
		sandbox_seat_used(set, seat);
	if (r < 0) {
		host_slot_give_back(set->host, slot);
		sandbox_forget(set, s);
		return err_trace(r);
	}
	/* Its first process is aegis-bootstrap from here on, and nothing of an agent has run. */
	r = lsmprog_seal(&set->host->lsm, s->cgroup_id);
	if (r == 0)
		r = set->watch(set->arg, s);
	if (r < 0) {
		sandbox_abandon(set, s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

/* The oldest prepared one; of that runtime, or, to be given up, of any other. */
static struct sandbox *find_pooled(const struct sandbox_set *set, size_t runtime, bool other)
{
	list_for_each (node, &set->pool) {
		struct sandbox *s = list_entry(node, struct sandbox, pool_link);
		if ((s->runtime == runtime) != other)
			return s;
	}
	return NULL;
}

static int obtain(struct sandbox_set *set, size_t runtime, const struct wire_limits *limits,
	struct sandbox **ret)
{
	struct sandbox *s = find_pooled(set, runtime, false);
	if (s) {
		sandbox_pool_remove(set, s);
		*ret = s;
		return 0;
	}
	int r = prepare(set, runtime, limits, ret);
	if (r == -EBUSY && (s = find_pooled(set, runtime, true))) {
		err_clear();
		sandbox_abandon(set, s);
		r = prepare(set, runtime, limits, ret);
	}
	return err_trace(r);
}

/* Makes the prepared sandbox that of `w`. */
static int occupy(struct sandbox_set *set, struct sandbox *s, const struct wire_create *w)
{
	sandbox_volumes_note(s, w);
	int r = lsmprog_bind(&set->host->lsm, s->cgroup_id, w->file_policy);
	if (r == 0)
		r = recordprog_admit(&set->host->record, s->cgroup_id, w->execution, w->iteration,
			w->strict != 0);
	if (r == 0 && w->network_policy)
		r = sandbox_link(set, s, w->network_policy);
	if (r == 0 && w->files == HELPER_FILES_NFS)
		r = sandbox_files_prepare(set, s, w);
	else if (r == 0)
		r = launch_assign(set->host, s, w, NULL, -1);
	if (r == 0)
		r = sandbox_claim(set, s);
	return err_trace(r);
}

/* -ESRCH: it was killed before it began. */
static int create(
	struct sandbox_set *set, const struct wire_create *w, size_t runtime, struct sandbox **ret)
{
	struct sandbox *s;
	int r = obtain(set, runtime, &w->limits, &s);
	if (r < 0)
		return err_trace(r);
	set->wanted_runtime = runtime;
	set->wanted_limits = w->limits;
	r = occupy(set, s, w);
	if (r < 0) {
		char message[ERR_MESSAGE_BYTES];
		snprintf(message, sizeof(message), "%s", err_message(r));
		sandbox_abandon(set, s);
		return err_raise(r, "%s", message);
	}
	*ret = s;
	return 0;
}

int sandbox_create(
	struct sandbox_set *set, const struct wire_create *w, struct sandbox **ret, int *ret_log)
{
	size_t runtime = 0;
	int r = check_new(set, w, &runtime);
	if (r == 0)
		r = sandbox_volumes_check(set, w);
	if (r < 0)
		return err_trace(r);
	r = create(set, w, runtime, ret);
	for (size_t i = 0; r == -ESRCH && i < set->host->options.prepared; i++) {
		err_clear();
		r = create(set, w, runtime, ret);
	}
	if (r < 0)
		return err_trace(r);
	*ret_log = TAKE_FD((*ret)->log);
	return 0;
}

/* True if there was one under other limits. */
static bool refit_one(struct sandbox_set *set)
{
	list_for_each_safe (node, &set->pool) {
		struct sandbox *s = list_entry(node, struct sandbox, pool_link);
		if (launch_fits(s, &set->wanted_limits))
			continue;
		int r = launch_refit(set->host, s, &set->wanted_limits);
		if (r < 0) {
			err_log(r, "give a prepared sandbox other limits");
			err_clear();
			sandbox_abandon(set, s);
		}
		return r == 0;
	}
	return false;
}

bool sandbox_pool_refill_one(struct sandbox_set *set)
{
	const struct host *h = set->host;
	struct sandbox *s;
	if (h->options.prepared == 0 || runtime_registry_count(h->registry) == 0 ||
		set->count >= HELPER_SANDBOXES_MAX)
		return false;
	if (set->prepared >= h->options.prepared) {
		s = find_pooled(set, set->wanted_runtime, true);
		if (!s)
			return refit_one(set);
		sandbox_abandon(set, s);
	}
	int r = prepare(set, set->wanted_runtime, &set->wanted_limits, &s);
	if (r == 0)
		sandbox_pool_put(set, s);
	if (r < 0 && r != -EBUSY)
		err_log(r, "prepare a sandbox");
	err_clear();
	return r == 0;
}
