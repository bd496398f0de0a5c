/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/execution/expect.h"
#include <stdio.h>

void expect_text(
	const char *actual, const char *wanted, const char *what, const char *file, int line)
{
	if (strcmp(actual, wanted) == 0)
		return;
	static char text[16384];
	snprintf(text, sizeof(text), "%s is\n%.7000s\nnot\n%.7000s", what, actual, wanted);
	print_message("%s:%d: %s\n", file, line, text);
	expect_failed(what, file, line);
}

const char *output_of(struct bench *b, struct uuid id)
{
	return arena_cstr(b->arena, row_of(b, id).final_output);
}

const char *error_of(struct bench *b, struct uuid id)
{
	return arena_cstr(b->arena, row_of(b, id).error_message);
}
