/* SPDX-License-Identifier: AGPL-3.0-only */
/* What every verb needs: its options, files to read, and failures in words and exit codes. */
#include "tools/aegis/cli.h"
#include <errno.h>
#include <stdio.h>

static const char *program_name = "aegis";

void cli_name_program(const char *name)
{
	program_name = name;
}

int cli_fail(int code, const char *fmt, ...)
{
	fflush(stdout);
	fprintf(stderr, "%s: ", program_name);
	va_list args;
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

static int exit_code(int r)
{
	switch (-r) {
	case ENOENT:
		return CLI_NOT_FOUND;
	case EACCES:
	case EPERM:
		return CLI_DENIED;
	case EEXIST:
	case EADDRINUSE:
		return CLI_CONFLICT;
	case EINVAL:
	case E2BIG:
	case ERANGE:
	case ENOTDIR:
	case EISDIR:
	case ENAMETOOLONG:
	case EADDRNOTAVAIL:
		return CLI_INVALID;
	case ECONNREFUSED:
	case EPIPE:
	case ETIMEDOUT:
		return CLI_UNREACHABLE;
	default:
		return CLI_INTERNAL;
	}
}

int cli_fail_errno(int r)
{
	int code = exit_code(r);

	cli_fail(code, "%s", err_message(r));
	err_clear();
	return code;
}

int cli_read(const char *path, struct buf *b)
{
	int r = fd_read_file(strcmp(path, "-") == 0 ? "/dev/stdin" : path, b);
	return r < 0 ? cli_fail_errno(r) : CLI_OK;
}

const char *cli_value(const struct cli *c, const char *name)
{
	for (int i = 0; c->verb->options && c->verb->options[i].name; i++)
		if (strcmp(c->verb->options[i].name, name) == 0)
			return c->values[i];
	CHECK(false);
}
