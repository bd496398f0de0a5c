/* SPDX-License-Identifier: AGPL-3.0-only */
/* The file layer over a local folder in which an agent has prepared traps. */
#include "nfs/backend/backend.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
	char folder[64];
	char outside[96];
	int root;
	struct arena *arena;
	struct offload *offload;
	struct fsal_volume *volume;
	struct rule_set *rules;
	struct fsal_attachment *at;
	struct fsal_call call;
	/* the last record */
	int records;
	char operation[40];
	uint64_t bytes;
	int result;
	bool allowed;
};

static void observe(void *ctx, const struct fsal_record *r)
{
	struct fixture *f = ctx;
	f->records++;
	snprintf(f->operation, sizeof(f->operation), "%s", r->operation);
	f->bytes = r->bytes;
	f->result = r->result;
	f->allowed = r->decision->allowed;
}

static struct rule_set *rules_new(void)
{
	struct rule_set_builder *b = rule_set_builder_new();
	EXPECT_INT(
		rule_allow_path(b, "fs:read", "/workspace/**", (struct rule_origin){.field = "r1"}),
		0);
	EXPECT_INT(rule_allow_path(b, "fs:read", "/workspace", (struct rule_origin){.field = "r0"}),
		0);
	EXPECT_INT(
		rule_allow_path(b, "fs:write", "/workspace/w", (struct rule_origin){.field = "w0"}),
		0);
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	return s;
}

static void attach(struct fixture *f, bool read_only)
{
	struct fsal_attach_options o = {
		.execution_id = SPAN("e"),
		.agent = SPAN("a"),
		.mount_path = SPAN("/workspace"),
		.read_only = read_only,
		.rules = f->rules,
		.observer = observe,
		.observer_ctx = f,
	};
	EXPECT_INT(fsal_attach(f->volume, &o, &f->at), 0);
	f->call = (struct fsal_call){.at = f->at, .arena = f->arena, .deadline_ns = DEADLINE_NONE};
}

static void begin(struct fixture *f)
{
	*f = (struct fixture){0};
	strcpy(f->folder, "/tmp/aegis-local-XXXXXX");
	EXPECT(mkdtemp(f->folder) != NULL);
	snprintf(f->outside, sizeof(f->outside), "%s.secret", f->folder);
	int fd = open(f->outside, O_CREAT | O_WRONLY, 0600);
	EXPECT(write(fd, "secret", 6) == 6);
	close(fd);
	f->root = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	EXPECT_INT(mkdirat(f->root, "w", 0755), 0);
	f->arena = arena_new(4 * 1024 * 1024);
	f->rules = rules_new();
	EXPECT_INT(offload_start("files", 2, 64, &f->offload), 0);
	EXPECT_INT(backend_local_open(dup(f->root), f->offload, SPAN("v"), &f->volume), 0);
	attach(f, false);
}

static void end(struct fixture *f)
{
	fsal_detach(f->at);
	fsal_volume_free(f->volume);
	offload_stop(f->offload);
	rule_set_unref(f->rules);
	arena_free(f->arena);
	close(f->root);
	EXPECT_INT(fd_remove_tree(AT_FDCWD, f->folder), 0);
	unlink(f->outside);
}

static struct span read_all(struct fixture *f, const char *path, int want)
{
	static char text[4096];
	size_t n = 0;
	bool eof = false;
	EXPECT_INT(fsal_read(&f->call, span_cstr(path), 0, text, sizeof(text), &n, &eof), want);
	if (want == 0)
		EXPECT(eof);
	return span_of(text, n);
}

static void body_round_trip(void *arg)
{
	struct fixture f;
	struct fsal_attr attr;
	begin(&f);
	EXPECT_INT(fsal_replace(&f.call, SPAN("w/a"), SPAN("hello")), 0);
	EXPECT(span_is(read_all(&f, "w/a", 0), "hello"));
	EXPECT_INT(fchmodat(f.root, "w/a", 0750, 0), 0);
	EXPECT_INT(fsal_replace(&f.call, SPAN("w/a"), SPAN("")), 0);
	EXPECT_INT(fsal_getattr(&f.call, SPAN("w/a"), &attr), 0);
	EXPECT_INT(attr.mode & 07777, 0750);
	EXPECT(attr.size_bytes == 0);
	EXPECT_INT(fsal_write(&f.call, SPAN("w/b"), 3, SPAN("xyz"), false), -ENOENT);
	EXPECT_INT(fsal_write(&f.call, SPAN("w/b"), 3, SPAN("xyz"), true), 0);
	EXPECT(span_eq(read_all(&f, "w/b", 0), SPAN("\0\0\0xyz")));
	EXPECT_INT(fsal_mkdir(&f.call, SPAN("w/d/e/f"), false), -ENOENT);
	EXPECT_INT(fsal_mkdir(&f.call, SPAN("w/d/e/f"), true), 0);
	EXPECT_INT(fsal_mkdir(&f.call, SPAN("w/d/e/f"), true), -EEXIST);
	EXPECT_INT(fsal_remove(&f.call, SPAN("w/d"), false), -ENOTEMPTY);
	EXPECT_INT(fsal_remove(&f.call, SPAN("w/d"), true), 0);
	EXPECT_INT(fsal_remove(&f.call, SPAN("w/d"), true), -ENOENT);
	EXPECT_INT(fsal_remove(&f.call, SPAN("w/b"), false), 0);
	end(&f);
}

static void body_policy(void *arg)
{
	struct fixture f;
	struct fsal_attr attr;
	begin(&f);
	EXPECT_INT(fsal_replace(&f.call, SPAN("x"), SPAN("1")), FSAL_DENIED);
	EXPECT(strcmp(f.operation, "FilesystemPolicyViolation") == 0);
	EXPECT(!f.allowed && f.result == -EACCES);
	EXPECT_INT(f.call.decision.code, DECISION_PATH_NOT_ALLOWED);
	EXPECT(faccessat(f.root, "x", F_OK, 0) < 0);
	EXPECT_INT(fsal_remove(&f.call, SPAN(""), true), FSAL_DENIED);
	EXPECT_INT(fsal_replace(&f.call, SPAN("w/../x"), SPAN("1")), -EINVAL);
	EXPECT_INT(fsal_getattr(&f.call, SPAN("../x"), &attr), -EINVAL);
	EXPECT_INT(fsal_getattr(&f.call, SPAN("/etc/passwd"), &attr), -EINVAL);
	EXPECT_INT(fsal_replace(&f.call, SPAN("w/a"), SPAN("12345")), 0);
	EXPECT(strcmp(f.operation, "FileWritten") == 0 && f.bytes == 5 && f.allowed);
	int before = f.records;
	(void)read_all(&f, "w/a", 0);
	EXPECT_INT(f.records, before + 1);
	fsal_detach(f.at);
	attach(&f, true);
	EXPECT_INT(fsal_replace(&f.call, SPAN("w/a"), SPAN("1")), -EROFS);
	EXPECT(span_is(read_all(&f, "w/a", 0), "12345"));
	end(&f);
}

static void body_traps(void *arg)
{
	struct fixture f;
	struct fsal_attr attr;
	begin(&f);
	EXPECT_INT(symlinkat(f.outside, f.root, "w/absolute"), 0);
	EXPECT_INT(symlinkat("../../../../etc", f.root, "w/up"), 0);
	EXPECT_INT(symlinkat("b", f.root, "w/inside"), 0);
	EXPECT_INT(symlinkat("loop", f.root, "w/loop"), 0);
	EXPECT_INT(mkfifoat(f.root, "w/fifo", 0666), 0);
	(void)read_all(&f, "w/absolute", -EXDEV);
	(void)read_all(&f, "w/up/passwd", -EXDEV);
	(void)read_all(&f, "w/loop", -ELOOP);
	(void)read_all(&f, "w/fifo", -EINVAL);
	(void)read_all(&f, "w", -EISDIR);
	EXPECT_INT(fsal_write(&f.call, SPAN("w/fifo"), 0, SPAN("x"), true), -EINVAL);
	EXPECT_INT(fsal_write(&f.call, SPAN("w/absolute"), 0, SPAN("x"), true), -EXDEV);
	EXPECT_INT(fsal_replace(&f.call, SPAN("w/absolute"), SPAN("x")), -ELOOP);
	EXPECT_INT(fsal_replace(&f.call, SPAN("w/fifo"), SPAN("x")), -EINVAL);
	EXPECT_INT(fsal_replace(&f.call, SPAN("w"), SPAN("x")), -EISDIR);
	EXPECT_INT(fsal_mkdir(&f.call, SPAN("w/up/x"), true), -EXDEV);
	EXPECT_INT(fsal_getattr(&f.call, SPAN("w/absolute"), &attr), 0);
	EXPECT(S_ISLNK(attr.mode));
	/* Deleting goes to the link, never through it. */
	EXPECT_INT(fsal_remove(&f.call, SPAN("w/absolute"), true), 0);
	EXPECT_INT(fsal_remove(&f.call, SPAN("w/up"), true), 0);
	EXPECT_INT(access(f.outside, F_OK), 0);
	EXPECT_INT(access("/etc/passwd", F_OK), 0);
	EXPECT_INT(fsal_replace(&f.call, SPAN("w/b"), SPAN("through")), 0);
	EXPECT(span_is(read_all(&f, "w/inside", 0), "through"));
	end(&f);
}

static void body_list(void *arg)
{
	struct fixture f;
	struct fsal_entry *entries;
	size_t count;
	begin(&f);
	EXPECT_INT(fsal_replace(&f.call, SPAN("w/b"), SPAN("1")), 0);
	EXPECT_INT(fsal_replace(&f.call, SPAN("w/a"), SPAN("22")), 0);
	EXPECT_INT(fsal_mkdir(&f.call, SPAN("w/c"), false), 0);
	int fd = openat(f.root, "w/bad\nname", O_CREAT | O_WRONLY, 0644);
	close(fd);
	EXPECT_INT(fsal_list(&f.call, SPAN("w"), &entries, &count), 0);
	/* The name with a line break has no canonical form and is not shown. */
	EXPECT(count == 3);
	EXPECT(span_is(entries[0].name, "a") && entries[0].attr.size_bytes == 2);
	EXPECT(span_is(entries[1].name, "b"));
	EXPECT(span_is(entries[2].name, "c") && S_ISDIR(entries[2].attr.mode));
	EXPECT_INT(fsal_list(&f.call, SPAN("w/a"), &entries, &count), -ENOTDIR);
	EXPECT_INT(fsal_list(&f.call, SPAN("w/none"), &entries, &count), -ENOENT);
	EXPECT_INT(fsal_list(&f.call, SPAN(""), &entries, &count), 0);
	EXPECT(count == 1);
	end(&f);
}

static void round_trip(void **state)
{
	in_fiber(body_round_trip);
}

static void policy_comes_first(void **state)
{
	in_fiber(body_policy);
}

static void traps(void **state)
{
	in_fiber(body_traps);
}

static void list_is_sorted_and_filtered(void **state)
{
	in_fiber(body_list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(policy_comes_first),
		cmocka_unit_test(traps),
		cmocka_unit_test(list_is_sorted_and_filtered),
	};
	return cmocka_run_group_tests_name("nfs/backend/local", tests, NULL, NULL);
}
