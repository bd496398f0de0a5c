/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The recording programs on this kernel: a child in a cgroup does something, and the ring has it;
 * what the ring has no room for is counted, to the last one.
 */
#include "daemon/helper/recordprog.h"
#include "daemon/sensor/record.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/bpf/cgroups.h"
#include "tests/tap.h"

extern const unsigned char record_object[], record_object_end[];

enum { LEVEL = 2, SMALL_RING = 4096, EVENTS_MAX = 4096 };

static struct recordprog programs;
static struct record_sensor *sensor;
static struct test_cgroups cgroups;
static char call_path[160], why[700];
static bool refused; /* by the verifier: the kernel has the hooks */
static uint64_t call_cgroup;
static const struct uuid execution = {{1, 2, 3}}, call = {{9, 8, 7}};

static struct record_exec seen[EVENTS_MAX];
static size_t seen_count;

static int open_sensor(void)
{
	int fds[RECORD_MAPS + RECORD_HOOKS];
	for (int i = 0; i < RECORD_MAPS; i++)
		fds[i] = fcntl(programs.programs.maps[i], F_DUPFD_CLOEXEC, 3);
	for (int i = 0; i < RECORD_HOOKS; i++)
		fds[RECORD_MAPS + i] = fcntl(programs.links[i], F_DUPFD_CLOEXEC, 3);
	return record_sensor_new(fds, &sensor);
}

/* The verifier's last words before it counts. */
static int show(enum libbpf_print_level level, const char *fmt, va_list args)
{
	static char text[1 << 16];
	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(text, sizeof(text), fmt, args);
	char *end = strstr(text, "\nprocessed ");
	if (!end)
		return 0;
	refused = true;
	char *begin = end - MIN((size_t)(end - text), sizeof(why) - 1);
	snprintf(why, sizeof(why), "%.*s", (int)(end - begin), begin);
	for (char *c = why; *c; c++)
		if (*c == '\n' || *c == '#')
			*c = ';';
	return 0;
}

/* What the kernel has against the programs. */
static void show_refusal(void)
{
	struct bpf_object *o = bpf_object__open_mem(
		record_object, (size_t)(record_object_end - record_object), NULL);
	libbpf_set_print(show);
	(void)!bpf_object__load(o);
	bpf_object__close(o);
}

static int set_up(void **state)
{
	cgroups_make(&cgroups, "aegis-record-test");
	snprintf(call_path, sizeof(call_path), "%s/call", cgroups.sandbox);
	call_cgroup = cgroup_make(call_path);
	int r = recordprog_load(cgroups.fd, LEVEL, &programs);
	if (r == -EOPNOTSUPP) {
		snprintf(why, sizeof(why), "%s", err_message(r));
		err_clear();
		show_refusal();
		if (refused)
			print_message("# the verifier: %s\n", why);
		return refused ? -1 : 0;
	}
	if (r == 0)
		r = recordprog_attach(&programs, cgroups.fd);
	if (r == 0)
		r = recordprog_admit(&programs, cgroups.id, execution, 3, false);
	if (r == 0)
		r = recordprog_call(&programs, call_cgroup, call);
	if (r == 0)
		r = open_sensor();
	if (r < 0)
		print_message("# %s\n", err_message(r));
	else
		print_message("# %u instructions\n", programs.programs.instructions);
	return r;
}

static int tear_down(void **state)
{
	record_sensor_free(sensor);
	recordprog_close(&programs);
	return rmdir(call_path) < 0 || cgroups_remove(&cgroups) < 0 ? -1 : 0;
}

static void need_programs(void)
{
	if (!programs.loaded)
		test_skip("%s", why);
}

static void take_all(void)
{
	const struct record_event *const *events;
	size_t n;

	seen_count = 0;
	while ((n = record_sensor_next(sensor, &events)) > 0) {
		for (size_t i = 0; i < n && seen_count < EVENTS_MAX; i++)
			memcpy(&seen[seen_count++], events[i],
				events[i]->kind == RECORD_EXEC ? sizeof(struct record_exec)
							       : sizeof(struct record_event));
		record_sensor_done(sensor);
	}
}

static const struct record_exec *find(enum record_kind kind, uint32_t pid)
{
	for (size_t i = 0; i < seen_count; i++)
		if (seen[i].event.kind == kind && seen[i].event.pid == pid)
			return &seen[i];
	return NULL;
}

static int execute(void)
{
	execl("/bin/sh", "a shell", "-c", "kill -TERM $$", "second argument", (char *)NULL);
	return 127;
}

static int fork_once(void)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0)
		_exit(5);
	return pid > 0 && waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : 1;
}

static int nothing(void)
{
	return 0;
}

static void a_life_is_recorded(void **state)
{
	pid_t pid;
	struct stat st;

	need_programs();
	take_all();
	assert_true(WIFSIGNALED(cgroup_run(call_path, execute, &pid)));
	take_all();
	const struct record_exec *e = find(RECORD_EXEC, (uint32_t)pid),
				 *x = find(RECORD_EXIT, (uint32_t)pid);
	assert_non_null(e);
	assert_non_null(x);
	assert_string_equal(e->path, "/bin/sh");
	assert_string_equal(e->interpreter, "");
	static const char arguments[] = "a shell\0-c\0kill -TERM $$\0second argument";
	assert_int_equal(e->arguments_bytes, sizeof(arguments));
	assert_int_equal(e->event.value, sizeof(arguments));
	assert_memory_equal(e->arguments, arguments, sizeof(arguments));
	must(stat("/bin/sh", &st), "/bin/sh");
	assert_int_equal(e->inode, st.st_ino);
	assert_int_equal(e->event.parent_pid, getpid());
	assert_memory_equal(e->event.execution, execution.bytes, sizeof(execution.bytes));
	assert_memory_equal(e->event.call, call.bytes, sizeof(call.bytes));
	assert_int_equal(e->event.iteration, 3);
	assert_int_equal(e->event.cgroup, cgroups.id);
	assert_int_equal(e->event.call_cgroup, call_cgroup);
	assert_int_equal(x->event.start_ns, e->event.start_ns);
	assert_true(WIFSIGNALED((int)x->event.status));
	assert_int_equal(WTERMSIG((int)x->event.status), SIGTERM);
	assert_true(x->event.value > 0 && x->event.time_ns > e->event.time_ns);
}

static void children_are_recorded_without_a_call(void **state)
{
	pid_t pid;

	need_programs();
	take_all();
	assert_int_equal(WEXITSTATUS(cgroup_run(cgroups.sandbox, fork_once, &pid)), 5);
	take_all();
	assert_int_equal(seen_count, 3); /* one born, two dead */
	const struct record_event *f = &seen[0].event;
	static const uint8_t none[16];
	assert_int_equal(f->kind, RECORD_FORK);
	assert_int_equal(f->parent_pid, pid);
	assert_memory_equal(f->call, none, sizeof(none));
	assert_int_equal(f->call_cgroup, cgroups.id);
	const struct record_exec *x = find(RECORD_EXIT, f->pid);
	assert_non_null(x);
	assert_int_equal(x->event.start_ns, f->start_ns);
	assert_int_equal(x->event.parent_start_ns, f->parent_start_ns);
	assert_int_equal(WEXITSTATUS((int)x->event.status), 5);
}

static void others_are_not(void **state)
{
	pid_t pid;

	need_programs();
	take_all();
	(void)cgroup_run(NULL, fork_once, &pid);
	(void)cgroup_run(cgroups.parent, fork_once, &pid);
	take_all();
	assert_int_equal(seen_count, 0);
}

static void what_is_not_let_go_of_is_there_again(void **state)
{
	const struct record_event *const *events;
	pid_t pid;

	need_programs();
	take_all();
	(void)cgroup_run(cgroups.sandbox, fork_once, &pid);
	size_t n = record_sensor_next(sensor, &events);
	assert_int_equal(n, 3);
	uint64_t sequence = events[0]->sequence;
	record_sensor_free(sensor);
	assert_int_equal(open_sensor(), 0);
	assert_int_equal(record_sensor_next(sensor, &events), n);
	assert_int_equal(events[0]->sequence, sequence);
	record_sensor_done(sensor);
	assert_int_equal(record_sensor_next(sensor, &events), 0);
}

static void beyond_the_budget_is_counted(void **state)
{
	enum { FORKS = 200 };
	struct record_agent a;
	pid_t pid;

	need_programs();
	take_all();
	must(record_sensor_counters(sensor, cgroups.id, &a), "counters");
	uint64_t happened = record_agent_happened(&a), lost = record_agent_lost(&a);
	a.budget = 20;
	must(bpf_map_update_elem(
		     programs.programs.maps[RECORD_MAP_AGENTS], &cgroups.id, &a, BPF_EXIST),
		"budget");
	for (int i = 0; i < FORKS; i++)
		(void)cgroup_run(cgroups.sandbox, nothing, &pid);
	take_all();
	must(record_sensor_counters(sensor, cgroups.id, &a), "counters");
	assert_int_equal(record_agent_happened(&a) - happened, FORKS); /* ends */
	assert_true(record_agent_lost(&a) > lost || seen_count == FORKS);
	assert_int_equal(seen_count + record_agent_lost(&a) - lost, FORKS);
	assert_int_equal(record_sensor_told(sensor, cgroups.id), 0);
	record_sensor_tell(sensor, cgroups.id, 17);
	assert_int_equal(record_sensor_told(sensor, cgroups.id), 17);
	a.budget = RECORD_BUDGET;
	must(bpf_map_update_elem(
		     programs.programs.maps[RECORD_MAP_AGENTS], &cgroups.id, &a, BPF_EXIST),
		"budget");
}

/* As a helper that was started again: aegisd, here the sensor, has kept the links. */
static void another_helper_goes_on(void **state)
{
	struct recordprog again;
	pid_t pid;

	need_programs();
	take_all();
	recordprog_close(&programs);
	must(recordprog_load(cgroups.fd, LEVEL, &again), "load");
	must(recordprog_attach(&again, cgroups.fd), "attach");
	must(recordprog_adopt(&again, cgroups.id, execution, 3, false), "adopt");
	(void)cgroup_run(cgroups.sandbox, fork_once, &pid);
	take_all();
	assert_int_equal(seen_count, 3); /* neither lost nor twice */
	programs = again;
}

/* The same programs once more, over a ring that is full after a few records. */
struct small {
	struct bpf_object *object;
	struct bpf_link *links[RECORD_HOOKS];
	struct ring_buffer *ring;
	int agents;
	uint64_t recorded; /* of what was read */
};

static int count_one(void *ctx, void *p, size_t bytes)
{
	++*(uint64_t *)ctx;
	return 0;
}

static void small_begin(struct small *y, struct record_agent agent)
{
	const struct record_constants constants = {.level = LEVEL};
	struct bpf_program *p;
	struct bpf_map *m;
	size_t n = 0;

	struct bpf_object *o = bpf_object__open_mem(
		record_object, (size_t)(record_object_end - record_object), NULL);
	assert_non_null(o);
	*y = (struct small){.object = o};
	must(bpf_map__set_max_entries(bpf_object__find_map_by_name(o, "record_ring"), SMALL_RING),
		"ring");
	bpf_object__for_each_map(m, o) if (strstr(bpf_map__name(m), ".rodata"))
		must(bpf_map__set_initial_value(m, &constants, sizeof(constants)), "constants");
	p = bpf_object__find_program_by_name(o, "record_request");
	if (bpf_program__set_attach_target(p, 0, "io_uring_submit_req") < 0)
		must(bpf_program__set_attach_target(p, 0, "io_uring_submit_sqe"), "target");
	must(bpf_object__load(o), "load");
	bpf_object__for_each_program(p, o)
	{
		y->links[n] = bpf_program__attach(p);
		assert_non_null(y->links[n++]);
	}
	y->agents = bpf_object__find_map_fd_by_name(o, "record_agents");
	must(bpf_map_update_elem(y->agents, &cgroups.id, &agent, BPF_ANY), "admit");
	y->ring = ring_buffer__new(
		bpf_object__find_map_fd_by_name(o, "record_ring"), count_one, &y->recorded, NULL);
	assert_non_null(y->ring);
}

/* Its account is exact. */
static struct record_agent small_end(struct small *y)
{
	struct record_agent a;

	(void)ring_buffer__consume(y->ring);
	must(bpf_map_lookup_elem(y->agents, &cgroups.id, &a), "counters");
	assert_int_equal(y->recorded + record_agent_lost(&a), record_agent_happened(&a));
	ring_buffer__free(y->ring);
	for (size_t i = 0; i < RECORD_HOOKS; i++)
		bpf_link__destroy(y->links[i]);
	bpf_object__close(y->object);
	take_all();
	return a;
}

static void a_full_ring_is_counted(void **state)
{
	enum { FORKS = 100 };
	struct small y;
	pid_t pid;

	need_programs();
	small_begin(&y, (struct record_agent){.budget = RECORD_BUDGET});
	for (int i = 0; i < FORKS; i++)
		assert_int_equal(cgroup_run(cgroups.sandbox, nothing, &pid), 0);
	const struct record_agent a = small_end(&y);
	assert_int_equal(a.count[RECORD_EXIT].happened, FORKS);
	assert_true(a.count[RECORD_EXIT].full > 0);
	assert_int_equal(a.count[RECORD_EXIT].over, 0);
	assert_int_equal(a.killed, 0);
}

/* ---- strict mode ---- */

static int let_go[2];
static bool in_a_thread;

static void *fork_and_end(void *arg)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	_exit(pid > 0 && waitpid(pid, NULL, 0) == pid ? 42 : 2);
}

/* Waits for its turn, and then makes a process of its own. */
static void wait_and_fork(void)
{
	pthread_t thread;
	char turn;

	if (read(let_go[0], &turn, 1) != 1)
		_exit(1);
	if (!in_a_thread)
		fork_and_end(NULL);
	(void)!pthread_create(&thread, NULL, fork_and_end, NULL);
	pthread_join(thread, NULL);
	_exit(3);
}

static int fork_without_end(void)
{
	for (int i = 0; i < SMALL_RING; i++) {
		pid_t pid = fork();
		if (pid == 0)
			wait_and_fork();
		if (pid < 0)
			return 3;
	}
	return 4;
}

/* Of those that are left, each after the other: how many did what they wanted, and how many were
 * killed for it. */
static void let_all_go(struct small *y, size_t *ret_did, size_t *ret_killed)
{
	int status;

	*ret_did = *ret_killed = 0;
	assert_int_equal(write(let_go[1], "x", 1), 1);
	while (waitpid(-1, &status, 0) > 0) {
		(void)ring_buffer__consume(y->ring);
		bool did = WIFEXITED(status) && WEXITSTATUS(status) == 42;
		*ret_did += did;
		*ret_killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		if (did || WIFSIGNALED(status))
			assert_int_equal(write(let_go[1], "x", 1), 1);
	}
	assert_int_equal(errno, ECHILD);
}

/* Of each who is let go four are recorded: it was born and ended, and so did its child; then the
 * end of the maker, and what the killed one adds: with that they are `more`. */
static void kill_what_cannot_be_recorded(size_t more)
{
	struct small y;
	size_t did, killed;
	pid_t pid;

	must(prctl(PR_SET_CHILD_SUBREAPER, 1), "subreaper");
	must(pipe2(let_go, O_CLOEXEC), "pipe");
	small_begin(&y, (struct record_agent){.budget = RECORD_BUDGET, .strict = RECORD_STRICT});
	int status = cgroup_run(cgroups.sandbox, fork_without_end, &pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	(void)ring_buffer__consume(y.ring);
	assert_true(y.recorded > 4); /* processes made, and the end of their maker: it had room */
	let_all_go(&y, &did, &killed);
	assert_int_equal(did, (y.recorded - more) / 4);
	assert_int_equal(killed, 1);
	const struct record_agent a = small_end(&y);
	assert_int_equal(record_agent_lost(&a), 1);
	assert_int_equal(a.count[RECORD_FORK].full, 1);
	assert_int_equal(a.killed, 2);
	close(let_go[0]);
	close(let_go[1]);
	must(prctl(PR_SET_CHILD_SUBREAPER, 0), "subreaper");
}

/* Who makes a process that cannot be recorded is killed; the process is with the first thing it
 * does that would be recorded, though there is room again; and nobody else is. */
static void what_cannot_be_recorded_is_killed(void **state)
{
	need_programs();
	in_a_thread = false;
	kill_what_cannot_be_recorded(4); /* it made its child, and both ended */
}

static void a_thread_is_no_way_out(void **state)
{
	need_programs();
	in_a_thread = true;
	kill_what_cannot_be_recorded(2); /* it ended */
}

static int execute_true(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return 127;
}

/* A program that cannot be recorded executes nothing, and an end needs no budget. */
static void no_budget_no_program(void **state)
{
	struct small y;
	pid_t pid;

	need_programs();
	small_begin(&y, (struct record_agent){.budget = 0, .strict = RECORD_STRICT});
	int status = cgroup_run(cgroups.sandbox, execute_true, &pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	struct record_agent a = small_end(&y);
	assert_int_equal(a.count[RECORD_EXEC].over, 1);
	assert_int_equal(a.killed, 1);
	assert_int_equal(y.recorded, 1);
	small_begin(&y, (struct record_agent){.budget = 0});
	assert_int_equal(cgroup_run(cgroups.sandbox, execute_true, &pid), 0);
	a = small_end(&y);
	assert_int_equal(a.killed, 0);
	assert_int_equal(record_agent_lost(&a), 2);
}

/* As if there had been no memory for a mark. */
static void who_could_not_be_marked_is_everybody(void **state)
{
	struct small y;
	pid_t pid;

	need_programs();
	small_begin(&y,
		(struct record_agent){.budget = RECORD_BUDGET, .strict = RECORD_STRICT_ALL_DOOMED});
	int status = cgroup_run(cgroups.sandbox, execute_true, &pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(small_end(&y).killed, 1);
}

/* A sandbox that is only counted leaves a strict one the room to go on. */
static void a_flood_of_others_kills_nobody(void **state)
{
	enum { FORKS = 100 };
	struct record_agent strict = {.budget = RECORD_BUDGET, .strict = RECORD_STRICT}, a;
	struct small y;
	pid_t pid;

	need_programs();
	small_begin(&y, (struct record_agent){.budget = RECORD_BUDGET});
	for (int i = 0; i < FORKS; i++)
		assert_int_equal(cgroup_run(cgroups.sandbox, nothing, &pid), 0);
	must(bpf_map_lookup_elem(y.agents, &cgroups.id, &a), "counters");
	assert_true(record_agent_lost(&a) > 0);
	must(bpf_map_update_elem(y.agents, &cgroups.id, &strict, BPF_EXIST), "strict from now on");
	assert_int_equal(WEXITSTATUS(cgroup_run(cgroups.sandbox, fork_once, &pid)), 5);
	must(bpf_map_lookup_elem(y.agents, &cgroups.id, &strict), "counters");
	assert_int_equal(strict.killed, 0);
	assert_int_equal(record_agent_lost(&strict), 0);
	must(bpf_map_update_elem(y.agents, &cgroups.id, &a, BPF_EXIST), "counters");
	(void)ring_buffer__consume(y.ring);
	y.recorded -= record_agent_happened(&strict);
	(void)small_end(&y);
}

static void a_strict_one_is_not_taken_up_after_a_pause(void **state)
{
	struct record_agent a;

	need_programs();
	const uint64_t gone = 12345; /* of nobody */
	assert_int_equal(recordprog_adopt(&programs, gone, execution, 3, true), -ESTALE);
	err_clear();
	assert_int_equal(record_sensor_counters(sensor, gone, &a), -ENOENT);
	err_clear();
	must(recordprog_admit(&programs, gone, execution, 3, true), "admit");
	must(recordprog_adopt(&programs, gone, execution, 3, true), "adopt");
	must(record_sensor_counters(sensor, gone, &a), "counters");
	assert_int_equal(a.strict, 1);
	assert_int_equal(a.anew, 0);
	recordprog_dismiss(&programs, gone);
	must(recordprog_adopt(&programs, gone, execution, 3, false), "adopt");
	must(record_sensor_counters(sensor, gone, &a), "counters");
	assert_int_equal(a.anew, 1);
	recordprog_dismiss(&programs, gone);
}

/* ---- io_uring ---- */

static int use_a_ring(void)
{
	struct io_uring ring;

	if (io_uring_queue_init(4, &ring, 0) < 0)
		return 1;
	for (int i = 0; i < 3; i++)
		io_uring_prep_nop(io_uring_get_sqe(&ring));
	return io_uring_submit(&ring) == 3 ? 0 : 2;
}

static void requests_of_a_ring_are_recorded(void **state)
{
	pid_t pid;
	size_t requests = 0;

	need_programs();
	take_all();
	int status = cgroup_run(cgroups.sandbox, use_a_ring, &pid);
	if (WEXITSTATUS(status) == 1)
		test_skip("this kernel makes no io_uring");
	assert_int_equal(status, 0);
	take_all();
	assert_non_null(find(RECORD_RING, (uint32_t)pid));
	for (size_t i = 0; i < seen_count; i++)
		if (seen[i].event.kind == RECORD_REQUEST) {
			assert_int_equal(seen[i].event.value, IORING_OP_NOP);
			assert_int_equal(seen[i].event.pid, pid);
			requests++;
		}
	assert_int_equal(requests, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_life_is_recorded),
		cmocka_unit_test(children_are_recorded_without_a_call),
		cmocka_unit_test(others_are_not),
		cmocka_unit_test(what_is_not_let_go_of_is_there_again),
		cmocka_unit_test(beyond_the_budget_is_counted),
		cmocka_unit_test(another_helper_goes_on),
		cmocka_unit_test(a_full_ring_is_counted),
		cmocka_unit_test(what_cannot_be_recorded_is_killed),
		cmocka_unit_test(a_thread_is_no_way_out),
		cmocka_unit_test(no_budget_no_program),
		cmocka_unit_test(who_could_not_be_marked_is_everybody),
		cmocka_unit_test(a_flood_of_others_kills_nobody),
		cmocka_unit_test(a_strict_one_is_not_taken_up_after_a_pause),
		cmocka_unit_test(requests_of_a_ring_are_recorded),
	};
	return cmocka_run_group_tests_name("record programs", tests, set_up, tear_down);
}
