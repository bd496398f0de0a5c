/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * make_journal DIR [MORE]: a small signed journal for the script beside it; MORE only appends that
 * many file records. Prints the signer's public key in hexadecimal. The key's seed is fixed.
 */
#include "daemon/audit/audit.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static uint8_t public_key[HEAD_PUBLIC_KEY_BYTES];
static uint8_t secret_key[64];
static struct head_signed last_head;

static int sign(void *ctx, const struct head *head, struct head_signed *ret,
	struct head_signed *ret_last, int64_t deadline_ns)
{
	uint8_t statement[HEAD_STATEMENT_BYTES];

	ret->head = *head;
	ret->counter = last_head.counter + 1;
	head_statement(head, ret->counter, statement);
	crypto_sign_detached(ret->signature, NULL, statement, sizeof(statement), secret_key);
	last_head = *ret;
	return 0;
}

static void append(struct journal *j, struct audit_record r)
{
	CHECK(journal_append(j, &r, 1, DEADLINE_NONE) == 0);
}

static void fill(struct journal *j)
{
	struct uuid run = {{0x11}};
	struct uuid call = {{0x22}};

	append(j,
		(struct audit_record){.source = AUDIT_EVENT,
			.kind = SPAN("ExecutionStarted"),
			.execution_id = run,
			.event_number = 1,
			.payload = SPAN(
				"{\"id\":\"33000000-0000-0000-0000-000000000000\","
				"\"message\":\"Execution started\\u001b[31m\",\"details\":{}}")});
	append(j,
		(struct audit_record){.source = AUDIT_FILE,
			.kind = SPAN("FileRead"),
			.execution_id = run,
			.call_id = call,
			.iteration = 2,
			.payload = SPAN("{\"path\":\"/workspace/a\"}")});
	CHECK(journal_gap(j, AUDIT_KERNEL, 7, "ring full", DEADLINE_NONE) == 0);
	CHECK(journal_checkpoint(j, DEADLINE_NONE) == 0);
}

int main(int argc, char **argv)
{
	static const uint8_t seed[32] = {1, 2, 3};
	struct journal_options o = {.dir = argv[1], .sign = sign, .key = public_key};
	struct journal *j;

	CHECK(argc >= 2);
	crypto_sign_seed_keypair(public_key, secret_key, seed);
	int r = journal_open(&o, &j);
	if (r < 0) {
		err_log(r, "make_journal");
		return 1;
	}
	if (argc == 2)
		fill(j);
	for (int i = 0; argc > 2 && i < atoi(argv[2]); i++)
		append(j, (struct audit_record){.source = AUDIT_FILE, .kind = SPAN("FileRead")});
	journal_close(j);
	for (size_t i = 0; i < sizeof(public_key); i++)
		printf("%02x", public_key[i]);
	printf("\n");
	return 0;
}
