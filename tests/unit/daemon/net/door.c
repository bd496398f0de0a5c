/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/net/net.h"
#include "tests/tap.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/stat.h>

static struct http_head head;

static void request(const char *headers)
{
	static char text[1024];
	struct http_fault fault = {0};

	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", headers);
	if (http_parse_request(span_cstr(text), &head, &fault) != 0)
		fail_msg("%s: %s", headers, fault.reason);
}

static const char *const names[] = {"localhost:8088", "[::1]:8088", "aegis.example", "plain:80"};

static int check(const char *headers)
{
	int r;

	request(headers);
	r = door_check_origin(&head, names, ARRAY_LEN(names));
	err_clear();
	return r;
}

static void hosts_that_are_ours(void **state)
{
	assert_int_equal(check("Host: localhost:8088\r\n"), 0);
	assert_int_equal(check("Host: LOCALHOST:8088\r\n"), 0);
	assert_int_equal(check("Host: [::1]:8088\r\n"), 0);
	assert_int_equal(check("Host: aegis.example\r\n"), 0);
	assert_int_equal(check("Host: aegis.example:9999\r\n"), 0);
	assert_int_equal(check("Host: plain\r\n"), 0);
}

static void hosts_that_are_not(void **state)
{
	assert_int_equal(check("Host:\r\n"), -EACCES);
	assert_int_equal(check("Host: localhost\r\n"), -EACCES);
	assert_int_equal(check("Host: localhost:8089\r\n"), -EACCES);
	assert_int_equal(check("Host: evil.example\r\n"), -EACCES);
	assert_int_equal(check("Host: aegis.example.evil\r\n"), -EACCES);
	assert_int_equal(check("Host: 127.0.0.1:8088\r\n"), -EACCES);
	assert_int_equal(check("Host: xaegis.example\r\n"), -EACCES);
}

static void origins(void **state)
{
	assert_int_equal(check("Host: aegis.example\r\nOrigin: http://localhost:8088\r\n"), 0);
	assert_int_equal(check("Host: aegis.example\r\nOrigin: https://aegis.example\r\n"), 0);
	assert_int_equal(check("Host: aegis.example\r\nOrigin: http://plain\r\n"), 0);
	assert_int_equal(check("Host: aegis.example\r\nOrigin: https://plain\r\n"), -EACCES);
	assert_int_equal(check("Host: aegis.example\r\nOrigin: null\r\n"), -EACCES);
	assert_int_equal(check("Host: aegis.example\r\nOrigin:\r\n"), -EACCES);
	assert_int_equal(check("Host: aegis.example\r\nOrigin: http://evil.example\r\n"), -EACCES);
	assert_int_equal(check("Host: aegis.example\r\nOrigin: ftp://aegis.example\r\n"), -EACCES);
	assert_int_equal(
		check("Host: aegis.example\r\nOrigin: http://aegis.example/x\r\n"), -EACCES);
	assert_int_equal(check("Host: aegis.example\r\nOrigin: http://aegis.example\r\n"
			       "Origin: http://evil.example\r\n"),
		-EACCES);
}

static void bearer_tokens(void **state)
{
	struct span token = {0};

	request("Host: a\r\n");
	assert_int_equal(door_bearer(&head, &token), DOOR_NO_TOKEN);
	request("Host: a\r\nAuthorization: Bearer abc.DEF-_~+/==\r\n");
	assert_int_equal(door_bearer(&head, &token), 0);
	assert_true(span_is(token, "abc.DEF-_~+/=="));
	request("Host: a\r\nAuthorization: bearer   x\r\n");
	assert_int_equal(door_bearer(&head, &token), 0);
	assert_true(span_is(token, "x"));

	static const char *const bad[] = {"Basic abc", "Bearer", "Bearer ",
		"Bearer =", "Bearer a b", "Bearer a=b", "Bearer a,b", "Bearer \xc3\xa9",
		"Bearerabc", "Bearer a\r\nAuthorization: Bearer a"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char headers[256];
		snprintf(headers, sizeof(headers), "Host: a\r\nAuthorization: %s\r\n", bad[i]);
		request(headers);
		if (door_bearer(&head, &token) != -EBADMSG)
			fail_msg("accepted: %s", bad[i]);
	}
	err_clear();
}

static void keys_open_or_do_not(void **state)
{
	struct secret *key = secret_new(SPAN("k3y-of-the-house"));

	request("Host: a\r\nAuthorization: Bearer k3y-of-the-house\r\n");
	assert_int_equal(door_check_bearer(&head, key), 0);
	request("Host: a\r\nAuthorization: Bearer k3y-of-the-hous3\r\n");
	assert_int_equal(door_check_bearer(&head, key), -EACCES);
	assert_null(strstr(err_message(-EACCES), "k3y"));
	request("Host: a\r\nAuthorization: Bearer k3y-of-the-house-2\r\n");
	assert_int_equal(door_check_bearer(&head, key), -EACCES);
	request("Host: a\r\n");
	assert_int_equal(door_check_bearer(&head, key), -EACCES);
	assert_int_equal(door_check_bearer(&head, NULL), -EACCES);
	request("Host: a\r\nAuthorization: Basic k3y\r\n");
	assert_int_equal(door_check_bearer(&head, key), -EACCES);
	assert_null(strstr(err_message(-EACCES), "k3y"));
	err_clear();
	secret_free(key);
}

static int listen_tcp(const char *address, bool tls, bool allow)
{
	struct door_tcp o = {.address = address, .has_tls = tls, .allow_insecure = allow};
	uint16_t port = 0;
	int fd = -1;
	int r = door_listen_tcp(&o, &fd, &port);

	assert_true(r < 0 ? fd == -1 : fd >= 0 && port > 0);
	if (r == 0)
		close(fd);
	return r;
}

static void open_doors_need_tls(void **state)
{
	assert_int_equal(listen_tcp("127.0.0.1", false, false), 0);
	assert_int_equal(listen_tcp("127.1.2.3", false, false), 0);
	assert_int_equal(listen_tcp("localhost", false, false), 0);
	assert_int_equal(listen_tcp("0.0.0.0", false, false), -EACCES);
	assert_non_null(strstr(err_message(-EACCES), "0.0.0.0"));
	assert_int_equal(listen_tcp("0.0.0.0", true, false), 0);
	assert_int_equal(listen_tcp("0.0.0.0", false, true), 0);
	assert_int_equal(listen_tcp("::", false, false), -EACCES);
	assert_int_equal(listen_tcp("::ffff:127.0.0.1", false, false), -EACCES);
	assert_int_equal(listen_tcp("10.0.0.1", false, false), -EACCES);
	assert_int_equal(listen_tcp("example.com", true, true), -EINVAL);
	assert_int_equal(listen_tcp("", true, true), -EINVAL);
	err_clear();
}

static void unix_doors(void **state)
{
	char folder[] = "/tmp/aegis-door-XXXXXX", path[64], long_path[256];
	struct stat st;
	int fd, second;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	assert_int_equal(door_listen_unix(path, 0660, &fd), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(door_listen_unix(path, 0660, &second), -EADDRINUSE);
	close(fd);
	/* The file of a dead process is replaced. */
	assert_int_equal(door_listen_unix(path, 0600, &fd), 0);
	close(fd);
	unlink(path);
	/* What is no socket stays. */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(door_listen_unix(path, 0600, &fd), -EEXIST);
	rmdir(path);
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[255] = 0;
	assert_int_equal(door_listen_unix(long_path, 0600, &fd), -ENAMETOOLONG);
	err_clear();
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_that_are_ours),
		cmocka_unit_test(hosts_that_are_not),
		cmocka_unit_test(origins),
		cmocka_unit_test(bearer_tokens),
		cmocka_unit_test(keys_open_or_do_not),
		cmocka_unit_test(open_doors_need_tls),
		cmocka_unit_test(unix_doors),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
