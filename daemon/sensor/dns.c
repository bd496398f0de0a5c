/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The codec of the DNS proxy. Compressed names may point backwards only, each pointer further back
 * than the one before, so that no message makes a loop.
 */
#include "daemon/sensor/dns.h"
#include <string.h>

enum {
	HEAD_BYTES = 12,
	CLASS_IN = 1,
	TYPE_OPT = 41,
	FLAG_QR = 0x8000,
	FLAG_OPCODE = 0x7800,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_RA = 0x0080,
	FLAG_RCODE = 0x000f,
	ANSWER_RECORDS_MAX = 256,
};

struct head {
	uint16_t id, flags, questions, answers, authorities, additionals;
};

static struct head read_head(struct cursor *c)
{
	struct head h;
	h.id = cursor_u16be(c);
	h.flags = cursor_u16be(c);
	h.questions = cursor_u16be(c);
	h.answers = cursor_u16be(c);
	h.authorities = cursor_u16be(c);
	h.additionals = cursor_u16be(c);
	return h;
}

/* A byte of a host name, in lower case; 0 for any other. */
static char name_byte(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
		return c;
	return 0;
}

static int add_label(struct dns_name *name, struct span label)
{
	size_t dot = name->n > 0;

	if (name->n + dot + label.n > DNS_NAME_BYTES)
		return err_raise(-EINVAL, "a name of more than %d bytes", DNS_NAME_BYTES);
	if (dot)
		name->text[name->n++] = '.';
	for (size_t i = 0; i < label.n; i++) {
		char c = name_byte(label.p[i]);
		if (!c)
			return err_raise(-EINVAL,
				"byte 0x%02x in a name; letters, digits, '-' and '_' are accepted",
				(unsigned char)label.p[i]);
		name->text[name->n++] = c;
	}
	return 0;
}

/* Reads a name at *c and leaves *c behind it. `message` NULL: pointers are refused. */
static int read_name(struct cursor *c, const struct span *message, struct dns_name *ret)
{
	struct cursor at = *c;
	bool jumped = false;
	size_t before = message ? (size_t)(c->p - message->p) : 0;

	*ret = (struct dns_name){0};
	for (;;) {
		uint8_t n = cursor_u8(&at);
		if (at.bad)
			return err_raise(-EINVAL, "the message ends inside a name");
		if (n == 0)
			break;
		if (n <= DNS_LABEL_BYTES) {
			struct span label = cursor_bytes(&at, n);
			int r = at.bad ? err_raise(-EINVAL, "the message ends inside a name")
				       : add_label(ret, label);
			if (r < 0)
				return err_trace(r);
			continue;
		}
		size_t to = (size_t)(n & 0x3f) << 8 | cursor_u8(&at);
		if (!message || n < 0xc0 || at.bad || to >= before || to < HEAD_BYTES)
			return err_raise(-EINVAL, "a name's pointer leads nowhere further back");
		if (!jumped)
			*c = at;
		jumped = true;
		before = to;
		at = cursor_of(span_sub(*message, to, message->n));
	}
	if (!jumped)
		*c = at;
	ret->text[ret->n] = '\0';
	return 0;
}

static void write_name(struct buf *b, const struct dns_name *name)
{
	struct span rest = span_of(name->text, name->n), label;
	bool done = false;

	while (span_split(&rest, '.', &done, &label)) {
		buf_putc(b, (char)label.n);
		buf_span(b, label);
	}
	buf_putc(b, 0);
}

static void write_head(struct buf *b, struct head h)
{
	buf_u16be(b, h.id);
	buf_u16be(b, h.flags);
	buf_u16be(b, h.questions);
	buf_u16be(b, h.answers);
	buf_u16be(b, h.authorities);
	buf_u16be(b, h.additionals);
}

/* An EDNS record (and no other) may follow the question. What it says is of no use to us. */
static int skip_edns(struct cursor *c)
{
	struct dns_name name;
	int r = read_name(c, NULL, &name);

	if (r < 0)
		return err_trace(r);
	uint16_t type = cursor_u16be(c);
	cursor_u16be(c); /* size of UDP messages */
	cursor_u32be(c);
	cursor_bytes(c, cursor_u16be(c));
	if (c->bad || name.n != 0 || type != TYPE_OPT)
		return err_raise(-EINVAL, "a record beside the question that is not EDNS");
	return 0;
}

int dns_query_parse(struct span message, struct dns_query *ret, uint16_t *ret_id)
{
	struct cursor c = cursor_of(message);
	struct head h = read_head(&c);
	struct dns_query q = {.id = h.id, .recursion = h.flags & FLAG_RD};

	*ret_id = c.bad ? 0 : h.id;
	if (c.bad || h.flags & (FLAG_QR | FLAG_OPCODE | FLAG_TC) || h.questions != 1 || h.answers ||
		h.authorities || h.additionals > 1)
		return err_raise(-EINVAL, "not a query with one question");
	int r = read_name(&c, NULL, &q.name);
	if (r < 0)
		return err_trace(r);
	q.type = cursor_u16be(&c);
	uint16_t class = cursor_u16be(&c);
	if (c.bad || class != CLASS_IN || q.name.n == 0)
		return err_raise(-EINVAL, "not a question about a name of class IN");
	r = h.additionals ? skip_edns(&c) : 0;
	if (r < 0)
		return err_trace(r);
	if (!cursor_done(&c))
		return err_raise(-EINVAL, "bytes behind the question");
	*ret = q;
	return 0;
}

static void write_question(struct buf *b, const struct dns_query *q)
{
	write_name(b, &q->name);
	buf_u16be(b, q->type);
	buf_u16be(b, CLASS_IN);
}

void dns_query_write(struct buf *b, const struct dns_query *q)
{
	write_head(
		b, (struct head){.id = q->id, .flags = FLAG_RD, .questions = 1, .additionals = 1});
	write_question(b, q);
	buf_putc(b, 0);
	buf_u16be(b, TYPE_OPT);
	buf_u16be(b, DNS_UDP_BYTES);
	buf_u32be(b, 0);
	buf_u16be(b, 0);
}

/* ---- answers ---- */

static bool same_name(const struct dns_name *a, const struct dns_name *b)
{
	return a->n == b->n && memcmp(a->text, b->text, a->n) == 0;
}

struct record {
	struct dns_name owner;
	uint16_t type, class;
	uint32_t ttl_s;
	struct span data;
};

static int read_record(struct cursor *c, const struct span *message, struct record *ret)
{
	int r = read_name(c, message, &ret->owner);

	if (r < 0)
		return err_trace(r);
	ret->type = cursor_u16be(c);
	ret->class = cursor_u16be(c);
	ret->ttl_s = cursor_u32be(c);
	ret->data = cursor_bytes(c, cursor_u16be(c));
	if (c->bad)
		return err_raise(-EINVAL, "the message ends inside a record");
	if (ret->ttl_s > INT32_MAX) /* RFC 2181, 8 */
		ret->ttl_s = 0;
	return 0;
}

static void take_address(
	const struct record *rec, const struct dns_query *q, struct dns_answer *answer)
{
	uint8_t *to = answer->addresses[answer->count];

	if (rec->type != q->type || answer->count == DNS_ADDRESSES_MAX)
		return;
	if (q->type == DNS_A && rec->data.n == 4) {
		memset(to, 0, 10);
		to[10] = to[11] = 0xff;
		memcpy(to + 12, rec->data.p, 4);
	} else if (q->type == DNS_AAAA && rec->data.n == 16) {
		memcpy(to, rec->data.p, 16);
	} else {
		return;
	}
	answer->count++;
	answer->ttl_s = MIN(answer->ttl_s, rec->ttl_s);
}

static int follow_alias(const struct record *rec, const struct span *message,
	struct dns_answer *answer, struct dns_name *at)
{
	struct cursor c = {rec->data.p, rec->data.p + rec->data.n, false};
	int r = read_name(&c, message, at);

	if (r < 0)
		return err_trace(r);
	if (answer->alias_count == DNS_CHAIN_MAX)
		return err_raise(-EINVAL, "more than %d aliases in a row", DNS_CHAIN_MAX);
	answer->aliases[answer->alias_count++] = *at;
	answer->ttl_s = MIN(answer->ttl_s, rec->ttl_s);
	return 0;
}

/* Servers give aliases in the order in which they lead on, and addresses behind them. */
static int read_answers(struct cursor *c, const struct span *message, size_t count,
	const struct dns_query *q, struct dns_answer *answer)
{
	struct dns_name at = q->name;
	struct record rec;
	int r = 0;

	if (count > ANSWER_RECORDS_MAX)
		return err_raise(-EINVAL, "more than %d records", ANSWER_RECORDS_MAX);
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = read_record(c, message, &rec);
		if (r < 0 || rec.class != CLASS_IN || !same_name(&rec.owner, &at))
			continue;
		if (rec.type == DNS_CNAME)
			r = follow_alias(&rec, message, answer, &at);
		else
			take_address(&rec, q, answer);
	}
	return err_trace(r);
}

int dns_answer_parse(struct span message, const struct dns_query *q, struct dns_answer *ret)
{
	struct cursor c = cursor_of(message);
	struct head h = read_head(&c);
	struct dns_name name;
	int r;

	if (c.bad || h.id != q->id || !(h.flags & FLAG_QR) || h.questions != 1)
		return err_raise(-EAGAIN, "not the reply to this query");
	r = read_name(&c, &message, &name);
	if (r < 0 || cursor_u16be(&c) != q->type || cursor_u16be(&c) != CLASS_IN || c.bad ||
		!same_name(&name, &q->name))
		return err_raise(-EAGAIN, "the reply to another question");
	*ret = (struct dns_answer){
		.rcode = (enum dns_rcode)(h.flags & FLAG_RCODE),
		.truncated = h.flags & FLAG_TC,
		.ttl_s = UINT32_MAX,
	};
	if (ret->truncated || ret->rcode != DNS_NOERROR)
		return 0;
	r = read_answers(&c, &message, h.answers, q, ret);
	if (ret->count == 0)
		ret->ttl_s = 0;
	return err_trace(r);
}

void dns_reply_write(struct buf *b, const struct dns_query *q, enum dns_rcode rcode, uint32_t ttl_s,
	const uint8_t (*addresses)[16], size_t count)
{
	size_t n = rcode == DNS_NOERROR ? count : 0;

	write_head(b,
		(struct head){
			.id = q->id,
			.flags = (uint16_t)(FLAG_QR | FLAG_RA | (q->recursion ? FLAG_RD : 0) |
				(unsigned)rcode),
			.questions = 1,
			.answers = (uint16_t)n,
		});
	write_question(b, q);
	for (size_t i = 0; i < n; i++) {
		buf_u16be(b, 0xc000 | HEAD_BYTES); /* the question's name */
		buf_u16be(b, q->type);
		buf_u16be(b, CLASS_IN);
		buf_u32be(b, ttl_s);
		buf_u16be(b, q->type == DNS_A ? 4 : 16);
		buf_put(b, q->type == DNS_A ? addresses[i] + 12 : addresses[i],
			q->type == DNS_A ? 4 : 16);
	}
}

/* ---- addresses ---- */

static bool ipv4_is_internal(const uint8_t *a)
{
	static const struct {
		uint8_t base[4];
		uint8_t bits;
	} ranges[] = {
		{{0}, 8}, {{10}, 8}, {{100, 64}, 10}, {{127}, 8}, {{169, 254}, 16}, {{172, 16}, 12},
		{{192, 0, 0}, 24}, {{192, 0, 2}, 24}, {{192, 168}, 16}, {{198, 18}, 15},
		{{198, 51, 100}, 24}, {{203, 0, 113}, 24},
		{{224}, 3}, /* multicast, reserved, broadcast */
	};
	uint32_t v = (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3];

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		const uint8_t *p = ranges[i].base;
		uint32_t base =
			(uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
		if ((v ^ base) >> (32 - ranges[i].bits) == 0)
			return true;
	}
	return false;
}

bool dns_address_is_internal(const uint8_t *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff},
			     translated[12] = {0x00, 0x64, 0xff, 0x9b}; /* RFC 6052 */

	if (memcmp(a, mapped, 12) == 0 || memcmp(a, translated, 12) == 0)
		return ipv4_is_internal(a + 12);
	if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 */
		return ipv4_is_internal(a + 2);
	/* Only 2000::/3 is given to anyone; documentation and Teredo are parts of it. */
	return (a[0] & 0xe0) != 0x20 || memcmp(a, "\x20\x01\x0d\xb8", 4) == 0 ||
		memcmp(a, "\x20\x01\x00\x00", 4) == 0;
}
