/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One decision about a file may stand in the journal twice: the file layer records it with the
 * operation, and the event of the tool call that asked for the operation carries it. Which of the
 * two comes first is not said. Here the second is known by its call and its question, so that it is
 * counted once.
 *
 * Both come within one call, so a table in which a newer pair may take an older one's place is
 * enough; what is forgotten so would be counted twice.
 */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <stdlib.h>

enum { TOLD_MAX = 64 * 1024, KEY_BYTES = LIMIT_AUDIT_PAYLOAD_BYTES };

struct told {
	struct {
		uint64_t hash;
		enum audit_source source;
		bool used;
	} slots[TOLD_MAX];
	struct buf key;
};

struct told *told_new(void)
{
	struct told *t = calloc(1, sizeof(*t));

	if (t)
		t->key = buf_init(KEY_BYTES);
	else
		(void)!err_raise(-ENOMEM, "out of memory");
	return t;
}

struct told *told_free(struct told *t)
{
	if (t)
		buf_fini(&t->key);
	free(t);
	return NULL;
}

/* The question as text without its volume, which is the last member and which the event does not
 * know. Inside a string the quotes would be escaped. */
static struct span question_of(const struct facts *f)
{
	struct span text = json_str(f->decision, "request", SPAN(""));
	ssize_t volume = span_find(text, SPAN(",\"volume\":"), 0);

	return volume < 0 ? span_sub(text, 0, text.n ? text.n - 1 : 0)
			  : span_sub(text, 0, (size_t)volume);
}

bool told_again(struct told *t, const struct audit_record *r, const struct facts *f)
{
	if (!f->decision || uuid_is_nil(r->call_id))
		return false;
	struct span question = question_of(f);
	if (!span_starts(question, SPAN("{\"action\":\"fs:")))
		return false;
	buf_reset(&t->key);
	buf_put(&t->key, r->call_id.bytes, sizeof(r->call_id.bytes));
	buf_span(&t->key, question);
	if (buf_error(&t->key) < 0) { /* longer than any: counted each time */
		err_clear();
		return false;
	}
	uint64_t hash = map_hash(buf_view(&t->key));
	size_t at = hash % TOLD_MAX;
	bool again =
		t->slots[at].used && t->slots[at].hash == hash && t->slots[at].source != r->source;
	t->slots[at].hash = hash;
	t->slots[at].source = r->source;
	t->slots[at].used = true;
	return again;
}
