/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A server dies after it has noted what it will do. If it had done it, the repeated call succeeds
 * as the first would have; if it had not, the call is done now; and what was so long before stays
 * an error.
 */
#include "tests/unit/nfs/server/peer.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { XID = 4711, SLOW_MS = 1000, RUNNING_MS = 20, LONG_MS = 60 };

struct stage {
	struct peer_server server;
	struct peer peer;
	char root[NFS3_HANDLE_BYTES];
	size_t root_n;
	char file[NFS3_HANDLE_BYTES];
	size_t file_n;
};

static void start(struct stage *s, struct fsal *layer, int file)
{
	struct nfs_server_options o = {.layer = layer, .reply_file = file};
	peer_server_start(&s->server, &o);
	EXPECT_INT(peer_open(&s->peer, &s->server.addr), 0);
	EXPECT_INT(peer_mount(&s->peer, "/open", s->root, &s->root_n), MNT3_OK);
}

static int copy_of(int file)
{
	struct stat st;
	int copy = memfd_create("replies", MFD_CLOEXEC);
	EXPECT(fstat(file, &st) == 0);
	char *bytes = malloc((size_t)st.st_size);
	EXPECT(pread(file, bytes, (size_t)st.st_size, 0) == st.st_size);
	EXPECT(pwrite(copy, bytes, (size_t)st.st_size, 0) == st.st_size);
	free(bytes);
	return copy;
}

/* A new server over the same files, with the memory of the one that died. */
static void restart(struct stage *s, int file)
{
	struct fsal *layer = s->server.layer;
	s->server.keep_layer = true;
	peer_close(&s->peer);
	peer_server_stop(&s->server);
	start(s, layer, file);
}

static struct nfs3_res call(struct stage *s, uint32_t xid, enum nfs3_proc proc, union nfs3_args a)
{
	struct nfs3_res r = {.status = 1};
	EXPECT_INT(peer_call(&s->peer, xid, proc, &a, &r), 0);
	return r;
}

static struct nfs3_dirop at(const struct stage *s, const char *name)
{
	return (struct nfs3_dirop){span_of(s->root, s->root_n), span_cstr(name)};
}

static union nfs3_args create_args(const struct stage *s, const char *name)
{
	return (union nfs3_args){.create = {at(s, name), NFS3_GUARDED, {0}, {0}}};
}

static union nfs3_args args_for(const struct stage *s, enum nfs3_proc proc)
{
	union nfs3_args a = {0};
	if (proc == NFS3_CREATE)
		a = create_args(s, "new");
	else if (proc == NFS3_MKDIR)
		a.mkdir.where = at(s, "new");
	else if (proc == NFS3_SYMLINK)
		a.symlink = (struct nfs3_symlink_args){at(s, "new"), {0}, SPAN("target")};
	else if (proc == NFS3_MKNOD)
		a.mknod = (struct nfs3_mknod_args){.where = at(s, "new"), .type = NFS3_SOCK};
	else if (proc == NFS3_REMOVE)
		a.dirop = at(s, "file");
	else if (proc == NFS3_RMDIR)
		a.dirop = at(s, "dir");
	else if (proc == NFS3_RENAME)
		a.rename = (struct nfs3_rename_args){at(s, "file"), at(s, "moved")};
	else if (proc == NFS3_LINK)
		a.link = (struct nfs3_link_args){span_of(s->file, s->file_n), at(s, "twin")};
	return a;
}

static void prepare(struct stage *s)
{
	struct nfs3_res r = call(s, 1, NFS3_CREATE, create_args(s, "file"));
	memcpy(s->file, r.create.object.handle.p, r.create.object.handle.n);
	s->file_n = r.create.object.handle.n;
	union nfs3_args a = {.mkdir = {at(s, "dir"), {0}}};
	EXPECT_INT(call(s, 2, NFS3_MKDIR, a).status, NFS3_OK);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(LONG_MS)), 0);
}

static const enum nfs3_proc procs[] = {NFS3_CREATE, NFS3_MKDIR, NFS3_SYMLINK, NFS3_MKNOD,
	NFS3_REMOVE, NFS3_RMDIR, NFS3_RENAME, NFS3_LINK};

/* `ran`: the server dies after the change, else before it. */
static void die_in(enum nfs3_proc proc, bool ran)
{
	struct stage s = {0};
	int file = memfd_create("replies", MFD_CLOEXEC);
	start(&s, NULL, file);
	prepare(&s);
	int changes = fake.changes;
	fake.delay_ns = (ran ? 8 * RUNNING_MS : SLOW_MS) * NS_PER_MS;
	union nfs3_args a = args_for(&s, proc);
	EXPECT_INT(peer_send(&s.peer, XID, proc, &a), 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(RUNNING_MS)), 0);
	EXPECT_INT(fake.changes, changes);
	int left = copy_of(file);
	for (int i = 0; ran && fake.changes == changes && i < 1000; i++)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(RUNNING_MS)), 0);
	fake.delay_ns = 0;
	restart(&s, left);
	EXPECT_INT(fake.changes, changes + ran);
	struct nfs3_res r = call(&s, XID, proc, args_for(&s, proc));
	EXPECT_INT(r.status, NFS3_OK);
	if (proc >= NFS3_CREATE && proc <= NFS3_MKNOD)
		EXPECT(r.create.object.present && r.create.attr.present);
	EXPECT_INT(fake.changes, changes + 1);
	r = call(&s, XID, proc, args_for(&s, proc));
	EXPECT_INT(r.status, NFS3_OK);
	EXPECT(nfs_server_stats(s.server.server).replayed == 1);
	r = call(&s, XID + 1, proc, args_for(&s, proc)); /* another call is another matter */
	EXPECT(r.status == NFS3ERR_EXIST || r.status == NFS3ERR_NOENT);
	peer_close(&s.peer);
	peer_server_stop(&s.server);
}

static void done_body(void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(procs); i++)
		die_in(procs[i], true);
}

static void test_done(void **state)
{
	in_fiber(done_body);
}

static void not_done_body(void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(procs); i++)
		die_in(procs[i], false);
}

static void test_not_done(void **state)
{
	in_fiber(not_done_body);
}

/* The name was there, or was not, long before the intent: the error is the true answer. */
static void long_before_body(void *arg)
{
	static const struct {
		enum nfs3_proc proc;
		uint32_t status;
	} cases[] = {{NFS3_CREATE, NFS3ERR_EXIST}, {NFS3_REMOVE, NFS3ERR_NOENT}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct stage s = {0};
		int file = memfd_create("replies", MFD_CLOEXEC);
		start(&s, NULL, file);
		prepare(&s);
		union nfs3_args a = create_args(&s, "file");
		if (cases[i].proc == NFS3_REMOVE)
			a.dirop = at(&s, "never there");
		fake.delay_ns = SLOW_MS * NS_PER_MS;
		EXPECT_INT(peer_send(&s.peer, XID, cases[i].proc, &a), 0);
		EXPECT_INT(rt_sleep_until(deadline_in_ms(RUNNING_MS)), 0);
		int left = copy_of(file);
		fake.delay_ns = 0;
		restart(&s, left);
		a = create_args(&s, "file");
		if (cases[i].proc == NFS3_REMOVE)
			a.dirop = at(&s, "never there");
		EXPECT_INT(call(&s, XID, cases[i].proc, a).status, cases[i].status);
		peer_close(&s.peer);
		peer_server_stop(&s.server);
	}
}

static void test_long_before(void **state)
{
	in_fiber(long_before_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_not_done),
		cmocka_unit_test(test_long_before),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
