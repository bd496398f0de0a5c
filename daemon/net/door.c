/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Doors: the sockets that people come in by, and what a request must show there. Whatever is not
 * clearly allowed is refused; each refusal says what would be let in.
 */
#include "daemon/net/door.h"
#include "daemon/net/http_char.h"
#include "daemon/net/url.h"
#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { BACKLOG = 1024 };

/* ---- TCP ---- */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static int parse_address(const char *text, uint16_t port, union address *ret)
{
	*ret = (union address){0};
	if (strcmp(text, "localhost") == 0)
		text = "127.0.0.1";
	if (inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &ret->v6.sin6_addr) == 1) {
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons(port);
		return 0;
	}
	return -EINVAL;
}

static bool address_is_loopback(const union address *a)
{
	if (a->any.sa_family == AF_INET)
		return ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

static socklen_t address_bytes(const union address *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

static int listen_at(const struct door_tcp *o, const union address *a, int *ret_fd)
{
	AUTO_FD fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return err_sys(-errno, "a socket to listen at %s:%u", o->address, o->port);
	/* An IPv6 wildcard must not take IPv4 in by a door that nobody named. */
	if (a->any.sa_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return err_sys(-errno, "a socket to listen at %s:%u", o->address, o->port);
	if (bind(fd, &a->any, address_bytes(a)) < 0 || listen(fd, BACKLOG) < 0)
		return err_sys(-errno, "listening at %s:%u", o->address, o->port);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int door_listen_tcp(const struct door_tcp *o, int *ret_fd, uint16_t *ret_port)
{
	union address a;
	socklen_t n = sizeof(a);
	int fd = -1, r;

	if (parse_address(o->address, o->port, &a) < 0)
		return err_raise(-EINVAL,
			"listen address \"%s\": an IPv4 or IPv6 address or localhost is accepted",
			o->address);
	if (!address_is_loopback(&a) && !o->has_tls && !o->allow_insecure)
		return err_raise(-EACCES,
			"listening at %s:%u is refused: it is not a loopback address and there is "
			"no "
			"TLS. Configure a certificate and key, or listen at 127.0.0.1 or ::1, or "
			"allow "
			"insecure listening by its own setting",
			o->address, o->port);
	r = listen_at(o, &a, &fd);
	if (r < 0)
		return err_trace(r);
	if (getsockname(fd, &a.any, &n) < 0) {
		r = err_sys(-errno, "listening at %s:%u", o->address, o->port);
		close(fd);
		return r;
	}
	if (ret_port)
		*ret_port = ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
	*ret_fd = fd;
	return 0;
}

/* ---- Unix ---- */

static bool somebody_answers(const struct sockaddr_un *a)
{
	AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* A full backlog (EAGAIN) is somebody too; so is whatever cannot be told. */
	return fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 ||
		errno != ECONNREFUSED;
}

static int make_room(const char *path, const struct sockaddr_un *a)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(-errno, "listening at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_raise(
			-EEXIST, "listening at %s: something that is no socket is there", path);
	if (somebody_answers(a))
		return err_raise(
			-EADDRINUSE, "listening at %s: another process answers there", path);
	if (unlink(path) < 0)
		return err_sys(-errno, "removing the dead socket %s", path);
	return 0;
}

int door_listen_unix(const char *path, mode_t mode, int *ret_fd)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	AUTO_FD fd = -1;
	int r;

	if (strlen(path) >= sizeof(a.sun_path))
		return err_raise(-ENAMETOOLONG, "listening at %s: at most %zu bytes are accepted",
			path, sizeof(a.sun_path) - 1);
	strcpy(a.sun_path, path);
	r = make_room(path, &a);
	if (r < 0)
		return err_trace(r);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(-errno, "a socket to listen at %s", path);
	/* Linux makes the file with the mode of the socket: nobody gets in before the last line. */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(-errno, "listening at %s", path);
	if (chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0)
		return err_sys(-errno, "listening at %s", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* ---- Host and Origin ---- */

/* "host" accepts any port, "host:port" that port. */
static bool authority_matches(struct span host, int port, int default_port, const char *accepted)
{
	struct span accepted_host;
	int accepted_port;

	if (url_split_authority(span_cstr(accepted), &accepted_host, &accepted_port) < 0)
		return false;
	if (!span_eq_nocase(host, accepted_host))
		return false;
	return accepted_port < 0 || accepted_port == (port < 0 ? default_port : port);
}

static bool authority_accepted(
	struct span authority, int default_port, const char *const *accepted, int count)
{
	struct span host;
	int port;

	if (url_split_authority(authority, &host, &port) < 0)
		return false;
	for (int i = 0; i < count; i++) {
		if (authority_matches(host, port, default_port, accepted[i]))
			return true;
	}
	return false;
}

int door_check_origin(const struct http_head *h, const char *const *accepted, int count)
{
	struct span origin;
	int default_port = 80;
	int r;

	if (!authority_accepted(h->authority, default_port, accepted, count))
		return err_raise(-EACCES, "Host \"" SPAN_FMT "\" is not a name of this server",
			SPAN_ARG(h->authority));
	r = http_header_once(h, "Origin", &origin);
	if (r < 0)
		return err_raise(-EACCES, "Origin stands twice");
	if (r == HTTP_ABSENT)
		return 0;
	if (span_starts(origin, SPAN("http://"))) {
		origin = span_sub(origin, 7, origin.n);
	} else if (span_starts(origin, SPAN("https://"))) {
		origin = span_sub(origin, 8, origin.n);
		default_port = 443;
	} else {
		origin.n = 0;
	}
	if (!authority_accepted(origin, default_port, accepted, count))
		return err_raise(-EACCES, "pages of another origin may not send requests here");
	return 0;
}

/* ---- bearer tokens ---- */

int door_bearer(const struct http_head *h, struct span *ret_token)
{
	struct span value, token;
	size_t end;
	int r = http_header_once(h, "Authorization", &value);

	if (r == HTTP_ABSENT)
		return DOOR_NO_TOKEN;
	if (r < 0)
		return err_trace(r);
	if (!span_eq_nocase(span_sub(value, 0, 7), SPAN("Bearer ")))
		return err_raise(-EBADMSG, "Authorization: only \"Bearer <token>\" is accepted");
	token = span_trim(span_sub(value, 7, value.n));
	end = token.n;
	while (end && token.p[end - 1] == '=')
		end--;
	if (end == 0 || !chars_are(span_sub(token, 0, end), CHAR_B64TOKEN))
		return err_raise(-EBADMSG,
			"Authorization: the bearer token is empty or has a byte that may not stand "
			"in it");
	*ret_token = token;
	return 0;
}

int door_check_bearer(const struct http_head *h, const struct secret *key)
{
	struct span token;
	int r = door_bearer(h, &token);

	if (r == DOOR_NO_TOKEN)
		return err_raise(-EACCES, "a key is needed: send \"Authorization: Bearer <key>\"");
	if (r < 0)
		return err_raise(-EACCES,
			"a key is needed: send one \"Authorization: Bearer <key>\" header");
	if (!secret_eq(key, token))
		return err_raise(-EACCES, "this key does not open this door");
	return 0;
}
