/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The end of a program that found a bug in itself. It writes with write(2) alone: the allocator
 * and the log may be what is broken.
 */
#include "daemon/base/check.h"
#include "daemon/base/log.h"
#include "daemon/base/trail.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void check_failed(const char *cond, const char *file, int line)
{
	char text[2048];
	const struct log_context *c = log_context();
	int n = snprintf(text, sizeof(text),
		"%s:%d: CHECK failed: %s (execution %s, call %s)\nerror trail: ", file, line, cond,
		c->execution_id[0] ? c->execution_id : "none", c->call_id[0] ? c->call_id : "none");
	size_t len = n < 0 ? 0 : MIN((size_t)n, sizeof(text) - 2);
	len += trail_places_text(text + len, sizeof(text) - len - 1);
	text[len++] = '\n';
	for (size_t done = 0; done < len;) {
		ssize_t wrote = write(STDERR_FILENO, text + done, len - done);
		if (wrote <= 0)
			break;
		done += (size_t)wrote;
	}
	abort();
}
