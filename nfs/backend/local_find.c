/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Where an object is, given nothing but its id.
 *
 * Who may open by handle asks the kernel. Others keep an index of where each inode's number was
 * seen last: what the layer forgets is noted there, and where that is not enough, as after a
 * restart, the volume is walked once, on an offload thread. What the index says is checked before
 * it is believed. One that has become wrong is made anew, but no more than a tenth of the time goes
 * into that, so that handles of what is gone cannot keep a thread busy.
 */
#include "nfs/backend/local.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	WALK_ENTRIES_MAX = 16 * 1024 * 1024,
	NOTED_ENTRIES_MAX = 1024 * 1024, /* an index of notes alone; it begins anew beyond */
	WALK_AGAIN = 3,
	NAMES_MAX = 1 << 30,
};

struct seen {
	uint64_t file_id;
	uint64_t parent; /* its file_id */
	uint32_t name; /* offset in names */
	uint8_t type; /* DT_... */
};

struct index {
	struct seen *seen;
	size_t count, capacity;
	uint32_t *slots; /* by file_id: index + 1, 0: free */
	size_t mask;
	struct buf names; /* each with a NUL */
	uint64_t root;
	bool walked; /* holds all that there was when it was begun */
	int64_t began_ns, ended_ns;
};

struct walk {
	struct local_volume *v;
	struct index *index; /* NULL: only count */
	struct fsal_usage used;
	struct index whole; /* what was seen */
};

static void index_fini(struct index *x)
{
	free(x->seen);
	free(x->slots);
	buf_fini(&x->names);
}

void local_index_free(struct local_volume *v)
{
	if (v->index)
		index_fini(v->index);
	free(v->index);
	v->index = NULL;
}

static size_t slot_of(const struct index *x, uint64_t file_id)
{
	return (size_t)((file_id * UINT64_C(0x9E3779B97F4A7C15)) >> 16) & x->mask;
}

static struct seen *index_get(const struct index *x, uint64_t file_id)
{
	if (!x->slots)
		return NULL;
	for (size_t i = slot_of(x, file_id); x->slots[i]; i = (i + 1) & x->mask)
		if (x->seen[x->slots[i] - 1].file_id == file_id)
			return &x->seen[x->slots[i] - 1];
	return NULL;
}

static int index_grow(struct index *x)
{
	size_t capacity = x->capacity ? 2 * x->capacity : 1024;
	struct seen *seen = realloc(x->seen, capacity * sizeof(*seen));
	uint32_t *slots = calloc(2 * capacity, sizeof(*slots));

	if (seen)
		x->seen = seen;
	if (!seen || !slots) {
		free(slots);
		return -ENOMEM;
	}
	free(x->slots);
	x->slots = slots;
	x->mask = 2 * capacity - 1;
	x->capacity = capacity;
	for (size_t i = 0; i < x->count; i++) {
		size_t at = slot_of(x, seen[i].file_id);
		while (slots[at])
			at = (at + 1) & x->mask;
		slots[at] = (uint32_t)i + 1;
	}
	return 0;
}

static int index_add(struct index *x, struct seen s, struct span name)
{
	if (x->count == WALK_ENTRIES_MAX || x->names.len > NAMES_MAX)
		return -EOVERFLOW;
	if (x->count == x->capacity && index_grow(x) < 0)
		return -ENOMEM;
	s.name = (uint32_t)x->names.len;
	buf_span(&x->names, name);
	buf_putc(&x->names, '\0');
	if (x->names.error)
		return -ENOMEM;
	size_t at = slot_of(x, s.file_id);
	while (x->slots[at])
		at = (at + 1) & x->mask;
	x->seen[x->count++] = s;
	x->slots[at] = (uint32_t)x->count;
	return 0;
}

/* The path of an entry, from the root; "" for that. -ESTALE if the way is not known. */
static int index_path(const struct index *x, const struct seen *s, struct buf *ret)
{
	size_t bytes = 0;
	const struct seen *i = s;

	for (; i; i = i->parent == x->root ? NULL : index_get(x, i->parent)) {
		bytes += strlen(x->names.data + i->name) + 1;
		if (bytes > LIMIT_PATH_BYTES || (i->parent != x->root && !index_get(x, i->parent)))
			return -ESTALE;
	}
	char *p = bytes ? buf_reserve(ret, bytes) : NULL;
	if (bytes && !p)
		return -ESTALE;
	for (size_t end = bytes; s; s = s->parent == x->root ? NULL : index_get(x, s->parent)) {
		const char *name = x->names.data + s->name;
		p[--end] = '/';
		end -= strlen(name);
		memcpy(p + end, name, strlen(name));
	}
	buf_commit(ret, bytes ? bytes - 1 : 0); /* without the last slash */
	return 0;
}

/* ---- notes ---- */

/* True if it was not known there before. */
static bool note(struct index *x, const struct fsal_node *n)
{
	struct seen *s = index_get(x, n->file_id);
	uint64_t parent = n->parent->file_id;

	if (s && s->parent == parent && span_is(n->name, x->names.data + s->name))
		return false;
	if (!s) {
		(void)!index_add(
			x, (struct seen){.file_id = n->file_id, .parent = parent}, n->name);
		return true;
	}
	s->parent = parent;
	s->name = (uint32_t)x->names.len;
	buf_span(&x->names, n->name);
	buf_putc(&x->names, '\0');
	return true;
}

void local_note(struct local_volume *v, const struct fsal_node *n)
{
	if (v->by_handle || !n->parent || n->gone)
		return;
	if (v->index && (v->index->count >= NOTED_ENTRIES_MAX || v->index->names.error) &&
		!v->index->walked)
		local_index_free(v);
	if (!v->index) {
		v->index = calloc(1, sizeof(*v->index));
		if (!v->index)
			return;
		v->index->names = buf_init(NAMES_MAX);
		v->index->root = v->root_id;
	}
	/* Those above it are known if one of them is. */
	for (; n->parent && note(v->index, n); n = n->parent)
		;
}

/* ---- the walk, on an offload thread ---- */

static int count_entry(struct walk *w, DIR *dir, const char *name, uint64_t file_id)
{
	struct stat st;

	if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (st.st_nlink > 1 && !S_ISDIR(st.st_mode) && index_get(&w->whole, file_id))
		return 0; /* another name of what was counted */
	w->used.bytes += (uint64_t)st.st_blocks * 512;
	w->used.inodes++;
	return 0;
}

static int walk_folder(struct walk *w, const struct seen *self)
{
	struct buf path CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES);
	uint64_t file_id = self ? self->file_id : w->whole.root;
	int r = index_path(&w->whole, self, &path), fd;

	buf_putc(&path, '\0');
	if (r < 0 || path.error)
		return 0; /* too deep for any path */
	fd = local_beneath(w->v->root, path.len > 1 ? path.data : ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM ? fd : 0;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	for (struct dirent *e; r == 0 && (errno = 0, e = readdir(dir));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		struct seen s = {.file_id = e->d_ino, .parent = file_id, .type = e->d_type};
		if (!w->index)
			r = count_entry(w, dir, e->d_name, e->d_ino);
		if (r == 0)
			r = index_add(&w->whole, s, span_cstr(e->d_name));
	}
	closedir(dir);
	return r;
}

/* Breadth first: the index is the queue. */
static int walk_run(void *arg)
{
	struct walk *w = arg;
	struct index *x = &w->whole;
	int r = walk_folder(w, NULL);

	for (size_t i = 0; r == 0 && i < x->count; i++) {
		struct seen s = x->seen[i]; /* which may move as more is added */
		if (s.type == DT_DIR || s.type == DT_UNKNOWN)
			r = walk_folder(w, &s);
	}
	return r;
}

static AWAITS int walk(struct walk *w, const struct fsal_io *io)
{
	w->whole = (struct index){.names = buf_init(NAMES_MAX + 1024),
		.root = w->v->root_id,
		.walked = true,
		.began_ns = rt_now_ns()};
	int r = offload_call(w->v->offload, walk_run, w, io->deadline_ns);
	w->whole.ended_ns = rt_now_ns();
	if (r < 0)
		index_fini(&w->whole);
	return r;
}

int local_usage(void *volume, const struct fsal_io *io, struct fsal_usage *ret)
{
	struct walk w = {.v = volume};

	if (!io->may_park)
		return FSAL_WOULD_PARK;
	int r = walk(&w, io);
	if (r < 0)
		return r;
	index_fini(&w.whole);
	struct stat st;
	if (fstat(w.v->root, &st) == 0)
		w.used.bytes += (uint64_t)st.st_blocks * 512;
	*ret = w.used;
	return 0;
}

/* ---- finding ---- */

/* Makes a new index, or waits for who is making one. */
static AWAITS int index_make(struct local_volume *v, const struct fsal_io *io)
{
	struct walk w = {.v = v};
	int r = 0;

	if (v->walking)
		return waitq_wait(&v->walked, io->deadline_ns);
	v->walking = true;
	if (v->index && v->index->walked)
		r = rt_sleep_until(
			deadline_earlier(v->index->ended_ns + 10 * v->walk_ns, io->deadline_ns));
	struct index *x = r == 0 ? calloc(1, sizeof(*x)) : NULL;
	w.index = x;
	if (r == 0)
		r = x ? walk(&w, io) : -ENOMEM;
	if (r == 0) {
		*x = w.whole;
		local_index_free(v);
		v->index = x;
		v->walk_ns = x->ended_ns - x->began_ns;
	} else {
		free(x);
	}
	v->walking = false;
	waitq_wake_all(&v->walked);
	return r;
}

/* 0 if what the index says is so. */
static int index_answer(struct local_volume *v, struct span id, struct buf *ret)
{
	uint64_t file_id;
	struct fsal_attr attr;
	struct fsal_id found;

	memcpy(&file_id, id.p + 1, sizeof(file_id));
	const struct seen *s = v->index ? index_get(v->index, file_id) : NULL;
	if (!s)
		return -ESTALE;
	buf_reset(ret);
	int r = index_path(v->index, s, ret);
	if (r < 0)
		return r;
	buf_putc(ret, '\0');
	if (ret->error)
		return -ENAMETOOLONG;
	int fd = local_beneath(v->root, ret->data, O_PATH, 0);
	if (fd < 0)
		return -ESTALE;
	r = local_statx(v, fd, "", &attr);
	if (r == 0)
		r = local_identify(v, fd, "", attr.file_id, attr.born_ns, &found);
	close(fd);
	ret->len--; /* the NUL */
	return r == 0 && span_eq(span_of(found.bytes, found.n), id) ? 0 : -ESTALE;
}

/* A descriptor of what the kernel's handle names, or a negative errno. */
static AWAITS int open_handle(struct local_volume *v, const struct fsal_io *io, struct span id)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + FSAL_ID_BYTES];
	} u = {.h = {.handle_bytes = (unsigned)id.n - 9, .handle_type = (uint8_t)id.p[0]}};
	int fd = -1;

	if (!v->by_handle) {
		int r = v->open_handle(v->open_handle_ctx, (uint8_t)id.p[0], span_sub(id, 9, id.n),
			&fd, io->deadline_ns);
		err_clear();
		return r < 0 ? r : fd;
	}
	memcpy(u.h.f_handle, id.p + 9, id.n - 9);
	fd = open_by_handle_at(v->root, &u.h, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* By the kernel: the path that it knows, below the root's. -EAGAIN: it knows none. */
static AWAITS int ask_kernel(
	struct local_volume *v, const struct fsal_io *io, struct span id, struct buf *ret)
{
	char self[FD_PATH_BYTES], *path, *root;
	struct stat st;

	int fd = open_handle(v, io, id);
	if (fd < 0)
		return fd == -ESTALE || fd == -ECANCELED ? fd : -EAGAIN;
	bool alive = fstat(fd, &st) == 0 && st.st_nlink > 0;
	local_fd_path(fd, self);
	path = malloc(2 * (size_t)LIMIT_PATH_BYTES);
	root = path ? path + LIMIT_PATH_BYTES : NULL;
	ssize_t n = path ? readlink(self, path, LIMIT_PATH_BYTES) : -1;
	local_fd_path(v->root, self);
	ssize_t m = path ? readlink(self, root, LIMIT_PATH_BYTES) : -1;
	close(fd);
	int r = alive ? -EAGAIN : -ESTALE;
	if (alive && m > 0 && n > m + 1 && memcmp(path, root, (size_t)m) == 0 && path[m] == '/') {
		buf_put(ret, path + m + 1, (size_t)(n - m - 1));
		r = 0;
	}
	free(path);
	return r;
}

int local_find(void *volume, const struct fsal_io *io, struct span id, struct buf *ret_path)
{
	struct local_volume *v = volume;
	int64_t began_ns = rt_now_ns();
	int r;

	if (id.n <= 9)
		return -ESTALE;
	bool asks = v->by_handle || v->open_handle;
	if (asks && !v->by_handle && !io->may_park)
		return FSAL_WOULD_PARK;
	if (asks && (uint8_t)id.p[0] != 0xff) {
		r = ask_kernel(v, io, id, ret_path);
		if (r != -EAGAIN)
			return r;
	}
	for (int tries = 0; tries < WALK_AGAIN; tries++) {
		r = index_answer(v, id, ret_path);
		if (r != -ESTALE)
			return r;
		if (!io->may_park)
			return FSAL_WOULD_PARK;
		uint64_t moves = v->moves;
		/* A walk that began after the question has seen what there is. */
		if (v->index && v->index->walked && v->index->began_ns >= began_ns && !v->walking)
			return -ESTALE;
		r = index_make(v, io);
		if (r == 0 && moves != v->moves)
			began_ns = rt_now_ns();
		if (r < 0)
			return r;
	}
	return index_answer(v, id, ret_path);
}
