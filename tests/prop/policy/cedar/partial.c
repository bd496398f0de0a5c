/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Residuals mean what the policies mean: for random policies, a random world, and a random part of
 * it that is known, deciding the residuals gives the decision, reasons and errors of the whole
 * authorisation; what was certain beforehand holds; a residual that cannot fail does not; and its
 * text reads back as the same condition. Policies are ill-typed now and then, with a schema too.
 */
#include "policy/cedar/partial.h"
#include "tests/prop/policy/cedar/expressions.h"
#include "tests/prop/random.h"
#include "tests/tap.h"

enum { ROUNDS = 1500, ARENA_BYTES = 64 * 1024 * 1024, ENTITIES = 11, POLICIES = 4 };

static const char schema_text[] =
	"entity Group in [Group];"
	"entity User in [Group] { age: Long, name: String, boss?: User, dept: Group,"
	"  home: { ip: ipaddr, port?: Long }, roles: Set<String>, friends: Set<User> } tags String;"
	"entity Doc in [Folder] { owner: User, size: Long, open: Bool, addr: ipaddr, when: "
	"datetime,"
	"  meta?: { a: Long, b?: String } };"
	"entity Folder in [Folder] { n?: Long };"
	"entity Kind enum [\"a\", \"b\"];"
	"action all;"
	"action view in [all] appliesTo { principal: [User], resource: [Doc, Folder], context: {"
	"  port: Long, host: String, ip?: ipaddr, by?: User, rec: { x: Long, y?: Bool }, k: Kind } "
	"};";

static const char *const names[ENTITIES] = {
	"u0", "u1", "u2", "g0", "g1", "g2", "d0", "d1", "f0", "f1", "f2"};

static const char *type_of(size_t i)
{
	return i < 3 ? "User" : i < 6 ? "Group" : i < 8 ? "Doc" : "Folder";
}

static void put_ref(struct buf *b, size_t i)
{
	buf_printf(b, "{\"__entity\":{\"type\":\"%s\",\"id\":\"%s\"}}", type_of(i), names[i]);
}

static void put_call(struct buf *b, const char *fn, const char *arg)
{
	buf_printf(b, "{\"__extn\":{\"fn\":\"%s\",\"arg\":\"%s\"}}", fn, arg);
}

static const char *const addresses[] = {"10.0.0.1", "192.168.0.0/16", "127.0.0.1", "::1"};
static const char *const days[] = {"2026-01-01", "2026-06-01"};

static void put_user(struct random *r, struct buf *b)
{
	buf_printf(b, "\"age\":%zu,\"name\":\"%s\",\"dept\":", random_below(r, 3),
		names[random_below(r, 3)]);
	put_ref(b, 3 + random_below(r, 3));
	if (random_chance(r, 2)) {
		buf_puts(b, ",\"boss\":");
		put_ref(b, random_below(r, 3));
	}
	buf_puts(b, ",\"home\":{\"ip\":");
	put_call(b, "ip", addresses[random_below(r, 4)]);
	buf_puts(b, random_chance(r, 2) ? ",\"port\":1}" : "}");
	buf_puts(b, random_chance(r, 2) ? ",\"roles\":[\"u0\",\"u1\"]" : ",\"roles\":[]");
	buf_puts(b, ",\"friends\":[");
	if (random_chance(r, 2))
		put_ref(b, random_below(r, 3));
	buf_putc(b, ']');
}

static void put_doc(struct random *r, struct buf *b)
{
	buf_printf(b, "\"size\":%zu,\"open\":%s,\"owner\":", random_below(r, 3),
		random_chance(r, 2) ? "true" : "false");
	put_ref(b, random_below(r, 3));
	buf_puts(b, ",\"addr\":");
	put_call(b, "ip", addresses[random_below(r, 4)]);
	buf_puts(b, ",\"when\":");
	put_call(b, "datetime", days[random_below(r, 2)]);
	if (random_chance(r, 2))
		buf_puts(b,
			random_chance(r, 2) ? ",\"meta\":{\"a\":1}"
					    : ",\"meta\":{\"a\":2,\"b\":\"u1\"}");
}

static void put_parents(struct random *r, struct buf *b, size_t i)
{
	size_t first = i < 3 ? 3 : i < 6 ? i + 1 : i < 8 ? 8 : i + 1;
	size_t end = i < 6 ? 6 : ENTITIES;
	const char *comma = "";
	buf_puts(b, "\"parents\":[");
	for (size_t above = first; above < end; above++)
		if (random_chance(r, 2)) {
			buf_puts(b, comma);
			put_ref(b, above);
			comma = ",";
		}
	buf_putc(b, ']');
}

static void put_entity(struct random *r, struct buf *b, size_t i)
{
	buf_printf(b, "{\"uid\":{\"type\":\"%s\",\"id\":\"%s\"},\"attrs\":{", type_of(i), names[i]);
	if (i < 3)
		put_user(r, b);
	else if (i >= 6 && i < 8)
		put_doc(r, b);
	else if (i >= 8 && random_chance(r, 2))
		buf_puts(b, "\"n\":1");
	buf_puts(b, "},");
	put_parents(r, b, i);
	if (i < 3 && random_chance(r, 2))
		buf_puts(b, ",\"tags\":{\"t\":\"u0\"}");
	buf_putc(b, '}');
}

/* Everything, and what is known of it. */
struct world {
	struct random *r;
	struct arena *arena;
	const struct cedar_schema *schema; /* NULL in some rounds */
	const struct cedar_entities *entities;
	struct cedar_request request;
	struct cedar_known known;
};

static const struct json *parse_json(struct arena *a, struct buf *b)
{
	const struct json *v;
	if (json_parse(a, arena_span(a, buf_view(b)), NULL, &v) < 0)
		fail_msg("%s", err_message(-EINVAL));
	return v;
}

static const struct cedar_entities *read_entities(struct world *w, struct buf *b)
{
	const struct cedar_entities *e;
	int r = w->schema
		? cedar_entities_from_json_typed(w->arena, w->schema, parse_json(w->arena, b), &e)
		: cedar_entities_from_json(w->arena, parse_json(w->arena, b), &e);
	if (r < 0)
		fail_msg("%s", err_message(r));
	return e;
}

static void make_entities(struct world *w, size_t principal, size_t resource)
{
	struct buf all CLEANUP(buf_fini) = buf_init(64 * 1024);
	struct buf known CLEANUP(buf_fini) = buf_init(64 * 1024);
	struct buf one CLEANUP(buf_fini) = buf_init(64 * 1024);
	struct cedar_known *k = &w->known;
	static const char action[] =
		"[{\"uid\":{\"type\":\"Action\",\"id\":\"view\"},\"attrs\":{},\"parents\":"
		"[{\"type\":\"Action\",\"id\":\"all\"}]},"
		"{\"uid\":{\"type\":\"Action\",\"id\":\"all\"},\"attrs\":{},\"parents\":[]}";
	k->entities_closed = random_chance(w->r, 2);
	k->unknown_exist = random_chance(w->r, 2);
	buf_puts(&all, action);
	buf_puts(&known, action);
	for (size_t i = 0; i < ENTITIES; i++) {
		bool asked = (i == principal && k->principal_unknown) ||
			(i == resource && k->resource_unknown);
		if (random_chance(w->r, 4) && !(asked && k->unknown_exist))
			continue;
		buf_reset(&one);
		put_entity(w->r, &one, i);
		buf_putc(&all, ',');
		buf_span(&all, buf_view(&one));
		if (k->entities_closed ? asked : random_chance(w->r, 2))
			continue;
		buf_putc(&known, ',');
		buf_span(&known, buf_view(&one));
	}
	buf_putc(&all, ']');
	buf_putc(&known, ']');
	w->entities = read_entities(w, &all);
	k->entities = read_entities(w, &known);
}

static void put_attr(struct random *r, struct buf *b, size_t i)
{
	static const char *const keys[] = {"port", "host", "ip", "by", "rec", "k"};
	buf_printf(b, "%s\"%s\":", b->len > 1 ? "," : "", keys[i]);
	if (i == 0)
		buf_printf(b, "%zu", random_below(r, 3));
	else if (i == 1)
		buf_printf(b, "\"%s\"", names[random_below(r, 3)]);
	else if (i == 2)
		put_call(b, "ip", addresses[random_below(r, 4)]);
	else if (i == 3)
		put_ref(b, random_below(r, 3));
	else if (i == 4)
		buf_puts(b, random_chance(r, 2) ? "{\"x\":1,\"y\":true}" : "{\"x\":0}");
	else
		buf_puts(b, "{\"__entity\":{\"type\":\"Kind\",\"id\":\"a\"}}");
}

static void make_context(struct world *w)
{
	static const struct span keys[] = {
		{"port", 4}, {"host", 4}, {"ip", 2}, {"by", 2}, {"rec", 3}, {"k", 1}};
	struct buf all CLEANUP(buf_fini) = buf_init(4096);
	struct buf known CLEANUP(buf_fini) = buf_init(4096);
	struct span *unknown = arena_make_array(w->arena, struct span, ARRAY_LEN(keys));
	w->known.context_open = random_chance(w->r, 4);
	buf_putc(&all, '{');
	buf_putc(&known, '{');
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct random before = *w->r;
		bool there = !(i == 2 || i == 3) || random_chance(w->r, 2);
		bool told = random_chance(w->r, 2);
		if (there) {
			before = *w->r;
			put_attr(w->r, &all, i);
			if (told)
				put_attr(&before, &known, i);
		}
		if (there ? !told : told)
			unknown[w->known.unknown_count++] = keys[i];
	}
	buf_putc(&all, '}');
	buf_putc(&known, '}');
	w->known.unknown = unknown;
	assert_int_equal(
		cedar_context_from_json(w->arena, parse_json(w->arena, &all), &w->request.context),
		0);
	assert_int_equal(
		cedar_context_from_json(w->arena, parse_json(w->arena, &known), &w->known.context),
		0);
}

static void make_world(struct world *w)
{
	struct cedar_known *k = &w->known;
	size_t principal = random_below(w->r, 3), resource = 6 + random_below(w->r, 5);
	w->request.principal = cedar_uid_of(SPAN("User"), span_cstr(names[principal]));
	w->request.resource =
		cedar_uid_of(span_cstr(type_of(resource)), span_cstr(names[resource]));
	w->request.action = cedar_uid_of(SPAN("Action"), SPAN("view"));
	k->principal = w->request.principal;
	k->resource = w->request.resource;
	k->action = w->request.action;
	k->schema = w->schema;
	k->principal_unknown = random_chance(w->r, 3);
	k->resource_unknown = !random_chance(w->r, 4);
	if (k->principal_unknown)
		k->principal =
			cedar_uid_of(random_chance(w->r, 3) ? SPAN("") : SPAN("User"), SPAN(""));
	if (k->resource_unknown)
		k->resource = cedar_uid_of(
			random_chance(w->r, 3) ? SPAN("") : w->request.resource.type, SPAN(""));
	make_entities(w, principal, resource);
	make_context(w);
	if (w->schema && cedar_request_validate(w->schema, &w->request) < 0)
		fail_msg("%s", err_message(-EINVAL));
}

static bool has_id(const struct span *ids, size_t count, struct span id)
{
	for (size_t i = 0; i < count; i++)
		if (span_eq(ids[i], id))
			return true;
	return false;
}

static bool failed(const struct cedar_answer *a, struct span id)
{
	for (size_t i = 0; i < a->error_count; i++)
		if (span_eq(a->errors[i].policy, id))
			return true;
	return false;
}

static bool same_answer(const struct cedar_answer *a, const struct cedar_answer *b)
{
	bool same = a->allow == b->allow && a->reason_count == b->reason_count &&
		a->error_count == b->error_count;
	for (size_t i = 0; same && i < a->reason_count; i++)
		same = has_id(b->reasons, b->reason_count, a->reasons[i]);
	for (size_t i = 0; same && i < a->error_count; i++)
		same = failed(b, a->errors[i].policy);
	return same;
}

static void explain(const struct cedar_residuals *residuals, const char *policies)
{
	for (size_t i = 0; i < residuals->count; i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024);
		cedar_residual_print(&b, residuals->items[i].condition);
		print_message("%s\n", buf_cstr(&b));
	}
	print_message("%s\n", policies);
}

/* What the text of a residual says of the completion. */
static void check_text(struct world *w, const struct cedar_residual *residual,
	const struct cedar_answer *whole, uint64_t seed)
{
	struct buf b CLEANUP(buf_fini) = buf_init(256 * 1024);
	const struct cedar_policy *policy;
	const struct cedar_set *set;
	struct cedar_policies one = {&policy, 1};
	struct cedar_answer answer;
	struct span id = cedar_policy_id(residual->policy);
	buf_puts(&b, "permit(principal, action, resource) when { ");
	cedar_residual_print(&b, residual->condition);
	buf_puts(&b, " };");
	if (span_find(buf_view(&b), SPAN("error("), 0) >= 0)
		return;
	if (cedar_policy_parse(w->arena, arena_span(w->arena, buf_view(&b)), id, &policy) < 0)
		fail_msg("seed %llu: %s\n%s", (unsigned long long)seed, err_message(-EINVAL),
			buf_cstr(&b));
	assert_int_equal(cedar_set_compile(w->arena, &one, &set), 0);
	assert_int_equal(cedar_authorize(w->arena, set, w->entities, &w->request, &answer), 0);
	if ((answer.error_count > 0) != failed(whole, id) ||
		(!whole->allow && cedar_policy_is_forbid(residual->policy) &&
			answer.allow != has_id(whole->reasons, whole->reason_count, id)))
		fail_msg("seed %llu: the text differs: %s", (unsigned long long)seed, buf_cstr(&b));
}

static void check(struct world *w, const char *text, uint64_t seed)
{
	struct cedar_policies policies;
	const struct cedar_set *set;
	struct cedar_residuals residuals;
	struct cedar_answer whole, later;
	if (cedar_policies_parse(w->arena, span_cstr(text), &policies) < 0)
		fail_msg("seed %llu: %s", (unsigned long long)seed, err_message(-EINVAL));
	assert_int_equal(cedar_set_compile(w->arena, &policies, &set), 0);
	assert_int_equal(cedar_authorize(w->arena, set, w->entities, &w->request, &whole), 0);
	assert_int_equal(cedar_partial(w->arena, &policies, &w->known, &residuals), 0);
	assert_int_equal(
		cedar_residuals_decide(w->arena, &residuals, w->entities, &w->request, &later), 0);
	if (!same_answer(&whole, &later)) {
		explain(&residuals, text);
		fail_msg("seed %llu: %s, %zu reasons, %zu errors (%s); by residuals %s, %zu, %zu "
			 "(%s)",
			(unsigned long long)seed, whole.allow ? "allow" : "deny",
			whole.reason_count, whole.error_count,
			whole.error_count ? whole.errors[0].message : "",
			later.allow ? "allow" : "deny", later.reason_count, later.error_count,
			later.error_count ? later.errors[0].message : "");
	}
	if (residuals.outlook != CEDAR_UNDECIDED)
		assert_int_equal(residuals.outlook == CEDAR_WILL_ALLOW, whole.allow);
	for (size_t i = 0; i < residuals.count; i++) {
		const struct cedar_residual *item = &residuals.items[i];
		if (!item->condition->may_fail && failed(&whole, cedar_policy_id(item->policy))) {
			explain(&residuals, text);
			fail_msg("seed %llu: it failed", (unsigned long long)seed);
		}
		check_text(w, item, &whole, seed);
	}
}

static void residuals_mean_the_same(void **state)
{
	(void)state;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	for_each_seed (seed, ROUNDS) {
		struct random r = {seed};
		struct world w = {.r = &r, .arena = a};
		struct buf text CLEANUP(buf_fini) = buf_init(256 * 1024);
		arena_reset(a);
		if (!random_chance(&r, 3))
			assert_int_equal(
				cedar_schema_parse(a, span_cstr(schema_text), &w.schema), 0);
		make_world(&w);
		for (size_t i = 0; i < POLICIES; i++)
			put_policy(&r, &text);
		check(&w, buf_cstr(&text), seed);
		err_clear();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(residuals_mean_the_same),
	};
	return cmocka_run_group_tests_name("policy/cedar/partial", tests, NULL, NULL);
}
