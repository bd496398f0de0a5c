/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Reads the registry. The helper, which is root, is its main reader, so the language is as small
 * as it can be: lines of words, no nesting, no quoting, no inclusion, one allocation per file.
 *
 * Nouns: a statement is one line; a runtime is a `runtime` line and what follows up to the next.
 * Invariant: a registry that was returned has only complete runtimes, with distinct names.
 */
#include "daemon/confine/runtime_registry.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct runtime_registry {
	struct arena *arena; /* holds this struct too */
	size_t count;
	struct runtime runtimes[LIMIT_RUNTIMES];
};

/* One line, cut into words. */
struct statement {
	const char *file;
	int line;
	struct span words[LIMIT_RUNTIME_WORDS];
	size_t count;
};

enum { ARENA_BYTES = sizeof(struct runtime_registry) + 4 * LIMIT_REGISTRY_BYTES };

#define refuse(s, ...) err_wrap(err_raise(-EINVAL, __VA_ARGS__), "%s:%d", (s)->file, (s)->line)

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static int statement_cut(struct statement *s, struct span line)
{
	size_t at = 0;

	s->count = 0;
	while (at < line.n) {
		size_t from = at;
		while (at < line.n && !is_blank(line.p[at]))
			at++;
		if (at > from && line.p[from] == '#')
			return 0;
		if (at > from) {
			if (s->count == LIMIT_RUNTIME_WORDS)
				return refuse(s, "more than %d words", LIMIT_RUNTIME_WORDS);
			s->words[s->count++] = span_sub(line, from, at);
		}
		at++;
	}
	return 0;
}

static bool is_name(struct span s)
{
	if (s.n == 0 || s.n > LIMIT_RUNTIME_NAME_BYTES)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
			c == '_' || c == '+' || (c == '.' && i > 0);
		if (!ok)
			return false;
	}
	return true;
}

/* Absolute, no empty, "." or ".." component, no slash at the end, not the root itself. */
static bool is_normal_path(struct span s)
{
	struct span rest = span_sub(s, 1, s.n), piece;
	bool done = false;

	if (s.n < 2 || s.n >= LIMIT_PATH_BYTES || s.p[0] != '/' || memchr(s.p, 0, s.n))
		return false;
	while (span_split(&rest, '/', &done, &piece))
		if (piece.n == 0 || span_is(piece, ".") || span_is(piece, ".."))
			return false;
	return true;
}

static const char *keep(struct runtime_registry *r, struct span s)
{
	return arena_cstr(r->arena, s);
}

/* ---- one function per statement: `t` is the runtime that is being described ---- */

static int do_language(struct runtime_registry *r, struct runtime *t, const struct statement *s)
{
	if (t->languages[0])
		return refuse(s, "runtime %s has a language already", t->name);
	for (size_t i = 1; i < s->count; i++) {
		if (!is_name(s->words[i]))
			return refuse(s, "language \"" SPAN_FMT "\": a-z 0-9 . _ + - are accepted",
				SPAN_ARG(s->words[i]));
		if (!(t->languages[i - 1] = keep(r, s->words[i])))
			return -ENOMEM;
	}
	return 0;
}

static int do_version(struct runtime_registry *r, struct runtime *t, const struct statement *s)
{
	if (t->version)
		return refuse(s, "runtime %s has a version already", t->name);
	if (s->count != 2 || !is_name(s->words[1]))
		return refuse(s, "version: one word of a-z 0-9 . _ + - is accepted");
	t->version = keep(r, s->words[1]);
	return t->version ? 0 : -ENOMEM;
}

static int do_interpreter(struct runtime_registry *r, struct runtime *t, const struct statement *s)
{
	if (t->interpreter[0])
		return refuse(s, "runtime %s has an interpreter already", t->name);
	if (!is_normal_path(s->words[1]))
		return refuse(s,
			"interpreter \"" SPAN_FMT "\": an absolute path without . or .. is "
			"accepted",
			SPAN_ARG(s->words[1]));
	for (size_t i = 1; i < s->count; i++)
		if (!(t->interpreter[i - 1] = keep(r, s->words[i])))
			return -ENOMEM;
	return 0;
}

static int do_bind(struct runtime_registry *r, struct runtime *t, const struct statement *s)
{
	if (s->count > 3)
		return refuse(s, "bind: a path of the host, and if it differs one inside");
	for (size_t i = 1; i < s->count; i++)
		if (!is_normal_path(s->words[i]))
			return refuse(s,
				"bind \"" SPAN_FMT "\": an absolute path without . or .. "
				"is accepted",
				SPAN_ARG(s->words[i]));
	if (t->bind_count == LIMIT_RUNTIME_BINDS)
		return refuse(s, "more than %d binds", LIMIT_RUNTIME_BINDS);

	struct runtime_bind *b = &t->binds[t->bind_count++];
	b->host = keep(r, s->words[1]);
	b->inside = s->count == 3 ? keep(r, s->words[2]) : b->host;
	return b->host && b->inside ? 0 : -ENOMEM;
}

static int complete(const struct runtime_registry *r, const struct statement *s)
{
	const struct runtime *t = r->count ? &r->runtimes[r->count - 1] : NULL;
	const char *missing = !t     ? NULL
		: !t->languages[0]   ? "language"
		: !t->version        ? "version"
		: !t->interpreter[0] ? "interpreter"
		: t->bind_count == 0 ? "bind"
				     : NULL;
	if (missing)
		return refuse(s, "runtime %s has no %s line", t->name, missing);
	return 0;
}

static int do_runtime(struct runtime_registry *r, const struct statement *s)
{
	int x = complete(r, s);

	if (x < 0)
		return err_trace(x);
	if (s->count != 2 || !is_name(s->words[1]))
		return refuse(s, "runtime: one name of a-z 0-9 . _ + - is accepted");
	if (r->count == LIMIT_RUNTIMES)
		return refuse(s, "more than %d runtimes", LIMIT_RUNTIMES);
	const char *name = keep(r, s->words[1]);
	if (!name)
		return -ENOMEM;
	if (runtime_registry_find(r, name))
		return refuse(s, "runtime %s stands here twice", name);
	r->runtimes[r->count++].name = name;
	return 0;
}

static int statement_apply(struct runtime_registry *r, const struct statement *s)
{
	static const struct {
		const char *word;
		int (*apply)(struct runtime_registry *, struct runtime *, const struct statement *);
	} verbs[] = {{"language", do_language}, {"version", do_version},
		{"interpreter", do_interpreter}, {"bind", do_bind}};

	if (span_is(s->words[0], "runtime"))
		return err_trace(do_runtime(r, s));
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (!span_is(s->words[0], verbs[i].word))
			continue;
		if (r->count == 0)
			return refuse(s, "%s before the first runtime line", verbs[i].word);
		if (s->count < 2)
			return refuse(s, "%s needs a value", verbs[i].word);
		return err_trace(verbs[i].apply(r, &r->runtimes[r->count - 1], s));
	}
	return refuse(s,
		"\"" SPAN_FMT "\": runtime, language, version, interpreter and bind are "
		"accepted",
		SPAN_ARG(s->words[0]));
}

static int parse_lines(struct runtime_registry *r, struct span text, const char *file)
{
	struct statement s = {.file = file};
	struct span rest = text, line;
	bool done = false;

	while (span_split(&rest, '\n', &done, &line)) {
		s.line++;
		if (memchr(line.p ? line.p : "", 0, line.n))
			return refuse(&s, "a NUL byte");
		int x = statement_cut(&s, line);
		if (x < 0)
			return err_trace(x);
		if (s.count && (x = statement_apply(r, &s)) < 0)
			return err_trace(x);
	}
	return err_trace(complete(r, &s));
}

int runtime_registry_parse(struct span text, const char *file, struct runtime_registry **ret)
{
	if (text.n > LIMIT_REGISTRY_BYTES)
		return err_raise(-E2BIG, "%s: %zu bytes, at most %d are accepted", file, text.n,
			LIMIT_REGISTRY_BYTES);
	struct arena *arena = arena_new(ARENA_BYTES);
	struct runtime_registry *r = arena ? arena_make(arena, struct runtime_registry) : NULL;
	if (!r) {
		arena_free(arena);
		return err_raise(-ENOMEM, "%s: out of memory", file);
	}
	r->arena = arena;
	int x = parse_lines(r, text, file);
	if (x == -ENOMEM)
		x = err_raise(x, "%s: out of memory", file);
	if (x < 0) {
		runtime_registry_free(r);
		return err_trace(x);
	}
	*ret = r;
	return 0;
}

int runtime_registry_read(int fd, const char *file, struct runtime_registry **ret)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_REGISTRY_BYTES + 1);
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return err_sys(-errno, "%s", file);
	/* Fails closed: whoever can write here chooses what agents see. */
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_raise(-EPERM,
			"%s: must be a regular file of root's that nobody else "
			"may write (it has owner %u, mode %04o)",
			file, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
	do {
		char *room = buf_reserve(&text, 4096);
		size_t want = room ? 4096 : 1;
		char last;
		n = pread(fd, room ? room : &last, want, (off_t)text.len);
		if (n < 0)
			return err_sys(-errno, "%s", file);
		if (!room && n > 0)
			return err_raise(-E2BIG, "%s: at most %d bytes are accepted", file,
				LIMIT_REGISTRY_BYTES);
		if (room)
			buf_commit(&text, (size_t)n);
	} while (n > 0);
	return err_trace(runtime_registry_parse(buf_view(&text), file, ret));
}

struct runtime_registry *runtime_registry_free(struct runtime_registry *r)
{
	if (r)
		arena_free(r->arena);
	return NULL;
}

void runtime_registry_cleanup(struct runtime_registry **r)
{
	*r = runtime_registry_free(*r);
}

/* ---- asking ---- */

size_t runtime_registry_count(const struct runtime_registry *r)
{
	return r->count;
}

const struct runtime *runtime_registry_at(const struct runtime_registry *r, size_t index)
{
	return index < r->count ? &r->runtimes[index] : NULL;
}

const struct runtime *runtime_registry_find(const struct runtime_registry *r, const char *name)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->runtimes[i].name, name) == 0)
			return &r->runtimes[i];
	return NULL;
}

static bool speaks(const struct runtime *t, struct span language)
{
	for (const char *const *l = t->languages; *l; l++)
		if (span_eq_nocase(language, span_cstr(*l)))
			return true;
	return false;
}

/* "3.11" is served by 3.11.2, not by 3.110. */
static bool serves(const struct runtime *t, struct span version)
{
	struct span have = span_cstr(t->version);

	if (version.n == 0 || span_is(version, "latest"))
		return true;
	return span_starts(have, version) && (have.n == version.n || have.p[version.n] == '.');
}

int runtime_registry_match(const struct runtime_registry *r, struct span language,
	struct span version, const struct runtime **ret)
{
	struct buf have CLEANUP(buf_fini) = buf_init(ERR_MESSAGE_BYTES);

	for (size_t i = 0; i < r->count; i++) {
		const struct runtime *t = &r->runtimes[i];
		if (speaks(t, language) && serves(t, version)) {
			*ret = t;
			return 0;
		}
		buf_printf(&have, "%s%s %s", i ? ", " : "", t->languages[0], t->version);
	}
	const char *list = buf_cstr(&have);
	return err_raise(-ENOENT,
		"no runtime for language \"" SPAN_FMT "\" version \"" SPAN_FMT "\"; installed: %s",
		SPAN_ARG(language), SPAN_ARG(version),
		!r->count      ? "none"
			: list ? list
			       : "many");
}
