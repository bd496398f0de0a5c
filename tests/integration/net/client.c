/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The client as a command: makes the call that its arguments describe, `--repeat` times, and prints
 * "status N", a line per event, or the body; "error NAME: message" if a call fails.
 */
#include "daemon/net/net.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
	struct http_call call;
	struct tls_client_options tls;
	struct tls_client *tls_client;
	struct http_header headers[8];
	int64_t deadline_ms;
	int repeat;
	int64_t pause_ms;
	bool events;
	bool quiet;
	int result;
} settings = {.deadline_ms = 5000, .repeat = 1};

static int print_events(struct http_client *c, struct arena *a)
{
	struct http_exchange *x;
	struct sse_event e;
	int r = http_open(c, a, &settings.call, &x);

	if (r < 0)
		return err_trace(r);
	printf("status %d\n", http_exchange_head(x)->status);
	while ((r = http_exchange_event(x, &e)) == 0)
		printf("event type=" SPAN_FMT " id=" SPAN_FMT " data=" SPAN_FMT "\n",
			SPAN_ARG(e.type), SPAN_ARG(e.id), SPAN_ARG(e.data));
	http_exchange_close(x);
	return r < 0 ? err_trace(r) : 0;
}

static int print_answer(struct http_client *c, struct arena *a)
{
	struct http_answer *answer;
	int r = http_call(c, a, &settings.call, &answer);

	if (r < 0)
		return err_trace(r);
	printf("status %d\n", answer->status);
	if (settings.quiet)
		printf("%zu bytes\n", answer->body.n);
	else
		fwrite(answer->body.p, 1, answer->body.n, stdout);
	return 0;
}

static void call(void *arg)
{
	struct http_client_options options = {.tls = settings.tls_client};
	struct http_client *c = NULL;
	struct arena *a = arena_new(256 << 20);
	int r = http_client_start(&options, &c);

	for (int i = 0; r == 0 && i < settings.repeat; i++) {
		if (i && settings.pause_ms)
			r = rt_sleep_until(deadline_in_ms(settings.pause_ms));
		arena_reset(a);
		settings.call.deadline_ns = deadline_in_ms(settings.deadline_ms);
		r = settings.events ? print_events(c, a) : print_answer(c, a);
	}
	if (r < 0)
		printf("error %s: %s\n", err_name(r), err_message(r));
	settings.result = r < 0;
	err_clear();
	http_client_stop(c);
	arena_free(a);
}

static void add_header(const char *text)
{
	const char *colon = strchr(text, ':');

	CHECK(colon && settings.call.header_count < (int)ARRAY_LEN(settings.headers));
	settings.headers[settings.call.header_count++] = (struct http_header){
		span_of(text, (size_t)(colon - text)), span_trim(span_cstr(colon + 1))};
}

static void parse(int argc, char **argv)
{
	settings.call.url = argv[1];
	settings.call.headers = settings.headers;
	for (int i = 2; i + 1 < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];

		if (strcmp(name, "--method") == 0)
			settings.call.method = value;
		else if (strcmp(name, "--unix") == 0)
			settings.call.unix_path = value;
		else if (strcmp(name, "--data") == 0)
			settings.call.body = span_cstr(value);
		else if (strcmp(name, "--header") == 0)
			add_header(value);
		else if (strcmp(name, "--ca") == 0)
			settings.tls.ca_file = value;
		else if (strcmp(name, "--certificate") == 0)
			settings.tls.certificate_file = value;
		else if (strcmp(name, "--max") == 0)
			settings.call.max_answer_bytes = (size_t)strtoll(value, NULL, 10);
		else if (strcmp(name, "--deadline-ms") == 0)
			settings.deadline_ms = strtoll(value, NULL, 10);
		else if (strcmp(name, "--silence-ms") == 0)
			settings.call.silence_ms = strtoll(value, NULL, 10);
		else if (strcmp(name, "--repeat") == 0)
			settings.repeat = (int)strtol(value, NULL, 10);
		else if (strcmp(name, "--pause-ms") == 0)
			settings.pause_ms = strtoll(value, NULL, 10);
		else if (strcmp(name, "--events") == 0)
			settings.events = true;
		else if (strcmp(name, "--quiet") == 0)
			settings.quiet = true;
	}
}

/* `call` needs the large stack, for TLS. */
static void run(void *arg)
{
	struct group g;

	group_init(&g);
	if (group_spawn(&g, "call", FIBER_LARGE, call, NULL) < 0 ||
		group_join(&g, DEADLINE_NONE) < 0)
		settings.result = 1;
	group_close(&g);
}

int main(int argc, char **argv)
{
	int r;

	CHECK(argc > 1);
	parse(argc, argv);
	log_setup(LOG_INFO, LOG_TEXT, "net-test-client");
	r = tls_client_new(&settings.tls, &settings.tls_client);
	if (r == 0)
		r = rt_run(&(struct rt_options){.workers = 1}, run, NULL);
	if (r < 0)
		printf("error %s: %s\n", err_name(r), err_message(r));
	tls_client_unref(settings.tls_client);
	return r < 0 || settings.result;
}
