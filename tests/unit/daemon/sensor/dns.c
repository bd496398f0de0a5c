/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/sensor/dns.h"
#include "tests/tap.h"
#include "tests/unit/mutate.h"
#include <string.h>

#define BYTES(literal) SPAN(literal)

/* A query of glibc's resolver, written down from RFC 1035, 4.1: id 0x1234, RD, one question. */
static const char query[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
			    "\x03www\x07"
			    "Example\x03org\x00\x00\x01\x00\x01";
#define QUERY span_of(query, sizeof(query) - 1)

static struct dns_query parsed(void)
{
	struct dns_query q;
	uint16_t id;
	assert_int_equal(dns_query_parse(QUERY, &q, &id), 0);
	return q;
}

static void a_query_is_read(void **state)
{
	struct dns_query q = parsed();
	assert_int_equal(q.id, 0x1234);
	assert_int_equal(q.type, DNS_A);
	assert_true(q.recursion);
	assert_string_equal(q.name.text, "www.example.org");
}

static void refuse(struct span message)
{
	struct dns_query q;
	uint16_t id;
	assert_int_equal(dns_query_parse(message, &q, &id), -EINVAL);
}

static void odd_queries_are_refused(void **state)
{
	char m[512];
	size_t n = QUERY.n;

	memcpy(m, query, n);
	m[2] = (char)0x81; /* a reply */
	refuse(span_of(m, n));
	memcpy(m, query, n);
	m[2] = 0x28; /* opcode 5, update */
	refuse(span_of(m, n));
	memcpy(m, query, n);
	m[5] = 2; /* two questions */
	refuse(span_of(m, n));
	memcpy(m, query, n);
	m[n - 1] = 3; /* class CHAOS */
	refuse(span_of(m, n));
	memcpy(m, query, n);
	m[13] = '.'; /* a dot inside a label */
	refuse(span_of(m, n));
	memcpy(m, query, n);
	m[n] = 'x'; /* more behind it */
	refuse(span_of(m, n + 1));
	refuse(BYTES("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"));
	refuse(BYTES("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01"));
	refuse(BYTES(""));
	for (size_t i = 0; i < n; i++)
		refuse(span_of(query, i));
}

static void names_are_bounded(void **state)
{
	char m[600];
	size_t n = 12;

	memcpy(m, query, 12);
	for (int i = 0; i < 4; i++) {
		m[n++] = 62;
		memset(m + n, 'a', 62);
		n += 62;
	}
	size_t end = n;
	memcpy(m + n, "\x00\x00\x01\x00\x01", 5);
	struct dns_query q;
	uint16_t id;
	assert_int_equal(dns_query_parse(span_of(m, n + 5), &q, &id), 0); /* 251 bytes */
	memcpy(m + end,
		"\x02"
		"aa\x00\x00\x01\x00\x01",
		8);
	refuse(span_of(m, end + 8)); /* 254 */
	memcpy(m + end,
		"\x01"
		"a\x00\x00\x01\x00\x01",
		7);
	assert_int_equal(dns_query_parse(span_of(m, end + 7), &q, &id), 0); /* 253 */
}

static void edns_may_follow(void **state)
{
	char m[128];
	struct dns_query q;
	uint16_t id;

	memcpy(m, query, QUERY.n);
	m[11] = 1;
	memcpy(m + QUERY.n, "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00", 11);
	assert_int_equal(dns_query_parse(span_of(m, QUERY.n + 11), &q, &id), 0);
	m[QUERY.n + 2] = 1; /* an A record is none */
	refuse(span_of(m, QUERY.n + 11));
}

/* What we ask is read again as what we were asked, and nothing else of the agent's is in it. */
static void a_query_is_written_anew(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(DNS_UDP_BYTES);
	struct dns_query q = parsed(), again;
	uint16_t id;

	dns_query_write(&b, &q);
	assert_int_equal(dns_query_parse(buf_view(&b), &again, &id), 0);
	assert_string_equal(again.name.text, q.name.text);
	assert_int_equal(again.type, q.type);
}

/* The reply of a real server to www.example.org, as RFC 1035 has it: an alias by a compressed name,
 * two addresses, and one record that is nobody's. */
static const char reply[] = "\x12\x34\x81\x80\x00\x01\x00\x04\x00\x00\x00\x00"
			    "\x03www\x07"
			    "example\x03org\x00\x00\x01\x00\x01"
			    "\xc0\x0c\x00\x05\x00\x01\x00\x00\x01\x2c\x00\x06\x03"
			    "cdn\xc0\x10"
			    "\xc0\x2d\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x5d\xb8\xd8\x22"
			    "\xc0\x2d\x00\x01\x00\x01\x00\x00\x00\x64\x00\x04\x5d\xb8\xd8\x23"
			    "\xc0\x18\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x01\x02\x03\x04";
#define REPLY span_of(reply, sizeof(reply) - 1)

static void an_answer_is_followed(void **state)
{
	struct dns_query q = parsed();
	struct dns_answer a;

	assert_int_equal(dns_answer_parse(REPLY, &q, &a), 0);
	assert_int_equal(a.rcode, DNS_NOERROR);
	assert_int_equal(a.alias_count, 1);
	assert_string_equal(a.aliases[0].text, "cdn.example.org");
	assert_int_equal(a.count, 2);
	assert_int_equal(a.ttl_s, 60);
	assert_memory_equal(a.addresses[1] + 12, "\x5d\xb8\xd8\x23", 4);
}

static void strangers_answers_are_not_taken(void **state)
{
	struct dns_query q = parsed();
	struct dns_answer a;

	q.id++;
	assert_int_equal(dns_answer_parse(REPLY, &q, &a), -EAGAIN);
	q = parsed();
	q.name.text[0] = 'x';
	assert_int_equal(dns_answer_parse(REPLY, &q, &a), -EAGAIN);
	q = parsed();
	q.type = DNS_AAAA;
	assert_int_equal(dns_answer_parse(REPLY, &q, &a), -EAGAIN);
	assert_int_equal(dns_answer_parse(QUERY, &q, &a), -EAGAIN);
}

static void pointers_do_not_loop(void **state)
{
	char m[sizeof(reply)];
	struct dns_query q = parsed();
	struct dns_answer a;

	memcpy(m, reply, sizeof(reply));
	m[34] = 0x21; /* the first owner points at itself */
	assert_int_equal(dns_answer_parse(span_of(m, REPLY.n), &q, &a), -EINVAL);
	m[34] = 0x40; /* and forward */
	assert_int_equal(dns_answer_parse(span_of(m, REPLY.n), &q, &a), -EINVAL);
}

static void parse_both(struct span message, const char *what, void *arg)
{
	struct dns_query q = parsed(), other;
	struct dns_answer a;
	uint16_t id;

	if (dns_query_parse(message, &other, &id) < 0)
		err_clear();
	if (dns_answer_parse(message, &q, &a) < 0)
		err_clear();
}

static void damage_is_survived(void **state)
{
	mutate(REPLY, MUTATE_ALL, parse_both, NULL);
	mutate(QUERY, MUTATE_ALL, parse_both, NULL);
}

static void a_reply_is_written(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(DNS_UDP_BYTES);
	struct dns_query q = parsed();
	uint8_t addresses[2][16] = {
		{[10] = 0xff, 0xff, 93, 184, 216, 34}, {[10] = 0xff, 0xff, 93, 184, 216, 35}};
	struct dns_answer a;

	dns_reply_write(&b, &q, DNS_NOERROR, 77, addresses, 2);
	assert_int_equal(dns_answer_parse(buf_view(&b), &q, &a), 0);
	assert_int_equal(a.count, 2);
	assert_int_equal(a.ttl_s, 77);
	assert_int_equal(a.alias_count, 0);
	buf_reset(&b);
	dns_reply_write(&b, &q, DNS_REFUSED, 77, addresses, 2);
	assert_int_equal(dns_answer_parse(buf_view(&b), &q, &a), 0);
	assert_int_equal(a.rcode, DNS_REFUSED);
	assert_int_equal(a.count, 0);
}

static void internal_addresses_are_known(void **state)
{
	static const uint8_t internal[][16] = {
		{[10] = 0xff, 0xff, 127, 0, 0, 1}, {[10] = 0xff, 0xff, 169, 254, 169, 254},
		{[10] = 0xff, 0xff, 10, 1, 1, 1}, {[10] = 0xff, 0xff, 172, 31, 0, 1},
		{[10] = 0xff, 0xff, 192, 168, 0, 1}, {[10] = 0xff, 0xff, 100, 100, 0, 1},
		{[10] = 0xff, 0xff, 224, 0, 0, 1}, {[10] = 0xff, 0xff, 255, 255, 255, 255},
		{[10] = 0xff, 0xff, 0, 0, 0, 0}, {[15] = 1}, {0}, {0xfe, 0x80}, {0xfd, 0x00},
		{0xff, 0x02}, {0x00, 0x64, 0xff, 0x9b, [12] = 10}, {0x20, 0x02, 192, 168, 1, 1},
		{[12] = 8, 8, 8, 8}, /* ::8.8.8.8, the compatible form */
	};
	static const uint8_t outside[][16] = {
		{[10] = 0xff, 0xff, 93, 184, 216, 34},
		{[10] = 0xff, 0xff, 172, 32, 0, 1},
		{[10] = 0xff, 0xff, 100, 128, 0, 1},
		{0x26, 0x06, 0x28, 0x00},
		{0x20, 0x02, 8, 8, 8, 8},
	};

	for (size_t i = 0; i < ARRAY_LEN(internal); i++)
		assert_true(dns_address_is_internal(internal[i]));
	for (size_t i = 0; i < ARRAY_LEN(outside); i++)
		assert_false(dns_address_is_internal(outside[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_query_is_read),
		cmocka_unit_test(odd_queries_are_refused),
		cmocka_unit_test(names_are_bounded),
		cmocka_unit_test(edns_may_follow),
		cmocka_unit_test(a_query_is_written_anew),
		cmocka_unit_test(an_answer_is_followed),
		cmocka_unit_test(strangers_answers_are_not_taken),
		cmocka_unit_test(pointers_do_not_loop),
		cmocka_unit_test(damage_is_survived),
		cmocka_unit_test(a_reply_is_written),
		cmocka_unit_test(internal_addresses_are_known),
	};
	return cmocka_run_group_tests_name("daemon/sensor", tests, NULL, NULL);
}
