/* SPDX-License-Identifier: AGPL-3.0-only */
/* Quota: what is really used, enforced before it is used, given back, and right after a crash. */
#include "tests/unit/nfs/fsal/fixture.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIB = 1024 * 1024, INODES = 20 };

static struct fsal_usage used(struct fixture *f)
{
	struct fsal_usage u;
	fsal_volume_usage(f->volume, &u);
	return u;
}

/* The books say what a recount finds. */
static void books_are_right(struct fixture *f)
{
	struct fsal_quota q = {.bytes = 8 * MIB, .inodes = INODES};
	struct fsal_usage before = used(f), after;
	EXPECT_INT(fsal_volume_set_quota(f->volume, &q, DEADLINE_NONE), 0);
	after = used(f);
	EXPECT_INT((long)before.bytes, (long)after.bytes);
	EXPECT_INT((long)before.inodes, (long)after.inodes);
}

static int fill(struct fixture *f, struct fsal_object *o, uint64_t offset, size_t n)
{
	static char p[MIB];
	enum fsal_stability committed;
	struct fsal_wcc wcc;
	return fsal_write(&f->call, o, offset, span_of(p, n), FSAL_FILE_SYNC, &committed, &wcc);
}

static void quota_of(struct fixture *f)
{
	/* A folder takes a block on some file systems and nothing on others (tmpfs). */
	struct fsal_quota q = {.bytes = 8 * MIB - 4096, .inodes = INODES};
	struct fsal_object *o, *p;
	struct fsal_sattr size = {.set_size = true};
	struct fsal_statfs s;
	struct fsal_post post;
	struct fsal_wcc wcc;
	char name[8];
	int r = 0, i;

	EXPECT_INT(fsal_volume_set_quota(f->volume, &q, DEADLINE_NONE), 0);
	EXPECT(used(f).inodes == 0);
	EXPECT_INT(make_file(f, root_of(f), "a", 0644, &o), 0);
	for (i = 0; i < 7; i++)
		EXPECT_INT(fill(f, o, (uint64_t)i * MIB, MIB), 0);
	EXPECT_INT(fill(f, o, 7 * MIB, MIB), -EDQUOT);
	EXPECT_INT((long)attr_of(f, o).size_bytes, 7 * MIB); /* nothing of it was written */
	EXPECT_INT(fill(f, o, 0, MIB), 0); /* over what is there */
	EXPECT_INT(fsal_fsstat(&f->call, o, &s, &post), 0);
	EXPECT(s.bytes_total == q.bytes && s.bytes_free < MIB);
	EXPECT(s.files_total == INODES && s.files_free == INODES - 1);
	books_are_right(f);
	/* Given back: by truncation, by deletion of the last name, by replacement. */
	size.size_bytes = 3 * MIB;
	EXPECT_INT(fsal_setattr(&f->call, o, &size, NULL, &wcc), 0);
	EXPECT(used(f).bytes < 4 * MIB);
	EXPECT_INT(fill(f, o, 3 * MIB, MIB), 0);
	EXPECT_INT(fsal_link(&f->call, o, root_of(f), SPAN("b"), &post, &wcc), 0);
	EXPECT(used(f).inodes == 1);
	EXPECT_INT(unlink_name(f, root_of(f), "a"), 0);
	EXPECT(used(f).bytes >= 4 * MIB);
	books_are_right(f);
	EXPECT_INT(unlink_name(f, root_of(f), "b"), 0);
	EXPECT(used(f).bytes < MIB && used(f).inodes == 0);
	fsal_unref(o);
	EXPECT_INT(make_file(f, root_of(f), "c", 0644, &o), 0);
	EXPECT_INT(make_file(f, root_of(f), "d", 0644, &p), 0);
	EXPECT_INT(fill(f, p, 0, MIB), 0);
	EXPECT_INT(rename_to(f, root_of(f), "c", root_of(f), "d"), 0);
	EXPECT(used(f).inodes == 1 && used(f).bytes < MIB);
	EXPECT_INT(fsal_replace(&f->call, root_of(f), SPAN("d"), SPAN("content")), 0);
	EXPECT(used(f).inodes == 1);
	books_are_right(f);
	/* Inodes. */
	for (i = 0; r == 0 && i < 2 * INODES; i++) {
		snprintf(name, sizeof(name), "n%d", i % 100);
		r = i % 2 ? make_dir(f, root_of(f), name, NULL)
			  : make_file(f, root_of(f), name, 0644, NULL);
	}
	EXPECT_INT(r, -EDQUOT);
	EXPECT(used(f).inodes == INODES);
	EXPECT_INT(look_up(f, root_of(f), name, NULL), -ENOENT);
	EXPECT_INT(unlink_name(f, root_of(f), "n0"), 0);
	EXPECT_INT(make_file(f, root_of(f), "again", 0644, NULL), 0);
	books_are_right(f);
	fsal_unref(o);
	fsal_unref(p);
}

static void body_quota(void *arg)
{
	for (enum fixture_kind kind = ON_DISK; kind < FIXTURE_KINDS; kind++) {
		struct fixture f = {.kind = kind};
		fixture_begin(&f);
		quota_of(&f);
		fixture_end(&f);
	}
}

/* Killed at any moment, another process counts what is there: hard links once, holes not. */
static void body_recount(void *arg)
{
	struct fixture f = {.kind = ON_DISK};
	struct fsal_object *o;
	struct fsal_post post;
	struct fsal_wcc wcc;

	struct fsal_quota q = {.bytes = 8 * MIB, .inodes = INODES};

	fixture_begin(&f);
	EXPECT_INT(fsal_volume_set_quota(f.volume, &q, DEADLINE_NONE), 0);
	EXPECT_INT(make_file(&f, root_of(&f), "a", 0644, &o), 0);
	EXPECT_INT(fill(&f, o, 0, MIB), 0);
	EXPECT_INT(fill(&f, o, (uint64_t)5 << 30, 4096), 0); /* far behind a hole */
	EXPECT(attr_of(&f, o).size_bytes == ((uint64_t)5 << 30) + 4096);
	EXPECT(used(&f).bytes < 2 * MIB);
	EXPECT_INT(fsal_link(&f.call, o, root_of(&f), SPAN("b"), &post, &wcc), 0);
	struct fsal_usage before = used(&f);
	fsal_unref(o);
	fixture_restart(&f);
	EXPECT_INT(fsal_volume_set_quota(f.volume, &q, DEADLINE_NONE), 0);
	EXPECT_INT((long)used(&f).bytes, (long)before.bytes);
	EXPECT_INT((long)used(&f).inodes, (long)before.inodes);
	/* Two executions on one volume share its books. */
	struct fsal_attachment *other;
	struct fsal_attach_options second = f.options;
	second.execution_id = SPAN("e2");
	EXPECT_INT(fsal_attach(f.volume, &second, &other), 0);
	struct fsal_object *here = walk_to(&f, "a", 0), *there;
	EXPECT_INT(fsal_walk(&f.call, other, SPAN("a"), true, &there), 0);
	fsal_ref(there);
	for (int i = 1; i < 5; i++)
		EXPECT_INT(fill(&f, i % 2 ? there : here, (uint64_t)i * MIB, MIB), 0);
	fsal_unref(here);
	fsal_unref(there);
	fsal_detach(other);
	books_are_right(&f);
	fixture_end(&f);
}

static void quota(void **state)
{
	in_fiber(body_quota);
}

static void recount(void **state)
{
	in_fiber(body_recount);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quota),
		cmocka_unit_test(recount),
	};
	return cmocka_run_group_tests_name("nfs/fsal/quota", tests, NULL, NULL);
}
