/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Volumes in local folders. The agent works in the same folder at the same time and may do what it
 * likes there, so nothing that was looked up is trusted a moment later: each operation opens what
 * it needs beneath the root (openat2, RESOLVE_BENEATH) and works on descriptors. A FIFO or socket
 * in the place of a file is refused, never waited for.
 */
#include "nfs/backend/backend.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct local_volume {
	int root;
	struct offload *offload;
};

/* One call on its way to an offload thread and back. */
struct job {
	struct local_volume *v;
	char path[LIMIT_PATH_BYTES + 1]; /* "." for the root */
	uint64_t offset;
	void *p;
	size_t n;
	struct span content;
	bool flag; /* create, parents or recursive */
	bool eof;
	struct fsal_attr attr;
	struct arena *arena; /* list: the caller's; it is parked meanwhile */
	struct fsal_entry *entries;
	size_t count;
	char error[ERR_MESSAGE_BYTES]; /* trails do not cross threads; the text does */
};

static int beneath(const struct local_volume *v, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	for (int tries = 0;; tries++) {
		long fd = syscall(SYS_openat2, v->root, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		/* A rename elsewhere in the tree while ".." was resolved: try again, not for ever.
		 */
		if (errno != EAGAIN || tries == 16)
			return -errno;
	}
}

static int open_regular(const struct local_volume *v, const char *path, int flags, struct stat *st)
{
	int fd = beneath(v, path, flags | O_NONBLOCK | O_NOCTTY, 0644);
	if (fd < 0)
		return err_sys(fd == -ENXIO ? -EINVAL : fd, "open '%s'", path);
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	bool dir = S_ISDIR(st->st_mode);
	close(fd);
	return dir ? err_raise(-EISDIR, "'%s' is a directory", path)
		   : err_raise(-EINVAL, "'%s' is not a regular file", path);
}

/* Opens the folder that holds `path`; *ret_name is its last component, inside path. */
static int open_parent(const struct local_volume *v, char *path, const char **ret_name)
{
	char *slash = strrchr(path, '/');
	int fd;

	if (!slash) {
		*ret_name = path;
		fd = beneath(v, ".", O_RDONLY | O_DIRECTORY, 0);
	} else {
		*slash = '\0';
		fd = beneath(v, path, O_RDONLY | O_DIRECTORY, 0);
		*slash = '/';
		*ret_name = slash + 1;
	}
	return fd < 0 ? err_sys(fd, "open the folder of '%s'", path) : fd;
}

static struct fsal_attr attr_of(const struct stat *st)
{
	return (struct fsal_attr){
		.file_id = st->st_ino,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
		.size_bytes = (uint64_t)st->st_size,
		.used_bytes = (uint64_t)st->st_blocks * 512,
		.mtime_ns = st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec,
		.ctime_ns = st->st_ctim.tv_sec * NS_PER_S + st->st_ctim.tv_nsec,
	};
}

static int do_getattr(struct job *j)
{
	struct stat st;
	AUTO_FD fd = beneath(j->v, j->path, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return err_sys(fd, "'%s'", j->path);
	if (fstat(fd, &st) < 0)
		return err_sys(-errno, "stat '%s'", j->path);
	j->attr = attr_of(&st);
	return 0;
}

static int do_read(struct job *j)
{
	struct stat st;
	AUTO_FD fd = open_regular(j->v, j->path, O_RDONLY, &st);
	if (fd < 0)
		return err_trace(fd);
	size_t done = 0;
	while (done < j->n) {
		ssize_t n = pread(fd, (char *)j->p + done, j->n - done, (off_t)(j->offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(-errno, "read '%s'", j->path);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	j->count = done;
	j->eof = done < j->n || j->offset + done >= (uint64_t)st.st_size;
	return 0;
}

static int do_write(struct job *j)
{
	struct stat st;
	AUTO_FD fd = open_regular(j->v, j->path, O_WRONLY | (j->flag ? O_CREAT : 0), &st);
	if (fd < 0)
		return err_trace(fd);
	size_t done = 0;
	while (done < j->content.n) {
		ssize_t n = pwrite(
			fd, j->content.p + done, j->content.n - done, (off_t)(j->offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(-errno, "write '%s'", j->path);
		done += (size_t)n;
	}
	return 0;
}

/* The mode that the new content gets: the old file's, or 0644. Only a regular file is replaced. */
static int replace_mode(int parent, const char *name, mode_t *ret)
{
	struct stat st;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		*ret = 0644;
		return errno == ENOENT ? 0 : err_sys(-errno, "stat '%s'", name);
	}
	if (S_ISDIR(st.st_mode))
		return err_raise(-EISDIR, "'%s' is a directory", name);
	if (S_ISLNK(st.st_mode))
		return err_raise(
			-ELOOP, "'%s' is a symbolic link: name the file that it points at", name);
	if (!S_ISREG(st.st_mode))
		return err_raise(-EINVAL, "'%s' is not a regular file", name);
	*ret = st.st_mode & 0777;
	return 0;
}

/* The content is complete before it has a name. The name it gets first stands there for the moment
 * between link and rename, since nothing in the kernel links over an existing name. */
static int put_in_place(int fd, int parent, const char *name)
{
	char self[64], temporary[64], id[UUID_TEXT_BYTES];

	uuid_text(uuid_new(), id);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	snprintf(temporary, sizeof(temporary), ".aegis-%s", id);
	if (linkat(AT_FDCWD, self, parent, temporary, AT_SYMLINK_FOLLOW) < 0)
		return err_sys(-errno, "link the new content of '%s'", name);
	if (renameat(parent, temporary, parent, name) == 0)
		return 0;
	int r = err_sys(-errno, "put the new content of '%s' in place", name);
	(void)unlinkat(parent, temporary, 0);
	return r;
}

static int do_replace(struct job *j)
{
	const char *name;
	mode_t mode;
	AUTO_FD parent = open_parent(j->v, j->path, &name);
	if (parent < 0)
		return err_trace(parent);
	int r = replace_mode(parent, name, &mode);
	if (r < 0)
		return err_trace(r);
	AUTO_FD fd = openat(parent, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(-errno, "make room for the new content of '%s'", j->path);
	r = fd_write_all(fd, j->content);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = err_sys(-errno, "chmod the new content of '%s'", j->path);
	if (r == 0)
		r = put_in_place(fd, parent, name);
	return err_trace(r);
}

static int make_one(struct job *j)
{
	const char *name;
	AUTO_FD parent = open_parent(j->v, j->path, &name);
	if (parent < 0)
		return err_trace(parent);
	if (mkdirat(parent, name, 0755) < 0)
		return err_sys(-errno, "make '%s'", j->path);
	return 0;
}

static int do_mkdir(struct job *j)
{
	char whole[sizeof(j->path)];

	if (!j->flag)
		return err_trace(make_one(j));
	memcpy(whole, j->path, sizeof(whole));
	for (char *at = whole; (at = strchr(at, '/')); at++) {
		size_t n = (size_t)(at - whole);
		memcpy(j->path, whole, n);
		j->path[n] = '\0';
		int r = make_one(j);
		if (r < 0 && r != -EEXIST)
			return err_trace(r);
		err_clear();
	}
	memcpy(j->path, whole, sizeof(whole));
	return err_trace(make_one(j));
}

static int do_remove(struct job *j)
{
	const char *name;
	AUTO_FD parent = open_parent(j->v, j->path, &name);
	if (parent < 0)
		return err_trace(parent);
	if (j->flag) {
		struct stat st;
		if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(-errno, "delete '%s'", j->path);
		return err_trace(fd_remove_tree(parent, name));
	}
	if (unlinkat(parent, name, 0) == 0)
		return 0;
	if ((errno == EISDIR || errno == EPERM) && unlinkat(parent, name, AT_REMOVEDIR) == 0)
		return 0;
	return err_sys(-errno, "delete '%s'", j->path);
}

static int entry_order(const void *a, const void *b)
{
	return span_cmp(((const struct fsal_entry *)a)->name, ((const struct fsal_entry *)b)->name);
}

static int list_add(struct job *j, int dir, const char *name, size_t *capacity)
{
	struct stat st;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (j->count == LIMIT_FSAL_LIST_ENTRIES)
		return err_raise(-EOVERFLOW, "'%s' has more than %d entries", j->path,
			LIMIT_FSAL_LIST_ENTRIES);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(-errno, "stat '%s/%s'", j->path, name);
	if (j->count == *capacity) {
		size_t grown = *capacity ? 2 * *capacity : 64;
		struct fsal_entry *entries = arena_make_array(j->arena, struct fsal_entry, grown);
		if (!entries)
			return err_raise(-ENOMEM, "list: request memory used up");
		if (j->count)
			memcpy(entries, j->entries, j->count * sizeof(*entries));
		j->entries = entries;
		*capacity = grown;
	}
	char *copy = arena_strdup(j->arena, name);
	if (!copy)
		return err_raise(-ENOMEM, "list: request memory used up");
	j->entries[j->count++] = (struct fsal_entry){span_cstr(copy), attr_of(&st)};
	return 0;
}

static int do_list(struct job *j)
{
	size_t capacity = 0;
	int r = 0;
	int fd = beneath(j->v, j->path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_sys(fd, "list '%s'", j->path);
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return err_sys(-ENOMEM, "list '%s'", j->path);
	}
	for (;;) {
		errno = 0;
		struct dirent *e = readdir(dir);
		if (!e) {
			r = errno ? err_sys(-errno, "list '%s'", j->path) : r;
			break;
		}
		r = list_add(j, fd, e->d_name, &capacity);
		if (r < 0)
			break;
	}
	closedir(dir);
	if (r < 0)
		return err_trace(r);
	if (j->count)
		qsort(j->entries, j->count, sizeof(*j->entries), entry_order);
	return 0;
}

/* ---- from the fiber to a thread and back ---- */

struct errand {
	struct job *job;
	int (*fn)(struct job *j);
};

static int errand_run(void *arg)
{
	struct errand *e = arg;
	int r = e->fn(e->job);
	if (r < 0) {
		snprintf(e->job->error, sizeof(e->job->error), "%s", err_message(r));
		err_clear();
	}
	return r;
}

static struct job *job_new(struct local_volume *v, struct span path)
{
	struct job *j = path.n <= LIMIT_PATH_BYTES ? calloc(1, sizeof(*j)) : NULL;
	if (!j)
		return NULL;
	j->v = v;
	memcpy(j->path, path.n ? path.p : ".", path.n ? path.n : 1);
	return j;
}

static AWAITS int job_run(struct job *j, int (*fn)(struct job *), int64_t deadline_ns)
{
	if (!j)
		return err_raise(-ENOMEM, "file operation: out of memory");
	struct errand e = {j, fn};
	int r = offload_call(j->v->offload, errand_run, &e, deadline_ns);
	if (r < 0 && j->error[0])
		return err_raise(r, "%s", j->error);
	return r;
}

static int local_getattr(void *volume, struct span path, struct fsal_attr *ret, int64_t deadline_ns)
{
	struct job *j = job_new(volume, path);
	int r = job_run(j, do_getattr, deadline_ns);
	if (r == 0)
		*ret = j->attr;
	free(j);
	return r;
}

static int local_read(void *volume, struct span path, uint64_t offset, void *p, size_t n,
	size_t *ret_n, bool *ret_eof, int64_t deadline_ns)
{
	struct job *j = job_new(volume, path);
	if (j) {
		j->offset = offset;
		j->p = p;
		j->n = n;
	}
	int r = job_run(j, do_read, deadline_ns);
	if (r == 0) {
		*ret_n = j->count;
		*ret_eof = j->eof;
	}
	free(j);
	return r;
}

static int local_write(void *volume, struct span path, uint64_t offset, struct span bytes,
	bool create, int64_t deadline_ns)
{
	struct job *j = job_new(volume, path);
	if (j) {
		j->offset = offset;
		j->content = bytes;
		j->flag = create;
	}
	int r = job_run(j, do_write, deadline_ns);
	free(j);
	return r;
}

static int local_replace(void *volume, struct span path, struct span content, int64_t deadline_ns)
{
	struct job *j = job_new(volume, path);
	if (j)
		j->content = content;
	int r = job_run(j, do_replace, deadline_ns);
	free(j);
	return r;
}

static int local_mkdir(void *volume, struct span path, bool parents, int64_t deadline_ns)
{
	struct job *j = job_new(volume, path);
	if (j)
		j->flag = parents;
	int r = job_run(j, do_mkdir, deadline_ns);
	free(j);
	return r;
}

static int local_remove(void *volume, struct span path, bool recursive, int64_t deadline_ns)
{
	struct job *j = job_new(volume, path);
	if (j)
		j->flag = recursive;
	int r = job_run(j, do_remove, deadline_ns);
	free(j);
	return r;
}

static int local_list(void *volume, struct span path, struct arena *a, struct fsal_entry **ret,
	size_t *ret_count, int64_t deadline_ns)
{
	struct job *j = job_new(volume, path);
	if (j)
		j->arena = a;
	int r = job_run(j, do_list, deadline_ns);
	if (r == 0) {
		*ret = j->entries;
		*ret_count = j->count;
	}
	free(j);
	return r;
}

static void local_close(void *volume)
{
	struct local_volume *v = volume;
	close(v->root);
	free(v);
}

static const struct fsal_backend local_backend = {
	.name = "local",
	.getattr = local_getattr,
	.read = local_read,
	.write = local_write,
	.replace = local_replace,
	.mkdir = local_mkdir,
	.remove = local_remove,
	.list = local_list,
	.close = local_close,
};

int backend_local_open(int root, struct offload *o, struct span volume_id, struct fsal_volume **ret)
{
	struct local_volume *v = calloc(1, sizeof(*v));
	if (!v) {
		close(root);
		return err_raise(-ENOMEM, "volume: out of memory");
	}
	*v = (struct local_volume){.root = root, .offload = o};
	return err_trace(fsal_volume_new(&local_backend, v, volume_id, ret));
}
