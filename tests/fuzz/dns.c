/* SPDX-License-Identifier: AGPL-3.0-only */
/* What an agent asks and what the outside answers. The first byte chooses; an answer is read as one
 * to the question that the message itself holds. */
#include "daemon/sensor/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf b CLEANUP(buf_fini) = buf_init(DNS_MESSAGE_BYTES);
	struct dns_query q, again;
	struct dns_answer a;
	uint16_t id;

	if (n == 0)
		return 0;
	struct span message = span_of(p + 1, n - 1);
	if (p[0] & 1) {
		struct dns_query asked = {
			.type = p[0] & 2 ? DNS_A : DNS_AAAA, .name = {.n = 3, .text = "a.b"}};
		if (message.n >= 2)
			asked.id = (uint16_t)((uint8_t)message.p[0] << 8 | (uint8_t)message.p[1]);
		if (dns_answer_parse(message, &asked, &a) == 0)
			CHECK(a.count <= DNS_ADDRESSES_MAX && a.alias_count <= DNS_CHAIN_MAX);
		err_clear();
		return 0;
	}
	if (dns_query_parse(message, &q, &id) == 0) {
		dns_query_write(&b, &q);
		CHECK(dns_query_parse(buf_view(&b), &again, &id) == 0);
		CHECK(again.name.n == q.name.n && again.type == q.type && again.id == q.id);
	}
	err_clear();
	return 0;
}
