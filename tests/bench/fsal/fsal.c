/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the file layer costs above the system call that it ends in: policy decided and kept, records
 * summed up, one object by its handle, on tmpfs. The peer is the bare call in the same run. And
 * whether the cost stays the same from 10 objects to many.
 */
#include "tests/bench/smoke.h"
#include "nfs/backend/backend.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 200 * 1000, MANY = 1000 * 1000, FILES = 20000 };

static size_t rounds, many, files;

struct bench {
	struct fsal *fsal;
	struct fsal_volume *volume;
	struct fsal_attachment *at;
	struct offload *offload;
	struct fsal_call call;
	int root;
	uint64_t records;
	char (*handles)[FSAL_HANDLE_BYTES];
	size_t handle_bytes;
};

static void observe(void *ctx, const struct fsal_record *r)
{
	struct bench *b = ctx;
	b->records += r->count;
}

/* `peer` NULL: none. */
static void report(const char *name, double value, const char *peer, double peer_value)
{
	printf("{\"area\":\"fsal\",\"name\":\"%s\",\"value\":%.3f,\"unit\":\"us/op\",", name,
		value);
	if (peer)
		printf("\"peer\":\"%s\",\"peer_value\":%.3f,", peer, peer_value);
	else
		printf("\"peer\":null,\"peer_value\":null,");
	printf("\"target\":null,\"met\":null}\n");
}

/* Of this thread: other programs' work does not count. */
static int64_t cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static double us_since(int64_t began_ns, size_t count)
{
	return (double)(cpu_ns() - began_ns) / 1e3 / (double)count;
}

static struct fsal_object *find(struct bench *b, size_t n)
{
	struct fsal_object *o;
	CHECK(fsal_find(b->fsal, &b->call, span_of(b->handles[n], b->handle_bytes), &o) == 0);
	return o;
}

static void fill(struct bench *b, size_t count)
{
	struct fsal_sattr s = {.set_mode = true, .mode = 0644};
	struct fsal_made made;
	enum fsal_stability committed;
	struct fsal_wcc wcc;
	static char block[4096];
	char name[24];

	for (size_t i = 0; i < count; i++) {
		int n = snprintf(name, sizeof(name), "f%zu", i);
		CHECK(fsal_create(&b->call, fsal_root(b->at), span_of(name, (size_t)n),
			      FSAL_GUARDED, &s, NULL, &made) == 0);
		b->handle_bytes = fsal_handle(made.object).n;
		memcpy(b->handles[i], fsal_handle(made.object).p, b->handle_bytes);
		if (i < 1000)
			CHECK(fsal_write(&b->call, made.object, 0, span_of(block, sizeof(block)),
				      FSAL_UNSTABLE, &committed, &wcc) == 0);
		if (i % 1024 == 0)
			fiber_yield();
	}
}

/* What asking the kernel costs grows with its own caches' misses: the peer asks about as many. */
static void getattr(struct bench *b, const char *name, size_t of)
{
	struct fsal_attr a;
	struct statx st;
	static char names[ROUNDS][24];
	for (size_t i = 0; i < rounds; i++)
		snprintf(names[i], sizeof(names[i]), "f%zu", i * 7919 % of);
	double ours = 1e9, peer = 1e9;
	for (int turn = 0; turn < 3; turn++) {
		int64_t began_ns = cpu_ns();
		for (size_t i = 0; i < rounds; i++)
			CHECK(fsal_getattr(&b->call, find(b, i * 7919 % of), &a) == 0);
		ours = MIN(ours, us_since(began_ns, rounds));
		began_ns = cpu_ns();
		for (size_t i = 0; i < rounds; i++)
			CHECK(statx(b->root, names[i], AT_SYMLINK_NOFOLLOW,
				      STATX_BASIC_STATS | STATX_BTIME, &st) == 0);
		peer = MIN(peer, us_since(began_ns, rounds));
	}
	report(name, ours, "statx of as many", peer);
}

static void lookup(struct bench *b)
{
	struct fsal_object *o;
	struct fsal_attr a;
	struct fsal_post post;
	struct stat st;
	int64_t began_ns = cpu_ns();
	for (size_t i = 0; i < rounds; i++)
		CHECK(fsal_lookup(&b->call, fsal_root(b->at), SPAN("f7"), &o, &a, &post) == 0);
	double ours = us_since(began_ns, rounds);
	began_ns = cpu_ns();
	for (size_t i = 0; i < rounds; i++)
		CHECK(fstatat(b->root, "f7", &st, AT_SYMLINK_NOFOLLOW) == 0);
	report("lookup", ours, "fstatat", us_since(began_ns, rounds));
}

static void transfer(struct bench *b)
{
	static char block[4096];
	struct fsal_post post;
	enum fsal_stability committed;
	struct fsal_wcc wcc;
	size_t n;
	bool eof;
	int64_t began_ns = cpu_ns();
	for (size_t i = 0; i < rounds; i++)
		CHECK(fsal_read(&b->call, find(b, i % 1000), 0, block, sizeof(block), &n, &eof,
			      &post) == 0);
	double reads = us_since(began_ns, rounds);
	began_ns = cpu_ns();
	for (size_t i = 0; i < rounds; i++)
		CHECK(fsal_write(&b->call, find(b, i % 1000), 0, span_of(block, sizeof(block)),
			      FSAL_UNSTABLE, &committed, &wcc) == 0);
	double writes = us_since(began_ns, rounds);
	int fd = openat(b->root, "f0", O_RDWR);
	began_ns = cpu_ns();
	for (size_t i = 0; i < rounds; i++)
		CHECK(pread(fd, block, sizeof(block), 0) == sizeof(block));
	report("read_4k", reads, "pread", us_since(began_ns, rounds));
	began_ns = cpu_ns();
	for (size_t i = 0; i < rounds; i++)
		CHECK(pwrite(fd, block, sizeof(block), 0) == sizeof(block));
	report("write_4k", writes, "pwrite", us_since(began_ns, rounds));
	close(fd);
}

static void create(struct bench *b)
{
	struct fsal_sattr s = {.set_mode = true, .mode = 0644};
	struct fsal_made made;
	struct fsal_wcc wcc;
	struct stat st;
	char name[24];
	int64_t began_ns = cpu_ns();
	for (size_t i = 0; i < files; i++) {
		int n = snprintf(name, sizeof(name), "c%zu", i);
		CHECK(fsal_create(&b->call, fsal_root(b->at), span_of(name, (size_t)n),
			      FSAL_GUARDED, &s, NULL, &made) == 0);
	}
	double creates = us_since(began_ns, files);
	began_ns = cpu_ns();
	for (size_t i = 0; i < files; i++) {
		int n = snprintf(name, sizeof(name), "c%zu", i);
		CHECK(fsal_remove(&b->call, fsal_root(b->at), span_of(name, (size_t)n), &wcc) == 0);
	}
	double removes = us_since(began_ns, files);
	began_ns = cpu_ns();
	for (size_t i = 0; i < files; i++) {
		snprintf(name, sizeof(name), "c%zu", i);
		int fd = openat(b->root, name, O_CREAT | O_EXCL | O_RDWR, 0644);
		CHECK(fd >= 0 && fstat(fd, &st) == 0);
		close(fd);
	}
	report("create", creates, "open, fstat, close", us_since(began_ns, files));
	began_ns = cpu_ns();
	for (size_t i = 0; i < files; i++) {
		snprintf(name, sizeof(name), "c%zu", i);
		CHECK(unlinkat(b->root, name, 0) == 0);
	}
	report("remove", removes, "unlink", us_since(began_ns, files));
	fiber_yield();
}

static struct rule_set *rules_new(void)
{
	struct rule_set_builder *r = rule_set_builder_new();
	struct rule_origin o = {.field = "bench"};
	CHECK(rule_allow_path(r, "fs:read", "/workspace", o) == 0);
	CHECK(rule_allow_path(r, "fs:write", "/workspace", o) == 0);
	struct rule_set *s = rule_set_seal(r);
	rule_set_builder_free(r);
	return s;
}

static void run(void *arg)
{
	struct bench b = {.root = *(int *)arg};
	struct fsal_options o = {.objects_max = many + many / 4};
	struct rule_set *rules = rules_new();
	struct fsal_attach_options a = {.execution_id = SPAN("e"),
		.mount_path = SPAN("/workspace"),
		.rules = rules,
		.observer = observe,
		.observer_ctx = &b,
		.coalesce_ns = NS_PER_S};

	b.handles = calloc(many, sizeof(*b.handles));
	b.call = (struct fsal_call){.deadline_ns = DEADLINE_NONE};
	CHECK(b.handles && rules);
	CHECK(offload_start("files", 1, 16, &b.offload) == 0);
	CHECK(fsal_start(&o, &b.fsal) == 0);
	struct backend_local_options local = {.offload = b.offload};
	CHECK(backend_local_open(b.fsal, dup(b.root), &local, SPAN("v"), &b.volume) == 0);
	CHECK(fsal_attach(b.volume, &a, &b.at) == 0);
	int64_t began_ns = cpu_ns();
	fill(&b, many);
	report("create_many", us_since(began_ns, many), NULL, 0);
	getattr(&b, "getattr_of_10", 10);
	getattr(&b, "getattr_of_10000", 10000);
	getattr(&b, "getattr_of_1000000", many);
	lookup(&b);
	transfer(&b);
	create(&b);
	fsal_detach(b.at);
	fsal_volume_free(b.volume);
	fsal_stop(b.fsal);
	offload_stop(b.offload);
	rule_set_unref(rules);
	free(b.handles);
}

int main(void)
{
	rounds = (size_t)bench_count(ROUNDS, 200);
	many = (size_t)bench_count(MANY, 10000);
	files = (size_t)bench_count(FILES, 100);
	char dir[] = "/dev/shm/aegis-bench-XXXXXX";
	int shm = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a tmpfs */

	CHECK(shm >= 0 && mkdtemp(dir));
	fd_raise_limit();
	int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(root >= 0 && rt_run(&(struct rt_options){.workers = 1}, run, &root) == 0);
	close(root);
	int r = fd_remove_tree(shm, strrchr(dir, '/') + 1);
	close(shm);
	return r == 0 ? 0 : 1;
}
