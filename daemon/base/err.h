/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Errors. Every function that can fail returns int: 0 is success; a negative errno is unexpected
 * and is forwarded; a positive value is an outcome that the function's own header defines and
 * that its direct caller handles.
 *
 * A failure begins with err_raise(), which starts a trail (message, code, place), and is forwarded
 * with err_trace(), which adds its place. Whoever ends the failure (the top of a fiber, the code
 * that answers a request) reads err_message() or calls err_log() and then err_clear().
 *
 *	int r = volume_open(v);
 *	if (r < 0)
 *		return err_trace(r);
 *	...
 *	if (size > LIMIT_BODY_BYTES)
 *		return err_raise(-E2BIG, "body of %zu bytes; at most %d are accepted", size,
 *			LIMIT_BODY_BYTES);
 */
#pragma once

#include "daemon/base/annotate.h"
#include <errno.h>

enum {
	ERR_TRAIL_PLACES = 16,
	ERR_MESSAGE_BYTES = 512,
};

struct err_place {
	const char *file;
	const char *func;
	int line;
};

/* One trail per thread of execution: the runtime gives each fiber its own (see err_trail_switch).
 */
struct err_trail {
	int code; /* negative errno, 0 while there is no failure */
	int place_count; /* may exceed ERR_TRAIL_PLACES: the places beyond are counted, not kept */
	struct err_place places[ERR_TRAIL_PLACES]; /* [0] is where it was raised */
	char message[ERR_MESSAGE_BYTES]; /* UTF-8, cut at the end if longer */
};

/* What these functions promise (a negative code, which err_raise_at CHECKs), told to compilers and
 * analyzers. */
#define err_negative_(call) \
	({ \
		int negative_ = (call); \
		if (negative_ >= 0) \
			__builtin_unreachable(); \
		negative_; \
	})

/* Start a trail and return `code` (negative). An older trail is replaced. */
#define err_raise(code, ...) \
	err_negative_(err_raise_at((code), __FILE__, __func__, __LINE__, __VA_ARGS__))

/* Start a trail from a failed system call: ": " and the text of errno `-code` end the message. */
#define err_sys(code, ...) \
	err_negative_(err_sys_at((code), __FILE__, __func__, __LINE__, __VA_ARGS__))

/* Add this place to the trail and return `r`. Does nothing if r >= 0. */
#define err_trace(r) \
	({ \
		int traced_ = (r); \
		__builtin_expect(traced_ < 0, 0) \
			? err_negative_(err_trace_at(traced_, __FILE__, __func__, __LINE__)) \
			: traced_; \
	})

/* Put words and ": " in front of the message (err_wrap(r, "%s", "agent.yaml"), add this place, and
 * return `r`. */
#define err_wrap(r, ...) err_wrap_at((r), __FILE__, __func__, __LINE__, __VA_ARGS__)

/* The message of the current failure, or the text of its errno, never NULL. Valid until the next
 * err_ call on this fiber. */
const char *err_message(int r);

/* Log the trail at error level, with `what` in front, and clear it. */
void err_log(int r, const char *what);
void err_clear(void);

/* Name of an errno ("ENOENT"), "E<number>" if unknown. */
const char *err_name(int code);

/* Install `trail` as the current one and return the former. For daemon/rt at a fiber switch. */
struct err_trail *err_trail_switch(struct err_trail *trail);

COLD int err_raise_at(int code, const char *file, const char *func, int line, const char *fmt, ...)
	PRINTF_LIKE(5, 6) MUST_USE;
COLD int err_sys_at(int code, const char *file, const char *func, int line, const char *fmt, ...)
	PRINTF_LIKE(5, 6) MUST_USE;
COLD int err_wrap_at(int r, const char *file, const char *func, int line, const char *fmt, ...)
	PRINTF_LIKE(5, 6) MUST_USE;
int err_trace_at(int r, const char *file, const char *func, int line) MUST_USE;
