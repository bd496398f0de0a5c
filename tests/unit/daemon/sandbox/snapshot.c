/* SPDX-License-Identifier: AGPL-3.0-only */
/* Snapshots of real trees, ordinary and hostile, and damaged indexes. */
#include "daemon/sandbox/snapshot_internal.h"
#include "tests/unit/mutate.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "tests/tap.h"

static char folder[] = "/tmp/aegis-snapshot-XXXXXX";
static int top = -1, work = -1, store = -1;
static const struct snapshot_limits wide = {LIMIT_SNAPSHOT_ENTRIES, 1 << 30};

static int setup(void **state)
{
	if (top < 0) {
		if (!mkdtemp(folder))
			return -1;
		top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (mkdirat(top, "work", 0700) < 0 || mkdirat(top, "store", 0700) < 0)
		return -1;
	work = openat(top, "work", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	store = openat(top, "store", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return work < 0 || store < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	fd_cleanup(&work);
	fd_cleanup(&store);
	int r = fd_remove_tree(top, "work");
	return r == 0 ? fd_remove_tree(top, "store") : r;
}

static int remove_top(void **state)
{
	fd_cleanup(&top);
	return rmdir(folder);
}

static void put(const char *name, const char *text)
{
	AUTO_FD fd = openat(work, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, span_cstr(text)), 0);
}

static struct snapshot *take(const char *name, const struct snapshot *before)
{
	struct snapshot *s = NULL;
	int r = snapshot_take(work, store, name, before, &wide, &s);

	if (r != 0)
		fail_msg("%s", err_message(r));
	return s;
}

static void assert_content(const struct snapshot *s, const char *path, const char *text)
{
	const struct snapshot_entry *e = snapshot_find(s, span_cstr(path));
	char got[256] = {0};

	assert_non_null(e);
	int fd = -1;
	assert_int_equal(snapshot_content(store, e, &fd), 0);
	assert_int_equal(read(fd, got, sizeof(got) - 1), strlen(text));
	assert_string_equal(got, text);
	close(fd);
}

static const struct snapshot_entry *find(const struct snapshot *s, const char *path)
{
	return snapshot_find(s, span_cstr(path));
}

static void a_tree_is_kept_as_it_was(void **state)
{
	put("a.txt", "one");
	assert_int_equal(mkdirat(work, "dir", 0750), 0);
	put("dir/b", "two");
	assert_int_equal(symlinkat("../a.txt", work, "dir/link"), 0);
	struct snapshot *s = take("i1", NULL);

	put("a.txt", "changed");
	assert_int_equal(unlinkat(work, "dir/b", 0), 0);
	assert_int_equal(snapshot_count(s), 4);
	assert_content(s, "a.txt", "one");
	assert_content(s, "dir/b", "two");
	assert_content(s, "dir/link", "../a.txt");
	assert_int_equal(find(s, "dir")->type, SNAPSHOT_DIR);
	assert_int_equal(find(s, "dir")->mode, 0750);
	assert_null(find(s, "dir/c"));

	struct snapshot *again = NULL;
	assert_int_equal(snapshot_open(store, "i1", &again), 0);
	assert_int_equal(snapshot_count(again), 4);
	assert_content(again, "dir/b", "two");
	snapshot_free(again);
	snapshot_free(s);
	assert_int_equal(snapshot_open(store, "i2", &again), -ENOENT);
	assert_int_equal(snapshot_open(store, "../store/i1", &again), -EINVAL);
}

static int note(void *arg, enum snapshot_change change, const struct snapshot_entry *e)
{
	buf_printf(arg, "%c" SPAN_FMT " ", "+~-"[change], SPAN_ARG(e->path));
	return 0;
}

static void unchanged_content_is_shared(void **state)
{
	struct buf changes CLEANUP(buf_fini) = buf_init(4096);

	put("same", "same");
	put("other", "1");
	put("gone", "x");
	struct snapshot *first = take("i1", NULL);
	put("other", "22");
	put("new", "3");
	assert_int_equal(unlinkat(work, "gone", 0), 0);
	struct snapshot *second = take("i2", first);

	assert_string_equal(find(second, "same")->home, "i1");
	assert_string_equal(find(second, "other")->home, "i2");
	assert_content(second, "same", "same");
	assert_content(second, "other", "22");
	assert_int_equal(snapshot_diff(first, second, note, &changes), 0);
	assert_string_equal(buf_cstr(&changes), "-gone +new ~other ");
	buf_reset(&changes);
	assert_int_equal(snapshot_diff(NULL, second, note, &changes), 0);
	assert_string_equal(buf_cstr(&changes), "+new +other +same ");
	snapshot_free(first);
	snapshot_free(second);
}

static void hostile_trees_do_no_harm(void **state)
{
	assert_int_equal(symlinkat("/etc/passwd", work, "passwd"), 0);
	assert_int_equal(symlinkat("/", work, "root"), 0);
	assert_int_equal(symlinkat("loop", work, "loop"), 0);
	assert_int_equal(mkfifoat(work, "pipe", 0600), 0);
	put("name\nwith %41 \x01\xff", "odd");
	put("locked", "locked");
	assert_int_equal(mkdirat(work, "closed", 0700), 0);
	put("closed/in", "in");
	assert_int_equal(fchmodat(work, "locked", 0, 0), 0);
	assert_int_equal(fchmodat(work, "closed", 0, 0), 0);
	struct snapshot *s = take("i1", NULL), *again = NULL;

	assert_int_equal(snapshot_open(store, "i1", &again), 0);
	assert_int_equal(snapshot_count(again), 8);
	assert_content(again, "passwd", "/etc/passwd");
	assert_content(again, "name\nwith %41 \x01\xff", "odd");
	assert_content(again, "locked", "locked");
	assert_content(again, "closed/in", "in");
	assert_int_equal(find(again, "pipe")->type, SNAPSHOT_OTHER);
	assert_null(find(again, "root/etc"));
	assert_int_equal(snapshot_left_out(again), 0);
	struct stat st;
	assert_int_equal(fstatat(work, "locked", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0);
	assert_int_equal(fstatat(work, "closed", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0);
	assert_int_equal(fchmodat(work, "closed", 0700, 0), 0);
	snapshot_free(s);
	snapshot_free(again);
}

static void mount_points_are_left_out(void **state)
{
	const struct span mounts[] = {SPAN("data"), SPAN("deep/er/data"), SPAN("full/data")};
	struct snapshot_limits limits = wide;
	struct snapshot *s = NULL;

	limits.mounts = mounts;
	limits.mount_count = 3;
	for (const char *const *dir = (const char *const[]){"data", "data2", "deep", "deep/er",
		     "deep/er/data", "full", "full/data", "other", "other/data", NULL};
		*dir; dir++)
		assert_int_equal(mkdirat(work, *dir, 0750), 0);
	put("data/covered", "by the mount");
	put("full/file", "x");
	assert_int_equal(snapshot_take(work, store, "m1", NULL, &limits, &s), 0);
	assert_null(find(s, "data"));
	assert_null(find(s, "data/covered"));
	assert_null(find(s, "deep"));
	assert_null(find(s, "full/data"));
	assert_non_null(find(s, "data2"));
	assert_non_null(find(s, "full"));
	assert_non_null(find(s, "full/file"));
	assert_non_null(find(s, "other/data"));
	assert_int_equal(snapshot_count(s), 5);
	assert_int_equal(snapshot_left_out(s), 0);
	snapshot_free(s);
}

static void limits_are_kept_and_counted(void **state)
{
	const struct snapshot_limits few = {3, 1 << 20}, small = {100, 5};
	struct snapshot *s = NULL;

	for (int i = 0; i < 10; i++) {
		char name[16];
		snprintf(name, sizeof(name), "f%d", i);
		put(name, "12345678");
	}
	assert_int_equal(snapshot_take(work, store, "few", NULL, &few, &s), 0);
	assert_int_equal(snapshot_count(s), 3);
	assert_true(snapshot_left_out(s) > 0);
	snapshot_free(s);

	assert_int_equal(snapshot_take(work, store, "small", NULL, &small, &s), 0);
	assert_int_equal(snapshot_count(s), 10);
	int fd = -1, r = snapshot_content(store, find(s, "f0"), &fd);
	if (r == 0) /* cloned: then it cost nothing */
		close(fd);
	else
		assert_int_equal(snapshot_left_out(s), 10);
	snapshot_free(s);

	AUTO_FD sparse = openat(work, "sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(sparse, INT64_C(1) << 40), 0);
	assert_int_equal(snapshot_take(work, store, "sparse", NULL, &wide, &s), 0);
	assert_int_equal(find(s, "sparse")->size_bytes, INT64_C(1) << 40);
	snapshot_free(s);
}

static void deep_trees_end(void **state)
{
	int fd = dup(work);

	for (int i = 0; i < 200; i++) {
		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	close(fd);
	struct snapshot *s = take("deep", NULL);
	assert_int_equal(snapshot_count(s), LIMIT_SNAPSHOT_DEPTH + 1);
	assert_int_equal(snapshot_left_out(s), 1);
	snapshot_free(s);
}

static void a_killed_attempt_leaves_no_trace(void **state)
{
	assert_int_equal(mkdirat(store, "i1.new", 0700), 0);
	assert_int_equal(mkdirat(store, "i1.new/0", 0700), 0);
	put("a", "a");
	struct snapshot *s = take("i1", NULL), *second = NULL;
	assert_content(s, "a", "a");
	assert_true(faccessat(store, "i1.new", F_OK, 0) < 0);
	/* A name is used once. */
	assert_true(snapshot_take(work, store, "i1", NULL, &wide, &second) < 0);
	assert_content(s, "a", "a");
	snapshot_free(s);
}

static void read_or_refused(struct span damaged, const char *what, void *arg)
{
	struct snapshot *s = NULL;
	int r = snapshot_parse_index(damaged, "x", &s);

	if (r == 0)
		snapshot_free(s);
	else if (r != -EBADMSG)
		fail_msg("%s: %d", what, r);
}

/* A daemon that was killed behind the snapshot takes it again: the first one stays. */
static void a_name_is_taken_once(void **state)
{
	struct snapshot *again = NULL;
	put("a", "first");
	snapshot_free(take("iteration-1", NULL));
	put("a", "second");
	assert_int_equal(snapshot_take(work, store, "iteration-1", NULL, &wide, &again), -EEXIST);
	err_clear();
	assert_null(again);

	struct snapshot *s = NULL;
	assert_int_equal(snapshot_open(store, "iteration-1", &s), 0);
	assert_content(s, "a", "first");
	snapshot_free(s);
	assert_int_equal(faccessat(store, "iteration-1.new", F_OK, 0), -1);
}

static void damaged_indexes_do_no_harm(void **state)
{
	const char index[] = "aegis-snapshot 1 2 0\n"
			     "d 493 0 1 -2 77 . 0 dir\n"
			     "f 420 12 1700000000000000000 5 78 i1 3 dir/a%20b\n";
	struct snapshot *s = NULL;

	assert_int_equal(snapshot_parse_index(span_cstr(index), "x", &s), 0);
	assert_int_equal(snapshot_count(s), 2);
	assert_non_null(find(s, "dir/a b"));
	snapshot_free(s);
	mutate(span_cstr(index), MUTATE_ALL, read_or_refused, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_tree_is_kept_as_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(unchanged_content_is_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_trees_do_no_harm, setup, teardown),
		cmocka_unit_test_setup_teardown(mount_points_are_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(limits_are_kept_and_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(deep_trees_end, setup, teardown),
		cmocka_unit_test_setup_teardown(a_killed_attempt_leaves_no_trace, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_is_taken_once, setup, teardown),
		cmocka_unit_test(damaged_indexes_do_no_harm),
	};
	return cmocka_run_group_tests_name("sandbox", tests, NULL, remove_top);
}
