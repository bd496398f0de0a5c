/* SPDX-License-Identifier: AGPL-3.0-only */
/* When a conversation is over, by a table written down by hand. */
#include "daemon/sensor/flows.h"
#include <netinet/in.h>
#include "tests/tap.h"

#define S(seconds) ((uint64_t)(seconds)*1000000000U)
#define BOTH (NET_FLOW_FIN_SENT | NET_FLOW_FIN_RECEIVED)

static void conversations_end(void **state)
{
	static const struct {
		uint8_t protocol;
		uint32_t state;
		uint64_t received, silent_s;
		enum flow_end end;
	} cases[] = {
		{IPPROTO_TCP, BOTH, 5, FLOW_LINGER_S, FLOW_CLOSED},
		{IPPROTO_TCP, BOTH, 5, 0, 0},
		{IPPROTO_TCP, NET_FLOW_FIN_SENT, 5, 10000000, 0}, /* half closed */
		{IPPROTO_TCP, NET_FLOW_FIN_RECEIVED, 5, 10000000, 0},
		{IPPROTO_TCP, NET_FLOW_RESET | BOTH, 5, FLOW_LINGER_S, FLOW_RESET},
		{IPPROTO_TCP, NET_FLOW_RESET, 0, FLOW_LINGER_S, FLOW_RESET},
		{IPPROTO_TCP, 0, 1, 10000000, 0}, /* it may go on any day */
		{IPPROTO_TCP, 0, 0, FLOW_UNANSWERED_S, FLOW_UNANSWERED},
		{IPPROTO_TCP, 0, 0, FLOW_UNANSWERED_S - 1, 0},
		{IPPROTO_UDP, 0, 0, FLOW_IDLE_S, FLOW_IDLE},
		{IPPROTO_UDP, 0, 9, FLOW_IDLE_S, FLOW_IDLE},
		{IPPROTO_UDP, 0, 9, FLOW_IDLE_S - 1, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_flow_key key = {.protocol = cases[i].protocol};
		struct net_flow f = {.last_ns = S(100),
			.state = cases[i].state,
			.received_packets = cases[i].received};
		enum flow_end end = flow_ended(&key, &f, S(100 + cases[i].silent_s));
		if (end != cases[i].end)
			fail_msg("case %zu: %s, expected %s", i, flow_end_text(end),
				flow_end_text(cases[i].end));
		/* A packet that came while the clock was read. */
		assert_int_equal(flow_ended(&key, &f, S(99)), 0);
	}
}

static void each_end_has_its_word(void **state)
{
	for (int e = FLOW_CLOSED; e < FLOW_ENDS; e++)
		for (int other = FLOW_CLOSED; other < FLOW_ENDS; other++)
			assert_true((strcmp(flow_end_text((enum flow_end)e),
					     flow_end_text((enum flow_end)other)) == 0) ==
				(e == other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conversations_end),
		cmocka_unit_test(each_end_has_its_word),
	};
	return cmocka_run_group_tests_name("conversations", tests, NULL, NULL);
}
