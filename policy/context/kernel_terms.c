/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Residual conditions on a connection, multiplied out into terms that the kernel can check. What a
 * term cannot say is refused, never rounded. The address of a connection, its port and its protocol
 * are always known where the kernel asks, so that `context has ip` is true.
 */
#include "policy/context/kernel.h"
#include <netinet/in.h>

const struct net_term net_term_any = {.port_last = UINT16_MAX};

static int no_memory(void)
{
	return err_raise(-ENOMEM, "kernel rules: out of memory");
}

bool net_term_eq(const struct net_term *a, const struct net_term *b)
{
	return a->names == b->names && span_eq(a->name, b->name) && a->has_not == b->has_not &&
		span_eq(a->not_name, b->not_name) && a->ranged == b->ranged &&
		memcmp(a->address, b->address, sizeof(a->address)) == 0 &&
		a->prefix_bits == b->prefix_bits && a->port_first == b->port_first &&
		a->port_last == b->port_last && a->protocol == b->protocol;
}

bool net_term_is_any(const struct net_term *t)
{
	return net_term_eq(t, &net_term_any);
}

/* ---- both of two terms ---- */

static bool below(struct span name, struct span domain)
{
	return name.n > domain.n && span_ends(name, domain) && name.p[name.n - domain.n - 1] == '.';
}

/* False if no name is in both. */
static bool names_and(const struct net_term *x, const struct net_term *y, struct net_term *ret)
{
	const struct net_term *inner = x, *outer = y;

	if (x->names == TERM_ANY || y->names == TERM_ANY) {
		inner = x->names == TERM_ANY ? y : x;
	} else if (span_eq(x->name, y->name)) {
		bool name = x->names != TERM_BELOW && y->names != TERM_BELOW;
		bool deeper = x->names != TERM_NAME && y->names != TERM_NAME;
		if (!name && !deeper)
			return false;
		*ret = *x;
		ret->names = name && deeper ? TERM_SUBTREE : name ? TERM_NAME : TERM_BELOW;
		return true;
	} else {
		if (below(y->name, x->name)) {
			inner = y;
			outer = x;
		}
		if (!below(inner->name, outer->name) || outer->names == TERM_NAME)
			return false;
	}
	ret->names = inner->names;
	ret->name = inner->name;
	return true;
}

static bool in_prefix(const uint8_t *address, const uint8_t *prefix, unsigned bits)
{
	for (unsigned i = 0; i < bits; i++)
		if ((address[i / 8] ^ prefix[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

static bool ranges_and(const struct net_term *x, const struct net_term *y, struct net_term *ret)
{
	const struct net_term *inner =
		!y->ranged || (x->ranged && x->prefix_bits >= y->prefix_bits) ? x : y;
	const struct net_term *outer = inner == x ? y : x;

	ret->ranged = inner->ranged;
	memcpy(ret->address, inner->address, sizeof(ret->address));
	ret->prefix_bits = inner->prefix_bits;
	return !outer->ranged || in_prefix(inner->address, outer->address, outer->prefix_bits);
}

/* False if nothing is in both. */
static bool term_and(const struct net_term *x, const struct net_term *y, struct net_term *ret)
{
	struct net_term t = net_term_any;

	if (!names_and(x, y, &t) || !ranges_and(x, y, &t))
		return false;
	t.port_first = x->port_first > y->port_first ? x->port_first : y->port_first;
	t.port_last = x->port_last < y->port_last ? x->port_last : y->port_last;
	if (t.port_first > t.port_last)
		return false;
	if (x->protocol && y->protocol && x->protocol != y->protocol)
		return false;
	t.protocol = x->protocol ? x->protocol : y->protocol;
	t.has_not = x->has_not || y->has_not;
	t.not_name = x->has_not ? x->not_name : y->not_name;
	*ret = t;
	return true;
}

/* Resolves "not this name" where it can. False if the term is empty. */
static bool settle(struct net_term *t, bool *ret_unsupported)
{
	if (!t->has_not || t->names == TERM_ANY)
		return true; /* it may meet its name yet */
	if (span_eq(t->name, t->not_name)) {
		if (t->names == TERM_NAME)
			return false;
		t->names = TERM_BELOW;
		t->has_not = false;
		t->not_name = (struct span){0};
	} else if (t->names == TERM_NAME || !below(t->not_name, t->name)) {
		t->has_not = false;
		t->not_name = (struct span){0};
	} else {
		*ret_unsupported = true;
	}
	return true;
}

static int add(struct arena *a, struct net_terms *list, const struct net_term *t)
{
	if (list->count == NET_TERMS_MAX)
		return err_raise(
			-E2BIG, "a condition on connections has more than %d cases", NET_TERMS_MAX);
	if ((list->count & (list->count - 1)) == 0) { /* full at every power of two */
		size_t room = list->count ? list->count * 2 : 1;
		struct net_term *items = arena_raw(a, room * sizeof(*items));
		if (!items)
			return no_memory();
		if (list->count)
			memcpy(items, list->items, list->count * sizeof(*items));
		list->items = items;
	}
	list->items[list->count++] = *t;
	return 0;
}

int net_terms_and(struct arena *a, const struct net_terms *x, const struct net_terms *y,
	struct net_terms *ret)
{
	struct net_terms made = {0};
	bool unsupported = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->count; i++) {
		for (size_t k = 0; r == 0 && k < y->count; k++) {
			const struct net_term *p = &x->items[i], *q = &y->items[k];
			struct net_term t;
			if (p->has_not && q->has_not && !span_eq(p->not_name, q->not_name))
				return NET_UNSUPPORTED;
			if (term_and(p, q, &t) && settle(&t, &unsupported))
				r = add(a, &made, &t);
		}
	}
	*ret = made;
	return r < 0 ? err_trace(r) : unsupported ? NET_UNSUPPORTED : 0;
}

/* ---- single conditions ---- */

static bool is_context(const struct residual *r, const char *attribute)
{
	return r->state == RESIDUAL_OPEN && r->op == EXPR_ATTR && span_is(r->name, attribute) &&
		r->kids[0]->state == RESIDUAL_OPEN && r->kids[0]->op == EXPR_VAR &&
		r->kids[0]->var == VAR_CONTEXT;
}

static bool is_resource(const struct residual *r)
{
	return r->state == RESIDUAL_OPEN && r->op == EXPR_VAR && r->var == VAR_RESOURCE;
}

static bool is_value(const struct residual *r, enum value_type t)
{
	return r->state == RESIDUAL_VALUE && r->value.type == t;
}

static void range_set(struct net_term *t, const struct ext_ip *ip)
{
	unsigned offset = ip->v6 ? 0 : 96;

	t->ranged = true;
	t->prefix_bits = (uint8_t)(offset + ip->prefix);
	if (ip->v6) {
		memcpy(t->address, ip->address, 16);
	} else {
		memset(t->address, 0, 10);
		memset(t->address + 10, 0xff, 2);
		memcpy(t->address + 12, ip->address, 4);
	}
	for (unsigned bit = t->prefix_bits; bit < 128; bit++)
		t->address[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

static int add_ports(struct arena *a, struct net_terms *ret, int64_t first, int64_t last)
{
	struct net_term t = net_term_any;

	if (first > last || first > UINT16_MAX || last < 0)
		return 0;
	t.port_first = (uint16_t)MAX(first, INT64_C(0));
	t.port_last = (uint16_t)MIN(last, (int64_t)UINT16_MAX);
	return err_trace(add(a, ret, &t));
}

static enum expr_op mirrored(enum expr_op op)
{
	switch (op) {
	case EXPR_LT:
		return EXPR_GT;
	case EXPR_LE:
		return EXPR_GE;
	case EXPR_GT:
		return EXPR_LT;
	case EXPR_GE:
		return EXPR_LE;
	default:
		return op;
	}
}

static enum expr_op opposite(enum expr_op op)
{
	switch (op) {
	case EXPR_EQ:
		return EXPR_NE;
	case EXPR_NE:
		return EXPR_EQ;
	case EXPR_LT:
		return EXPR_GE;
	case EXPR_LE:
		return EXPR_GT;
	case EXPR_GT:
		return EXPR_LE;
	default:
		return EXPR_LT;
	}
}

static int port_terms(struct arena *a, enum expr_op op, int64_t n, struct net_terms *ret)
{
	int r;

	switch (op) {
	case EXPR_EQ:
		return err_trace(add_ports(a, ret, n, n));
	case EXPR_NE:
		r = add_ports(a, ret, 0, n == INT64_MIN ? n : n - 1);
		return r < 0 || n == INT64_MAX ? err_trace(r)
					       : err_trace(add_ports(a, ret, n + 1, UINT16_MAX));
	case EXPR_LT:
		return n == INT64_MIN ? 0 : err_trace(add_ports(a, ret, 0, n - 1));
	case EXPR_LE:
		return err_trace(add_ports(a, ret, 0, n));
	case EXPR_GT:
		return n == INT64_MAX ? 0 : err_trace(add_ports(a, ret, n + 1, UINT16_MAX));
	default:
		return err_trace(add_ports(a, ret, n, UINT16_MAX));
	}
}

static int protocol_terms(struct arena *a, bool equal, struct span name, struct net_terms *ret)
{
	struct net_term t = net_term_any;
	bool tcp = span_is(name, "tcp"), udp = span_is(name, "udp");

	if (!tcp && !udp) /* no connection has it */
		return equal ? 0 : err_trace(add(a, ret, &t));
	t.protocol = tcp == equal ? IPPROTO_TCP : IPPROTO_UDP;
	return err_trace(add(a, ret, &t));
}

/* `resource == uid`, `resource in uid`. */
static int resource_term(struct arena *a, const struct cedar_uid *uid, bool in, bool negated,
	bool domain, struct net_terms *ret)
{
	struct net_term t = net_term_any;
	struct ext_ip ip;
	bool meets = span_is(uid->type, domain ? "Domain" : "Address");

	if (!meets) /* a resource of this type is never that, nor in it */
		return negated ? err_trace(add(a, ret, &t)) : 0;
	if (domain && negated && in)
		return NET_UNSUPPORTED;
	if (domain && negated) {
		t.has_not = true;
		t.not_name = uid->id;
	} else if (domain) {
		t.names = in ? TERM_SUBTREE : TERM_NAME;
		t.name = uid->id;
	} else {
		if (negated || ext_parse_ip(uid->id, &ip) < 0) {
			err_clear();
			return NET_UNSUPPORTED;
		}
		range_set(&t, &ip);
	}
	return err_trace(add(a, ret, &t));
}

static int in_terms(
	struct arena *a, const struct residual *r, bool negated, bool domain, struct net_terms *ret)
{
	const struct residual *of = r->kids[0], *what = r->kids[1];
	int x = 0;

	if (!is_resource(of))
		return NET_UNSUPPORTED;
	if (is_value(what, VALUE_ENTITY))
		return resource_term(a, what->value.uid, true, negated, domain, ret);
	if (!is_value(what, VALUE_SET) || (negated && what->value.set->count > 1))
		return NET_UNSUPPORTED;
	if (negated && what->value.set->count == 0)
		return err_trace(add(a, ret, &net_term_any));
	for (size_t i = 0; x == 0 && i < what->value.set->count; i++)
		x = what->value.set->items[i].type == VALUE_ENTITY
			? resource_term(
				  a, what->value.set->items[i].uid, true, negated, domain, ret)
			: NET_UNSUPPORTED;
	return x;
}

static int comparison(
	struct arena *a, const struct residual *r, bool negated, bool domain, struct net_terms *ret)
{
	const struct residual *x = r->kids[0], *y = r->kids[1];
	enum expr_op op = r->op;

	if (x->state == RESIDUAL_VALUE) {
		x = r->kids[1];
		y = r->kids[0];
		op = mirrored(op);
	}
	if (negated)
		op = opposite(op);
	if (is_context(x, "port") && is_value(y, VALUE_LONG))
		return port_terms(a, op, y->value.number, ret);
	if (op != EXPR_EQ && op != EXPR_NE)
		return NET_UNSUPPORTED;
	if (is_context(x, "protocol") && is_value(y, VALUE_STRING))
		return protocol_terms(a, op == EXPR_EQ, y->value.string, ret);
	if (is_resource(x) && is_value(y, VALUE_ENTITY))
		return resource_term(a, y->value.uid, false, op == EXPR_NE, domain, ret);
	return NET_UNSUPPORTED;
}

static int in_range(struct arena *a, const struct residual *r, bool negated, struct net_terms *ret)
{
	struct net_term t = net_term_any;
	const struct residual *of = r->kids[0];
	bool own = of->state == RESIDUAL_OPEN && of->op == EXPR_ATTR && span_is(of->name, "ip") &&
		is_resource(of->kids[0]);

	if (negated || r->ext != EXT_IS_IN_RANGE || r->count != 2 ||
		!is_value(r->kids[1], VALUE_IP) || !(own || is_context(of, "ip")))
		return NET_UNSUPPORTED;
	range_set(&t, r->kids[1]->value.ip);
	return err_trace(add(a, ret, &t));
}

/* What the kernel asks about has an address, a port and a protocol. */
static int has(struct arena *a, const struct residual *r, bool negated, struct net_terms *ret)
{
	bool context = r->kids[0]->state == RESIDUAL_OPEN && r->kids[0]->op == EXPR_VAR &&
		r->kids[0]->var == VAR_CONTEXT && r->name_count == 1;

	if (!context ||
		!(span_is(r->names[0], "ip") || span_is(r->names[0], "port") ||
			span_is(r->names[0], "protocol")))
		return NET_UNSUPPORTED;
	return negated ? 0 : err_trace(add(a, ret, &net_term_any));
}

/* ---- trees ---- */

static int both(
	struct arena *a, const struct residual *r, bool negated, bool domain, struct net_terms *ret)
{
	struct net_terms x, y;
	int n = net_terms_of(a, r->kids[0], negated, domain, &x);

	if (n)
		return n;
	if (x.count == 0) {
		*ret = x;
		return 0;
	}
	n = net_terms_of(a, r->kids[1], negated, domain, &y);
	return n ? n : net_terms_and(a, &x, &y, ret);
}

static int either(
	struct arena *a, const struct residual *r, bool negated, bool domain, struct net_terms *ret)
{
	struct net_terms more;
	int n = net_terms_of(a, r->kids[0], negated, domain, ret);

	if (n == 0)
		n = net_terms_of(a, r->kids[1], negated, domain, &more);
	for (size_t i = 0; n == 0 && i < more.count; i++)
		n = add(a, ret, &more.items[i]);
	return n;
}

int net_terms_of(
	struct arena *a, const struct residual *r, bool negated, bool domain, struct net_terms *ret)
{
	*ret = (struct net_terms){0};
	if (is_value(r, VALUE_BOOL))
		return r->value.boolean != negated ? err_trace(add(a, ret, &net_term_any)) : 0;
	if (r->state != RESIDUAL_OPEN)
		return NET_UNSUPPORTED;
	switch (r->op) {
	case EXPR_NOT:
		return net_terms_of(a, r->kids[0], !negated, domain, ret);
	case EXPR_AND:
		return negated ? either(a, r, true, domain, ret) : both(a, r, false, domain, ret);
	case EXPR_OR:
		return negated ? both(a, r, true, domain, ret) : either(a, r, false, domain, ret);
	case EXPR_EQ:
	case EXPR_NE:
	case EXPR_LT:
	case EXPR_LE:
	case EXPR_GT:
	case EXPR_GE:
		return comparison(a, r, negated, domain, ret);
	case EXPR_IN:
	case EXPR_IS:
		return in_terms(a, r, negated, domain, ret);
	case EXPR_HAS:
		return has(a, r, negated, ret);
	case EXPR_CALL:
		return in_range(a, r, negated, ret);
	default:
		return NET_UNSUPPORTED;
	}
}
