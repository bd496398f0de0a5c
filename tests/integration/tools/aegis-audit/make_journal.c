/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * make_journal DIR [MORE|denials]: a small signed journal for the scripts beside it; MORE only
 * appends that many file records, `denials` makes one with a verdict from every source instead.
 * Prints the signer's public key in hexadecimal. The key's seed is fixed.
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
	CHECK(journal_gap(j, &(struct audit_gap){AUDIT_KERNEL, 7, "ring full", {{0}}, 0},
		      DEADLINE_NONE) == 0);
	CHECK(journal_checkpoint(j, DEADLINE_NONE) == 0);
}

/* Record 1 is "Opened". */
static void fill_denials(struct journal *j)
{
	struct uuid run = {{0x11}};
	struct audit_record event = {.source = AUDIT_EVENT, .execution_id = run, .iteration = 2};
	struct audit_record kernel = {.source = AUDIT_KERNEL, .execution_id = run};

	event.kind = SPAN("ToolPolicyViolation"); /* 2: none permits */
	event.event_number = 1;
	event.wall_ns = 1000 * NS_PER_S;
	event.payload = SPAN(
		"{\"id\":\"33000000-0000-0000-0000-000000000000\","
		"\"message\":\"a|b\\\\c=d\\ne\\u001b[31m\",\"details\":{\"details\":\"Denied\","
		"\"decision\":{\"allowed\":false,\"code\":2002,\"reason\":\"path '/etc/passwd'\","
		"\"policy_set\":\"abcd\",\"policies\":[\"default\"],\"request\":"
		"\"{\\\"action\\\":\\\"tool:fs.read\\\",\\\"paths\\\":[\\\"/etc/passwd\\\"]}\"}}}");
	append(j, event);
	event.kind = SPAN("ToolInvocationCompleted"); /* 3: allowed */
	event.event_number = 2;
	event.wall_ns = 2000 * NS_PER_S;
	event.payload = SPAN("{\"id\":\"44000000-0000-0000-0000-000000000000\",\"details\":{"
			     "\"decision\":{\"allowed\":true,\"code\":0,\"reason\":\"\","
			     "\"policy_set\":\"abcd\",\"policies\":[\"spec.tools[0]\"],"
			     "\"request\":\"{\\\"action\\\":\\\"tool:fs.read\\\"}\"}}}");
	append(j, event);
	append(j, /* 4: a forbid */
		(struct audit_record){.source = AUDIT_FILE,
			.kind = SPAN("FilesystemPolicyViolation"),
			.execution_id = run,
			.call_id = {{0x22}},
			.wall_ns = 3000 * NS_PER_S,
			.payload = SPAN(
				"{\"path\":\"/workspace/secret\",\"decision\":{\"allowed\":false,"
				"\"code\":2002,\"reason\":\"path is denied\",\"policy_set\":"
				"\"abcd\",\"policies\":[\"no-secrets\"],\"request\":"
				"\"{\\\"action\\\":\\\"fs:read\\\"}\"}}")});
	kernel.kind = SPAN("NetworkDenied"); /* 5, 6 */
	kernel.wall_ns = 4000 * NS_PER_S;
	kernel.payload = SPAN("{\"hook\":\"connect\",\"address\":\"192.0.2.7\",\"port\":443,"
			      "\"protocol\":6,\"reason\":\"no rule permits it\",\"policy_id\":"
			      "\"\",\"pid\":12,\"command\":\"curl\"}");
	append(j, kernel);
	kernel.payload = SPAN("{\"hook\":\"send\",\"address\":\"2001:db8::7\",\"port\":53,"
			      "\"protocol\":17,\"reason\":\"a fragment\",\"policy_id\":\"\"}");
	append(j, kernel);
	kernel.kind = SPAN("NameDenied"); /* 7 */
	kernel.payload = SPAN("{\"name\":\"bad.example\",\"type\":28,\"rcode\":5,"
			      "\"policy_id\":\"no-bad\"}");
	append(j, kernel);
	CHECK(journal_gap(j, &(struct audit_gap){AUDIT_KERNEL, 7, "ring full", {{0}}, 0},
		      DEADLINE_NONE) == 0); /* 8 */
	kernel.kind = SPAN("NetworkDenied"); /* 9: the rule's policy was gone */
	kernel.wall_ns = 5000 * NS_PER_S;
	kernel.payload =
		SPAN("{\"hook\":\"ingress\",\"address\":\"192.0.2.8\",\"port\":22,"
		     "\"protocol\":6,\"reason\":\"a rule forbids it\",\"policy_id\":\"\"}");
	append(j, kernel);
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
	else if (strcmp(argv[2], "denials") == 0)
		fill_denials(j);
	for (int i = 0; argc > 2 && i < atoi(argv[2]); i++)
		append(j, (struct audit_record){.source = AUDIT_FILE, .kind = SPAN("FileRead")});
	journal_close(j);
	for (size_t i = 0; i < sizeof(public_key); i++)
		printf("%02x", public_key[i]);
	printf("\n");
	return 0;
}
