/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Lives of real sandboxes, from aegisd's side: the helper makes them, aegis-bootstrap is their
 * init, python and shells are the agents, and this program, without privilege, is the daemon.
 */
#include "daemon/helper/helper.h"
#include "tests/integration/daemon/sandbox/fixture.h"
#include "tests/integration/daemon/sandbox/gateway.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MS = 30000 };

static struct runtime_registry *registry;
static int executions;

static struct uuid new_execution(void)
{
	return (struct uuid){{0xe1, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0,
		(uint8_t)(getpid() & 255), (uint8_t)++executions}};
}

static struct sandbox_spec spec_of(struct uuid execution)
{
	return (struct sandbox_spec){.execution = execution,
		.iteration = 1,
		.language = SPAN("python"),
		.version = SPAN("3"),
		.prompt = "do it",
		.limits = {.cpu_millis = 2000,
			.pids = 64,
			.memory_bytes = 256 << 20,
			.tmp_bytes = 16 << 20,
			.file_bytes = 64 << 20,
			.open_files = 256}};
}

static struct helper_link *to_helper;

static struct sandbox_driver *open_driver(const char *socket)
{
	struct sandbox_driver *d = NULL;

	EXPECT_INT(helper_link_new(socket, &to_helper), 0);
	EXPECT_INT(sandbox_process_open(&(struct sandbox_process_options){.link = to_helper,
						.registry = registry},
			   &d),
		0);
	return d;
}

static void close_driver(struct sandbox_driver *d)
{
	sandbox_driver_close(d);
	to_helper = helper_link_free(to_helper);
}

/* The workspace is emptied and removed, as the daemon does when an execution is deleted. */
static void remove_workspace(struct sandbox_driver *d, struct uuid execution)
{
	int fd = -1;

	EXPECT_INT(sandbox_workspace_open(d, execution, &fd, deadline_in_ms(MS)), 0);
	const char *const names[] = {"agent.py", "made-inside"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)unlinkat(fd, names[i], 0);
	rt_close(fd);
	EXPECT_INT(sandbox_workspace_remove(d, execution, deadline_in_ms(MS)), 0);
	EXPECT_INT(sandbox_workspace_remove(d, execution, deadline_in_ms(MS)), 0);
}

static void start(struct play *p, struct sandbox_driver *d, const struct sandbox_spec *spec)
{
	int r = sandbox_start(d, spec, &p->sandbox, deadline_in_ms(MS));

	if (r < 0)
		print_message("# sandbox_start: %s\n", err_message(r));
	EXPECT_INT(r, 0);
	if (r == 0)
		play_start(p);
}

/* False: there is no sandbox, and that has been noted. */
static bool started(const struct play *p)
{
	return p->sandbox != NULL;
}

/* Waits for the end and lets go of everything. */
static struct sandbox_ending finish(struct play *p, struct sandbox_driver *d)
{
	struct sandbox_ending e = {0};
	char said[4096];

	if (!started(p))
		return e;
	struct uuid execution = p->sandbox->execution;
	EXPECT_INT(sandbox_wait(p->sandbox, &e, deadline_in_ms(60000)), 0);
	ssize_t n = p->sandbox->log >= 0 ? read(p->sandbox->log, said, sizeof(said) - 1) : 0;
	if (n > 0 && e.status != 0) {
		said[n] = 0;
		print_message("# bootstrap said: %s\n", said);
	}
	play_stop(p);
	EXPECT_INT(p->sandbox->state, SANDBOX_ENDED);
	EXPECT_INT(sandbox_release(p->sandbox, deadline_in_ms(MS)), 0);
	remove_workspace(d, execution);
	return e;
}

/* ---- cases ---- */

static void built_in_agent(void *arg)
{
	static struct play_step steps[] = {
		{.argv = {"sh", "-c",
			 "id -u; hostname; pwd; echo $HOME; cat /proc/1/comm; ls /; echo hi > "
			 "made-inside"}},
		{.argv = {"python3", "-c",
			 "import os,json,subprocess; print(subprocess.run(['echo','sub'],"
			 "capture_output=True,text=True).stdout.strip())"}},
		{.argv = {"sh", "-c", "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status"}},
		{.argv = {"cat", "/proc/self/cgroup"}},
		{.argv = {"sh", "-c", "yes | head -c 3000000"}, .output_max = 1000},
		{.argv = {"no-such-program"}},
		{.argv = {"touch", "/usr/bin/evil"}},
	};
	struct play p = {.steps = steps, .count = ARRAY_LEN(steps)};
	struct sandbox_driver *d = open_driver(fixture_socket());
	struct sandbox_spec spec = spec_of(new_execution());

	start(&p, d, &spec);
	EXPECT(started(&p) && p.sandbox->identity != 0);
	struct sandbox_ending e = finish(&p, d);
	EXPECT_INT(e.how, SANDBOX_END_EXITED);
	EXPECT_INT(e.status, 0);
	EXPECT_INT(p.at, ARRAY_LEN(steps));
	EXPECT(strncmp(steps[0].out, "1000\nsandbox\n/workspace\n/workspace\n", 35) == 0);
	EXPECT(strstr(steps[0].out, "workspace") && !strstr(steps[0].out, "root\n"));
	EXPECT(strcmp(steps[1].out, "sub\n") == 0);
	EXPECT(strstr(steps[2].out, "NoNewPrivs:\t1") && strstr(steps[2].out, "Seccomp:\t2"));
	EXPECT(strstr(steps[2].out, "CapEff:\t0000000000000000"));
	EXPECT(steps[3].identity != steps[2].identity);
	EXPECT(steps[4].truncated && strlen(steps[4].out) == 1000);
	EXPECT_INT(steps[5].exit_code, 127);
	EXPECT(steps[6].exit_code != 0);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		EXPECT(steps[i].identity != 0);
		EXPECT_INT(steps[i].close_result, 0);
	}
	close_driver(d);
}

#define NEST \
	"sh -c 'sleep 300' & setsid sh -c 'sleep 301' & " \
	"(setsid sh -c '(sleep 302) & sleep 303' &); echo started; "
#define COUNT_SLEEPS \
	"n=0; for f in /proc/[0-9]*/comm; do [ \"$(cat $f 2>/dev/null)\" = sleep ] && " \
	"n=$((n+1)); done; " \
	"echo $n"

static void nothing_outlives_its_call(void *arg)
{
	static struct play_step steps[] = {
		{.argv = {"sh", "-c", NEST "sleep 304"}, .timeout_s = 1},
		{.argv = {"sh", "-c", COUNT_SLEEPS}},
		{.argv = {"sh", "-c", NEST "exit 4"}},
		{.argv = {"sh", "-c", COUNT_SLEEPS}},
		{.argv = {"sh", "-c", "sleep 300 >/dev/null 2>&1 & echo kept"}, .background = true},
		{.argv = {"sh", "-c", COUNT_SLEEPS}},
	};
	struct play p = {.steps = steps, .count = ARRAY_LEN(steps)};
	struct sandbox_driver *d = open_driver(fixture_socket());
	struct sandbox_spec spec = spec_of(new_execution());

	start(&p, d, &spec);
	struct sandbox_ending e = finish(&p, d);
	EXPECT_INT(e.status, 0);
	EXPECT_INT(steps[0].exit_code, -1);
	EXPECT(strstr(steps[0].err, "timed out after 1s"));
	EXPECT(strcmp(steps[0].out, "started\n") == 0);
	EXPECT(strcmp(steps[1].out, "0\n") == 0);
	EXPECT_INT(steps[2].exit_code, 4);
	EXPECT(strcmp(steps[3].out, "0\n") == 0);
	EXPECT_INT(steps[4].close_result, SANDBOX_CALL_HAD_REST);
	EXPECT(strcmp(steps[5].out, "1\n") == 0);
	close_driver(d);
}

static const char hostile[] =
	"import os, signal, ctypes, socket\n"
	"def can(what, f):\n"
	"    try:\n"
	"        f(); print(what, 'yes')\n"
	"    except OSError as e:\n"
	"        print(what, 'no')\n"
	"can('memory', lambda: open('/proc/1/mem', 'rb'))\n"
	"can('descriptors', lambda: os.listdir('/proc/1/fd'))\n"
	"can('environment', lambda: open('/proc/1/environ', 'rb').read())\n"
	"libc = ctypes.CDLL(None, use_errno=True)\n"
	"def call(*a):\n"
	"    if libc.syscall(*a) < 0: raise OSError(ctypes.get_errno(), '')\n"
	"can('ptrace', lambda: call(101, 16, 1, 0, 0))\n"
	"can('unshare', lambda: call(272, 0x10000000))\n"
	"can('io_uring', lambda: call(425, 1, 0))\n"
	"can('limits', lambda: call(302, 1, 7, 0, 0))\n"
	"can('raw', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))\n"
	"can('outside', lambda: socket.create_connection(('1.1.1.1', 53), 1))\n"
	"for s in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, signal.SIGINT):\n"
	"    os.kill(1, s)\n"
	"held = []\n"
	"for n in range(200):\n"
	"    s = socket.socket(); s.settimeout(0.02)\n"
	"    try:\n"
	"        s.connect(('127.0.0.1', 8088)); s.send(b'POST / HTTP/1.1\\r\\n')\n"
	"    except OSError: pass\n"
	"    held.append(s)\n"
	"print('end')\n";

static const char upstream_agent[] =
	"import json, os, subprocess, sys, urllib.request\n"
	"url = os.environ['AEGIS_ORCHESTRATOR_URL'] + '/v1/dispatch-gateway'\n"
	"def post(m):\n"
	"    q = urllib.request.Request(url, data=json.dumps(m).encode(),\n"
	"        headers={'Content-Type': 'application/json'}, method='POST')\n"
	"    return json.loads(urllib.request.urlopen(q, timeout=30).read())\n"
	"r = post({'type': 'generate', 'prompt': sys.argv[1], 'messages': []})\n"
	"while r.get('type') == 'dispatch':\n"
	"    p = subprocess.run([r['command']] + r['args'], capture_output=True, text=True)\n"
	"    r = post({'type': 'dispatch_result', 'dispatch_id': r['dispatch_id'],\n"
	"        'exit_code': p.returncode, 'stdout': p.stdout, 'stderr': p.stderr})\n"
	"print(r['content'], sys.argv[1])\n";

static const char confined[] =
	"import os, resource\n"
	"for name in ('NOFILE', 'FSIZE', 'NPROC', 'CORE'):\n"
	"    print(name, *resource.getrlimit(getattr(resource, 'RLIMIT_' + name)))\n"
	"for line in open('/proc/self/status'):\n"
	"    if line.split(':')[0] in ('CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp', 'SigIgn',\n"
	"            'SigBlk'):\n"
	"        print(*line.split())\n"
	"print('fds', *sorted(os.listdir('/proc/self/fd'))[:-1])\n"
	"print('session', os.getsid(0) == os.getpid(), os.getcwd())\n"
	"try:\n"
	"    open('/dev/urandom', 'wb'); print('writes to a device')\n"
	"except OSError: pass\n"
	"open('/workspace/made-inside', 'w').close(); open('/tmp/x', 'w').close()\n";

static const char obedient[] =
	"import signal, sys, time\n"
	"def told(*_):\n"
	"    open('/workspace/made-inside', 'w').write('told'); sys.exit(0)\n"
	"signal.signal(signal.SIGTERM, told)\n"
	"open('/workspace/made-inside', 'w').write('ready')\n"
	"while True: time.sleep(1)\n";

/* Starts a script as the agent's own program; *ret_work is its workspace. */
static struct sandbox_driver *start_program(struct play *p, const char *script, int *ret_work)
{
	char *const program[] = {(char *)"/workspace/agent.py", NULL};
	struct sandbox_driver *d = open_driver(fixture_socket());
	struct sandbox_spec spec = spec_of(new_execution());

	spec.program = program;
	EXPECT_INT(sandbox_workspace_open(d, spec.execution, ret_work, deadline_in_ms(MS)), 0);
	int fd = openat(*ret_work, "agent.py", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	EXPECT_INT(fd_write_all(fd, span_cstr(script)), 0);
	rt_close(fd);
	start(p, d, &spec);
	return d;
}

static struct sandbox_ending run_program(struct play *p, const char *script)
{
	int work = -1;
	struct sandbox_driver *d = start_program(p, script, &work);

	rt_close(work);
	struct sandbox_ending e = finish(p, d);
	close_driver(d);
	return e;
}

/* Its process was there before the limits were known, and enters Landlock by itself. */
static void a_program_is_confined(void *arg)
{
	struct play p = {0};
	struct sandbox_ending e = run_program(&p, confined);
	bool landlock = syscall(444 /* landlock_create_ruleset */, NULL, 0, 1) > 0;

	EXPECT_INT(e.status, 0);
	bool as_told =
		strcmp(p.program_out,
			"NOFILE 256 256\nFSIZE 67108864 67108864\nNPROC 64 64\nCORE 0 0\n"
			"SigBlk: 0000000000000000\nSigIgn: 0000000001001000\n"
			"CapEff: 0000000000000000\nCapBnd: 0000000000000000\n"
			"NoNewPrivs: 1\nSeccomp: 2\nfds 0 1 2\nsession True /workspace\n") == 0;
	EXPECT(as_told == landlock);
	if (!as_told)
		print_message("# %s\n", p.program_out);
}

static bool work_says(int work, const char *text)
{
	char bytes[16];
	AUTO_FD fd = openat(work, "made-inside", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, bytes, sizeof(bytes)) : -1;

	return n == (ssize_t)strlen(text) && memcmp(bytes, text, (size_t)n) == 0;
}

/* pid 1 and the program entered Landlock apart, and signals must still pass between them. */
static void a_program_hears_that_it_shall_stop(void *arg)
{
	struct play p = {0};
	struct sandbox_ending e;
	int work = -1;
	struct sandbox_driver *d = start_program(&p, obedient, &work);

	for (int i = 0; i < MS / 10 && !work_says(work, "ready"); i++)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(10)), 0);
	EXPECT_INT(sandbox_end(p.sandbox, 10 * NS_PER_S, &e, deadline_in_ms(MS)), 0);
	EXPECT_INT(e.how, SANDBOX_END_EXITED);
	EXPECT_INT(e.status, 128 + SIGTERM);
	EXPECT(work_says(work, "told"));
	rt_close(work);
	finish(&p, d);
	close_driver(d);
}

static void neighbours_are_harmless(void *arg)
{
	struct play p = {0};
	struct sandbox_ending e = run_program(&p, hostile);

	EXPECT_INT(e.status, 0);
	EXPECT(p.reported);
	EXPECT(strcmp(p.program_out,
		       "memory no\ndescriptors no\nenvironment no\nptrace no\nunshare no\n"
		       "io_uring no\nlimits no\nraw no\noutside no\nend\n") == 0);
	if (strstr(p.program_out, "yes"))
		print_message("# %s\n", p.program_out);
}

static void upstream_script_runs_unchanged(void *arg)
{
	static struct play_step steps[] = {{.argv = {"echo", "from the script"}}};
	struct play p = {.steps = steps, .count = 1};
	struct sandbox_ending e = run_program(&p, upstream_agent);

	EXPECT_INT(e.status, 0);
	EXPECT(strcmp(steps[0].out, "from the script\n") == 0);
	EXPECT(strcmp(p.program_out, "well done do it\n") == 0);
	EXPECT_INT(p.requests, 3);
}

static void restart_helper(void *arg)
{
	fixture_restart_helper();
}

static void the_helper_may_die(void *arg)
{
	static struct play_step steps[] = {
		{.argv = {"sh", "-c", "echo one"}},
		{.argv = {"sh", "-c", "echo two"}, .before_reply = restart_helper},
		{.argv = {"sh", "-c", NEST "sleep 300"}, .timeout_s = 1},
	};
	struct play p = {.steps = steps, .count = ARRAY_LEN(steps)};
	struct sandbox_driver *d = open_driver(fixture_socket());
	struct sandbox_spec spec = spec_of(new_execution());

	start(&p, d, &spec);
	struct sandbox_ending e = finish(&p, d);
	EXPECT_INT(e.status, 0);
	EXPECT(strcmp(steps[1].out, "two\n") == 0);
	EXPECT_INT(steps[2].exit_code, -1);
	close_driver(d);
}

struct beginner {
	struct play play;
	struct sandbox_driver *driver;
	struct sandbox_spec spec;
	struct play_step step;
};

static void run_one(void *arg)
{
	struct beginner *b = arg;

	start(&b->play, b->driver, &b->spec);
	finish(&b->play, b->driver);
	EXPECT(strcmp(b->step.out, "one\n") == 0);
}

static void run_some(struct sandbox_driver *d, size_t count)
{
	static struct beginner all[4];
	struct group g;

	group_init(&g);
	for (size_t i = 0; i < count; i++) {
		all[i] = (struct beginner){.driver = d,
			.spec = spec_of(new_execution()),
			.step = {.argv = {"sh", "-c", "echo one"}}};
		all[i].play = (struct play){.steps = &all[i].step, .count = 1};
		EXPECT_INT(group_spawn(&g, "run", FIBER_LARGE, run_one, &all[i]), 0);
	}
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
}

/* What the driver has of the former helper is changed for what the new one has, once. */
static void several_meet_a_new_helper(void *arg)
{
	struct sandbox_driver *d = open_driver(fixture_socket());

	run_some(d, 1);
	fixture_restart_helper();
	run_some(d, 4);
	close_driver(d);
}

static void a_daemon_may_die(void *arg)
{
	static struct play_step steps[] = {{.argv = {"sh", "-c", "sleep 1; echo survived"}}};
	struct play p = {.steps = steps, .count = 1}, *q = &p;
	struct sandbox_driver *d = open_driver(fixture_socket());
	struct sandbox_spec spec = spec_of(new_execution());

	start(q, d, &spec);
	while (started(q) && !q->generated)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(10)), 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(200)), 0);
	play_stop(q);
	sandbox_forget(q->sandbox);
	close_driver(d);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(1500)), 0); /* the result comes to nobody */

	d = open_driver(fixture_socket());
	struct sandbox_entry *list = NULL;
	size_t count = 0;
	EXPECT_INT(sandbox_list(d, &list, &count, deadline_in_ms(MS)), 0);
	EXPECT_INT((long)count, 1);
	EXPECT(count == 1 && list[0].alive && uuid_eq(list[0].execution, spec.execution));
	EXPECT_INT(sandbox_adopt(d, &list[0], &q->sandbox, deadline_in_ms(MS)), 0);
	EXPECT_INT(q->sandbox->state, SANDBOX_RUNNING);
	free(list);
	play_start(q);
	struct sandbox_ending e = finish(q, d);
	EXPECT_INT(e.status, 0);
	EXPECT(strcmp(steps[0].out, "survived\n") == 0);
	close_driver(d);
}

static void stopping(void *arg)
{
	static struct play_step stubborn[] = {
		{.argv = {"sh", "-c",
			 "trap '' TERM; : >/workspace/deaf; while :; do sleep 0.1; done"}}};
	static struct play_step polite[] = {{.argv = {"sleep", "300"}}};
	struct play p = {.steps = polite, .count = 1}, q = {.steps = stubborn, .count = 1};
	struct sandbox_driver *d = open_driver(fixture_socket());
	struct sandbox_spec spec = spec_of(new_execution());
	struct sandbox_ending e;
	int workspace = -1;

	start(&p, d, &spec);
	while (started(&p) && !p.generated)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(10)), 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(300)), 0);
	EXPECT_INT(sandbox_end(p.sandbox, 10 * NS_PER_S, &e, deadline_in_ms(MS)), 0);
	EXPECT_INT(e.how, SANDBOX_END_EXITED);
	EXPECT_INT(e.status, 128 + SIGTERM);
	e = finish(&p, d);
	EXPECT_INT(e.how, SANDBOX_END_EXITED);

	spec.execution = new_execution();
	start(&q, d, &spec);
	EXPECT_INT(sandbox_workspace_open(d, spec.execution, &workspace, deadline_in_ms(MS)), 0);
	while (started(&q) && faccessat(workspace, "deaf", F_OK, 0) < 0)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(10)), 0);
	EXPECT_INT(unlinkat(workspace, "deaf", 0), 0);
	rt_close(workspace);
	EXPECT_INT(sandbox_end(q.sandbox, NS_PER_S / 2, &e, deadline_in_ms(MS)), 0);
	EXPECT_INT(e.how, SANDBOX_END_KILLED);
	EXPECT_INT(e.status, SIGKILL);
	finish(&q, d);
	close_driver(d);
}

static void refusals(void *arg)
{
	struct sandbox_driver *d = open_driver(fixture_socket());
	struct sandbox_spec spec = spec_of(new_execution());
	struct sandbox *s = NULL;

	spec.language = SPAN("cobol");
	int r = sandbox_start(d, &spec, &s, deadline_in_ms(MS));
	EXPECT_INT(r, -ENOENT);
	EXPECT(strstr(err_message(r), "cobol") && strstr(err_message(r), "python 3"));
	spec = spec_of(spec.execution);
	spec.limits.pids = 0;
	EXPECT_INT(sandbox_start(d, &spec, &s, deadline_in_ms(MS)), -ERANGE);
	spec = spec_of(spec.execution);
	spec.iteration = 0;
	EXPECT_INT(sandbox_start(d, &spec, &s, deadline_in_ms(MS)), -ERANGE);
	remove_workspace(d, spec.execution);
	close_driver(d);

	d = open_driver("/nowhere/helper.sock");
	spec = spec_of(new_execution());
	EXPECT_INT(sandbox_start(d, &spec, &s, deadline_in_ms(300)), -ENOTCONN);
	close_driver(d);
}

#define CASE(name) \
	static void name##_case(void **state) \
	{ \
		in_fiber(name); \
	}
CASE(built_in_agent)
CASE(nothing_outlives_its_call)
CASE(neighbours_are_harmless)
CASE(upstream_script_runs_unchanged)
CASE(a_program_is_confined)
CASE(a_program_hears_that_it_shall_stop)
CASE(the_helper_may_die)
CASE(several_meet_a_new_helper)
CASE(a_daemon_may_die)
CASE(stopping)
CASE(refusals)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(built_in_agent_case),
		cmocka_unit_test(nothing_outlives_its_call_case),
		cmocka_unit_test(neighbours_are_harmless_case),
		cmocka_unit_test(upstream_script_runs_unchanged_case),
		cmocka_unit_test(a_program_is_confined_case),
		cmocka_unit_test(a_program_hears_that_it_shall_stop_case),
		cmocka_unit_test(the_helper_may_die_case),
		cmocka_unit_test(several_meet_a_new_helper_case),
		cmocka_unit_test(a_daemon_may_die_case),
		cmocka_unit_test(stopping_case),
		cmocka_unit_test(refusals_case),
	};
	fixture_split();
	registry = fixture_registry();
	int r = cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
	runtime_registry_free(registry);
	return r;
}
