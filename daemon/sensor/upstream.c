/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Asking the node's resolvers: each question from a socket (and so a port) and with an id of its
 * own, so that nobody outside can guess what would be taken for its answer; over TCP if the answer
 * does not fit.
 */
#include "daemon/sensor/resolver_internal.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 2, ANSWER_MS = 1500, CONNECT_MS = 3000 };

static socklen_t address_bytes(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* One "nameserver ADDRESS" line. */
static bool parse_server(struct span line, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	char text[INET6_ADDRSTRLEN];

	if (!span_starts(line, SPAN("nameserver")) || line.n < 11 ||
		(line.p[10] != ' ' && line.p[10] != '\t'))
		return false;
	struct span value = span_trim(span_sub(line, 10, line.n));
	if (value.n >= sizeof(text))
		return false;
	memcpy(text, value.p, value.n);
	text[value.n] = '\0';
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(53);
		return true;
	}
	v6->sin6_port = htons(53);
	v6->sin6_family = AF_INET6;
	return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

int resolver_servers_parse(struct span resolv_conf, struct resolver_servers *ret)
{
	struct resolver_servers servers = {.count = 0};
	struct span line;
	bool done = false;

	while (span_split(&resolv_conf, '\n', &done, &line))
		if (servers.count < RESOLVER_SERVERS_MAX &&
			parse_server(span_trim(line), &servers.address[servers.count]))
			servers.count++;
	if (servers.count == 0)
		return err_raise(-ENOENT,
			"no \"nameserver ADDRESS\" line in resolv.conf: nothing can be resolved");
	*ret = servers;
	return 0;
}

static int ask_udp(const struct sockaddr_storage *server, const struct dns_query *q,
	struct dns_answer *ret, int64_t deadline_ns)
{
	struct buf b CLEANUP(buf_fini) = buf_init(DNS_UDP_BYTES);
	char message[DNS_UDP_BYTES];
	AUTO_FD fd = socket(server->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(-errno, "socket to a resolver");
	dns_query_write(&b, q);
	int r = rt_connect(fd, (const struct sockaddr *)server, address_bytes(server), deadline_ns);
	ssize_t n = r < 0 ? r : rt_send(fd, b.data, b.len, 0, deadline_ns);
	while (n >= 0) {
		n = rt_recv(fd, message, sizeof(message), 0, deadline_ns);
		if (n < 0)
			break;
		r = dns_answer_parse(span_of(message, (size_t)n), q, ret);
		if (r != -EAGAIN)
			return err_trace(r);
		err_clear(); /* somebody else's, or forged: wait on */
	}
	return (int)n;
}

static int receive_all(int fd, void *p, size_t n, int64_t deadline_ns)
{
	for (size_t have = 0; have < n;) {
		ssize_t r = rt_recv(fd, (char *)p + have, n - have, 0, deadline_ns);
		if (r <= 0)
			return r < 0 ? (int)r : -ECONNRESET;
		have += (size_t)r;
	}
	return 0;
}

int resolver_receive(int fd, char **ret, size_t *ret_n, size_t max, int64_t deadline_ns)
{
	uint8_t head[2];
	int r = receive_all(fd, head, sizeof(head), deadline_ns);

	if (r < 0)
		return r;
	size_t n = (size_t)head[0] << 8 | head[1];
	if (n == 0 || n > max)
		return err_raise(
			-E2BIG, "a DNS message of %zu bytes; at most %zu are accepted", n, max);
	char *message = malloc(n);
	if (!message)
		return err_raise(-ENOMEM, "no memory for a DNS message");
	r = receive_all(fd, message, n, deadline_ns);
	if (r < 0) {
		free(message);
		return r;
	}
	*ret = message;
	*ret_n = n;
	return 0;
}

int resolver_send(int fd, struct span message, int64_t deadline_ns)
{
	struct buf b CLEANUP(buf_fini) = buf_init(message.n + 2);

	buf_u16be(&b, (uint16_t)message.n);
	buf_span(&b, message);
	int r = buf_error(&b);
	return r < 0 ? err_raise(r, "no memory for a DNS message")
		     : rt_send_all(fd, b.data, b.len, deadline_ns);
}

static int ask_tcp(const struct sockaddr_storage *server, const struct dns_query *q,
	struct dns_answer *ret, int64_t deadline_ns)
{
	struct buf b CLEANUP(buf_fini) = buf_init(DNS_UDP_BYTES);
	AUTO_FD fd = socket(server->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *message = NULL;
	size_t n;

	if (fd < 0)
		return err_sys(-errno, "socket to a resolver");
	dns_query_write(&b, q);
	int r = rt_connect(fd, (const struct sockaddr *)server, address_bytes(server), deadline_ns);
	if (r == 0)
		r = resolver_send(fd, buf_view(&b), deadline_ns);
	if (r == 0)
		r = resolver_receive(fd, &message, &n, DNS_MESSAGE_BYTES, deadline_ns);
	if (r == 0)
		r = dns_answer_parse(span_of(message, n), q, ret);
	free(message);
	return r;
}

static int ask_one(
	const struct sockaddr_storage *server, struct dns_query *q, struct dns_answer *ret)
{
	rt_random(&q->id, sizeof(q->id));
	int r = ask_udp(server, q, ret, deadline_in_ms(ANSWER_MS));
	if (r == 0 && ret->truncated) {
		rt_random(&q->id, sizeof(q->id));
		r = ask_tcp(server, q, ret, deadline_in_ms(CONNECT_MS));
	}
	return r;
}

int resolver_ask(
	const struct resolver_servers *servers, const struct dns_query *q, struct dns_answer *ret)
{
	struct dns_query ours = *q;
	int r = -ETIME;

	for (size_t i = 0; i < ROUNDS * servers->count; i++) {
		r = ask_one(&servers->address[i % servers->count], &ours, ret);
		if (r == -ECANCELED)
			return r;
		err_clear();
		/* Who fails to answer may be replaced by who does not; "no such name" is an answer.
		 */
		if (r == 0 && (ret->rcode == DNS_NOERROR || ret->rcode == DNS_NXDOMAIN))
			return 0;
	}
	return r < 0 ? err_raise(-ETIME, "no resolver of the node answered") : 0;
}
