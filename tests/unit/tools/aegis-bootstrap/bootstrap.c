/* SPDX-License-Identifier: AGPL-3.0-only */
/* The pure parts of aegis-bootstrap: the tail of an output, replies, starts, environments. */
#include "tools/aegis-bootstrap/agent.h"
#include "tools/aegis-bootstrap/http_reply.h"
#include "tools/aegis-bootstrap/tail.h"
#include "tests/unit/mutate.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/tap.h"

/* ---- tail ---- */

static void tail_equals_the_end_of_everything(void **state)
{
	static char all[20000];

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)('a' + random() % 26);
	for (int round = 0; round < 300; round++) {
		size_t max = (size_t)(random() % 9000), total = 0;
		struct tail t = tail_init(max);
		while (total < sizeof(all)) {
			size_t n = MIN((size_t)(random() % 6000), sizeof(all) - total);
			assert_int_equal(tail_put(&t, span_of(all + total, n)), 0);
			total += n;
			size_t keep = (size_t)(random() % 10000), have = MIN(max, total);
			have = MIN(have, keep);
			struct span v = tail_view(&t, keep);
			assert_true(span_eq(v, span_of(all + total - have, have)));
		}
		tail_fini(&t);
	}
}

static void tail_begins_at_a_character(void **state)
{
	struct tail t = tail_init(5);

	assert_int_equal(tail_put(&t, SPAN("\xc3\xa4\xc3\xb6\xc3\xbc")), 0);
	assert_true(span_is(tail_view(&t, 5), "\xc3\xb6\xc3\xbc"));
	tail_fini(&t);

	t = tail_init(100);
	assert_int_equal(tail_put(&t, SPAN("\xa4 whole")), 0);
	assert_true(span_is(tail_view(&t, 100), "\xa4 whole"));
	tail_fini(&t);
}

static void tails_share(void **state)
{
	struct tail a = {.len = 100}, b = {.len = 10};
	size_t show_a, show_b;

	tail_share(&a, &b, 200, &show_a, &show_b);
	assert_int_equal(show_a, 100);
	assert_int_equal(show_b, 10);
	tail_share(&a, &b, 50, &show_a, &show_b);
	assert_int_equal(show_a, 40);
	assert_int_equal(show_b, 10);
	b.len = 100;
	tail_share(&a, &b, 50, &show_a, &show_b);
	assert_int_equal(show_a, 25);
	assert_int_equal(show_b, 25);
}

/* ---- HTTP ---- */

static int feed_in_pieces(struct span text, size_t piece, struct http_reply *r)
{
	int x = 0;

	*r = http_reply_init();
	for (size_t at = 0; at < text.n && x == 0; at += piece)
		x = http_reply_feed(r, span_sub(text, at, at + piece));
	return x == 0 ? http_reply_eof(r) : x;
}

static void replies_in_any_pieces(void **state)
{
	const struct {
		const char *text;
		int status;
		const char *body;
	} replies[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n"
		 "0\r\n\r\n",
			200, "hello"},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 502 Bad\r\nContent-Length: 1\r\n\r\nx", 502,
			"x"},
		{"HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
		{"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(replies); i++)
		for (size_t piece = 1; piece < 80; piece++) {
			struct http_reply r;
			assert_int_equal(feed_in_pieces(span_cstr(replies[i].text), piece, &r),
				HTTP_REPLY_DONE);
			assert_int_equal(r.status, replies[i].status);
			assert_true(span_is(buf_view(&r.body), replies[i].body));
			http_reply_fini(&r);
		}
}

static void cut_replies_are_repeated_and_wrong_ones_are_not(void **state)
{
	const struct {
		const char *text;
		int error;
	} replies[] = {
		{"", -EPIPE},
		{"HTTP/1.1 200 OK\r\nContent-Le", -EPIPE},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", -EPIPE},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", -EPIPE},
		{"SSH-2.0-OpenSSH\r\n\r\n", -EBADMSG},
		{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", -EBADMSG},
		{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
			-EBADMSG},
		{"HTTP/1.1 101 Switching\r\n\r\n", -EBADMSG},
		{"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n", -E2BIG},
	};
	for (size_t i = 0; i < ARRAY_LEN(replies); i++)
		for (size_t piece = 1; piece < 80; piece += 13) {
			struct http_reply r;
			assert_int_equal(feed_in_pieces(span_cstr(replies[i].text), piece, &r),
				replies[i].error);
			http_reply_fini(&r);
		}
}

static void endless_heads_end(void **state)
{
	struct http_reply r = http_reply_init();
	int x = http_reply_feed(&r, SPAN("HTTP/1.1 200 OK\r\n"));

	for (int i = 0; i < 10000 && x == 0; i++)
		x = http_reply_feed(&r, SPAN("X-Filler: yes\r\n"));
	assert_true(x == -EBADMSG || x == -E2BIG);
	http_reply_fini(&r);
}

/* ---- the protocol ---- */

static struct reply parse(struct arena *a, const char *text)
{
	struct reply r;

	arena_reset(a);
	if (reply_parse(a, span_cstr(text), &r) != 0)
		fail_msg("%s: %s", text, err_message(-EINVAL));
	return r;
}

static void dispatches_are_read(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_REPLY_ARENA_BYTES);
	struct reply r = parse(a,
		"{\"type\":\"dispatch\",\"dispatch_id\":\"d\",\"action\":\"exec\",\"command\":"
		"\"ls\","
		"\"args\":[\"-l\",\"a b\"],\"cwd\":\"/tmp\",\"env_additions\":{\"A\":\"1=2\"},"
		"\"timeout_secs\":7,\"max_output_bytes\":99,\"background\":true,\"new_field\":[1]"
		"}");

	assert_int_equal(r.kind, REPLY_DISPATCH);
	assert_string_equal(r.dispatch.argv[0], "ls");
	assert_string_equal(r.dispatch.argv[2], "a b");
	assert_null(r.dispatch.argv[3]);
	assert_string_equal(r.dispatch.env[0], "A=1=2");
	assert_null(r.dispatch.env[1]);
	assert_string_equal(r.dispatch.cwd, "/tmp");
	assert_int_equal(r.dispatch.timeout_ms, 7000);
	assert_int_equal(r.dispatch.output_max, 99);
	assert_true(r.dispatch.background);

	r = parse(a,
		"{\"type\":\"dispatch\",\"dispatch_id\":\"d\",\"action\":\"exec\",\"command\":"
		"\"ls\","
		"\"args\":null,\"cwd\":null,\"timeout_secs\":null}");
	assert_int_equal(r.kind, REPLY_DISPATCH);
	assert_null(r.dispatch.argv[1]);
	assert_string_equal(r.dispatch.cwd, "/workspace");
	assert_int_equal(r.dispatch.timeout_ms, 60000);
	assert_int_equal(r.dispatch.output_max, 524288);
	assert_false(r.dispatch.background);
}

static void what_is_not_a_dispatch_is_final(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_REPLY_ARENA_BYTES);

	assert_true(span_is(parse(a, "{\"content\":\"c\"}").content, "c"));
	assert_int_equal(parse(a, "{\"type\":\"final\"}").content.n, 0);
	assert_int_equal(
		parse(a, "{\"type\":\"later invention\",\"content\":\"c\"}").kind, REPLY_FINAL);
}

static void bad_dispatches_say_what_is_wrong(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_REPLY_ARENA_BYTES);
	const struct {
		const char *members;
		const char *field;
	} bad[] = {
		{"\"command\":\"\"", "command"},
		{"\"command\":7", "command"},
		{"\"command\":\"a\\u0000b\"", "command"},
		{"\"command\":\"a\",\"args\":\"b\"", "args"},
		{"\"command\":\"a\",\"args\":[\"\\u0000\"]", "args"},
		{"\"command\":\"a\",\"env_additions\":{\"A=B\":\"c\"}", "env_additions"},
		{"\"command\":\"a\",\"env_additions\":{\"A\":1}", "env_additions"},
		{"\"command\":\"a\",\"cwd\":1", "cwd"},
		{"\"command\":\"a\",\"timeout_secs\":0", "timeout_secs"},
		{"\"command\":\"a\",\"timeout_secs\":1e9", "timeout_secs"},
		{"\"command\":\"a\",\"timeout_secs\":\"1\"", "timeout_secs"},
		{"\"command\":\"a\",\"max_output_bytes\":99999999", "max_output_bytes"},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char text[256];
		snprintf(text, sizeof(text),
			"{\"type\":\"dispatch\",\"dispatch_id\":\"d\",\"action\":\"exec\",%s}",
			bad[i].members);
		struct reply r = parse(a, text);
		assert_int_equal(r.kind, REPLY_BAD_DISPATCH);
		assert_non_null(strstr(r.problem, bad[i].field));
	}
	struct reply r;
	const char *hopeless[] = {"", "[]", "7", "{\"type\":\"dispatch\",\"action\":\"exec\"}",
		"{\"type\":\"dispatch\",\"dispatch_id\":\"\",\"action\":\"exec\"}"};
	for (size_t i = 0; i < ARRAY_LEN(hopeless); i++)
		assert_int_equal(reply_parse(a, span_cstr(hopeless[i]), &r), -EINVAL);
}

static void any_reply_is_read_or_refused(struct span damaged, const char *what, void *arg)
{
	struct reply r;

	arena_reset(arg);
	int x = reply_parse(arg, damaged, &r);
	if (x != 0 && x != -EINVAL)
		fail_msg("%s: %d", what, x);
}

static void damaged_dispatches_do_no_harm(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_REPLY_ARENA_BYTES);

	mutate(SPAN("{\"type\":\"dispatch\",\"dispatch_id\":\"d\",\"action\":\"exec\",\"command\":"
		    "\"ls\",\"args\":[\"-l\"],\"env_additions\":{\"A\":\"1\"},\"timeout_secs\":7}"),
		MUTATE_ALL, any_reply_is_read_or_refused, a);
}

/* ---- the start ---- */

struct packet {
	struct launch_start start;
	char strings[24];
};

static struct packet sample(void)
{
	struct packet p = {.start = {.header = {LAUNCH_MAGIC, LAUNCH_START, sizeof(p), 0},
				   .iteration = 4,
				   .argc = 2,
				   .envc = 2,
				   .argv_bytes = 14,
				   .env_bytes = 10}};

	memcpy(p.strings, "python3\0run.py\0A=1\0BC=2\0", 24);
	p.start.argv_bytes = 15;
	p.start.env_bytes = 9;
	return p;
}

static void starts_are_split(void **state)
{
	struct packet p = sample();
	struct start s;

	assert_int_equal(start_parse(span_of(&p, sizeof(p)), &s), 0);
	assert_string_equal(s.argv[0], "python3");
	assert_string_equal(s.argv[1], "run.py");
	assert_null(s.argv[2]);
	assert_string_equal(s.envp[1], "BC=2");
	assert_null(s.envp[2]);
	assert_int_equal(s.iteration, 4);
	start_fini(&s);
}

static void any_start_is_read_or_refused(struct span damaged, const char *what, void *arg)
{
	struct start s;
	int x = start_parse(damaged, &s);

	if (x == 0)
		start_fini(&s);
	else if (x != -EBADMSG)
		fail_msg("%s: %d", what, x);
}

static void damaged_starts_do_no_harm(void **state)
{
	struct packet p = sample();

	mutate(span_of(&p, sizeof(p)), MUTATE_ALL, any_start_is_read_or_refused, NULL);
}

/* ---- environment ---- */

static void later_variables_win(void **state)
{
	char *base[] = {"A=1", "B=2", "A=3", NULL}, *additions[] = {"B=4", "AB=5", "B=6", NULL};
	char **merged;

	assert_int_equal(env_merge(base, additions, &merged), 0);
	assert_string_equal(env_get(merged, "A", ""), "3");
	assert_string_equal(env_get(merged, "B", ""), "6");
	assert_string_equal(env_get(merged, "AB", ""), "5");
	assert_string_equal(env_get(merged, "C", "none"), "none");
	assert_null(merged[3]);
	free(merged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tail_equals_the_end_of_everything),
		cmocka_unit_test(tail_begins_at_a_character),
		cmocka_unit_test(tails_share),
		cmocka_unit_test(replies_in_any_pieces),
		cmocka_unit_test(cut_replies_are_repeated_and_wrong_ones_are_not),
		cmocka_unit_test(endless_heads_end),
		cmocka_unit_test(dispatches_are_read),
		cmocka_unit_test(what_is_not_a_dispatch_is_final),
		cmocka_unit_test(bad_dispatches_say_what_is_wrong),
		cmocka_unit_test(damaged_dispatches_do_no_harm),
		cmocka_unit_test(starts_are_split),
		cmocka_unit_test(damaged_starts_do_no_harm),
		cmocka_unit_test(later_variables_win),
	};
	return cmocka_run_group_tests_name("bootstrap", tests, NULL, NULL);
}
