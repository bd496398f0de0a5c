/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Structured log lines on stderr, each with the execution and call it belongs to. A log line is for
 * operators; what must be provable goes to the audit journal instead.
 *
 *	TEXT  2026-02-17T14:32:01.123Z warn  aegisd: MESSAGE execution=ID call=ID (FILE:LINE)
 *	JSON  {"time","level","program","message","execution_id","call_id","file","line"}
 *
 * Ids are left out where there are none. A message is cut at 4095 bytes; control characters and
 * bytes that are not UTF-8 are made visible, so that one call is always one line.
 */
#pragma once

#include "daemon/base/annotate.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

/* What the current fiber works on. daemon/rt gives each fiber its own (see log_context_switch). */
struct log_context {
	char execution_id[37]; /* "" if none */
	char call_id[37]; /* "" if none */
};

/* Before other threads start. `program` is kept, not copied. */
void log_setup(enum log_level least, enum log_format format, const char *program);
bool log_enabled(enum log_level level);
struct log_context *log_context(void); /* of the current fiber or thread; fields may be set */
struct log_context *log_context_switch(struct log_context *c); /* returns the former */

#define log_debug(...) log_at(LOG_DEBUG, __FILE__, __LINE__, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __FILE__, __LINE__, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __FILE__, __LINE__, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __FILE__, __LINE__, __VA_ARGS__)

void log_at(enum log_level level, const char *file, int line, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
int log_level_parse(const char *name, enum log_level *ret) MUST_USE; /* debug info warn error */
