/* SPDX-License-Identifier: AGPL-3.0-only */
/* A kind that AEGIS writes is one that a filter accepts before it first happened. */
#include "tools/aegis-audit/tool.h"
#include "daemon/event/event.h"
#include "tests/tap.h"

static bool is_listed(const char *kind)
{
	for (size_t i = 0; audit_kinds[i]; i++)
		if (strcmp(audit_kinds[i], kind) == 0)
			return true;
	return false;
}

static void every_event_is_listed(void **state)
{
	(void)state;
	for (int t = 0; t < EVENT_TYPE_COUNT; t++) {
		const char *name = event_info((enum event_type)t)->name;
		if (!is_listed(name))
			fail_msg("%s is missing in tools/aegis-audit/kinds.c", name);
	}
}

static void kinds_fit(void **state)
{
	(void)state;
	for (size_t i = 0; audit_kinds[i]; i++) {
		assert_true(strlen(audit_kinds[i]) <= LIMIT_AUDIT_KIND_BYTES);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(audit_kinds[i], audit_kinds[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_is_listed), cmocka_unit_test(kinds_fit)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
