/* SPDX-License-Identifier: AGPL-3.0-only */
/* Handles: what they are good for, and how long. */
#include "tests/unit/nfs/fsal/fixture.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct kept {
	char bytes[FSAL_HANDLE_BYTES];
	size_t n;
};

static struct kept keep(const struct fsal_object *o)
{
	struct kept k = {.n = fsal_handle(o).n};
	EXPECT(k.n <= FSAL_HANDLE_BYTES);
	memcpy(k.bytes, fsal_handle(o).p, k.n);
	return k;
}

static int find(struct fixture *f, const struct kept *k, struct fsal_object **ret)
{
	return fsal_find(f->fsal, &f->call, span_of(k->bytes, k->n), ret);
}

static void on_disk_and_memory(void (*body)(struct fixture *f))
{
	for (enum fixture_kind kind = ON_DISK; kind < FIXTURE_KINDS; kind++) {
		struct fixture f = {.kind = kind};
		fixture_begin(&f);
		body(&f);
		fixture_end(&f);
	}
}

static void forged_body(struct fixture *f)
{
	struct fsal_object *o, *found;
	EXPECT_INT(make_file(f, root_of(f), "a", 0644, &o), 0);
	struct kept k = keep(o), bad;

	EXPECT_INT(find(f, &k, &found), 0);
	EXPECT(found == o);
	/* Every single bit counts. */
	for (size_t i = 0; i < 8 * k.n; i++) {
		bad = k;
		bad.bytes[i / 8] = (char)(bad.bytes[i / 8] ^ 1 << i % 8);
		EXPECT_INT(find(f, &bad, &found), -EBADMSG);
	}
	for (size_t n = 0; n < k.n; n++) {
		bad = k;
		bad.n = n;
		EXPECT_INT(find(f, &bad, &found), -EBADMSG);
	}
	fsal_unref(o);
}

static void body_forged(void *arg)
{
	on_disk_and_memory(forged_body);
}

/* Another execution's, another volume's, another listener's, another key's. */
static void body_foreign(void *arg)
{
	int here, there;
	struct fixture f = {.options = {.door = &here}};
	struct fsal_attachment *other;
	struct fsal_object *o, *p, *found;

	fixture_begin(&f);
	EXPECT_INT(make_file(&f, root_of(&f), "a", 0644, &o), 0);
	struct kept k = keep(o);
	struct fsal_attach_options second = f.options;
	EXPECT_INT(fsal_attach(f.volume, &second, &other), -EEXIST);
	second.execution_id = SPAN("e2");
	second.door = &there;
	EXPECT_INT(fsal_attach(f.volume, &second, &other), 0);
	EXPECT_INT(fsal_walk(&f.call, other, SPAN("a"), true, &p), 0);
	struct kept q = keep(p);
	EXPECT(k.n != q.n || memcmp(k.bytes, q.bytes, k.n) != 0);
	EXPECT_INT(find(&f, &q, &found), -ESTALE); /* in the cache, but not ours */
	f.call.door = &there;
	EXPECT_INT(find(&f, &q, &found), 0);
	EXPECT(found == p && fsal_object_attachment(found) == other);
	EXPECT_INT(find(&f, &k, &found), -ESTALE);
	fsal_detach(other);
	EXPECT_INT(find(&f, &q, &found), -ESTALE);
	f.call.door = &here;
	fsal_unref(o);
	f.layer.key[1] = 1; /* as on another host */
	fixture_restart(&f);
	EXPECT_INT(find(&f, &k, &found), -EBADMSG);
	f.layer.key[1] = 0;
	fixture_restart(&f);
	EXPECT_INT(find(&f, &k, &found), 0);
	fixture_end(&f);
}

/* Rename, restart, write through the old handle; the same after somebody else has moved it. */
static void outlive(struct fixture *f)
{
	struct fsal_object *d, *o;
	struct fsal_attr a;

	EXPECT_INT(make_dir(f, root_of(f), "d", &d), 0);
	EXPECT_INT(make_file(f, d, "a", 0644, &o), 0);
	struct kept k = keep(o), kd = keep(d);
	EXPECT_INT(rename_to(f, d, "a", root_of(f), "b"), 0);
	EXPECT_INT(rename_to(f, root_of(f), "d", root_of(f), "e"), 0);
	fsal_unref(d);
	fsal_unref(o);
	fixture_restart(f);
	EXPECT_INT(find(f, &k, &o), 0);
	EXPECT_INT(write_text(f, o, 0, "after"), 0);
	o = walk_to(f, "b", 0);
	EXPECT(has_text(f, o, "after"));
	fsal_unref(o);
	EXPECT_INT(find(f, &kd, &d), 0);
	EXPECT_INT(make_file(f, d, "x", 0644, NULL), 0);
	fsal_unref(walk_to(f, "e/x", 0));
	fixture_restart(f);
	EXPECT_INT(renameat(f->folder_fd, "b", f->folder_fd, "e/c"), 0);
	EXPECT_INT(find(f, &k, &o), 0);
	EXPECT(has_text(f, o, "after"));
	EXPECT_INT(renameat(f->folder_fd, "e", f->folder_fd, "g"), 0);
	EXPECT_INT(find(f, &k, &o), 0);
	EXPECT_INT(write_text(f, o, 0, "AFTER"), 0);
	o = walk_to(f, "g/c", 0);
	EXPECT(has_text(f, o, "AFTER"));
	EXPECT(memcmp(keep(o).bytes, k.bytes, k.n) == 0);
	fsal_unref(o);
	fixture_restart(f);
	EXPECT_INT(unlinkat(f->folder_fd, "g/c", 0), 0);
	EXPECT_INT(close(openat(f->folder_fd, "g/c", O_CREAT | O_WRONLY, 0644)), 0);
	EXPECT_INT(find(f, &k, &o), -ESTALE); /* its successor is another file */
	EXPECT_INT(fsal_getattr(&f->call, root_of(f), &a), 0);
}

static void body_restart(void *arg)
{
	struct fixture f = {.kind = ON_DISK};
	uint32_t had[2];

	fixture_begin(&f);
	outlive(&f);
	fixture_end(&f);
	/* Without open_by_handle_at. */
	f = (struct fixture){.kind = ON_DISK};
	EXPECT(fixture_powers(had, true));
	fixture_begin(&f);
	outlive(&f);
	fixture_end(&f);
	EXPECT(fixture_powers(had, false));
}

/* What lies beyond the caches' sizes works as well. */
static void many(struct fixture *f)
{
	enum { FILES = 6000 };
	static struct kept handles[FILES];
	struct fsal_object *o, *d;
	struct fsal_stats stats;
	char name[16];

	EXPECT_INT(make_dir(f, root_of(f), "d", &d), 0);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		EXPECT_INT(make_file(f, d, name, 0644, &o), 0);
		EXPECT_INT(write_text(f, o, 0, name), 0);
		handles[i] = keep(o);
		fsal_unref(o);
	}
	fsal_stats_get(f->fsal, &stats);
	EXPECT(stats.objects < 3200);
	for (int i = 0; i < FILES; i += 7) {
		int n = (int)((unsigned)i * 7919u % FILES);
		snprintf(name, sizeof(name), "%d", n);
		EXPECT_INT(find(f, &handles[n], &o), 0);
		EXPECT(attr_of(f, o).size_bytes == strlen(name));
		EXPECT(has_text(f, o, name));
	}
	fsal_stats_get(f->fsal, &stats);
	EXPECT(stats.objects < 3200);
	EXPECT(stats.misses > 100);
	fsal_unref(d);
}

static void body_many(void *arg)
{
	const struct fixture small = {
		.kind = ON_DISK, .descriptors_max = 64, .layer = {.objects_max = 500}};
	struct fixture f = small;
	uint32_t had[2];

	fixture_begin(&f);
	many(&f);
	fixture_end(&f);
	/* Without open_by_handle_at: what was forgotten is found without a walk for each. */
	f = small;
	EXPECT(fixture_powers(had, true));
	fixture_begin(&f);
	int64_t began_ns = rt_now_ns();
	many(&f);
	EXPECT(rt_now_ns() - began_ns < 60 * NS_PER_S);
	fixture_end(&f);
	EXPECT(fixture_powers(had, false));
}

/* A folder that others move while it is in the cache, up to putting it below its own child. */
static void body_moved(void *arg)
{
	struct fixture f = {.kind = ON_DISK, .descriptors_max = 64};
	struct fsal_object *a, *b, *o;
	struct buf path CLEANUP(buf_fini) = buf_init(100);

	fixture_begin(&f);
	EXPECT_INT(make_dir(&f, root_of(&f), "a", &a), 0);
	EXPECT_INT(make_dir(&f, a, "b", &b), 0);
	EXPECT_INT(make_file(&f, b, "x", 0644, &o), 0);
	EXPECT_INT(renameat(f.folder_fd, "a/b", f.folder_fd, "b"), 0);
	EXPECT_INT(renameat(f.folder_fd, "a", f.folder_fd, "b/a"), 0);
	struct fsal_object *again;
	EXPECT_INT(look_up(&f, b, "a", &again), 0);
	EXPECT(again == a);
	EXPECT_INT(fsal_path(a, &path), 0);
	EXPECT(span_is(buf_view(&path), "b/a"));
	EXPECT_INT(make_file(&f, a, "y", 0644, NULL), 0);
	fsal_unref(walk_to(&f, "b/a/y", 0));
	fsal_unref(again);
	fsal_unref(a);
	fsal_unref(b);
	fsal_unref(o);
	fixture_end(&f);
}

/* Modes that would shut the daemon out of its own files, where permissions bind it. */
static void body_modes(void *arg)
{
	struct fixture f = {.kind = ON_DISK};
	uint32_t had[2];
	struct fsal_object *d, *o;
	struct fsal_wcc wcc;
	struct fsal_sattr s = {.set_mode = true};

	EXPECT(fixture_powers(had, true));
	fixture_begin(&f);
	EXPECT_INT(make_file(&f, root_of(&f), "a", 0444, &o), 0);
	EXPECT_INT(write_text(&f, o, 0, "git does this"), 0);
	EXPECT_INT(attr_of(&f, o).mode & 07777, 0444);
	EXPECT_INT(make_dir(&f, root_of(&f), "d", &d), 0);
	EXPECT_INT(fsal_setattr(&f.call, d, &s, NULL, &wcc), 0);
	EXPECT_INT(fsal_setattr(&f.call, o, &s, NULL, &wcc), 0);
	fsal_unref(o);
	fsal_unref(d);
	fixture_restart(&f);
	o = walk_to(&f, "a", 0);
	d = walk_to(&f, "d", 0);
	EXPECT_INT(attr_of(&f, o).mode & 07777, 0);
	EXPECT_INT(attr_of(&f, d).mode & 07777, 0);
	EXPECT_INT(write_text(&f, o, 0, "G"), 0);
	EXPECT(has_text(&f, o, "Git does this"));
	EXPECT_INT(make_file(&f, d, "x", 0, NULL), 0);
	s.mode = 01751;
	EXPECT_INT(fsal_setattr(&f.call, o, &s, NULL, &wcc), 0);
	EXPECT_INT(attr_of(&f, o).mode & 07777, 01751);
	s.mode = 04711;
	EXPECT_INT(fsal_setattr(&f.call, d, &s, NULL, &wcc), 0);
	EXPECT_INT(attr_of(&f, d).mode & 07777, 0711); /* never set-id on a squash export */
	s.mode = 0644;
	EXPECT_INT(fsal_setattr(&f.call, o, &s, NULL, &wcc), 0);
	EXPECT_INT(attr_of(&f, o).mode & 07777, 0644);
	fsal_unref(o);
	/* Who shares the folder takes its permissions away. */
	EXPECT_INT(make_file(&f, d, "y", 0644, &o), 0);
	EXPECT_INT(write_text(&f, o, 0, "y"), 0);
	fsal_unref(o);
	fsal_unref(d);
	EXPECT_INT(fchmodat(f.folder_fd, "d/y", 0, 0), 0);
	EXPECT_INT(fchmodat(f.folder_fd, "d", 0, 0), 0);
	fixture_restart(&f);
	o = walk_to(&f, "d/y", 0);
	EXPECT(has_text(&f, o, "y"));
	fsal_unref(o);
	fixture_end(&f);
	EXPECT(fixture_powers(had, false));
}

static void forged(void **state)
{
	in_fiber(body_forged);
}

static void foreign(void **state)
{
	in_fiber(body_foreign);
}

static void restart(void **state)
{
	in_fiber(body_restart);
}

static void beyond_the_caches(void **state)
{
	in_fiber(body_many);
}

static void moved_by_others(void **state)
{
	in_fiber(body_moved);
}

static void modes(void **state)
{
	in_fiber(body_modes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forged),
		cmocka_unit_test(foreign),
		cmocka_unit_test(restart),
		cmocka_unit_test(beyond_the_caches),
		cmocka_unit_test(moved_by_others),
		cmocka_unit_test(modes),
	};
	return cmocka_run_group_tests_name("nfs/fsal/handles", tests, NULL, NULL);
}
