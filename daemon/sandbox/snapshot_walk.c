/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Walks a workspace that an agent has filled with whatever it liked. Every step goes by descriptor
 * and single name, never through a link or into another mount; a directory that cannot be entered
 * for its mode is ours all the same (decisions, [19]) and is opened by lending it the bits.
 *
 * Invariant: the walk holds at most LIMIT_SNAPSHOT_DEPTH directories open, and stops adding when a
 * limit is met; what it leaves out, it counts.
 */
#include "daemon/sandbox/snapshot_internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CONTENT_NAME_BYTES = 24, COPY_BYTES = 64 * 1024 };

struct walk {
	struct snapshot *snapshot;
	const struct snapshot *before;
	const char *name;
	int home_fd;
	size_t entries_max;
	uint64_t copy_left; /* bytes */
	const struct snapshot_limits *limits;
	uint64_t next_number;
	int depth;
	struct buf path; /* of the directory being read, with a slash behind it; empty: the top */
};

static int open_inside(int dirfd, const char *name, int flags)
{
	struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
	long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* Mode bits lent to an entry whose own mode keeps its owner, us, out. */
struct loan {
	int handle; /* -1: none was needed */
	mode_t mode; /* to give back */
};

static int loan_set(const struct loan *l, mode_t mode)
{
	char link[40];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", l->handle);
	return chmod(link, mode) < 0 ? -errno : 0;
}

/* -errno if the entry cannot be had. */
static int loan_take(int dirfd, const char *name, mode_t mode, mode_t bits, struct loan *ret)
{
	struct loan l = {-1, mode & 07777};

	*ret = l;
	if ((mode & bits) == bits)
		return 0;
	l.handle = open_inside(dirfd, name, O_PATH);
	if (l.handle < 0)
		return l.handle;
	int r = loan_set(&l, l.mode | bits);
	if (r < 0)
		close(l.handle);
	else
		*ret = l;
	return r;
}

static void loan_return(struct loan *l)
{
	if (l->handle < 0)
		return;
	int r = loan_set(l, l->mode);
	(void)r; /* who chmods the entry away from us meanwhile has what he wanted */
	fd_cleanup(&l->handle);
}

/* ---- contents ---- */

static int64_t ns_of(struct timespec t)
{
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* The content that a former snapshot has of the very same state of this file. */
static bool share_content(const struct walk *w, struct snapshot_entry *e)
{
	const struct snapshot_entry *b = w->before ? snapshot_find(w->before, e->path) : NULL;

	if (!b || !b->home[0] || b->type != e->type || b->inode != e->inode ||
		b->size_bytes != e->size_bytes || b->mtime_ns != e->mtime_ns ||
		b->ctime_ns != e->ctime_ns)
		return false;
	memcpy(e->home, b->home, sizeof(e->home));
	e->number = b->number;
	return true;
}

/* A new file for a content. It counts only once content_done says so. */
static int content_create(const struct walk *w)
{
	char name[CONTENT_NAME_BYTES];

	snprintf(name, sizeof(name), "%llu", (unsigned long long)w->next_number);
	int fd = openat(w->home_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? err_sys(-errno, "content %s of snapshot %s", name, w->name) : fd;
}

static void content_done(struct walk *w, struct snapshot_entry *e)
{
	memcpy(e->home, w->name, strlen(w->name) + 1);
	e->number = w->next_number++;
}

static int content_drop(const struct walk *w, int r)
{
	char name[CONTENT_NAME_BYTES];

	snprintf(name, sizeof(name), "%llu", (unsigned long long)w->next_number);
	unlinkat(w->home_fd, name, 0);
	return r;
}

/* At most `size` bytes, however the file grows meanwhile. */
static int copy_bytes(int from, int to, uint64_t size)
{
	char *bytes = malloc(COPY_BYTES);
	int r = bytes ? 0 : err_raise(-ENOMEM, "snapshot");

	while (r == 0 && size > 0) {
		ssize_t n = read(from, bytes, (size_t)MIN(size, (uint64_t)COPY_BYTES));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = err_sys(-errno, "read a file of the workspace");
		if (n <= 0)
			break;
		size -= (uint64_t)n;
		r = fd_write_all(to, span_of(bytes, (size_t)n));
	}
	free(bytes);
	return err_trace(r);
}

static int keep_file(struct walk *w, int fd, struct snapshot_entry *e)
{
	AUTO_FD to = content_create(w);

	if (to < 0)
		return err_trace(to);
	if (e->size_bytes > 0 && ioctl(to, FICLONE, fd) < 0) {
		if (e->size_bytes > w->copy_left) {
			w->snapshot->left_out++;
			return content_drop(w, 0);
		}
		int r = copy_bytes(fd, to, e->size_bytes);
		if (r < 0)
			return err_trace(content_drop(w, r));
		w->copy_left -= e->size_bytes;
	}
	content_done(w, e);
	return 0;
}

static int keep_link(struct walk *w, int dirfd, const char *name, struct snapshot_entry *e)
{
	char target[LIMIT_PATH_BYTES];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target));

	if (n < 0 || (uint64_t)n > w->copy_left) {
		w->snapshot->left_out++;
		return 0;
	}
	AUTO_FD to = content_create(w);
	if (to < 0)
		return err_trace(to);
	int r = fd_write_all(to, span_of(target, (size_t)n));
	if (r < 0)
		return err_trace(content_drop(w, r));
	w->copy_left -= (uint64_t)n;
	content_done(w, e);
	return 0;
}

/* ---- the tree ---- */

static enum snapshot_type type_of(mode_t mode)
{
	return S_ISREG(mode)    ? SNAPSHOT_FILE
		: S_ISDIR(mode) ? SNAPSHOT_DIR
		: S_ISLNK(mode) ? SNAPSHOT_LINK
				: SNAPSHOT_OTHER;
}

/* A place in the list, NULL beyond a limit. */
static struct snapshot_entry *entry_add(struct walk *w, const char *name, const struct stat *st)
{
	struct snapshot *s = w->snapshot;
	size_t n = w->path.len + strlen(name);
	char *path = s->count < w->entries_max ? arena_bytes(s->arena, n) : NULL;

	if (!path) {
		s->left_out++;
		return NULL;
	}
	if (w->path.len)
		memcpy(path, w->path.data, w->path.len);
	memcpy(path + w->path.len, name, n - w->path.len);
	struct snapshot_entry *e = &s->entries[s->count++];
	*e = (struct snapshot_entry){.type = type_of(st->st_mode),
		.mode = st->st_mode & 07777,
		.size_bytes = (uint64_t)st->st_size,
		.mtime_ns = ns_of(st->st_mtim),
		.ctime_ns = ns_of(st->st_ctim),
		.inode = st->st_ino,
		.path = span_of(path, n)};
	return e;
}

static int walk_dir(struct walk *w, int dirfd);

/* Whether the entry of that name here is a mount point, or, with `above`, leads to one. */
static bool is_mount(const struct walk *w, const char *name, bool above)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < w->limits->mount_count; i++) {
		struct span rest = w->limits->mounts[i];
		if (!span_starts(rest, buf_view(&w->path)))
			continue;
		rest = span_sub(rest, w->path.len, rest.n);
		if (span_starts(rest, span_of(name, n)) &&
			(above ? rest.n > n && rest.p[n] == '/' : rest.n == n))
			return true;
	}
	return false;
}

/* Goes down into the directory that was just added. The loan lasts as long as the walk, because
 * every look at a member needs the right to search. */
static int walk_into(struct walk *w, int dirfd, const char *name, mode_t mode)
{
	size_t len = w->path.len;
	struct loan loan = {-1, 0};
	int fd = -EACCES;

	if (w->depth < LIMIT_SNAPSHOT_DEPTH && loan_take(dirfd, name, mode, 0500, &loan) == 0)
		fd = open_inside(dirfd, name, O_RDONLY | O_DIRECTORY);
	if (fd < 0) {
		loan_return(&loan);
		w->snapshot->left_out++;
		return 0;
	}
	buf_printf(&w->path, "%s/", name);
	w->depth++;
	int r = walk_dir(w, fd);
	w->depth--;
	w->path.len = len;
	loan_return(&loan);
	return err_trace(r);
}

static int open_file(int dirfd, const char *name, struct stat *st)
{
	struct loan loan;
	int r = loan_take(dirfd, name, st->st_mode, 0400, &loan);
	AUTO_FD fd = r < 0 ? r : open_inside(dirfd, name, O_RDONLY | O_NONBLOCK);

	loan_return(&loan);
	if (fd < 0 || fstat(fd, st) < 0 || !S_ISREG(st->st_mode))
		return -ENODATA;
	return TAKE_FD(fd);
}

static int walk_entry(struct walk *w, int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(-errno, "stat in the workspace");
	if (S_ISDIR(st.st_mode) && is_mount(w, name, false))
		return 0;
	size_t before = w->snapshot->count;
	uint64_t left_out = w->snapshot->left_out;
	struct snapshot_entry *e = entry_add(w, name, &st);
	if (!e || e->type == SNAPSHOT_OTHER)
		return 0;
	if (e->type == SNAPSHOT_DIR) {
		int r = walk_into(w, dirfd, name, st.st_mode);
		if (r == 0 && w->snapshot->count == before + 1 &&
			w->snapshot->left_out == left_out && is_mount(w, name, true))
			w->snapshot->count--;
		return err_trace(r);
	}
	if (share_content(w, e))
		return 0;
	if (e->type == SNAPSHOT_LINK)
		return err_trace(keep_link(w, dirfd, name, e));
	AUTO_FD fd = open_file(dirfd, name, &st);
	if (fd < 0) {
		w->snapshot->left_out++;
		return 0;
	}
	/* Lending bits moved the ctime; the size counts as it is now. */
	e->size_bytes = (uint64_t)st.st_size;
	e->ctime_ns = ns_of(st.st_ctim);
	return err_trace(keep_file(w, fd, e));
}

static int walk_dir(struct walk *w, int dirfd)
{
	DIR *dir = fdopendir(dirfd);
	int r = 0;

	if (!dir) {
		close(dirfd);
		return err_sys(-errno, "directory of the workspace");
	}
	while (r == 0) {
		errno = 0;
		/* Only this thread reads this stream. NOLINTNEXTLINE(concurrency-mt-unsafe) */
		const struct dirent *d = readdir(dir);
		if (!d) {
			r = errno ? err_sys(-errno, "directory of the workspace") : 0;
			break;
		}
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (w->snapshot->count >= w->entries_max) {
			w->snapshot->left_out++; /* at least: the rest is not even looked at */
			break;
		}
		r = walk_entry(w, dirfd, d->d_name);
	}
	closedir(dir);
	return err_trace(r);
}

int snapshot_walk(struct snapshot *s, int workspace_fd, int home_fd, const char *name,
	const struct snapshot *before, const struct snapshot_limits *limits)
{
	struct walk w = {.snapshot = s,
		.before = before,
		.name = name,
		.home_fd = home_fd,
		.entries_max = MIN(limits->entries_max, (size_t)LIMIT_SNAPSHOT_ENTRIES),
		.copy_left = limits->copy_bytes_max,
		.limits = limits,
		.path = buf_init((LIMIT_SNAPSHOT_DEPTH + 1) * (LIMIT_PATH_COMPONENT_BYTES + 1))};

	s->entries = arena_make_array(s->arena, struct snapshot_entry, w.entries_max);
	if (!s->entries)
		return err_raise(-ENOMEM, "snapshot of %zu entries", w.entries_max);
	int fd = open_inside(workspace_fd, ".", O_RDONLY | O_DIRECTORY);
	int r = fd < 0 ? err_sys(fd, "the workspace") : walk_dir(&w, fd);
	buf_fini(&w.path);
	snapshot_sort(s);
	return err_trace(r);
}
