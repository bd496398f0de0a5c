/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Whom an agent may connect to. A name and an address block are two kinds of rule: a name holds for
 * the addresses that the resolver gave out for it, a block for an address however it was come by.
 */
#include "policy/context/net.h"
#include <stdio.h>

static const char accepted[] =
	"accepted: a name like example.org or *.example.org, an address or a block like "
	"10.0.0.0/8 or [2001:db8::]:443, each with :PORT or :FIRST-LAST behind it if need be";

static int refuse(const char *entry)
{
	return err_raise(-EINVAL, "'%.200s' is nothing to connect to; %s", entry, accepted);
}

static bool parse_ports(struct span text, struct net_entry *ret)
{
	ssize_t dash = span_find_byte(text, '-', 0);
	uint64_t first, last;

	if (span_to_u64(span_sub(text, 0, dash < 0 ? text.n : (size_t)dash), &first) < 0)
		return false;
	last = first;
	if (dash >= 0 && span_to_u64(span_sub(text, (size_t)dash + 1, text.n), &last) < 0)
		return false;
	if (first > last || last > UINT16_MAX)
		return false;
	ret->port_first = (uint16_t)first;
	ret->port_last = (uint16_t)last;
	return true;
}

/* Takes ":PORT" off the end, and brackets off the address. False if what stands there is neither.
 */
static bool split(struct span text, struct span *ret_host, struct net_entry *ret)
{
	ssize_t close = span_find_byte(text, ']', 0), first = span_find_byte(text, ':', 0);

	if (text.n && text.p[0] == '[') {
		if (close < 0)
			return false;
		*ret_host = span_sub(text, 1, (size_t)close);
		struct span rest = span_sub(text, (size_t)close + 1, text.n);
		return rest.n == 0 ||
			(rest.p[0] == ':' && parse_ports(span_sub(rest, 1, rest.n), ret));
	}
	*ret_host = text;
	if (first < 0 || span_find_byte(text, ':', (size_t)first + 1) >= 0)
		return true; /* no port; two colons are an IPv6 address */
	*ret_host = span_sub(text, 0, (size_t)first);
	return parse_ports(span_sub(text, (size_t)first + 1, text.n), ret);
}

static bool looks_like_address(struct span host)
{
	for (size_t i = 0; i < host.n; i++)
		if ((host.p[i] < '0' || host.p[i] > '9') && host.p[i] != '.' && host.p[i] != '/')
			return span_find_byte(host, ':', 0) >= 0;
	return host.n > 0;
}

int net_entry_parse(const char *entry, struct arena *a, struct net_entry *ret)
{
	struct net_entry e = {.port_last = UINT16_MAX};
	struct span host;

	if (!split(span_cstr(entry), &host, &e) || host.n == 0)
		return refuse(entry);
	if (looks_like_address(host)) {
		if (ext_parse_ip(host, &e.range) < 0)
			return refuse(entry);
		e.kind = NET_RANGE;
		e.text = arena_cstr(a, host);
	} else if (span_is(host, "*")) {
		e.kind = NET_ANY_NAME;
		e.text = "*";
	} else {
		struct span name;
		e.kind = span_starts(host, SPAN("*.")) ? NET_BELOW : NET_NAME;
		if (e.kind == NET_BELOW)
			host = span_sub(host, 2, host.n);
		if (context_canonical_domain(host, a, &name) < 0)
			return refuse(entry);
		e.text = arena_cstr(a, name);
	}
	if (!e.text)
		return err_raise(-ENOMEM, "rules: out of memory");
	*ret = e;
	return 0;
}

int context_check_connect(const char *entry)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * 1024);
	struct net_entry e;

	return a ? err_trace(net_entry_parse(entry, a, &e))
		 : err_raise(-ENOMEM, "rules: out of memory");
}

static void put_ports(struct buf *b, const struct net_entry *e, const char *before)
{
	if (e->port_first == 0 && e->port_last == UINT16_MAX)
		return;
	buf_puts(b, before);
	if (e->port_first == e->port_last)
		buf_printf(b, "context.port == %u", e->port_first);
	else
		buf_printf(
			b, "context.port >= %u && context.port <= %u", e->port_first, e->port_last);
}

static void put_head(struct buf *b, const struct net_entry *e, bool permit)
{
	buf_printf(b, "%s (principal, action == Action::\"net:connect\", resource",
		permit ? "permit" : "forbid");
	if (e->kind == NET_ANY_NAME) {
		buf_puts(b, " is Domain)");
	} else if (e->kind == NET_RANGE) {
		buf_puts(b, ")");
	} else { /* whoever denies a name means its subdomains, too */
		buf_puts(b, e->kind == NET_NAME && permit ? " == Domain::" : " in Domain::");
		cedar_print_string(b, span_cstr(e->text));
		buf_putc(b, ')');
	}
}

/* Whose processes a lease is for; NULL: it is none. */
struct lessee {
	const char *tool;
	const char *const *programs;
	size_t program_count;
};

static void put_lessee(struct buf *b, const struct lessee *l)
{
	buf_puts(b, "\nwhen { context has call && context.call.tool == ");
	cedar_print_string(b, span_cstr(l->tool));
	buf_puts(b, " && [");
	for (size_t i = 0; i < l->program_count; i++) {
		buf_puts(b, i ? ", " : "");
		cedar_print_string(b, span_cstr(l->programs[i]));
	}
	buf_puts(b, "].contains(context.call.program) }");
}

static void put_policy(
	struct buf *b, const struct net_entry *e, bool permit, const struct lessee *lessee)
{
	put_head(b, e, permit);
	if (e->kind == NET_RANGE) {
		buf_puts(b, "\nwhen { context has ip && context.ip.isInRange(ip(");
		cedar_print_string(b, span_cstr(e->text));
		buf_puts(b, "))");
		put_ports(b, e, " && ");
		buf_puts(b, " }");
	} else if (e->port_first != 0 || e->port_last != UINT16_MAX) {
		buf_puts(b, "\nwhen { ");
		put_ports(b, e, "");
		buf_puts(b, " }");
	}
	if (e->kind == NET_BELOW && permit) {
		buf_puts(b, "\nunless { resource == Domain::");
		cedar_print_string(b, span_cstr(e->text));
		buf_puts(b, " }");
	}
	if (lessee)
		put_lessee(b, lessee);
	buf_puts(b, ";\n");
}

static int add(struct rule_set_builder *b, bool permit, const char *entry,
	const struct lessee *lessee, struct rule_origin o)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * 1024);
	struct rule_head head = {.origin = o, .code = DECISION_DOMAIN_NOT_ALLOWED};
	struct net_entry e;
	int r = a ? net_entry_parse(entry, a, &e) : err_raise(-ENOMEM, "rules: out of memory");

	if (r < 0)
		return err_wrap(r, "%s", o.field);
	if (permit)
		head.accepts = span_cstr(entry);
	r = rule_begin(b, &head);
	if (r == 0)
		put_policy(&b->text, &e, permit, lessee);
	return err_trace(r);
}

int rule_allow_connect(struct rule_set_builder *b, const char *entry, struct rule_origin o)
{
	return err_trace(add(b, true, entry, NULL, o));
}

int rule_deny_connect(struct rule_set_builder *b, const char *entry, struct rule_origin o)
{
	return err_trace(add(b, false, entry, NULL, o));
}

int rule_lease_connect(struct rule_set_builder *b, const char *entry, const char *tool,
	const char *const *programs, size_t count, struct rule_origin o)
{
	const struct lessee lessee = {tool, programs, count};

	return err_trace(add(b, true, entry, &lessee, o));
}
