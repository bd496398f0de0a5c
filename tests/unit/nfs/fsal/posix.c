/* SPDX-License-Identifier: AGPL-3.0-only */
/* A posix export: credentials count. In memory, where nobody needs to be root. */
#include "tests/unit/nfs/fsal/fixture.h"

static const struct fsal_cred root_cred = {0};
static const struct fsal_cred ann = {.uid = 1000, .gid = 100, .group_count = 1, .groups = {200}};
static const struct fsal_cred bob = {.uid = 1001, .gid = 101};

static void begin(struct fixture *f)
{
	*f = (struct fixture){.kind = IN_MEMORY, .options = {.kind = FSAL_POSIX}};
	fixture_begin(f);
}

static int set_mode(struct fixture *f, struct fsal_object *o, uint32_t mode)
{
	struct fsal_sattr s = {.set_mode = true, .mode = mode};
	struct fsal_wcc wcc;
	return fsal_setattr(&f->call, o, &s, NULL, &wcc);
}

static int set_owner(struct fixture *f, struct fsal_object *o, int64_t uid, int64_t gid)
{
	struct fsal_sattr s = {.set_uid = uid >= 0,
		.uid = (uint32_t)uid,
		.set_gid = gid >= 0,
		.gid = (uint32_t)gid};
	struct fsal_wcc wcc;
	return fsal_setattr(&f->call, o, &s, NULL, &wcc);
}

static uint32_t access_of(struct fixture *f, struct fsal_object *o)
{
	struct fsal_post post;
	uint32_t granted = 0;
	EXPECT_INT(fsal_access(&f->call, o, 0x3f, &granted, &post), 0);
	return granted;
}

static void body_owners(void *arg)
{
	struct fixture f;
	struct fsal_object *d, *o;

	begin(&f);
	f.call.cred = &ann;
	EXPECT_INT(make_dir(&f, root_of(&f), "d", &d), -EACCES); /* root's, 0755 */
	f.call.cred = &root_cred;
	EXPECT_INT(make_dir(&f, root_of(&f), "d", &d), 0);
	EXPECT_INT(set_owner(&f, d, 1000, 100), 0);
	f.call.cred = &ann;
	EXPECT_INT(make_file(&f, d, "a", 0640, &o), 0);
	EXPECT(attr_of(&f, o).uid == 1000 && attr_of(&f, o).gid == 100);
	EXPECT_INT(write_text(&f, o, 0, "text"), 0);
	EXPECT_INT(set_owner(&f, o, 1001, -1), -EPERM);
	EXPECT_INT(set_owner(&f, o, -1, 101), -EPERM);
	EXPECT_INT(set_owner(&f, o, -1, 200), 0);
	EXPECT_INT(set_owner(&f, o, 1000, -1), 0);
	/* Open for writing before it became read-only: the owner goes on. */
	EXPECT_INT(set_mode(&f, o, 0), 0);
	EXPECT_INT(write_text(&f, o, 0, "TEXT"), 0);
	EXPECT(has_text(&f, o, "TEXT"));
	EXPECT(access_of(&f, o) == 0);
	f.call.cred = &bob;
	EXPECT_INT(write_text(&f, o, 0, "x"), -EACCES);
	EXPECT(!has_text(&f, o, "TEXT"));
	EXPECT_INT(set_mode(&f, o, 0666), -EPERM);
	EXPECT_INT(make_file(&f, d, "b", 0644, NULL), -EACCES);
	EXPECT_INT(unlink_name(&f, d, "a"), -EACCES);
	f.call.cred = &root_cred;
	EXPECT_INT(set_mode(&f, o, 0111), 0);
	f.call.cred = &bob;
	EXPECT(has_text(&f, o, "TEXT")); /* who may run it reads it to that end */
	EXPECT(access_of(&f, o) == FSAL_ACCESS_EXECUTE);
	f.call.cred = &root_cred;
	EXPECT_INT(set_mode(&f, d, 0711), 0);
	f.call.cred = &bob;
	EXPECT_INT(look_up(&f, d, "a", NULL), 0);
	f.call.cred = &root_cred;
	EXPECT_INT(set_mode(&f, d, 0700), 0);
	f.call.cred = &bob;
	EXPECT_INT(look_up(&f, d, "a", NULL), -EACCES);
	fsal_unref(o);
	fsal_unref(d);
	fixture_end(&f);
}

static void body_sticky(void *arg)
{
	struct fixture f;
	struct fsal_object *t, *d;
	struct fsal_wcc wcc;

	begin(&f);
	EXPECT_INT(make_dir(&f, root_of(&f), "t", &t), 0);
	EXPECT_INT(set_mode(&f, t, 01777), 0);
	f.call.cred = &ann;
	EXPECT_INT(make_file(&f, t, "a", 0666, NULL), 0);
	f.call.cred = &bob;
	EXPECT_INT(make_file(&f, t, "b", 0666, NULL), 0);
	EXPECT_INT(unlink_name(&f, t, "a"), -EPERM);
	EXPECT_INT(rename_to(&f, t, "a", t, "c"), -EPERM);
	EXPECT_INT(rename_to(&f, t, "b", t, "a"), -EPERM); /* over it */
	EXPECT_INT(unlink_name(&f, t, "b"), 0);
	f.call.cred = &ann;
	EXPECT_INT(rename_to(&f, t, "a", t, "c"), 0);
	/* A folder that goes elsewhere is written to. */
	EXPECT_INT(make_dir(&f, t, "d", &d), 0);
	EXPECT_INT(set_mode(&f, d, 0555), 0);
	EXPECT_INT(rename_to(&f, t, "d", t, "e"), 0);
	EXPECT_INT(make_dir(&f, t, "into", NULL), 0);
	struct fsal_object *into = walk_to(&f, "t/into", 0);
	EXPECT_INT(rename_to(&f, t, "e", into, "e"), -EACCES);
	EXPECT_INT(fsal_rmdir(&f.call, t, SPAN("e"), &wcc), 0);
	fsal_unref(into);
	fsal_unref(d);
	fsal_unref(t);
	fixture_end(&f);
}

static void body_set_id(void *arg)
{
	struct fixture f;
	struct fsal_object *d, *o, *s;

	begin(&f);
	EXPECT_INT(make_dir(&f, root_of(&f), "d", &d), 0);
	EXPECT_INT(set_owner(&f, d, 1000, 300), 0);
	EXPECT_INT(set_mode(&f, d, 02777), 0);
	f.call.cred = &ann;
	EXPECT_INT(make_file(&f, d, "a", 0644, &o), 0);
	EXPECT(attr_of(&f, o).gid == 300); /* the folder's */
	EXPECT_INT(make_dir(&f, d, "s", &s), 0);
	EXPECT_INT(attr_of(&f, s).mode & 07777, 02755);
	EXPECT_INT(set_mode(&f, o, 02755), 0);
	EXPECT_INT(attr_of(&f, o).mode & 07777, 0755); /* not in that group */
	EXPECT_INT(set_owner(&f, o, -1, 100), 0);
	EXPECT_INT(set_mode(&f, o, 06777), 0);
	EXPECT_INT(attr_of(&f, o).mode & 07777, 06777);
	f.call.cred = &bob;
	EXPECT_INT(write_text(&f, o, 0, "x"), 0);
	EXPECT_INT(attr_of(&f, o).mode & 07777, 0777);
	f.call.cred = &ann;
	EXPECT_INT(set_mode(&f, o, 06755), 0);
	EXPECT_INT(set_owner(&f, o, -1, 200), 0);
	EXPECT_INT(attr_of(&f, o).mode & 07777, 0755);
	fsal_unref(s);
	fsal_unref(o);
	fsal_unref(d);
	fixture_end(&f);
}

static void body_times_and_devices(void *arg)
{
	static const struct fsal_sattr none;
	struct fixture f;
	struct fsal_object *o;
	struct fsal_made made;
	struct fsal_wcc wcc;
	struct fsal_sattr now = {.mtime_how = FSAL_TIME_NOW}, then = {.mtime_how = FSAL_TIME_SET};

	begin(&f);
	EXPECT_INT(set_mode(&f, root_of(&f), 0777), 0);
	f.call.cred = &ann;
	EXPECT_INT(make_file(&f, root_of(&f), "a", 0622, &o), 0);
	f.call.cred = &bob;
	EXPECT_INT(fsal_setattr(&f.call, o, &now, NULL, &wcc), 0);
	EXPECT_INT(fsal_setattr(&f.call, o, &then, NULL, &wcc), -EPERM);
	f.call.cred = &ann;
	EXPECT_INT(set_mode(&f, o, 0600), 0);
	EXPECT_INT(fsal_setattr(&f.call, o, &then, NULL, &wcc), 0);
	EXPECT_INT(
		fsal_mknod(&f.call, root_of(&f), SPAN("c"), S_IFCHR, 1, 3, &none, &made), -EPERM);
	EXPECT_INT(fsal_mknod(&f.call, root_of(&f), SPAN("p"), S_IFIFO, 0, 0, &none, &made), 0);
	f.call.cred = &bob;
	EXPECT_INT(fsal_setattr(&f.call, o, &now, NULL, &wcc), -EACCES);
	f.call.cred = &root_cred;
	EXPECT_INT(fsal_mknod(&f.call, root_of(&f), SPAN("c"), S_IFCHR, 1, 3, &none, &made), 0);
	EXPECT(made.attr.rdev_major == 1 && made.attr.rdev_minor == 3);
	fsal_unref(o);
	fixture_end(&f);
}

static void owners(void **state)
{
	in_fiber(body_owners);
}

static void sticky(void **state)
{
	in_fiber(body_sticky);
}

static void set_id(void **state)
{
	in_fiber(body_set_id);
}

static void times_and_devices(void **state)
{
	in_fiber(body_times_and_devices);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owners),
		cmocka_unit_test(sticky),
		cmocka_unit_test(set_id),
		cmocka_unit_test(times_and_devices),
	};
	return cmocka_run_group_tests_name("nfs/fsal/posix", tests, NULL, NULL);
}
