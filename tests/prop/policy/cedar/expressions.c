/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/prop/policy/cedar/expressions.h"

enum kind { BOOL, LONG, STRING, ENTITY, SET, IP, TIME, KINDS };

static void put(struct random *r, struct buf *b, enum kind k, int depth);

static const char *pick(struct random *r, const char *const *list, size_t count)
{
	return list[random_below(r, count)];
}

#define PICK(r, ...) \
	pick((r), (const char *const[]){__VA_ARGS__}, \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static const char *uid(struct random *r)
{
	return PICK(r, "User::\"u0\"", "User::\"u1\"", "Group::\"g0\"", "Group::\"g1\"",
		"Group::\"g2\"", "Doc::\"d0\"", "Folder::\"f0\"", "Folder::\"f2\"", "Kind::\"a\"",
		"Action::\"all\"", "Action::\"view\"", "No::\"x\"");
}

/* Puts `%` of the form as operands of the kinds. */
static void put_form(
	struct random *r, struct buf *b, const char *form, const enum kind *kinds, int depth)
{
	for (const char *c = form; *c; c++)
		if (*c == '%')
			put(r, b, *kinds++, depth - 1);
		else
			buf_putc(b, *c);
}

#define FORM(text, ...) put_form(r, b, (text), (const enum kind[]){__VA_ARGS__}, depth)

static void put_logic(struct random *r, struct buf *b, int depth)
{
	switch (random_below(r, 5)) {
	case 0:
		FORM("% || %", BOOL, BOOL);
		break;
	case 1:
		FORM("!%", BOOL);
		break;
	case 2:
		FORM("if % then % else %", BOOL, BOOL, BOOL);
		break;
	default:
		FORM("% && %", BOOL, BOOL);
		break;
	}
}

static void put_test(struct random *r, struct buf *b, int depth)
{
	switch (random_below(r, 17)) {
	case 0:
		FORM("% < %", LONG, LONG);
		break;
	case 1:
		FORM("% == %", LONG, LONG);
		break;
	case 2:
		FORM("% != %", STRING, STRING);
		break;
	case 3:
		FORM("% == %", ENTITY, ENTITY);
		break;
	case 4:
		FORM("% in %", ENTITY, ENTITY);
		break;
	case 5:
		FORM("% in [%, %]", ENTITY, ENTITY, ENTITY);
		break;
	case 6:
		FORM("% is ", ENTITY);
		buf_puts(b, PICK(r, "User", "Group", "Doc", "Folder", "No"));
		break;
	case 7:
		FORM("% is ", ENTITY);
		buf_puts(b, PICK(r, "User in ", "Doc in ", "Group in "));
		FORM("%", ENTITY);
		break;
	case 8:
		FORM("% has ", ENTITY);
		buf_puts(b,
			PICK(r, "age", "boss", "meta", "meta.b", "n", "home.port", "boss.age",
				"owner.boss.name", "none", "dept.x"));
		break;
	case 9:
		buf_puts(b, "context");
		buf_puts(b,
			PICK(r, " has ip", " has by", " has by.boss", " has rec.y", " has none",
				".rec has y", " has port.x", " has k"));
		break;
	case 10:
		FORM("%.hasTag(%)", ENTITY, STRING);
		break;
	case 11:
		FORM("%.contains(%)", SET, STRING);
		break;
	case 12:
		FORM("%.containsAny(%)", SET, SET);
		break;
	case 13:
		FORM("% like \"*u\\*0*\" || % like \"u*\"", STRING, STRING);
		break;
	case 14:
		FORM("%.isInRange(%)", IP, IP);
		break;
	case 15:
		FORM("% < %", TIME, TIME);
		break;
	default:
		FORM("%.isEmpty()", SET);
		break;
	}
}

static void put_bool(struct random *r, struct buf *b, int depth)
{
	if (depth <= 0 || random_chance(r, 8))
		buf_puts(b,
			PICK(r, "true", "false", "resource.open", "context.rec.y",
				"context.ip.isIpv4()", "{a: resource.size, b: true}.b"));
	else if (random_chance(r, 2))
		put_logic(r, b, depth);
	else
		put_test(r, b, depth);
}

static void put_leaf(struct random *r, struct buf *b, enum kind k)
{
	switch (k) {
	case LONG:
		buf_puts(b,
			PICK(r, "0", "1", "2", "9223372036854775807", "principal.age",
				"resource.size", "resource.owner.age", "context.port",
				"context.rec.x", "principal.home.port", "resource.meta.a",
				"User::\"u1\".age", "resource.n", "principal.boss.age",
				"context[\"port\"]", "{x: context.port}.x"));
		break;
	case STRING:
		buf_puts(b,
			PICK(r, "\"u0\"", "\"u1\"", "\"t\"", "principal.name", "context.host",
				"resource.meta.b", "resource.owner.name", "principal.getTag(\"t\")",
				"context.by.name"));
		break;
	case ENTITY:
		if (random_chance(r, 3))
			buf_puts(b, uid(r));
		else
			buf_puts(b,
				PICK(r, "principal", "resource", "action", "resource.owner",
					"principal.boss", "principal.dept", "context.by",
					"context.k", "principal", "resource"));
		break;
	case SET:
		buf_puts(b,
			PICK(r, "principal.roles", "resource.owner.roles", "[]", "[\"u0\", \"u2\"]",
				"[context.host, \"u1\"]", "principal.friends",
				"[principal, resource]"));
		break;
	case IP:
		buf_puts(b,
			PICK(r, "ip(\"10.0.0.0/8\")", "ip(\"::1\")", "resource.addr", "context.ip",
				"principal.home.ip", "ip(context.host)"));
		break;
	default:
		buf_puts(b,
			PICK(r, "datetime(\"2026-03-01\")", "resource.when",
				"resource.when.offset(duration(\"1d\"))",
				"datetime(\"2026-03-01\").toDate()"));
		break;
	}
}

/* In parentheses. */
static void put(struct random *r, struct buf *b, enum kind k, int depth)
{
	if (random_chance(r, 40))
		k = (enum kind)random_below(r, KINDS);
	buf_putc(b, '(');
	if (k == BOOL)
		put_bool(r, b, depth);
	else if (k == LONG && depth > 0 && random_chance(r, 3))
		FORM(PICK(r, "% + %", "% - %", "% * %"), LONG, LONG);
	else if (depth > 0 && random_chance(r, 8))
		FORM("if % then % else %", BOOL, k, k);
	else
		put_leaf(r, b, k);
	buf_putc(b, ')');
}

static void put_scope(struct random *r, struct buf *b, const char *var, const char *type)
{
	buf_puts(b, var);
	switch (random_below(r, 8)) {
	case 0:
		buf_printf(b, " == %s", uid(r));
		break;
	case 1:
		buf_printf(b, " in %s", uid(r));
		break;
	case 2:
		buf_printf(b, " is %s", type);
		break;
	case 3:
		buf_printf(b, " is %s in %s", type, uid(r));
		break;
	default:
		break;
	}
}

void put_policy(struct random *r, struct buf *b)
{
	buf_puts(b, random_chance(r, 3) ? "forbid(" : "permit(");
	put_scope(r, b, "principal", "User");
	buf_puts(b,
		PICK(r, ", action, ", ", action, ", ", action == Action::\"view\", ",
			", action in [Action::\"all\"], ", ", action == Action::\"all\", "));
	put_scope(r, b, "resource", PICK(r, "Doc", "Folder"));
	buf_puts(b, ")");
	do {
		buf_puts(b, random_chance(r, 4) ? " unless { " : " when { ");
		put_bool(r, b, 3);
		buf_puts(b, " }");
	} while (random_chance(r, 3));
	buf_puts(b, ";\n");
}
