/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Clients over a bad network against a model of the files. Calls are sent twice, replies are lost
 * with their connection, several calls of one connection are under way and their replies come in
 * any order, and long after a call was answered it is sent once more. Whatever happens on the way,
 * each call is answered as if it had happened once, in the order in which the client asked, and in
 * the end the files are what the model says.
 */
#include "tests/sim/scenario.h"
#include "tests/unit/nfs/server/peer.h"
#include <stdio.h>
#include <stdlib.h>

enum { CLIENTS = 3, ROUNDS = 12, BATCH = 3, NAMES = 5, TRIES = 400, PATIENCE_MS = 2000 };

enum kind { NOTHING, FILE_OF, DIRECTORY };

struct model {
	enum kind kind;
	uint8_t content; /* of a file: every byte */
	uint32_t bytes;
	char handle[NFS3_HANDLE_BYTES];
	size_t handle_n;
};

struct client {
	struct peer_server *server;
	int index;
	struct peer peer;
	bool connected;
	uint32_t xid;
	char dir[NFS3_HANDLE_BYTES];
	size_t dir_n;
	struct model names[NAMES];
	bool given_up; /* of a run with faults */
};

/* One call under way: what was asked, and what the answer must be. */
struct asked {
	uint32_t xid;
	enum nfs3_proc proc;
	union nfs3_args args;
	int name;
	uint32_t status;
	char data[300];
	char handle[NFS3_HANDLE_BYTES]; /* the model's may change under a later call */
	bool answered;
};

struct world {
	struct peer_server server;
	struct client clients[CLIENTS];
};

static bool chance(uint64_t percent)
{
	return sim_below(100) < percent;
}

static int64_t delay(void)
{
	return chance(50) ? 0 : (int64_t)sim_below(40 * NS_PER_MS);
}

/* ---- the network ---- */

static void disconnect(struct client *c)
{
	if (c->connected)
		peer_close(&c->peer);
	c->connected = false;
}

static bool connect_again(struct client *c)
{
	for (int i = 0; !c->connected && i < TRIES; i++) {
		c->connected = peer_open(&c->peer, &c->server->addr) == 0;
		if (!c->connected && rt_sleep_until(deadline_in_ms(20)) < 0)
			break;
	}
	return c->connected;
}

static bool send_call(struct client *c, struct asked *a)
{
	int copies = chance(20) ? 2 : 1;
	for (int i = 0; i < copies; i++)
		if (!connect_again(c) || peer_send(&c->peer, a->xid, a->proc, &a->args) < 0)
			return false;
	return true;
}

static void check_reply(struct client *c, struct asked *a, struct xdr *x)
{
	struct nfs3_res r = {0};
	nfs3_res(x, a->proc, &r);
	SCENARIO_CHECK(!x->bad && xdr_left(x) == 0);
	if (r.status != a->status && !scenario_faulty())
		fprintf(stderr, "client %d, %s of name %d: status %u, expected %u\n", c->index,
			nfs3_proc_name(a->proc), a->name, r.status, a->status);
	SCENARIO_CHECK(r.status == a->status || scenario_faulty());
	c->given_up |= r.status != a->status;
	if (r.status != NFS3_OK)
		return;
	struct model *m = &c->names[a->name];
	if (a->proc == NFS3_CREATE || a->proc == NFS3_MKDIR) {
		SCENARIO_CHECK(r.create.object.present);
		memcpy(m->handle, r.create.object.handle.p, r.create.object.handle.n);
		m->handle_n = r.create.object.handle.n;
	} else if (a->proc == NFS3_READ && !scenario_faulty()) {
		SCENARIO_CHECK(r.read.count == m->bytes && r.read.eof);
		for (size_t i = 0; i < r.read.data.n; i++)
			SCENARIO_CHECK((uint8_t)r.read.data.p[i] == m->content);
	}
}

static bool take_replies(struct client *c, struct asked *asked, int count)
{
	int left = 0;
	for (int i = 0; i < count; i++)
		left += !asked[i].answered;
	while (left > 0) {
		struct rpc_reply reply;
		struct xdr x;
		if (chance(8)) /* the connection is lost, and what was on it */
			return false;
		if (peer_next(&c->peer, &reply, &x, deadline_in_ms(PATIENCE_MS)) < 0)
			return false;
		for (int i = 0; i < count; i++) {
			if (asked[i].xid != reply.xid || asked[i].answered)
				continue;
			SCENARIO_CHECK(reply.stat == RPC_SUCCESS || scenario_faulty());
			check_reply(c, &asked[i], &x);
			asked[i].answered = true;
			left--;
		}
	}
	return true;
}

/* Until each is answered, as a hard mount does. */
static void ask(struct client *c, struct asked *asked, int count)
{
	for (int tries = 0; tries < TRIES && !fiber_cancelled(); tries++) {
		bool sent = true;
		for (int i = 0; i < count && sent; i++)
			sent = asked[i].answered || send_call(c, &asked[i]);
		if (sent && take_replies(c, asked, count))
			return;
		disconnect(c);
	}
	c->given_up = true;
	SCENARIO_CHECK(scenario_faulty());
}

/* ---- what is asked ---- */

static struct span dir_of(const struct client *c)
{
	return span_of(c->dir, c->dir_n);
}

static struct span name_of(int i)
{
	static const char names[NAMES][2] = {"a", "b", "c", "d", "e"};
	return span_cstr(names[i]);
}

static void ask_create(struct client *c, struct asked *a, struct model *m, bool dir)
{
	struct nfs3_dirop where = {dir_of(c), name_of(a->name)};
	a->status = m->kind == NOTHING ? NFS3_OK : NFS3ERR_EXIST;
	a->proc = dir ? NFS3_MKDIR : NFS3_CREATE;
	if (dir)
		a->args.mkdir = (struct nfs3_mkdir_args){.where = where};
	else
		a->args.create = (struct nfs3_create_args){.where = where, .how = NFS3_GUARDED};
	if (m->kind == NOTHING)
		*m = (struct model){.kind = dir ? DIRECTORY : FILE_OF};
}

static void ask_remove(struct client *c, struct asked *a, struct model *m, bool dir)
{
	a->proc = dir ? NFS3_RMDIR : NFS3_REMOVE;
	a->args.dirop = (struct nfs3_dirop){dir_of(c), name_of(a->name)};
	if (m->kind == NOTHING)
		a->status = NFS3ERR_NOENT;
	else if (dir != (m->kind == DIRECTORY))
		a->status = dir ? NFS3ERR_NOTDIR : NFS3ERR_ISDIR;
	else
		*m = (struct model){0};
}

static struct span handle_of(struct asked *a, const struct model *m)
{
	memcpy(a->handle, m->handle, m->handle_n);
	return span_of(a->handle, m->handle_n);
}

static void ask_write(struct asked *a, struct model *m)
{
	a->proc = NFS3_WRITE;
	m->content = (uint8_t)(1 + sim_below(255));
	m->bytes = MAX(m->bytes, (uint32_t)(1 + sim_below(sizeof(a->data) - 1)));
	memset(a->data, m->content, m->bytes);
	a->args.write = (struct nfs3_write_args){
		handle_of(a, m), 0, m->bytes, NFS3_UNSTABLE, span_of(a->data, m->bytes)};
}

static void choose(struct client *c, struct asked *a, int name)
{
	struct model *m = &c->names[name];
	*a = (struct asked){.xid = ++c->xid, .name = name};
	uint64_t what = sim_below(10);
	if (m->kind == FILE_OF && what < 4) {
		ask_write(a, m);
	} else if (m->kind == FILE_OF && what < 6) {
		a->proc = NFS3_READ;
		a->args.read = (struct nfs3_read_args){handle_of(a, m), 0, 1000};
	} else if (what < 8) {
		ask_create(c, a, m, chance(30));
	} else {
		ask_remove(c, a, m, chance(30));
	}
}

/* What was answered long ago comes once more, and must change nothing. */
static void repeat_old(struct client *c, const struct asked *old)
{
	struct asked again = *old;
	if (!old->answered || old->proc == NFS3_READ)
		return;
	/* Its answer is remembered, but the name may mean something else by now. */
	struct model kept = c->names[old->name];
	if (old->proc == NFS3_WRITE) {
		again.args.write.data = span_of(again.data, again.args.write.count);
		again.args.write.file.p = again.handle;
	}
	again.answered = false;
	ask(c, &again, 1);
	c->names[old->name] = kept;
}

static void play(struct client *c)
{
	struct asked asked[BATCH] = {0};
	for (int round = 0; round < ROUNDS && !c->given_up; round++) {
		struct asked old = asked[sim_below(BATCH)];
		int first = (int)sim_below(NAMES);
		for (int i = 0; i < BATCH; i++)
			choose(c, &asked[i], (first + i) % NAMES);
		ask(c, asked, BATCH);
		if (chance(30) && !c->given_up && round > 0)
			repeat_old(c, &old);
	}
}

/* ---- the end ---- */

static void compare(struct client *c)
{
	for (int i = 0; i < NAMES; i++) {
		struct model *m = &c->names[i];
		struct asked a = {.xid = ++c->xid, .name = i, .proc = NFS3_LOOKUP};
		a.args.dirop = (struct nfs3_dirop){dir_of(c), name_of(i)};
		a.status = m->kind == NOTHING ? NFS3ERR_NOENT : NFS3_OK;
		ask(c, &a, 1);
		if (m->kind != FILE_OF)
			continue;
		a = (struct asked){.xid = ++c->xid, .name = i, .proc = NFS3_READ};
		a.args.read = (struct nfs3_read_args){handle_of(&a, m), 0, 1000};
		ask(c, &a, 1);
	}
}

static bool begin(struct client *c)
{
	char root[NFS3_HANDLE_BYTES];
	size_t n = 0;
	char name[16];
	struct nfs3_res r = {0};
	if (!connect_again(c) || peer_mount(&c->peer, "/open", root, &n) != MNT3_OK)
		return false;
	int name_n = snprintf(name, sizeof(name), "client%d", c->index);
	union nfs3_args a = {.mkdir = {.where = {span_of(root, n), span_of(name, (size_t)name_n)}}};
	/* Their addresses are one and the same: the numbers of their calls must differ. */
	c->xid = (uint32_t)(c->index + 1) * 100000;
	if (peer_call(&c->peer, ++c->xid, NFS3_MKDIR, &a, &r) < 0 || r.status != NFS3_OK)
		return false;
	memcpy(c->dir, r.create.object.handle.p, r.create.object.handle.n);
	c->dir_n = r.create.object.handle.n;
	return true;
}

static void be_client(void *arg)
{
	struct client *c = arg;
	bool begun = begin(c);
	SCENARIO_CHECK(begun || scenario_faulty());
	if (begun)
		play(c);
	if (begun && !c->given_up)
		compare(c);
	SCENARIO_CHECK((begun && !c->given_up) || scenario_faulty());
	disconnect(c);
}

static void body(void *arg)
{
	struct world *w = arg;
	struct group clients;
	group_init(&clients);
	peer_server_start(&w->server, NULL);
	fake.delay = delay;
	/* A connect before the listener listens would be refused. */
	(void)!rt_sleep_until(deadline_in_ms(500));
	for (int i = 0; i < CLIENTS; i++) {
		w->clients[i] = (struct client){.server = &w->server, .index = i};
		int r = group_spawn(&clients, "client", FIBER_SMALL, be_client, &w->clients[i]);
		SCENARIO_CHECK(r == 0 || scenario_faulty());
	}
	SCENARIO_CHECK(group_join(&clients, DEADLINE_NONE) == 0);
	group_close(&clients);
	fake.delay = NULL;
	peer_server_stop(&w->server);
}

static void *make(void)
{
	return calloc(1, sizeof(struct world));
}

static const struct scenario scenario = {
	.name = "nfs over a bad network", .body = body, .make = make, .drop = free};

/* ---- a backend that does not answer ---- */

/* What may be asked again is told to come later; what may happen only once is waited for. */
static void stuck_body(void *arg)
{
	struct world *w = arg;
	struct peer p;
	char root[NFS3_HANDLE_BYTES];
	size_t n = 0;
	struct nfs3_res r = {0};
	peer_server_start(&w->server, NULL);
	(void)!rt_sleep_until(deadline_in_ms(500));
	SCENARIO_CHECK(peer_open(&p, &w->server.addr) == 0);
	SCENARIO_CHECK(peer_mount(&p, "/open", root, &n) == MNT3_OK);
	fake.delay_ns = 50 * NS_PER_S;
	union nfs3_args a = {.dirop = {span_of(root, n), SPAN("x")}};
	int64_t begun_ns = rt_now_ns();
	SCENARIO_CHECK(peer_call(&p, 10, NFS3_LOOKUP, &a, &r) == 0);
	SCENARIO_CHECK(r.status == NFS3ERR_JUKEBOX);
	SCENARIO_CHECK(rt_now_ns() - begun_ns < 30 * NS_PER_S);
	a = (union nfs3_args){.create = {.where = a.dirop, .how = NFS3_GUARDED}};
	SCENARIO_CHECK(peer_call(&p, 11, NFS3_CREATE, &a, &r) == 0);
	SCENARIO_CHECK(r.status == NFS3_OK && fake.changes == 1);
	peer_close(&p);
	peer_server_stop(&w->server);
}

static const struct scenario stuck = {
	.name = "nfs over a stuck backend", .body = stuck_body, .make = make, .drop = free};

static void test_stuck(void **state)
{
	scenario_seeds(&stuck, 5);
}

static void test_seeds(void **state)
{
	scenario_seeds(&scenario, 60);
}

static void test_chaos(void **state)
{
	scenario_chaos(&scenario, 30, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seeds),
		cmocka_unit_test(test_chaos),
		cmocka_unit_test(test_stuck),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
