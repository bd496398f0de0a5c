/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/bench/kernel/places.h"
#include "tests/shell.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void probe_spawn_local(struct probe *p)
{
	char *argv[] = {(char *)(uintptr_t)probe_program(), "127.0.0.1", NULL};
	probe_spawn(p, argv);
	probe_pin(p->pid, false);
}

/* The one process of the only container. */
static pid_t container_pid(const struct container *c)
{
	char command[256], line[32] = "";
	snprintf(command, sizeof(command), "docker -H %s inspect -f '{{.State.Pid}}' aegis-bench",
		c->docker.host);
	/* NOLINTNEXTLINE(cert-env33-c): a benchmark's own words, as root of a test machine */
	FILE *f = popen(command, "re");
	if (f) {
		(void)!fgets(line, sizeof(line), f);
		pclose(f);
	}
	return (pid_t)strtol(line, NULL, 10);
}

const char *container_start(struct container *c)
{
	struct peer image = {.number = 0};
	char command[1400];

	*c = (struct container){.docker = {.pid = -1}, .dir = "/tmp/aegis-bench-XXXXXX"};
	if (!mkdtemp(c->dir))
		return "no directory for an image";
	snprintf(image.stamp, sizeof(image.stamp), "%s", c->dir);
	snprintf(command, sizeof(command), "cp %s %s/stamp", probe_program(), c->dir);
	if (!test_shell(command))
		return "the image cannot be made";
	const char *why = docker_open(&c->docker, &image);
	if (why)
		return why;
	char *argv[] = {"docker", "-H", c->docker.host, "run", "--rm", "-i", "--name",
		"aegis-bench", "--network", "none", "bench", "/stamp", "127.0.0.1", NULL};
	probe_spawn(&c->probe, argv);
	c->running = true;
	char line[] = "call 1\n", answer[64];
	if (write(c->probe.to, line, strlen(line)) < 0 ||
		read(c->probe.from, answer, sizeof(answer)) <= 0)
		return "the docker engine starts no container here";
	pid_t pid = container_pid(c);
	if (pid <= 0)
		return "the container's process is not known";
	probe_pin(pid, false);
	return NULL;
}

void container_stop(struct container *c)
{
	if (c->running)
		probe_stop(&c->probe);
	docker_close(&c->docker);
	if (fd_remove_tree(AT_FDCWD, c->dir) < 0)
		fprintf(stderr, "bench kernel: %s is left behind\n", c->dir);
}
