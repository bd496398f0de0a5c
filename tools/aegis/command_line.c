/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Reads a command line against a program's tables and runs the verb. Global options may stand
 * anywhere. No verb has an option of a global one's name: one name, one meaning.
 */
#include "tools/aegis/cli.h"
#include "daemon/schema/schema.h"
#include <stdio.h>

/* ---- reading the command line ---- */

struct reader {
	struct cli *cli;
	char **argv;
	int argc, at;
	const char *words[CLI_ARGS_MAX];
	int word_count;
};

static bool among(const char *words, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = words; *p;) {
		size_t length = strcspn(p, " ");
		if (length == n && memcmp(p, word, n) == 0)
			return true;
		p += length + (p[length] == ' ');
	}
	return false;
}

static int check_port(const char *where, const char *text)
{
	uint64_t port = 0;
	if (span_to_u64(span_cstr(text), &port) == 0 && port >= 1 && port <= UINT16_MAX)
		return CLI_OK;
	return cli_fail(CLI_INVALID, "%s %s: accepted: 1 to 65535", where, text);
}

static int set_global(struct cli *c, const struct cli_option *o, const char *value)
{
	static const char *const formats[] = {"text", "table", "json", "yaml"};
	c->names_door |= strcmp(o->name, "host") == 0 || strcmp(o->name, "port") == 0;
	if (strcmp(o->name, "config") == 0)
		c->config = value;
	else if (strcmp(o->name, "host") == 0)
		c->host = value;
	else if (strcmp(o->name, "port") == 0)
		c->port = value;
	else if (strcmp(o->name, "log-level") == 0)
		c->log_level = value;
	else if (strcmp(o->name, "journal") == 0)
		c->journal = value;
	else if (strcmp(o->name, "daemon") == 0)
		c->daemon = true;
	else if (strcmp(o->name, "version") == 0)
		c->version = true;
	else if (strcmp(o->name, "output") == 0)
		for (int i = 0; i < 4; i++)
			if (strcmp(formats[i], value) == 0)
				c->format = (enum cli_format)i;
	return CLI_OK;
}

static const struct cli_option *match(const struct cli_option *o, const char *name, size_t length)
{
	for (; o && o->name; o++)
		if ((strlen(o->name) == length && memcmp(o->name, name, length) == 0) ||
			(length == 1 && o->letter == *name))
			return o;
	return NULL;
}

static int check_word(const char *where, const char *value, const char *words)
{
	char copy[512];
	const char *names[64];
	size_t count = 0;
	char *rest = copy;

	if (among(words, value))
		return CLI_OK;
	snprintf(copy, sizeof(copy), "%s", words);
	for (char *w; count < ARRAY_LEN(names) - 1 && (w = strtok_r(rest, " ", &rest));)
		names[count++] = w;
	names[count] = NULL;
	const char *nearest = table_nearest(value, names);
	return cli_fail(CLI_INVALID, "%s %s: accepted: %s%s%s%s", where, value, words,
		nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

int cli_check_word(const char *option, const char *value, const char *words)
{
	char where[64];

	snprintf(where, sizeof(where), "--%s", option);
	return check_word(where, value, words);
}

int cli_check_count(const struct cli *c, const char *option, uint64_t max)
{
	const char *text = cli_value(c, option);
	uint64_t n;

	if (!text || (span_to_u64(span_cstr(text), &n) == 0 && n >= 1 && n <= max))
		return CLI_OK;
	err_clear();
	return cli_fail(
		CLI_INVALID, "--%s %s: accepted: 1 to %llu", option, text, (unsigned long long)max);
}

static int take_own(struct cli *c, const struct cli_option *o, const char *value)
{
	if (c->given_count == CLI_GIVEN_MAX)
		return cli_fail(CLI_INVALID, "more than %d options", CLI_GIVEN_MAX);
	c->given[c->given_count].name = o->name;
	c->given[c->given_count++].value = value;
	c->values[o - c->verb->options] = value;
	return CLI_OK;
}

/* Takes the option at r->at. `own` NULL: the verb is not known yet, so only global ones count. */
static int read_option(struct reader *r, const struct verb *own, bool *ret_known)
{
	const char *text = r->argv[r->at];
	bool lengthy = text[1] == '-';
	const char *name = text + (lengthy ? 2 : 1);
	const char *equals = lengthy ? strchr(name, '=') : NULL;
	size_t length = equals ? (size_t)(equals - name) : lengthy ? strlen(name) : 1;
	const struct cli_option *mine = own ? match(own->options, name, length) : NULL;
	const struct cli_option *o = mine ? mine : match(r->cli->program->globals, name, length);
	*ret_known = o;
	if (!o)
		return CLI_OK;

	const char *value = equals ? equals + 1 : !lengthy && name[1] ? name + 1 : NULL;
	r->at++;
	if (!o->value && value)
		return cli_fail(CLI_INVALID, "--%s takes no value", o->name);
	if (o->value && !value) {
		if (r->at == r->argc)
			return cli_fail(CLI_INVALID, "--%s needs a value: %s", o->name, o->value);
		value = r->argv[r->at++];
	}
	if (o->words && cli_check_word(o->name, value, o->words) != CLI_OK)
		return mine || !own || !match(own->options, "out", strlen("out"))
			? CLI_INVALID
			: cli_fail(CLI_INVALID, "the file to write is named by --out");
	if (!mine && strcmp(o->name, "port") == 0 && check_port("--port", value) != CLI_OK)
		return CLI_INVALID;
	if (!mine)
		return set_global(r->cli, o, value);
	return take_own(r->cli, mine, value ? value : "");
}

static bool is_option(const char *text)
{
	return text[0] == '-' && text[1] && strcmp(text, "--") != 0;
}

/* Length of an option with its value, to step over it while the verb is looked for. */
static int option_span(const struct reader *r, int at)
{
	const char *text = r->argv[at];
	bool lengthy = text[1] == '-';
	const char *name = text + (lengthy ? 2 : 1);
	const struct cli_option *o =
		match(r->cli->program->globals, name, lengthy ? strcspn(name, "=") : 1);
	bool apart = o && o->value && !(lengthy ? !!strchr(name, '=') : !!name[1]);
	return apart ? 2 : 1;
}

/* The words of the verb stand in front of everything that belongs to it. */
static const struct verb *find_verb(struct reader *r, int *ret_used)
{
	for (int i = 1; i < r->argc && r->word_count < 2;) {
		if (is_option(r->argv[i])) {
			i += option_span(r, i);
			continue;
		}
		r->words[r->word_count++] = r->argv[i++];
	}
	return verb_find(r->cli->program, r->words, r->word_count, ret_used);
}

static int unknown_option(const struct reader *r, const struct verb *v)
{
	const char *names[2 * CLI_OPTIONS_MAX + 1], *text = r->argv[r->at];
	size_t count = 0;

	for (const struct cli_option *o = v ? v->options : NULL; o && o->name; o++)
		names[count++] = o->name;
	for (const struct cli_option *o = r->cli->program->globals;
		o->name && count < ARRAY_LEN(names) - 1; o++)
		names[count++] = o->name;
	names[count] = NULL;
	const char *nearest = text[1] == '-' ? table_nearest(text + 2, names) : NULL;
	return cli_fail(CLI_INVALID, "unknown option %s%s%s%s; see: %s help%s%s%s%s", text,
		nearest ? "; did you mean --" : "", nearest ? nearest : "", nearest ? "?" : "",
		r->cli->program->name, v && v->group ? " " : "", v && v->group ? v->group : "",
		v ? " " : "", v ? v->name : "");
}

/* Everything but the words of the verb. */
static int read_rest(struct reader *r, const struct verb *v, int skip)
{
	struct cli *c = r->cli;
	bool options = true;
	for (r->at = 1; r->at < r->argc;) {
		const char *text = r->argv[r->at];
		if (options && strcmp(text, "--") == 0) {
			options = false;
			r->at++;
		} else if (options && is_option(text)) {
			bool known;
			int code = read_option(r, v, &known);
			if (!known)
				return unknown_option(r, v);
			if (code)
				return code;
		} else if (skip) {
			skip--;
			r->at++;
		} else if (c->arg_count == CLI_ARGS_MAX) {
			return cli_fail(CLI_INVALID, "more than %d arguments", CLI_ARGS_MAX);
		} else {
			c->args[c->arg_count++] = text;
			r->at++;
		}
	}
	return CLI_OK;
}

static int check_args(const struct cli *c)
{
	const struct verb *v = c->verb;
	const char *group = v->group ? v->group : "", *blank = v->group ? " " : "";
	char where[256];
	if (c->arg_count < v->min_args)
		return cli_fail(CLI_INVALID, "too few arguments; usage: %s %s%s%s %s",
			c->program->name, group, blank, v->name, v->arguments);
	if (c->arg_count > v->max_args)
		return cli_fail(CLI_INVALID, "too many arguments: %s; usage: %s %s%s%s%s%s",
			c->args[v->max_args], c->program->name, group, blank, v->name,
			*v->arguments ? " " : "", v->arguments);
	if (!v->words || !c->arg_count)
		return CLI_OK;
	snprintf(where, sizeof(where), "%s %s%s%s", c->program->name, group, blank, v->name);
	return check_word(where, c->args[0], v->words);
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static int show_help(const struct reader *r, const struct verb *v)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	if (v)
		help_verb(&b, r->cli->program, v);
	else if (r->word_count && group_exists(r->cli->program, r->words[0]))
		help_group(&b, r->cli->program, r->words[0]);
	else
		help_overview(&b, r->cli->program);
	return cli_write(buf_view(&b));
}

/* The word most like `word` among the verbs of a group, or, without one, all first words. */
static const char *nearest_word(const struct cli_program *p, const char *group, const char *word)
{
	const char *names[CLI_VERBS_MAX + 1];
	size_t count = 0;

	for (const struct cli_group *g = p->groups; !group && g->name; g++)
		names[count++] = g->name;
	for (const struct verb *const *v = p->verbs; *v && count < CLI_VERBS_MAX; v++)
		if (group ? (*v)->group && strcmp((*v)->group, group) == 0 : !(*v)->group)
			names[count++] = (*v)->name;
	names[count] = NULL;
	return table_nearest(word, names);
}

static int unknown_word(const struct cli_program *p, const char *group, const char *word)
{
	const char *nearest = nearest_word(p, group, word), *blank = group ? " " : "";

	group = group ? group : "";
	if (nearest)
		return cli_fail(CLI_INVALID,
			"%s %s%s%s: there is no such verb; did you mean: %s %s%s%s?", p->name,
			group, blank, word, p->name, group, blank, nearest);
	return cli_fail(CLI_INVALID, "%s %s%s%s: there is no such verb; see: %s help%s%s", p->name,
		group, blank, word, p->name, blank, group);
}

int cli_unknown_verb(const struct cli_program *p, const char *const *words, int count)
{
	const char *first = words[0];
	if (group_exists(p, first) && count == 1)
		return cli_fail(CLI_INVALID, "%s %s needs a verb; see: %s help %s", p->name, first,
			p->name, first);
	if (group_exists(p, first))
		return unknown_word(p, first, words[1]);
	return unknown_word(p, NULL, first);
}

int cli_run(const struct cli_program *p, struct cli *c, int argc, char **argv)
{
	struct reader r = {.cli = c, .argv = argv, .argc = argc};
	int used = 0;

	cli_name_program(p->name);
	c->program = p;
	if (c->port && check_port("AEGIS_PORT", c->port) != CLI_OK)
		return CLI_INVALID;
	c->verb = find_verb(&r, &used);
	if (wants_help(argc, argv) || argc == 1)
		return show_help(&r, c->verb);
	int code = read_rest(&r, c->verb, c->verb ? used : r.word_count);
	if (code)
		return code;
	if (c->version && !r.word_count)
		c->verb = p->if_version;
	else if (c->daemon && !r.word_count)
		c->verb = p->if_daemon;
	if (!c->verb)
		return r.word_count
			? cli_unknown_verb(p, r.words, r.word_count)
			: cli_fail(CLI_INVALID, "a verb is missing; see: %s help", p->name);
	code = check_args(c);
	return code ? code : c->verb->run(c);
}

/* ---- the table ---- */

bool group_exists(const struct cli_program *p, const char *name)
{
	for (const struct cli_group *g = p->groups; g->name; g++)
		if (strcmp(g->name, name) == 0)
			return true;
	return false;
}

const struct verb *verb_find(
	const struct cli_program *p, const char *const *words, int count, int *ret_used)
{
	for (const struct verb *const *v = p->verbs; *v; v++) {
		const char *group = (*v)->group;
		int needs = group ? 2 : 1;
		if (count < needs || (group && strcmp(group, words[0]) != 0) ||
			strcmp((*v)->name, words[needs - 1]) != 0)
			continue;
		*ret_used = needs;
		return *v;
	}
	return NULL;
}
