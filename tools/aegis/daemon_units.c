/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/daemon_units.h"

/* A command line, each word quoted as systemd.syntax(7) has it. */
static void put_command(struct buf *b, const char *const *argv)
{
	for (int i = 0; argv[i]; i++) {
		buf_puts(b, i ? " \"" : "\"");
		for (const char *c = argv[i]; *c; c++) {
			if (*c == '"' || *c == '\\')
				buf_putc(b, '\\');
			if (*c == '%' || *c == '$')
				buf_putc(b, *c);
			buf_putc(b, *c);
		}
		buf_putc(b, '"');
	}
}

int daemon_unit_write(const struct daemon_plan *p, const struct daemon_unit *u, struct buf *b)
{
	char program[4200], bootstrap[4200];
	const char *argv[DAEMON_ARGS_MAX];
	enum daemon_name which =
		strcmp(u->name, "aegisd.service") == 0 ? DAEMON_AEGISD : DAEMON_HELPER;
	if (!daemon_program(p, daemon_names[which], program, sizeof(program)) ||
		!daemon_program(p, "aegis-bootstrap", bootstrap, sizeof(bootstrap)))
		return cli_fail(CLI_NOT_FOUND,
			"%s and aegis-bootstrap are neither beside this "
			"program nor in PATH",
			daemon_names[which]);
	daemon_args(p, which, program, bootstrap, argv);

	static const char mark[] = "@COMMAND@";
	const char *at = strstr(u->text, mark);
	CHECK(at);
	buf_put(b, u->text, (size_t)(at - u->text));
	put_command(b, argv);
	buf_puts(b, at + sizeof(mark) - 1);
	return CLI_OK;
}
