/* SPDX-License-Identifier: AGPL-3.0-only */
/* What aegis-audit reads out of the words that other rooms write into records. */
#include "tools/aegis-audit/tool.h"
#include "daemon/sensor/resolver.h"
#include "daemon/sensor/sensor.h"
#include "tests/tap.h"
#include <stdio.h>

static enum basis basis_of(const char *reason)
{
	char payload[256];
	struct audit_record r = {.source = AUDIT_KERNEL, .kind = SPAN("NetworkDenied")};
	struct arena *a CLEANUP(arena_cleanup) = facts_arena();

	snprintf(payload, sizeof(payload), "{\"reason\":\"%s\",\"policy_id\":\"\"}", reason);
	r.payload = span_cstr(payload);
	struct facts f = facts_of(a, &r);
	assert_true(f.denied);
	return facts_basis(&f);
}

static void denials_of_the_network(void **state)
{
	(void)state;
	assert_int_equal(basis_of(sensor_verdict_text(NET_DENY_DEFAULT)), BASIS_DEFAULT);
	assert_int_equal(basis_of(sensor_verdict_text(NET_DENY_RULE)), BASIS_POLICY);
	assert_int_equal(basis_of(sensor_verdict_text(NET_DENY_FRAGMENT)), BASIS_OTHER);
	assert_int_equal(basis_of(RESOLVER_NOT_PERMITTED), BASIS_DEFAULT);
	assert_int_equal(basis_of(RESOLVER_ALIAS_FORBIDDEN), BASIS_POLICY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(denials_of_the_network)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
