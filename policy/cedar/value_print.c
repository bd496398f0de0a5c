/* SPDX-License-Identifier: AGPL-3.0-only */
/* Values as expressions in Cedar, which evaluate to them again. */
#include "policy/cedar/ast.h"
#include "policy/cedar/value.h"
#include <arpa/inet.h>

static void print_ip(struct buf *b, const struct ext_ip *ip)
{
	char text[INET6_ADDRSTRLEN];
	if (!inet_ntop(ip->v6 ? AF_INET6 : AF_INET, ip->address, text, sizeof(text)))
		text[0] = '\0';
	buf_printf(b, "ip(\"%s/%d\")", text, ip->prefix);
}

static void print_decimal(struct buf *b, int64_t n)
{
	uint64_t size = n < 0 ? -(uint64_t)n : (uint64_t)n;
	buf_printf(b, "decimal(\"%s%llu.%04llu\")", n < 0 ? "-" : "",
		(unsigned long long)(size / 10000), (unsigned long long)(size % 10000));
}

static void print_items(struct buf *b, const struct value_set *set)
{
	buf_putc(b, '[');
	for (size_t i = 0; i < set->count && !b->error; i++) {
		buf_puts(b, i ? ", " : "");
		value_print(b, &set->items[i]);
	}
	buf_putc(b, ']');
}

static void print_members(struct buf *b, const struct value_record *record)
{
	buf_putc(b, '{');
	for (size_t i = 0; i < record->count && !b->error; i++) {
		buf_puts(b, i ? ", " : "");
		cedar_print_string(b, record->members[i].key);
		buf_puts(b, ": ");
		value_print(b, &record->members[i].value);
	}
	buf_putc(b, '}');
}

void value_print(struct buf *b, const struct cedar_value *v)
{
	switch (v->type) {
	case VALUE_BOOL:
		buf_puts(b, v->boolean ? "true" : "false");
		break;
	case VALUE_LONG:
		buf_printf(b, "%lld", (long long)v->number);
		break;
	case VALUE_STRING:
		cedar_print_string(b, v->string);
		break;
	case VALUE_ENTITY:
		buf_span(b, v->uid->type);
		buf_puts(b, "::");
		cedar_print_string(b, v->uid->id);
		break;
	case VALUE_SET:
		print_items(b, v->set);
		break;
	case VALUE_RECORD:
		print_members(b, v->record);
		break;
	case VALUE_DECIMAL:
		print_decimal(b, v->number);
		break;
	case VALUE_IP:
		print_ip(b, v->ip);
		break;
	case VALUE_DATETIME: /* a text would not reach as far as values do */
		buf_printf(b, "datetime(\"1970-01-01\").offset(duration(\"%lldms\"))",
			(long long)v->number);
		break;
	case VALUE_DURATION:
		buf_printf(b, "duration(\"%lldms\")", (long long)v->number);
		break;
	}
}
