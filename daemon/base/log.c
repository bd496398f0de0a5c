/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Log lines. One line is one write(2), so lines of several threads never mix, and nothing in a
 * message can start a line of its own: control characters and bad UTF-8 are made visible. A line
 * is built in the thread's own memory: logging that memory has run out must not need any.
 */
#include "daemon/base/log.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/json.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 4096, LINE_BYTES = 6 * MESSAGE_BYTES + 1024 };

static enum log_level least = LOG_INFO;
static enum log_format format = LOG_TEXT;
static const char *program = "aegis";

static _Thread_local struct log_context own;
static _Thread_local struct log_context *current;
static _Thread_local char message_memory[MESSAGE_BYTES];
static _Thread_local char line_memory[LINE_BYTES + 1];

static const char *const level_names[] = {
	[LOG_DEBUG] = "debug",
	[LOG_INFO] = "info",
	[LOG_WARN] = "warn",
	[LOG_ERROR] = "error",
};

void log_setup(enum log_level least_level, enum log_format f, const char *program_name)
{
	least = least_level;
	format = f;
	program = program_name;
}

bool log_enabled(enum log_level level)
{
	return level >= least;
}

struct log_context *log_context(void)
{
	return current ? current : &own;
}

struct log_context *log_context_switch(struct log_context *c)
{
	struct log_context *former = log_context();
	current = c;
	return former;
}

int log_level_parse(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		if (strcmp(name, level_names[i]) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	return err_raise(
		-EINVAL, "log level \"%s\": debug, info, warn and error are accepted", name);
}

/* The message with everything that is not printable text replaced. */
static void put_visible(struct buf *b, struct span s)
{
	while (s.n > 0) {
		ssize_t bad = span_utf8_bad(s);
		size_t good = bad < 0 ? s.n : (size_t)bad;
		for (size_t i = 0; i < good; i++) {
			unsigned char c = (unsigned char)s.p[i];
			if (c == '\n')
				buf_puts(b, "\\n");
			else if (c < 0x20 || c == 0x7f)
				buf_printf(b, "\\x%02x", c);
			else
				buf_putc(b, (char)c);
		}
		if (bad >= 0)
			buf_printf(b, "\\x%02x", (unsigned char)s.p[good]);
		s = span_sub(s, good + (bad >= 0), s.n);
	}
}

static void text_line(struct buf *b, const char *time, enum log_level level, const char *file,
	int line, struct span message)
{
	const struct log_context *c = log_context();
	buf_printf(b, "%s %-5s %s: ", time, level_names[level], program);
	put_visible(b, message);
	if (c->execution_id[0])
		buf_printf(b, " execution=%s", c->execution_id);
	if (c->call_id[0])
		buf_printf(b, " call=%s", c->call_id);
	buf_printf(b, " (%s:%d)\n", file, line);
}

static void json_line(struct buf *b, const char *time, enum log_level level, const char *file,
	int line, struct span message)
{
	const struct log_context *c = log_context();
	struct json_writer w = json_writer(b);
	json_object(&w);
	json_field_cstr(&w, "time", time);
	json_field_cstr(&w, "level", level_names[level]);
	json_field_cstr(&w, "program", program);
	json_field_span(&w, "message", message);
	if (c->execution_id[0])
		json_field_cstr(&w, "execution_id", c->execution_id);
	if (c->call_id[0])
		json_field_cstr(&w, "call_id", c->call_id);
	json_field_cstr(&w, "file", file);
	json_field_i64(&w, "line", line);
	json_end(&w);
	buf_putc(b, '\n');
}

void log_at(enum log_level level, const char *file, int line, const char *fmt, ...)
{
	char time[CLOCK_RFC3339_BYTES];
	va_list args;
	if (!log_enabled(level))
		return;
	int saved = errno;
	va_start(args, fmt);
	int n = vsnprintf(message_memory, sizeof(message_memory), fmt, args);
	va_end(args);
	struct span message =
		span_of(message_memory, n < 0 ? 0 : MIN((size_t)n, sizeof(message_memory) - 1));
	clock_rfc3339(clock_wall_ns(), 3, time);
	/* Never grows: the memory is as large as the largest line. */
	struct buf b = {.data = line_memory, .cap = LINE_BYTES, .max = LINE_BYTES};
	(format == LOG_JSON ? json_line : text_line)(&b, time, level, file, line, message);
	while (b.len > 0) {
		ssize_t wrote = write(STDERR_FILENO, b.data, b.len);
		if (wrote < 0 && errno != EINTR)
			break;
		buf_consume(&b, wrote > 0 ? (size_t)wrote : 0);
	}
	errno = saved;
}
