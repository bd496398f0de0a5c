/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Writes a registry for a host that has none yet. It looks only at the places where Debian puts
 * interpreters, below /usr, which a sandbox sees anyway; other places are the administrator's to
 * name.
 */
#include "daemon/confine/runtime_registry.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <poll.h>
#include <unistd.h>

struct candidate {
	const char *name; /* of the runtime, in front of the version */
	const char *languages;
	const char *program;
	const char *options; /* behind the program on the interpreter line */
	const char *version_flag;
	int version_parts; /* of the dotted version that end up in the runtime's name */
};

static const struct candidate candidates[] = {
	{"python", "python python3", "/usr/bin/python3", "", "--version", 2},
	{"node", "javascript node nodejs", "/usr/bin/node", "", "--version", 1},
	{"bash", "bash shell", "/usr/bin/bash", "", "--version", 2},
	{"perl", "perl", "/usr/bin/perl", "", "-v", 2},
	{"ruby", "ruby", "/usr/bin/ruby", "", "--version", 2},
};

/* What programs of Debian expect beside /usr. */
static const char *const common_binds[] = {"/usr", "/bin", "/sbin", "/lib", "/lib64",
	"/etc/alternatives", "/etc/ld.so.cache", "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
	"/etc/mime.types", "/etc/localtime"};

enum { VERSION_OUTPUT_BYTES = 1024, VERSION_TIMEOUT_MS = 5000 };

static void run_child(const struct candidate *c, int out)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(null, 2) < 0)
		_exit(127);
	char *const argv[] = {(char *)c->program, (char *)c->version_flag, NULL};
	char *const envp[] = {(char *)"LC_ALL=C", (char *)"PATH=/usr/bin:/bin", NULL};
	execve(c->program, argv, envp);
	_exit(127);
}

/* Reads until the end of the output, the buffer's end or the deadline. */
static size_t read_output(int fd, char *text, size_t max)
{
	int64_t deadline = clock_mono_ns() + VERSION_TIMEOUT_MS * NS_PER_MS;
	size_t n = 0;

	while (n < max) {
		struct pollfd p = {fd, POLLIN, 0};
		int64_t left_ms = (deadline - clock_mono_ns()) / NS_PER_MS;
		if (left_ms <= 0 || poll(&p, 1, (int)left_ms) <= 0)
			break;
		ssize_t got = read(fd, text + n, max - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	return n;
}

/* The first dotted number in what the program prints about itself: "Python 3.11.2", "v20.20.2". */
static struct span version_in(struct span output)
{
	for (size_t i = 0; i < output.n; i++) {
		size_t end = i;
		bool dotted = false;
		while (end < output.n &&
			((output.p[end] >= '0' && output.p[end] <= '9') ||
				(output.p[end] == '.' && end > i))) {
			dotted |= output.p[end] == '.';
			end++;
		}
		if (dotted && end > i) {
			while (output.p[end - 1] == '.')
				end--;
			return span_sub(output, i, end);
		}
		if (end > i)
			i = end - 1;
	}
	return (struct span){NULL, 0};
}

/* False if the program is not there or does not say its version. */
static bool ask_version(const struct candidate *c, char ret[LIMIT_RUNTIME_NAME_BYTES + 1])
{
	char output[VERSION_OUTPUT_BYTES];
	int ends[2];

	if (access(c->program, X_OK) < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return false;
	pid_t pid = fork();
	if (pid == 0)
		run_child(c, ends[1]);
	close(ends[1]);
	size_t n = pid > 0 ? read_output(ends[0], output, sizeof(output)) : 0;
	close(ends[0]);
	if (pid > 0) {
		kill(pid, SIGKILL); /* it has printed what we wanted, or hangs */
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	struct span version = version_in(span_of(output, n));
	if (version.n == 0 || version.n > LIMIT_RUNTIME_NAME_BYTES - 16)
		return false;
	memcpy(ret, version.p, version.n);
	ret[version.n] = 0;
	return true;
}

static void put_runtime(struct buf *b, const struct candidate *c, const char *version)
{
	size_t n = 0;

	for (int dots = 0; version[n]; n++)
		if (version[n] == '.' && ++dots == c->version_parts)
			break;
	buf_printf(b, "\nruntime %s-%.*s\n\tlanguage %s\n\tversion %s\n\tinterpreter %s%s\n",
		c->name, (int)n, version, c->languages, version, c->program, c->options);
	for (size_t i = 0; i < ARRAY_LEN(common_binds); i++) {
		struct stat st;
		if (lstat(common_binds[i], &st) == 0)
			buf_printf(b, "\tbind %s\n", common_binds[i]);
	}
}

int runtime_registry_generate(struct buf *b)
{
	int found = 0;

	buf_puts(b,
		"# What sandboxes may use of this host: which interpreter serves which language "
		"and\n"
		"# version of a manifest, and the files it needs, read-only. Written from what "
		"was\n"
		"# installed; yours to change. The file must belong to root.\n");
	for (size_t i = 0; i < ARRAY_LEN(candidates); i++) {
		char version[LIMIT_RUNTIME_NAME_BYTES + 1];
		if (!ask_version(&candidates[i], version))
			continue;
		put_runtime(b, &candidates[i], version);
		found++;
	}
	if (!found)
		return err_raise(-ENOENT,
			"no interpreter found: /usr/bin has neither python3, node, "
			"bash, perl nor ruby");
	return err_trace(buf_error(b));
}
