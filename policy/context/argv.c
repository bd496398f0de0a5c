/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A command line split as a POSIX shell splits it (XCU 2.2, 2.3), when no shell is needed to know
 * what it means. Everything whose meaning depends on a shell is an outcome of its own, so that the
 * check is always made on the argv that is run, never on the first word of a text.
 */
#include "policy/context/context.h"
#include <string.h>

struct splitter {
	struct span in;
	size_t at;
	struct buf word;
	bool in_word;
	bool quoted; /* the word had a quote or backslash: no keyword, no assignment */
	struct span *argv;
	size_t count;
	struct arena *arena;
};

static const char *const reserved[] = {"!", "{", "}", "case", "do", "done", "elif", "else", "esac",
	"fi", "for", "if", "in", "then", "until", "while", "[[", "function", "select", "time"};
/* Builtins that only make sense inside a shell. */
static const char *const builtins[] = {".", "alias", "bg", "cd", "eval", "exec", "exit", "export",
	"fg", "jobs", "read", "readonly", "return", "set", "shift", "source", "times", "trap",
	"type", "ulimit", "umask", "unalias", "unset", "wait"};

static bool is_listed(struct span s, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_is(s, list[i]))
			return true;
	return false;
}

static bool is_assignment(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '=')
			return i > 0;
		bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
		if (!letter && !(i > 0 && c >= '0' && c <= '9'))
			return false;
	}
	return false;
}

static int word_end(struct splitter *s, struct span *ret_why)
{
	if (!s->in_word)
		return 0;
	int r = buf_error(&s->word);
	if (r < 0)
		return err_trace(r);
	if (s->count == LIMIT_ARGV_COUNT)
		return err_raise(-EINVAL, "command has more than %d arguments", LIMIT_ARGV_COUNT);
	char *text = arena_cstr(s->arena, buf_view(&s->word));
	if (!text)
		return err_raise(-ENOMEM, "command: request memory used up");
	struct span word = span_of(text, s->word.len);
	if (s->count == 0 && !s->quoted) {
		bool shell = is_listed(word, reserved, ARRAY_LEN(reserved)) ||
			is_listed(word, builtins, ARRAY_LEN(builtins)) || is_assignment(word);
		if (shell) {
			*ret_why = word;
			return CONTEXT_ARGV_SHELL;
		}
	}
	s->argv[s->count++] = word;
	buf_reset(&s->word);
	s->in_word = false;
	s->quoted = false;
	return 0;
}

static int single_quotes(struct splitter *s)
{
	ssize_t end = span_find_byte(s->in, '\'', s->at + 1);
	if (end < 0)
		return err_raise(
			-EINVAL, "command: the single quote at byte %zu is never closed", s->at);
	buf_span(&s->word, span_sub(s->in, s->at + 1, (size_t)end));
	s->at = (size_t)end + 1;
	return 0;
}

static int double_quotes(struct splitter *s, struct span *ret_why)
{
	size_t open = s->at++;
	while (s->at < s->in.n) {
		char c = s->in.p[s->at++];
		if (c == '"')
			return 0;
		if (c == '$' || c == '`') {
			*ret_why = span_sub(s->in, s->at - 1, s->at);
			return CONTEXT_ARGV_SHELL;
		}
		if (c == '\\' && s->at < s->in.n && strchr("$`\"\\\n", s->in.p[s->at])) {
			c = s->in.p[s->at++];
			if (c == '\n')
				continue;
		}
		buf_putc(&s->word, c);
	}
	return err_raise(-EINVAL, "command: the double quote at byte %zu is never closed", open);
}

static bool needs_shell(const struct splitter *s, char c)
{
	if (strchr("|&;<>()$`*?[\n", c))
		return true;
	return !s->in_word && (c == '~' || c == '#');
}

static int split_byte(struct splitter *s, struct span *ret_why)
{
	char c = s->in.p[s->at];

	if (c == '\0')
		return err_raise(-EINVAL, "command: NUL at byte %zu", s->at);
	if (c == ' ' || c == '\t') {
		s->at++;
		return word_end(s, ret_why);
	}
	if (needs_shell(s, c)) {
		*ret_why = span_sub(s->in, s->at, s->at + 1);
		return CONTEXT_ARGV_SHELL;
	}
	s->in_word = true;
	if (c == '\'' || c == '"') {
		s->quoted = true;
		return c == '"' ? double_quotes(s, ret_why) : single_quotes(s);
	}
	s->at++;
	if (c == '\\') {
		if (s->at == s->in.n)
			return err_raise(-EINVAL, "command ends in a backslash");
		s->quoted = true;
		c = s->in.p[s->at++];
		if (c == '\n')
			return 0;
	}
	/* {a,b} and {1..3}: brace expansion in the shells people use. */
	if (c == '{' && !s->quoted) {
		*ret_why = SPAN("{");
		return CONTEXT_ARGV_SHELL;
	}
	buf_putc(&s->word, c);
	return 0;
}

int context_parse_argv(struct span command, struct arena *a, struct span **ret_argv,
	size_t *ret_count, struct span *ret_why)
{
	struct buf word CLEANUP(buf_fini) = buf_init(LIMIT_COMMAND_BYTES);
	struct splitter s = {.in = span_trim(command), .word = word, .arena = a};
	int r = 0;

	if (s.in.n == 0)
		return err_raise(-EINVAL, "command is empty");
	if (s.in.n > LIMIT_COMMAND_BYTES)
		return err_raise(-EINVAL, "command of %zu bytes, at most %d are accepted", s.in.n,
			LIMIT_COMMAND_BYTES);
	s.argv = arena_make_array(a, struct span, LIMIT_ARGV_COUNT);
	if (!s.argv)
		return err_raise(-ENOMEM, "command: request memory used up");
	while (r == 0 && s.at < s.in.n)
		r = split_byte(&s, ret_why);
	if (r == 0)
		r = word_end(&s, ret_why);
	word = s.word; /* the cleanup frees what the splitter grew */
	if (r < 0)
		return err_trace(r);
	if (r == 0) {
		*ret_argv = s.argv;
		*ret_count = s.count;
	}
	return r;
}
