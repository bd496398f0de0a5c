/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/audit/frame.h"
#include "tests/prop/random.h"
#include "tests/tap.h"

static struct audit_record random_record(struct random *r, char *kind, char *payload)
{
	struct audit_record rec = {
		.number = random_u64(r) | 1,
		.wall_ns = random_i64(r),
		.mono_ns = random_i64(r),
		.source = (enum audit_source)random_below(r, AUDIT_SOURCE_COUNT),
		.iteration = (uint32_t)random_u64(r),
		.event_number = random_u64(r),
	};
	size_t kind_bytes = random_below(r, LIMIT_AUDIT_KIND_BYTES + 1);
	size_t payload_bytes = random_below(r, 200);

	random_bytes(r, kind, kind_bytes);
	random_bytes(r, payload, payload_bytes);
	random_bytes(r, &rec.execution_id, sizeof(rec.execution_id));
	random_bytes(r, &rec.call_id, sizeof(rec.call_id));
	random_bytes(r, &rec.previous, sizeof(rec.previous));
	rec.kind = span_of(kind, kind_bytes);
	rec.payload = span_of(payload, payload_bytes);
	return rec;
}

static void expect_same(const struct audit_record *a, const struct audit_record *b)
{
	assert_int_equal(a->number, b->number);
	assert_int_equal(a->wall_ns, b->wall_ns);
	assert_int_equal(a->mono_ns, b->mono_ns);
	assert_int_equal(a->source, b->source);
	assert_int_equal(a->iteration, b->iteration);
	assert_int_equal(a->event_number, b->event_number);
	assert_true(uuid_eq(a->execution_id, b->execution_id));
	assert_true(uuid_eq(a->call_id, b->call_id));
	assert_memory_equal(&a->previous, &b->previous, sizeof(a->previous));
	assert_memory_equal(&a->hash, &b->hash, sizeof(a->hash));
	assert_true(span_eq(a->kind, b->kind));
	assert_true(span_eq(a->payload, b->payload));
}

/* What was written is read; no flipped bit and no cut goes unseen; behind any damage the next frame
 * is found. */
static void test_frames(void **state)
{
	for_each_seed (seed, 60) {
		struct random r = {seed};
		char kind[LIMIT_AUDIT_KIND_BYTES];
		char payload[200];
		struct buf b CLEANUP(buf_fini) = buf_init(4096);
		struct audit_record in = random_record(&r, kind, payload);
		struct audit_record out;
		uint64_t synced = random_u64(&r);
		uint64_t synced_back;
		size_t consumed;

		frame_encode(&b, &in, synced);
		assert_int_equal(frame_decode(buf_view(&b), &out, &synced_back, &consumed), 0);
		assert_int_equal(consumed, b.len);
		assert_int_equal(synced_back, synced);
		expect_same(&in, &out);

		for (size_t n = 0; n < b.len; n++)
			assert_int_equal(frame_decode(span_of(b.data, n), &out, NULL, &consumed),
				FRAME_INCOMPLETE);
		size_t first = b.len;
		frame_encode(&b, &in, synced);
		for (int i = 0; i < 50; i++) {
			size_t bit = random_below(&r, 8 * first);
			b.data[bit / 8] ^= (char)(1 << bit % 8);
			assert_int_not_equal(frame_decode(buf_view(&b), &out, NULL, &consumed), 0);
			err_clear();
			assert_int_equal(frame_find(buf_view(&b), 1), first);
			b.data[bit / 8] ^= (char)(1 << bit % 8);
		}
	}
}

static void test_segment_headers(void **state)
{
	for_each_seed (seed, 60) {
		struct random r = {seed};
		struct segment_header in;
		struct segment_header out;
		uint8_t bytes[SEGMENT_HEADER_BYTES];

		random_bytes(&r, &in, sizeof(in));
		segment_header_encode(&in, bytes);
		assert_int_equal(segment_header_decode(span_of(bytes, sizeof(bytes)), &out), 0);
		assert_memory_equal(&in, &out, sizeof(in));
		for (size_t i = 0; i < 8 * sizeof(bytes); i++) {
			bytes[i / 8] ^= (uint8_t)(1 << i % 8);
			assert_int_not_equal(
				segment_header_decode(span_of(bytes, sizeof(bytes)), &out), 0);
			err_clear();
			bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_segment_headers),
	};
	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
