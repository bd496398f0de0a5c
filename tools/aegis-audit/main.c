/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * aegis-audit: watch, search and prove what agents did. It reads the journal's files and nothing
 * else, so it works on a copy, on another machine, and while the daemon is writing.
 */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const char default_dir[] = "/var/lib/aegis/audit";

static const char usage_text[] =
	"Usage: aegis-audit [OPTION]... VERB [ARGUMENT]\n"
	"\n"
	"Watch, search and prove what the audit journal holds. Reads files only: works\n"
	"offline, on a copy, and beside a running daemon.\n"
	"\n"
	"Verbs:\n"
	"  tail             the newest records; -f waits for more\n"
	"  show RECORD      one record whole: its number, event:NUMBER of the event table,\n"
	"                   or the UUID of an event or of a call\n"
	"  search           records that the filters below find, newest first\n"
	"  why RECORD       what decided: the policies, the facts they saw, what would have\n"
	"                   to change; RECORD as for show\n"
	"  stats            counts by source, kind, verdict, policy and execution; what is lost\n"
	"  export           the records for other programs\n"
	"  verify           checks the chain, the signed heads, and anchors kept elsewhere\n"
	"  anchor           prints the newest signed head, to be kept elsewhere\n"
	"  keys             which keys signed heads\n"
	"\n"
	"Options:\n"
	"  --journal DIR    the journal's folder (AEGIS_AUDIT_DIRECTORY);\n"
	"                   else /var/lib/aegis/audit\n"
	"  --output FORMAT  text, table, json (one object a line) or yaml\n"
	"  -f, --follow     tail: wait for new records\n"
	"  -n, --lines, --limit N\n"
	"                   tail, search: how many at most (20)\n"
	"  --oldest         search: oldest first\n"
	"  --format NAME    export: jsonl (as --output json; the default), ocsf (OCSF 1.3.0,\n"
	"                   one object a line) or cef (CEF:0)\n"
	"  --number N       export: begin with that record\n"
	"  --file FILE      export: there instead of standard output; what it held is replaced\n"
	"  --anchor FILE    verify: heads exported earlier; may be repeated\n"
	"  --key FILE       verify, keys: a public key that is trusted (hexadecimal, base64 or\n"
	"                   32 bytes); may be repeated; without one any key counts\n"
	"  --all            anchor: every signed head, not only the newest\n"
	"  --help, --version\n"
	"\n"
	"Filters of tail, search, stats and export; all must hold:\n"
	"  --execution ID   records of that execution\n"
	"  --source NAME    journal, event, call, file, kernel or daemon\n"
	"  --kind NAME      that kind, such as ToolPolicyViolation\n"
	"  --text TEXT      TEXT stands in the kind or the payload; ASCII letters of either case\n"
	"  --from, --to TIME\n"
	"                   from TIME on, before TIME: 2026-03-01T14:00:00Z, or how long ago\n"
	"                   (90s, 2h, 7d)\n"
	"  --denied         what was denied\n"
	"  --policy ID      a policy of that id decided; \"default\": none permitted\n"
	"\n"
	"Verdicts: what verify calls consistent was not changed before the newest signed head.\n"
	"That nothing was cut off behind a head is proven only by an anchor kept elsewhere.\n"
	"\n"
	"Exit codes: 0 all is well; 1 no such journal or record; 2 invalid usage, key or\n"
	"anchor; 3 permission denied; 4 verify: the journal contradicts itself, a key or an\n"
	"anchor; 10 it could not be read.\n"
	"\n"
	"Examples:\n"
	"  aegis-audit tail -f --kind ToolPolicyViolation\n"
	"  aegis-audit show 1204 --output yaml\n"
	"  aegis-audit search --denied --from 24h --text /etc/passwd\n"
	"  aegis-audit why 1204\n"
	"  aegis-audit stats --from 7d --output json\n"
	"  aegis-audit export --format ocsf --number 1205 --file new.jsonl\n"
	"  aegis-audit anchor > /mnt/elsewhere/aegis-$(date +%F).json\n"
	"  aegis-audit verify --key signer.pub --anchor /mnt/elsewhere/aegis-2026-03-01.json\n"
	"  aegis-audit tail -n 1000 --output json | jq 'select(.payload.details.decision)'\n";

int tool_fail(int code, const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("aegis-audit: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

int tool_fail_errno(int r)
{
	int code = r == -ENOENT || r == -ENOTDIR ? CLI_NOT_FOUND
		: r == -EACCES || r == -EPERM    ? CLI_DENIED
		: r == -EUCLEAN                  ? CLI_CONFLICT
		: r == -EINVAL || r == -E2BIG    ? CLI_INVALID
						 : CLI_INTERNAL;

	tool_fail(code, "%s", err_message(r));
	err_clear();
	return code;
}

int tool_open(const struct tool *t, struct audit_reader **ret)
{
	int r = audit_reader_open(t->dir, ret);

	return r < 0 ? tool_fail_errno(r) : CLI_OK;
}

enum {
	OPT_JOURNAL = 256,
	OPT_OUTPUT,
	OPT_EXECUTION,
	OPT_SOURCE,
	OPT_KIND,
	OPT_TEXT,
	OPT_FROM,
	OPT_TO,
	OPT_DENIED,
	OPT_POLICY,
	OPT_OLDEST,
	OPT_FORMAT,
	OPT_NUMBER,
	OPT_FILE,
	OPT_ANCHOR,
	OPT_KEY,
	OPT_ALL,
	OPT_HELP,
	OPT_VERSION
};

static const struct option options[] = {
	{"journal", required_argument, NULL, OPT_JOURNAL},
	{"output", required_argument, NULL, OPT_OUTPUT},
	{"follow", no_argument, NULL, 'f'},
	{"lines", required_argument, NULL, 'n'},
	{"limit", required_argument, NULL, 'n'},
	{"text", required_argument, NULL, OPT_TEXT},
	{"from", required_argument, NULL, OPT_FROM},
	{"to", required_argument, NULL, OPT_TO},
	{"denied", no_argument, NULL, OPT_DENIED},
	{"policy", required_argument, NULL, OPT_POLICY},
	{"oldest", no_argument, NULL, OPT_OLDEST},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"number", required_argument, NULL, OPT_NUMBER},
	{"file", required_argument, NULL, OPT_FILE},
	{"execution", required_argument, NULL, OPT_EXECUTION},
	{"source", required_argument, NULL, OPT_SOURCE},
	{"kind", required_argument, NULL, OPT_KIND},
	{"anchor", required_argument, NULL, OPT_ANCHOR},
	{"key", required_argument, NULL, OPT_KEY},
	{"all", no_argument, NULL, OPT_ALL},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static int bad_value(const char *option, const char *value, const char *accepted)
{
	return tool_fail(CLI_INVALID, "--%s %s: accepted: %s", option, value, accepted);
}

static int set_format(struct tool *t, const char *value)
{
	static const char *const names[] = {"text", "table", "json", "yaml"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], value) == 0) {
			t->format = (enum cli_format)i;
			return CLI_OK;
		}
	return bad_value("output", value, "text table json yaml");
}

static int set_source(struct filter *f, const char *value)
{
	for (int i = 0; i < AUDIT_SOURCE_COUNT; i++)
		if (strcmp(audit_source_name((enum audit_source)i), value) == 0) {
			f->source = i;
			return CLI_OK;
		}
	return bad_value("source", value, "journal event file kernel daemon");
}

static int add_file(const char *option, const char **files, int *count, const char *value)
{
	if (*count == CLI_ARGS_MAX)
		return tool_fail(CLI_INVALID, "--%s more than %d times", option, CLI_ARGS_MAX);
	files[(*count)++] = value;
	return CLI_OK;
}

/* A place in time, or how long ago. */
static int set_time(const char *option, const char *value, int64_t *ret)
{
	struct span s = span_cstr(value);
	int64_t ago_ns;

	if (clock_parse_rfc3339(s, ret) == 0)
		return CLI_OK;
	if (clock_parse_duration(s, &ago_ns) < 0)
		return bad_value(option, value,
			"a time such as 2026-03-01T14:00:00Z, or how long ago: 90s, 2h, 7d");
	*ret = clock_wall_ns() - ago_ns;
	return CLI_OK;
}

static int set_filter(struct filter *f, int option, const char *value)
{
	switch (option) {
	case OPT_EXECUTION:
		return uuid_parse(span_cstr(value), &f->execution) < 0
			? bad_value("execution", value, "the UUID of an execution")
			: CLI_OK;
	case OPT_SOURCE:
		return set_source(f, value);
	case OPT_KIND:
		f->kind = value;
		return CLI_OK;
	case OPT_TEXT:
		f->text = value;
		return CLI_OK;
	case OPT_FROM:
		return set_time("from", value, &f->from_ns);
	case OPT_TO:
		return set_time("to", value, &f->to_ns);
	case OPT_DENIED:
		f->denied = true;
		return CLI_OK;
	case OPT_POLICY:
		f->policy = value;
		return CLI_OK;
	default: /* getopt has said what is wrong */
		return CLI_INVALID;
	}
}

static int set_export_format(struct tool *t, const char *value)
{
	if (strcmp(value, "jsonl") != 0 && strcmp(value, "ocsf") != 0 && strcmp(value, "cef") != 0)
		return bad_value("format", value, "jsonl ocsf cef");
	t->export_format = value;
	return CLI_OK;
}

static int set_option(struct tool *t, int option, const char *value)
{
	switch (option) {
	case OPT_JOURNAL:
		t->dir = value;
		return CLI_OK;
	case OPT_OUTPUT:
		return set_format(t, value);
	case 'f':
		t->follow = true;
		return CLI_OK;
	case 'n':
		return span_to_u64(span_cstr(value), &t->lines) < 0 || t->lines > 1000
			? bad_value("lines", value, "0 to 1000")
			: CLI_OK;
	case OPT_OLDEST:
		t->oldest = true;
		return CLI_OK;
	case OPT_FORMAT:
		return set_export_format(t, value);
	case OPT_NUMBER:
		return span_to_u64(span_cstr(value), &t->number) < 0 || t->number == 0
			? bad_value("number", value, "the number of a record, from 1")
			: CLI_OK;
	case OPT_FILE:
		t->file = value;
		return CLI_OK;
	case OPT_ANCHOR:
		return add_file("anchor", t->anchor_files, &t->anchor_count, value);
	case OPT_KEY:
		return add_file("key", t->key_files, &t->key_count, value);
	case OPT_ALL:
		t->all = true;
		return CLI_OK;
	default:
		return set_filter(&t->filter, option, value);
	}
}

static const struct {
	const char *name;
	int args;
	int (*run)(struct tool *t);
} verbs_of_audit[] = {
	{"tail", 0, verb_tail},
	{"show", 1, verb_show},
	{"search", 0, verb_search},
	{"why", 1, verb_why},
	{"stats", 0, verb_stats},
	{"export", 0, verb_export},
	{"verify", 0, verb_verify},
	{"anchor", 0, verb_anchor},
	{"keys", 0, verb_keys},
};

static int run_verb(struct tool *t, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs_of_audit); i++) {
		if (strcmp(verbs_of_audit[i].name, name) != 0)
			continue;
		if (t->arg_count != verbs_of_audit[i].args)
			return tool_fail(CLI_INVALID, "%s takes %d arguments, not %d; see --help",
				name, verbs_of_audit[i].args, t->arg_count);
		return verbs_of_audit[i].run(t);
	}
	return tool_fail(CLI_INVALID,
		"no verb '%s': accepted: tail show search why stats export verify anchor keys; see "
		"--help",
		name);
}

int main(int argc, char **argv)
{
	const char *environment = getenv("AEGIS_AUDIT_DIRECTORY");
	struct tool t = {.dir = environment && *environment ? environment : default_dir,
		.lines = 20,
		.number = 1,
		.export_format = "jsonl",
		.filter = {.source = -1, .to_ns = INT64_MAX}};
	int option;

	signal(SIGPIPE, SIG_IGN);
	while ((option = getopt_long(argc, argv, "fn:", options, NULL)) >= 0) {
		if (option == OPT_HELP || option == OPT_VERSION) {
			fputs(option == OPT_HELP ? usage_text : "aegis-audit " AEGIS_VERSION "\n",
				stdout);
			return CLI_OK;
		}
		int code = set_option(&t, option, optarg);
		if (code)
			return code;
	}
	if (optind == argc) {
		fputs(usage_text, stderr);
		return CLI_INVALID;
	}
	t.args = argv + optind + 1;
	t.arg_count = argc - optind - 1;
	return run_verb(&t, argv[optind]);
}
