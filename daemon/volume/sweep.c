/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Takes away what uploads left that a death cut short. An upload is written beside its place under
 * a name of its own (volume_part_name), with the volume's lock held; so who has the lock and finds
 * such a name at the start has found one that nobody will finish.
 */
#include "daemon/volume/internal.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART_PREFIX ".upload-"

enum { DEPTH_MAX = 256 };
_Static_assert(sizeof(PART_PREFIX) - 1 + UUID_TEXT_BYTES <= VOLUME_PART_BYTES, "room for both");

void volume_part_name(char ret[VOLUME_PART_BYTES])
{
	uint8_t random[16];
	char id[UUID_TEXT_BYTES];

	rt_random(random, sizeof(random));
	uuid_text(uuid_from_random(random), id);
	snprintf(ret, VOLUME_PART_BYTES, PART_PREFIX "%s", id);
}

static bool is_part(const char *name)
{
	struct span s = span_cstr(name);
	struct uuid id;

	if (!span_starts(s, SPAN(PART_PREFIX)))
		return false;
	if (uuid_parse(span_sub(s, strlen(PART_PREFIX), s.n), &id) == 0)
		return true;
	err_clear();
	return false;
}

struct walk {
	int root; /* closed by the walk */
	size_t removed;
};

static void take_part(struct walk *w, int fd, const char *name)
{
	struct stat st;

	if (is_part(name) && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(st.st_mode) && unlinkat(fd, name, 0) == 0)
		w->removed++;
}

static int open_folder(int fd, const char *name)
{
	return openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Takes the descriptor. What cannot be read, or is deeper than any upload goes, is passed over. */
static void walk_folder(struct walk *w, int fd, int depth)
{
	DIR *dir = fdopendir(fd);

	if (!dir) {
		close(fd);
		return;
	}
	for (struct dirent *e; (e = readdir(dir));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		bool folder = e->d_type == DT_DIR || e->d_type == DT_UNKNOWN;
		int below = folder && depth < DEPTH_MAX ? open_folder(fd, e->d_name) : -1;
		if (below >= 0)
			walk_folder(w, below, depth + 1);
		else if (e->d_type != DT_DIR)
			take_part(w, fd, e->d_name);
	}
	closedir(dir);
}

static int walk_root(void *arg)
{
	struct walk *w = arg;

	walk_folder(w, w->root, 0);
	return 0;
}

static AWAITS int sweep_locked(const struct volumes *v, struct uuid id, int64_t deadline_ns)
{
	struct walk w = {.root = -1};
	char text[UUID_TEXT_BYTES];
	int r = sandbox_workspace_open(v->sandboxes, id, &w.root, deadline_ns);

	if (r == 0)
		r = offload_call(v->files, walk_root, &w, DEADLINE_NONE);
	uuid_text(id, text);
	if (r == 0 && w.removed)
		log_info("volume %s: %zu files of uploads that were cut short are removed", text,
			w.removed);
	return err_trace(r);
}

static bool may_have_parts(const struct store_volume *row, struct arena *a)
{
	struct volume_loans loans;
	int state = volume_state(row);

	if (state != VOLUME_AVAILABLE && state != VOLUME_DETACHED && state != VOLUME_ATTACHED)
		return false;
	if (volume_loans(row, a, &loans) < 0) {
		err_clear();
		return false;
	}
	for (size_t i = 0; i < loans.count; i++)
		if (!loans.items[i].read_only)
			return false; /* none begins while it is lent so, and its files count */
	return true;
}

struct sweeping {
	const struct volumes *v;
	int64_t deadline_ns;
};

static AWAITS int sweep_one(
	void *ctx, const struct store_volume *found, struct arena *a, bool *ret_stays)
{
	const struct sweeping *p = ctx;
	struct volume_lock *lock;
	struct store_volume row;

	*ret_stays = true;
	int r = volume_lock(p->v, found->id, &lock, p->deadline_ns);
	if (r < 0)
		return err_trace(r);
	r = volume_read(p->v, found->id, a, &row, p->deadline_ns);
	if (r == 0 && may_have_parts(&row, a))
		r = sweep_locked(p->v, found->id, p->deadline_ns);
	volume_unlock(p->v, lock);
	return r > 0 ? 0 : err_trace(r);
}

int volumes_sweep(const struct volumes *v, int64_t deadline_ns)
{
	const struct store_volume_query q = {0};
	struct sweeping p = {v, deadline_ns};

	return err_trace(volumes_each(v, q, "sweep", sweep_one, &p, deadline_ns));
}
