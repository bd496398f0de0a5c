/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A hostile aegisd: every request out of order, repeated, cut, too long, with descriptors, with
 * ids that are not its own. What breaks the rules ends the connection; what names nothing is
 * answered; in either case the helper goes on serving.
 */
#include "daemon/helper/harden.h"
#include "tests/integration/daemon/helper/fixture.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static _Alignas(8) char packet[WIRE_PACKET_MAX + 4096];

static void reconnect(struct fixture *f)
{
	close(f->conn);
	f->conn = -1;
	fixture_greet(f);
}

/* A packet of that type which the gate lets through; its size. */
static size_t valid(unsigned type)
{
	struct uuid some = {{1}};
	size_t n = wire_rule(type)->bytes;
	memset(packet, 0, sizeof(packet));
	if (type == WIRE_SANDBOX_CREATE) {
		n = fixture_create(
			(struct wire_create *)(void *)packet, sizeof(packet), some, 1, "live");
	} else if (type == WIRE_SIGN_HEAD) {
		struct wire_sign *w = (struct wire_sign *)(void *)packet;
		w->head.journal = some;
		w->head.record = 1;
	} else if (type == WIRE_WORKSPACE_OPEN || type == WIRE_WORKSPACE_REMOVE ||
		type == WIRE_LAST_HEAD || type == WIRE_WORKSPACE_OBJECT ||
		type == WIRE_WORKSPACE_LIMIT) {
		((struct wire_execution *)(void *)packet)->execution = some;
		if (type == WIRE_WORKSPACE_OBJECT)
			((struct wire_object *)(void *)packet)->handle_bytes = 8;
		if (type == WIRE_WORKSPACE_LIMIT)
			((struct wire_limit *)(void *)packet)->bytes = HELPER_IMAGE_BYTES_MIN;
	} else if (n >= sizeof(struct wire_target)) {
		struct wire_call *w = (struct wire_call *)(void *)packet;
		w->id = 1;
		w->execution = some;
		if (type == WIRE_CALL_OPEN || type == WIRE_CALL_CLOSE)
			w->call = some;
		if (type == WIRE_CALL_CLOSE)
			w->rest = HELPER_CALL_KILL;
		if (type == WIRE_SANDBOX_STOP)
			((struct wire_stop *)(void *)packet)->how = HELPER_STOP_KILL;
		if (type == WIRE_FILES_MOUNT) {
			struct wire_mount *m = (struct wire_mount *)(void *)packet;
			m->volume = some;
			memcpy(m->tenant, "local", 5);
		}
	}
	*(struct wire_header *)(void *)packet =
		(struct wire_header){WIRE_MAGIC, WIRE_VERSION, (uint16_t)type, (uint32_t)n, 0, 7};
	return n;
}

static void test_before_hello(void **state)
{
	struct fixture *f = *state;
	for (unsigned type = WIRE_HELLO + 1; type < WIRE_TYPE_END; type++) {
		close(f->conn);
		f->conn = fixture_connect(f, FIXTURE_UID);
		assert_true(f->conn >= 0);
		if (!fixture_is_cut_off(f, packet, valid(type), NULL, 0))
			fail_msg("%s is answered before HELLO", wire_rule(type)->name);
	}
	reconnect(f);
}

static void test_hello_twice(void **state)
{
	struct fixture *f = *state;
	assert_true(fixture_is_cut_off(f, packet, valid(WIRE_HELLO), NULL, 0));
	reconnect(f);
}

static void test_descriptors(void **state)
{
	struct fixture *f = *state;
	for (unsigned type = WIRE_HELLO + 1; type < WIRE_TYPE_END; type++) {
		for (int count = 1; count <= 8; count += 7) {
			int fds[8];
			for (int i = 0; i < count; i++)
				fds[i] = STDIN_FILENO;
			if (!fixture_is_cut_off(f, packet, valid(type), fds, count))
				fail_msg("%s is answered with descriptors", wire_rule(type)->name);
			reconnect(f);
		}
	}
}

static void test_sizes(void **state)
{
	struct fixture *f = *state;
	for (unsigned type = WIRE_HELLO + 1; type < WIRE_TYPE_END; type++) {
		for (int delta = -1; delta <= 1; delta += 2) {
			size_t n = valid(type) + (size_t)delta;
			struct wire_header *h = (struct wire_header *)(void *)packet;
			/* Once with a header that tells, once with one that lies. */
			if (!fixture_is_cut_off(f, packet, n, NULL, 0))
				fail_msg("%s is answered with a wrong size", wire_rule(type)->name);
			reconnect(f);
			h->bytes = (uint32_t)n;
			if (!fixture_is_cut_off(f, packet, n, NULL, 0))
				fail_msg("%s is answered with %zu bytes", wire_rule(type)->name, n);
			reconnect(f);
		}
	}
	memset(packet, 0, sizeof(packet));
	assert_true(fixture_is_cut_off(f, packet, sizeof(packet), NULL, 0));
	reconnect(f);
	assert_true(fixture_is_cut_off(f, packet, 1, NULL, 0));
	reconnect(f);
}

static void test_headers(void **state)
{
	struct fixture *f = *state;
	struct wire_header *h = (struct wire_header *)(void *)packet;
	for (int i = 0; i < 7; i++) {
		size_t n = valid(WIRE_PUBLIC_KEY);
		h->magic ^= i == 0;
		h->version = (uint16_t)(h->version + (i == 1));
		h->reserved = i == 2;
		h->request = i == 3 ? 0 : 7;
		h->type = (uint16_t)(i == 4 ? 0
				: i == 5    ? WIRE_TYPE_END
				: i == 6    ? 0xffff
					    : h->type);
		if (!fixture_is_cut_off(f, packet, n, NULL, 0))
			fail_msg("a header damaged in way %d is answered", i);
		reconnect(f);
	}
}

static void test_fields(void **state)
{
	struct fixture *f = *state;
	struct wire_create *c = (struct wire_create *)(void *)packet;
	for (int i = 0; i < 16; i++) {
		size_t n = valid(WIRE_SANDBOX_CREATE);
		switch (i) {
		case 0:
			memset(&c->execution, 0, sizeof(c->execution));
			break;
		case 1:
			c->iteration = 0;
			break;
		case 2:
			c->iteration = HELPER_ITERATION_MAX + 1;
			break;
		case 3:
			c->argc = 2;
			break;
		case 4:
			c->envc = UINT32_MAX;
			break;
		case 5:
			c->argv_bytes = UINT32_MAX;
			break;
		case 6:
			c->limits.memory_bytes = 0;
			break;
		case 7:
			c->limits.pids = UINT32_MAX;
			break;
		case 8:
			c->limits.cpu_millis = 0;
			break;
		case 9:
			memset(c->runtime, 'a', sizeof(c->runtime));
			break;
		case 10:
			strcpy(c->runtime, "../../etc");
			break;
		case 11:
			c->runtime[20] = 'x';
			break;
		case 12:
			packet[n - 1] = 'x';
			break;
		case 13:
			packet[sizeof(*c) + c->argv_bytes] = '=';
			break;
		case 14:
			c->files = HELPER_FILES_NFS + 1;
			break;
		case 15:
			c->read_only = 2;
			break;
		}
		if (!fixture_is_cut_off(f, packet, n, NULL, 0))
			fail_msg("a create request damaged in way %d is answered", i);
		reconnect(f);
	}
	struct wire_stop *s = (struct wire_stop *)(void *)packet;
	size_t n = valid(WIRE_SANDBOX_STOP);
	s->how = HELPER_STOP_ABANDON + 1;
	assert_true(fixture_is_cut_off(f, packet, n, NULL, 0));
	reconnect(f);
	n = valid(WIRE_CALL_CLOSE);
	((struct wire_call *)(void *)packet)->rest = 0;
	assert_true(fixture_is_cut_off(f, packet, n, NULL, 0));
	reconnect(f);
	struct wire_mount *m = (struct wire_mount *)(void *)packet;
	for (int i = 0; i < 5; i++) {
		n = valid(WIRE_FILES_MOUNT);
		if (i == 0)
			memset(&m->volume, 0, sizeof(m->volume));
		else if (i == 1)
			m->read_only = 2;
		else if (i == 2)
			m->tenant[0] = '/';
		else if (i == 3)
			m->tenant[10] = 'x'; /* behind the end */
		else
			memset(m->tenant, 'a', sizeof(m->tenant));
		if (!fixture_is_cut_off(f, packet, n, NULL, 0))
			fail_msg("a mount request damaged in way %d is answered", i);
		reconnect(f);
	}
}

static void test_nil_ids(void **state)
{
	struct fixture *f = *state;
	for (unsigned type = WIRE_HELLO + 1; type < WIRE_TYPE_END; type++) {
		size_t id = sizeof(struct wire_header), execution = id;
		if (wire_rule(type)->bytes == sizeof(struct wire_plain) ||
			type == WIRE_SANDBOX_LIST)
			continue; /* they name nothing */
		if (type != WIRE_SANDBOX_CREATE && type != WIRE_SIGN_HEAD &&
			type != WIRE_WORKSPACE_OBJECT && type != WIRE_WORKSPACE_LIMIT &&
			wire_rule(type)->bytes >= sizeof(struct wire_target))
			execution = id + sizeof(uint64_t);
		size_t n = valid(type);
		memset(packet + execution, 0, sizeof(struct uuid));
		if (!fixture_is_cut_off(f, packet, n, NULL, 0))
			fail_msg("%s of nobody is answered", wire_rule(type)->name);
		reconnect(f);
		if (execution == id)
			continue;
		n = valid(type);
		memset(packet + id, 0, sizeof(uint64_t));
		if (!fixture_is_cut_off(f, packet, n, NULL, 0))
			fail_msg("%s of sandbox 0 is answered", wire_rule(type)->name);
		reconnect(f);
	}
}

/* Any byte of any request may be wrong: it is answered or ends the connection, and the helper goes
 * on with the next. */
static void test_damage(void **state)
{
	struct fixture *f = *state;
	unsigned seed = 1;
	for (unsigned type = WIRE_HELLO; type < WIRE_TYPE_END; type++) {
		for (int i = 0; i < 40; i++) {
			size_t n = valid(type);
			packet[(unsigned)rand_r(&seed) % n] ^= (char)(1 + rand_r(&seed) % 255);
			(void)fixture_is_cut_off(f, packet, n, NULL, 0);
			reconnect(f);
		}
	}
}

static bool served(const struct fixture *f, int conn)
{
	size_t n = valid(WIRE_HELLO);
	char reply[512];
	return send(conn, packet, n, MSG_NOSIGNAL) == (ssize_t)n &&
		recv(conn, reply, sizeof(reply), 0) > 0;
}

static void test_who(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(fixture_connect(f, FIXTURE_UID + 1), -EACCES); /* the socket's mode */
	int root = fixture_connect(f, 0);
	assert_true(root >= 0);
	assert_false(served(f, root));
	close(root);
	int second = fixture_connect(f, FIXTURE_UID);
	assert_true(second >= 0);
	assert_false(served(f, second));
	close(second);
	struct wire_plain w;
	struct answer a;
	fixture_call(f, WIRE_PUBLIC_KEY, &w, sizeof(w), &a); /* the first is not disturbed */
	assert_int_equal(a.code, 0);
}

/* ---- what names nothing ---- */

static int32_t code_of(struct fixture *f, enum wire_type type, uint64_t id, struct uuid execution)
{
	size_t n = valid(type);
	struct wire_target *w = (struct wire_target *)(void *)packet;
	struct answer a;
	w->id = id;
	w->execution = execution;
	fixture_call(f, type, packet, n, &a);
	answer_close(&a);
	return a.code;
}

static void test_other_execution(void **state)
{
	static const enum wire_type types[] = {WIRE_SANDBOX_STOP, WIRE_SANDBOX_RELEASE,
		WIRE_SANDBOX_GET, WIRE_LISTENER_GET, WIRE_CALL_OPEN, WIRE_CALL_CLOSE,
		WIRE_CALL_LIST};
	struct fixture *f = *state;
	int fds[2][3];
	struct uuid mine = uuid_new(), other = uuid_new();
	struct wire_sandbox s[2] = {fixture_sandbox(f, mine, "live", fds[0]),
		fixture_sandbox(f, other, "live", fds[1])};
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		assert_int_equal(code_of(f, types[i], s[0].id, other), -ENOENT);
		assert_int_equal(code_of(f, types[i], s[1].id, mine), -ENOENT);
		assert_int_equal(code_of(f, types[i], s[1].id + 1, other), -ENOENT);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(code_of(f, WIRE_SANDBOX_GET, s[i].id, s[i].execution), 0);
		assert_true(process_alive(s[i].pid));
		assert_int_equal(code_of(f, WIRE_SANDBOX_STOP, s[i].id, s[i].execution), 0);
		fixture_wait_end(f, s[i].id);
		fixture_release(f, &s[i]);
		for (int j = 0; j < 3; j++)
			close(fds[i][j]);
	}
}

static int32_t create_code(struct fixture *f, struct uuid execution, uint32_t iteration,
	const char *runtime, char *ret)
{
	struct {
		struct wire_create w;
		char tail[64];
	} c;
	struct answer a;
	size_t n = fixture_create(&c.w, sizeof(c), execution, iteration, "live");
	memset(c.w.runtime, 0, sizeof(c.w.runtime));
	snprintf(c.w.runtime, sizeof(c.w.runtime), "%s", runtime);
	fixture_call(f, WIRE_SANDBOX_CREATE, &c, n, &a);
	answer_close(&a);
	memcpy(ret, a.message, sizeof(a.message));
	return a.code;
}

static void test_order(void **state)
{
	struct fixture *f = *state;
	char message[WIRE_MESSAGE_BYTES];
	struct wire_execution x = {.execution = uuid_new()};
	struct answer a;
	int fds[3];
	assert_int_equal(create_code(f, x.execution, 1, "test", message), -ENOENT);
	assert_non_null(strstr(message, "workspace"));
	struct wire_sandbox s = fixture_sandbox(f, x.execution, "live", fds);
	assert_int_equal(create_code(f, x.execution, 1, "test", message), -EEXIST);
	assert_int_equal(create_code(f, x.execution, 2, "nothing", message), -ENOENT);
	assert_non_null(strstr(message, "nothing"));
	assert_int_equal(create_code(f, x.execution, 2, "broken", message), -ENOENT);
	assert_non_null(strstr(message, "/not/there"));
	assert_int_equal(code_of(f, WIRE_SANDBOX_RELEASE, s.id, s.execution), -EBUSY);
	fixture_call(f, WIRE_WORKSPACE_REMOVE, &x, sizeof(x), &a);
	assert_int_equal(a.code, -EBUSY);
	assert_int_equal(code_of(f, WIRE_CALL_CLOSE, s.id, s.execution), -ENOENT);
	assert_int_equal(code_of(f, WIRE_CALL_OPEN, s.id, s.execution), 0);
	assert_int_equal(code_of(f, WIRE_CALL_OPEN, s.id, s.execution), -EEXIST);
	/* Whether its child has joined by now is a matter of luck. */
	assert_true(code_of(f, WIRE_CALL_CLOSE, s.id, s.execution) >= 0);
	assert_int_equal(code_of(f, WIRE_SANDBOX_STOP, s.id, s.execution), 0);
	fixture_wait_end(f, s.id);
	assert_int_equal(code_of(f, WIRE_SANDBOX_STOP, s.id, s.execution), 0);
	assert_int_equal(code_of(f, WIRE_LISTENER_GET, s.id, s.execution), -ESRCH);
	assert_int_equal(code_of(f, WIRE_CALL_OPEN, s.id, s.execution), -ESRCH);
	fixture_release(f, &s);
	assert_int_equal(code_of(f, WIRE_SANDBOX_RELEASE, s.id, s.execution), -ENOENT);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

/* The life of a sandbox in which each request is made twice, as after a lost reply. */
static void test_repeated(void **state)
{
	static const struct {
		enum wire_type type;
		int32_t first, second;
	} steps[] = {
		{WIRE_PUBLIC_KEY, 0, 0},
		{WIRE_WORKSPACE_OPEN, 0, 0},
		{WIRE_SANDBOX_CREATE, 0, -EEXIST},
		{WIRE_SANDBOX_LIST, 0, 0},
		{WIRE_SANDBOX_GET, 0, 0},
		{WIRE_LISTENER_GET, 0, 0},
		{WIRE_CALL_OPEN, 0, -EEXIST},
		{WIRE_CALL_LIST, 0, 0},
		{WIRE_CALL_CLOSE, 0, -ENOENT},
		{WIRE_SANDBOX_STOP, 0, 0},
		{WIRE_SANDBOX_RELEASE, 0, -ENOENT},
		{WIRE_WORKSPACE_REMOVE, 0, -ENOENT},
		{WIRE_SIGN_HEAD, 0, 0},
		{WIRE_LAST_HEAD, 0, 0},
	};
	struct fixture *f = *state;
	uint64_t id = 1;
	struct answer a;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		const char *name = wire_rule(steps[i].type)->name;
		for (int again = 0; again < 2; again++) {
			size_t n = valid(steps[i].type);
			if (n >= sizeof(struct wire_target) &&
				steps[i].type != WIRE_SANDBOX_CREATE &&
				steps[i].type != WIRE_SIGN_HEAD && steps[i].type != WIRE_LAST_HEAD)
				((struct wire_target *)(void *)packet)->id = id;
			fixture_call(f, steps[i].type, packet, n, &a);
			/* Whether a call's child has joined by now is a matter of luck. */
			int32_t code = steps[i].type == WIRE_CALL_CLOSE ? MIN(a.code, 0) : a.code;
			if (code != (again ? steps[i].second : steps[i].first))
				fail_msg("%s, %s time: %d %s", name, again ? "second" : "first",
					code, a.message);
			if (steps[i].type == WIRE_SANDBOX_CREATE && code == 0)
				id = a.u.sandboxes[0].id;
			answer_close(&a);
			/* At once: its event may come before the reply to the next request. */
			if (steps[i].type == WIRE_SANDBOX_STOP && !again)
				fixture_wait_end(f, id);
		}
	}
}

static void test_slots(void **state)
{
	struct fixture *f = *state;
	char message[WIRE_MESSAGE_BYTES];
	struct wire_sandbox s[FIXTURE_SLOTS];
	int fds[FIXTURE_SLOTS][3];
	for (int i = 0; i < FIXTURE_SLOTS; i++)
		s[i] = fixture_sandbox(f, uuid_new(), "live", fds[i]);
	assert_int_equal(create_code(f, s[0].execution, 2, "test", message), -EBUSY);
	for (int i = 0; i < FIXTURE_SLOTS; i++) {
		assert_int_equal(code_of(f, WIRE_SANDBOX_STOP, s[i].id, s[i].execution), 0);
		fixture_wait_end(f, s[i].id);
		fixture_release(f, &s[i]);
		for (int j = 0; j < 3; j++)
			close(fds[i][j]);
	}
}

/* ---- heads ---- */

static void test_heads(void **state)
{
	struct fixture *f = *state;
	struct wire_sign w = {.head = {.journal = uuid_new(), .record = 10, .hash = {1}}};
	struct wire_journal j = {.journal = w.head.journal};
	struct wire_plain plain;
	struct answer a, key;
	fixture_call(f, WIRE_PUBLIC_KEY, &plain, sizeof(plain), &key);
	fixture_call(f, WIRE_LAST_HEAD, &j, sizeof(j), &a);
	assert_int_equal(a.code, -ENOENT);
	fixture_call(f, WIRE_SIGN_HEAD, &w, sizeof(w), &a);
	assert_int_equal(a.code, 0);
	assert_true(head_verify(&a.u.head, key.u.key));
	struct wire_sign fork = w;
	fork.head.hash[0] = 2;
	fixture_call(f, WIRE_SIGN_HEAD, &fork, sizeof(fork), &a);
	assert_int_equal(a.code, -ESTALE);
	assert_int_equal(a.bytes, sizeof(struct head_signed));
	assert_memory_equal(a.u.head.head.hash, w.head.hash, HEAD_HASH_BYTES);
	fixture_kill(f, SIGKILL);
	fixture_start(f);
	fixture_greet(f);
	fixture_call(f, WIRE_SIGN_HEAD, &fork, sizeof(fork), &a);
	assert_int_equal(a.code, -ESTALE);
	fixture_call(f, WIRE_LAST_HEAD, &j, sizeof(j), &a);
	assert_int_equal(a.code, 0);
	assert_memory_equal(a.u.head.head.hash, w.head.hash, HEAD_HASH_BYTES);
}

/* ---- itself ---- */

static uint64_t hex_after(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	assert_non_null(at);
	return strtoull(at + strlen(key), NULL, 16);
}

static void test_it_holds_little(void **state)
{
	const struct fixture *f = *state;
	char path[64], text[8192];
	snprintf(path, sizeof(path), "/proc/%d/status", f->helper);
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "\nNoNewPrivs:\t1\n"));
	assert_non_null(strstr(text, "\nSeccomp:\t2\n"));
	const char *const sets[] = {
		"\nCapPrm:\t", "\nCapEff:\t", "\nCapBnd:\t", "\nCapInh:\t", "\nCapAmb:\t"};
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		assert_int_equal(hex_after(text, sets[i]) & ~harden_capabilities(), 0);
	assert_int_equal(hex_after(text, "\nCapInh:\t"), 0);
	assert_int_not_equal(hex_after(text, "\nCapEff:\t"), 0);
}

int main(void)
{
	const struct CMUnitTest helper[] = {
		cmocka_unit_test(test_before_hello),
		cmocka_unit_test(test_hello_twice),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_nil_ids),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_other_execution),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_it_holds_little),
	};
	return cmocka_run_group_tests(helper, fixture_setup, fixture_teardown);
}
