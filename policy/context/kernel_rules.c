/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a set says of connections, as rules for the kernel. Principal and action are known; what
 * policies still ask of resource and context is lowered twice: for a resource that is a name, which
 * is asked when the resolver is, and for one that is an address, which is asked at the connection.
 *
 * A forbid becomes forbidding rules if it can be written so; one of the form "all but these" cuts
 * the permits down to these instead, because a rule that forbids all could not be excepted from. A
 * policy that cannot be lowered exactly is refused, not rounded.
 */
#include "policy/context/kernel.h"

struct lowered {
	const struct policy_info *info;
	struct net_terms terms;
	struct net_terms uncut; /* a permit's, before forbids cut it down */
};

struct lowering {
	struct arena *arena;
	const struct rule_set *set;
	bool domain;
	struct lowered *permits, *forbids;
	size_t permit_count, forbid_count;
	const struct lowering *addresses; /* of the other run; NULL in that one */
};

static int no_memory(void)
{
	return err_raise(-ENOMEM, "kernel rules: out of memory");
}

static int cannot(const struct policy_info *p, const struct residual *r)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024);

	if (r)
		cedar_residual_print(&b, r);
	if (buf_error(&b) < 0)
		buf_reset(&b);
	return err_raise(-EOPNOTSUPP,
		"policy '" SPAN_FMT "'" SPAN_FMT SPAN_FMT ":%d: the kernel cannot check this of a "
		"connection: " SPAN_FMT "; it can check names, address blocks, ports and protocol",
		SPAN_ARG(p->id), SPAN_ARG(p->file.n ? SPAN(" of ") : SPAN("")), SPAN_ARG(p->file),
		p->line, SPAN_ARG(span_sub(buf_view(&b), 0, 160)));
}

/* ---- one run ---- */

static int cut_permits(struct lowering *l, const struct net_terms *to, const struct policy_info *by)
{
	for (size_t i = 0; i < l->permit_count; i++) {
		int r = net_terms_and(l->arena, &l->permits[i].terms, to, &l->permits[i].terms);
		if (r)
			return r < 0 ? err_trace(r) : cannot(by, NULL);
	}
	return 0;
}

static bool addresses_say_so(
	const struct lowering *l, const struct policy_info *info, const struct net_term *t)
{
	for (size_t i = 0; i < l->addresses->permit_count; i++) {
		const struct lowered *p = &l->addresses->permits[i];
		for (size_t k = 0; p->info == info && k < p->uncut.count; k++)
			if (net_term_eq(&p->uncut.items[k], t))
				return true;
	}
	return false;
}

/* A block holds for whatever has the address, by name or not: where the address is asked, it says
 * so, and for names it says nothing. */
static int drop_blocks(struct lowering *l, const struct policy_info *info, const struct residual *r,
	struct net_terms *terms)
{
	size_t kept = 0;

	for (size_t i = 0; i < terms->count; i++) {
		const struct net_term *t = &terms->items[i];
		if (t->ranged && (t->names != TERM_ANY || !addresses_say_so(l, info, t)))
			return cannot(info, r);
		if (!t->ranged)
			terms->items[kept++] = *t;
	}
	terms->count = kept;
	return 0;
}

static int lower_permit(
	struct lowering *l, const struct policy_info *info, const struct residual *r)
{
	struct net_terms terms;

	if (r->state == RESIDUAL_ERROR) /* it permits nothing */
		return 0;
	int x = net_terms_of(l->arena, r, false, l->domain, &terms);
	if (x)
		return x < 0 ? err_trace(x) : cannot(info, r);
	x = l->domain ? drop_blocks(l, info, r, &terms) : 0;
	if (x == 0)
		l->permits[l->permit_count++] = (struct lowered){info, terms, terms};
	return err_trace(x);
}

static bool is_total(const struct net_terms *terms)
{
	for (size_t i = 0; i < terms->count; i++)
		if (net_term_is_any(&terms->items[i]))
			return true;
	return false;
}

/* After the permits. */
static int lower_forbid(
	struct lowering *l, const struct policy_info *info, const struct residual *r)
{
	struct net_terms terms, none = {0};

	if (r->state == RESIDUAL_ERROR) /* one that cannot be evaluated forbids */
		return err_trace(cut_permits(l, &none, info));
	int x = net_terms_of(l->arena, r, false, l->domain, &terms);
	if (x < 0)
		return err_trace(x);
	if (x == 0 && is_total(&terms))
		return err_trace(cut_permits(l, &none, info));
	if (x == 0) {
		l->forbids[l->forbid_count++] = (struct lowered){info, terms, terms};
		return 0;
	}
	x = net_terms_of(l->arena, r, true, l->domain, &terms);
	if (x)
		return x < 0 ? err_trace(x) : cannot(info, r);
	return err_trace(cut_permits(l, &terms, info));
}

/* What of the question's context is known beforehand: the call. */
static struct value_record known_context(const struct question *q)
{
	const struct value_record *all = q->request.context->record;

	for (size_t i = 0; i < all->count; i++)
		if (span_is(all->members[i].key, "call"))
			return (struct value_record){.count = 1, .members = &all->members[i]};
	return value_record_empty;
}

int kernel_residuals(struct arena *a, const struct rule_set *s, const struct decision_request *who,
	const char *resource_type, const struct span *unknown, size_t unknown_count,
	struct cedar_residuals *ret)
{
	struct cedar_policies policies = {0};
	struct question question;

	int r = question_make(a, s, who, 0, &question);
	policies.items = arena_make_array(a, const struct cedar_policy *, rule_set_count(s) + 1);
	if (r < 0 || !policies.items)
		return r < 0 ? err_trace(r) : no_memory();
	for (size_t i = 0; i < set_half_count(s, SET_VERDICTS); i++)
		policies.items[policies.count++] = set_half_at(s, SET_VERDICTS, i);
	const struct value_record call = known_context(&question);
	const struct cedar_value context = {.type = VALUE_RECORD, .record = &call};
	const struct cedar_known known = {
		.context = &context,
		.principal = question.request.principal,
		.action = question.request.action,
		.resource = {.type = span_cstr(resource_type)},
		.resource_unknown = true,
		.unknown = unknown,
		.unknown_count = unknown_count,
		.entities = question.entities,
		.entities_closed = true,
		.unknown_exist = true,
	};
	return err_trace(cedar_partial(a, &policies, &known, ret));
}

/* `calls`: in which call is not known either. */
static int residuals_of(struct lowering *l, const struct decision_request *who, bool calls,
	struct cedar_residuals *ret)
{
	static const struct span context[] = {{"ip", 2}, {"port", 4}, {"protocol", 8}, {"call", 4}};
	struct decision_request q = *who;

	q.action = SPAN("net:connect");
	q.address = SPAN("0.0.0.0"); /* for the entities of who asks; the resource is unknown */
	q.domain = SPAN("");
	q.path_count = 0;
	return err_trace(kernel_residuals(l->arena, l->set, &q, l->domain ? "Domain" : "Address",
		context, ARRAY_LEN(context) - (calls ? 0 : 1), ret));
}

static int run(struct lowering *l, const struct decision_request *who)
{
	struct cedar_residuals residuals;
	int r = residuals_of(l, who, false, &residuals);

	if (r < 0)
		return err_trace(r);
	l->permits = arena_make_array(l->arena, struct lowered, residuals.count + 1);
	l->forbids = arena_make_array(l->arena, struct lowered, residuals.count + 1);
	if (!l->permits || !l->forbids)
		return no_memory();
	for (int forbids = 0; r == 0 && forbids <= 1; forbids++) {
		for (size_t i = 0; r == 0 && i < residuals.count; i++) {
			const struct cedar_residual *x = &residuals.items[i];
			const struct policy_info *info =
				set_info(l->set, cedar_policy_id(x->policy));
			if (info->forbids != (bool)forbids)
				continue;
			r = forbids ? lower_forbid(l, info, x->condition)
				    : lower_permit(l, info, x->condition);
		}
	}
	return err_trace(r);
}

/* ---- rules ---- */

struct rules {
	struct kernel_net_rule *items;
	size_t count;
};

static void put(
	struct rules *to, const struct net_term *t, struct span name, bool forbid, struct span id)
{
	struct kernel_net_rule *rule = &to->items[to->count++];

	*rule = (struct kernel_net_rule){.forbid = forbid,
		.protocol = t->protocol,
		.port_first = t->port_first,
		.port_last = t->port_last,
		.prefix_bits = t->prefix_bits,
		.name = name,
		.policy_id = id};
	memcpy(rule->address, t->address, sizeof(rule->address));
}

/* Of the same permit, where the address is asked. */
static bool address_rule_is_made(
	const struct lowering *l, const struct policy_info *info, const struct net_term *t)
{
	for (size_t i = 0; i < l->addresses->permit_count; i++) {
		const struct lowered *p = &l->addresses->permits[i];
		for (size_t k = 0; p->info == info && k < p->terms.count; k++)
			if (net_term_eq(&p->terms.items[k], t))
				return true;
	}
	return false;
}

static int put_name(struct lowering *l, struct rules *to, const struct policy_info *info,
	struct span id, const struct net_term *t)
{
	char *deeper = arena_printf(l->arena, "*." SPAN_FMT, SPAN_ARG(t->name));
	bool forbid = info->forbids;

	if (!deeper)
		return no_memory();
	if (t->has_not)
		return cannot(info, NULL);
	if (t->ranged && !forbid) /* what a forbid cut down to a block: a name has none */
		return t->names == TERM_ANY && address_rule_is_made(l, info, t)
			? 0
			: cannot(info, NULL);
	if (t->ranged) { /* it may forbid more, and by address */
		if (t->names != TERM_ANY)
			return cannot(info, NULL);
		put(to, t, SPAN(""), forbid, id);
		return 0;
	}
	if (t->names == TERM_ANY)
		put(to, t, SPAN("*"), forbid, id);
	if (t->names == TERM_NAME || t->names == TERM_SUBTREE)
		put(to, t, span_sub(span_cstr(deeper), 2, t->name.n + 2), forbid, id);
	if (t->names == TERM_BELOW || t->names == TERM_SUBTREE)
		put(to, t, span_cstr(deeper), forbid, id);
	return 0;
}

/* What is made here outlives the set. */
static int put_all(struct lowering *l, struct rules *to, const struct lowered *list, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct span id = arena_span(l->arena, list[i].info->id);
		if (list[i].info->id.n && !id.p)
			return no_memory();
		for (size_t k = 0; r == 0 && k < list[i].terms.count; k++) {
			const struct net_term *t = &list[i].terms.items[k];
			if (l->domain)
				r = put_name(l, to, list[i].info, id, t);
			else
				put(to, t, SPAN(""), list[i].info->forbids, id);
		}
	}
	return err_trace(r);
}

static size_t terms_of(const struct lowering *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->permit_count; i++)
		n += l->permits[i].terms.count;
	for (size_t i = 0; i < l->forbid_count; i++)
		n += l->forbids[i].terms.count;
	return n;
}

int rule_set_kernel_rules(const struct rule_set *s, const struct decision_request *who,
	struct arena *a, struct kernel_rules *ret)
{
	struct lowering addresses = {.arena = a, .set = s};
	struct lowering names = {.arena = a, .set = s, .domain = true, .addresses = &addresses};
	struct rules made = {0};
	int r = run(&addresses, who);

	if (r == 0)
		r = run(&names, who);
	if (r < 0)
		return err_trace(r);
	made.items = arena_make_array(
		a, struct kernel_net_rule, 2 * (terms_of(&addresses) + terms_of(&names)) + 1);
	if (!made.items)
		return no_memory();
	struct lowering *const order[] = {&addresses, &names};
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(order); i++)
		r = put_all(order[i], &made, order[i]->forbids, order[i]->forbid_count);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(order); i++)
		r = put_all(order[i], &made, order[i]->permits, order[i]->permit_count);
	if (r < 0)
		return err_trace(r);
	*ret = (struct kernel_rules){.net = made.items, .net_count = made.count};
	return 0;
}

/* ---- calls ---- */

static bool asks_for_call(const struct residual *r)
{
	const struct span call = SPAN("call");

	if (r->state != RESIDUAL_OPEN)
		return false;
	bool of_context = r->count > 0 && r->kids[0]->state == RESIDUAL_OPEN &&
		r->kids[0]->op == EXPR_VAR && r->kids[0]->var == VAR_CONTEXT;
	if (of_context &&
		((r->op == EXPR_ATTR && span_eq(r->name, call)) ||
			(r->op == EXPR_HAS && span_eq(r->names[0], call))))
		return true;
	/* Whatever else looks at the context as a whole may see it. */
	if (of_context && r->op != EXPR_ATTR && r->op != EXPR_HAS)
		return true;
	for (size_t i = 0; i < r->count; i++)
		if (asks_for_call(r->kids[i]))
			return true;
	return false;
}

int rule_set_call_rules(const struct rule_set *s, const struct decision_request *who,
	struct arena *a, struct rule_calls *ret)
{
	struct rule_calls found = {0};
	int r = 0;

	for (int domain = 0; r == 0 && domain <= 1; domain++) {
		struct lowering l = {.arena = a, .set = s, .domain = domain != 0};
		struct cedar_residuals residuals = {0};
		r = residuals_of(&l, who, true, &residuals);
		for (size_t i = 0; r == 0 && i < residuals.count; i++) {
			const struct cedar_residual *x = &residuals.items[i];
			found.asked = found.asked || asks_for_call(x->condition);
			found.permitted = found.permitted ||
				(!set_info(s, cedar_policy_id(x->policy))->forbids &&
					x->condition->state != RESIDUAL_ERROR);
		}
	}
	if (r == 0)
		*ret = found;
	return err_trace(r);
}
