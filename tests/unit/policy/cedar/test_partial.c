/* SPDX-License-Identifier: AGPL-3.0-only */
/* policy/cedar: how much partial evaluation finds out, and what it leaves open. */
#include "policy/cedar/partial.h"
#include "tests/tap.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(64 * 1024 * 1024);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	err_clear();
	arena = arena_free(arena);
	return 0;
}

static const char schema_text[] =
	"entity Agent in [Group] { level: Long, home: String };"
	"entity Group;"
	"entity Address { ip: ipaddr, port?: Long };"
	"entity Folder in [Folder];"
	"entity Path in [Folder] { name: String };"
	"action all;"
	"action connect in [all] appliesTo { principal: Agent, resource: Address, context: {"
	"  port: Long, domain?: String, by?: Agent } };"
	"action read in [all] appliesTo { principal: Agent, resource: [Path, Folder], context: {} "
	"};";

static const char world[] =
	"[{\"uid\":{\"type\":\"Agent\",\"id\":\"a\"},\"attrs\":{\"level\":3,\"home\":\"/w\"},"
	"\"parents\":[{\"type\":\"Group\",\"id\":\"g\"}]}]";

static const struct cedar_schema *read_schema(void)
{
	const struct cedar_schema *s;
	assert_int_equal(cedar_schema_parse(arena, span_cstr(schema_text), &s), 0);
	return s;
}

static const struct json *json(const char *text)
{
	const struct json *v;
	assert_int_equal(json_parse(arena, span_cstr(text), NULL, &v), 0);
	return v;
}

/* Agent a does something to an unknown resource of the type. */
static struct cedar_known known(const char *action, const char *type)
{
	static const struct span context[] = {{"port", 4}, {"domain", 6}, {"by", 2}};
	struct cedar_known k = {
		.principal = cedar_uid_of(SPAN("Agent"), SPAN("a")),
		.action = cedar_uid_of(SPAN("Action"), span_cstr(action)),
		.resource = cedar_uid_of(span_cstr(type), SPAN("")),
		.resource_unknown = true,
		.unknown = context,
		.unknown_count = strcmp(action, "connect") == 0 ? 3 : 0,
		.entities_closed = true,
		.unknown_exist = true,
		.schema = read_schema(),
	};
	assert_int_equal(
		cedar_entities_from_json_typed(arena, k.schema, json(world), &k.entities), 0);
	return k;
}

static struct cedar_residuals evaluate(const struct cedar_known *k, const char *text)
{
	struct cedar_policies policies;
	struct cedar_residuals all;
	if (cedar_policies_parse(arena, span_cstr(text), &policies) < 0)
		fail_msg("%s", err_message(-EINVAL));
	assert_int_equal(cedar_partial(arena, &policies, k, &all), 0);
	return all;
}

/* The residual of permit(principal, action, resource) when { condition }, "false" for none. */
static void leaves(const struct cedar_known *k, const char *condition, const char *expected)
{
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	const char *text =
		arena_printf(arena, "permit(principal, action, resource) when { %s };", condition);
	struct cedar_residuals all = evaluate(k, text);
	if (all.count == 0)
		buf_puts(&b, "false");
	else
		cedar_residual_print(&b, all.items[0].condition);
	if (strcmp(buf_cstr(&b), expected) != 0)
		fail_msg("%s\n  leaves %s\n  expected %s", condition, buf_cstr(&b), expected);
}

static void what_is_known_goes(void **state)
{
	(void)state;
	struct cedar_known k = known("connect", "Address");
	leaves(&k, "principal.level > 2 && resource.ip.isInRange(ip(\"10.0.0.0/8\"))",
		"resource.ip.isInRange(ip(\"10.0.0.0/8\"))");
	leaves(&k, "principal in Group::\"g\" && context.port == 443", "context.port == 443");
	leaves(&k, "principal in Group::\"h\" && context.port == 443", "false");
	leaves(&k, "context.port == 443 && principal in Group::\"h\"", "false");
	leaves(&k, "action in Action::\"all\"", "true");
	leaves(&k, "context has domain && context.domain like \"*.example.org\"",
		"(context has domain) && (context.domain like \"*.example.org\")");
	leaves(&k, "context has port && !(context has nothing)", "true");
	leaves(&k, "if principal.level == 3 then context.port < 9 else resource.ip.isIpv6()",
		"context.port < 9");
	leaves(&k, "[1, principal.level].contains(3) || context.port == 1", "true");
}

static void types_decide(void **state)
{
	(void)state;
	struct cedar_known k = known("read", "Path");
	leaves(&k, "resource is Path", "true");
	leaves(&k, "resource is Folder || resource in Group::\"g\"", "false");
	leaves(&k, "resource == Folder::\"w\"", "false");
	leaves(&k, "resource == Path::\"w\"", "resource == Path::\"w\"");
	leaves(&k, "resource in [Group::\"g\", Folder::\"w\", Agent::\"a\"]",
		"resource in [Folder::\"w\"]");
	leaves(&k, "resource has name && resource.name == \"x\"", "resource.name == \"x\"");
	leaves(&k, "resource has owner", "false");
	leaves(&k, "resource.hasTag(\"t\")", "false");
	leaves(&k, "resource == 3", "false");
	leaves(&k, "resource.name.isEmpty() || true", "resource.name.isEmpty() || true");
}

/* What may fail keeps its place; what cannot goes. */
static void errors_stay(void **state)
{
	(void)state;
	struct cedar_known k = known("connect", "Address");
	leaves(&k, "context.domain == \"a\" && false", "(context.domain == \"a\") && false");
	leaves(&k, "context.port == 1 && false", "false");
	leaves(&k, "context.port + 1 > 2 || true", "((context.port + 1) > 2) || true");
	leaves(&k, "resource.port == 1 && 1 + true == 2",
		"(resource.port == 1) && error(\"type error: expected long, got bool\")");
	leaves(&k, "principal.none", "error(\"the entity does not have the attribute `none`\")");
	leaves(&k, "context.by.level == 1", "context.by.level == 1");
	k.unknown_exist = false;
	leaves(&k, "resource.ip == resource.ip && false", "(resource.ip == resource.ip) && false");
}

static void without_schema(void **state)
{
	(void)state;
	struct cedar_known k = known("read", "Path");
	k.schema = NULL;
	leaves(&k, "resource is Path && principal.level == 3", "true");
	leaves(&k, "resource in Group::\"g\"", "resource in Group::\"g\"");
	leaves(&k, "resource.name == \"x\" && false", "(resource.name == \"x\") && false");
	k.entities_closed = false;
	leaves(&k, "Agent::\"b\".level == 1", "Agent::\"b\".level == 1");
	k.entities_closed = true;
	leaves(&k, "Agent::\"b\" has level", "false");
}

static void scopes(void **state)
{
	(void)state;
	struct cedar_known k = known("read", "Path");
	struct cedar_residuals all = evaluate(&k,
		"permit(principal == Agent::\"b\", action, resource);"
		"permit(principal, action == Action::\"connect\", resource);"
		"permit(principal in Group::\"g\", action in [Action::\"all\"], "
		"       resource is Path in Folder::\"w\");"
		"forbid(principal, action, resource is Folder);");
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	assert_int_equal(all.count, 1);
	assert_int_equal(all.outlook, CEDAR_UNDECIDED);
	cedar_residual_print(&b, all.items[0].condition);
	assert_string_equal(buf_cstr(&b), "resource in Folder::\"w\"");
	assert_false(all.items[0].condition->may_fail);
}

static void outlooks(void **state)
{
	(void)state;
	struct cedar_known k = known("connect", "Address");
	static const struct {
		const char *text;
		enum cedar_outlook outlook;
	} cases[] = {
		{"permit(principal, action, resource);", CEDAR_WILL_ALLOW},
		{"forbid(principal, action, resource);", CEDAR_WILL_DENY},
		{"", CEDAR_WILL_DENY},
		{"permit(principal, action, resource) when { context.port == 1 };",
			CEDAR_UNDECIDED},
		{"permit(principal, action, resource);"
		 "forbid(principal, action, resource) when { context.port == 1 };",
			CEDAR_UNDECIDED},
		{"forbid(principal, action, resource) when { context.port == 1 };",
			CEDAR_WILL_DENY},
		/* fails always: counts for nothing */
		{"permit(principal, action, resource);"
		 "forbid(principal, action, resource) when { principal.none };",
			CEDAR_WILL_ALLOW},
		{"permit(principal, action, resource) when { principal.none };", CEDAR_WILL_DENY},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(evaluate(&k, cases[i].text).outlook, cases[i].outlook);
}

/* As many conditions, and as deep a condition, as may be. */
static void many_conditions(void **state)
{
	(void)state;
	struct cedar_known k = known("connect", "Address");
	struct buf b CLEANUP(buf_fini) = buf_init(4 * 1024 * 1024);
	struct cedar_residuals all;
	struct cedar_answer answer;
	struct cedar_request q = {
		k.principal, k.action, cedar_uid_of(SPAN("Address"), SPAN("x")), NULL};
	buf_puts(&b, "permit(principal, action, resource)");
	for (int i = 0; i < 900; i++)
		buf_puts(&b, " when { context.port > 0 }");
	buf_puts(&b, ";");
	buf_puts(&b, "forbid(principal, action, resource) when { context.port > 1");
	for (int i = 0; i < 900; i++) /* this one is as deep as it may be */
		buf_puts(&b, " || context.port > 1");
	buf_puts(&b, " };");
	all = evaluate(&k, buf_cstr(&b));
	assert_int_equal(all.count, 2);
	assert_int_equal(cedar_context_from_json(arena, json("{\"port\":1}"), &q.context), 0);
	assert_int_equal(cedar_residuals_decide(arena, &all, k.entities, &q, &answer), 0);
	assert_true(answer.allow);
}

/* What stands once in the policy is asked once: this would double at each of its levels. */
static void nested_is_in(void **state)
{
	(void)state;
	struct cedar_known k = known("read", "Path");
	struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024);
	const char *of = "resource";
	struct cedar_residuals all;
	struct cedar_answer answer;
	struct cedar_request q = {
		k.principal, k.action, cedar_uid_of(SPAN("Path"), SPAN("x")), NULL};
	k.schema = NULL;
	k.resource = cedar_uid_of(SPAN(""), SPAN(""));
	for (int i = 0; i < 30; i++)
		of = arena_printf(
			arena, "(if %s is Path in Path::\"x\" then resource else principal)", of);
	buf_printf(
		&b, "permit(principal, action, resource) when { %s is Path in Path::\"x\" };", of);
	all = evaluate(&k, buf_cstr(&b));
	assert_int_equal(all.count, 1);
	assert_int_equal(cedar_context_from_json(arena, json("{}"), &q.context), 0);
	assert_int_equal(cedar_residuals_decide(arena, &all, k.entities, &q, &answer), 0);
	assert_true(answer.allow);
	leaves(&k, "resource is Path in Path::\"x\"", "resource is Path in Path::\"x\"");
}

static void unknown_action(void **state)
{
	(void)state;
	struct cedar_known k = known("nothing", "Address");
	struct cedar_policies none = {0};
	struct cedar_residuals all;
	assert_int_equal(cedar_partial(arena, &none, &k, &all), -EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "no action `Action::\"nothing\"`"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_known_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(types_decide, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(without_schema, setup, teardown),
		cmocka_unit_test_setup_teardown(scopes, setup, teardown),
		cmocka_unit_test_setup_teardown(outlooks, setup, teardown),
		cmocka_unit_test_setup_teardown(many_conditions, setup, teardown),
		cmocka_unit_test_setup_teardown(nested_is_in, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_action, setup, teardown),
	};
	return cmocka_run_group_tests_name("policy/cedar/partial", tests, NULL, NULL);
}
