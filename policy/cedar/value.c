/* SPDX-License-Identifier: AGPL-3.0-only */
/* Order, equality and making of values. */
#include "policy/cedar/value.h"

const struct value_record value_record_empty;

const char *value_type_name(enum value_type t)
{
	static const char *const names[] = {"bool", "long", "string", "entity", "set", "record",
		"decimal", "ipaddr", "datetime", "duration"};
	return names[t];
}

static int cmp_i64(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

static int cmp_sets(const struct value_set *a, const struct value_set *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++) {
		int c = value_cmp(&a->items[i], &b->items[i]);
		if (c)
			return c;
	}
	return cmp_i64((int64_t)a->count, (int64_t)b->count);
}

static int cmp_records(const struct value_record *a, const struct value_record *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++) {
		int c = span_cmp(a->members[i].key, b->members[i].key);
		if (!c)
			c = value_cmp(&a->members[i].value, &b->members[i].value);
		if (c)
			return c;
	}
	return cmp_i64((int64_t)a->count, (int64_t)b->count);
}

static int cmp_ips(const struct ext_ip *a, const struct ext_ip *b)
{
	if (a->v6 != b->v6)
		return a->v6 ? 1 : -1;
	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	return memcmp(a->address, b->address, sizeof(a->address));
}

static int cmp_uids(const struct cedar_uid *a, const struct cedar_uid *b)
{
	int c;
	if (a == b)
		return 0;
	c = span_cmp(a->type, b->type);
	return c ? c : span_cmp(a->id, b->id);
}

int value_cmp(const struct cedar_value *a, const struct cedar_value *b)
{
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	switch (a->type) {
	case VALUE_BOOL:
		return a->boolean - b->boolean;
	case VALUE_STRING:
		return span_cmp(a->string, b->string);
	case VALUE_ENTITY:
		return cmp_uids(a->uid, b->uid);
	case VALUE_SET:
		return cmp_sets(a->set, b->set);
	case VALUE_RECORD:
		return cmp_records(a->record, b->record);
	case VALUE_IP:
		return cmp_ips(a->ip, b->ip);
	default:
		return cmp_i64(a->number, b->number);
	}
}

uint64_t value_hash(const struct cedar_value *v)
{
	uint64_t h = 0;
	switch (v->type) {
	case VALUE_BOOL:
		h = v->boolean;
		break;
	case VALUE_STRING:
		h = map_hash(v->string);
		break;
	case VALUE_ENTITY:
		h = v->uid->hash;
		break;
	case VALUE_SET:
		h = v->set->count;
		break;
	case VALUE_RECORD:
		h = v->record->count;
		break;
	case VALUE_IP:
		h = map_hash(span_of(v->ip->address, sizeof(v->ip->address)));
		break;
	default:
		h = (uint64_t)v->number;
		break;
	}
	return (h + (uint64_t)v->type) * 0x9e3779b97f4a7c15u;
}

enum { ITEM_BYTES_MAX = 64 };

static void swap_items(char *a, char *b, size_t bytes)
{
	char kept[ITEM_BYTES_MAX];
	memcpy(kept, a, bytes);
	memcpy(a, b, bytes);
	memcpy(b, kept, bytes);
}

/* Lets the item at `at` sink to where no item below it is greater. */
static void sift(char *items, size_t at, size_t count, size_t bytes,
	int (*cmp)(const void *a, const void *b))
{
	for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
		if (child + 1 < count &&
			cmp(items + child * bytes, items + (child + 1) * bytes) < 0)
			child++;
		if (cmp(items + at * bytes, items + child * bytes) >= 0)
			return;
		swap_items(items + at * bytes, items + child * bytes, bytes);
		at = child;
	}
}

/* A heap sort, because qsort() may call malloc() and decisions must not. */
static void sort(void *base, size_t count, size_t bytes, int (*cmp)(const void *a, const void *b))
{
	char *items = base;
	CHECK(bytes <= ITEM_BYTES_MAX);
	for (size_t i = count / 2; i-- > 0;)
		sift(items, i, count, bytes, cmp);
	for (size_t end = count; end-- > 1;) {
		swap_items(items, items + end * bytes, bytes);
		sift(items, 0, end, bytes, cmp);
	}
}

static int by_value(const void *a, const void *b)
{
	return value_cmp(a, b);
}

static int by_key(const void *a, const void *b)
{
	return span_cmp(
		((const struct value_member *)a)->key, ((const struct value_member *)b)->key);
}

int value_make_set(
	struct arena *a, struct cedar_value *items, size_t count, struct cedar_value *ret)
{
	struct value_set *s = arena_make(a, struct value_set);
	if (!s)
		return err_raise(-ENOMEM, "no memory for a set");
	if (count > 1)
		sort(items, count, sizeof(*items), by_value);
	for (size_t i = 0; i < count; i++)
		if (s->count == 0 || value_cmp(&items[s->count - 1], &items[i]) != 0)
			items[s->count++] = items[i];
	s->items = items;
	*ret = (struct cedar_value){.type = VALUE_SET, .set = s};
	return 0;
}

int value_make_record(
	struct arena *a, struct value_member *members, size_t count, struct cedar_value *ret)
{
	struct value_record *r = arena_make(a, struct value_record);
	if (!r)
		return err_raise(-ENOMEM, "no memory for a record");
	if (count > 1)
		sort(members, count, sizeof(*members), by_key);
	for (size_t i = 1; i < count; i++)
		if (span_eq(members[i - 1].key, members[i].key))
			return err_raise(-EINVAL, "the attribute `" SPAN_FMT "` is given twice",
				SPAN_ARG(members[i].key));
	r->members = members;
	r->count = count;
	*ret = (struct cedar_value){.type = VALUE_RECORD, .record = r};
	return 0;
}

const struct cedar_value *value_member(const struct value_record *r, struct span key)
{
	size_t low = 0, high = r->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = span_cmp(key, r->members[middle].key);
		if (c == 0)
			return &r->members[middle].value;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

bool value_set_has(const struct value_set *s, const struct cedar_value *v)
{
	size_t low = 0, high = s->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = value_cmp(v, &s->items[middle]);
		if (c == 0)
			return true;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}
