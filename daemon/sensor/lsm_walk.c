/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The files of a runtime under the names that they have in a sandbox. Links are never followed on
 * the host's account: each step is taken inside, through the places where the runtime stands, so
 * that a name means here what it will mean to the agent.
 */
#include "daemon/sensor/lsm_internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINKS_MAX = 40, DEPTH_MAX = 64, PATH_ROOM = LIMIT_PATH_BYTES + 1 };

static int too_long(void)
{
	return err_raise(-ENAMETOOLONG, "a path of more than %d bytes", LIMIT_PATH_BYTES);
}

/* Those that every root has, where no place lies over them (daemon/helper/root.c makes them). */
static const struct {
	const char *path, *target;
} own_links[] = {
	{"/dev/fd", "/proc/self/fd"},
	{"/dev/stdin", "/proc/self/fd/0"},
	{"/dev/stdout", "/proc/self/fd/1"},
	{"/dev/stderr", "/proc/self/fd/2"},
	{"/var/tmp", "../tmp"},
	{"/etc/mtab", "/proc/mounts"},
};

static bool starts_at(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return n == 1 || (strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0'));
}

/* The place that the path lies in, the deepest; NULL if in none. */
static const struct lsm_place *place_of(const struct lsm_tree *t, const char *inside)
{
	const struct lsm_place *best = NULL;

	for (size_t i = 0; i < t->place_count; i++)
		if (starts_at(inside, t->places[i].inside) &&
			(!best || strlen(t->places[i].inside) > strlen(best->inside)))
			best = &t->places[i];
	return best;
}

/* To t->host. False if no place has it. */
static bool to_host(struct lsm_tree *t, const char *inside)
{
	const struct lsm_place *p = place_of(t, inside);
	if (!p)
		return false;
	const char *rest = strcmp(p->inside, "/") == 0 ? inside : inside + strlen(p->inside);
	int n = snprintf(t->host, sizeof(t->host), "%s%s", p->host, rest);
	return n > 0 && n < PATH_ROOM;
}

/* ---- names ---- */

static void up(char *path)
{
	char *slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
}

/* How long its target is, which is in `to`; negative if it is no link. */
static ssize_t read_link(struct lsm_tree *t, const char *inside, char *to, size_t room)
{
	if (to_host(t, inside))
		return readlink(t->host, to, room);
	for (size_t i = 0; i < ARRAY_LEN(own_links); i++)
		if (strcmp(inside, own_links[i].path) == 0)
			return snprintf(to, room, "%s", own_links[i].target);
	return -1;
}

bool lsm_tree_has(const struct lsm_tree *t, const char *inside)
{
	return place_of(t, inside);
}

/* What is still to go, in t->rest, begins with '/' or is empty. `done` has no links in it; "" is
 * the root. */
static int step(struct lsm_tree *t, char *done, int *links)
{
	const char *begin = t->rest + strspn(t->rest, "/");
	size_t n = strcspn(begin, "/"), at = strlen(done);
	const char *left = begin + n;

	if (n == 0 || (n == 1 && begin[0] == '.')) {
		memmove(t->rest, left, strlen(left) + 1);
		return 0;
	}
	if (n == 2 && begin[0] == '.' && begin[1] == '.') {
		up(done);
		memmove(t->rest, left, strlen(left) + 1);
		return 0;
	}
	if (at + n + 2 > PATH_ROOM)
		return too_long();
	done[at] = '/';
	memcpy(done + at + 1, begin, n);
	done[at + 1 + n] = '\0';
	memmove(t->rest, left, strlen(left) + 1);
	ssize_t bytes = read_link(t, done, t->spare + 1, sizeof(t->spare) - 2);
	if (bytes < 0) /* no link */
		return 0;
	if (++*links > LINKS_MAX)
		return err_raise(-ELOOP, "%s: more than %d links", done, LINKS_MAX);
	size_t rest = strlen(t->rest);
	if ((size_t)bytes + rest + 2 > PATH_ROOM)
		return too_long();
	t->spare[0] = '/';
	memcpy(t->spare + 1 + bytes, t->rest, rest + 1);
	if (t->spare[1] == '/')
		done[0] = '\0';
	else
		up(done);
	memcpy(t->rest, t->spare, 1 + (size_t)bytes + rest + 1);
	return 0;
}

int lsm_tree_resolve(struct lsm_tree *t, struct span inside, char *ret)
{
	int r = 0, links = 0;

	if (inside.n >= PATH_ROOM)
		return too_long();
	memcpy(t->rest, inside.p, inside.n);
	t->rest[inside.n] = '\0';
	ret[0] = '\0';
	while (r == 0 && t->rest[0])
		r = step(t, ret, &links);
	if (r == 0 && !ret[0])
		snprintf(ret, PATH_ROOM, "/");
	return err_trace(r);
}

/* ---- files ---- */

/* The device number that the file system has for itself; stat(2) may show another. */
static int mount_device(uint64_t mount, uint32_t *ret)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;
	int r = f ? -ENOENT : -errno;

	while (r == -ENOENT && getline(&line, &room, f) > 0) {
		char *end; /* "ID PARENT MAJOR:MINOR ..." */
		unsigned long long id = strtoull(line, &end, 10);
		(void)strtoull(end, &end, 10);
		unsigned long major = strtoul(end, &end, 10);
		if (id != mount || *end != ':')
			continue;
		unsigned long minor = strtoul(end + 1, &end, 10);
		*ret = lsm_device(major, minor);
		r = 0;
	}
	free(line);
	if (f)
		(void)fclose(f);
	return r;
}

/* Of the file at t->host. */
static int device_of(struct lsm_tree *t, dev_t seen, uint32_t *ret)
{
	struct statx x;
	int r = 0;

	if (!t->last_device.known || t->last_device.seen != seen) {
		if (statx(AT_FDCWD, t->host, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_MNT_ID,
			    &x) < 0 ||
			!(x.stx_mask & STATX_MNT_ID))
			return err_sys(-EIO, "the mount of %s", t->host);
		r = mount_device(x.stx_mnt_id, &t->last_device.device);
		if (r < 0)
			return err_sys(r, "the file system of %s", t->host);
		t->last_device.seen = seen;
		t->last_device.known = true;
	}
	*ret = t->last_device.device;
	return 0;
}

int lsm_tree_follow(struct lsm_tree *t, struct span link, char *ret_real,
	struct lsm_file_key *ret_key, mode_t *ret_mode)
{
	struct stat st;
	int r = lsm_tree_resolve(t, link, ret_real);

	if (r == -ELOOP)
		err_clear();
	if (r == -ELOOP || (r == 0 && (!to_host(t, ret_real) || lstat(t->host, &st) < 0)))
		return -ENOENT;
	if (r < 0)
		return err_trace(r);
	*ret_key = (struct lsm_file_key){.inode = st.st_ino};
	*ret_mode = st.st_mode;
	return err_trace(device_of(t, st.st_dev, &ret_key->device));
}

struct walking {
	struct lsm_tree *tree;
	lsm_tree_fn fn;
	void *ctx;
	char *path; /* tree->at */
	size_t n;
};

static int visit(struct walking *w, int depth);

static int visit_entry(struct walking *w, const char *name, int depth)
{
	size_t n = w->n;
	int r = 0;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (n + strlen(name) + 2 > PATH_ROOM)
		return too_long();
	w->n += (size_t)snprintf(w->path + n, PATH_ROOM - n, "%s%s", n == 1 ? "" : "/", name);
	r = visit(w, depth + 1);
	w->n = n;
	w->path[n] = '\0';
	return r;
}

static int visit_folder(struct walking *w, int depth)
{
	DIR *d = opendir(w->tree->host);
	int r = 0;

	if (!d)
		return err_sys(-errno, "look into %s", w->tree->host);
	while (r == 0) {
		errno = 0;
		const struct dirent *e = readdir(d);
		if (!e) {
			r = errno ? err_sys(-errno, "look into %s", w->path) : 0;
			break;
		}
		r = visit_entry(w, e->d_name, depth);
	}
	closedir(d);
	return err_trace(r);
}

/* A folder of the sandbox's own, above places. */
static int visit_places(struct walking *w)
{
	const struct lsm_tree *t = w->tree;
	size_t n = w->n;
	char *above = strndup(w->path, n);
	int r = above ? 0 : err_raise(-ENOMEM, "walk: out of memory");

	for (size_t i = 0; r == 0 && i < t->place_count; i++) {
		if (!starts_at(t->places[i].inside, above))
			continue;
		w->n = (size_t)snprintf(w->path, PATH_ROOM, "%s", t->places[i].inside);
		r = visit(w, 0);
	}
	if (above)
		memcpy(w->path, above, n + 1);
	w->n = n;
	free(above);
	return err_trace(r);
}

static int visit(struct walking *w, int depth)
{
	struct lsm_file_key key = {0};
	struct stat st;

	if (depth > DEPTH_MAX)
		return err_raise(-E2BIG, "%s: more than %d folders deep", w->path, DEPTH_MAX);
	if (++w->tree->visited > LSM_WALK_MAX)
		return err_raise(-E2BIG, "more than %d files to look at", LSM_WALK_MAX);
	if (!to_host(w->tree, w->path))
		return visit_places(w);
	if (lstat(w->tree->host, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR
			? 0
			: err_sys(-errno, "look at %s", w->tree->host);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode))
		return 0;
	int r = device_of(w->tree, st.st_dev, &key.device);
	key.inode = st.st_ino;
	if (r == 0)
		r = w->fn(w->ctx, span_of(w->path, w->n), &key, st.st_mode);
	if (r == 0 && S_ISDIR(st.st_mode))
		r = visit_folder(w, depth);
	return err_trace(r);
}

int lsm_tree_walk(struct lsm_tree *t, struct span path, lsm_tree_fn fn, void *ctx)
{
	struct walking w = {.tree = t, .fn = fn, .ctx = ctx, .path = t->at};

	if (path.n == 0 || path.n >= PATH_ROOM)
		return too_long();
	w.n = (size_t)snprintf(w.path, PATH_ROOM, SPAN_FMT, SPAN_ARG(path));
	return err_trace(visit(&w, 0));
}
