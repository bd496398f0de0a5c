/* SPDX-License-Identifier: AGPL-3.0-only */
/* Transport namespaces and the tombstone, which need no NFS client: who is behind them is a plain
 * program here. */
#include "daemon/helper/transport.h"
#include "tests/tap.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct host host;

static int set_up(void **state)
{
	snprintf(host.transports_path, sizeof(host.transports_path), "/tmp/aegis-transport-XXXXXX");
	/* Pins are mounts: in a mount namespace of the test's own, none can be left. */
	if (!mkdtemp(host.transports_path) || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	return netpool_init(&host.net, 1);
}

static int tear_down(void **state)
{
	netpool_fini(&host.net);
	return rmdir(host.transports_path);
}

/* A connection to the listener from within the namespace; -errno. */
static int connect_inside(const struct transport *t)
{
	const struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons(TRANSPORT_PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(setns(t->netns, CLONE_NEWNET), 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : fd;
	assert_int_equal(setns(host.net.own, CLONE_NEWNET), 0);
	if (r < 0)
		close(fd);
	return r;
}

static bool nothing_known(void *arg, const char *name)
{
	return strcmp(name, "kept") == 0;
}

static void test_pins(void **state)
{
	struct transport t, again, other;
	char path[200];
	assert_int_equal(transport_make(&host, "one", &t), 0);
	assert_int_equal(transport_find(&host, "two", &again), -ENOENT);
	assert_int_equal(transport_find(&host, "one", &again), 0);
	assert_int_equal(again.listener, -1);
	/* While anybody holds the listener there is no second one; afterwards there is. */
	assert_int_equal(transport_listen(&host, &again), -EBUSY);
	transport_close(&t);
	assert_int_equal(transport_listen(&host, &again), 0);
	int fd = connect_inside(&again);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(transport_make(&host, "kept", &other), 0);
	transport_close(&again);
	transport_sweep(&host, nothing_known, NULL);
	assert_int_equal(transport_find(&host, "one", &again), -ENOENT);
	assert_int_equal(transport_find(&host, "kept", &again), 0);
	transport_close(&again);
	transport_remove(&host, "kept", &other);
	/* A file that is no pin, as after a crash of the machine. */
	snprintf(path, sizeof(path), "%s/stale", host.transports_path);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0400));
	assert_int_equal(transport_find(&host, "stale", &again), -ENOENT);
	transport_sweep(&host, nothing_known, NULL);
	err_clear();
}

static void read_whole(int fd, uint32_t *words, size_t count)
{
	assert_int_equal(recv(fd, words, count * 4, MSG_WAITALL), (ssize_t)count * 4);
}

/* Sends a record in pieces of that size, and reads the answer to it. */
static void ask(int fd, const uint8_t *record, size_t n, size_t piece, uint32_t xid)
{
	uint32_t words[12];
	for (size_t at = 0; at < n; at += piece) {
		size_t part = MIN(piece, n - at);
		assert_int_equal(send(fd, record + at, part, MSG_NOSIGNAL), (ssize_t)part);
	}
	read_whole(fd, words, ARRAY_LEN(words));
	assert_int_equal(ntohl(words[0]), 0x80000000U | (sizeof(words) - 4));
	assert_int_equal(ntohl(words[1]), xid);
	assert_int_equal(ntohl(words[2]), 1); /* a reply, accepted, successful */
	for (int i = 3; i < 7; i++)
		assert_int_equal(words[i], 0);
	assert_int_equal(ntohl(words[7]), 70); /* NFS3ERR_STALE */
}

static size_t put_fragment(uint8_t *at, uint32_t bytes, bool last)
{
	uint32_t mark = htonl(bytes | (last ? 0x80000000U : 0));
	memcpy(at, &mark, 4);
	memset(at + 4, 0xa5, bytes);
	return bytes + 4;
}

static void test_tombstone(void **state)
{
	static uint8_t record[100000];
	struct transport t;
	int pidfd;
	assert_int_equal(transport_make(&host, "dead", &t), 0);
	assert_int_equal(files_tombstone_start(&t, &pidfd), 0);
	int fd = connect_inside(&t);
	assert_true(fd >= 0);
	for (size_t piece = 1; piece < 200; piece += 7) {
		size_t n = put_fragment(record, 120, true);
		memcpy(record + 4, "\0\0\0\7", 4);
		ask(fd, record, n, piece, 7);
	}
	/* A long one, and one of several fragments. */
	size_t n = put_fragment(record, 90000, true);
	memcpy(record + 4, "\0\0\1\0", 4);
	ask(fd, record, n, 4096, 256);
	n = put_fragment(record, 40, false);
	n += put_fragment(record + n, 0, false);
	n += put_fragment(record + n, 33, true);
	memcpy(record + 4, "\0\0\0\x9", 4);
	for (size_t piece = 1; piece < n; piece++)
		ask(fd, record, n, piece, 9);
	/* What is no call ends its connection, and no other. */
	int bad = connect_inside(&t);
	n = put_fragment(record, 2, true);
	assert_int_equal(send(bad, record, n + 2, MSG_NOSIGNAL), (ssize_t)n + 2);
	assert_true(recv(bad, record, 1, 0) <= 0);
	close(bad);
	n = put_fragment(record, 4, true);
	memcpy(record + 4, "\0\0\0\x9", 4);
	ask(fd, record, n, n, 9);
	close(fd);
	assert_false(files_child_ended(&pidfd, 0));
	files_child_kill(&pidfd);
	assert_int_equal(pidfd, -1);
	transport_remove(&host, "dead", &t);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

static void test_flush(void **state)
{
	int pidfd;
	int tree = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(files_flush_start(&tree, 1, &pidfd), 0);
	assert_int_equal(tree, -1);
	assert_true(files_child_ended(&pidfd, -1));
	assert_int_equal(pidfd, -1);
}

static void test_nobody_serves(void **state)
{
	struct transport t;
	int pair[2], tree = -1;
	const struct files_export e = {"local", uuid_new(), false};
	assert_int_equal(transport_make(&host, "deaf", &t), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	close(pair[1]); /* the one who was to serve is gone */
	int r = files_mount(&t, &e, pair[0], &tree);
	/* Without an NFS client the child may be faster. */
	assert_true(r == -ENOTCONN || r == -EOPNOTSUPP);
	assert_int_equal(tree, -1);
	close(pair[0]);
	transport_remove(&host, "deaf", &t);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	err_clear();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_tombstone),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_nobody_serves),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
