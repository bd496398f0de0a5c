/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The program that is measured, the same one everywhere: plain, in a sandbox's cgroup, confined, in
 * a container. Reads "OPERATION COUNT" a line and answers with the nanoseconds that it took in all,
 * or "-" if the operation is refused here.
 *
 * usage: probe ADDRESS [RECEIVER SENDER]: descriptors of datagram sockets that were made outside,
 * RECEIVER bound to the address, SENDER sends to what connects to it; without them it makes its
 * own. With no argument it does nothing, and is what is executed.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAYLOAD_BYTES = 64 };

static struct sockaddr_in there;
static int out = -1, receiver = -1, sender = -1, in = -1;

static bool do_call(void)
{
	return syscall(SYS_getppid) >= 0;
}

static bool do_connect(void)
{
	return connect(out, (struct sockaddr *)&there, sizeof(there)) == 0;
}

/* One packet; what is sent has been received. */
static bool through(int from, int to)
{
	static char data[PAYLOAD_BYTES];
	return send(from, data, sizeof(data), 0) == sizeof(data) &&
		recv(to, data, sizeof(data), 0) == sizeof(data);
}

static bool do_packet_out(void)
{
	return through(out, receiver);
}

static bool do_packet_in(void)
{
	return through(sender, in);
}

static bool do_open(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && close(fd) == 0;
}

static bool do_exec(void)
{
	int status;
	pid_t pid = vfork();
	if (pid == 0) {
		execl("/proc/self/exe", "probe", (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static const struct {
	const char *name;
	bool (*once)(void);
} operations[] = {
	{"call", do_call},
	{"connect", do_connect},
	{"packet_out", do_packet_out},
	{"packet_in", do_packet_in},
	{"open", do_open},
	{"exec", do_exec},
};

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void measure(const char *name, long count)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		if (strcmp(operations[i].name, name) != 0)
			continue;
		bool good = operations[i].once(); /* warm */
		int64_t start = now_ns();
		for (long k = 0; good && k < count; k++)
			good = operations[i].once();
		int64_t took = now_ns() - start;
		if (good) {
			printf("%lld\n", (long long)took);
			return;
		}
	}
	printf("-\n");
}

static struct sockaddr_in own_address(int fd)
{
	struct sockaddr_in own = there;
	socklen_t n = sizeof(own);
	getsockname(fd, (struct sockaddr *)&own, &n);
	own.sin_addr = there.sin_addr;
	return own;
}

static int receive_here(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	(void)!bind(fd, (struct sockaddr *)&there, sizeof(there));
	return fd;
}

/* Of this program's own; those that were handed over belong to who started it. */
static void open_sockets(char **argv)
{
	const struct timeval patience = {.tv_sec = 2};
	struct sockaddr_in own;
	char byte;

	receiver = argv[2] ? atoi(argv[2]) : receive_here();
	sender = argv[2] ? atoi(argv[3]) : socket(AF_INET, SOCK_DGRAM, 0);
	there = own_address(receiver);
	out = socket(AF_INET, SOCK_DGRAM, 0);
	(void)!connect(out, (struct sockaddr *)&there, sizeof(there));
	in = socket(AF_INET, SOCK_DGRAM, 0);
	/* Sent once, so that it has a port of its own. */
	(void)!sendto(in, "", 1, 0, (struct sockaddr *)&there, sizeof(there));
	(void)!recv(receiver, &byte, 1, MSG_DONTWAIT);
	own = own_address(in);
	(void)!connect(sender, (struct sockaddr *)&own, sizeof(own));
	setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(in, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

int main(int argc, char **argv)
{
	char line[64], name[32];
	long count;

	if (argc < 2)
		return 0;
	there = (struct sockaddr_in){.sin_family = AF_INET};
	if (inet_pton(AF_INET, argv[1], &there.sin_addr) != 1)
		return 2;
	open_sockets(argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin))
		if (sscanf(line, "%31s %ld", name, &count) == 2)
			measure(name, count);
	return 0;
}
