/* SPDX-License-Identifier: AGPL-3.0-only */
/* The doors of the API (decisions, [7]): a Unix socket for the CLI, TCP for everybody else. */
#include "daemon/aegisd/aegisd.h"
#include "daemon/aegisd/privilege.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Strangers who hold all of the TCP door's connections must not shut the operator's door, nor take
 * the large stacks (512 of a worker) that executions run on: each connection has one. */
enum { TCP_CONNECTIONS = 320, UNIX_CONNECTIONS = 64 };

static int socket_group(const char *path, const char *name)
{
	gid_t gid;
	int r = privilege_group(name, &gid);
	if (r < 0)
		return err_wrap(r, "spec.daemon.socket_group");
	if (chown(path, (uid_t)-1, gid) < 0)
		return err_sys(
			-errno, "give '%s' to the group %s (aegisd must be a member)", path, name);
	return 0;
}

static int unix_open(struct doors *s, const struct aegisd *d)
{
	const char *group = d->config->daemon.socket_group;
	int fd;

	s->unix_path = d->socket_path ? strdup(d->socket_path) : config_socket_path(d->config);
	if (!s->unix_path)
		return err_raise(-ENOMEM, "doors: out of memory");
	int r = door_listen_unix(s->unix_path, 0660, &fd);
	if (r == 0 && group) {
		r = socket_group(s->unix_path, group);
		if (r < 0)
			close(fd);
	}
	if (r < 0)
		return err_trace(r);
	s->unix_door = (struct api_door){.kind = API_DOOR_UNIX};
	return err_trace(http_server_listen(
		s->server, fd, &(struct http_listen){.tag = &s->unix_door}, NULL));
}

static void authority_add(struct doors *s, const char *host, uint16_t port)
{
	int n = s->tcp_door.authority_count;
	if (n == DOOR_AUTHORITIES)
		return;
	snprintf(s->authority_texts[n], sizeof(s->authority_texts[n]),
		strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
	s->authorities[n] = s->authority_texts[n];
	s->tcp_door.authority_count = n + 1;
}

/* The names under which this door may be called: its address, the loopback names if it is on
 * loopback or on all addresses, and the host of the advertised endpoint. */
static int authorities_open(struct doors *s, const struct config_network *n, uint16_t port)
{
	bool any = strcmp(n->bind_address, "0.0.0.0") == 0 || strcmp(n->bind_address, "::") == 0;
	struct url url;
	char host[256];

	s->tcp_door.authorities = s->authorities;
	if (!any)
		authority_add(s, n->bind_address, port);
	if (any || config_is_loopback(n->bind_address)) {
		authority_add(s, "localhost", port);
		authority_add(s, "127.0.0.1", port);
		authority_add(s, "::1", port);
	}
	if (!n->orchestrator_endpoint)
		return 0;
	int r = url_parse(span_cstr(n->orchestrator_endpoint), &url);
	if (r < 0)
		return err_wrap(r, "spec.network.orchestrator_endpoint");
	snprintf(host, sizeof(host), SPAN_FMT, SPAN_ARG(url.host));
	authority_add(s, host, url.port);
	return 0;
}

static int tls_open(struct doors *s, const struct config_tls *t)
{
	if (!t || !t->enabled)
		return 0;
	return err_trace(tls_server_new(
		&(struct tls_server_options){
			.certificate_file = t->cert_path,
			.key_file = t->key_path,
			.client_ca_file = t->ca_path,
			.client_certificate_required = t->ca_path != NULL,
		},
		&s->tls));
}

static int tcp_open(struct doors *s, const struct aegisd *d)
{
	const struct config_network *n = &d->config->network;
	uint16_t port = 0;
	int fd, r = tls_open(s, n->tls);

	if (r == 0)
		r = door_listen_tcp(
			&(struct door_tcp){
				.address = n->bind_address,
				.port = (uint16_t)n->port,
				.has_tls = s->tls != NULL,
				.allow_insecure = n->allow_insecure_bind,
			},
			&fd, &port);
	if (r < 0)
		return err_trace(r);
	s->tcp_door = (struct api_door){.kind = API_DOOR_TCP, .open = d->no_auth};
	r = authorities_open(s, n, port);
	if (r < 0) {
		close(fd);
		return err_trace(r);
	}
	log_info("listening on %s port %u%s%s", n->bind_address, port, s->tls ? " with TLS" : "",
		d->no_auth ? ", WITHOUT A KEY (--no-auth)" : "");
	return err_trace(http_server_listen(s->server, fd,
		&(struct http_listen){
			.tls = s->tls, .tag = &s->tcp_door, .max_connections = TCP_CONNECTIONS},
		NULL));
}

int doors_open(struct doors *s, const struct aegisd *d, struct api *api)
{
	*s = (struct doors){0};
	int r = http_server_start(
		&(struct http_server_options){
			.handler = api_handle,
			.beside = api_beside,
			.ctx = api,
			.stack = FIBER_LARGE,
			.write_error = api_write_error,
			.max_connections = TCP_CONNECTIONS + UNIX_CONNECTIONS,
		},
		&s->server);
	if (r == 0)
		r = unix_open(s, d);
	if (r == 0 && d->config->daemon.tcp)
		r = tcp_open(s, d);
	return err_trace(r);
}

void doors_close(struct doors *s, int64_t deadline_ns)
{
	http_server_stop(s->server, deadline_ns);
	tls_server_unref(s->tls);
	if (s->unix_path)
		(void)unlink(s->unix_path);
	free(s->unix_path);
	*s = (struct doors){0};
}
