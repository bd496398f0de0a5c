/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Runs the cases of one file of a Cedar conformance pack, JSON lines on stdin
 * (tests/conformance/run decompresses): cedar_pack NAME [EVERY]. With EVERY, one case in so many.
 * Lists the differing cases and prints "NAME: P passed, F failed, L left out"; exits 1 if any
 * failed.
 *
 * The cases run in a child. One that kills it, or takes longer than a case may, has failed, and a
 * new child goes on behind it.
 */
#include "tests/conformance/policy/cedar/pack.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CASE_ARENA_BYTES = 512 * 1024 * 1024, WHY_BYTES = 64 * 1024, LISTED_MAX = 50 };
enum { FILE_BYTES = 1024 * 1024 * 1024, CASE_MAX_S = 300 };

/* What the runner and its children share. */
struct progress {
	size_t next; /* the case that is being run, or the first that is not */
	size_t counts[3];
};

struct lines {
	size_t count;
	struct span *items;
};

/* For the runner's own test. */
static enum verdict check_death(struct arena *a, const struct json *c, struct buf *why)
{
	(void)a, (void)c, (void)why;
	raise(SIGKILL);
	return VERDICT_FAIL;
}

static const struct {
	const char *kind;
	enum verdict (*check)(struct arena *a, const struct json *c, struct buf *why);
} kinds[] = {
	{"authz", check_authz},
	{"policyset", check_policyset},
	{"expr", check_expr},
	{"est", check_est},
	{"est_template", check_est},
	{"schema", check_schema},
	{"schema_json", check_schema_json},
	{"entities_json", check_entities_json},
	{"kill the runner", check_death},
};

/* A case of authorisation names no kind. */
static struct span kind_of(const struct json *c)
{
	bool policies = json_get(c, "policies") || json_get(c, "policySet");
	return json_str(c, "kind", policies ? SPAN("authz") : SPAN(""));
}

/* The index behind the string that begins at `at`. */
static size_t string_end(struct span s, size_t at)
{
	for (at++; at < s.n && s.p[at] != '"'; at++)
		at += s.p[at] == '\\';
	return MIN(at + 1, s.n);
}

/* The index behind the value of a member that begins at `at`. */
static size_t value_end(struct span s, size_t at)
{
	int depth = 0;
	while (at < s.n) {
		char c = s.p[at];
		if (depth == 0 && (c == ',' || c == '}'))
			break;
		depth += (c == '{' || c == '[') - (c == '}' || c == ']');
		at = c == '"' ? string_end(s, at) : at + 1;
	}
	return at;
}

/* The line with null in place of the policies' JSON form, which for a policy of sixty levels is
 * nested deeper than our codec reads, as the reference's by default: it is then not compared. */
static struct span without_forms(struct arena *a, struct span line)
{
	struct buf b CLEANUP(buf_fini) = buf_init(FILE_BYTES);
	int depth = 0;
	for (size_t at = 0, end; at < line.n; at = end) {
		struct span rest = span_sub(line, at, line.n);
		char c = line.p[at];
		bool key = depth == 1 && c == '"' && at > 0 && strchr("{, ", line.p[at - 1]);
		depth += (c == '{' || c == '[') - (c == '}' || c == ']');
		end = c == '"' ? string_end(line, at) : at + 1;
		if (key &&
			(span_starts(rest, SPAN("\"est\":")) ||
				span_starts(rest, SPAN("\"est_templates\":")))) {
			buf_span(&b, span_sub(line, at, end));
			buf_puts(&b, ":null");
			end = value_end(line, end + 1);
		} else {
			buf_span(&b, span_sub(line, at, end));
		}
	}
	CHECK(buf_error(&b) == 0);
	return arena_span(a, buf_view(&b));
}

static enum verdict run_case(
	struct arena *a, struct span line, struct buf *why, struct span *ret_name)
{
	static const struct json_limits limits = {64 * 1024 * 1024, LIMIT_JSON_DEPTH};
	const struct json *c;
	int r = json_parse(a, line, &limits, &c);
	if (r == -E2BIG) {
		err_clear();
		r = json_parse(a, without_forms(a, line), &limits, &c);
	}
	if (r < 0) {
		buf_printf(why, "the line is no JSON: %s", err_message(-EINVAL));
		return VERDICT_FAIL;
	}
	*ret_name = json_str(c, "name", SPAN("(no name)"));
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (span_is(kind_of(c), kinds[i].kind))
			return kinds[i].check(a, c, why);
	return VERDICT_LEFT_OUT;
}

static void list(const struct progress *p, struct span name, struct span why)
{
	if (p->counts[VERDICT_FAIL] < LISTED_MAX)
		printf("  differs: " SPAN_FMT ": " SPAN_FMT "\n", SPAN_ARG(name), SPAN_ARG(why));
	fflush(stdout);
}

static void run_rest(const struct lines *lines, size_t every, struct progress *p)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(CASE_ARENA_BYTES);
	struct buf why CLEANUP(buf_fini) = buf_init(WHY_BYTES);
	CHECK(a);
	for (; p->next < lines->count; p->next += every) {
		struct span name = SPAN("(unread)");
		enum verdict v;
		alarm(CASE_MAX_S);
		v = run_case(a, lines->items[p->next], &why, &name);
		if (v == VERDICT_FAIL)
			list(p, name, buf_view(&why));
		p->counts[v]++;
		buf_reset(&why);
		err_clear();
		arena_reset(a);
	}
}

/* A child for the cases from p->next on; false if it died of one. */
static bool run_child(const struct lines *lines, size_t every, struct progress *p)
{
	char why[80];
	int status;
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		run_rest(lines, every, p);
		exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (p->next >= lines->count)
		return true;
	snprintf(why, sizeof(why), "ended the program, by %s %d",
		WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	list(p, span_sub(lines->items[p->next], 0, 80), span_cstr(why));
	p->counts[VERDICT_FAIL]++;
	p->next += every;
	return false;
}

static void read_all(struct buf *text)
{
	char piece[64 * 1024];
	ssize_t n;
	while ((n = read(STDIN_FILENO, piece, sizeof(piece))) > 0)
		buf_put(text, piece, (size_t)n);
	CHECK(n == 0 && buf_error(text) == 0);
}

/* The lines that are not blank. */
static struct lines split(struct arena *a, struct span text)
{
	struct lines lines = {0};
	struct span rest = text, line;
	bool done = false;
	size_t most = 1;
	for (size_t i = 0; i < text.n; i++)
		most += text.p[i] == '\n';
	lines.items = arena_make_array(a, struct span, most);
	CHECK(lines.items);
	while (span_split(&rest, '\n', &done, &line))
		if (span_trim(line).n > 0)
			lines.items[lines.count++] = line;
	return lines;
}

int main(int argc, char **argv)
{
	size_t every = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(CASE_ARENA_BYTES);
	struct buf text CLEANUP(buf_fini) = buf_init(FILE_BYTES);
	struct lines lines;
	struct progress *p =
		mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(argc > 1 && every > 0 && a && p != MAP_FAILED);
	read_all(&text);
	lines = split(a, buf_view(&text));
	while (p->next < lines.count && !run_child(&lines, every, p))
		;
	printf("%s: %zu passed, %zu failed, %zu left out\n", argv[1], p->counts[VERDICT_PASS],
		p->counts[VERDICT_FAIL], p->counts[VERDICT_LEFT_OUT]);
	return p->counts[VERDICT_FAIL] ? 1 : 0;
}
