/* SPDX-License-Identifier: AGPL-3.0-only */
/* Records, calls and replies of ONC RPC. */
#include "nfs/rpc/rpc.h"
#include "tests/tap.h"

static void put(char **p, const void *bytes, size_t n)
{
	memcpy(*p, bytes, n);
	*p += n;
}

static void fragment(char **p, bool last, const char *text)
{
	rpc_mark_put(*p, (struct rpc_mark){last, (uint32_t)strlen(text)});
	*p += RPC_MARK_BYTES;
	put(p, text, strlen(text));
}

/* However the bytes are cut, the record is the same. */
static void test_record_any_cut(void **state)
{
	char wire[64];
	char *end = wire;
	fragment(&end, false, "abc");
	fragment(&end, false, "defgh");
	fragment(&end, true, "i");
	put(&end, "next", 4);
	size_t n = (size_t)(end - wire);
	for (size_t step = 1; step <= n; step++) {
		char memory[16];
		struct rpc_record r;
		rpc_record_init(&r, memory, sizeof(memory));
		size_t at = 0;
		size_t limit = 0;
		int outcome = 0;
		while (outcome == 0) {
			size_t taken;
			limit = MIN(limit + step, n);
			outcome = rpc_record_feed(&r, span_of(wire + at, limit - at), &taken);
			at += taken;
		}
		assert_int_equal(outcome, RPC_RECORD_COMPLETE);
		assert_int_equal(r.len, 9);
		assert_memory_equal(r.data, "abcdefghi", 9);
		assert_int_equal(n - at, 4);
	}
}

static int feed(struct rpc_record *r, const void *wire, size_t n)
{
	size_t taken;
	return rpc_record_feed(r, span_of(wire, n), &taken);
}

static void test_record_limits(void **state)
{
	char memory[8];
	struct rpc_record r;
	rpc_record_init(&r, memory, sizeof(memory));
	assert_int_equal(feed(&r, "\x80\0\0\x09", 4), -EMSGSIZE);
	rpc_record_init(&r, memory, sizeof(memory));
	assert_int_equal(feed(&r,
				 "\0\0\0\x08"
				 "12345678"
				 "\x80\0\0\x01",
				 16),
		-EMSGSIZE);
	rpc_record_init(&r, memory, sizeof(memory));
	assert_int_equal(feed(&r, "\0\0\0\0", 4), -EPROTO);
	rpc_record_init(&r, memory, sizeof(memory));
	assert_int_equal(feed(&r, "\0\0\0\x02xy\x80\0\0\0", 10), RPC_RECORD_COMPLETE);
	assert_int_equal(r.len, 2);

	static char many[LIMIT_RPC_FRAGMENTS + 1][5];
	static char room[2 * LIMIT_RPC_FRAGMENTS];
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		rpc_mark_put(many[i], (struct rpc_mark){false, 1});
	rpc_record_init(&r, room, sizeof(room));
	assert_int_equal(feed(&r, many, sizeof(many)), -EPROTO);
	assert_int_equal(r.len, LIMIT_RPC_FRAGMENTS);
}

/* The call that Linux sends when it looks whether a server lives, as captured. */
static void test_null_call_bytes(void **state)
{
	static const char wire[] = "\x11\x22\x33\x44\0\0\0\0\0\0\0\2\0\1\x86\xa3\0\0\0\3\0\0\0\0"
				   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
	struct xdr x = xdr_decoder(span_of(wire, sizeof(wire) - 1));
	struct rpc_call c = {0};
	assert_int_equal(rpc_call_decode(&x, &c), 0);
	assert_int_equal(c.xid, 0x11223344);
	assert_int_equal(c.prog, 100003);
	assert_int_equal(c.vers, 3);
	assert_int_equal(c.proc, 0);
	assert_int_equal(c.flavor, RPC_AUTH_NONE);
	assert_int_equal(xdr_left(&x), 0);
}

static size_t encode(char *room, size_t n, struct rpc_call *c)
{
	struct xdr x = xdr_encoder(room, n);
	rpc_call_encode(&x, c);
	assert_false(x.bad);
	return (size_t)(x.p - room);
}

static void test_auth_sys(void **state)
{
	char wire[256];
	struct rpc_call c = {
		.xid = 7, .prog = 100003, .vers = 3, .proc = 1, .flavor = RPC_AUTH_SYS};
	c.sys = (struct rpc_auth_sys){.stamp = 1,
		.machine = SPAN("host"),
		.uid = 1000,
		.gid = 100,
		.gid_count = 2,
		.gids = {100, 4294967294u}};
	size_t n = encode(wire, sizeof(wire), &c);
	for (size_t cut = 0; cut < n; cut++) {
		struct xdr x = xdr_decoder(span_of(wire, cut));
		struct rpc_call got = {0};
		assert_int_not_equal(rpc_call_decode(&x, &got), 0);
	}
	struct xdr x = xdr_decoder(span_of(wire, n));
	struct rpc_call got = {0};
	assert_int_equal(rpc_call_decode(&x, &got), 0);
	assert_true(span_is(got.sys.machine, "host"));
	assert_int_equal(got.sys.uid, 1000);
	assert_int_equal(got.sys.gid, 100);
	assert_int_equal(got.sys.gid_count, 2);
	assert_int_equal(got.sys.gids[1], 4294967294u);
}

/* Each way to be wrong, and the outcome that tells the server what to answer. */
static void test_bad_calls(void **state)
{
	char wire[512];
	struct rpc_call c = {.xid = 9, .prog = 1, .flavor = RPC_AUTH_SYS};
	struct rpc_call got = {0};
	size_t n = encode(wire, sizeof(wire), &c);
	struct xdr x = xdr_decoder(span_of(wire, n));
	assert_int_equal(rpc_call_decode(&x, &got), 0);

	wire[7] = RPC_REPLY;
	x = xdr_decoder(span_of(wire, n));
	assert_int_equal(rpc_call_decode(&x, &got), -EBADMSG);
	wire[7] = RPC_CALL;

	wire[11] = 3;
	x = xdr_decoder(span_of(wire, n));
	assert_int_equal(rpc_call_decode(&x, &got), RPC_CALL_VERSION);
	assert_int_equal(got.xid, 9);
	wire[11] = RPC_VERSION;

	wire[27] = 6; /* RPCSEC_GSS */
	x = xdr_decoder(span_of(wire, n));
	assert_int_equal(rpc_call_decode(&x, &got), RPC_CALL_BAD_CREDENTIAL);
	wire[27] = RPC_AUTH_SYS;

	wire[51] = 17; /* groups */
	x = xdr_decoder(span_of(wire, n));
	assert_int_equal(rpc_call_decode(&x, &got), RPC_CALL_BAD_CREDENTIAL);
	wire[51] = 0;

	wire[n - 2] = 2; /* a verifier of 512 bytes */
	x = xdr_decoder(span_of(wire, n));
	assert_int_equal(rpc_call_decode(&x, &got), RPC_CALL_BAD_VERIFIER);
}

static struct rpc_reply decode(const char *wire, const struct xdr *end)
{
	struct xdr x = xdr_decoder(span_of(wire, (size_t)(end->p - wire)));
	struct rpc_reply r;
	assert_int_equal(rpc_reply_decode(&x, &r), 0);
	assert_int_equal(xdr_left(&x), 0);
	return r;
}

static void test_replies(void **state)
{
	char wire[64];
	for (uint32_t stat = RPC_SUCCESS; stat <= RPC_SYSTEM_ERR; stat++) {
		if (stat == RPC_PROG_MISMATCH)
			continue;
		struct xdr x = xdr_encoder(wire, sizeof(wire));
		rpc_accept(&x, 5, stat);
		assert_int_equal(x.p - wire, RPC_ACCEPTED_BYTES);
		struct rpc_reply r = decode(wire, &x);
		assert_int_equal(r.xid, 5);
		assert_int_equal(r.reply_stat, RPC_MSG_ACCEPTED);
		assert_int_equal(r.stat, stat);
	}
	struct xdr x = xdr_encoder(wire, sizeof(wire));
	rpc_accept_mismatch(&x, 5, 3, 4);
	struct rpc_reply r = decode(wire, &x);
	assert_int_equal(r.stat, RPC_PROG_MISMATCH);
	assert_int_equal(r.low, 3);
	assert_int_equal(r.high, 4);

	x = xdr_encoder(wire, sizeof(wire));
	rpc_deny_version(&x, 6);
	r = decode(wire, &x);
	assert_int_equal(r.reply_stat, RPC_MSG_DENIED);
	assert_int_equal(r.stat, RPC_MISMATCH);
	assert_int_equal(r.low, 2);

	x = xdr_encoder(wire, sizeof(wire));
	rpc_deny_auth(&x, 6, RPC_AUTH_TOOWEAK);
	r = decode(wire, &x);
	assert_int_equal(r.stat, RPC_AUTH_ERROR);
	assert_int_equal(r.auth_stat, RPC_AUTH_TOOWEAK);
}

static void test_opaque(void **state)
{
	char wire[16];
	memset(wire, 0xee, sizeof(wire));
	struct xdr x = xdr_encoder(wire, sizeof(wire));
	struct span text = SPAN("abcde");
	xdr_opaque(&x, &text, 5);
	assert_memory_equal(wire, "\0\0\0\5abcde\0\0\0", 12);
	assert_int_equal(x.p - wire, 12);
	x = xdr_decoder(span_of(wire, 12));
	struct span got;
	xdr_opaque(&x, &got, 4);
	assert_true(x.bad);
	x = xdr_decoder(span_of(wire, 11)); /* its padding is missing */
	xdr_opaque(&x, &got, 5);
	assert_true(x.bad);
	x = xdr_encoder(wire, sizeof(wire));
	xdr_opaque(&x, &text, 4);
	assert_true(x.bad);
	bool flag;
	x = xdr_decoder(SPAN("\0\0\0\2"));
	xdr_bool(&x, &flag);
	assert_true(x.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_any_cut),
		cmocka_unit_test(test_record_limits),
		cmocka_unit_test(test_null_call_bytes),
		cmocka_unit_test(test_auth_sys),
		cmocka_unit_test(test_bad_calls),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_opaque),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
