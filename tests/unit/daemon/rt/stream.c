/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/rt/in_fiber.h"
#include "daemon/rt/stream.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pair {
	struct stream *s;
	int peer;
};

static struct pair make_pair(void)
{
	int fds[2];
	struct pair p;
	socket_pair(fds);
	EXPECT_INT(stream_start(fds[0], &p.s), 0);
	EXPECT_INT(stream_fd(p.s), fds[0]);
	p.peer = fds[1];
	return p;
}

static void drop_pair(struct pair *p)
{
	stream_stop(p->s);
	rt_close(p->peer);
}

static void peer_says(const struct pair *p, const char *text)
{
	EXPECT_INT(rt_send_all(p->peer, text, strlen(text), DEADLINE_NONE), 0);
}

static struct span peek(const struct pair *p, size_t have)
{
	struct span view = {0};
	EXPECT_INT(stream_peek(p->s, have, &view, deadline_in_ms(10000)), 0);
	return view;
}

static void body_views(void *arg)
{
	struct pair p = make_pair();
	struct span view;
	peer_says(&p, "first");
	EXPECT(span_is(peek(&p, 0), "first"));
	EXPECT(span_is(peek(&p, 4), "first"));
	EXPECT_INT(stream_peek(p.s, 5, &view, deadline_in_ms(2)), -ETIME);
	peer_says(&p, "second");
	EXPECT(span_is(peek(&p, 5), "firstsecond"));
	stream_consume(p.s, 7);
	EXPECT(span_is(peek(&p, 0), "cond"));
	stream_consume(p.s, 4);
	peer_says(&p, "third");
	/* A deadline that has passed does not hide what is there. */
	EXPECT_INT(rt_sleep_until(deadline_in_ms(2)), 0);
	EXPECT_INT(stream_peek(p.s, 0, &view, 1), 0);
	EXPECT(span_is(view, "third"));
	stream_consume(p.s, 5);
	EXPECT_INT(stream_peek(p.s, 0, &view, 1), -ETIME);
	drop_pair(&p);
}

static void views_show_what_was_not_consumed(void **state)
{
	in_fiber(body_views);
}

/* A view holds while other things are awaited and more arrives. */
static void body_stable(void *arg)
{
	struct pair p = make_pair();
	static char junk[3 * BUFS_BYTES];
	memset(junk, 'j', sizeof(junk));
	for (int own = 0; own < 2; own++) {
		peer_says(&p, "keep");
		struct span view = peek(&p, 0);
		if (own) {
			/* From lent to own memory: wait for more of it. */
			peer_says(&p, "!");
			view = peek(&p, 4);
		}
		size_t n = view.n;
		EXPECT_INT(rt_send_all(p.peer, junk, sizeof(junk), DEADLINE_NONE), 0);
		EXPECT_INT(rt_sleep_until(deadline_in_ms(5)), 0);
		EXPECT(span_starts(view, SPAN("keep")));
		view = peek(&p, n + sizeof(junk) - 1);
		EXPECT(view.n == n + sizeof(junk));
		EXPECT(span_starts(view, SPAN("keep")));
		EXPECT(view.p[view.n - 1] == 'j');
		stream_consume(p.s, view.n);
	}
	drop_pair(&p);
}

static void a_view_holds_while_more_arrives(void **state)
{
	in_fiber(body_stable);
}

static void body_end(void *arg)
{
	struct pair p = make_pair();
	struct span view;
	peer_says(&p, "last words");
	EXPECT_INT(shutdown(p.peer, SHUT_WR), 0);
	EXPECT(span_is(peek(&p, 0), "last words"));
	EXPECT(peek(&p, 10).n == 0);
	EXPECT(span_is(peek(&p, 0), "last words"));
	stream_consume(p.s, 10);
	EXPECT(peek(&p, 0).n == 0);
	EXPECT_INT(stream_peek(p.s, 0, &view, 1), 0);
	/* One direction is closed, the other is not. */
	EXPECT_INT(stream_send(p.s, SPAN("yes"), DEADLINE_NONE), 0);
	stream_shutdown(p.s);
	char got[8];
	EXPECT_INT(rt_recv(p.peer, got, sizeof(got), MSG_WAITALL, DEADLINE_NONE), 3);
	drop_pair(&p);
}

static void the_end_is_told_after_the_last_bytes(void **state)
{
	in_fiber(body_end);
}

/* ---- back-pressure ---- */

static ssize_t push_until_full(int fd, size_t most)
{
	static char junk[8192];
	size_t sum = 0;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	for (int calm = 0; calm < 20 && sum < most;) {
		for (size_t i = 0; i < sizeof(junk); i++)
			junk[i] = (char)((sum + i) % 251);
		ssize_t n = write(fd, junk, MIN(sizeof(junk), most - sum));
		if (n > 0) {
			sum += (size_t)n;
			calm = 0;
		} else {
			calm++;
		}
		EXPECT_INT(rt_sleep_until(deadline_in_ms(n > 0 ? 0 : 1)), 0);
	}
	return (ssize_t)sum;
}

static size_t held_bytes(const struct stream *s)
{
	return s->lent_n + s->own_n;
}

static void body_back_pressure(void *arg)
{
	struct pair p = make_pair();
	ssize_t sum = push_until_full(p.peer, 16 << 20);
	EXPECT(sum < 8 << 20);
	EXPECT(held_bytes(p.s) >= RT_STREAM_BUFFER_BYTES / 2);
	EXPECT(held_bytes(p.s) <= RT_STREAM_BUFFER_BYTES);
	EXPECT(!p.s->recv_armed);
	/* A reader may still have a piece of the full size, and not more. */
	struct span view = peek(&p, RT_STREAM_BUFFER_BYTES - 1);
	EXPECT(view.n == RT_STREAM_BUFFER_BYTES);
	EXPECT_INT(stream_peek(p.s, RT_STREAM_BUFFER_BYTES, &view, DEADLINE_NONE), -E2BIG);
	/* Nothing was lost or repeated. */
	shutdown(p.peer, SHUT_WR);
	size_t at = 0;
	for (;;) {
		view = peek(&p, 0);
		if (view.n == 0)
			break;
		EXPECT(held_bytes(p.s) <= RT_STREAM_BUFFER_BYTES);
		size_t n = MIN(view.n, (size_t)1000);
		for (size_t i = 0; i < n; i++)
			EXPECT(view.p[i] == (char)((at + i) % 251));
		at += n;
		stream_consume(p.s, n);
	}
	EXPECT_INT((long)at, sum);
	drop_pair(&p);
}

static void receiving_pauses_when_nobody_reads(void **state)
{
	in_fiber(body_back_pressure);
}

/* More streams with unread data than there are provided buffers. */
static void body_scarce(void *arg)
{
	enum { N = BUFS_COUNT + 100 };
	static struct pair p[N];
	for (int i = 0; i < N; i++) {
		p[i] = make_pair();
		peer_says(&p[i], "unread");
	}
	EXPECT_INT(rt_sleep_until(deadline_in_ms(5)), 0);
	EXPECT(worker_current->bufs.out <= BUFS_COUNT - BUFS_SCARCE + 1);
	for (int i = 0; i < N; i++)
		EXPECT(span_is(peek(&p[i], 0), "unread"));
	for (int i = 0; i < N; i++)
		drop_pair(&p[i]);
	EXPECT_INT(worker_current->bufs.out, 0);
}

static void unread_streams_do_not_hoard_buffers(void **state)
{
	in_fiber(body_scarce);
}

/* One burst on many streams uses up all buffers at once; all must go on. */
static void body_starved(void *arg)
{
	enum { N = 64, EACH = 100000 };
	static struct pair p[N];
	static char junk[EACH];
	memset(junk, 's', sizeof(junk));
	for (int i = 0; i < N; i++)
		p[i] = make_pair();
	for (int i = 0; i < N; i++)
		EXPECT(write(p[i].peer, junk, sizeof(junk)) == EACH);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(1)), 0);
	for (int i = 0; i < N; i++) {
		struct span view = peek(&p[i], EACH - 1);
		EXPECT(view.n == EACH && view.p[0] == 's' && view.p[EACH - 1] == 's');
	}
	for (int i = 0; i < N; i++)
		drop_pair(&p[i]);
}

static void starved_streams_go_on(void **state)
{
	in_fiber(body_starved);
}

/* ---- what has a place ---- */

enum { BODIES = 40, BODY_MAX = 700 * 1000 };

static size_t body_bytes(int i)
{
	return i % 3 == 2 ? (size_t)i : (size_t)(i * 99991 % BODY_MAX) + 1;
}

static char body_byte(int i, size_t at)
{
	return (char)((at * 31 + (size_t)i * 7) % 251);
}

static void send_bodies(void *arg)
{
	const struct pair *p = arg;
	char *text = malloc(BODY_MAX + sizeof(size_t));
	for (int i = 0; i < BODIES; i++) {
		size_t n = body_bytes(i);
		memcpy(text, &n, sizeof(n));
		for (size_t at = 0; at < n; at++)
			text[sizeof(n) + at] = body_byte(i, at);
		EXPECT_INT(rt_send_all(p->peer, text, sizeof(n) + n, DEADLINE_NONE), 0);
	}
	free(text);
	EXPECT_INT(shutdown(p->peer, SHUT_WR), 0);
}

static void body_read(void *arg)
{
	struct pair p = make_pair();
	struct group g;
	char *got = malloc(BODY_MAX);
	size_t ahead = 0, n;
	group_init(&g);
	EXPECT_INT(group_spawn(&g, "send", FIBER_SMALL, send_bodies, &p), 0);
	for (int i = 0; i < BODIES; i++) {
		struct span head = peek(&p, sizeof(n) - 1);
		memcpy(&n, head.p, sizeof(n));
		EXPECT(n == body_bytes(i));
		stream_consume(p.s, sizeof(n));
		/* Behind a long body no more than a head is received in advance. */
		if (i > 3 && i % 3 == 1)
			ahead = MAX(ahead, held_bytes(p.s));
		EXPECT_INT(stream_read(p.s, got, n, deadline_in_ms(10000)), 0);
		for (size_t at = 0; at < n; at++)
			if (got[at] != body_byte(i, at)) {
				EXPECT(got[at] == body_byte(i, at));
				break;
			}
	}
	EXPECT(ahead <= 16 * 1024);
	EXPECT_INT(stream_read(p.s, got, 1, DEADLINE_NONE), -ECONNRESET);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	free(got);
	drop_pair(&p);
}

static void long_pieces_are_received_in_their_place(void **state)
{
	in_fiber(body_read);
}

static void body_read_late(void *arg)
{
	struct pair p = make_pair();
	char got[16];
	peer_says(&p, "half");
	EXPECT_INT(stream_read(p.s, got, 8, deadline_in_ms(2)), -ETIME);
	drop_pair(&p);
	p = make_pair();
	peer_says(&p, "some");
	EXPECT_INT(shutdown(p.peer, SHUT_WR), 0);
	EXPECT_INT(stream_read(p.s, got, 8, DEADLINE_NONE), -ECONNRESET);
	drop_pair(&p);
	/* What is small, afterwards, takes the other way again. */
	p = make_pair();
	peer_says(&p, "12345678");
	EXPECT_INT(stream_read(p.s, got, 8, DEADLINE_NONE), 0);
	for (int i = 0; i < 20; i++) {
		peer_says(&p, "again");
		EXPECT(span_is(peek(&p, 4), "again"));
		stream_consume(p.s, 5);
	}
	EXPECT(!p.s->recv_single && p.s->recv_armed);
	drop_pair(&p);
}

static void a_piece_that_does_not_come_is_an_error(void **state)
{
	in_fiber(body_read_late);
}

/* ---- sending ---- */

struct sender {
	struct stream *s;
	char letter;
	size_t bytes;
	int64_t deadline_ns;
	int result;
};

static void send_letters(void *arg)
{
	struct sender *q = arg;
	char *text = malloc(q->bytes);
	memset(text, q->letter, q->bytes);
	struct iovec v[] = {{text, q->bytes / 3}, {NULL, 0}, {text, q->bytes - q->bytes / 3}};
	q->result = stream_sendv(q->s, v, 3, q->deadline_ns);
	free(text);
}

static void body_gather(void *arg)
{
	enum { N = 100 };
	struct pair p = make_pair();
	static struct sender q[N];
	struct group g;
	size_t at = 0;
	group_init(&g);
	for (int i = 0; i < N; i++) {
		q[i] = (struct sender){
			p.s, (char)(' ' + i % 90), (size_t)(1 + i * 37), DEADLINE_NONE, 1};
		EXPECT_INT(group_spawn(&g, "send", FIBER_SMALL, send_letters, &q[i]), 0);
	}
	for (int i = 0; i < N; at++) {
		char c;
		EXPECT_INT(rt_recv(p.peer, &c, 1, 0, deadline_in_ms(10000)), 1);
		EXPECT_INT(c, ' ' + i % 90);
		if (at + 1 == q[i].bytes) {
			i++;
			at = (size_t)-1;
		}
	}
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	for (int i = 0; i < N; i++)
		EXPECT_INT(q[i].result, 0);
	EXPECT_INT(stream_send(p.s, (struct span){0}, DEADLINE_NONE), 0);
	drop_pair(&p);
}

static void sends_are_gathered_and_never_mixed(void **state)
{
	in_fiber(body_gather);
}

/* A first sender fills the socket, a second one waits behind it. */
static void start_stuck_senders(struct pair *p, struct group *g, struct sender q[2])
{
	group_init(g);
	q[0] = (struct sender){p->s, 'a', 4 << 20, DEADLINE_NONE, 1};
	q[1] = (struct sender){p->s, 'b', 10, deadline_in_ms(5), 1};
	EXPECT_INT(group_spawn(g, "big", FIBER_SMALL, send_letters, &q[0]), 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(1)), 0);
	EXPECT_INT(group_spawn(g, "small", FIBER_SMALL, send_letters, &q[1]), 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(10)), 0);
}

static void body_send_queue(void *arg)
{
	struct pair p = make_pair();
	struct sender q[2];
	struct group g;
	static char got[65536];
	start_stuck_senders(&p, &g, q);
	/* Nothing of the second had left: it times out and the stream is well. */
	EXPECT_INT(q[1].result, -ETIME);
	EXPECT_INT(q[0].result, 1);
	ssize_t sum = 0;
	while (sum < 4 << 20) {
		ssize_t n = rt_recv(p.peer, got, sizeof(got), 0, deadline_in_ms(10000));
		EXPECT(n > 0 && memchr(got, 'b', (size_t)n) == NULL);
		sum += n > 0 ? n : 4 << 20;
	}
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	EXPECT_INT(q[0].result, 0);
	EXPECT_INT(stream_send(p.s, SPAN("more"), DEADLINE_NONE), 0);
	drop_pair(&p);
}

static void a_queued_send_can_be_given_up(void **state)
{
	in_fiber(body_send_queue);
}

static void body_half_sent(void *arg)
{
	struct pair p = make_pair();
	struct sender q[2];
	struct group g;
	start_stuck_senders(&p, &g, q);
	group_close(&g);
	EXPECT_INT(q[0].result, -ECANCELED);
	/* Half a message is on the wire: nothing may follow it. */
	EXPECT_INT(stream_send(p.s, SPAN("more"), DEADLINE_NONE), -EPIPE);
	drop_pair(&p);
}

static void a_half_sent_message_ends_the_stream(void **state)
{
	in_fiber(body_half_sent);
}

static void body_gone(void *arg)
{
	struct pair p = make_pair();
	close(p.peer);
	p.peer = -1;
	EXPECT_INT(stream_send(p.s, SPAN("x"), DEADLINE_NONE), -EPIPE);
	EXPECT_INT(stream_send(p.s, SPAN("x"), DEADLINE_NONE), -EPIPE);
	EXPECT(peek(&p, 0).n == 0);
	drop_pair(&p);
	stream_stop(NULL);
}

static void a_gone_peer_fails_the_stream(void **state)
{
	in_fiber(body_gone);
}

static void body_too_many(void *arg)
{
	struct pair p[8];
	int fds[2];
	struct stream *s;
	for (int i = 0; i < 8; i++)
		p[i] = make_pair();
	socket_pair(fds);
	EXPECT_INT(stream_start(fds[0], &s), -ENOBUFS);
	rt_close(fds[1]);
	for (int i = 0; i < 8; i++)
		drop_pair(&p[i]);
	p[0] = make_pair();
	drop_pair(&p[0]);
}

static void the_number_of_streams_is_bounded(void **state)
{
	struct rt_options options = {.workers = 1, .max_fibers = 8};
	in_fiber_with(&options, body_too_many, NULL);
}

/* Stopping in the middle of traffic, in every phase of it. */
static void body_stop(void *arg)
{
	for (int turns = 0; turns < 30; turns++) {
		struct pair p = make_pair();
		if (turns % 3)
			peer_says(&p, "something");
		if (turns % 3 == 2)
			EXPECT(write(p.peer, "unread", 6) == 6);
		for (int i = 0; i < turns / 3; i++)
			fiber_yield();
		drop_pair(&p);
	}
	EXPECT_INT(worker_current->streams, 0);
	EXPECT_INT(worker_current->bufs.out, 0);
}

static void a_stream_stops_at_any_time(void **state)
{
	in_fiber(body_stop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(views_show_what_was_not_consumed),
		cmocka_unit_test(a_view_holds_while_more_arrives),
		cmocka_unit_test(the_end_is_told_after_the_last_bytes),
		cmocka_unit_test(receiving_pauses_when_nobody_reads),
		cmocka_unit_test(unread_streams_do_not_hoard_buffers),
		cmocka_unit_test(starved_streams_go_on),
		cmocka_unit_test(long_pieces_are_received_in_their_place),
		cmocka_unit_test(a_piece_that_does_not_come_is_an_error),
		cmocka_unit_test(sends_are_gathered_and_never_mixed),
		cmocka_unit_test(a_queued_send_can_be_given_up),
		cmocka_unit_test(a_half_sent_message_ends_the_stream),
		cmocka_unit_test(a_gone_peer_fails_the_stream),
		cmocka_unit_test(the_number_of_streams_is_bounded),
		cmocka_unit_test(a_stream_stops_at_any_time),
	};
	return cmocka_run_group_tests_name("rt", tests, NULL, NULL);
}
