/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The index changes nothing: random sets of policies over a small world give the same decision,
 * reasons and errors as the same set with every policy asked. Attributes are missing and of mixed
 * types often, so that policies fail often.
 */
#include "policy/cedar/set.h"
#include "tests/prop/random.h"
#include "tests/tap.h"

enum { ROUNDS = 300, REQUESTS = 12, ARENA_BYTES = 64 * 1024 * 1024 };

static const char *const types[] = {"User", "Group", "Doc"};

static void put_uid(struct random *r, struct buf *b)
{
	buf_printf(b, "%s::\"%zu\"", types[random_below(r, 3)], random_below(r, 4));
}

static void put_scope(struct random *r, struct buf *b, const char *var)
{
	buf_puts(b, var);
	switch (random_below(r, 6)) {
	case 0:
		buf_puts(b, " == ");
		put_uid(r, b);
		break;
	case 1:
		buf_puts(b, " in ");
		put_uid(r, b);
		break;
	case 2:
		buf_printf(b, " is %s", types[random_below(r, 3)]);
		break;
	case 3:
		buf_printf(b, " is %s in ", types[random_below(r, 3)]);
		put_uid(r, b);
		break;
	default:
		break;
	}
}

static void put_action(struct random *r, struct buf *b)
{
	static const char *const forms[] = {"action", "action == Action::\"0\"",
		"action in Action::\"all\"", "action in [Action::\"0\", Action::\"all\"]",
		"action in [Action::\"1\"]", "action in []"};
	buf_puts(b, forms[random_below(r, ARRAY_LEN(forms))]);
}

static void put_operand(struct random *r, struct buf *b)
{
	static const char *const paths[] = {"principal.a", "principal.f.a", "resource.a",
		"context.a", "context.r.a", "context.r[\"a\"]", "principal", "context.none"};
	buf_puts(b, paths[random_below(r, ARRAY_LEN(paths))]);
}

static void put_constant(struct random *r, struct buf *b)
{
	static const char *const constants[] = {"1", "2", "\"1\"", "\"2\"", "true", "[1]", "1 + 0"};
	if (random_chance(r, 5))
		put_uid(r, b);
	else
		buf_puts(b, constants[random_below(r, ARRAY_LEN(constants))]);
}

static void put_comparison(struct random *r, struct buf *b)
{
	bool swap = random_chance(r, 4);
	if (swap)
		put_constant(r, b);
	else
		put_operand(r, b);
	buf_puts(b, random_chance(r, 4) ? " != " : " == ");
	if (swap)
		put_operand(r, b);
	else
		put_constant(r, b);
}

static void put_condition(struct random *r, struct buf *b)
{
	static const char *const joints[] = {" && ", " && ", " || "};
	buf_puts(b, random_chance(r, 5) ? " unless { " : " when { ");
	put_comparison(r, b);
	while (random_chance(r, 2)) {
		buf_puts(b, joints[random_below(r, 3)]);
		put_comparison(r, b);
	}
	buf_puts(b, " }");
}

static void put_policy(struct random *r, struct buf *b)
{
	buf_puts(b, random_chance(r, 3) ? "forbid(" : "permit(");
	put_scope(r, b, "principal");
	buf_puts(b, ", ");
	put_action(r, b);
	buf_puts(b, ", ");
	put_scope(r, b, "resource");
	buf_puts(b, ")");
	while (random_chance(r, 2))
		put_condition(r, b);
	buf_puts(b, ";\n");
}

static void put_value(struct random *r, struct buf *b)
{
	static const char *const values[] = {"1", "2", "\"1\"", "\"2\"", "true", "[1]", "{\"a\":1}",
		"{\"__entity\":{\"type\":\"User\",\"id\":\"1\"}}"};
	buf_puts(b, values[random_below(r, ARRAY_LEN(values))]);
}

static void put_attrs(struct random *r, struct buf *b, const char *record)
{
	buf_putc(b, '{');
	if (random_chance(r, 2)) {
		buf_puts(b, "\"a\":");
		put_value(r, b);
	}
	if (random_chance(r, 2)) {
		buf_printf(b, "%s\"%s\":", b->data[b->len - 1] == '{' ? "" : ",", record);
		put_value(r, b);
	}
	buf_putc(b, '}');
}

/* Parents have lesser numbers, so that there are no cycles. */
static void put_entities(struct random *r, struct buf *b)
{
	buf_puts(b,
		"[{\"uid\":{\"type\":\"Action\",\"id\":\"0\"},\"attrs\":{},\"parents\":"
		"[{\"type\":\"Action\",\"id\":\"all\"}]}");
	for (size_t i = 0; i < 12; i++) {
		bool first = true;
		if (random_chance(r, 5))
			continue; /* mentioned, but not there */
		buf_printf(b, ",{\"uid\":{\"type\":\"%s\",\"id\":\"%zu\"},\"attrs\":", types[i % 3],
			i / 3);
		put_attrs(r, b, "f");
		buf_puts(b, ",\"parents\":[");
		for (size_t j = 0; j < i; j++)
			if (random_chance(r, 4)) {
				buf_printf(b, "%s{\"type\":\"%s\",\"id\":\"%zu\"}",
					first ? "" : ",", types[j % 3], j / 3);
				first = false;
			}
		buf_puts(b, "]}");
	}
	buf_putc(b, ']');
}

static const struct json *parsed(struct arena *a, const struct buf *b)
{
	const struct json *v = NULL;
	CHECK(json_parse(a, arena_span(a, buf_view(b)), NULL, &v) == 0);
	return v;
}

static struct cedar_uid random_uid(struct random *r)
{
	static const char *const ids[] = {"0", "1", "2", "3"};
	return cedar_uid_of(
		span_cstr(types[random_below(r, 3)]), span_cstr(ids[random_below(r, 4)]));
}

static void same_answers(const struct cedar_answer *x, const struct cedar_answer *y, uint64_t seed)
{
	bool same = x->allow == y->allow && x->reason_count == y->reason_count &&
		x->error_count == y->error_count;
	for (size_t i = 0; same && i < x->reason_count; i++)
		same = span_eq(x->reasons[i], y->reasons[i]);
	for (size_t i = 0; same && i < x->error_count; i++)
		same = span_eq(x->errors[i].policy, y->errors[i].policy) &&
			strcmp(x->errors[i].message, y->errors[i].message) == 0;
	if (!same)
		fail_msg("seed %llu: %d, %zu reasons, %zu errors; without the index %d, %zu, %zu",
			(unsigned long long)seed, x->allow, x->reason_count, x->error_count,
			y->allow, y->reason_count, y->error_count);
}

static void ask_both(struct random *r, struct arena *a, const struct cedar_set *set,
	const struct cedar_set *linear, uint64_t seed, size_t *tried)
{
	struct buf entities_text CLEANUP(buf_fini) = buf_init(1024 * 1024);
	struct buf context CLEANUP(buf_fini) = buf_init(1024);
	const struct cedar_entities *entities;
	struct cedar_answer with, without;
	struct cedar_request q = {random_uid(r),
		cedar_uid_of(SPAN("Action"), random_chance(r, 2) ? SPAN("0") : SPAN("1")),
		random_uid(r), NULL};
	put_entities(r, &entities_text);
	put_attrs(r, &context, "r");
	CHECK(cedar_entities_from_json(a, parsed(a, &entities_text), &entities) == 0);
	CHECK(cedar_context_from_json(a, parsed(a, &context), &q.context) == 0);
	CHECK(cedar_authorize(a, set, entities, &q, &with) == 0);
	CHECK(cedar_authorize(a, linear, entities, &q, &without) == 0);
	same_answers(&with, &without, seed);
	*tried += without.reason_count + without.error_count;
}

static void index_changes_nothing(void **state)
{
	(void)state;
	size_t tried = 0;
	for_each_seed (seed, ROUNDS) {
		struct random r = {seed};
		struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
		struct buf text CLEANUP(buf_fini) = buf_init(1024 * 1024);
		struct cedar_policies policies;
		const struct cedar_set *set;
		struct cedar_set linear;
		size_t count = 1 + random_below(&r, 40);
		for (size_t i = 0; i < count; i++)
			put_policy(&r, &text);
		CHECK(cedar_policies_parse(a, buf_view(&text), &policies) == 0);
		CHECK(cedar_set_compile(a, &policies, &set) == 0);
		linear = *set;
		linear.index = (struct set_index){0};
		linear.index.always = (struct members){
			arena_make_array(a, uint32_t, count), (uint32_t)count, (uint32_t)count};
		for (uint32_t i = 0; i < count; i++)
			linear.index.always.policies[i] = i;
		for (int i = 0; i < REQUESTS; i++)
			ask_both(&r, a, set, &linear, seed, &tried);
	}
	assert_true(tried > ROUNDS); /* the world must not be too quiet to tell anything */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(index_changes_nothing),
	};
	return cmocka_run_group_tests_name("policy/cedar", tests, NULL, NULL);
}
