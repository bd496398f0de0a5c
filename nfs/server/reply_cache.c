/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A ring of slots in a shared mapping. A slot goes FREE -> INTENT -> DONE; the intent is written
 * before the file system is touched and the reply before it is sent. The mapping is the page
 * cache's, so that both survive kill -9 without a system call; they need not survive the machine,
 * whose boot id the file carries. A slot's state is stored last (release) and checked with a hash
 * of the slot's content, so that a process that dies in mid-write leaves a slot that does not
 * count rather than a wrong one.
 *
 * In memory beside it: chains by hash, and who waits. The oldest slot that is not in progress is
 * the next one used.
 */
#include "nfs/server/reply_cache.h"
#include <sodium.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

enum slot_state { SLOT_FREE = 0, SLOT_INTENT = 1, SLOT_DONE = 2 };

enum {
	SLOT_BYTES = 512,
	CHECKED_ARGS_BYTES = 256, /* of a call's arguments; with the length, as others do */
	NOBODY = UINT32_MAX,
};

struct reply_slot {
	uint32_t state; /* enum slot_state */
	uint32_t reply_bytes;
	uint64_t check; /* over the reply */
	uint64_t client;
	uint64_t cred; /* hashes */
	uint64_t args;
	uint32_t xid;
	uint32_t proc;
	int64_t intent_ns;
	uint64_t reserved;
	char reply[REPLY_CACHE_REPLY_BYTES];
};
_Static_assert(sizeof(struct reply_slot) == SLOT_BYTES, "a slot is what the file says");

static const char magic[16] = "aegis-replies-1";

struct file_head { /* takes the first slot's place */
	char magic[16];
	uint32_t slots;
	uint32_t slot_bytes;
	uint8_t boot_id[16];
	uint8_t key[crypto_shorthash_KEYBYTES];
};

struct beside {
	uint32_t next; /* in its chain; NOBODY ends */
	bool chained;
	bool running; /* in this process */
	struct waitq waiters;
};

struct reply_cache {
	int file;
	struct file_head *head;
	struct reply_slot *slots;
	struct beside *beside;
	uint32_t *chains; /* as many as slots */
	uint32_t count;
	uint32_t at; /* the next slot to use */
	size_t map_bytes;
};

/* ---- hashes and chains ---- */

static uint64_t hash(const struct reply_cache *c, struct span s)
{
	uint64_t h;
	_Static_assert(sizeof(h) == crypto_shorthash_BYTES, "one word");
	(void)crypto_shorthash((uint8_t *)&h, (const uint8_t *)(s.p ? s.p : ""), s.n, c->head->key);
	return h;
}

static uint64_t hash_args(const struct reply_cache *c, struct span args)
{
	return hash(c, span_sub(args, 0, CHECKED_ARGS_BYTES)) ^ (uint64_t)args.n << 32;
}

static uint32_t *chain(struct reply_cache *c, uint64_t client, uint32_t xid)
{
	uint64_t mixed = (client ^ xid) * UINT64_C(0x9e3779b97f4a7c15);
	return &c->chains[(mixed >> 32) & (c->count - 1)];
}

static uint32_t index_of(const struct reply_cache *c, const struct reply_slot *s)
{
	return (uint32_t)(s - c->slots);
}

static void chain_in(struct reply_cache *c, uint32_t i)
{
	uint32_t *first = chain(c, c->slots[i].client, c->slots[i].xid);
	c->beside[i].next = *first;
	c->beside[i].chained = true;
	*first = i;
}

static void chain_out(struct reply_cache *c, uint32_t i)
{
	if (!c->beside[i].chained)
		return;
	uint32_t *at = chain(c, c->slots[i].client, c->slots[i].xid);
	while (*at != i)
		at = &c->beside[*at].next;
	*at = c->beside[i].next;
	c->beside[i].chained = false;
}

/* ---- the file ---- */

static void read_boot_id(uint8_t ret[16])
{
	struct buf b CLEANUP(buf_fini) = buf_init(64);
	struct uuid u = {0};
	if (fd_read_file("/proc/sys/kernel/random/boot_id", &b) < 0 ||
		uuid_parse(span_trim(buf_view(&b)), &u) < 0)
		err_clear();
	memcpy(ret, u.bytes, sizeof(u.bytes));
}

static void begin_afresh(struct reply_cache *c, const uint8_t boot_id[16])
{
	memset(c->head, 0, c->map_bytes);
	memcpy(c->head->magic, magic, sizeof(magic));
	c->head->slots = c->count;
	c->head->slot_bytes = SLOT_BYTES;
	memcpy(c->head->boot_id, boot_id, sizeof(c->head->boot_id));
	rt_random(c->head->key, sizeof(c->head->key));
}

static bool usable(const struct reply_cache *c, const uint8_t boot_id[16])
{
	const struct file_head *h = c->head;
	return memcmp(h->magic, magic, sizeof(magic)) == 0 && h->slots == c->count &&
		h->slot_bytes == SLOT_BYTES && memcmp(h->boot_id, boot_id, 16) == 0;
}

static uint64_t slot_check(const struct reply_cache *c, const struct reply_slot *s)
{
	return hash(c, span_of(s->reply, s->reply_bytes)) ^ s->client ^ s->args ^ s->xid;
}

/* The newest intent of a former process decides where the ring goes on. */
static void take_over(struct reply_cache *c)
{
	int64_t newest = 0;
	for (uint32_t i = 0; i < c->count; i++) {
		struct reply_slot *s = &c->slots[i];
		bool whole = s->state == SLOT_INTENT ||
			(s->state == SLOT_DONE && s->reply_bytes <= REPLY_CACHE_REPLY_BYTES &&
				s->check == slot_check(c, s));
		if (!whole) {
			s->state = SLOT_FREE;
			continue;
		}
		chain_in(c, i);
		if (s->intent_ns > newest) {
			newest = s->intent_ns;
			c->at = (i + 1) & (c->count - 1);
		}
	}
}

static int map_file(struct reply_cache *c)
{
	int flags = MAP_SHARED;
	if (c->file < 0) {
		flags |= MAP_ANONYMOUS;
	} else {
		if (flock(c->file, LOCK_EX | LOCK_NB) < 0)
			return err_raise(-EBUSY, "another process uses the file of replies");
		if (ftruncate(c->file, (off_t)c->map_bytes) < 0)
			return err_sys(-errno, "size the file of replies");
		int r = posix_fallocate(c->file, 0, (off_t)c->map_bytes);
		if (r != 0) /* a hole that cannot be filled later would be a SIGBUS */
			return err_sys(-r, "room for the file of replies");
	}
	void *p = mmap(NULL, c->map_bytes, PROT_READ | PROT_WRITE, flags, c->file, 0);
	if (p == MAP_FAILED)
		return err_sys(-errno, "map the file of replies");
	c->head = p;
	c->slots = (struct reply_slot *)p + 1;
	return 0;
}

static int set_up(struct reply_cache *c, uint32_t slots)
{
	c->count = 64;
	while (c->count < slots)
		c->count *= 2;
	c->map_bytes = ((size_t)c->count + 1) * SLOT_BYTES;
	c->beside = calloc(c->count, sizeof(*c->beside));
	c->chains = malloc(c->count * sizeof(*c->chains));
	if (!c->beside || !c->chains)
		return err_raise(-ENOMEM, "memory for %u replies", c->count);
	for (uint32_t i = 0; i < c->count; i++) {
		waitq_init(&c->beside[i].waiters);
		c->chains[i] = NOBODY;
	}
	int r = map_file(c);
	if (r < 0)
		return err_trace(r);
	uint8_t boot_id[16];
	read_boot_id(boot_id);
	if (usable(c, boot_id))
		take_over(c);
	else
		begin_afresh(c, boot_id);
	return 0;
}

int reply_cache_open(int file, uint32_t slots, struct reply_cache **ret)
{
	struct reply_cache *c = calloc(1, sizeof(*c));
	if (!c) {
		rt_close(file);
		return err_raise(-ENOMEM, "memory for the cache of replies");
	}
	c->file = file;
	int r = set_up(c, slots);
	if (r < 0) {
		reply_cache_close(c);
		return err_trace(r);
	}
	*ret = c;
	return 0;
}

void reply_cache_close(struct reply_cache *c)
{
	if (!c)
		return;
	if (c->head)
		munmap(c->head, c->map_bytes);
	fd_cleanup(&c->file); /* at once: whoever opens the file next finds it unlocked */
	free(c->beside);
	free(c->chains);
	free(c);
}

/* ---- calls ---- */

static struct reply_slot *find(struct reply_cache *c, const struct reply_slot *wanted)
{
	for (uint32_t i = *chain(c, wanted->client, wanted->xid); i != NOBODY;
		i = c->beside[i].next) {
		struct reply_slot *s = &c->slots[i];
		if (s->xid == wanted->xid && s->client == wanted->client &&
			s->proc == wanted->proc && s->args == wanted->args &&
			s->cred == wanted->cred)
			return s;
	}
	return NULL;
}

/* The oldest one that is not in progress; NULL if all are. */
static struct reply_slot *next_free(struct reply_cache *c)
{
	for (uint32_t tries = 0; tries < c->count; tries++) {
		uint32_t i = c->at;
		c->at = (c->at + 1) & (c->count - 1);
		if (c->beside[i].running)
			continue;
		chain_out(c, i);
		return &c->slots[i];
	}
	return NULL;
}

static void set_state(struct reply_slot *s, enum slot_state state)
{
	__atomic_store_n(&s->state, (uint32_t)state, __ATOMIC_RELEASE);
}

static void note_intent(struct reply_cache *c, struct reply_slot *s, const struct reply_slot *call)
{
	set_state(s, SLOT_FREE);
	s->client = call->client;
	s->cred = call->cred;
	s->args = call->args;
	s->xid = call->xid;
	s->proc = call->proc;
	s->intent_ns = rt_wall_ns();
	s->reply_bytes = 0;
	set_state(s, SLOT_INTENT);
	chain_in(c, index_of(c, s));
}

enum reply_cache_outcome reply_cache_begin(struct reply_cache *c, const struct reply_key *key,
	struct reply_slot **ret, int64_t *ret_intent_ns)
{
	struct reply_slot call;
	call.client = hash(c, key->client);
	call.xid = key->xid;
	call.proc = key->proc;
	call.cred = hash(c, key->cred);
	call.args = hash_args(c, key->args);
	struct reply_slot *s = find(c, &call);
	if (s) {
		*ret = s;
		if (s->state == SLOT_DONE)
			return REPLY_DONE;
		if (c->beside[index_of(c, s)].running)
			return REPLY_IN_PROGRESS;
		*ret_intent_ns = s->intent_ns;
		c->beside[index_of(c, s)].running = true;
		return REPLY_UNFINISHED;
	}
	s = next_free(c);
	if (!s)
		return REPLY_FULL;
	note_intent(c, s, &call);
	c->beside[index_of(c, s)].running = true;
	*ret = s;
	return REPLY_NEW;
}

static void end(struct reply_cache *c, struct reply_slot *s)
{
	struct beside *b = &c->beside[index_of(c, s)];
	b->running = false;
	waitq_wake_all(&b->waiters);
}

void reply_cache_done(struct reply_cache *c, struct reply_slot *s, struct span reply)
{
	CHECK(reply.n <= REPLY_CACHE_REPLY_BYTES);
	memcpy(s->reply, reply.p, reply.n);
	s->reply_bytes = (uint32_t)reply.n;
	s->check = slot_check(c, s);
	set_state(s, SLOT_DONE);
	end(c, s);
}

void reply_cache_drop(struct reply_cache *c, struct reply_slot *s)
{
	chain_out(c, index_of(c, s));
	set_state(s, SLOT_FREE);
	end(c, s);
}

void reply_cache_abandon(struct reply_cache *c, struct reply_slot *s)
{
	end(c, s);
}

int reply_cache_wait(struct reply_cache *c, struct reply_slot *s, int64_t deadline_ns)
{
	struct beside *b = &c->beside[index_of(c, s)];
	uint32_t xid = s->xid;
	uint64_t client = s->client;
	uint64_t args = s->args;
	while (b->running && s->xid == xid && s->client == client && s->args == args) {
		int r = waitq_wait(&b->waiters, deadline_ns);
		if (r < 0)
			return r;
	}
	bool same = s->xid == xid && s->client == client && s->args == args;
	return same && s->state == SLOT_DONE ? REPLY_DONE : REPLY_NEW;
}

struct span reply_cache_reply(const struct reply_slot *s)
{
	return span_of(s->reply, s->reply_bytes);
}
