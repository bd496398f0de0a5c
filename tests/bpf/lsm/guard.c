/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The guard on real cgroups, by what happens: whoever leaves the cgroup of a sandbox does nothing
 * more. A child says by a byte through a pipe, or by a file, that it went on.
 */
#include "daemon/helper/guardprog.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/bpf/cgroups.h"
#include "tests/tap.h"

enum { PATIENCE_MS = 60000, CPUS_MAX = 1024 };

static struct guardprog guard;
static char why[256], root[64], parent[96], sandbox[128], call[160], neighbour[128], sign[96];
static struct ring_buffer *ring;
static struct lsm_denial last;
static unsigned records;

static uint64_t id_of(const char *path)
{
	struct stat st;
	must(stat(path, &st), path);
	return st.st_ino;
}

static int take(void *ctx, void *p, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	last = *(struct lsm_denial *)p;
	records++;
	return 0;
}

static int set_up(void **state)
{
	struct statfs fs;
	(void)state;
	snprintf(root, sizeof(root), "/sys/fs/cgroup/unified");
	if (statfs(root, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		snprintf(root, sizeof(root), "/sys/fs/cgroup");
	snprintf(parent, sizeof(parent), "%s/aegis-guard-test-%d", root, getpid());
	snprintf(sandbox, sizeof(sandbox), "%s/sandbox", parent);
	snprintf(call, sizeof(call), "%s/call", sandbox);
	snprintf(neighbour, sizeof(neighbour), "%s/neighbour", parent);
	snprintf(sign, sizeof(sign), "/tmp/aegis-guard-test-%d", getpid());
	const char *const folders[] = {parent, sandbox, call, neighbour};
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		must(mkdir(folders[i], 0755), folders[i]);
	int r = guardprog_load(
		&(struct guard_constants){.parent = id_of(parent), .level = 2}, &guard);
	if (r < 0) {
		snprintf(why, sizeof(why), "%s", err_message(r));
		err_clear();
		return 0;
	}
	print_message("# %u instructions\n", guard.programs.instructions);
	ring = ring_buffer__new(guard.programs.maps[GUARD_MAP_DENIALS], take, NULL, NULL);
	return !ring || guardprog_attach(&guard) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	ring_buffer__free(ring);
	guardprog_close(&guard);
	unlink(sign);
	return rmdir(call) < 0 || rmdir(neighbour) < 0 || rmdir(sandbox) < 0 || rmdir(parent) < 0
		? -1
		: 0;
}

static void need_guard(void)
{
	if (!guard.loaded)
		test_skip("%s", why);
	(void)ring_buffer__consume(ring);
	records = 0;
	last = (struct lsm_denial){0};
}

static void expect_record(enum guard_way way, const char *where)
{
	(void)ring_buffer__consume(ring);
	assert_true(records >= 1);
	assert_int_equal(last.hook, LSM_HOOK_LEAVE);
	assert_int_equal(last.verdict, LSM_DENY_LEFT);
	assert_int_equal(last.cgroup, id_of(sandbox));
	assert_int_equal(last.call_cgroup, id_of(where));
	assert_int_equal(last.detail, way);
}

/* ---- children ---- */

static int move(pid_t pid, const char *cgroup)
{
	char path[192], text[16];
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int n = snprintf(text, sizeof(text), "%d", (int)pid);
	bool moved = fd >= 0 && write(fd, text, (size_t)n) == n;
	close(fd);
	return moved ? 0 : -1;
}

static void enter(const char *cgroup)
{
	if (move(0, cgroup) < 0)
		_exit(250);
}

static int out = -1, in = -1; /* what children say, and are told */

static void say(char c)
{
	if (write(out, &c, 1) != 1)
		_exit(251);
}

static void await_word(void)
{
	char c;
	if (read(in, &c, 1) != 1)
		_exit(252);
}

struct child {
	pid_t pid;
	int said, tell;
};

static struct child begin(void (*fn)(void))
{
	int up[2], down[2];
	must(pipe2(up, O_CLOEXEC), "pipe");
	must(pipe2(down, O_CLOEXEC), "pipe");
	pid_t pid = fork();
	must(pid, "fork");
	if (pid == 0) {
		close(up[0]);
		close(down[1]);
		out = up[1];
		in = down[0];
		fn();
		_exit(0);
	}
	close(up[1]);
	close(down[0]);
	return (struct child){pid, up[0], down[1]};
}

/* The next thing it says; 0 when nobody is left who could. */
static char hear(struct child *c)
{
	struct pollfd p = {.fd = c->said, .events = POLLIN};
	char word = 0;
	if (poll(&p, 1, PATIENCE_MS) != 1)
		fail_msg("a child says nothing and does not end");
	return read(c->said, &word, 1) == 1 ? word : 0;
}

static void tell(struct child *c)
{
	must((int)write(c->tell, "x", 1), "tell");
}

static int finish(struct child *c)
{
	int status;
	must(waitpid(c->pid, &status, 0), "waitpid");
	close(c->said);
	close(c->tell);
	return status;
}

static void expect_killed(struct child *c)
{
	assert_int_equal(hear(c), 0);
	int status = finish(c);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- what they do ---- */

static void leave(void)
{
	enter(sandbox);
	say('a');
	(void)move(0, root);
	say('b');
}

static void whoever_leaves_dies(void **state)
{
	need_guard();
	struct child c = begin(leave);
	assert_int_equal(hear(&c), 'a');
	expect_killed(&c);
	expect_record(GUARD_MOVED, root);
}

static void go_next_door(void)
{
	enter(sandbox);
	say('a');
	(void)move(0, neighbour);
	say('b');
}

static void another_sandbox_is_outside_too(void **state)
{
	need_guard();
	struct child c = begin(go_next_door);
	assert_int_equal(hear(&c), 'a');
	expect_killed(&c);
	expect_record(GUARD_MOVED, neighbour);
}

static void go_below(void)
{
	enter(sandbox);
	enter(call);
	say('a');
	enter(sandbox);
	say('b');
}

static void below_is_inside(void **state)
{
	need_guard();
	struct child c = begin(go_below);
	assert_int_equal(hear(&c), 'a');
	assert_int_equal(hear(&c), 'b');
	assert_int_equal(finish(&c), 0);
	(void)ring_buffer__consume(ring);
	assert_int_equal(records, 0);
}

/* Born there, not moved there. */
static void beget_who_leaves(void)
{
	enter(call);
	pid_t pid = fork();
	if (pid == 0) {
		(void)setsid();
		if (fork() == 0) {
			say('a');
			(void)move(0, root);
			say('b');
		}
		_exit(0);
	}
	(void)waitpid(pid, NULL, 0);
}

static void tags_are_inherited(void **state)
{
	need_guard();
	struct child c = begin(beget_who_leaves);
	assert_int_equal(hear(&c), 'a');
	assert_int_equal(hear(&c), 0);
	finish(&c);
	expect_record(GUARD_MOVED, root);
}

static void move_parent_out(void)
{
	enter(sandbox);
	pid_t parent_pid = getpid(), pid = fork();
	if (pid == 0) {
		(void)move(parent_pid, root);
		say('b');
		_exit(0);
	}
	int status;
	(void)waitpid(pid, &status, 0);
	say(WIFSIGNALED(status) ? 'k' : 'l');
	pid = fork(); /* out by now: to make anything is death */
	if (pid == 0)
		_exit(0);
	say('c');
}

static void who_moves_another_out_dies_and_so_does_the_other(void **state)
{
	need_guard();
	struct child c = begin(move_parent_out);
	assert_int_equal(hear(&c), 'k');
	expect_killed(&c);
	expect_record(GUARD_FORKED, root);
}

static void execute_when_told(void)
{
	enter(sandbox);
	say('a');
	await_word();
	execl("/bin/touch", "touch", sign, (char *)NULL);
	_exit(253);
}

static void one_that_is_moved_out_executes_nothing(void **state)
{
	need_guard();
	struct child c = begin(execute_when_told);
	assert_int_equal(hear(&c), 'a');
	assert_int_equal(move(c.pid, root), 0);
	expect_record(GUARD_MOVED_BY_ANOTHER, root);
	tell(&c);
	expect_killed(&c);
	expect_record(GUARD_EXECUTED, root);
	assert_int_equal(access(sign, F_OK), -1);
}

/* A child that is made in another cgroup: clone3 with CLONE_INTO_CGROUP. */
static void bear_outside(void)
{
	enter(sandbox);
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (unsigned)fd};
	say('a');
	if (syscall(SYS_clone3, &args, sizeof(args)) == 0) {
		execl("/bin/touch", "touch", sign, (char *)NULL);
		_exit(253);
	}
	say('b');
	(void)wait(NULL);
}

static void nobody_is_born_outside(void **state)
{
	need_guard();
	struct child c = begin(bear_outside);
	assert_int_equal(hear(&c), 'a');
	expect_killed(&c);
	/* What it bore executes in its own time, and dies of it. */
	while (last.detail != GUARD_EXECUTED)
		if (ring_buffer__poll(ring, PATIENCE_MS) <= 0)
			fail_msg("no record of the child");
	expect_record(GUARD_EXECUTED, root);
	assert_int_equal(access(sign, F_OK), -1);
}

static void wander(void)
{
	enter(root);
	if (fork() == 0)
		_exit(0);
	(void)wait(NULL);
	enter(parent);
	enter(root);
	say('a');
}

static void others_go_where_they_like(void **state)
{
	need_guard();
	struct child c = begin(wander);
	assert_int_equal(hear(&c), 'a');
	assert_int_equal(finish(&c), 0);
	(void)ring_buffer__consume(ring);
	assert_int_equal(records, 0);
}

/* Whoever holds a link keeps it, as the first process of each sandbox does for the helper. */
static void it_hangs_as_long_as_somebody_holds_it(void **state)
{
	int held[GUARD_HOOKS];
	need_guard();
	for (size_t i = 0; i < GUARD_HOOKS; i++)
		held[i] = dup(guard.links[i]);
	guardprog_detach(&guard);
	struct child c = begin(leave);
	assert_int_equal(hear(&c), 'a');
	expect_killed(&c);
	for (size_t i = 0; i < GUARD_HOOKS; i++)
		close(held[i]);
	c = begin(leave);
	assert_int_equal(hear(&c), 'a');
	assert_int_equal(hear(&c), 'b');
	assert_int_equal(finish(&c), 0);
	assert_int_equal(guardprog_attach(&guard), 0);
}

static void wait_inside(void)
{
	enter(sandbox);
	say('a');
	await_word();
}

static uint64_t guard_left(void)
{
	struct guard_counters each[CPUS_MAX];
	uint32_t zero = 0;
	uint64_t all = 0;

	assert_in_range(libbpf_num_possible_cpus(), 1, CPUS_MAX);
	must(bpf_map_lookup_elem(guard.programs.maps[GUARD_MAP_COUNTS], &zero, each), "counts");
	for (size_t i = 0; i < (size_t)libbpf_num_possible_cpus(); i++)
		all += each[i].left;
	return all;
}

/* What the ring has no room for is counted, by sandbox, to the last one. */
static void what_is_not_told_is_counted(void **state)
{
	enum { ROOM = LSM_GUARD_BYTES / sizeof(struct lsm_denial) };
	const struct lsm_loss_key key = {.cgroup = id_of(sandbox)};
	uint64_t before = 0, lost = 0;

	need_guard();
	uint64_t left = guard_left();
	(void)bpf_map_lookup_elem(guard.programs.maps[GUARD_MAP_LOSSES], &key, &before);
	struct child c = begin(wait_inside);
	assert_int_equal(hear(&c), 'a');
	for (int i = 0; i < ROOM; i++) {
		must(move(c.pid, neighbour), "move out");
		must(move(c.pid, sandbox), "move back");
	}
	tell(&c);
	(void)finish(&c);
	(void)ring_buffer__consume(ring);
	must(bpf_map_lookup_elem(guard.programs.maps[GUARD_MAP_LOSSES], &key, &lost), "losses");
	assert_true(lost > before);
	assert_int_equal(guard_left() - left, records + lost - before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_leaves_dies),
		cmocka_unit_test(another_sandbox_is_outside_too),
		cmocka_unit_test(below_is_inside),
		cmocka_unit_test(tags_are_inherited),
		cmocka_unit_test(who_moves_another_out_dies_and_so_does_the_other),
		cmocka_unit_test(one_that_is_moved_out_executes_nothing),
		cmocka_unit_test(nobody_is_born_outside),
		cmocka_unit_test(others_go_where_they_like),
		cmocka_unit_test(it_hangs_as_long_as_somebody_holds_it),
		cmocka_unit_test(what_is_not_told_is_counted),
	};
	return cmocka_run_group_tests_name("lsm guard", tests, set_up, tear_down);
}
