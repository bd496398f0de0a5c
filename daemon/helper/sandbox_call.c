/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Dispatched calls [6]. A call is a directory below the sandbox's in the v2 hierarchy: it names the
 * call's processes for the kernel and kills them; it has no limits of its own. aegis-bootstrap's
 * child enters it through descriptors that the helper has opened.
 */
#include "daemon/helper/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CALL_EMPTY_TIMEOUT_MS = 50 };

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

int sandbox_call_open(struct host *h, struct sandbox *s, struct uuid call, uint64_t *ret_cgroup_id)
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
					       : recordprog_call(&h->record, st.st_ino, call);
	if (r == 0)
		r = hand_over(s, dir, call);
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
