/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/audit/fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

void signer_init(struct signer *s)
{
	*s = (struct signer){.calls = 0};
	crypto_sign_keypair(s->public_key, s->secret_key);
}

int signer_sign(void *ctx, const struct head *head, struct head_signed *ret,
	struct head_signed *ret_last, int64_t deadline_ns)
{
	struct signer *s = ctx;
	uint8_t statement[HEAD_STATEMENT_BYTES];

	s->calls++;
	if (s->last.head.record &&
		(head->record <= s->last.head.record ||
			memcmp(head->previous, s->last.head.hash, HEAD_HASH_BYTES) != 0)) {
		*ret_last = s->last;
		return err_raise(-ESTALE, "the head does not extend the last one");
	}
	ret->head = *head;
	ret->counter = s->last.counter + 1;
	head_statement(head, ret->counter, statement);
	crypto_sign_detached(ret->signature, NULL, statement, sizeof(statement), s->secret_key);
	s->last = *ret;
	return 0;
}

void fixture_open(struct fixture *f)
{
	int r = journal_open(&f->options, &f->journal);

	if (r < 0)
		fail_msg("journal_open: %s", err_message(r));
}

void fixture_close(struct fixture *f)
{
	journal_close(f->journal);
	f->journal = NULL;
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/aegis-test-XXXXXX");
	if (!mkdtemp(f->dir))
		fail_msg("mkdtemp: %s", strerror(errno));
	snprintf(f->journal_dir, sizeof(f->journal_dir), "%s/audit", f->dir);
	signer_init(&f->signer);
	f->options = (struct journal_options){
		.dir = f->journal_dir,
		.sign = signer_sign,
		.sign_ctx = &f->signer,
		.key = f->signer.public_key,
	};
	fixture_open(f);
	*state = f;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	fixture_close(f);
	int r = fd_remove_tree(AT_FDCWD, f->dir);
	free(f);
	return r;
}

void append_some(struct journal *j, int count)
{
	for (int i = 0; i < count; i++) {
		char payload[64];
		snprintf(payload, sizeof(payload), "{\"path\":\"/workspace/%d\"}", i);
		struct audit_record r = {.source = AUDIT_FILE,
			.kind = SPAN("FileRead"),
			.payload = span_cstr(payload)};
		int res = journal_append(j, &r, 1, DEADLINE_NONE);
		if (res < 0)
			fail_msg("journal_append: %s", err_message(res));
	}
}

void append_event(struct journal *j, uint64_t number)
{
	struct audit_record r = {.source = AUDIT_EVENT,
		.kind = SPAN("ExecutionStarted"),
		.event_number = number,
		.payload = SPAN("{}")};
	int res = journal_append(j, &r, 1, DEADLINE_NONE);

	if (res < 0)
		fail_msg("journal_append: %s", err_message(res));
}

uint64_t read_all(const char *dir)
{
	struct audit_reader *reader;
	struct audit_record r;
	uint64_t count = 0;
	int res = audit_reader_open(dir, &reader);

	while (res == 0) {
		res = audit_reader_next(reader, &r);
		count += res == 0;
		if (res == 0)
			assert_int_equal(r.number, count);
	}
	if (res < 0)
		fail_msg("read: %s", err_message(res));
	audit_reader_close(reader);
	return count;
}

void newest_segment(const struct fixture *f, char ret_path[160])
{
	DIR *d = opendir(f->journal_dir);
	char newest[64] = "";

	for (struct dirent *e = readdir(d); e; e = readdir(d))
		if (span_ends(span_cstr(e->d_name), SPAN(".journal")) &&
			strcmp(e->d_name, newest) > 0)
			snprintf(newest, sizeof(newest), "%.60s", e->d_name);
	closedir(d);
	assert_true(newest[0]);
	snprintf(ret_path, 160, "%s/%s", f->journal_dir, newest);
}
