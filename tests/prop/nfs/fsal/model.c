/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Random operations on a volume and on a model of a POSIX file system: the same outcomes, the same
 * tree, the same content, and a quota whose books a recount confirms. Objects are named by their
 * handles, dead ones too, through restarts; on a disk others work in the same folder meanwhile.
 */
#include "tests/prop/random.h"
#include "tests/unit/nfs/fsal/fixture.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { NAMES = 5, INODES = 400, LIVE_MAX = 40, CONTENT = 160, STEPS = 400 };

struct inode {
	uint32_t type;
	uint32_t mode;
	uint32_t nlink;
	size_t size;
	char content[CONTENT];
	int parent; /* of a directory */
	int child[NAMES]; /* of a directory; 0: none, since nothing holds the root */
	char handle[FSAL_HANDLE_BYTES];
	size_t handle_bytes;
};

struct world {
	struct fixture f;
	struct random r;
	struct inode inodes[INODES]; /* [0] is the root */
	int count;
	bool others; /* somebody else works in the folder */
	bool bound; /* by permissions, as who is not root */
	uint64_t seed;
	int step;
	bool failed;
};

static const char *const names[NAMES] = {"a", "b", "c", "\xc3\xa9", "\xff\n"};

static void expect(struct world *w, const char *what, int got, int wanted)
{
	if (got == wanted || w->failed)
		return;
	w->failed = true;
	printf("# seed %llu kind %d step %d: %s is %d, the model says %d\n",
		(unsigned long long)w->seed, (int)w->f.kind, w->step, what, got, wanted);
	expect_failed(what, __FILE__, __LINE__);
}

/* ---- picking ---- */

static bool is_dir(const struct inode *i)
{
	return i->type == S_IFDIR;
}

static int pick(struct world *w, uint32_t type)
{
	for (int tries = 0; tries < 50; tries++) {
		int n = (int)random_below(&w->r, (size_t)w->count);
		if (w->inodes[n].type == type && (w->inodes[n].nlink || random_chance(&w->r, 8)))
			return n;
	}
	return type == S_IFDIR ? 0 : -1;
}

static int live(const struct world *w)
{
	int n = 0;
	for (int i = 0; i < w->count; i++)
		n += w->inodes[i].nlink > 0;
	return n;
}

/* The object of an inode, held; NULL, and the outcome, if there is none. */
static struct fsal_object *object_of(struct world *w, int n, int *ret)
{
	struct inode *i = &w->inodes[n];
	struct fsal_object *o = NULL;

	*ret = fsal_find(w->f.fsal, &w->f.call, span_of(i->handle, i->handle_bytes), &o);
	if (*ret == 0 && i->nlink == 0) {
		struct fsal_attr a; /* it may be known still, but then as gone */
		*ret = fsal_getattr(&w->f.call, o, &a);
		expect(w, "getattr of what is gone", *ret, -ESTALE);
		return NULL;
	}
	expect(w, "find", *ret, i->nlink ? 0 : -ESTALE);
	return *ret == 0 ? fsal_ref(o) : NULL;
}

static void know(struct inode *i, struct fsal_object *o)
{
	struct span h = fsal_handle(o);
	memcpy(i->handle, h.p, h.n);
	i->handle_bytes = h.n;
}

/* ---- the model's operations ---- */

static int m_new(struct world *w, int dir, int name, uint32_t type, uint32_t mode)
{
	struct inode *i = &w->inodes[w->count];
	*i = (struct inode){.type = type, .mode = mode, .nlink = 1, .parent = dir};
	w->inodes[dir].child[name] = w->count;
	return w->count++;
}

static bool m_empty(const struct inode *i)
{
	for (int n = 0; n < NAMES; n++)
		if (i->child[n])
			return false;
	return true;
}

static bool m_below(const struct world *w, int i, int ancestor)
{
	for (;; i = w->inodes[i].parent) {
		if (i == ancestor)
			return true;
		if (i == 0)
			return false;
	}
}

static int m_rename(struct world *w, int from, int a, int to, int b)
{
	int i = w->inodes[from].child[a], old = w->inodes[to].child[b];

	if (!i)
		return -ENOENT;
	if (i == old)
		return 0;
	if (is_dir(&w->inodes[i]) && m_below(w, to, i))
		return -EINVAL;
	if (old && is_dir(&w->inodes[old]) && m_below(w, from, old))
		return -ENOTEMPTY;
	if (old && is_dir(&w->inodes[i]) != is_dir(&w->inodes[old]))
		return is_dir(&w->inodes[i]) ? -ENOTDIR : -EISDIR;
	if (old && is_dir(&w->inodes[old]) && !m_empty(&w->inodes[old]))
		return -ENOTEMPTY;
	if (old)
		w->inodes[old].nlink--;
	w->inodes[to].child[b] = i;
	w->inodes[from].child[a] = 0;
	if (is_dir(&w->inodes[i]))
		w->inodes[i].parent = to;
	return 0;
}

static int m_remove(struct world *w, int dir, int name, bool directory)
{
	int i = w->inodes[dir].child[name];

	if (!i)
		return -ENOENT;
	if (directory != is_dir(&w->inodes[i]))
		return directory ? -ENOTDIR : -EISDIR;
	if (directory && !m_empty(&w->inodes[i]))
		return -ENOTEMPTY;
	w->inodes[i].nlink--;
	w->inodes[dir].child[name] = 0;
	return 0;
}

static void m_write(struct inode *i, size_t offset, const char *p, size_t n)
{
	if (offset > i->size)
		memset(i->content + i->size, 0, offset - i->size);
	memcpy(i->content + offset, p, n);
	if (offset + n > i->size)
		i->size = offset + n;
}

/* ---- both ---- */

static void do_make(struct world *w)
{
	static const uint32_t types[] = {S_IFREG, S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO};
	int dir = pick(w, S_IFDIR), name = (int)random_below(&w->r, NAMES), r;
	uint32_t type = types[random_below(&w->r, ARRAY_LEN(types))];
	uint32_t mode = type == S_IFLNK ? 0777 : (uint32_t)random_below(&w->r, 01000);
	struct fsal_sattr s = {.set_mode = type != S_IFLNK, .mode = mode};
	struct span text = span_cstr(names[name]);
	struct fsal_made made;
	struct fsal_object *d = object_of(w, dir, &r);

	if (!d || live(w) >= LIVE_MAX || w->count == INODES) {
		fsal_unref(d);
		return;
	}
	if (type == S_IFREG)
		r = fsal_create(&w->f.call, d, text, FSAL_GUARDED, &s, NULL, &made);
	else if (type == S_IFDIR)
		r = fsal_mkdir(&w->f.call, d, text, &s, &made);
	else if (type == S_IFLNK)
		r = fsal_symlink(&w->f.call, d, text, SPAN("x/y"), &s, &made);
	else
		r = fsal_mknod(&w->f.call, d, text, type, 0, 0, &s, &made);
	bool there = w->inodes[dir].child[name] != 0;
	expect(w, "make", r, there ? -EEXIST : 0);
	if (!there && r == 0) {
		struct inode *i = &w->inodes[m_new(w, dir, name, type, mode)];
		know(i, made.object);
		if (type == S_IFLNK)
			m_write(i, 0, "x/y", 3);
	}
	fsal_unref(d);
}

static void do_remove(struct world *w)
{
	int dir = pick(w, S_IFDIR), name = (int)random_below(&w->r, NAMES), r;
	bool directory = random_chance(&w->r, 3);
	struct fsal_wcc wcc;
	struct fsal_object *d = object_of(w, dir, &r);

	if (!d)
		return;
	r = directory ? fsal_rmdir(&w->f.call, d, span_cstr(names[name]), &wcc)
		      : unlink_name(&w->f, d, names[name]);
	expect(w, "remove", r, m_remove(w, dir, name, directory));
	fsal_unref(d);
}

static void do_rename(struct world *w)
{
	int from = pick(w, S_IFDIR), to = pick(w, S_IFDIR), r;
	int a = (int)random_below(&w->r, NAMES), b = (int)random_below(&w->r, NAMES);
	struct fsal_object *d = object_of(w, from, &r), *e = object_of(w, to, &r);

	if (d && e) {
		r = rename_to(&w->f, d, names[a], e, names[b]);
		expect(w, "rename", r, m_rename(w, from, a, to, b));
	}
	fsal_unref(d);
	fsal_unref(e);
}

static void do_link(struct world *w)
{
	int n = pick(w, random_chance(&w->r, 6) ? S_IFDIR : S_IFREG), dir = pick(w, S_IFDIR), r;
	int name = (int)random_below(&w->r, NAMES), wanted = 0;
	struct fsal_post post;
	struct fsal_wcc wcc;

	if (n < 0)
		return;
	struct fsal_object *o = object_of(w, n, &r), *d = object_of(w, dir, &r);
	if (o && d) {
		r = fsal_link(&w->f.call, o, d, span_cstr(names[name]), &post, &wcc);
		if (is_dir(&w->inodes[n]))
			wanted = -EPERM;
		else if (w->inodes[dir].child[name])
			wanted = -EEXIST;
		expect(w, "link", r, wanted);
		if (wanted == 0) {
			w->inodes[n].nlink++;
			w->inodes[dir].child[name] = n;
		}
	}
	fsal_unref(o);
	fsal_unref(d);
}

static void do_write(struct world *w)
{
	int n = pick(w, S_IFREG), r;
	size_t offset = random_below(&w->r, CONTENT - 40), size = random_below(&w->r, 40);
	char p[40];
	enum fsal_stability committed, how = (enum fsal_stability)random_below(&w->r, 3);
	struct fsal_wcc wcc;

	if (n < 0)
		return;
	struct fsal_object *o = object_of(w, n, &r);
	if (!o)
		return;
	random_bytes(&w->r, p, size);
	if (random_chance(&w->r, 4)) {
		struct fsal_sattr s = {.set_size = true, .size_bytes = offset};
		expect(w, "truncate", fsal_setattr(&w->f.call, o, &s, NULL, &wcc), 0);
		struct inode *i = &w->inodes[n];
		if (offset > i->size)
			memset(i->content + i->size, 0, offset - i->size);
		i->size = offset;
	} else {
		expect(w, "write",
			fsal_write(&w->f.call, o, offset, span_of(p, size), how, &committed, &wcc),
			0);
		if (size)
			m_write(&w->inodes[n], offset, p, size);
		expect(w, "size after a write", (int)wcc.after.attr.size_bytes,
			(int)w->inodes[n].size);
	}
	fsal_unref(o);
}

static void do_mode(struct world *w)
{
	int n = pick(w, random_chance(&w->r, 2) ? S_IFDIR : S_IFREG), r;
	struct fsal_sattr s = {.set_mode = true, .mode = (uint32_t)random_below(&w->r, 010000)};
	struct fsal_wcc wcc;

	if (n <= 0)
		return;
	struct fsal_object *o = object_of(w, n, &r);
	if (o)
		expect(w, "chmod", fsal_setattr(&w->f.call, o, &s, NULL, &wcc), 0);
	if (o) /* a squash export has no set-id bits */
		w->inodes[n].mode = s.mode & 01777;
	fsal_unref(o);
}

/* ---- others ---- */

static void path_of(const struct world *w, int dir, struct buf *b)
{
	if (dir != 0) {
		const struct inode *p = &w->inodes[w->inodes[dir].parent];
		path_of(w, w->inodes[dir].parent, b);
		for (int n = 0; n < NAMES; n++)
			if (p->child[n] == dir)
				buf_puts(b, names[n]);
		buf_putc(b, '/');
	}
}

static void do_other(struct world *w)
{
	int from = pick(w, S_IFDIR), to = pick(w, S_IFDIR);
	int a = (int)random_below(&w->r, NAMES), b = (int)random_below(&w->r, NAMES);
	struct buf p CLEANUP(buf_fini) = buf_init(4096), q CLEANUP(buf_fini) = buf_init(4096);

	if (!w->others || !w->inodes[from].nlink || !w->inodes[to].nlink)
		return;
	path_of(w, from, &p);
	buf_puts(&p, names[a]);
	path_of(w, to, &q);
	buf_puts(&q, names[b]);
	if (random_chance(&w->r, 3)) {
		int r = unlinkat(w->f.folder_fd, buf_cstr(&p), 0) < 0 ? -errno : 0;
		expect(w, "unlink by others", r, m_remove(w, from, a, false));
	} else {
		int r = renameat(w->f.folder_fd, buf_cstr(&p), w->f.folder_fd, buf_cstr(&q)) < 0
			? -errno
			: 0;
		expect(w, "rename by others", r, m_rename(w, from, a, to, b));
	}
}

/* ---- comparing ---- */

struct found {
	int seen[NAMES];
	int strangers;
};

static bool note(void *ctx, const struct fsal_dirent *e)
{
	struct found *f = ctx;

	if (span_is(e->name, ".") || span_is(e->name, ".."))
		return true;
	for (int n = 0; n < NAMES; n++) {
		if (!span_is(e->name, names[n]))
			continue;
		f->seen[n]++;
		return true;
	}
	f->strangers++;
	return true;
}

static void compare_object(struct world *w, const struct inode *i, struct fsal_object *o)
{
	struct fsal_attr a = attr_of(&w->f, o);
	struct fsal_post post;
	char p[CONTENT];
	size_t n = 0;
	bool eof = false;

	expect(w, "type", (int)(a.mode & S_IFMT), (int)i->type);
	expect(w, "mode", (int)(a.mode & 07777), (int)i->mode);
	expect(w, "same object", span_eq(fsal_handle(o), span_of(i->handle, i->handle_bytes)),
		true);
	if (i->type == S_IFREG || i->type == S_IFLNK) {
		expect(w, "links", (int)a.nlink, (int)i->nlink);
		expect(w, "size", (int)a.size_bytes, (int)i->size);
	}
	if (i->type == S_IFREG)
		expect(w, "read", fsal_read(&w->f.call, o, 0, p, sizeof(p), &n, &eof, &post), 0);
	if (i->type == S_IFLNK)
		expect(w, "readlink", fsal_readlink(&w->f.call, o, p, sizeof(p), &n, &post), 0);
	expect(w, "content", n == i->size && memcmp(p, i->content, n) == 0, true);
}

static void compare(struct world *w, int dir, struct fsal_object *d)
{
	struct found found = {0};
	uint64_t verifier = 0;
	struct fsal_post post;
	bool eof = false;

	expect(w, "readdir",
		fsal_readdir(&w->f.call, d, 0, &verifier, random_chance(&w->r, 2), note, &found,
			&eof, &post),
		0);
	expect(w, "end of listing", eof, true);
	expect(w, "strangers", found.strangers, 0);
	for (int n = 0; n < NAMES && !w->failed; n++) {
		struct fsal_object *o = NULL;
		int i = w->inodes[dir].child[n];
		expect(w, "listed", found.seen[n], i != 0);
		expect(w, "lookup", look_up(&w->f, d, names[n], &o), i ? 0 : -ENOENT);
		if (!o)
			continue;
		if (is_dir(&w->inodes[i]))
			compare(w, i, o);
		else
			compare_object(w, &w->inodes[i], o);
		fsal_unref(o);
	}
}

static void books(struct world *w)
{
	struct fsal_usage before, after;
	struct fsal_quota q = {.bytes = UINT64_C(1) << 40, .inodes = 1000000};

	fsal_volume_usage(w->f.volume, &before);
	EXPECT_INT(fsal_volume_set_quota(w->f.volume, &q, DEADLINE_NONE), 0);
	fsal_volume_usage(w->f.volume, &after);
	if (w->others || w->step == 0)
		return; /* what others do is seen at a recount */
	expect(w, "bytes used", (int)before.bytes, (int)after.bytes);
	expect(w, "inodes used", (int)before.inodes, (int)after.inodes);
}

static void restart(struct world *w)
{
	if (w->f.kind != ON_DISK)
		return;
	books(w);
	fixture_restart(&w->f);
	struct fsal_quota q = {.bytes = UINT64_C(1) << 40, .inodes = 1000000};
	EXPECT_INT(fsal_volume_set_quota(w->f.volume, &q, DEADLINE_NONE), 0);
}

static void run(struct world *w)
{
	static void (*const actions[])(struct world *) = {do_make, do_make, do_make, do_remove,
		do_rename, do_rename, do_link, do_write, do_write, do_mode, do_other};

	w->inodes[0] = (struct inode){.type = S_IFDIR, .mode = 0755, .nlink = 1};
	know(&w->inodes[0], root_of(&w->f));
	w->count = 1;
	books(w);
	for (w->step = 1; w->step <= STEPS && !w->failed; w->step++) {
		actions[random_below(&w->r, ARRAY_LEN(actions))](w);
		if (random_chance(&w->r, 100))
			restart(w);
		if (random_chance(&w->r, 50))
			compare(w, 0, root_of(&w->f));
	}
	compare(w, 0, root_of(&w->f));
	if (!w->failed)
		books(w);
}

static void body(void *arg)
{
	static struct world w;
	uint32_t had[2];

	for_each_seed (seed, 30) {
		for (enum fixture_kind kind = ON_DISK; kind < FIXTURE_KINDS; kind++) {
			bool bound = kind == ON_DISK && seed % 2; /* by permissions */
			w = (struct world){.r = {seed},
				.seed = seed,
				.bound = bound,
				.others = kind == ON_DISK && seed % 3 == 0,
				.f = {.kind = kind, .descriptors_max = 64}};
			if (bound)
				EXPECT(fixture_powers(had, true));
			fixture_begin(&w.f);
			run(&w);
			fixture_end(&w.f);
			if (bound)
				EXPECT(fixture_powers(had, false));
			if (w.failed)
				return;
		}
	}
}

static void model(void **state)
{
	in_fiber(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(model)};
	return cmocka_run_group_tests_name("nfs/fsal/model", tests, NULL, NULL);
}
