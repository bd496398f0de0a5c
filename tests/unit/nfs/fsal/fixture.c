/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/nfs/fsal/fixture.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void note_question(struct seen *s, const struct fsal_record *r)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 16);
	struct buf b CLEANUP(buf_fini) = buf_init(sizeof(s->question) - 1);
	struct json_writer w = json_writer(&b);
	struct decision_request q;

	if (!r->decision->policy_set.n)
		return;
	EXPECT_INT(fsal_record_request(r, a, &q), 0);
	decision_request_put(&w, &q);
	snprintf(s->question, sizeof(s->question), "%s", buf_cstr(&b));
}

void fixture_observe(void *ctx, const struct fsal_record *r)
{
	struct fixture *f = ctx;

	f->lost += r->lost_before;
	if (!r->operation)
		return;
	if (f->seen_count++ >= SEEN_MAX)
		return;
	struct seen *s = &f->seen[f->seen_count - 1];
	*s = (struct seen){.offset = r->offset,
		.bytes = r->bytes,
		.count = r->count,
		.lost_before = r->lost_before,
		.iteration = r->iteration,
		.result = r->result,
		.allowed = r->decision->allowed};
	snprintf(s->operation, sizeof(s->operation), "%s", r->operation ? r->operation : "");
	snprintf(s->path, sizeof(s->path), SPAN_FMT, SPAN_ARG(r->path));
	snprintf(s->call, sizeof(s->call), SPAN_FMT, SPAN_ARG(r->call_id));
	snprintf(s->policy, sizeof(s->policy), SPAN_FMT, SPAN_ARG(r->decision->policy_id));
	note_question(s, r);
}

const struct seen *fixture_saw(const struct fixture *f, const char *operation, const char *path)
{
	for (size_t i = 0; i < MIN(f->seen_count, (size_t)SEEN_MAX); i++)
		if (strcmp(f->seen[i].operation, operation) == 0 &&
			strcmp(f->seen[i].path, path) == 0)
			return &f->seen[i];
	return NULL;
}

void fixture_settle(struct fixture *f)
{
	for (int i = 0; i < 8; i++)
		fiber_yield();
}

static void volume_open(struct fixture *f)
{
	struct backend_local_options local = {
		.offload = f->offload, .descriptors_max = f->descriptors_max};
	struct backend_memory_options memory = {.slow = f->kind == SLOW, .objects = f->objects};

	if (f->kind == ON_DISK)
		EXPECT_INT(backend_local_open(
				   f->fsal, dup(f->folder_fd), &local, SPAN("v"), &f->volume),
			0);
	else
		EXPECT_INT(backend_memory_open(f->fsal, &memory, SPAN("v"), &f->volume), 0);
}

void fixture_attach(struct fixture *f)
{
	EXPECT_INT(fsal_attach(f->volume, &f->options, &f->at), 0);
	f->call = (struct fsal_call){.door = f->options.door,
		.may_park = true,
		.deadline_ns = DEADLINE_NONE,
		.arena = f->arena,
		.decision = &f->decision};
}

static void layer_up(struct fixture *f)
{
	f->layer.key[0] = 42;
	if (!f->layer.objects_max) /* memory for many takes its time under AddressSanitizer */
		f->layer.objects_max = 20000;
	EXPECT_INT(fsal_start(&f->layer, &f->fsal), 0);
	volume_open(f);
	fixture_attach(f);
}

void fixture_begin(struct fixture *f)
{
	strcpy(f->folder, "/tmp/aegis-fsal-XXXXXX");
	EXPECT(mkdtemp(f->folder) != NULL);
	f->folder_fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	EXPECT(f->folder_fd >= 0);
	EXPECT_INT(offload_start("files", 2, 64, &f->offload), 0);
	f->arena = arena_new(64 * 1024 * 1024);
	if (!f->options.execution_id.n)
		f->options.execution_id = SPAN("e");
	f->options.agent = SPAN("a");
	f->options.mount_path = SPAN("/workspace");
	f->options.open = !f->options.rules;
	layer_up(f);
}

static void layer_down(struct fixture *f)
{
	fsal_detach(f->at);
	f->volume = fsal_volume_free(f->volume);
	fsal_stop(f->fsal);
}

void fixture_restart(struct fixture *f)
{
	layer_down(f);
	layer_up(f);
}

void fixture_end(struct fixture *f)
{
	layer_down(f);
	offload_stop(f->offload);
	rule_set_unref(f->options.rules);
	arena_free(f->arena);
	close(f->folder_fd);
	EXPECT_INT(fd_remove_tree(AT_FDCWD, f->folder), 0);
}

struct rule_set *rules_of(const char *const *read, const char *const *write)
{
	struct rule_set_builder *b = rule_set_builder_new();

	for (; *read; read++)
		EXPECT_INT(
			rule_allow_path(b, "fs:read", *read, (struct rule_origin){.field = *read}),
			0);
	for (; *write; write++)
		EXPECT_INT(rule_allow_path(
				   b, "fs:write", *write, (struct rule_origin){.field = *write}),
			0);
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	return s;
}

/* ---- operations ---- */

struct fsal_object *root_of(struct fixture *f)
{
	return fsal_root(f->at);
}

struct fsal_object *walk_to(struct fixture *f, const char *path, int want)
{
	struct fsal_object *o = NULL;
	int r = fsal_walk(&f->call, f->at, span_cstr(path), true, &o);
	EXPECT_INT(r, want);
	return r == 0 ? fsal_ref(o) : NULL;
}

static void hand_out(int r, struct fsal_object *o, struct fsal_object **ret)
{
	if (ret)
		*ret = r == 0 ? fsal_ref(o) : NULL;
}

int make_file(struct fixture *f, struct fsal_object *dir, const char *name, uint32_t mode,
	struct fsal_object **ret)
{
	struct fsal_sattr s = {.set_mode = true, .mode = mode};
	struct fsal_made made;
	int r = fsal_create(&f->call, dir, span_cstr(name), FSAL_GUARDED, &s, NULL, &made);
	hand_out(r, made.object, ret);
	return r;
}

int make_dir(struct fixture *f, struct fsal_object *dir, const char *name, struct fsal_object **ret)
{
	struct fsal_sattr s = {.set_mode = true, .mode = 0755};
	struct fsal_made made;
	int r = fsal_mkdir(&f->call, dir, span_cstr(name), &s, &made);
	hand_out(r, made.object, ret);
	return r;
}

int write_text(struct fixture *f, struct fsal_object *o, uint64_t offset, const char *text)
{
	enum fsal_stability committed;
	struct fsal_wcc wcc;
	return fsal_write(&f->call, o, offset, span_cstr(text), FSAL_UNSTABLE, &committed, &wcc);
}

bool has_text(struct fixture *f, struct fsal_object *o, const char *text)
{
	static char p[64 * 1024];
	struct fsal_post post;
	size_t n = 0;
	bool eof = false;
	int r = fsal_read(&f->call, o, 0, p, sizeof(p), &n, &eof, &post);
	return r == 0 && eof && post.present && span_is(span_of(p, n), text);
}

int look_up(struct fixture *f, struct fsal_object *dir, const char *name, struct fsal_object **ret)
{
	struct fsal_object *o;
	struct fsal_attr attr;
	struct fsal_post post;
	int r = fsal_lookup(&f->call, dir, span_cstr(name), &o, &attr, &post);
	hand_out(r, o, ret);
	return r;
}

int unlink_name(struct fixture *f, struct fsal_object *dir, const char *name)
{
	struct fsal_wcc wcc;
	return fsal_remove(&f->call, dir, span_cstr(name), &wcc);
}

int rename_to(struct fixture *f, struct fsal_object *from, const char *a, struct fsal_object *to,
	const char *b)
{
	struct fsal_wcc wa, wb;
	return fsal_rename(&f->call, from, span_cstr(a), to, span_cstr(b), &wa, &wb);
}

struct fsal_attr attr_of(struct fixture *f, struct fsal_object *o)
{
	struct fsal_attr a = {0};
	EXPECT_INT(fsal_getattr(&f->call, o, &a), 0);
	return a;
}

bool fixture_powers(uint32_t effective[2], bool take)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return false;
	for (int i = 0; i < 2; i++) {
		if (take) {
			effective[i] = data[i].effective;
			data[i].effective = 0;
		} else {
			data[i].effective = effective[i];
		}
	}
	return syscall(SYS_capset, &head, data) == 0;
}
