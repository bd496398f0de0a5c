/* SPDX-License-Identifier: AGPL-3.0-only */
/* Each operation, on every backend. */
#include "tests/unit/nfs/fsal/fixture.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void on_each(void (*body)(struct fixture *f))
{
	for (enum fixture_kind kind = ON_DISK; kind < FIXTURE_KINDS; kind++) {
		struct fixture f = {.kind = kind};
		fixture_begin(&f);
		body(&f);
		fixture_end(&f);
	}
}

/* ---- files ---- */

static void files_of(struct fixture *f)
{
	struct fsal_object *o, *again;
	enum fsal_stability committed;
	struct fsal_wcc wcc;
	char p[16];
	size_t n;
	bool eof;
	struct fsal_post post;

	EXPECT_INT(make_file(f, root_of(f), "a", 0640, &o), 0);
	EXPECT_INT(make_file(f, root_of(f), "a", 0640, NULL), -EEXIST);
	struct fsal_attr a = attr_of(f, o);
	EXPECT_INT(a.mode, S_IFREG | 0640);
	EXPECT(a.nlink == 1 && a.size_bytes == 0);
	EXPECT_INT(fsal_write(&f->call, o, 0, SPAN("hello"), FSAL_FILE_SYNC, &committed, &wcc), 0);
	EXPECT_INT(committed, FSAL_FILE_SYNC);
	EXPECT(wcc.before_present && wcc.before_size_bytes == 0);
	EXPECT(wcc.after.present && wcc.after.attr.size_bytes == 5);
	EXPECT(has_text(f, o, "hello"));
	EXPECT_INT(fsal_read(&f->call, o, 1, p, 3, &n, &eof, &post), 0);
	EXPECT(n == 3 && !eof && memcmp(p, "ell", 3) == 0);
	EXPECT_INT(fsal_read(&f->call, o, 2, p, 3, &n, &eof, &post), 0);
	EXPECT(n == 3 && eof); /* exactly to the end */
	EXPECT_INT(fsal_read(&f->call, o, 9, p, 3, &n, &eof, &post), 0);
	EXPECT(n == 0 && eof);
	EXPECT_INT(write_text(f, o, 7, "x"), 0);
	EXPECT_INT(fsal_read(&f->call, o, 0, p, 16, &n, &eof, &post), 0);
	EXPECT(n == 8 && memcmp(p, "hello\0\0x", 8) == 0);
	EXPECT_INT(fsal_commit(&f->call, o, &wcc), 0);
	EXPECT_INT(look_up(f, root_of(f), "a", &again), 0);
	EXPECT(again == o);
	EXPECT_INT(look_up(f, root_of(f), "b", NULL), -ENOENT);
	EXPECT_INT(look_up(f, o, "b", NULL), -ENOTDIR);
	EXPECT_INT(fsal_read(&f->call, root_of(f), 0, p, 3, &n, &eof, &post), -EISDIR);
	EXPECT_INT(write_text(f, root_of(f), 0, "x"), -EISDIR);
	fsal_unref(again);
	EXPECT_INT(unlink_name(f, root_of(f), "a"), 0);
	EXPECT_INT(fsal_getattr(&f->call, o, &a), -ESTALE);
	EXPECT_INT(write_text(f, o, 0, "x"), -ESTALE);
	fsal_unref(o);
}

static void names_of(struct fixture *f)
{
	struct fsal_object *o;
	char name[300];

	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	EXPECT_INT(make_file(f, root_of(f), name, 0644, NULL), 0);
	EXPECT_INT(look_up(f, root_of(f), name, NULL), 0);
	name[255] = 'n';
	name[256] = '\0';
	EXPECT_INT(make_file(f, root_of(f), name, 0644, NULL), -ENAMETOOLONG);
	EXPECT_INT(make_file(f, root_of(f), "\xff\xfe\n\x01", 0644, &o), 0);
	EXPECT_INT(write_text(f, o, 0, "1"), 0);
	fsal_unref(o);
	EXPECT_INT(make_file(f, root_of(f), "a/b", 0644, NULL), -EINVAL);
	EXPECT_INT(make_file(f, root_of(f), ".", 0644, NULL), -EEXIST);
	EXPECT_INT(make_file(f, root_of(f), "..", 0644, NULL), -EEXIST);
	EXPECT_INT(make_file(f, root_of(f), "", 0644, NULL), -EACCES);
	EXPECT_INT(unlink_name(f, root_of(f), ".."), -EINVAL);
	EXPECT_INT(look_up(f, root_of(f), "..", &o), 0);
	EXPECT(o == root_of(f));
	fsal_unref(o);
}

static void create_of(struct fixture *f)
{
	const uint8_t mine[8] = "12345678", other[8] = "1234567x";
	struct fsal_sattr s = {.set_mode = true, .mode = 0600, .set_size = true};
	struct fsal_made made;
	struct fsal_object *first;

	EXPECT_INT(
		fsal_create(&f->call, root_of(f), SPAN("u"), FSAL_UNCHECKED, &s, NULL, &made), 0);
	EXPECT(made.dir.before_present && made.dir.after.present);
	EXPECT(made.dir.before_mtime_ns <= made.dir.after.attr.mtime_ns);
	first = fsal_ref(made.object);
	EXPECT_INT(write_text(f, first, 0, "content"), 0);
	EXPECT_INT(
		fsal_create(&f->call, root_of(f), SPAN("u"), FSAL_UNCHECKED, &s, NULL, &made), 0);
	EXPECT(made.object == first && made.attr.size_bytes == 0); /* truncated */
	fsal_unref(first);
	EXPECT_INT(fsal_create(&f->call, root_of(f), SPAN("u"), FSAL_GUARDED, &s, NULL, &made),
		-EEXIST);
	EXPECT(made.dir.after.present && !made.object);
	EXPECT_INT(
		fsal_create(&f->call, root_of(f), SPAN("x"), FSAL_EXCLUSIVE, NULL, mine, &made), 0);
	first = fsal_ref(made.object);
	/* The same request again, as after a lost reply. */
	EXPECT_INT(
		fsal_create(&f->call, root_of(f), SPAN("x"), FSAL_EXCLUSIVE, NULL, mine, &made), 0);
	EXPECT(made.object == first);
	EXPECT_INT(fsal_create(&f->call, root_of(f), SPAN("x"), FSAL_EXCLUSIVE, NULL, other, &made),
		-EEXIST);
	fsal_unref(first);
	EXPECT_INT(make_dir(f, root_of(f), "d", NULL), 0);
	EXPECT_INT(fsal_create(&f->call, root_of(f), SPAN("d"), FSAL_UNCHECKED, &s, NULL, &made),
		-EEXIST);
}

/* ---- attributes ---- */

/* Everything belongs to the server's user: no client makes a program that runs as it. */
static void set_id_of(struct fixture *f)
{
	struct fsal_sattr s = {.set_mode = true, .mode = 06755};
	struct fsal_object *o;
	struct fsal_made made;
	struct fsal_wcc wcc;

	EXPECT_INT(make_file(f, root_of(f), "suid", 04755, &o), 0);
	EXPECT_INT(attr_of(f, o).mode & 07777, 0755);
	EXPECT_INT(fsal_setattr(&f->call, o, &s, NULL, &wcc), 0);
	EXPECT_INT(attr_of(f, o).mode & 07777, 0755);
	EXPECT_INT(fsal_mkdir(&f->call, root_of(f), SPAN("sgid"), &s, &made), 0);
	EXPECT_INT(made.attr.mode & 07777, 0755);
	fsal_unref(o);
}

static void setattr_of(struct fixture *f)
{
	struct fsal_object *o;
	struct fsal_wcc wcc;
	struct fsal_sattr s = {.set_mode = true, .mode = 0444};

	EXPECT_INT(make_file(f, root_of(f), "a", 0644, &o), 0);
	EXPECT_INT(write_text(f, o, 0, "0123456789"), 0);
	EXPECT_INT(fsal_setattr(&f->call, o, &s, NULL, &wcc), 0);
	EXPECT_INT(attr_of(f, o).mode & 07777, 0444);
	EXPECT_INT(write_text(f, o, 0, "x"), 0); /* the mode stops nobody */
	s = (struct fsal_sattr){.set_size = true, .size_bytes = 4};
	EXPECT_INT(fsal_setattr(&f->call, o, &s, NULL, &wcc), 0);
	EXPECT(has_text(f, o, "x123"));
	EXPECT(wcc.before_size_bytes == 10 && wcc.after.attr.size_bytes == 4);
	int64_t guard = attr_of(f, o).ctime_ns - 1;
	EXPECT_INT(fsal_setattr(&f->call, o, &s, &guard, &wcc), FSAL_CHANGED);
	guard++;
	EXPECT_INT(fsal_setattr(&f->call, o, &s, &guard, &wcc), 0);
	s = (struct fsal_sattr){.mtime_how = FSAL_TIME_SET,
		.mtime_ns = 1000 * NS_PER_S + 5,
		.atime_how = FSAL_TIME_NOW};
	EXPECT_INT(fsal_setattr(&f->call, o, &s, NULL, &wcc), 0);
	EXPECT(attr_of(f, o).mtime_ns == 1000 * NS_PER_S + 5);
	EXPECT(attr_of(f, o).atime_ns > 1000 * NS_PER_S + 5);
	s = (struct fsal_sattr){.set_uid = true, .uid = f->options.uid + 1};
	EXPECT_INT(fsal_setattr(&f->call, o, &s, NULL, &wcc), -EPERM);
	s.uid--;
	EXPECT_INT(fsal_setattr(&f->call, o, &s, NULL, &wcc), 0);
	s = (struct fsal_sattr){.set_size = true};
	EXPECT_INT(fsal_setattr(&f->call, root_of(f), &s, NULL, &wcc), -EISDIR);
	fsal_unref(o);
}

static void special_of(struct fixture *f)
{
	static const struct fsal_sattr none;
	struct fsal_made made;
	struct fsal_post post;
	struct fsal_wcc wcc;
	char p[64];
	size_t n;
	struct fsal_object *o;

	EXPECT_INT(
		fsal_symlink(&f->call, root_of(f), SPAN("l"), SPAN("to/where"), &none, &made), 0);
	EXPECT_INT(made.attr.mode & S_IFMT, S_IFLNK);
	o = fsal_ref(made.object);
	EXPECT_INT(fsal_readlink(&f->call, o, p, sizeof(p), &n, &post), 0);
	EXPECT(span_is(span_of(p, n), "to/where"));
	fsal_unref(o);
	EXPECT_INT(fsal_mknod(&f->call, root_of(f), SPAN("p"), S_IFIFO, 0, 0, &none, &made), 0);
	EXPECT_INT(fsal_mknod(&f->call, root_of(f), SPAN("s"), S_IFSOCK, 0, 0, &none, &made), 0);
	EXPECT_INT(
		fsal_mknod(&f->call, root_of(f), SPAN("c"), S_IFCHR, 1, 3, &none, &made), -EPERM);
	EXPECT_INT(
		fsal_mknod(&f->call, root_of(f), SPAN("b"), S_IFBLK, 1, 3, &none, &made), -EPERM);
	o = walk_to(f, "p", 0);
	EXPECT_INT(write_text(f, o, 0, "x"), -EINVAL);
	fsal_unref(o);
	EXPECT_INT(make_file(f, root_of(f), "a", 0644, &o), 0);
	EXPECT_INT(fsal_link(&f->call, o, root_of(f), SPAN("h"), &post, &wcc), 0);
	EXPECT(post.attr.nlink == 2);
	EXPECT_INT(fsal_link(&f->call, o, root_of(f), SPAN("h"), &post, &wcc), -EEXIST);
	EXPECT_INT(fsal_link(&f->call, root_of(f), root_of(f), SPAN("r"), &post, &wcc), -EPERM);
	EXPECT_INT(unlink_name(f, root_of(f), "a"), 0);
	EXPECT(attr_of(f, o).nlink == 1); /* found under its other name */
	EXPECT_INT(write_text(f, o, 0, "still"), 0);
	fsal_unref(o);
	o = walk_to(f, "h", 0);
	EXPECT(has_text(f, o, "still"));
	fsal_unref(o);
}

/* ---- directories ---- */

static void rename_of(struct fixture *f)
{
	struct fsal_object *d, *e, *o, *p;
	struct fsal_wcc wcc;

	EXPECT_INT(make_dir(f, root_of(f), "d", &d), 0);
	EXPECT_INT(make_dir(f, d, "e", &e), 0);
	EXPECT_INT(make_file(f, e, "a", 0644, &o), 0);
	EXPECT_INT(write_text(f, o, 0, "1"), 0);
	EXPECT_INT(rename_to(f, e, "a", root_of(f), "b"), 0);
	EXPECT_INT(look_up(f, e, "a", NULL), -ENOENT);
	EXPECT_INT(look_up(f, root_of(f), "b", &p), 0);
	EXPECT(p == o);
	fsal_unref(p);
	EXPECT(has_text(f, o, "1"));
	EXPECT_INT(rename_to(f, root_of(f), "d", e, "x"), -EINVAL); /* below itself */
	EXPECT_INT(rename_to(f, root_of(f), "b", root_of(f), "d"), -EISDIR);
	EXPECT_INT(rename_to(f, root_of(f), "d", root_of(f), "b"), -ENOTDIR);
	EXPECT_INT(rename_to(f, root_of(f), "none", root_of(f), "b"), -ENOENT);
	EXPECT_INT(make_file(f, root_of(f), "c", 0644, &p), 0);
	EXPECT_INT(rename_to(f, root_of(f), "b", root_of(f), "c"), 0);
	struct fsal_attr a;
	EXPECT_INT(fsal_getattr(&f->call, p, &a), -ESTALE); /* was replaced */
	fsal_unref(p);
	EXPECT_INT(rename_to(f, root_of(f), "d", root_of(f), "f"), 0);
	EXPECT_INT(make_file(f, e, "z", 0644, NULL), 0);
	fsal_unref(walk_to(f, "f/e/z", 0));
	EXPECT_INT(fsal_rmdir(&f->call, d, SPAN("e"), &wcc), -ENOTEMPTY);
	EXPECT_INT(fsal_rmdir(&f->call, root_of(f), SPAN("c"), &wcc), -ENOTDIR);
	EXPECT_INT(unlink_name(f, root_of(f), "f"), -EISDIR);
	EXPECT_INT(unlink_name(f, e, "z"), 0);
	EXPECT_INT(fsal_rmdir(&f->call, d, SPAN("e"), &wcc), 0);
	EXPECT_INT(make_file(f, e, "z", 0644, NULL), -ESTALE);
	fsal_unref(d);
	fsal_unref(e);
	fsal_unref(o);
}

struct listing {
	size_t count, room, objects;
	uint64_t last;
	char names[32][8];
};

static bool note(void *ctx, const struct fsal_dirent *e)
{
	struct listing *l = ctx;
	if (l->count == l->room)
		return false;
	snprintf(l->names[l->count++ % 32], 8, SPAN_FMT, SPAN_ARG(e->name));
	l->objects += e->object != NULL;
	l->last = e->cookie;
	return true;
}

static void readdir_of(struct fixture *f)
{
	uint64_t verifier = 0;
	struct fsal_post post;
	bool seen[300] = {false}, eof = false;
	char name[16];
	size_t total = 0;

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%03d", i);
		EXPECT_INT(make_file(f, root_of(f), name, 0644, NULL), 0);
	}
	struct listing l = {0};
	/* Piecewise, while what was listed is deleted and more is made. */
	for (int round = 0; !eof; round++) {
		l.count = 0;
		l.room = 7;
		EXPECT_INT(fsal_readdir(&f->call, root_of(f), l.last, &verifier, round % 2, note,
				   &l, &eof, &post),
			0);
		EXPECT(l.count > 0 || eof);
		for (size_t i = 0; i < l.count; i++) {
			int number;
			if (sscanf(l.names[i], "f%d", &number) != 1)
				continue;
			EXPECT(!seen[number]);
			seen[number] = true;
			total++;
			if (number % 3 == 0)
				EXPECT_INT(unlink_name(f, root_of(f), l.names[i]), 0);
		}
		snprintf(name, sizeof(name), "g%d", round);
		EXPECT_INT(make_file(f, root_of(f), name, 0644, NULL), 0);
	}
	EXPECT(total == 300);
	verifier = 1;
	EXPECT_INT(
		fsal_readdir(&f->call, root_of(f), l.last, &verifier, false, note, &l, &eof, &post),
		FSAL_BAD_COOKIE);
	EXPECT(l.objects > 100);
}

static void walk_of(struct fixture *f)
{
	static const struct fsal_sattr none;
	struct fsal_object *d, *o;
	struct fsal_made made;

	EXPECT_INT(make_dir(f, root_of(f), "d", &d), 0);
	EXPECT_INT(make_file(f, d, "a", 0644, &o), 0);
	EXPECT_INT(fsal_symlink(&f->call, d, SPAN("up"), SPAN("../d/./a"), &none, &made), 0);
	EXPECT_INT(fsal_symlink(&f->call, d, SPAN("out"), SPAN("../../x"), &none, &made), 0);
	EXPECT_INT(fsal_symlink(&f->call, d, SPAN("abs"), SPAN("/etc"), &none, &made), 0);
	EXPECT_INT(fsal_symlink(&f->call, d, SPAN("loop"), SPAN("loop"), &none, &made), 0);
	EXPECT_INT(fsal_symlink(&f->call, root_of(f), SPAN("l"), SPAN("d"), &none, &made), 0);
	struct fsal_object *p = walk_to(f, "l/up", 0);
	EXPECT(p == o);
	fsal_unref(p);
	walk_to(f, "d/out", -EXDEV);
	walk_to(f, "d/abs/passwd", -EXDEV);
	walk_to(f, "d/loop", -ELOOP);
	walk_to(f, "d/a/b", -ENOTDIR);
	EXPECT_INT(fsal_replace(&f->call, d, SPAN("a"), SPAN("new")), 0);
	EXPECT_INT(write_text(f, o, 0, "x"), -ESTALE); /* the old one is gone */
	p = walk_to(f, "l/up", 0);
	EXPECT(has_text(f, p, "new"));
	fsal_unref(p);
	EXPECT_INT(fsal_replace(&f->call, d, SPAN("out"), SPAN("new")), -ELOOP);
	EXPECT_INT(fsal_replace(&f->call, root_of(f), SPAN("d"), SPAN("new")), -EISDIR);
	fsal_unref(o);
	fsal_unref(d);
}

/* ---- would it wait? ---- */

static void body_parking(void *arg)
{
	struct fixture f = {.kind = SLOW};
	struct fsal_attr a;
	struct fsal_wcc wcc;
	enum fsal_stability committed;

	fixture_begin(&f);
	EXPECT_INT(make_file(&f, root_of(&f), "a", 0644, NULL), 0);
	f.call.may_park = false;
	EXPECT_INT(fsal_getattr(&f.call, root_of(&f), &a), FSAL_WOULD_PARK);
	EXPECT_INT(unlink_name(&f, root_of(&f), "a"), FSAL_WOULD_PARK);
	EXPECT_INT(make_file(&f, root_of(&f), "b", 0644, NULL), FSAL_WOULD_PARK);
	EXPECT_INT(rename_to(&f, root_of(&f), "a", root_of(&f), "b"), FSAL_WOULD_PARK);
	f.call.may_park = true;
	EXPECT_INT(look_up(&f, root_of(&f), "a", NULL), 0);
	EXPECT_INT(look_up(&f, root_of(&f), "b", NULL), -ENOENT);
	fixture_end(&f);
	/* On a disk only what must reach it waits. */
	f = (struct fixture){.kind = ON_DISK};
	fixture_begin(&f);
	f.call.may_park = false;
	struct fsal_object *o;
	EXPECT_INT(make_file(&f, root_of(&f), "a", 0644, &o), 0);
	EXPECT_INT(write_text(&f, o, 0, "x"), 0);
	EXPECT(has_text(&f, o, "x"));
	EXPECT_INT(fsal_write(&f.call, o, 0, SPAN("y"), FSAL_FILE_SYNC, &committed, &wcc),
		FSAL_WOULD_PARK);
	EXPECT_INT(fsal_commit(&f.call, o, &wcc), FSAL_WOULD_PARK);
	EXPECT(has_text(&f, o, "x"));
	fsal_unref(o);
	fixture_end(&f);
}

/* A volume that is to survive loss of power waits in each operation that changes it. */
static void body_sync(void *arg)
{
	struct fixture f = {.kind = ON_DISK, .options = {.sync = true}};
	struct fsal_object *d, *o;
	struct fsal_sattr s = {.set_mode = true, .mode = 0600};
	struct fsal_wcc wcc;

	fixture_begin(&f);
	EXPECT_INT(make_dir(&f, root_of(&f), "d", &d), 0);
	EXPECT_INT(make_file(&f, d, "a", 0644, &o), 0);
	EXPECT_INT(fsal_setattr(&f.call, o, &s, NULL, &wcc), 0);
	EXPECT_INT(rename_to(&f, d, "a", root_of(&f), "b"), 0);
	EXPECT_INT(fsal_replace(&f.call, d, SPAN("c"), SPAN("text")), 0);
	f.call.may_park = false;
	EXPECT_INT(make_file(&f, d, "x", 0644, NULL), FSAL_WOULD_PARK);
	EXPECT_INT(fsal_setattr(&f.call, o, &s, NULL, &wcc), FSAL_WOULD_PARK);
	EXPECT_INT(unlink_name(&f, root_of(&f), "b"), FSAL_WOULD_PARK);
	EXPECT_INT(rename_to(&f, root_of(&f), "b", d, "a"), FSAL_WOULD_PARK);
	EXPECT_INT(look_up(&f, d, "x", NULL), -ENOENT);
	EXPECT_INT(look_up(&f, root_of(&f), "b", NULL), 0);
	fsal_unref(d);
	fsal_unref(o);
	fixture_end(&f);
}

/* 100,000 names in a folder; each is listed once. */
static void body_large(void *arg)
{
	enum { ENTRIES = 100000 };
	struct fixture f = {.kind = ON_DISK};
	uint64_t verifier = 0, cookie = 0;
	struct fsal_post post;
	size_t total = 0;
	char name[16];
	bool eof = false;

	fixture_begin(&f);
	EXPECT_INT(mkdirat(f.folder_fd, "d", 0755), 0);
	for (int i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		EXPECT_INT(symlinkat("x", f.folder_fd, name), 0);
	}
	struct fsal_object *d = walk_to(&f, "d", 0);
	while (!eof) {
		struct listing l = {.room = 999};
		EXPECT_INT(
			fsal_readdir(&f.call, d, cookie, &verifier, false, note, &l, &eof, &post),
			0);
		EXPECT(l.count > 0 || eof);
		total += l.count;
		cookie = l.last;
	}
	EXPECT_INT((long)total, ENTRIES + 2);
	fsal_unref(d);
	fixture_end(&f);
}

/* A store of whole objects, a network away: what it does not have is said, all else works. */
static void body_objects(void *arg)
{
	struct fixture f = {.kind = SLOW, .objects = true};
	struct fsal_sattr s = {.set_size = true, .size_bytes = 1};
	struct fsal_limits limits;
	struct fsal_object *o, *d;
	struct fsal_attr a;
	struct fsal_wcc wcc;
	struct fsal_post post;

	fixture_begin(&f);
	fsal_limits_get(root_of(&f), &limits);
	EXPECT(!limits.has_rename && !limits.has_links && !limits.has_symlinks);
	EXPECT_INT(make_dir(&f, root_of(&f), "d", &d), 0);
	EXPECT_INT(make_file(&f, d, "a", 0640, &o), 0);
	EXPECT_INT(write_text(&f, o, 0, "some text"), 0);
	EXPECT(has_text(&f, o, "some text"));
	EXPECT_INT(rename_to(&f, d, "a", d, "b"), -EOPNOTSUPP);
	EXPECT_INT(fsal_link(&f.call, o, d, SPAN("b"), &post, &wcc), -EOPNOTSUPP);
	EXPECT_INT(fsal_setattr(&f.call, o, &s, NULL, &wcc), -EOPNOTSUPP);
	EXPECT_INT(look_up(&f, d, "b", NULL), -ENOENT);
	EXPECT(has_text(&f, o, "some text"));
	EXPECT_INT(fsal_replace(&f.call, d, SPAN("a"), SPAN("other")), 0);
	EXPECT_INT(fsal_getattr(&f.call, o, &a), -ESTALE);
	fsal_unref(o);
	o = walk_to(&f, "d/a", 0);
	EXPECT(has_text(&f, o, "other"));
	fsal_unref(o);
	EXPECT_INT(unlink_name(&f, d, "a"), 0);
	EXPECT_INT(look_up(&f, d, "a", NULL), -ENOENT);
	fsal_unref(d);
	fixture_end(&f);
}

#define EACH(name) \
	static void body_##name(void *arg) \
	{ \
		on_each(name##_of); \
	} \
	static void test_##name(void **state) \
	{ \
		in_fiber(body_##name); \
	}

EACH(files)
EACH(names)
EACH(create)
EACH(set_id)
EACH(setattr)
EACH(special)
EACH(rename)
EACH(readdir)
EACH(walk)

static void parking(void **state)
{
	in_fiber(body_parking);
}

static void sync_(void **state)
{
	in_fiber(body_sync);
}

static void large_folder(void **state)
{
	in_fiber(body_large);
}

static void store_of_objects(void **state)
{
	in_fiber(body_objects);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_set_id),
		cmocka_unit_test(test_setattr),
		cmocka_unit_test(test_special),
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_readdir),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(parking),
		cmocka_unit_test(sync_),
		cmocka_unit_test(large_folder),
		cmocka_unit_test(store_of_objects),
	};
	return cmocka_run_group_tests_name("nfs/fsal/operations", tests, NULL, NULL);
}
