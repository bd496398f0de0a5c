/* SPDX-License-Identifier: AGPL-3.0-only */
/* A node of the test's own: a network namespace that this process is in from then on, and one that
 * is the world outside, at 203.0.113.2 behind 203.0.113.1. */
#pragma once

#include "tests/shell.h"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

struct node {
	int own; /* namespaces */
	int outside;
	char name[32]; /* of the outside one, for ip(8) */
};

static inline int node_up(struct node *n)
{
	char command[1024], path[64];

	snprintf(n->name, sizeof(n->name), "aegis-out-%d", getpid());
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	n->own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	snprintf(command, sizeof(command),
		/* What a new namespace forwards, it inherits: this node forwards nothing. */
		"echo 0 >/proc/sys/net/ipv4/ip_forward && "
		"ip link set lo up && ip netns add %1$s && "
		"ip link add up0 type veth peer name out0 netns %1$s && "
		"ip addr add 203.0.113.1/24 dev up0 && ip link set up0 up && "
		"ip -n %1$s addr add 203.0.113.2/24 dev out0 && ip -n %1$s link set out0 up && "
		"ip -n %1$s link set lo up && ip -n %1$s route add 10.231.0.0/16 via 203.0.113.1",
		n->name);
	if (n->own < 0 || !test_shell(command))
		return -1;
	snprintf(path, sizeof(path), "/run/netns/%s", n->name);
	n->outside = open(path, O_RDONLY | O_CLOEXEC);
	return n->outside < 0 ? -1 : 0;
}

/* Takes the name away; the namespaces live as long as their descriptors. */
static inline int node_forget(struct node *n)
{
	char command[64];

	snprintf(command, sizeof(command), "ip netns del %s", n->name);
	return test_shell(command) ? 0 : -1;
}

static inline int node_down(struct node *n)
{
	int r = node_forget(n);
	close(n->outside);
	close(n->own);
	return r;
}
