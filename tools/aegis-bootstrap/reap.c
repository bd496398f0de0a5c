/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Signals come through a descriptor, so nothing here runs in a handler. A request to end counts
 * only from outside: the agent has our uid, and to it we are not to be talked to. The kernel shows
 * a sender from outside a pid namespace as pid 0 and lets nobody forge SI_USER.
 */
#include "tools/aegis-bootstrap/reap.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A storm of dying orphans must not keep us from everything else. */
enum { REAP_AT_ONCE = 128, KILL_ROUNDS_MS = 5 };

static const int forwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

static sigset_t handled(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	return set;
}

static void reap(struct reaper *r)
{
	int count = 0, status;
	pid_t pid;

	while (count++ < REAP_AT_ONCE && (pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != r->watched)
			continue;
		r->ended = true;
		r->status = status;
		r->watched = 0;
	}
	/* SIGCHLD does not come again for those that are dead already. */
	r->source.deadline_ns = count > REAP_AT_ONCE ? 0 : INT64_MAX;
}

static void take_signal(struct reaper *r, const struct signalfd_siginfo *s)
{
	int number = (int)s->ssi_signo;

	if (number == SIGCHLD)
		return;
	if (getpid() == 1 && !(s->ssi_code == SI_USER && s->ssi_pid == 0))
		return;
	if (r->watched)
		kill(-r->watched, number);
	if (number != SIGUSR1 && number != SIGUSR2 && !r->stop_signal)
		r->stop_signal = number;
}

static void reaper_ready(struct source *s, short revents)
{
	struct reaper *r = container_of(s, struct reaper, source);
	struct signalfd_siginfo signals[16];
	ssize_t n = read(s->fd, signals, sizeof(signals));

	for (ssize_t i = 0; i < n / (ssize_t)sizeof(signals[0]); i++)
		take_signal(r, &signals[i]);
	reap(r);
}

int reaper_init(struct reaper *r, struct loop *l)
{
	sigset_t set = handled();

	*r = (struct reaper){.loop = l};
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(-errno, "sigprocmask");
	signal(SIGPIPE, SIG_IGN);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(-errno, "signalfd");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return err_sys(-errno, "PR_SET_CHILD_SUBREAPER");
	r->source = (struct source){fd, POLLIN, INT64_MAX, reaper_ready};
	loop_add(l, &r->source);
	return 0;
}

void reaper_child(void)
{
	sigset_t none;

	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void reaper_watch(struct reaper *r, pid_t pid)
{
	r->watched = pid;
	r->ended = false;
	r->status = 0;
}

/* Kills our children; their children become ours and fall in the next round. Returns how many. */
static int kill_children(void)
{
	char path[64], text[4096];
	int count = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	if (n <= 0)
		return 0;
	text[n] = 0;
	char *at = text, *end;
	for (long pid; (pid = strtol(at, &end, 10)) > 0 && *end; at = end) {
		kill((pid_t)pid, SIGKILL);
		count++;
	}
	return count;
}

void reaper_kill_descendants(struct reaper *r, int64_t deadline_ns)
{
	while (kill_children() > 0 && clock_mono_ns() < deadline_ns) {
		struct timespec pause = {0, KILL_ROUNDS_MS * NS_PER_MS};
		reap(r);
		nanosleep(&pause, NULL);
	}
	reap(r);
}
