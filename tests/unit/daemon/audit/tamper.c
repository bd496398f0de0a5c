/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What somebody who can write the files, and knows the format, might do to them. Each change must
 * be found, or, where only an anchor can find it, found with one and not called proven without.
 */
#include "daemon/audit/reader.h"
#include "tests/unit/daemon/audit/fixture.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The journal's one segment, taken apart. */
struct parts {
	char path[160];
	struct buf file;
	struct segment_header header;
	struct {
		struct audit_record record; /* its spans point into the file */
		size_t at, bytes;
		uint64_t synced;
	} items[64];
	size_t count;
};

static void take_apart(const struct fixture *f, struct parts *p)
{
	memset(p, 0, sizeof(*p));
	p->file = buf_init(1 << 20);
	newest_segment(f, p->path);
	assert_int_equal(fd_read_file(p->path, &p->file), 0);
	assert_int_equal(segment_header_decode(buf_view(&p->file), &p->header), 0);
	for (size_t at = SEGMENT_HEADER_BYTES; at < p->file.len;) {
		assert_true(p->count < ARRAY_LEN(p->items));
		struct span rest = span_sub(buf_view(&p->file), at, p->file.len);
		assert_int_equal(frame_decode(rest, &p->items[p->count].record,
					 &p->items[p->count].synced, &p->items[p->count].bytes),
			0);
		p->items[p->count].at = at;
		at += p->items[p->count++].bytes;
	}
}

static void write_file(const char *path, struct span content)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, content), 0);
	close(fd);
}

/* Header, then the frames of the items in the order given, byte for byte. */
static void put_together(struct parts *p, const size_t *order, size_t count)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);

	buf_put(&b, p->file.data, SEGMENT_HEADER_BYTES);
	for (size_t i = 0; i < count; i++)
		buf_put(&b, p->file.data + p->items[order[i]].at, p->items[order[i]].bytes);
	write_file(p->path, buf_view(&b));
}

/* As the forger would: numbers and hashes made right again from record `from` on. */
static void rechain(struct parts *p, size_t from)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);

	buf_put(&b, p->file.data, p->items[from].at);
	for (size_t i = from; i < p->count; i++) {
		struct audit_record *r = &p->items[i].record;
		r->number = i + 1;
		r->previous = i ? p->items[i - 1].record.hash : p->header.previous;
		frame_encode(&b, r, p->items[i].synced);
	}
	write_file(p->path, buf_view(&b));
}

static struct audit_verdict verdict_of(const struct fixture *f, const struct audit_anchor *anchor)
{
	struct audit_verdict v;
	struct audit_verify_options o = {
		.anchors = anchor,
		.anchor_count = anchor ? 1 : 0,
		.keys = (const uint8_t(*)[HEAD_PUBLIC_KEY_BYTES])f->signer.public_key,
		.key_count = 1,
	};
	int r = audit_verify(f->journal_dir, &o, &v);

	if (r < 0)
		fail_msg("audit_verify: %s", err_message(r));
	return v;
}

static void expect_found(const struct fixture *f, const char *says, uint64_t consistent_through)
{
	struct audit_verdict v = verdict_of(f, NULL);

	assert_false(v.consistent);
	assert_false(v.newest_proven);
	assert_int_equal(v.records, consistent_through);
	for (size_t i = 0; i < v.finding_count && i < AUDIT_FINDINGS; i++)
		if (strstr(v.findings[i].text, says))
			return;
	fail_msg("no finding says '%s'; the first: %s", says, v.findings[0].text);
}

/* 1 Opened, 2-5 records, 6 Head (seals 5), 7-10 records, 11 Head (seals 10), 12-13 records. */
static struct audit_anchor make_journal(struct fixture *f)
{
	struct audit_anchor a = {0};

	append_some(f->journal, 4);
	assert_int_equal(journal_checkpoint(f->journal, DEADLINE_NONE), 0);
	append_some(f->journal, 4);
	assert_int_equal(journal_checkpoint(f->journal, DEADLINE_NONE), 0);
	a.head = f->signer.last;
	memcpy(a.key, f->signer.public_key, sizeof(a.key));
	append_some(f->journal, 2);
	fixture_close(f);
	return a;
}

static void test_the_untouched_is_consistent(void **state)
{
	struct fixture *f = *state;
	struct audit_anchor a = make_journal(f);
	struct audit_verdict v = verdict_of(f, NULL);

	assert_true(v.consistent);
	assert_false(v.newest_proven);
	assert_int_equal(v.records, 13);
	assert_int_equal(v.signed_through, 10);
	v = verdict_of(f, &a);
	assert_true(v.consistent);
	assert_int_equal(v.anchored_through, 10);
	assert_false(v.newest_proven);
	fixture_open(f); /* record 14 */
	assert_int_equal(journal_checkpoint(f->journal, DEADLINE_NONE), 0);
	a.head = f->signer.last;
	v = verdict_of(f, &a);
	assert_true(v.newest_proven);
}

static void test_an_edit_is_found(void **state)
{
	struct fixture *f = *state;
	struct parts p;

	make_journal(f);
	take_apart(f, &p);
	for (size_t i = 0; i < p.count; i++) { /* every record, a byte in its middle */
		char kept = p.file.data[p.items[i].at + p.items[i].bytes / 2];
		p.file.data[p.items[i].at + p.items[i].bytes / 2] ^= 1;
		write_file(p.path, buf_view(&p.file));
		expect_found(f, "does not have the hash it carries", i);
		p.file.data[p.items[i].at + p.items[i].bytes / 2] = kept;
	}
	buf_fini(&p.file);
}

static void test_an_edit_with_new_hashes_is_found_by_the_heads(void **state)
{
	struct fixture *f = *state;
	struct parts p;

	make_journal(f);
	take_apart(f, &p);
	p.items[2].record.payload = SPAN("{\"path\":\"/innocent\"}");
	rechain(&p, 2);
	expect_found(f, "is not the one that the head in record", 4);
	buf_fini(&p.file);
}

static void test_an_edit_behind_the_newest_head_needs_an_anchor(void **state)
{
	struct fixture *f = *state;
	struct parts p;
	struct audit_anchor a;
	struct audit_verdict v;

	make_journal(f);
	take_apart(f, &p);
	/* Somebody took an anchor of the newest record. */
	struct head head = {.journal = p.header.journal, .segment = 1, .record = 13};
	struct head_signed last;
	memcpy(head.hash, p.items[12].record.hash.bytes, sizeof(head.hash));
	memcpy(head.previous, f->signer.last.head.hash, sizeof(head.previous));
	assert_int_equal(signer_sign(&f->signer, &head, &a.head, &last, 0), 0);
	memcpy(a.key, f->signer.public_key, sizeof(a.key));
	v = verdict_of(f, &a);
	assert_true(v.newest_proven);

	p.items[12].record.payload = SPAN("{}");
	rechain(&p, 12);
	v = verdict_of(f, NULL);
	assert_true(v.consistent); /* nobody could tell */
	assert_false(v.newest_proven);
	v = verdict_of(f, &a);
	assert_false(v.consistent);
	buf_fini(&p.file);
}

static void test_a_dropped_record_is_found(void **state)
{
	struct fixture *f = *state;
	struct parts p;
	size_t order[64];

	make_journal(f);
	take_apart(f, &p);
	for (size_t drop = 0; drop + 1 < p.count; drop++) {
		size_t n = 0;
		for (size_t i = 0; i < p.count; i++)
			if (i != drop)
				order[n++] = i;
		put_together(&p, order, n);
		expect_found(f, "missing", drop);
	}
	buf_fini(&p.file);
}

static void test_a_dropped_record_with_new_hashes_is_found_by_the_heads(void **state)
{
	struct fixture *f = *state;
	struct parts p;

	make_journal(f);
	take_apart(f, &p);
	memmove(&p.items[3], &p.items[4], (p.count - 4) * sizeof(p.items[0]));
	p.count--;
	p.items[3].at = p.items[2].at + p.items[2].bytes;
	rechain(&p, 3);
	struct audit_verdict v = verdict_of(f, NULL);
	assert_false(v.consistent);
	buf_fini(&p.file);
}

static void test_reordered_records_are_found(void **state)
{
	struct fixture *f = *state;
	struct parts p;
	size_t order[64];

	make_journal(f);
	take_apart(f, &p);
	for (size_t i = 0; i < p.count; i++)
		order[i] = i;
	order[7] = 8;
	order[8] = 7;
	put_together(&p, order, p.count);
	expect_found(f, "missing", 7);
	order[7] = 6; /* one twice */
	order[8] = 8;
	put_together(&p, order, p.count);
	expect_found(f, "stands there again", 7);
	buf_fini(&p.file);
}

/* Records of another journal, or of a copy that went another way, put in. */
static void test_spliced_records_are_found(void **state)
{
	struct fixture *f = *state;
	struct parts before;
	struct parts after;
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);

	append_some(f->journal, 4);
	fixture_close(f);
	take_apart(f, &before);
	fixture_open(f); /* one history */
	append_some(f->journal, 4);
	fixture_close(f);
	take_apart(f, &after);
	write_file(before.path, buf_view(&before.file));
	fixture_open(f); /* another */
	append_some(f->journal, 4);
	fixture_close(f);
	struct parts other;
	take_apart(f, &other);
	buf_put(&b, other.file.data, other.items[7].at);
	buf_put(&b, after.file.data + after.items[7].at, after.file.len - after.items[7].at);
	write_file(other.path, buf_view(&b));
	expect_found(f, "does not follow from the record before", 7);
	buf_fini(&before.file);
	buf_fini(&after.file);
	buf_fini(&other.file);
}

static void test_a_cut_end_is_found_with_an_anchor_only(void **state)
{
	struct fixture *f = *state;
	struct audit_anchor a = make_journal(f);
	struct parts p;
	struct audit_verdict v;

	take_apart(f, &p);
	assert_int_equal(truncate(p.path, (off_t)p.items[6].at), 0); /* back to the first head */
	v = verdict_of(f, NULL);
	assert_true(v.consistent);
	assert_false(v.newest_proven);
	assert_int_equal(v.records, 6);
	v = verdict_of(f, &a);
	assert_false(v.consistent);
	assert_non_null(strstr(v.findings[0].text, "the end was cut off"));
	/* In the middle of a record: nothing more is said than that something is incomplete. */
	write_file(p.path, span_sub(buf_view(&p.file), 0, p.items[12].at + 20));
	v = verdict_of(f, NULL);
	assert_true(v.consistent);
	assert_int_equal(v.rest_bytes, 20);
	assert_int_equal(v.records, 12);
	buf_fini(&p.file);
}

static void test_an_older_copy_is_found_with_an_anchor_only(void **state)
{
	struct fixture *f = *state;
	struct parts p;
	struct audit_verdict v;

	append_some(f->journal, 4);
	fixture_close(f);
	take_apart(f, &p); /* the copy */
	fixture_open(f);
	struct audit_anchor a = make_journal(f);
	write_file(p.path, buf_view(&p.file));
	v = verdict_of(f, NULL);
	assert_true(v.consistent);
	assert_false(v.newest_proven);
	v = verdict_of(f, &a);
	assert_false(v.consistent);
	buf_fini(&p.file);
}

static void test_a_missing_segment_is_found(void **state)
{
	struct fixture *f = *state;
	char path[200];

	fixture_close(f);
	f->options.segment_bytes = 1000;
	fixture_open(f);
	append_some(f->journal, 40);
	fixture_close(f);
	int dirfd = open(f->journal_dir, O_RDONLY | O_DIRECTORY);
	uint64_t *firsts;
	size_t count;
	assert_int_equal(segments_list(dirfd, &firsts, &count), 0);
	assert_true(count > 4);
	char name[SEGMENT_NAME_BYTES];
	segment_name(firsts[2], name);
	snprintf(path, sizeof(path), "%s.away", name);
	assert_int_equal(renameat(dirfd, name, dirfd, path), 0);
	expect_found(f, "does not begin where the one before ends", firsts[2] - 1);
	assert_int_equal(renameat(dirfd, path, dirfd, name), 0);
	segment_name(firsts[0], name);
	assert_int_equal(unlinkat(dirfd, name, 0), 0);
	expect_found(f, "those before are missing", 0);
	free(firsts);
	close(dirfd);
}

/* The writer trusts the newest header: one that claims events which never came would silence
 * them. */
static void forge_last_event(struct segment_header *h)
{
	h->last_event = 1000000;
}

static void forge_gaps(struct segment_header *h)
{
	h->gaps++;
}

static void forge_head_record(struct segment_header *h)
{
	h->head_record++;
}

static void forge_head_hash(struct segment_header *h)
{
	h->head_hash.bytes[0] ^= 1;
}

static void test_a_forged_segment_header_is_found(void **state)
{
	static void (*const forge[])(struct segment_header *) = {
		forge_last_event, forge_gaps, forge_head_record, forge_head_hash};
	struct fixture *f = *state;
	struct parts p;
	uint8_t header[SEGMENT_HEADER_BYTES];

	fixture_close(f);
	f->options.segment_bytes = 1000;
	fixture_open(f);
	append_some(f->journal, 10);
	fixture_close(f);
	take_apart(f, &p);
	struct segment_header sound = p.header;
	for (size_t i = 0; i < ARRAY_LEN(forge); i++) {
		p.header = sound;
		forge[i](&p.header);
		segment_header_encode(&p.header, header);
		memcpy(p.file.data, header, sizeof(header));
		write_file(p.path, buf_view(&p.file));
		expect_found(f, "the header does not say what came before it", sound.first - 1);
	}
	buf_fini(&p.file);
}

static void test_a_strange_key_is_found(void **state)
{
	struct fixture *f = *state;
	struct signer other;

	make_journal(f);
	other = f->signer;
	signer_init(&f->signer); /* verify trusts this one; the heads are signed by the other */
	expect_found(f, "signed with a key that is not trusted", 5);
	f->signer = other;
	assert_true(verdict_of(f, NULL).consistent);
}

static void test_a_head_left_out_is_found(void **state)
{
	struct fixture *f = *state;
	struct parts p;

	/* The forger rewrites everything behind the first head, leaves the second out, and has the
	 * newest end signed: the signer names the head it signed before. */
	make_journal(f);
	take_apart(f, &p);
	struct audit_record *second = &p.items[10].record;
	second->source = AUDIT_DAEMON;
	second->kind = SPAN("Nothing");
	second->payload = SPAN("{}");
	p.items[6].record.payload = SPAN("{\"path\":\"/innocent\"}");
	rechain(&p, 6);
	buf_fini(&p.file);
	fixture_open(f);
	int r = journal_checkpoint(f->journal, DEADLINE_NONE);
	assert_int_equal(r, 0); /* the late head is recorded, and betrays the change */
	struct audit_verdict v = verdict_of(f, NULL);
	assert_false(v.consistent);
	assert_int_equal(v.records, 9);
}

/* No head is left of those that were signed; the next one names a head that is not there. */
static void test_all_heads_left_out_are_found(void **state)
{
	struct fixture *f = *state;
	struct parts p;
	uint8_t header[SEGMENT_HEADER_BYTES];

	make_journal(f);
	take_apart(f, &p);
	for (size_t i = 0; i < p.count; i++) {
		struct audit_record *r = &p.items[i].record;
		struct audit_anchor a;
		if (!span_is(r->kind, "Head"))
			continue;
		/* The header names the newest one instead, so that the writer goes on from it. */
		assert_int_equal(audit_anchor_of_record(r, &a), 0);
		p.header.head_record = a.head.head.record;
		memcpy(p.header.head_hash.bytes, a.head.head.hash,
			sizeof(p.header.head_hash.bytes));
		r->source = AUDIT_DAEMON;
		r->kind = SPAN("Nothing");
		r->payload = SPAN("{}");
	}
	p.items[2].record.payload = SPAN("{\"path\":\"/innocent\"}");
	segment_header_encode(&p.header, header);
	memcpy(p.file.data, header, sizeof(header));
	rechain(&p, 2);
	buf_fini(&p.file);
	fixture_open(f);
	int r = journal_checkpoint(f->journal, DEADLINE_NONE);
	assert_int_equal(r, 0);
	assert_false(verdict_of(f, NULL).consistent);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_the_untouched_is_consistent),
		CASE(test_an_edit_is_found),
		CASE(test_an_edit_with_new_hashes_is_found_by_the_heads),
		CASE(test_an_edit_behind_the_newest_head_needs_an_anchor),
		CASE(test_a_dropped_record_is_found),
		CASE(test_a_dropped_record_with_new_hashes_is_found_by_the_heads),
		CASE(test_reordered_records_are_found),
		CASE(test_spliced_records_are_found),
		CASE(test_a_cut_end_is_found_with_an_anchor_only),
		CASE(test_an_older_copy_is_found_with_an_anchor_only),
		CASE(test_a_missing_segment_is_found),
		CASE(test_a_forged_segment_header_is_found),
		CASE(test_a_strange_key_is_found),
		CASE(test_a_head_left_out_is_found),
		CASE(test_all_heads_left_out_are_found),
	};
	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
