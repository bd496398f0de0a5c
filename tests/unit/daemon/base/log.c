/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static int real_stderr = -1;
static struct arena *arena;

static int catch_stderr(void **state)
{
	arena = arena_new(1 << 20);
	real_stderr = dup(STDERR_FILENO);
	int fd = memfd_create("stderr", 0);
	dup2(fd, STDERR_FILENO);
	close(fd);
	*log_context() = (struct log_context){{0}, {0}};
	return arena && real_stderr >= 0 ? 0 : -1;
}

/* What was written since catch_stderr. */
static const char *caught(void)
{
	off_t size = lseek(STDERR_FILENO, 0, SEEK_END);
	char *text = arena_bytes(arena, (size_t)size + 1);
	assert_int_equal(pread(STDERR_FILENO, text, (size_t)size, 0), size);
	text[size] = '\0';
	return text;
}

static int release_stderr(void **state)
{
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	arena = arena_free(arena);
	log_setup(LOG_INFO, LOG_TEXT, "aegis");
	return 0;
}

static void text_lines(void **state)
{
	log_setup(LOG_INFO, LOG_TEXT, "aegisd");
	snprintf(log_context()->execution_id, 37, "e-1");
	log_warn("disk %d%% full", 90);
	const char *line = caught();
	int64_t when;
	assert_int_equal(clock_parse_rfc3339(span_of(line, 24), &when), 0);
	assert_true(clock_wall_ns() - when < 60 * NS_PER_S);
	assert_non_null(strstr(line, "Z warn  aegisd: disk 90% full execution=e-1 ("));
	assert_non_null(strstr(line, "log.c:"));
	assert_null(strstr(line, "call="));
	assert_int_equal(line[strlen(line) - 1], '\n');
}

static void a_message_cannot_forge_a_line(void **state)
{
	log_setup(LOG_INFO, LOG_TEXT, "aegisd");
	log_info("%s", "a\nb\x1b[0m\r\xff\xc3\xa9\x7f");
	const char *line = caught();
	assert_non_null(strstr(line, "a\\nb\\x1b[0m\\x0d\\xff\xc3\xa9\\x7f ("));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void json_lines(void **state)
{
	const struct json *v;
	log_setup(LOG_DEBUG, LOG_JSON, "aegisd");
	snprintf(log_context()->execution_id, 37, "e-1");
	snprintf(log_context()->call_id, 37, "c-2");
	log_debug("say \"%s\"\n", "hi\xff");
	assert_int_equal(json_parse(arena, span_cstr(caught()), NULL, &v), 0);
	assert_true(span_is(json_str(v, "level", SPAN("")), "debug"));
	assert_true(span_is(json_str(v, "program", SPAN("")), "aegisd"));
	assert_true(span_is(json_str(v, "message", SPAN("")), "say \"hi\xef\xbf\xbd\"\n"));
	assert_true(span_is(json_str(v, "execution_id", SPAN("")), "e-1"));
	assert_true(span_is(json_str(v, "call_id", SPAN("")), "c-2"));
	assert_true(span_ends(json_str(v, "file", SPAN("")), SPAN("log.c")));
	assert_true(json_i64(v, "line", 0) > 0);
}

static void levels_below_the_least_are_silent(void **state)
{
	log_setup(LOG_WARN, LOG_TEXT, "aegisd");
	log_debug("no");
	log_info("no");
	assert_string_equal(caught(), "");
	assert_false(log_enabled(LOG_INFO));
	assert_true(log_enabled(LOG_ERROR));
	log_error("yes");
	assert_non_null(strstr(caught(), "yes"));
}

static void the_longest_message_is_one_whole_line(void **state)
{
	static char text[20000];
	const struct json *v;
	memset(text, 1, sizeof(text) - 1); /* each byte becomes \u0001 */
	log_setup(LOG_INFO, LOG_JSON, "aegisd");
	log_info("%s", text);
	assert_int_equal(json_parse(arena, span_cstr(caught()), NULL, &v), 0);
	assert_int_equal(json_str(v, "message", SPAN("")).n, 4095);
}

static void errno_survives(void **state)
{
	errno = ENOTTY;
	log_info("x");
	assert_int_equal(errno, ENOTTY);
}

static void an_error_is_logged_with_its_trail_once(void **state)
{
	log_setup(LOG_INFO, LOG_TEXT, "aegisd");
	int r = err_trace(err_raise(-EIO, "disk burns"));
	err_log(r, "volume");
	const char *line = caught();
	assert_non_null(strstr(line, "error aegisd: volume: disk burns (EIO) ["));
	assert_non_null(strstr(line, " < "));
	assert_string_equal(err_message(r), "Input/output error");
	err_log(-ETIME, "model");
	assert_non_null(strstr(caught(), "model: Timer expired (ETIME)"));
}

static void contexts_switch(void **state)
{
	struct log_context c = {"e-9", ""};
	struct log_context *former = log_context_switch(&c);
	log_setup(LOG_INFO, LOG_TEXT, "aegisd");
	log_info("inside");
	assert_ptr_equal(log_context_switch(former), &c);
	log_info("outside");
	const char *text = caught();
	assert_non_null(strstr(text, "inside execution=e-9"));
	assert_null(strstr(strstr(text, "outside"), "execution="));
}

static void level_names(void **state)
{
	enum log_level level = LOG_INFO;
	assert_int_equal(log_level_parse("error", &level), 0);
	assert_int_equal(level, LOG_ERROR);
	assert_int_equal(log_level_parse("Debug", &level), -EINVAL);
	assert_int_equal(level, LOG_ERROR);
	assert_non_null(strstr(err_message(-EINVAL), "debug, info, warn and error are accepted"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, catch_stderr, release_stderr)
	const struct CMUnitTest tests[] = {
		CASE(text_lines),
		CASE(a_message_cannot_forge_a_line),
		CASE(json_lines),
		CASE(levels_below_the_least_are_silent),
		CASE(the_longest_message_is_one_whole_line),
		CASE(errno_survives),
		CASE(an_error_is_logged_with_its_trail_once),
		CASE(contexts_switch),
		CASE(level_names),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
