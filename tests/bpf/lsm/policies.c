/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Policies about files in the kernel's maps: entered whole, shared, taken out, swept; and changed
 * under load, where the programs load, without an instant that allows what neither policy allows.
 * The maps are the programs' own, or, where those do not load, some of the same layout.
 */
#include "daemon/helper/lsmprog.h"
#include "daemon/sensor/lsm.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/bpf/cgroups.h"
#include "tests/tap.h"

enum { CHANGES = 1000, FILES = 3, LOOKS = 1000 };

static struct lsmprog lsm;
static struct lsm_sensor *sensor;
static struct test_cgroups cgroups;
static char why[256], work[64];
static int maps[LSM_MAPS];

static int make_map(enum bpf_map_type type, const char *name, size_t key, size_t value, unsigned n)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts,
		.map_flags = type == BPF_MAP_TYPE_HASH ? BPF_F_NO_PREALLOC : 0);
	int fd = bpf_map_create(type, name, (uint32_t)key, (uint32_t)value, n, &opts);
	must(fd, name);
	return fd;
}

static void make_maps(void)
{
	for (int i = 0; i < LSM_MAPS; i++)
		maps[i] = -1;
	if (lsm.loaded) {
		for (int i = 0; i < LSM_MAPS; i++)
			maps[i] = dup(lsm.programs.maps[i]);
		return;
	}
	maps[LSM_MAP_AGENTS] =
		make_map(BPF_MAP_TYPE_HASH, "agents", 8, sizeof(struct lsm_agent), LSM_AGENTS_MAX);
	maps[LSM_MAP_POLICIES] = make_map(
		BPF_MAP_TYPE_HASH, "policies", 4, sizeof(struct lsm_policy), LSM_POLICIES_MAX);
	maps[LSM_MAP_FILES] = make_map(BPF_MAP_TYPE_HASH, "files", sizeof(struct lsm_file_key),
		sizeof(struct lsm_file), LSM_FILES_MAX);
	maps[LSM_MAP_DENIALS] = make_map(BPF_MAP_TYPE_RINGBUF, "denials", 0, 0, LSM_DENIALS_BYTES);
}

static void open_sensor(void)
{
	int own[LSM_MAPS];
	for (int i = 0; i < LSM_MAPS; i++)
		own[i] = maps[i] >= 0 ? dup(maps[i]) : -1;
	assert_int_equal(lsm_sensor_new(own, &sensor), 0);
}

static int set_up(void **state)
{
	(void)state;
	cgroups_make(&cgroups, "aegis-lsm-policies");
	snprintf(work, sizeof(work), "/tmp/aegis-lsm-policies-%d", getpid());
	must(mkdir(work, 0755), work);
	int r = lsmprog_load(cgroups.fd, 2, &lsm);
	if (r < 0) {
		snprintf(why, sizeof(why), "%s", err_message(r));
		err_clear();
	} else {
		r = lsmprog_attach(&lsm, cgroups.fd);
		if (r < 0)
			return r;
	}
	make_maps();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	lsm_sensor_free(sensor);
	for (int i = 0; i < LSM_MAPS; i++)
		if (maps[i] >= 0)
			close(maps[i]);
	lsmprog_detach(&lsm, cgroups.fd);
	lsmprog_close(&lsm);
	return rmdir(work) < 0 || cgroups_remove(&cgroups) < 0 ? -1 : 0;
}

static size_t count(enum lsm_map map, size_t key_bytes)
{
	char at[32], next[32];
	size_t n = 0;
	while (bpf_map_get_next_key(maps[map], n ? at : NULL, next) == 0) {
		memcpy(at, next, key_bytes);
		n++;
	}
	return n;
}

static size_t policies_there(void)
{
	return count(LSM_MAP_POLICIES, sizeof(uint32_t));
}

static size_t files_there(void)
{
	return count(LSM_MAP_FILES, sizeof(struct lsm_file_key));
}

static void admit(uint32_t policy)
{
	const struct lsm_agent a = {.phase = LSM_SEALED, .policy = policy};
	assert_int_equal(bpf_map_update_elem(maps[LSM_MAP_AGENTS], &cgroups.id, &a, BPF_ANY), 0);
}

static uint32_t policy_of_sandbox(void)
{
	struct lsm_agent a;
	assert_int_equal(bpf_map_lookup_elem(maps[LSM_MAP_AGENTS], &cgroups.id, &a), 0);
	assert_int_equal(a.phase, LSM_SEALED);
	return a.policy;
}

static const struct span ids[] = {{"one", 3}, {"two", 3}};

static const struct span paths[] = {{"/a", 2}, {"/b", 2}};

static struct lsm_table table_of(const struct lsm_entry *entries, size_t n)
{
	return (struct lsm_table){.entries = entries,
		.paths = paths,
		.count = n,
		.policies = ids,
		.policy_count = ARRAY_LEN(ids)};
}

/* ---- bookkeeping ---- */

static void entered_shared_and_taken_out(void **state)
{
	const struct lsm_entry a[] = {
		{{0, 1, 10}, {LSM_FORBID_READ, 1}}, {{0, 1, 11}, {LSM_FORBID_EXEC, 2}}};
	const struct lsm_entry b[] = {{{0, 1, 10}, {LSM_FORBID_READ, 2}}};
	const struct lsm_table ta = table_of(a, 2), tb = table_of(b, 1);
	struct lsm_policy_entry *p, *same, *q;
	(void)state;
	open_sensor();
	admit(0);
	assert_int_equal(lsm_policy_new(sensor, &ta, &p), 0);
	assert_int_equal(lsm_policy_new(sensor, &ta, &same), 0);
	assert_ptr_equal(p, same);
	assert_int_equal(lsm_policy_new(sensor, &tb, &q), 0);
	assert_int_not_equal(lsm_policy_number(p), lsm_policy_number(q));
	assert_int_equal(policies_there(), 2);
	assert_int_equal(files_there(), 3);
	assert_true(span_is(lsm_rule_policy(sensor, lsm_policy_number(p), 2), "two"));
	assert_int_equal(lsm_rule_policy(sensor, lsm_policy_number(p), 3).n, 0);
	assert_true(span_is(lsm_file_path(sensor, lsm_policy_number(p), 1, 10), "/a"));
	assert_true(span_is(lsm_file_path(sensor, lsm_policy_number(p), 1, 11), "/b"));
	assert_int_equal(lsm_file_path(sensor, lsm_policy_number(p), 1, 12).n, 0);
	assert_int_equal(lsm_file_path(sensor, lsm_policy_number(p), 2, 10).n, 0);
	assert_int_equal(lsm_agent_set_policy(sensor, cgroups.id, q), 0);
	assert_int_equal(policy_of_sandbox(), lsm_policy_number(q));
	assert_int_equal(lsm_agent_set_policy(sensor, 1, q), -ENOENT);
	err_clear();
	uint32_t number = lsm_policy_number(p);
	size_t gone = 0;
	lsm_policy_unref(p);
	assert_int_equal(lsm_sweep(sensor, &gone), 0);
	assert_int_equal(policies_there(), 2);
	lsm_policy_unref(same);
	assert_int_equal(lsm_sweep(sensor, &gone), 0);
	assert_int_equal(gone, 0);
	assert_int_equal(policies_there(), 1);
	assert_int_equal(files_there(), 1);
	assert_int_equal(lsm_policy_new(sensor, &ta, &p), 0);
	assert_true(lsm_policy_number(p) > number); /* never again */
	lsm_policy_unref(p);
	assert_int_equal(lsm_agent_set_policy(sensor, cgroups.id, NULL), 0);
	lsm_policy_unref(q);
	assert_int_equal(lsm_sweep(sensor, &gone), 0);
	assert_int_equal(files_there() + policies_there(), 0);
	sensor = lsm_sensor_free(sensor);
}

/* What a daemon leaves to sandboxes that live on, and what one that died left by halves. */
static void left_behind_and_swept(void **state)
{
	const struct lsm_entry a[] = {{{0, 2, 20}, {LSM_FORBID_READ, 1}}};
	const struct lsm_table ta = table_of(a, 1);
	const struct lsm_file_key half = {70, 2, 21};
	const struct lsm_file file = {LSM_PERMIT_EXEC, 1};
	struct lsm_policy_entry *p;
	size_t gone = 0;
	(void)state;
	open_sensor();
	admit(0);
	assert_int_equal(lsm_policy_new(sensor, &ta, &p), 0);
	uint32_t number = lsm_policy_number(p);
	assert_int_equal(lsm_agent_set_policy(sensor, cgroups.id, p), 0);
	lsm_policy_forget(p);
	sensor = lsm_sensor_free(sensor);
	assert_int_equal(policies_there(), 1);
	assert_int_equal(bpf_map_update_elem(maps[LSM_MAP_FILES], &half, &file, BPF_ANY), 0);

	open_sensor();
	assert_int_equal(lsm_sweep(sensor, &gone), 0);
	assert_int_equal(gone, 1); /* the sandbox has the other one still */
	assert_int_equal(lsm_policy_new(sensor, &ta, &p), 0);
	assert_true(lsm_policy_number(p) > number);
	assert_int_equal(lsm_agent_set_policy(sensor, cgroups.id, p), 0);
	assert_int_equal(lsm_sweep(sensor, &gone), 0);
	assert_int_equal(gone, 2);
	assert_int_equal(policies_there(), 1);
	/* Of one whose sensor has gone nothing is taken out any more. */
	sensor = lsm_sensor_free(sensor);
	lsm_policy_unref(p);
	assert_int_equal(policies_there(), 1);
	open_sensor();
	admit(0);
	assert_int_equal(lsm_sweep(sensor, &gone), 0);
	assert_int_equal(files_there() + policies_there(), 0);
	sensor = lsm_sensor_free(sensor);
}

/* The number that a sandbox still names is given to no other policy, also when what it stood for is
 * not there any more. */
static void named_but_taken_out(void **state)
{
	const struct lsm_entry a[] = {{{0, 2, 20}, {LSM_FORBID_READ, 1}}};
	const struct lsm_table ta = table_of(a, 1);
	struct lsm_policy_entry *p;
	size_t gone = 0;
	(void)state;
	admit(500);
	for (int swept = 0; swept < 2; swept++) {
		open_sensor();
		if (swept)
			assert_int_equal(lsm_sweep(sensor, &gone), 0);
		assert_int_equal(lsm_policy_new(sensor, &ta, &p), 0);
		assert_true(lsm_policy_number(p) > 500);
		lsm_policy_unref(p);
		assert_int_equal(lsm_sweep(sensor, &gone), 0);
		sensor = lsm_sensor_free(sensor);
	}
	admit(0);
	assert_int_equal(files_there() + policies_there(), 0);
}

static void same_maps(void **state)
{
	(void)state;
	open_sensor();
	assert_true(lsm_sensor_has_maps(sensor, maps));
	int others[LSM_MAPS];
	memcpy(others, maps, sizeof(others));
	others[LSM_MAP_AGENTS] =
		make_map(BPF_MAP_TYPE_HASH, "agents", 8, sizeof(struct lsm_agent), 8);
	assert_false(lsm_sensor_has_maps(sensor, others));
	close(others[LSM_MAP_AGENTS]);
	sensor = lsm_sensor_free(sensor);
}

/* ---- under load ---- */

static char names[FILES][96];
struct seen {
	_Atomic uint64_t opened[FILES], looks;
	_Atomic bool stop;
};

static void make_files(struct lsm_entry e[FILES])
{
	for (int i = 0; i < FILES; i++) {
		struct stat st;
		snprintf(names[i], sizeof(names[i]), "%s/%d", work, i);
		int fd = open(names[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		must(fd, names[i]);
		must(fstat(fd, &st), names[i]);
		close(fd);
		e[i] = (struct lsm_entry){
			{0, lsm_device(major(st.st_dev), minor(st.st_dev)), st.st_ino},
			{LSM_FORBID_READ, 1}};
	}
}

static void look(struct seen *s)
{
	cgroup_enter(cgroups.sandbox);
	while (!s->stop) {
		for (int i = 0; i < FILES; i++) {
			int fd = open(names[i], O_RDONLY | O_CLOEXEC);
			if (fd >= 0) {
				s->opened[i]++;
				close(fd);
			}
		}
		s->looks++;
	}
	_exit(0);
}

/* File 0 is forbidden by both, 1 by one, 2 by the other. */
static void no_instant_between_two_policies(void **state)
{
	struct lsm_entry e[FILES];
	struct lsm_policy_entry *now, *next;
	(void)state;
	if (!lsm.loaded)
		test_skip("%s", why);
	open_sensor();
	make_files(e);
	const struct lsm_entry one[] = {e[0], e[1]}, other[] = {e[0], e[2]};
	const struct lsm_table tables[] = {table_of(one, 2), table_of(other, 2)};
	struct seen *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(s != MAP_FAILED);
	assert_int_equal(lsm_policy_new(sensor, &tables[0], &now), 0);
	admit(lsm_policy_number(now));
	pid_t pid = fork();
	if (pid == 0)
		look(s);
	for (unsigned i = 1; i <= CHANGES || s->looks < LOOKS || !s->opened[1] || !s->opened[2];
		i++) {
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
		assert_int_equal(lsm_policy_new(sensor, &tables[i % 2], &next), 0);
		assert_int_equal(lsm_agent_set_policy(sensor, cgroups.id, next), 0);
		lsm_policy_unref(now);
		size_t gone;
		if (i % 50 == 0)
			assert_int_equal(lsm_sweep(sensor, &gone), 0); /* out of the kernel */
		now = next;
	}
	s->stop = true;
	waitpid(pid, NULL, 0);
	print_message("# %llu looks\n", (unsigned long long)s->looks);
	assert_int_equal(s->opened[0], 0);
	munmap(s, sizeof(*s));
	lsm_policy_unref(now);
	for (int i = 0; i < FILES; i++)
		must(unlink(names[i]), names[i]);
	sensor = lsm_sensor_free(sensor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entered_shared_and_taken_out),
		cmocka_unit_test(left_behind_and_swept),
		cmocka_unit_test(named_but_taken_out),
		cmocka_unit_test(same_maps),
		cmocka_unit_test(no_instant_between_two_policies),
	};
	return cmocka_run_group_tests_name("lsm policies", tests, set_up, tear_down);
}
