/* SPDX-License-Identifier: AGPL-3.0-only */
/* policy/cedar: what schemas mean, and entities, contexts and requests by them. */
#include "policy/cedar/entities.h"
#include "policy/cedar/schema.h"
#include "tests/tap.h"

enum { ARENA_BYTES = 64 * 1024 * 1024 };

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(ARENA_BYTES);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_free(arena);
	err_clear();
	return 0;
}

static const struct cedar_schema *parse(const char *text)
{
	const struct cedar_schema *s;
	int r = cedar_schema_parse(arena, span_cstr(text), &s);
	if (r < 0)
		fail_msg("%s", err_message(r));
	return s;
}

static const struct json *json(const char *text)
{
	const struct json *v;
	assert_int_equal(json_parse(arena, span_cstr(text), NULL, &v), 0);
	return v;
}

static const char model[] =
	"namespace Ns {\n"
	"  type Where = { host: ipaddr, port?: Long };\n"
	"  entity User in [Team] { home: Where, level: Level } tags Set<String>;\n"
	"  entity Team in Org;\n"
	"  entity Org;\n"
	"  entity Level enum [\"low\", \"high\"];\n"
	"  action read in write appliesTo { principal: User, resource: [Team, "
	"Org],\n"
	"    context: { at: datetime, by?: User } };\n"
	"  action write in \"all\";\n"
	"  action all;\n"
	"}\n";

static void resolves(void **state)
{
	(void)state;
	const struct cedar_schema *s = parse(
		"namespace Ns { entity User in [Team] { home: Where, level: Level };\n"
		"type Where = { host: ipaddr, port?: Long }; entity Team in Org; entity Org;\n"
		"entity Level enum [\"low\", \"high\"]; }");
	const struct schema_entity *user = schema_entity_find(s, SPAN("Ns::User"));
	const struct schema_entity *org = schema_entity_find(s, SPAN("Ns::Org"));
	const struct schema_attr *home;
	assert_non_null(user);
	assert_null(schema_entity_find(s, SPAN("User")));
	assert_int_equal(user->ancestors.count, 2);
	assert_true(schema_entities_have(&user->ancestors, org));
	assert_true(schema_entities_have(&org->descendants, user));
	assert_false(schema_entities_have(&org->descendants, org));
	home = schema_attr_find(&user->attrs, SPAN("home"));
	assert_int_equal(home->type->kind, TYPE_RECORD);
	assert_int_equal(schema_attr_find(home->type->attrs, SPAN("host"))->type->kind, TYPE_IP);
	assert_false(schema_attr_find(home->type->attrs, SPAN("port"))->required);
	assert_false(schema_entity_allows(schema_entity_find(s, SPAN("Ns::Level")), SPAN("mid")));
}

static void resolves_actions(void **state)
{
	(void)state;
	const struct cedar_schema *s = parse("entity A, B; action read in [\"group\"] appliesTo { "
					     "principal: A, resource: [B, A] };"
					     "action group in Action::\"top\"; action top;");
	struct cedar_uid read = cedar_uid_of(SPAN("Action"), SPAN("read"));
	struct cedar_uid top = cedar_uid_of(SPAN("Action"), SPAN("top"));
	const struct schema_action *a = schema_action_find(s, &read);
	assert_non_null(a);
	assert_true(a->type->action);
	assert_int_equal(a->principals.count, 1);
	assert_int_equal(a->resources.count, 2);
	assert_true(schema_actions_have(&a->ancestors, schema_action_find(s, &top)));
	assert_true(entity_below(entities_find(s->action_entities, &read), &top));
	assert_int_equal(schema_action_find(s, &top)->principals.count, 0);
}

/* A name means the declaration in its own namespace; a common type goes before an entity type. */
static void prefers(void **state)
{
	(void)state;
	const struct cedar_schema *s =
		parse("entity Long; entity Id; namespace Ns { type T = Long; entity T;\n"
		      "entity E { a: T, b: __cedar::Long, c: Long, d: Id, e: String }; }");
	const struct schema_attrs *at = &schema_entity_find(s, SPAN("Ns::E"))->attrs;
	assert_int_equal(schema_attr_find(at, SPAN("a"))->type->kind, TYPE_ENTITY);
	assert_int_equal(schema_attr_find(at, SPAN("b"))->type->kind, TYPE_LONG);
	assert_int_equal(schema_attr_find(at, SPAN("c"))->type->kind, TYPE_ENTITY);
	assert_int_equal(schema_attr_find(at, SPAN("d"))->type->kind, TYPE_ENTITY);
	assert_int_equal(schema_attr_find(at, SPAN("e"))->type->kind, TYPE_STRING);
}

static void refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"entity User;\nentity D in Usr;",
			"line 2 column 13: no entity type `Usr` is "
			"declared; did you mean `User`?\n"
			"  entity D in Usr;\n"
			"              ^"},
		{"namespace Ns { entity U; }\nentity V { a: U };", "did you mean `Ns::U`?"},
		{"entity A { a: Sting };", "did you mean `String`?"},
		{"type A = { b: B }; type B = Set<A>;", "contains itself"},
		{"action a in b; action b in a;", "is in itself"},
		{"action a in c; action b;", "no action `Action::\"c\"`"},
		{"entity A; namespace Ns { type A = Long; }", "would hide"},
		{"action x; namespace Ns { action x; }", "would hide"},
		{"entity A, A;", "declared twice"},
		{"namespace N {} namespace N {}", "declared twice"},
		{"entity Action;", "the type of actions"},
		{"entity A; action a appliesTo { principal: Action, resource: A };",
			"type of actions"},
		{"namespace __cedar { entity A; }", "reserved"},
		{"entity __cedar;", "reserved"},
		{"entity if;", "reserved word"},
		{"type Set = Long;", "word of the schema language"},
		{"action a appliesTo { principal: A };", "without `resource`"},
		{"entity A; action a appliesTo { principal: [], resource: A };", "names no type"},
		{"entity A; action a appliesTo { principal: A, principal: A };", "given twice"},
		{"type C = Long; entity A; action a appliesTo { principal: A, resource: A, "
		 "context: C };",
			"is no record"},
		{"@a @a entity A;", "@a is given twice"},
		{"entity A enum [];", "expected a string"},
		{"entity A { a: Long", "unexpected end"},
		{"entity A = Long;", "attributes are a record"},
		{"entity A { a: Set<Long };", "expected `>`"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct cedar_schema *s;
		int r = cedar_schema_parse(arena, span_cstr(cases[i].text), &s);
		assert_int_equal(r, -EINVAL);
		if (!strstr(err_message(r), cases[i].says))
			fail_msg("%s: %s", cases[i].says, err_message(r));
	}
}

static void json_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"[]", "an object of namespaces"},
		{"{\"N\":{\"actions\":{}}}", "N.entityTypes"},
		{"{\"N\":{\"entityTypes\":{}}}", "N.actions"},
		{"{\"__cedar\":{\"entityTypes\":{},\"actions\":{}}}", "reserved"},
		{"{\"\":{\"entityTypes\":{\"A\":{\"shape\":{\"type\":\"Record\",\"attributes\":"
		 "{\"a\":{\"type\":\"Set\"}}}}},\"actions\":{}}}",
			"entityTypes.A.shape.attributes.a.element"},
		{"{\"\":{\"entityTypes\":{\"A\":{\"shape\":{\"type\":\"Record\",\"attributes\":{},"
		 "\"additionalAttributes\":true}}},\"actions\":{}}}",
			"further attributes"},
		{"{\"\":{\"entityTypes\":{\"A\":{\"enum\":[]}},\"actions\":{}}}", "at least one"},
		{"{\"\":{\"entityTypes\":{\"A\":{\"enum\":[\"a\"],\"tags\":{\"type\":\"Long\"}}},"
		 "\"actions\":{}}}",
			"no member `tags`"},
		{"{\"\":{\"entityTypes\":{},\"actions\":{\"a\":{\"attributes\":{}}}}}",
			"actions have none"},
		{"{\"N\":{\"entityTypes\":{\"A\":{\"memberOfTypes\":[\"B\"]}},\"actions\":{}}}",
			"namespace `N`: no entity type `B`"},
		{"{\"\":{\"commonTypes\":{\"T\":{\"type\":\"Extension\",\"name\":\"regex\"}},"
		 "\"entityTypes\":{},\"actions\":{}}}",
			"expected decimal, ipaddr"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct cedar_schema *s;
		int r = cedar_schema_from_json(arena, json(cases[i].text), &s);
		assert_int_equal(r, -EINVAL);
		if (!strstr(err_message(r), cases[i].says))
			fail_msg("%s: %s", cases[i].says, err_message(r));
	}
}

/* A chain of common types as long as a text may hold is refused, not walked to the end. */
static void deep_types(void **state)
{
	(void)state;
	struct buf b CLEANUP(buf_fini) = buf_init(1024 * 1024);
	const struct cedar_schema *s;
	for (int i = 0; i < 9000; i++)
		buf_printf(&b, "type T%d = Set<T%d>;", i, i + 1);
	buf_puts(&b, "type T9000 = Long;");
	assert_int_equal(cedar_schema_parse(arena, arena_span(arena, buf_view(&b)), &s), -EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "levels"));
	buf_reset(&b);
	buf_puts(&b, "type T = ");
	for (int i = 0; i < 100000; i++)
		buf_puts(&b, "Set<");
	assert_int_equal(cedar_schema_parse(arena, arena_span(arena, buf_view(&b)), &s), -EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "nested more than"));
}

static const char alice[] =
	"[{\"uid\":{\"type\":\"Ns::User\",\"id\":\"alice\"},\"attrs\":{\"home\":{\"host\":"
	"\"10.0.0.1\"},\"level\":{\"type\":\"Ns::Level\",\"id\":\"low\"}},\"parents\":"
	"[{\"type\":\"Ns::Team\",\"id\":\"t\"}],\"tags\":{\"x\":[\"a\"]}}]";

static void typed_entities(void **state)
{
	(void)state;
	const struct cedar_schema *s = parse(model);
	const struct cedar_entities *e;
	struct cedar_uid uid = cedar_uid_of(SPAN("Ns::User"), SPAN("alice"));
	struct cedar_uid read = cedar_uid_of(SPAN("Ns::Action"), SPAN("read"));
	struct cedar_uid all = cedar_uid_of(SPAN("Ns::Action"), SPAN("all"));
	const struct entity *found;
	assert_int_equal(cedar_entities_from_json_typed(arena, s, json(alice), &e), 0);
	found = entities_find(e, &uid);
	assert_int_equal(
		value_member(value_member(found->attrs, SPAN("home"))->record, SPAN("host"))->type,
		VALUE_IP);
	assert_int_equal(value_member(found->attrs, SPAN("level"))->type, VALUE_ENTITY);
	assert_true(entity_below(entities_find(e, &read), &all));
}

static void typed_entities_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"[{\"uid\":{\"type\":\"Ns::Usr\",\"id\":\"a\"},\"attrs\":{},\"parents\":[]}]",
			"did you mean `Ns::User`?"},
		{"[{\"uid\":{\"type\":\"Ns::User\",\"id\":\"a\"},\"attrs\":{},\"parents\":[]}]",
			"`home` is missing"},
		{"[{\"uid\":{\"type\":\"Ns::Level\",\"id\":\"lo\"},\"attrs\":{},\"parents\":[]}]",
			"has no id \"lo\": it is an enumerated type; did you mean `low`?"},
		{"[{\"uid\":{\"type\":\"Ns::Team\",\"id\":\"a\"},\"attrs\":{\"x\":1},"
		 "\"parents\":[]}]",
			"no attribute `x`"},
		{"[{\"uid\":{\"type\":\"Ns::Team\",\"id\":\"a\"},\"attrs\":{},\"parents\":[],"
		 "\"tags\":{\"x\":1}}]",
			"has no tags"},
		{"[{\"uid\":{\"type\":\"Ns::Team\",\"id\":\"a\"},\"attrs\":{},\"parents\":"
		 "[{\"type\":\"Ns::User\",\"id\":\"b\"}]}]",
			"is no member of"},
		{"[{\"uid\":{\"type\":\"Ns::Action\",\"id\":\"read\"},\"attrs\":{},"
		 "\"parents\":[]}]",
			"not as the schema declares it"},
		{"[{\"uid\":{\"type\":\"Ns::Action\",\"id\":\"x\"},\"attrs\":{},\"parents\":[]}]",
			"no action"},
		{"[{\"uid\":{\"type\":\"Ns::User\",\"id\":\"a\"},\"attrs\":{\"home\":{\"host\":1},"
		 "\"level\":{\"type\":\"Ns::Level\",\"id\":\"low\"}},\"parents\":[]}]",
			"`home`: `host`"},
		{"[{\"uid\":{\"type\":\"Ns::User\",\"id\":\"a\"},\"attrs\":{\"home\":{\"host\":"
		 "\"::1\"},\"level\":{\"type\":\"Ns::Org\",\"id\":\"low\"}},\"parents\":[]}]",
			"`level`: expected Ns::Level, got Ns::Org"},
	};
	const struct cedar_schema *s = parse(model);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct cedar_entities *e;
		int r = cedar_entities_from_json_typed(arena, s, json(cases[i].text), &e);
		assert_int_equal(r, -EINVAL);
		if (!strstr(err_message(r), cases[i].says))
			fail_msg("%s: %s", cases[i].says, err_message(r));
	}
}

/* Entities that were read without the schema, and its judgement of them. */
static void entities_validated(void **state)
{
	(void)state;
	const struct cedar_schema *s =
		parse("entity A in [B] { n: Long }; entity B in [C]; entity C; entity D;"
		      "action x in y; action y;");
	static const char good[] =
		"[{\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":{\"n\":1},\"parents\":"
		"[{\"type\":\"B\",\"id\":\"1\"}]},"
		"{\"uid\":{\"type\":\"B\",\"id\":\"1\"},\"attrs\":{},\"parents\":"
		"[{\"type\":\"C\",\"id\":\"1\"}]},"
		"{\"uid\":{\"type\":\"Action\",\"id\":\"x\"},\"attrs\":{},\"parents\":"
		"[{\"type\":\"Action\",\"id\":\"y\"}]}]";
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"[{\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":{\"n\":\"1\"},"
		 "\"parents\":[]}]",
			"A::\"1\": `n`: expected Long, got string"},
		{"[{\"uid\":{\"type\":\"B\",\"id\":\"1\"},\"attrs\":{},\"parents\":"
		 "[{\"type\":\"D\",\"id\":\"1\"}]}]",
			"is no member of"},
		{"[{\"uid\":{\"type\":\"Action\",\"id\":\"x\"},\"attrs\":{},"
		 "\"parents\":[]}]",
			"not as the schema declares it"},
		{"[{\"uid\":{\"type\":\"E\",\"id\":\"1\"},\"attrs\":{},\"parents\":[]}]",
			"no entity type `E`"},
	};
	const struct cedar_entities *e;
	assert_int_equal(cedar_entities_from_json(arena, json(good), &e), 0);
	assert_int_equal(cedar_entities_validate(s, e), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(cedar_entities_from_json(arena, json(cases[i].text), &e), 0);
		assert_int_equal(cedar_entities_validate(s, e), -EINVAL);
		if (!strstr(err_message(-EINVAL), cases[i].says))
			fail_msg("%s: %s", cases[i].says, err_message(-EINVAL));
	}
}

static int ask(const struct cedar_schema *s, const char *principal, const char *resource,
	const char *action, const char *context)
{
	struct cedar_request q = {
		cedar_uid_of(span_cstr(principal), SPAN("a")),
		cedar_uid_of(SPAN("Ns::Action"), span_cstr(action)),
		cedar_uid_of(span_cstr(resource), SPAN("b")),
		NULL,
	};
	int r = cedar_context_from_json_typed(arena, s, &q.action, json(context), &q.context);
	return r < 0 ? r : cedar_request_validate(s, &q);
}

static void requests(void **state)
{
	(void)state;
	static const char at[] =
		"{\"at\":\"2026-01-01\",\"by\":{\"type\":\"Ns::User\",\"id\":\"z\"}}";
	const struct cedar_schema *s = parse(model);
	assert_int_equal(ask(s, "Ns::User", "Ns::Team", "read", at), 0);
	assert_int_equal(ask(s, "Ns::User", "Ns::User", "read", at), -EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "expected `Ns::Org`, `Ns::Team`"));
	assert_int_equal(ask(s, "Ns::Team", "Ns::Team", "read", at), -EINVAL);
	assert_int_equal(ask(s, "Ns::User", "Ns::Team", "reed", at), -EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "did you mean `read`?"));
	assert_int_equal(ask(s, "Ns::User", "Ns::Team", "all", "{}"), -EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "no request at all"));
	assert_int_equal(ask(s, "Ns::User", "Ns::Team", "read", "{}"), -EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "`at` is missing"));
	assert_int_equal(
		ask(s, "Ns::User", "Ns::Team", "read",
			"{\"at\":\"2026-01-01\",\"by\":{\"type\":\"Ns::Org\",\"id\":\"z\"}}"),
		-EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "`by`: expected Ns::User, got Ns::Org"));
}

/* A namespace goes on in another text; what is wrong is told with the text's label. */
static void several_texts(void **state)
{
	(void)state;
	struct cedar_source texts[] = {
		{"a", SPAN("entity Top; namespace N { entity A in Top; action x in y; }")},
		{"b", SPAN("namespace N { entity B { a: A, t: Top }; action y; } entity Low;")},
	};
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"entity", "b: line 1 column 7: unexpected end"},
		{"namespace N { entity C in Non; }", "b: line 1 column 27: no entity type `Non`"},
		{"namespace N {\nentity A; }", "b: line 2 column 8: `N::A` is declared twice"},
		{"namespace N {} namespace N {}", "b: line 1 column 26: the namespace `N`"},
		{"namespace N { type Top = Long; }", "b: line 1 column 20: `Top` would hide"},
	};
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	const struct cedar_schema *s;
	assert_int_equal(cedar_schema_parse_all(arena, texts, 2, &s), 0);
	assert_int_equal(s->entities.count, 4);
	assert_int_equal(s->action_types.count, 1);
	assert_int_equal(s->actions.items[0]->ancestors.count, 1);
	assert_int_equal(cedar_schema_print(&b, s), 0);
	s = parse(buf_cstr(&b));
	assert_int_equal(s->entities.count, 4);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		texts[1].text = span_cstr(cases[i].text);
		assert_int_equal(cedar_schema_parse_all(arena, texts, 2, &s), -EINVAL);
		if (!strstr(err_message(-EINVAL), cases[i].says))
			fail_msg("%s: %s", cases[i].says, err_message(-EINVAL));
	}
	assert_int_equal(cedar_schema_parse_all(arena, texts, 0, &s), 0);
	assert_int_equal(s->entities.count, 0);
}

static void prints(void **state)
{
	(void)state;
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	const struct cedar_schema *s =
		parse("@doc(\"it\") entity A in [A] = {\"a b\": Set<Long>, c?: {}} tags String;"
		      "action x appliesTo {principal: A, resource: A};");
	assert_int_equal(cedar_schema_print(&b, s), 0);
	assert_string_equal(buf_cstr(&b),
		"@doc(\"it\")\n"
		"entity A in [A] = {\n"
		"  \"a b\": Set<Long>,\n"
		"  c?: {}\n"
		"} tags String;\n"
		"\n"
		"action \"x\" appliesTo {\n"
		"  principal: [A],\n"
		"  resource: [A],\n"
		"  context: {}\n"
		"};\n");
	assert_int_equal(cedar_schema_from_json(arena,
				 json("{\"\":{\"commonTypes\":{\"T\":{\"type\":\"Record\","
				      "\"attributes\":{}}},\"entityTypes\":{\"A\":{\"shape\":"
				      "{\"type\":\"T\"}}},\"actions\":{}}}"),
				 &s),
		0);
	assert_int_equal(cedar_schema_print(&b, s), -EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "the shape of `A`"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(resolves, setup, teardown),
		cmocka_unit_test_setup_teardown(resolves_actions, setup, teardown),
		cmocka_unit_test_setup_teardown(prefers, setup, teardown),
		cmocka_unit_test_setup_teardown(refused, setup, teardown),
		cmocka_unit_test_setup_teardown(json_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(deep_types, setup, teardown),
		cmocka_unit_test_setup_teardown(typed_entities, setup, teardown),
		cmocka_unit_test_setup_teardown(typed_entities_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(entities_validated, setup, teardown),
		cmocka_unit_test_setup_teardown(requests, setup, teardown),
		cmocka_unit_test_setup_teardown(several_texts, setup, teardown),
		cmocka_unit_test_setup_teardown(prints, setup, teardown),
	};
	return cmocka_run_group_tests_name("policy/cedar/schema", tests, NULL, NULL);
}
