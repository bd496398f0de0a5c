/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Sandboxes whose files come over NFS: made in two steps, because aegisd must serve before anything
 * can be mounted; and seen off with their mount, so that neither a dirty page nor a process that
 * waits for a server keeps anything alive.
 *
 * At the end: while aegisd serves, a child brings back what is dirty. If it does not, a tombstone
 * answers in its place. The end is told when that child is done and nothing runs. A helper that was
 * restarted has no descriptor of the mount: the last process of the sandbox to go takes it down.
 *
 * While nobody serves, a pidfd tells nothing of an end: pid 1 waits, on its way out, for processes
 * that wait for the server. So the sandboxes that are not served are looked at.
 */
#include "daemon/helper/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { FLUSH_FIRST_MS = 10 }; /* what is clean is let go of at once */

static struct sandbox_files *files_new(void)
{
	struct sandbox_files *f = calloc(1, sizeof(*f));
	if (f)
		*f = (struct sandbox_files){.transport = {-1, -1}, .flush = -1, .tombstone = -1};
	for (size_t i = 0; f && i < ARRAY_LEN(f->mounts); i++)
		f->mounts[i] = -1;
	return f;
}

void sandbox_files_free(struct sandbox *s)
{
	struct sandbox_files *f = s->files;
	if (!f)
		return;
	files_child_kill(&f->flush); /* it may wait for what the other answers */
	files_child_kill(&f->tombstone);
	for (size_t i = 0; i < ARRAY_LEN(f->mounts); i++)
		fd_cleanup(&f->mounts[i]);
	transport_close(&f->transport);
	free(f->waiting);
	free(f);
	s->files = NULL;
}

/* ---- the beginning ---- */

int sandbox_files_prepare(
	const struct sandbox_set *set, struct sandbox *s, const struct wire_create *w)
{
	struct sandbox_files *f = s->files = files_new();
	size_t bytes = sizeof(*w) + w->argv_bytes + w->env_bytes;
	if (f)
		f->waiting = malloc(bytes);
	if (!f || !f->waiting)
		return err_raise(-ENOMEM, "no memory for a sandbox");
	memcpy(f->waiting, w, bytes);
	int r = transport_make(set->host, s->name, &f->transport);
	if (r < 0)
		return err_trace(r);
	f->served = true;
	s->mark.execution = w->execution;
	s->mark.iteration = w->iteration;
	s->mark.strict = w->strict;
	return 0;
}

static int check_waiting(const struct sandbox *s)
{
	if (s->gone)
		return err_raise(-ESRCH, "sandbox %s has ended", s->name);
	if (!s->files)
		return err_raise(-EINVAL, "the files of sandbox %s are bound in", s->name);
	if (!s->files->waiting)
		return err_raise(-EINVAL, "sandbox %s has been begun", s->name);
	return 0;
}

static int *mount_of(struct sandbox_files *f, struct uuid volume)
{
	for (size_t i = 0; i < f->waiting->place_count; i++) {
		if (uuid_eq(f->waiting->places[i].volume, volume))
			return &f->mounts[1 + i];
	}
	return &f->mounts[0];
}

int sandbox_files_mount(const struct sandbox *s, const struct wire_mount *w, int client)
{
	const struct files_export e = {w->tenant, w->volume, w->read_only};
	int r = check_waiting(s);
	if (r < 0)
		return err_trace(r);
	int *mount = mount_of(s->files, w->volume);
	if (*mount >= 0)
		return err_raise(-EALREADY, "the volume is mounted in sandbox %s", s->name);
	return err_trace(files_mount(&s->files->transport, &e, client, mount));
}

int sandbox_begin(struct sandbox_set *set, struct sandbox *s, int client)
{
	int r = check_waiting(s);
	for (size_t i = 0; r == 0 && i <= s->files->waiting->place_count; i++) {
		if (s->files->mounts[i] < 0)
			r = err_raise(
				-EINVAL, "sandbox %s has not all of its volumes yet", s->name);
	}
	if (r < 0)
		return err_trace(r);
	/* Known before its program runs: a helper that comes after us answers in aegisd's place. */
	s->mark.files = HELPER_FILES_NFS;
	r = cgroup_mark_set(s->cgroup, &s->mark);
	if (r == 0)
		r = launch_assign(set->host, s, s->files->waiting, s->files->mounts, client);
	if (r < 0 && r != -ESRCH) { /* else its end will be told like any other */
		char message[ERR_MESSAGE_BYTES];
		snprintf(message, sizeof(message), "%s", err_message(r));
		sandbox_abandon(set, s);
		return err_raise(r, "%s", message);
	}
	if (r < 0)
		return err_trace(r);
	free(s->files->waiting);
	s->files->waiting = NULL;
	return 0;
}

int sandbox_files_listener(const struct sandbox_set *set, struct sandbox *s, int *ret_fd)
{
	if (!s->files && s->gone)
		return err_raise(-ESRCH, "sandbox %s has ended", s->name);
	if (!s->files && s->mark.files != HELPER_FILES_NFS)
		return err_raise(-EINVAL, "the files of sandbox %s are bound in", s->name);
	if (!s->files)
		return err_raise(-ESRCH, "the files of sandbox %s were given up", s->name);
	/* What a tombstone has told its processes cannot be taken back. */
	if (s->files->abandoned || s->files->tombstone >= 0)
		return err_raise(-ESRCH, "the files of sandbox %s were given up", s->name);
	int r = transport_listen(set->host, &s->files->transport);
	if (r < 0)
		return err_trace(r);
	s->files->served = true;
	*ret_fd = s->files->transport.listener;
	return 0;
}

/* Who connects while nobody serves is to wait, not to be refused: the kernel's client comes again
 * ever later. -EBUSY: aegisd still listens. */
static void keep_listening(const struct sandbox_set *set, struct sandbox *s)
{
	int r = transport_listen(set->host, &s->files->transport);
	if (r < 0 && r != -EBUSY)
		err_log(r, s->name);
	err_clear();
}

static void leave_unserved(struct sandbox_set *set, struct sandbox *s)
{
	s->files->served = false;
	set->unserved = true;
}

void sandbox_files_abandon(struct sandbox_set *set, struct sandbox *s)
{
	if (!s->files)
		return;
	s->files->abandoned = true;
	leave_unserved(set, s);
}

void sandbox_client_gone(struct sandbox_set *set)
{
	list_for_each_safe (node, &set->all) {
		struct sandbox *s = list_entry(node, struct sandbox, link);
		if (!s->files)
			continue;
		leave_unserved(set, s);
		keep_listening(set, s);
		if (s->files->waiting && !s->gone)
			sandbox_abandon(set, s);
	}
}

void sandbox_files_adopt(struct sandbox_set *set, struct sandbox *s)
{
	set->unserved = true;
	s->files = files_new();
	int r = s->files ? transport_find(set->host, s->name, &s->files->transport) : -ENOMEM;
	if (r < 0) {
		err_log(r, "find the transport of a sandbox");
		err_clear();
		sandbox_files_free(s);
		return;
	}
	keep_listening(set, s);
}

static bool is_known(void *arg, const char *name)
{
	const struct sandbox_set *set = arg;
	list_for_each (node, &set->all) {
		const struct sandbox *s = list_entry(node, struct sandbox, link);
		if (s->files && strcmp(s->name, name) == 0)
			return true;
	}
	return false;
}

void sandbox_files_sweep(struct sandbox_set *set)
{
	transport_sweep(set->host, is_known, set);
}

/* ---- the end ---- */

/* Somebody answers: aegisd, or else a tombstone. */
static void keep_answered(const struct sandbox_set *set, struct sandbox *s)
{
	struct sandbox_files *f = s->files;
	if (f->served || f->tombstone >= 0)
		return;
	int r = transport_listen(set->host, &f->transport);
	/* An aegisd that outlived the former helper listens: it answers, or is gone soon. */
	if (r == 0)
		r = files_tombstone_start(&f->transport, &f->tombstone);
	if (r == 0)
		log_info("nobody serves the files of sandbox %s: they are given up", s->name);
	else if (r != -EBUSY)
		err_log(r, s->name);
	err_clear();
}

void sandbox_files_tend(const struct sandbox_set *set, struct sandbox *s)
{
	if (s->files && !s->files->waiting)
		keep_answered(set, s);
}

/* Whether pid 1 is on its way out, by the ninth field of proc(5)'s stat; also if that cannot be
 * read: then it is gone, and the pidfd will say so. */
static bool is_ending(const struct sandbox *s)
{
	enum { PF_EXITING = 4, FLAGS_BEHIND_NAME = 7 };
	char path[64], text[1024];
	struct span field = {0};
	uint64_t flags;
	snprintf(path, sizeof(path), "/proc/%d/stat", s->mark.pid);
	if (cgroup_read(AT_FDCWD, path, text, sizeof(text)) < 0) {
		err_clear();
		return true;
	}
	const char *behind = strrchr(text, ')'); /* of the command's name */
	struct span rest = span_cstr(behind && behind[1] ? behind + 2 : "");
	bool done = rest.n == 0;
	for (int i = 0; i < FLAGS_BEHIND_NAME && span_split(&rest, ' ', &done, &field); i++)
		;
	if (span_to_u64(field, &flags) == 0)
		return flags & PF_EXITING;
	err_clear();
	return true;
}

void sandbox_files_watch(struct sandbox_set *set)
{
	bool any = false;
	list_for_each (node, &set->all) {
		struct sandbox *s = list_entry(node, struct sandbox, link);
		const struct sandbox_files *f = s->files;
		if (!f || f->served || f->waiting || f->tombstone >= 0 || s->gone)
			continue;
		any = true;
		keep_listening(set, s);
		if (is_ending(s))
			keep_answered(set, s);
	}
	set->unserved = any;
}

bool sandbox_files_finish(const struct sandbox_set *set, struct sandbox *s)
{
	struct sandbox_files *f = s->files;
	if (!f)
		return true;
	if (f->mounts[0] >= 0) {
		int r = files_flush_start(f->mounts, ARRAY_LEN(f->mounts), &f->flush);
		if (r < 0) {
			err_log(r, s->name);
			err_clear();
			return false;
		}
		(void)files_child_ended(&f->flush, FLUSH_FIRST_MS);
	}
	if (f->flush >= 0 && !files_child_ended(&f->flush, 0))
		return false;
	transport_remove(set->host, s->name, &f->transport);
	sandbox_files_free(s);
	return true;
}
