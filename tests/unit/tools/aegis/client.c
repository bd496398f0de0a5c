/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The client against a server of a few lines: the two doors, the key, and what each answer means
 * for the exit code.
 */
#include "tests/tap.h"
#include "tools/aegis/client.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[] = "/tmp/aegis-client-XXXXXX";
static char config_path[64], socket_path[64];

/* One connection at a time: keeps the request, sends the answer, closes. */
static struct server {
	int fd;
	pthread_t thread;
	char request[8192];
	const char *answer;
} server;

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd = accept(s->fd, NULL, NULL);
	size_t n = 0;
	while (n < sizeof(s->request) - 1) {
		ssize_t got = read(fd, s->request + n, sizeof(s->request) - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
		s->request[n] = '\0';
		const char *end = strstr(s->request, "\r\n\r\n");
		const char *length = strstr(s->request, "Content-Length: ");
		size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
		if (end && n >= (size_t)(end + 4 - s->request) + body)
			break;
	}
	if (write(fd, s->answer, strlen(s->answer)) < 0)
		perror("write");
	close(fd);
	return NULL;
}

static void server_start(int fd, const char *answer)
{
	server.fd = fd;
	server.answer = answer;
	memset(server.request, 0, sizeof(server.request));
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, &server), 0);
}

static void server_stop(void)
{
	pthread_join(server.thread, NULL);
	close(server.fd);
}

static int unix_socket(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", socket_path);
	unlink(socket_path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static int tcp_socket(char *port, size_t size)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &length), 0);
	snprintf(port, size, "%d", ntohs(in.sin_port));
	return fd;
}

static int make_folder(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	char text[1024];
	snprintf(config_path, sizeof(config_path), "%s/c.yaml", folder);
	snprintf(socket_path, sizeof(socket_path), "%s/aegisd.sock", folder);
	snprintf(text, sizeof(text),
		"apiVersion: 100monkeys.ai/v1\nkind: NodeConfig\nmetadata: {name: n}\n"
		"spec: {node: {id: x, type: edge}, daemon: {data_directory: %s}}\n",
		folder);
	if (fd_replace_file(config_path, span_cstr(text), 0600) < 0)
		return -1;
	char key[160];
	snprintf(key, sizeof(key), "%s/api.key", folder);
	return fd_replace_file(key, SPAN("s3cr3t-key\n"), 0600);
}

static int remove_folder(void **state)
{
	return fd_remove_tree(-1, folder);
}

static struct client *open_client(const char *host, const char *port)
{
	const struct cli cli = {.config = config_path, .host = host, .port = port};
	struct client *c;
	assert_int_equal(client_open(&cli, &c), CLI_OK);
	return c;
}

static int call(struct client *c, const char *answer, const struct client_request *q,
	struct arena *a, const struct json **ret)
{
	server_start(unix_socket(), answer);
	int code = client_call(c, q, a, ret);
	server_stop();
	return code;
}

static const struct client_request get_agents = {.method = "GET", .path = "/v1/agents"};

static void the_socket_is_the_first_door(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct client *c = open_client(NULL, NULL);
	const struct json *v;
	int code = call(c, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"items\":[]}",
		&get_agents, a, &v);
	assert_int_equal(code, CLI_OK);
	assert_int_equal(json_get(v, "items")->count, 0);
	assert_memory_equal(server.request, "GET /v1/agents HTTP/1.1\r\n", 25);
	/* the kernel says who is there; the key stays at home */
	assert_null(strstr(server.request, "Authorization"));
	client_close(c);
}

static void the_network_wants_the_key(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	char port[16];
	const struct json *v;
	const struct client_request q = {.method = "POST",
		.path = "/v1/agents",
		.content_type = "application/yaml",
		.body = SPAN("kind: Agent\n")};
	int fd = tcp_socket(port, sizeof(port));
	struct client *c = open_client("127.0.0.1", port);
	server_start(fd, "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}");
	assert_int_equal(client_call(c, &q, a, &v), CLI_OK);
	server_stop();
	assert_non_null(strstr(server.request, "Authorization: Bearer s3cr3t-key\r\n"));
	assert_non_null(strstr(server.request, "Content-Type: application/yaml\r\n"));
	assert_non_null(strstr(server.request, "\r\n\r\nkind: Agent\n"));
	client_close(c);
}

static void answers_become_exit_codes(void **state)
{
	static const struct {
		const char *status;
		int want;
	} cases[] = {{"400 Bad Request", CLI_INVALID}, {"401 Unauthorized", CLI_DENIED},
		{"403 Forbidden", CLI_DENIED}, {"404 Not Found", CLI_NOT_FOUND},
		{"409 Conflict", CLI_CONFLICT}, {"422 Unprocessable Entity", CLI_INVALID},
		{"500 Internal Server Error", CLI_INTERNAL},
		{"503 Service Unavailable", CLI_UNREACHABLE}};
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct client *c = open_client(NULL, NULL);
	const struct json *v;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char answer[256];
		snprintf(answer, sizeof(answer),
			"HTTP/1.1 %s\r\nContent-Length: 15\r\n\r\n{\"error\":\"why\"}",
			cases[i].status);
		assert_int_equal(call(c, answer, &get_agents, a, &v), cases[i].want);
		assert_null(v);
	}
	assert_int_equal(call(c, "HTTP/1.1 204 No Content\r\n\r\n", &get_agents, a, &v), CLI_OK);
	assert_null(v);
	assert_int_equal(
		call(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<p>", &get_agents, a, &v),
		CLI_INTERNAL);
	client_close(c);
}

static void nobody_there(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct client *c = open_client(NULL, NULL);
	const struct json *v;
	unlink(socket_path);
	assert_int_equal(client_call(c, &get_agents, a, &v), CLI_UNREACHABLE);
	assert_int_equal(call(c, "", &get_agents, a, &v), CLI_UNREACHABLE);
	assert_int_equal(
		call(c, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", &get_agents, a, &v),
		CLI_UNREACHABLE);
	client_close(c);
}

static int take_data(void *ctx, struct span data)
{
	struct buf *b = ctx;
	buf_span(b, data);
	return span_find(buf_view(b), SPAN("last"), 0) >= 0;
}

static void streams_can_be_left(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	struct client *c = open_client(NULL, NULL);
	const struct json *v;
	const struct client_request q = {
		.method = "GET", .path = "/v1/x/stream", .on_data = take_data, .ctx = &b};
	assert_int_equal(
		call(c, "HTTP/1.1 200 OK\r\n\r\ndata: 1\n\ndata: last\n\n", &q, a, &v), CLI_OK);
	assert_non_null(strstr(buf_cstr(&b), "data: 1"));
	/* a refusal is no data */
	buf_reset(&b);
	assert_int_equal(
		call(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", &q, a, &v),
		CLI_NOT_FOUND);
	assert_int_equal(b.len, 0);
	client_close(c);
}

static void segments_are_encoded(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(256);
	client_put_segment(&b, "a/b c?\xc3\xa9.x~");
	assert_string_equal(buf_cstr(&b), "a%2Fb%20c%3F%C3%A9.x~");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_socket_is_the_first_door),
		cmocka_unit_test(the_network_wants_the_key),
		cmocka_unit_test(answers_become_exit_codes),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(streams_can_be_left),
		cmocka_unit_test(segments_are_encoded),
	};
	return cmocka_run_group_tests_name("cli", tests, make_folder, remove_folder);
}
