/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The trail of the failure that is under way. There is one per thread of execution: a thread has
 * its own from the start, a fiber gets one from the runtime, which switches `current` whenever it
 * switches stacks. Success never touches it.
 *
 * A trail belongs to a code only while both agree: a function that starts no trail (an await, a
 * codec) may return -EINVAL while an older, handled -EIO is still written here, and must not be
 * explained by it.
 */
#include "daemon/base/err.h"
#include "daemon/base/check.h"
#include "daemon/base/log.h"
#include "daemon/base/trail.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct err_trail own;
static _Thread_local struct err_trail *current;
static _Thread_local char number_text[32];

static struct err_trail *trail(void)
{
	return __builtin_expect(current != NULL, 1) ? current : &own;
}

struct err_trail *err_trail_switch(struct err_trail *t)
{
	struct err_trail *former = trail();
	current = t;
	return former;
}

const char *err_name(int code)
{
	if (code == INT32_MIN)
		return "E?";
	code = abs(code);
	const char *name = code == 0 ? "0" : strerrorname_np(code);
	if (name)
		return name;
	snprintf(number_text, sizeof(number_text), "E%d", code);
	return number_text;
}

static const char *errno_text(int r)
{
	const char *text = r < 0 && r > INT32_MIN ? strerrordesc_np(-r) : NULL;
	return text ? text : err_name(r);
}

/* Drops a UTF-8 sequence that the end of the message cut in two. */
static void mend_end(char *message, size_t len)
{
	size_t start = len;
	while (start > 0 && len - start < 3 && ((unsigned char)message[start - 1] & 0xc0) == 0x80)
		start--;
	if (start == 0)
		return;
	unsigned char lead = (unsigned char)message[start - 1];
	size_t whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	if (whole > len - start + 1)
		message[start - 1] = '\0';
}

static void set_message(struct err_trail *t, const char *text)
{
	size_t len = strlen(text);
	bool cut = len >= sizeof(t->message);
	if (cut)
		len = sizeof(t->message) - 1;
	memcpy(t->message, text, len);
	t->message[len] = '\0';
	if (cut)
		mend_end(t->message, len);
}

static void add_place(struct err_trail *t, const char *file, const char *func, int line)
{
	if (t->place_count < ERR_TRAIL_PLACES)
		t->places[t->place_count] = (struct err_place){file, func, line};
	t->place_count++;
}

static struct err_trail *begin(int code, const char *text)
{
	struct err_trail *t = trail();
	t->code = code;
	t->place_count = 0;
	set_message(t, text);
	return t;
}

/* Room for the message and a little more, so that set_message sees that something was cut. */
enum { SCRATCH_BYTES = ERR_MESSAGE_BYTES + 8 };

int err_raise_at(int code, const char *file, const char *func, int line, const char *fmt, ...)
{
	/* Formatted aside: the arguments may be the old message. */
	char text[SCRATCH_BYTES];
	va_list args;
	CHECK(code < 0);
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	add_place(begin(code, text), file, func, line);
	return code;
}

int err_sys_at(int code, const char *file, const char *func, int line, const char *fmt, ...)
{
	char text[SCRATCH_BYTES];
	va_list args;
	CHECK(code < 0);
	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(text))
		snprintf(text + n, sizeof(text) - (size_t)n, ": %s", errno_text(code));
	add_place(begin(code, text), file, func, line);
	return code;
}

int err_wrap_at(int r, const char *file, const char *func, int line, const char *fmt, ...)
{
	char text[SCRATCH_BYTES];
	va_list args;
	if (r >= 0)
		return r;
	struct err_trail *t = trail();
	if (t->code != r)
		t = begin(r, errno_text(r));
	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(text))
		snprintf(text + n, sizeof(text) - (size_t)n, ": %s", t->message);
	set_message(t, text);
	add_place(t, file, func, line);
	return r;
}

int err_trace_at(int r, const char *file, const char *func, int line)
{
	if (r >= 0)
		return r;
	struct err_trail *t = trail();
	if (t->code != r)
		t = begin(r, errno_text(r));
	add_place(t, file, func, line);
	return r;
}

const char *err_message(int r)
{
	struct err_trail *t = trail();
	return r < 0 && t->code == r ? t->message : errno_text(r);
}

void err_clear(void)
{
	struct err_trail *t = trail();
	t->code = 0;
	t->place_count = 0;
	t->message[0] = '\0';
}

size_t trail_places_text(char *ret, size_t bytes)
{
	const struct err_trail *t = trail();
	size_t n = 0;
	if (bytes > 0)
		ret[0] = '\0';
	for (int i = 0; i < MIN(t->place_count, (int)ERR_TRAIL_PLACES) && n < bytes; i++) {
		const struct err_place *p = &t->places[i];
		int added = snprintf(ret + n, bytes - n, "%s%s:%d %s", i ? " < " : "", p->file,
			p->line, p->func);
		n += added > 0 ? (size_t)added : 0;
	}
	if (t->place_count > ERR_TRAIL_PLACES && n < bytes) {
		int added = snprintf(
			ret + n, bytes - n, " < %d more", t->place_count - ERR_TRAIL_PLACES);
		n += added > 0 ? (size_t)added : 0;
	}
	return MIN(n, bytes ? bytes - 1 : 0);
}

void err_log(int r, const char *what)
{
	struct err_trail *t = trail();
	char places[1024];
	if (t->code != r || t->place_count == 0) {
		log_error("%s: %s (%s)", what, errno_text(r), err_name(r));
	} else {
		trail_places_text(places, sizeof(places));
		log_at(LOG_ERROR, t->places[0].file, t->places[0].line, "%s: %s (%s) [%s]", what,
			t->message, err_name(r), places);
	}
	err_clear();
}
