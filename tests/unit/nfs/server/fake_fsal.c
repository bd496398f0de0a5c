/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Objects in an array; their index is the handle. Directories are lists of names; a cookie is a
 * place in the list. Objects that are removed stay until the end.
 */
#include "tests/unit/nfs/server/fake_fsal.h"
#include <stdlib.h>

enum { OBJECTS = 4096, ENTRIES = 512, NAME_BYTES = 256, FILE_BYTES = 2 * 1024 * 1024 };

struct entry {
	char name[NAME_BYTES];
	struct fsal_object *object;
};

struct fsal_attachment {
	struct fsal_object *root;
};

struct fsal_object {
	struct fsal *layer;
	struct fsal_attachment *at;
	char handle[12];
	struct fsal_attr attr;
	uint8_t verifier[8];
	struct entry *entries;
	size_t count;
	char *data; /* of a file, or a link's target */
};

struct fsal {
	struct fsal_object objects[OBJECTS];
	uint32_t count;
	struct fsal_attachment attachments[2];
};

struct fake fake;

static struct fsal_object *make(struct fsal *f, uint32_t mode)
{
	CHECK(f->count < OBJECTS);
	struct fsal_object *o = &f->objects[f->count];
	o->layer = f;
	o->at = &f->attachments[0];
	memcpy(o->handle, "fake-obj", 8);
	memcpy(o->handle + 8, &f->count, 4);
	o->attr = (struct fsal_attr){.file_id = ++f->count, .fsid = 1, .mode = mode, .nlink = 1};
	o->attr.mtime_ns = o->attr.ctime_ns = rt_wall_ns();
	if (S_ISDIR(mode))
		o->entries = calloc(ENTRIES, sizeof(*o->entries));
	return o;
}

struct fsal *fake_new(void)
{
	struct fsal *f = calloc(1, sizeof(*f));
	CHECK(f);
	fake = (struct fake){0};
	for (size_t i = 0; i < ARRAY_LEN(f->attachments); i++) {
		struct fsal_object *root = make(f, S_IFDIR | 0755);
		root->at = &f->attachments[i];
		root->at->root = root;
	}
	return f;
}

void fake_free(struct fsal *f)
{
	for (uint32_t i = 0; i < f->count; i++) {
		free(f->objects[i].entries);
		free(f->objects[i].data);
	}
	free(f);
}

struct fsal_attachment *fake_attachment(struct fsal *f)
{
	return &f->attachments[0];
}

struct fsal_attachment *fake_other_attachment(struct fsal *f)
{
	return &f->attachments[1];
}

/* ---- being slow ---- */

static int pause_for(const struct fsal_call *c, struct span name)
{
	int64_t ns = fake.delay ? fake.delay() : 0;
	if (fake.delay_ns && (!fake.slow || span_is(name, fake.slow)))
		ns = fake.delay_ns;
	if (ns == 0)
		return 0;
	if (!c->may_park)
		return FSAL_WOULD_PARK;
	int64_t end_ns = rt_now_ns() + ns;
	int r = rt_sleep_until(MIN(end_ns, c->deadline_ns));
	return r == 0 && end_ns > c->deadline_ns ? -ETIME : r;
}

/* ---- objects ---- */

struct fsal_object *fsal_root(struct fsal_attachment *at)
{
	return at->root;
}

struct fsal_attachment *fsal_object_attachment(const struct fsal_object *o)
{
	return o->at;
}

int fsal_find(struct fsal *f, struct fsal_call *c, struct span handle, struct fsal_object **ret)
{
	uint32_t i;
	if (handle.n != 12 || memcmp(handle.p, "fake-obj", 8) != 0)
		return -EBADMSG;
	memcpy(&i, handle.p + 8, 4);
	if (i >= f->count || f->objects[i].attr.nlink == 0)
		return -ESTALE;
	*ret = &f->objects[i];
	return 0;
}

struct span fsal_handle(const struct fsal_object *o)
{
	return span_of(o->handle, sizeof(o->handle));
}

uint32_t fsal_object_type(const struct fsal_object *o)
{
	return o->attr.mode & S_IFMT;
}

struct fsal_object *fsal_ref(struct fsal_object *o)
{
	return o;
}

void fsal_unref(struct fsal_object *o)
{
}

static void post(struct fsal_post *p, const struct fsal_object *o)
{
	*p = (struct fsal_post){true, o->attr};
}

static void before(struct fsal_wcc *w, const struct fsal_object *o)
{
	*w = (struct fsal_wcc){.before_present = true,
		.before_size_bytes = o->attr.size_bytes,
		.before_mtime_ns = o->attr.mtime_ns,
		.before_ctime_ns = o->attr.ctime_ns};
	post(&w->after, o);
}

static void changed(struct fsal_object *o)
{
	o->attr.mtime_ns = o->attr.ctime_ns = rt_wall_ns();
}

static struct entry *entry(const struct fsal_object *dir, struct span name)
{
	for (size_t i = 0; i < dir->count; i++)
		if (span_is(name, dir->entries[i].name))
			return &dir->entries[i];
	return NULL;
}

static int name_check(const struct fsal_object *dir, struct span name)
{
	if (!S_ISDIR(dir->attr.mode))
		return -ENOTDIR;
	if (name.n >= NAME_BYTES)
		return -ENAMETOOLONG;
	return name.n == 0 ? -EINVAL : 0;
}

static void add_entry(struct fsal_object *dir, struct span name, struct fsal_object *o)
{
	CHECK(dir->count < ENTRIES);
	struct entry *e = &dir->entries[dir->count++];
	memset(e, 0, sizeof(*e));
	memcpy(e->name, name.p, name.n);
	e->object = o;
	o->at = dir->at;
	changed(dir);
}

static void drop_entry(struct fsal_object *dir, struct entry *e)
{
	e->object->attr.nlink--;
	*e = dir->entries[--dir->count];
	changed(dir);
}

/* ---- operations ---- */

int fsal_getattr(struct fsal_call *c, struct fsal_object *o, struct fsal_attr *ret)
{
	int r = pause_for(c, (struct span){0});
	*ret = o->attr;
	return r;
}

static void resize(struct fsal_object *o, uint64_t size)
{
	CHECK(size <= FILE_BYTES);
	if (!o->data)
		o->data = calloc(1, FILE_BYTES);
	if (size < o->attr.size_bytes)
		memset(o->data + size, 0, o->attr.size_bytes - size);
	o->attr.size_bytes = size;
}

int fsal_setattr(struct fsal_call *c, struct fsal_object *o, const struct fsal_sattr *s,
	const int64_t *guard_ctime_ns, struct fsal_wcc *ret)
{
	int r = pause_for(c, (struct span){0});
	if (r != 0)
		return r;
	before(ret, o);
	if (guard_ctime_ns && *guard_ctime_ns != o->attr.ctime_ns)
		return FSAL_CHANGED;
	fake.changes++;
	if (s->set_mode)
		o->attr.mode = (o->attr.mode & S_IFMT) | s->mode;
	if (s->set_size)
		resize(o, s->size_bytes);
	changed(o);
	post(&ret->after, o);
	return 0;
}

int fsal_lookup(struct fsal_call *c, struct fsal_object *dir, struct span name,
	struct fsal_object **ret, struct fsal_attr *ret_attr, struct fsal_post *ret_dir)
{
	int r = pause_for(c, name);
	if (r == 0)
		r = name_check(dir, name);
	if (r != 0)
		return r;
	post(ret_dir, dir);
	struct entry *e = entry(dir, name);
	if (!e)
		return -ENOENT;
	*ret = e->object;
	*ret_attr = e->object->attr;
	return 0;
}

int fsal_access(struct fsal_call *c, struct fsal_object *o, uint32_t wanted, uint32_t *ret_granted,
	struct fsal_post *ret)
{
	post(ret, o);
	*ret_granted = wanted & ~(uint32_t)FSAL_ACCESS_EXECUTE;
	return 0;
}

int fsal_readlink(struct fsal_call *c, struct fsal_object *o, char *p, size_t n, size_t *ret_n,
	struct fsal_post *ret)
{
	post(ret, o);
	if (!S_ISLNK(o->attr.mode))
		return -EINVAL;
	*ret_n = MIN(n, (size_t)o->attr.size_bytes);
	memcpy(p, o->data, *ret_n);
	return 0;
}

int fsal_read(struct fsal_call *c, struct fsal_object *o, uint64_t offset, void *p, size_t n,
	size_t *ret_n, bool *ret_eof, struct fsal_post *ret)
{
	int r = pause_for(c, (struct span){0});
	if (r != 0)
		return r;
	post(ret, o);
	uint64_t left = o->attr.size_bytes > offset ? o->attr.size_bytes - offset : 0;
	*ret_n = MIN(n, (size_t)left);
	*ret_eof = *ret_n == left;
	if (*ret_n > 0)
		memcpy(p, o->data + offset, *ret_n);
	return 0;
}

int fsal_write(struct fsal_call *c, struct fsal_object *o, uint64_t offset, struct span bytes,
	enum fsal_stability stable, enum fsal_stability *ret_committed, struct fsal_wcc *ret)
{
	int r = pause_for(c, (struct span){0});
	if (r != 0)
		return r;
	before(ret, o);
	if (offset + bytes.n > FILE_BYTES)
		return -EFBIG;
	fake.changes++;
	resize(o, MAX(o->attr.size_bytes, offset + bytes.n));
	memcpy(o->data + offset, bytes.p, bytes.n);
	changed(o);
	post(&ret->after, o);
	*ret_committed = stable;
	return 0;
}

int fsal_commit(struct fsal_call *c, struct fsal_object *o, struct fsal_wcc *ret)
{
	before(ret, o);
	int r = fake.commit_error;
	fake.commit_error = 0;
	return r;
}

/* 0 if the name is free; -EEXIST with the object in ret. */
static int begin_make(
	struct fsal_call *c, struct fsal_object *dir, struct span name, struct fsal_made *ret)
{
	int r = pause_for(c, name);
	if (r == 0)
		r = name_check(dir, name);
	if (r != 0)
		return r;
	before(&ret->dir, dir);
	struct entry *e = entry(dir, name);
	if (!e)
		return 0;
	ret->object = e->object;
	ret->attr = e->object->attr;
	return -EEXIST;
}

static int finish_make(struct fsal_object *dir, struct span name, uint32_t mode,
	const struct fsal_sattr *s, struct fsal_made *ret)
{
	fake.changes++;
	struct fsal_object *o = make(dir->layer, mode | (s->set_mode ? s->mode : 0644));
	add_entry(dir, name, o);
	ret->object = o;
	ret->attr = o->attr;
	post(&ret->dir.after, dir);
	return 0;
}

int fsal_create(struct fsal_call *c, struct fsal_object *dir, struct span name,
	enum fsal_create_how how, const struct fsal_sattr *s, const uint8_t *verifier,
	struct fsal_made *ret)
{
	int r = begin_make(c, dir, name, ret);
	if (r == -EEXIST && how == FSAL_UNCHECKED)
		return 0;
	if (r == -EEXIST && how == FSAL_EXCLUSIVE &&
		memcmp(ret->object->verifier, verifier, 8) == 0)
		return 0;
	if (r != 0)
		return r;
	r = finish_make(dir, name, S_IFREG, s, ret);
	if (how == FSAL_EXCLUSIVE)
		memcpy(ret->object->verifier, verifier, 8);
	return r;
}

int fsal_mkdir(struct fsal_call *c, struct fsal_object *dir, struct span name,
	const struct fsal_sattr *s, struct fsal_made *ret)
{
	int r = begin_make(c, dir, name, ret);
	return r == 0 ? finish_make(dir, name, S_IFDIR, s, ret) : r;
}

int fsal_symlink(struct fsal_call *c, struct fsal_object *dir, struct span name, struct span target,
	const struct fsal_sattr *s, struct fsal_made *ret)
{
	int r = begin_make(c, dir, name, ret);
	if (r != 0)
		return r;
	r = finish_make(dir, name, S_IFLNK, s, ret);
	resize(ret->object, target.n);
	memcpy(ret->object->data, target.p, target.n);
	ret->attr = ret->object->attr;
	return r;
}

int fsal_mknod(struct fsal_call *c, struct fsal_object *dir, struct span name, uint32_t type,
	uint32_t rdev_major, uint32_t rdev_minor, const struct fsal_sattr *s, struct fsal_made *ret)
{
	int r = begin_make(c, dir, name, ret);
	return r == 0 ? finish_make(dir, name, type, s, ret) : r;
}

static int take_out(struct fsal_call *c, struct fsal_object *dir, struct span name, bool is_dir,
	struct fsal_wcc *ret)
{
	int r = pause_for(c, name);
	if (r == 0)
		r = name_check(dir, name);
	if (r != 0)
		return r;
	before(ret, dir);
	struct entry *e = entry(dir, name);
	if (!e)
		return -ENOENT;
	if (S_ISDIR(e->object->attr.mode) != is_dir)
		return is_dir ? -ENOTDIR : -EISDIR;
	if (is_dir && e->object->count > 0)
		return -ENOTEMPTY;
	fake.changes++;
	drop_entry(dir, e);
	post(&ret->after, dir);
	return 0;
}

int fsal_remove(
	struct fsal_call *c, struct fsal_object *dir, struct span name, struct fsal_wcc *ret)
{
	return take_out(c, dir, name, false, ret);
}

int fsal_rmdir(struct fsal_call *c, struct fsal_object *dir, struct span name, struct fsal_wcc *ret)
{
	return take_out(c, dir, name, true, ret);
}

int fsal_rename(struct fsal_call *c, struct fsal_object *from, struct span from_name,
	struct fsal_object *to, struct span to_name, struct fsal_wcc *ret_from,
	struct fsal_wcc *ret_to)
{
	int r = pause_for(c, from_name);
	if (r == 0)
		r = name_check(to, to_name);
	if (r != 0)
		return r;
	before(ret_from, from);
	before(ret_to, to);
	struct entry *e = entry(from, from_name);
	if (!e)
		return -ENOENT;
	fake.changes++;
	struct fsal_object *o = e->object;
	struct entry *old = entry(to, to_name);
	if (old && old->object == o)
		return 0;
	if (old)
		drop_entry(to, old);
	o->attr.nlink++;
	drop_entry(from, entry(from, from_name));
	add_entry(to, to_name, o);
	post(&ret_from->after, from);
	post(&ret_to->after, to);
	return 0;
}

int fsal_link(struct fsal_call *c, struct fsal_object *o, struct fsal_object *dir, struct span name,
	struct fsal_post *ret, struct fsal_wcc *ret_dir)
{
	struct fsal_made made = {0};
	int r = begin_make(c, dir, name, &made);
	if (r == 0) {
		fake.changes++;
		o->attr.nlink++;
		changed(o);
		add_entry(dir, name, o);
		post(&made.dir.after, dir);
	}
	*ret_dir = made.dir;
	post(ret, o);
	return r;
}

int fsal_readdir(struct fsal_call *c, struct fsal_object *dir, uint64_t cookie, uint64_t *verifier,
	bool want_objects, fsal_dirent_fn fn, void *ctx, bool *ret_eof, struct fsal_post *ret)
{
	if (!S_ISDIR(dir->attr.mode))
		return -ENOTDIR;
	post(ret, dir);
	if (cookie > dir->count || (cookie && *verifier != 77))
		return FSAL_BAD_COOKIE;
	*verifier = 77;
	*ret_eof = false;
	for (uint64_t i = cookie; i < dir->count; i++) {
		const struct entry *e = &dir->entries[i];
		struct fsal_dirent d = {.name = span_cstr(e->name),
			.file_id = e->object->attr.file_id,
			.cookie = i + 1};
		if (want_objects) {
			d.object = e->object;
			d.attr = e->object->attr;
		}
		if (!fn(ctx, &d))
			return 0;
	}
	*ret_eof = true;
	return 0;
}

int fsal_fsstat(struct fsal_call *c, struct fsal_object *o, struct fsal_statfs *ret,
	struct fsal_post *ret_attr)
{
	*ret = (struct fsal_statfs){1000, 600, 500, 100, 60, 50};
	post(ret_attr, o);
	return 0;
}

void fsal_limits_get(const struct fsal_object *o, struct fsal_limits *ret)
{
	*ret = (struct fsal_limits){.file_bytes_max = FILE_BYTES,
		.link_max = 100,
		.name_bytes_max = NAME_BYTES - 1,
		.time_granularity_ns = 1,
		.has_links = true,
		.has_symlinks = true,
		.has_rename = true};
}

int fsal_walk(struct fsal_call *c, struct fsal_attachment *at, struct span path, bool follow,
	struct fsal_object **ret)
{
	struct fsal_object *o = fsal_root(at);
	struct span piece;
	bool done = path.n == 0;
	while (span_split(&path, '/', &done, &piece)) {
		struct entry *e = S_ISDIR(o->attr.mode) ? entry(o, piece) : NULL;
		if (!e)
			return -ENOENT;
		o = e->object;
	}
	*ret = o;
	return 0;
}
