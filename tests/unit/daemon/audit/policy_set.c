/* SPDX-License-Identifier: AGPL-3.0-only */
/* A policy set's text comes back out of the journal as it went in, whatever its length. */
#include "tests/unit/daemon/audit/fixture.h"

#include <sodium.h>
#include <stdlib.h>

static struct span hash_of(struct span text, char ret[65])
{
	uint8_t digest[32];
	struct buf b CLEANUP(buf_fini) = buf_init(65);

	crypto_generichash(digest, sizeof(digest), (const uint8_t *)text.p, text.n, NULL, 0);
	hex_encode(&b, span_of(digest, sizeof(digest)));
	memcpy(ret, buf_cstr(&b), 65);
	return span_cstr(ret);
}

/* What the records of `hash` say, in order. */
static void gather(const char *dir, struct span hash, struct buf *text, uint32_t *ret_parts)
{
	struct arena *a CLEANUP(arena_cleanup) =
		arena_new(16 * (size_t)LIMIT_AUDIT_POLICY_PART_BYTES);
	struct audit_policy_part part;
	struct audit_reader *reader;
	struct audit_record r;

	*ret_parts = 0;
	assert_int_equal(audit_reader_open(dir, &reader), 0);
	while (audit_reader_next(reader, &r) == 0) {
		arena_reset(a);
		if (audit_policy_part_of(a, &r, &part) != 0)
			continue;
		assert_true(span_eq(part.policy_set, hash));
		assert_int_equal(part.part, ++*ret_parts);
		buf_span(text, part.text);
	}
	audit_reader_close(reader);
}

static void expect_back(struct fixture *f, struct span text, uint32_t parts)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	char hash[65];
	uint32_t seen;

	struct span name = hash_of(text, hash);
	assert_int_equal(journal_policy_set(f->journal, name, text, DEADLINE_NONE), 0);
	gather(f->journal_dir, name, &b, &seen);
	assert_int_equal(seen, parts);
	assert_true(span_eq(buf_view(&b), text));
}

static void test_a_short_text(void **state)
{
	expect_back(*state, SPAN("permit (principal, action, resource); // \"\xc3\xa4\"\n"), 1);
}

/* Pieces end between characters. */
static void test_the_longest_text(void **state)
{
	char *text = malloc(LIMIT_RULE_SET_BYTES);

	assert_non_null(text);
	text[0] = '/';
	for (size_t i = 1; i + 1 < LIMIT_RULE_SET_BYTES; i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	text[LIMIT_RULE_SET_BYTES - 1] = '\n';
	expect_back(*state, span_of(text, LIMIT_RULE_SET_BYTES), 9);
	free(text);
}

static void test_under_another_name(void **state)
{
	struct fixture *f = *state;
	struct span text = SPAN("permit (principal, action, resource);\n");
	char hash[65];

	hash_of(SPAN("another text"), hash);
	assert_int_equal(
		journal_policy_set(f->journal, span_cstr(hash), text, DEADLINE_NONE), -EINVAL);
	err_clear();
	assert_int_equal(
		journal_policy_set(f->journal, SPAN("abcd"), text, DEADLINE_NONE), -EINVAL);
	err_clear();
	assert_int_equal(journal_stats(f->journal).records, 1); /* "Opened" */
}

static void test_what_is_no_such_record(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 16);
	struct audit_record r = {.source = AUDIT_DAEMON,
		.kind = SPAN("PolicySet"),
		.payload = SPAN("{\"policy_set\":\"ab\",\"part\":1,\"parts\":1,\"text\":\"\"}")};
	struct audit_policy_part part;

	(void)state;
	assert_int_equal(audit_policy_part_of(a, &r, &part), AUDIT_NO_POLICY_SET);
	r.payload = SPAN("{");
	assert_int_equal(audit_policy_part_of(a, &r, &part), AUDIT_NO_POLICY_SET);
	r.source = AUDIT_CALL;
	assert_int_equal(audit_policy_part_of(a, &r, &part), AUDIT_NO_POLICY_SET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_short_text, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_the_longest_text, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			test_under_another_name, fixture_setup, fixture_teardown),
		cmocka_unit_test(test_what_is_no_such_record),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
