/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Two passes over the journal. The first follows the chain and gathers the signed heads in it; the
 * second looks up the records that heads and anchors seal. Everything that does not fit is a
 * finding; reading goes on behind it, so that one report names them all.
 *
 * What the verdict can mean (decisions, [3]): every change before the newest head is found; that
 * nothing behind it was cut off is proven only by an anchor kept elsewhere.
 */
#include "daemon/audit/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct seal {
	struct audit_anchor anchor;
	uint64_t at; /* number of the "Head" record; 0: an anchor from outside */
	bool valid; /* signature and key */
	bool found; /* the record it seals is there, with that hash */
};

struct verify {
	const struct audit_verify_options *options;
	struct audit_verdict *verdict;
	struct audit_reader *reader;
	struct seal *seals;
	size_t count;
	uint64_t newest; /* complete record */
	uint64_t newest_other; /* newest record that is no head */
	uint64_t last_event; /* as counted */
	uint64_t segment;
	uint64_t head_record; /* the newest head so far: what it seals */
	struct audit_hash head_hash;
};

PRINTF_LIKE(3, 4)
static void find(struct verify *v, uint64_t number, const char *fmt, ...)
{
	struct audit_verdict *d = v->verdict;
	va_list args;

	if (d->consistent && d->records >= number && number > 0)
		d->records = number - 1;
	d->consistent = false;
	if (d->finding_count < AUDIT_FINDINGS) {
		struct audit_finding *f = &d->findings[d->finding_count];
		f->number = number;
		va_start(args, fmt);
		vsnprintf(f->text, sizeof(f->text), fmt, args);
		va_end(args);
	}
	d->finding_count++;
}

static bool trusted(const struct verify *v, const uint8_t *key)
{
	const struct audit_verify_options *o = v->options;

	for (size_t i = 0; i < o->key_count; i++)
		if (memcmp(o->keys[i], key, HEAD_PUBLIC_KEY_BYTES) == 0)
			return true;
	return o->key_count == 0;
}

static int add_seal(struct verify *v, const struct audit_anchor *a, uint64_t at)
{
	if ((v->count & (v->count - 1)) == 0) {
		struct seal *grown =
			reallocarray(v->seals, v->count ? 2 * v->count : 1, sizeof(*v->seals));
		if (!grown)
			return err_raise(-ENOMEM, "out of memory");
		v->seals = grown;
	}
	v->seals[v->count++] = (struct seal){.anchor = *a, .at = at};
	return 0;
}

static int take_head(struct verify *v, const struct audit_record *r)
{
	struct audit_anchor a;

	if (audit_anchor_of_record(r, &a) < 0) {
		find(v, r->number, "a head that cannot be read: %s", err_message(-EINVAL));
		err_clear();
		return 0;
	}
	if (!uuid_eq(a.head.head.journal, v->reader->journal) || a.head.head.record >= r->number) {
		find(v, r->number, "a head of another journal, or of a record that comes later");
		return 0;
	}
	v->verdict->heads++;
	v->head_record = a.head.head.record;
	memcpy(v->head_hash.bytes, a.head.head.hash, HEAD_HASH_BYTES);
	return add_seal(v, &a, r->number);
}

/* A segment's header repeats what came before it, and the writer goes by it. */
static void check_segment(struct verify *v)
{
	const struct segment_header *h = &v->reader->header;

	if (h->segment == v->segment || !v->verdict->consistent)
		return;
	if (h->segment != v->segment + 1 || h->last_event != v->last_event ||
		h->gaps != v->verdict->gaps || h->head_record != v->head_record ||
		memcmp(h->head_hash.bytes, v->head_hash.bytes, HEAD_HASH_BYTES) != 0)
		find(v, h->first, "%s: the header does not say what came before it",
			v->reader->name);
	v->segment = h->segment;
}

static int take_record(struct verify *v, const struct audit_record *r)
{
	check_segment(v);
	v->last_event = MAX(v->last_event, r->event_number);
	v->newest = r->number;
	if (v->verdict->consistent)
		v->verdict->records = r->number;
	if (r->source == AUDIT_JOURNAL && span_is(r->kind, "Gap"))
		v->verdict->gaps += audit_gap_count(r);
	if (r->source == AUDIT_JOURNAL && span_is(r->kind, "Head"))
		return take_head(v, r);
	v->newest_other = r->number;
	return 0;
}

static int first_pass(struct verify *v)
{
	struct audit_record record;
	int r = audit_reader_next(v->reader, &record);

	if (r == 0 && record.number != 1)
		find(v, 1, "the journal begins at record %llu: those before are missing",
			(unsigned long long)record.number);
	while (r != AUDIT_END) {
		if (r == -EUCLEAN) {
			find(v, v->reader->expected, "%s", err_message(r));
			err_clear();
			r = reader_resync(v->reader);
			if (r == 0)
				r = audit_reader_next(v->reader, &record);
			continue;
		}
		if (r == 0)
			r = take_record(v, &record);
		if (r < 0)
			return err_trace(r);
		r = audit_reader_next(v->reader, &record);
	}
	v->verdict->rest_bytes = v->reader->fd >= 0 ? reader_rest(v->reader) : 0;
	return 0;
}

static int compare_seals(const void *a, const void *b)
{
	uint64_t x = ((const struct seal *)a)->anchor.head.head.record;
	uint64_t y = ((const struct seal *)b)->anchor.head.head.record;

	return x < y ? -1 : x > y;
}

static const char *seal_name(const struct seal *s, char ret[64])
{
	if (s->at)
		snprintf(ret, 64, "the head in record %llu", (unsigned long long)s->at);
	else
		snprintf(ret, 64, "the anchor");
	return ret;
}

static void check_signature(struct verify *v, struct seal *s)
{
	char name[64];
	uint64_t number = s->at ? s->at : s->anchor.head.head.record;

	if (!head_verify(&s->anchor.head, s->anchor.key))
		find(v, number, "%s does not have a valid signature", seal_name(s, name));
	else if (!trusted(v, s->anchor.key))
		find(v, number, "%s is signed with a key that is not trusted", seal_name(s, name));
	else
		s->valid = true;
}

/* The record that a seal names, at last in the reader's hands. */
static void check_seal(struct verify *v, struct seal *s, const struct audit_record *r)
{
	const struct head *h = &s->anchor.head.head;
	char name[64];

	if (memcmp(h->hash, r->hash.bytes, HEAD_HASH_BYTES) != 0) {
		find(v, h->record, "the record is not the one that %s seals", seal_name(s, name));
		return;
	}
	s->found = true;
	if (!s->valid)
		return;
	uint64_t *through = s->at ? &v->verdict->signed_through : &v->verdict->anchored_through;
	*through = MAX(*through, h->record);
}

/* Seals are sorted by the record they name; records behind damage are compared as well. */
static int second_pass(struct verify *v, const char *dir)
{
	struct audit_reader *reader;
	struct audit_record record;
	size_t i = 0;
	int r = v->count ? audit_reader_open(dir, &reader) : 0;

	if (r < 0 || v->count == 0)
		return r < 0 ? err_trace(r) : 0;
	r = audit_reader_next(reader, &record);
	while (i < v->count && r != AUDIT_END) {
		if (r == -EUCLEAN) {
			err_clear();
			r = reader_resync(reader);
			if (r == 0)
				r = audit_reader_next(reader, &record);
			continue;
		}
		if (r < 0)
			break;
		while (i < v->count && v->seals[i].anchor.head.head.record < record.number)
			i++;
		while (i < v->count && v->seals[i].anchor.head.head.record == record.number)
			check_seal(v, &v->seals[i++], &record);
		r = audit_reader_next(reader, &record);
	}
	audit_reader_close(reader);
	return r < 0 ? err_trace(r) : 0;
}

/* Heads name the head before them, the first one none: a signed head that is not in the journal
 * shows as a break. */
static void check_head_chain(struct verify *v)
{
	static const uint8_t none[HEAD_HASH_BYTES];
	const struct head *last = NULL;

	for (size_t i = 0; i < v->count; i++) {
		const struct head *h = &v->seals[i].anchor.head.head;
		if (v->seals[i].at == 0 || (last && h->record == last->record))
			continue;
		if (!last && memcmp(h->previous, none, HEAD_HASH_BYTES) != 0)
			find(v, v->seals[i].at,
				"a head was signed before record %llu that is not in the journal",
				(unsigned long long)h->record);
		if (last && memcmp(h->previous, last->hash, HEAD_HASH_BYTES) != 0)
			find(v, v->seals[i].at,
				"a head was signed between records %llu and %llu "
				"that is not in the journal",
				(unsigned long long)last->record, (unsigned long long)h->record);
		last = h;
	}
}

static void check_anchor_reach(struct verify *v)
{
	for (size_t i = 0; i < v->count; i++) {
		const struct seal *s = &v->seals[i];
		uint64_t record = s->anchor.head.head.record;
		if (s->at || s->found || record <= v->newest)
			continue;
		find(v, v->newest + 1,
			"the journal ends at record %llu; the anchor seals record %llu: the end "
			"was "
			"cut off, or an older copy was put in its place",
			(unsigned long long)v->newest, (unsigned long long)record);
	}
}

static int take_anchors(struct verify *v)
{
	for (size_t i = 0; i < v->options->anchor_count; i++) {
		const struct audit_anchor *a = &v->options->anchors[i];
		if (!uuid_eq(a->head.head.journal, v->reader->journal)) {
			find(v, 1, "the anchor is of another journal");
			continue;
		}
		int r = add_seal(v, a, 0);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int verify(struct verify *v, const char *dir)
{
	int r = first_pass(v);

	if (r == 0)
		r = take_anchors(v);
	if (r < 0)
		return err_trace(r);
	if (v->count)
		qsort(v->seals, v->count, sizeof(*v->seals), compare_seals);
	for (size_t i = 0; i < v->count; i++)
		check_signature(v, &v->seals[i]);
	r = second_pass(v, dir);
	if (r < 0)
		return err_trace(r);
	check_head_chain(v);
	check_anchor_reach(v);
	v->verdict->newest_proven = v->verdict->consistent && v->newest_other > 0 &&
		v->verdict->anchored_through >= v->newest_other;
	return 0;
}

int audit_verify(const char *dir, const struct audit_verify_options *o, struct audit_verdict *ret)
{
	struct audit_verdict *verdict = calloc(1, sizeof(*verdict));
	struct verify v = {.options = o, .verdict = verdict};
	int r = verdict ? audit_reader_open(dir, &v.reader) : err_raise(-ENOMEM, "out of memory");

	if (r == 0) {
		verdict->consistent = true;
		r = verify(&v, dir);
		audit_reader_close(v.reader);
	}
	if (r == 0)
		*ret = *verdict;
	free(v.seals);
	free(verdict);
	return r < 0 ? err_trace(r) : 0;
}
