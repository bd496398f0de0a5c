/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Runs the cases of one file of a Cedar conformance pack, JSON lines on stdin
 * (tests/conformance/run decompresses): cedar_pack NAME [EVERY]. With EVERY, one case in so many.
 * Lists the differing cases and prints "NAME: P passed, F failed, L left out"; exits 1 if any
 * failed.
 */
#include "tests/conformance/policy/cedar/pack.h"
#include <stdio.h>
#include <stdlib.h>

enum { CASE_ARENA_BYTES = 512 * 1024 * 1024, WHY_BYTES = 64 * 1024, LISTED_MAX = 50 };

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
};

static enum verdict run_case(
	struct arena *a, struct span line, struct buf *why, struct span *ret_name)
{
	static const struct json_limits limits = {64 * 1024 * 1024, LIMIT_JSON_DEPTH};
	const struct json *c;
	struct span kind;
	if (json_parse(a, line, &limits, &c) < 0) {
		buf_printf(why, "the line is no JSON: %s", err_message(-EINVAL));
		return VERDICT_FAIL;
	}
	*ret_name = json_str(c, "name", SPAN("(no name)"));
	kind = json_str(c, "kind", SPAN("authz"));
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (span_is(kind, kinds[i].kind))
			return kinds[i].check(a, c, why);
	return VERDICT_LEFT_OUT;
}

int main(int argc, char **argv)
{
	size_t every = argc > 2 ? strtoul(argv[2], NULL, 10) : 1, number = 0, capacity = 0;
	size_t counts[3] = {0};
	char *line = NULL;
	ssize_t n;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(CASE_ARENA_BYTES);
	struct buf why CLEANUP(buf_fini) = buf_init(WHY_BYTES);
	CHECK(argc > 1 && every > 0 && a);
	while ((n = getline(&line, &capacity, stdin)) > 0) {
		struct span name = SPAN("(unread)");
		enum verdict v;
		if (number++ % every != 0)
			continue;
		v = run_case(a, span_of(line, (size_t)n), &why, &name);
		if (v == VERDICT_FAIL && counts[VERDICT_FAIL] < LISTED_MAX)
			printf("  differs: " SPAN_FMT ": " SPAN_FMT "\n", SPAN_ARG(name),
				SPAN_ARG(buf_view(&why)));
		counts[v]++;
		buf_reset(&why);
		err_clear();
		arena_reset(a);
	}
	free(line);
	printf("%s: %zu passed, %zu failed, %zu left out\n", argv[1], counts[VERDICT_PASS],
		counts[VERDICT_FAIL], counts[VERDICT_LEFT_OUT]);
	return counts[VERDICT_FAIL] ? 1 : 0;
}
