/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From a name to a connection: look the name up, try its addresses one after the other, shake hands
 * if it is TLS. Literal addresses and localhost need no lookup and so no thread.
 */
#include "daemon/net/link.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>

enum {
	ADDRESSES_MAX = 8,
	ATTEMPT_MS = 5000, /* for each address but the last */
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct lookup {
	const char *host;
	uint16_t port;
	int count;
	int gai_error;
	union address addresses[ADDRESSES_MAX];
};

static socklen_t address_bytes(const union address *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

static bool add_literal(struct lookup *l, const char *text)
{
	union address a = {0};

	if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1) {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons(l->port);
	} else if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) == 1) {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons(l->port);
	} else {
		return false;
	}
	l->addresses[l->count++] = a;
	return true;
}

/* On a thread of the resolver's. */
static int lookup_blocking(void *arg)
{
	struct lookup *l = arg;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *found = NULL;
	char port[8];

	snprintf(port, sizeof(port), "%u", l->port);
	l->gai_error = getaddrinfo(l->host, port, &hints, &found);
	if (l->gai_error)
		return 0;
	for (struct addrinfo *i = found; i && l->count < ADDRESSES_MAX; i = i->ai_next) {
		bool ours = i->ai_family == AF_INET || i->ai_family == AF_INET6;
		if (ours && i->ai_addrlen <= sizeof(union address))
			memcpy(&l->addresses[l->count++], i->ai_addr, i->ai_addrlen);
	}
	freeaddrinfo(found);
	return 0;
}

static int resolve(struct http_client *c, struct lookup *l, int64_t deadline_ns)
{
	int r;

	if (add_literal(l, l->host))
		return 0;
	/* RFC 6761 section 6.3: it means this machine, whatever a resolver says. */
	if (strcasecmp(l->host, "localhost") == 0) {
		add_literal(l, "127.0.0.1");
		add_literal(l, "::1");
		return 0;
	}
	r = offload_call(c->resolver, lookup_blocking, l, deadline_ns);
	if (r < 0)
		return r == -EAGAIN ? err_raise(r, "too many lookups at once") : r;
	if (l->gai_error)
		return err_raise(-EHOSTUNREACH, "%s", gai_strerror(l->gai_error));
	if (l->count == 0)
		return err_raise(-EHOSTUNREACH, "the name has no address");
	return 0;
}

static int connect_one(
	const struct sockaddr *a, socklen_t bytes, int64_t deadline_ns, struct stream **ret)
{
	AUTO_FD fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1, r;

	if (fd < 0)
		return -errno;
	if (a->sa_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	r = rt_connect(fd, a, bytes, deadline_ns);
	return r < 0 ? r : stream_start(TAKE_FD(fd), ret);
}

static int connect_tcp(
	struct http_client *c, const struct target *t, int64_t deadline_ns, struct stream **ret)
{
	struct lookup l = {.host = t->host, .port = t->url.port};
	int r = resolve(c, &l, deadline_ns);

	if (r < 0)
		return err_wrap(r, "looking up the name");
	for (int i = 0; i < l.count; i++) {
		bool last = i + 1 == l.count;
		int64_t until = last ? deadline_ns
				     : deadline_earlier(deadline_ns, deadline_in_ms(ATTEMPT_MS));

		r = connect_one(&l.addresses[i].any, address_bytes(&l.addresses[i]), until, ret);
		if (r == 0 || r == -ECANCELED)
			break;
	}
	return r < 0 ? err_wrap(r, "connecting") : 0;
}

static int connect_unix(const char *path, int64_t deadline_ns, struct stream **ret)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int r;

	if (strlen(path) >= sizeof(a.sun_path))
		return err_raise(-ENAMETOOLONG, "connecting: at most %zu bytes are accepted",
			sizeof(a.sun_path) - 1);
	strcpy(a.sun_path, path);
	r = connect_one((struct sockaddr *)&a, sizeof(a), deadline_ns, ret);
	return r < 0 ? err_wrap(r, "connecting") : 0;
}

static int connect_dialled(const struct http_dial *d, int64_t deadline_ns, struct stream **ret)
{
	int fd = d->connect(d->ctx, deadline_ns);

	return fd < 0 ? err_wrap(fd, "connecting") : err_trace(stream_start(fd, ret));
}

int link_connect(
	struct http_client *c, const struct target *t, int64_t deadline_ns, struct transport *ret)
{
	struct transport made = {0};
	union address unused;
	bool is_address;
	int r;

	if (t->url.is_https && !c->tls)
		return err_raise(-EINVAL, "https is not available: no TLS is configured");
	if (t->dial)
		r = connect_dialled(t->dial, deadline_ns, &made.stream);
	else if (t->unix_path)
		r = connect_unix(t->unix_path, deadline_ns, &made.stream);
	else
		r = connect_tcp(c, t, deadline_ns, &made.stream);
	if (r < 0)
		return err_trace(r);
	if (t->url.is_https) {
		is_address = inet_pton(AF_INET, t->host, &unused) == 1 ||
			inet_pton(AF_INET6, t->host, &unused) == 1;
		r = tls_session_connect(
			c->tls, made.stream, t->host, is_address, deadline_ns, &made.tls);
	}
	if (r < 0) {
		transport_stop(&made);
		return err_wrap(r, "securing the connection");
	}
	*ret = made;
	return 0;
}
