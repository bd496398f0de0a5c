/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The canonical form against the SMCP vectors, made with the protocol's own SDKs: the member
 * `raw_token_canonical_hex`, where there is one, else `canonical_hex`, holds the bytes that a
 * canonicaliser which keeps number tokens must give. Texts that the SDKs cannot sign (lone
 * surrogates) must be refused, and so must duplicate keys, of which the SDKs take the last: two
 * readers of one signed text must not see two meanings.
 *
 * AEGIS_TESTDATA names the folder of test data; it lies beside the source by default.
 */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_BYTES = 8 << 20, ARENA_BYTES = 64 << 20 };

static struct arena *arena;
static const struct json *vectors; /* NULL if there are none here */
static char path[1024];

static int load(void **state)
{
	const char *folder = getenv("AEGIS_TESTDATA"), *source = getenv("AEGIS_SOURCE");
	struct buf b CLEANUP(buf_fini) = buf_init(FILE_BYTES);
	arena = arena_new(ARENA_BYTES);
	if (folder)
		snprintf(path, sizeof(path), "%s/smcp/vectors.json", folder);
	else
		snprintf(path, sizeof(path), "%s/../shared/testdata/smcp/vectors.json",
			source ? source : ".");
	if (access(path, F_OK) < 0)
		return 0;
	int r = fd_read_file(path, &b);
	if (r == 0)
		r = json_parse(arena, buf_view(&b), NULL, &vectors);
	if (r < 0)
		print_error("%s: %s\n", path, err_message(r));
	return r;
}

static int unload(void **state)
{
	arena = arena_free(arena);
	return 0;
}

static const struct json *cases(void)
{
	if (!vectors)
		test_skip("%s is not there (AEGIS_TESTDATA names the folder)", path);
	const struct json *list = json_get(vectors, "canonical");
	assert_true(list && list->type == JSON_ARRAY && list->count > 0);
	return list;
}

/* The signed message: payload, token and time under their names. */
static int build_message(const struct json *vector, struct buf *b)
{
	const struct json *payload;
	struct span token = json_str(vector, "security_token", SPAN(""));
	if (span_is(token, "@token"))
		token = json_str(vectors, "token", SPAN(""));
	int r = json_parse(arena, json_str(vector, "payload_text", SPAN("")), NULL, &payload);
	if (r < 0)
		return err_trace(r);
	struct json_writer w = json_writer(b);
	json_object(&w);
	json_field_span(&w, "security_token", token);
	json_field_i64(&w, "timestamp", json_i64(vector, "timestamp_unix", 0));
	json_key(&w, "payload");
	json_put(&w, payload);
	json_end(&w);
	return buf_error(b);
}

static bool must_be_refused(const struct json *vector)
{
	return json_get(vector, "canonical_hex")->type == JSON_NULL ||
		span_starts(json_str(vector, "name", SPAN("")), SPAN("duplicate key"));
}

static void check_bytes(const struct json *vector, struct span expected_hex)
{
	struct buf message CLEANUP(buf_fini) = buf_init(FILE_BYTES);
	struct buf canonical CLEANUP(buf_fini) = buf_init(FILE_BYTES);
	struct buf hex CLEANUP(buf_fini) = buf_init(FILE_BYTES);
	const struct json *v = NULL;
	struct span name = json_str(vector, "name", SPAN("?"));
	int r = build_message(vector, &message);
	if (r == 0)
		r = json_parse(arena, buf_view(&message), NULL, &v);
	if (r < 0)
		fail_msg("%.*s: %s", SPAN_ARG(name), err_message(r));
	json_canonical(&canonical, v);
	hex_encode(&hex, buf_view(&canonical));
	if (!span_eq(buf_view(&hex), expected_hex))
		fail_msg("%.*s: %.*s", SPAN_ARG(name), SPAN_ARG(buf_view(&canonical)));
}

static void canonical_bytes_are_those_of_the_protocol(void **state)
{
	size_t checked = 0;
	const struct json *list = cases();
	json_for_each (vector, list) {
		if (must_be_refused(vector))
			continue;
		struct span hex = json_str(vector, "raw_token_canonical_hex",
			json_str(vector, "canonical_hex", SPAN("")));
		check_bytes(vector, hex);
		checked++;
	}
	assert_true(checked >= 60);
}

static void what_has_no_one_meaning_is_refused(void **state)
{
	size_t checked = 0;
	const struct json *list = cases();
	json_for_each (vector, list) {
		const struct json *v;
		if (!must_be_refused(vector))
			continue;
		assert_int_equal(
			json_parse(arena, json_str(vector, "payload_text", SPAN("")), NULL, &v),
			-EINVAL);
		checked++;
	}
	assert_true(checked >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_bytes_are_those_of_the_protocol),
		cmocka_unit_test(what_has_no_one_meaning_is_refused),
	};
	return cmocka_run_group_tests_name("base", tests, load, unload);
}
