/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Signals as values. Those that a daemon acts upon are blocked in every thread from rt_run on, so
 * that one which comes while nobody waits is not lost: it stays pending until the next wait.
 */
#include "daemon/rt/backend.h"
#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int waitable[] = {
	SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE, SIGWINCH};

void signals_block(sigset_t *ret_outer)
{
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(waitable); i++)
		sigaddset(&set, waitable[i]);
	pthread_sigmask(SIG_BLOCK, &set, ret_outer);
}

static bool all_waitable(const sigset_t *set)
{
	sigset_t rest = *set;
	for (size_t i = 0; i < ARRAY_LEN(waitable); i++)
		sigdelset(&rest, waitable[i]);
	return sigisemptyset(&rest);
}

int signal_wait(const sigset_t *set, int64_t deadline_ns)
{
	struct worker *w = worker_current;
	CHECK(all_waitable(set));
	if (w->backend)
		return w->backend->signal_wait(w, set, deadline_ns);
	int fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(-errno, "make a signalfd");
	struct signalfd_siginfo info;
	int r;
	for (;;) {
		r = rt_poll(fd, POLLIN, deadline_ns);
		if (r < 0)
			break;
		/* Another waiter may have taken it. */
		if (read(fd, &info, sizeof(info)) == sizeof(info)) {
			r = (int)info.ssi_signo;
			break;
		}
	}
	close(fd);
	return r;
}
