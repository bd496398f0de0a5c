/* SPDX-License-Identifier: AGPL-3.0-only */
/* A tool server that lives in a fiber and misbehaves in the one way that it is told. */
#pragma once

#include "daemon/toolserver/internal.h"
#include "tests/unit/daemon/rt/in_fiber.h"

enum fake_mode {
	FAKE_GOOD,
	FAKE_SILENT, /* answers nothing */
	FAKE_GARBAGE, /* lines that are no message, without end */
	FAKE_CHATTY, /* a few such lines, then good */
	FAKE_ENDLESS_LINE,
	FAKE_EXITS,
	FAKE_EXITS_WHEN_CALLED,
	FAKE_OTHER_VERSION,
	FAKE_REFUSES,
	FAKE_TWICE, /* every answer comes twice, and one with a number that nobody used */
	FAKE_FLOODS, /* notifications without end, once it is called */
	FAKE_TOO_MANY_TOOLS,
	FAKE_TOO_MANY_BAD_TOOLS, /* none of which can be taken */
	FAKE_CURSOR_LOOPS,
	FAKE_ENDLESS_PAGES,
	FAKE_BAD_TOOLS, /* one good tool among others that cannot be taken */
	FAKE_NO_ARRAY,
	FAKE_ASKS, /* requests of its own before each answer */
	FAKE_SICK, /* no health check is answered */
	FAKE_SICK_ONCE,
	FAKE_SLOW, /* calls are not answered */
	FAKE_RESULT_NO_OBJECT,
	FAKE_NO_TOOLS, /* does not claim to have any */
	FAKE_HALF_LINE, /* ends in the middle of its answer */
};

struct fake {
	enum fake_mode mode;
	int good_after; /* lives; 0: never */
	/* What came of it: */
	int starts, stops;
	int pings, cancelled;
	int ping_answered, asked_refused;
	/* private */
	struct group group;
	int fd;
};

struct tool_launcher fake_launcher(struct fake *f);
