/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * DNS messages (RFC 1035; EDNS of RFC 6891), as far as a resolver for agents needs them: pure
 * functions over memory. Nothing that an agent wrote is passed on, and nothing that the outside
 * answered: queries and replies are read strictly and written anew, so that neither carries more
 * than a name, a type and addresses.
 */
#pragma once

#include "daemon/base/base.h"

enum {
	DNS_NAME_BYTES = 253, /* as text, without the last dot */
	DNS_LABEL_BYTES = 63,
	DNS_ADDRESSES_MAX = 32, /* of one reply; more are passed over */
	DNS_CHAIN_MAX = 8, /* aliases in a row */
	DNS_UDP_BYTES = 1232, /* what is asked for, and accepted, over UDP (DNS flag day 2020) */
	DNS_MESSAGE_BYTES = 16 * 1024, /* accepted over TCP */
};

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28 };

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
};

struct dns_name {
	uint8_t n;
	char text[DNS_NAME_BYTES + 1]; /* lower case, NUL-terminated, no dot at the end */
};

struct dns_query {
	uint16_t id;
	uint16_t type; /* any value: the caller accepts DNS_A and DNS_AAAA */
	bool recursion; /* desired */
	struct dns_name name;
};

/*
 * One question of class IN, nothing else but an EDNS record, names of letters, digits, '-' and '_'.
 * -EINVAL with the reason otherwise; *ret_id (0 if there is none) is then what a FORMERR reply
 * needs.
 */
int dns_query_parse(struct span message, struct dns_query *ret, uint16_t *ret_id) MUST_USE;

/* The same question as a message of our own. */
void dns_query_write(struct buf *b, const struct dns_query *q);

struct dns_answer {
	enum dns_rcode rcode;
	bool truncated; /* ask again over TCP; nothing else is filled in */
	uint32_t ttl_s; /* the smallest on the way from the name to the addresses */
	size_t alias_count;
	struct dns_name aliases[DNS_CHAIN_MAX]; /* in their order, the question's name left out */
	size_t count;
	uint8_t addresses[DNS_ADDRESSES_MAX][16]; /* IPv4 mapped; all of the type asked for */
};

/* Reads the reply to `q`: id, question and class must be its own, aliases must lead from its name
 * to the addresses. -EINVAL with the reason; -EAGAIN if it is the reply to something else, so that
 * the right one may still come. */
int dns_answer_parse(
	struct span message, const struct dns_query *q, struct dns_answer *ret) MUST_USE;

/* The reply to `q`: its addresses all under the question's own name. `ttl_s` and the addresses are
 * used for DNS_NOERROR only. */
void dns_reply_write(struct buf *b, const struct dns_query *q, enum dns_rcode rcode, uint32_t ttl_s,
	const uint8_t (*addresses)[16], size_t count);

/* Whether no public name has business to lead there: this host, private, link-local, metadata,
 * multicast, reserved, and IPv6 forms that hold such an IPv4 address (RFC 6890). */
bool dns_address_is_internal(const uint8_t *address);
