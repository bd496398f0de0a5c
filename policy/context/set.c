/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A sealed set: the text, its hash, and the policies compiled. Policies with a rate or a size on
 * them stand in a set of their own, which is asked only about what the others allow. The names that
 * occur in policies are kept, so that a request needs to carry no ancestor that nobody asks for.
 *
 * Many sets of a node begin with the same policies, so these are compiled once, as the base of the
 * others. The whole text of a set with a base is put together when somebody wants it.
 */
#include "policy/context/rules.h"
#include <sodium.h>
#include <stdlib.h>

static int no_memory(void)
{
	return err_raise(-ENOMEM, "policy set: out of memory");
}

/* ---- annotations ---- */

static int number_of(
	const struct cedar_policy *p, const char *name, uint64_t max, uint64_t *ret, bool *given)
{
	struct span v = cedar_policy_annotation(p, name);
	uint64_t n = 0;

	*ret = 0;
	*given = v.p != NULL;
	if (!v.p)
		return 0;
	if (span_to_u64(v, &n) < 0 || n == 0 || n > max)
		return err_raise(-EINVAL,
			"@%s(\"" SPAN_FMT "\"): a number from 1 to %llu is accepted", name,
			SPAN_ARG(v), (unsigned long long)max);
	*ret = n;
	return 0;
}

static int info_read(const struct cedar_policy *p, struct policy_info *i)
{
	uint64_t line = 0, code = 0, calls = 0, window = 0, bytes = 0;
	bool has_line, has_code, has_calls, has_window, has_bytes;

	*i = (struct policy_info){
		.policy = p,
		.id = cedar_policy_annotation(p, "id"),
		.file = cedar_policy_annotation(p, "file"),
		.accepts = cedar_policy_annotation(p, "accepts"),
		.forbids = cedar_policy_is_forbid(p),
	};
	if (!i->id.n)
		i->id = cedar_policy_id(p);
	int r = number_of(p, "line", INT32_MAX, &line, &has_line);
	if (r == 0)
		r = number_of(p, "code", 9999, &code, &has_code);
	if (r == 0)
		r = number_of(p, "rate_calls", UINT32_MAX, &calls, &has_calls);
	if (r == 0)
		r = number_of(p, "rate_window_ms", INT64_MAX / NS_PER_MS, &window, &has_window);
	if (r == 0)
		r = number_of(p, "max_response_bytes", INT64_MAX, &bytes, &has_bytes);
	if (r < 0)
		return err_trace(r);
	if (has_calls != has_window)
		return err_raise(-EINVAL, "@rate_calls and @rate_window_ms are accepted together");
	if ((has_calls || has_bytes) && !cedar_policy_is_forbid(p))
		return err_raise(-EINVAL,
			"a limit (@%s) stands on a forbid: it forbids what exceeds it",
			has_calls ? "rate_calls" : "max_response_bytes");
	i->line = (int)line;
	i->code = (enum decision_code)code;
	i->calls = (uint32_t)calls;
	i->window_ms = (int64_t)window;
	i->max_response_bytes = bytes;
	return 0;
}

const struct policy_info *set_info_at(const struct rule_set *s, size_t index)
{
	CHECK(index < s->first + s->count);
	return index < s->first ? &s->base->infos[index] : &s->infos[index - s->first];
}

const struct policy_info *set_info(const struct rule_set *s, struct span cedar_id)
{
	uint64_t n = 0;

	CHECK(span_to_u64(span_sub(cedar_id, strlen("policy"), cedar_id.n), &n) == 0);
	return set_info_at(s, n);
}

/* ---- names ---- */

static bool layer_names(const struct rule_set *s, const struct cedar_uid *uid)
{
	size_t low = 0, high = s->name_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (s->names[middle]->hash < uid->hash)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < s->name_count && s->names[low]->hash == uid->hash; low++)
		if (cedar_uid_eq(s->names[low], uid))
			return true;
	return false;
}

bool set_names(const struct rule_set *s, const struct cedar_uid *uid)
{
	return (s->base && layer_names(s->base, uid)) || layer_names(s, uid);
}

static void types_read(struct rule_set *s)
{
	static const char *const types[ENTITY_TYPES] = {
		[TYPE_ACTION] = "Action",
		[TYPE_ADDRESS] = "Address",
		[TYPE_AGENT] = "Agent",
		[TYPE_DOMAIN] = "Domain",
		[TYPE_EXECUTION] = "Execution",
		[TYPE_PATH] = "Path",
		[TYPE_SYSCALL] = "Syscall",
		[TYPE_TENANT] = "Tenant",
		[TYPE_TOOL] = "Tool",
		[TYPE_VOLUME] = "Volume",
	};

	for (size_t t = 0; t < ENTITY_TYPES; t++) {
		s->types[t].of = cedar_type_name_of(span_cstr(types[t]));
		s->types[t].named = s->base && s->base->types[t].named;
		for (size_t i = 0; !s->types[t].named && i < s->name_count; i++)
			s->types[t].named = span_is(s->names[i]->type, types[t]);
	}
}

static int names_read(struct rule_set *s, const struct cedar_policies *all)
{
	int r = cedar_policies_names(s->arena, all, &s->names, &s->name_count);

	if (r < 0)
		return err_trace(r);
	s->patterns = arena_make_array(s->arena, const struct cedar_uid *, s->name_count + 1);
	if (!s->patterns)
		return no_memory();
	for (size_t i = 0; i < s->name_count; i++)
		if (span_is(s->names[i]->type, "PathPattern") &&
			!(s->base && layer_names(s->base, s->names[i])))
			s->patterns[s->pattern_count++] = s->names[i];
	s->folder_bytes_max = s->base ? s->base->folder_bytes_max : 0;
	for (size_t i = 0; i < s->name_count; i++)
		if (span_is(s->names[i]->type, "Path"))
			s->folder_bytes_max = MAX(s->folder_bytes_max, s->names[i]->id.n);
	types_read(s);
	return 0;
}

/* ---- compiling ---- */

static void hash_span(crypto_generichash_state *h, struct span text)
{
	crypto_generichash_update(h, (const uint8_t *)text.p, text.n);
}

/* What a base's text adds to the hash was reckoned with the base. */
static int hash_text(struct rule_set *s)
{
	struct buf b CLEANUP(buf_fini) = buf_init(128);
	crypto_generichash_state h;
	uint8_t digest[32];

	if (s->base) {
		memcpy(&h, s->base->hashing, sizeof(h));
		hash_span(&h, SPAN("\n"));
		hash_span(&h, s->text);
	} else {
		s->hashing = malloc(sizeof(h));
		if (!s->hashing)
			return no_memory();
		crypto_generichash_init(&h, NULL, 0, sizeof(digest));
		hash_span(&h, s->text);
		memcpy(s->hashing, &h, sizeof(h));
	}
	crypto_generichash_final(&h, digest, sizeof(digest));
	hex_encode(&b, span_of(digest, sizeof(digest)));
	s->hash = arena_span(s->arena, buf_view(&b));
	return s->hash.p ? 0 : no_memory();
}

static int split(struct rule_set *s, const struct cedar_policies *all)
{
	struct cedar_policies verdicts = {0}, limits = {0};

	s->infos = arena_make_array(s->arena, struct policy_info, all->count + 1);
	verdicts.items = arena_make_array(s->arena, const struct cedar_policy *, all->count + 1);
	limits.items = arena_make_array(s->arena, const struct cedar_policy *, all->count + 1);
	if (!s->infos || !verdicts.items || !limits.items)
		return no_memory();
	s->count = all->count;
	s->bucket_count = s->base ? s->base->bucket_count : 0;
	for (size_t i = 0; i < all->count; i++) {
		const struct cedar_policy *p = all->items[i];
		int r = info_read(p, &s->infos[i]);
		if (r < 0)
			return err_wrap(r, "policy '" SPAN_FMT "'", SPAN_ARG(s->infos[i].id));
		if (s->infos[i].calls)
			s->infos[i].bucket = s->bucket_count++;
		bool limit = s->infos[i].calls || s->infos[i].max_response_bytes;
		struct cedar_policies *into = limit ? &limits : &verdicts;
		into->items[into->count++] = p;
	}
	int r = cedar_set_compile(s->arena, &verdicts, &s->verdicts);
	if (r == 0)
		r = cedar_set_compile(s->arena, &limits, &s->limits);
	return err_trace(r);
}

static uint64_t next_generation(void)
{
	static uint64_t last; /* shared by all threads; starts at 1 so that 0 is nobody's */

	return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

int set_make(struct rule_set *base, struct span text, struct rule_set **ret)
{
	struct rule_set *s = calloc(1, sizeof(*s));
	struct cedar_policies all;

	if (!s)
		return no_memory();
	s->refs = 1;
	s->generation = next_generation();
	s->base = base ? rule_set_ref(base) : NULL;
	s->first = base ? base->count : 0;
	s->arena = arena_new(LIMIT_RULE_SET_MEMORY_BYTES);
	if (s->arena)
		s->text = arena_span(s->arena, text);
	int r = s->text.p ? hash_text(s) : no_memory();
	if (r == 0)
		r = cedar_policies_parse_from(s->arena, s->text, s->first, &all);
	if (r == 0)
		r = split(s, &all);
	if (r == 0)
		r = names_read(s, &all);
	if (r < 0) {
		rule_set_unref(s);
		return err_wrap(r, "policy set");
	}
	*ret = s;
	return 0;
}

int rule_set_load(struct span text, struct rule_set **ret)
{
	return err_trace(set_make(NULL, text, ret));
}

int rule_set_load_on(const struct rule_set *base, struct span text, struct rule_set **ret)
{
	size_t n = base->text.n;

	if (base->base || !span_starts(text, base->text) || text.n == n || text.p[n] != '\n')
		return err_trace(set_make(NULL, text, ret));
	return err_trace(
		set_make((struct rule_set *)(uintptr_t)base, span_sub(text, n + 1, text.n), ret));
}

struct rule_set *rule_set_seal(struct rule_set_builder *b)
{
	struct rule_set *s = NULL;
	int r = buf_error(&b->text);

	if (r == 0)
		r = set_make(b->base,
			b->text.len       ? buf_view(&b->text)
				: b->base ? SPAN("")
					  : SPAN("\n"),
			&s);
	buf_reset(&b->text);
	b->text.max = LIMIT_RULE_SET_BYTES;
	b->base = rule_set_unref(b->base);
	b->count = 0;
	return r == 0 ? s : NULL;
}

struct rule_set *rule_set_ref(struct rule_set *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

struct rule_set *rule_set_unref(struct rule_set *s)
{
	/* Acquire and release: the last holder sees everything the others did. */
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return NULL;
	rule_set_unref(s->base);
	arena_free(s->arena);
	free(s->hashing);
	free(s);
	return NULL;
}

struct span rule_set_hash(const struct rule_set *s)
{
	return s->hash;
}

struct span rule_set_text(const struct rule_set *s, struct arena *a)
{
	if (!s->base)
		return s->text;
	size_t before = s->base->text.n + 1, n = before + s->text.n;
	char *whole = arena_bytes(a, n);
	if (!whole)
		return (struct span){0};
	memcpy(whole, s->base->text.p, before - 1);
	whole[before - 1] = '\n';
	memcpy(whole + before, s->text.p, s->text.n);
	return span_of(whole, n);
}

size_t rule_set_count(const struct rule_set *s)
{
	return s->first + s->count;
}

size_t rule_set_bytes(const struct rule_set *s)
{
	return sizeof(*s) + arena_used(s->arena);
}

uint64_t rule_set_generation(const struct rule_set *s)
{
	return s->generation;
}

struct rule_policy rule_set_policy(const struct rule_set *s, size_t index)
{
	const struct policy_info *i = set_info_at(s, index);

	return (struct rule_policy){.id = i->id,
		.file = i->file,
		.line = i->line,
		.forbid = i->forbids,
		.code = i->code};
}

void rule_set_policy_text(const struct rule_set *s, size_t index, struct buf *b)
{
	cedar_policy_print(b, set_info_at(s, index)->policy);
}
