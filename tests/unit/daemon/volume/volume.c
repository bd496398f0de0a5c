/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Volumes over a real store, with directories that a driver of the test makes: a walk of random
 * requests, deaths between row and bytes, and restarts, each step held against a model.
 */
#include "daemon/volume/volume.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES = 5, EXECUTIONS = 3, STEPS = 300 };

/* A death: the next request about a directory never comes back. A failure: it is refused. */
struct disk {
	struct sandbox_driver base;
	char dir[64];
	int error; /* of the next request; 0: none */
	struct uuid stuck; /* whose directory nobody gets at */
};

struct fixture {
	struct disk disk;
	struct store *store;
	struct offload *files;
	struct fsal *fsal;
	struct volumes v;
	struct arena *arena;
	struct span why;
};

static const struct state_row final_rows[] = {{"ended", 0, STATE_FINAL}};
static const struct state_table other_states = {"other", final_rows, 1};

static void place(const struct disk *d, struct uuid id, char ret[128])
{
	char text[UUID_TEXT_BYTES];

	uuid_text(id, text);
	snprintf(ret, 128, "%s/%s", d->dir, text);
}

static int op_open(struct sandbox_driver *base, struct uuid id, int *ret_fd, int64_t deadline_ns)
{
	struct disk *d = container_of(base, struct disk, base);
	char path[128];
	int error = d->error;

	d->error = 0;
	if (uuid_eq(id, d->stuck))
		return err_raise(-EINVAL, "the disk of the test is stuck");
	if (error)
		return err_raise(error, "the disk of the test");
	place(d, id, path);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(-errno, "%s", path);
	*ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? err_sys(-errno, "%s", path) : 0;
}

static int op_remove(struct sandbox_driver *base, struct uuid id, int64_t deadline_ns)
{
	struct disk *d = container_of(base, struct disk, base);
	char path[128];

	if (uuid_eq(id, d->stuck))
		return err_raise(-EINVAL, "the disk of the test is stuck");
	place(d, id, path);
	return rmdir(path) < 0 ? err_sys(-errno, "%s", path) : 0;
}

static const struct sandbox_ops ops = {
	.kind = "test", .workspace_open = op_open, .workspace_remove = op_remove};

static void begin(struct fixture *f)
{
	char url[96];

	*f = (struct fixture){.disk = {.base.ops = &ops, .dir = "/tmp/aegis-volume-XXXXXX"}};
	EXPECT(mkdtemp(f->disk.dir) != NULL);
	snprintf(url, sizeof(url), "sqlite:%s/a.db", f->disk.dir);
	struct store_options o = {.url = url,
		.states = {&other_states, &other_states, &other_states, NULL, &volume_states}};
	EXPECT_INT(store_open(&o, &f->store), 0);
	EXPECT_INT(offload_start("files", 1, 64, &f->files), 0);
	EXPECT_INT(fsal_start(&(struct fsal_options){.objects_max = 1000}, &f->fsal), 0);
	f->v = (struct volumes){
		.store = f->store, .sandboxes = &f->disk.base, .files = f->files, .fsal = f->fsal};
	f->v.locks = volume_locks_new();
	EXPECT(f->v.locks != NULL);
	EXPECT_INT(event_bus_start(&(struct event_bus_options){.store = f->store}, &f->v.bus), 0);
	f->arena = arena_new(256 * 1024 * 1024);
}

static void end(struct fixture *f)
{
	EXPECT_INT(store_check(f->store, DEADLINE_NONE), 0);
	event_bus_stop(f->v.bus);
	volume_locks_free(f->v.locks);
	fsal_stop(f->fsal);
	offload_stop(f->files);
	store_close(f->store);
	arena_free(f->arena);
	EXPECT_INT(fd_remove_tree(AT_FDCWD, f->disk.dir), 0);
}

static int create(struct fixture *f, const char *name, int64_t ttl_hours, struct store_volume *ret)
{
	const struct volume_request q = {
		.tenant_id = SPAN("local"), .name = span_cstr(name), .ttl_hours = ttl_hours};

	return volume_create(&f->v, &q, f->arena, ret, &f->why, DEADLINE_NONE);
}

static bool on_disk(const struct fixture *f, struct uuid id)
{
	char path[128];

	place(&f->disk, id, path);
	return access(path, F_OK) == 0;
}

/* ---- the walk ---- */

enum has { HAS_NOT, READS, WRITES };

struct slot {
	bool is;
	enum volume_state state;
	struct uuid id;
	enum has has[EXECUTIONS];
};

static int holders(const struct slot *s)
{
	int n = 0;

	for (int i = 0; i < EXECUTIONS; i++)
		n += s->has[i] != HAS_NOT;
	return n;
}

static bool is_written(const struct slot *s)
{
	for (int i = 0; i < EXECUTIONS; i++)
		if (s->has[i] == WRITES)
			return true;
	return false;
}

struct model {
	struct fixture f;
	struct slot slots[NAMES];
	bool dead[EXECUTIONS]; /* at the next restart */
	unsigned seed;
};

static unsigned dice(struct model *m, unsigned sides)
{
	m->seed = m->seed * 1103515245 + 12345;
	return (m->seed >> 16) % sides;
}

static struct uuid execution_of(int n)
{
	return (struct uuid){{0xe0, (uint8_t)(n + 1)}};
}

static void compare_loans(struct model *m, const struct slot *s, const struct store_volume *row)
{
	struct volume_loans loans;

	EXPECT_INT(volume_loans(row, m->f.arena, &loans), 0);
	EXPECT_INT((int)loans.count, holders(s));
	for (size_t i = 0; i < loans.count; i++)
		for (int n = 0; n < EXECUTIONS; n++)
			if (uuid_eq(loans.items[i].execution, execution_of(n)))
				EXPECT_INT(loans.items[i].read_only ? READS : WRITES, s->has[n]);
}

static void compare(struct model *m)
{
	for (int i = 0; i < NAMES; i++) {
		const struct slot *s = &m->slots[i];
		struct store_volume row;
		if (!s->is)
			continue;
		EXPECT_INT(store_volume_get(m->f.store, s->id, m->f.arena, &row, DEADLINE_NONE), 0);
		EXPECT_INT(state_parse(&volume_states, row.status), s->state);
		compare_loans(m, s, &row);
		if (s->state == VOLUME_AVAILABLE || s->state == VOLUME_ATTACHED ||
			s->state == VOLUME_DETACHED)
			EXPECT(on_disk(&m->f, s->id));
		if (s->state == VOLUME_CREATING || s->state == VOLUME_DELETED)
			EXPECT(!on_disk(&m->f, s->id));
	}
}

static void step_create(struct model *m, int i)
{
	struct slot *s = &m->slots[i];
	struct store_volume row;
	char name[16];
	static const int errors[] = {0, 0, 0, -EIO, -ECANCELED};
	int error = errors[dice(m, ARRAY_LEN(errors))];
	bool taken = s->is && s->state != VOLUME_DELETED;

	snprintf(name, sizeof(name), "v%d", i);
	m->f.disk.error = taken ? 0 : error;
	int r = create(&m->f, name, 0, &row);
	EXPECT_INT(r, taken ? VOLUME_CONFLICT : error == -ECANCELED ? -ECANCELED : 0);
	err_clear();
	if (taken)
		return;
	if (r < 0) /* it died: the row is all there is */
		EXPECT_INT(volume_find(&m->f.v, SPAN("local"), span_cstr(name), m->f.arena, &row,
				   DEADLINE_NONE),
			0);
	*s = (struct slot){.is = true,
		.id = row.id,
		.state = error == -EIO ? VOLUME_FAILED
			: r < 0        ? VOLUME_CREATING
				       : VOLUME_AVAILABLE};
}

static void step_attach(struct model *m, struct slot *s, int execution)
{
	struct volume_loan loan = {
		.execution = execution_of(execution), .read_only = dice(m, 2) == 0};
	struct store_volume row;
	int wanted = s->state == VOLUME_DELETED ? VOLUME_NOT_FOUND : VOLUME_CONFLICT;

	if (s->state == VOLUME_AVAILABLE || s->state == VOLUME_DETACHED ||
		(s->state == VOLUME_ATTACHED &&
			(s->has[execution] || loan.read_only || !is_written(s))))
		wanted = 0;
	EXPECT_INT(volume_attach(&m->f.v, SPAN("local"), s->id, &loan, m->f.arena, &row, &m->f.why,
			   DEADLINE_NONE),
		wanted);
	if (wanted == 0) {
		s->state = VOLUME_ATTACHED;
		if (!s->has[execution])
			s->has[execution] = loan.read_only ? READS : WRITES;
	}
}

static void give_back(struct slot *s, int execution)
{
	s->has[execution] = HAS_NOT;
	if (s->state == VOLUME_ATTACHED && !holders(s))
		s->state = VOLUME_DETACHED;
}

static void step_detach(struct model *m, struct slot *s, int execution)
{
	EXPECT_INT(volume_detach(&m->f.v, s->id, execution_of(execution), DEADLINE_NONE), 0);
	give_back(s, execution);
}

static void step_delete(struct model *m, struct slot *s)
{
	struct store_volume row;
	bool dies = dice(m, 3) == 0;

	if (s->state == VOLUME_DELETED)
		return;
	EXPECT_INT(store_volume_get(m->f.store, s->id, m->f.arena, &row, DEADLINE_NONE), 0);
	m->f.disk.error = dies && s->state != VOLUME_ATTACHED ? -ECANCELED : 0;
	int r = volume_delete(&m->f.v, &row, m->f.arena, &m->f.why, DEADLINE_NONE);
	err_clear();
	if (s->state == VOLUME_ATTACHED) {
		EXPECT_INT(r, VOLUME_CONFLICT);
		return;
	}
	EXPECT_INT(r, dies ? -ECANCELED : 0);
	s->state = dies ? VOLUME_DELETING : VOLUME_DELETED;
}

static AWAITS int lives(void *ctx, struct uuid execution, bool *ret)
{
	const struct model *m = ctx;

	*ret = true;
	for (int i = 0; i < EXECUTIONS; i++)
		if (uuid_eq(execution, execution_of(i)))
			*ret = !m->dead[i];
	return 0;
}

static void step_restart(struct model *m)
{
	for (int i = 0; i < EXECUTIONS; i++)
		m->dead[i] = dice(m, 2) == 0;
	EXPECT_INT(volumes_settle(&m->f.v, lives, m, DEADLINE_NONE), 0);
	for (int i = 0; i < NAMES; i++) {
		struct slot *s = &m->slots[i];
		if (s->is && s->state == VOLUME_CREATING)
			s->state = VOLUME_AVAILABLE;
		if (s->is && s->state == VOLUME_DELETING)
			s->state = VOLUME_DELETED;
		for (int n = 0; s->is && n < EXECUTIONS; n++)
			if (m->dead[n])
				give_back(s, n);
	}
}

static void body_walk(void *arg)
{
	struct model m = {.seed = 20};

	begin(&m.f);
	for (int n = 0; n < STEPS; n++) {
		struct slot *s = &m.slots[dice(&m, NAMES)];
		int execution = (int)dice(&m, EXECUTIONS);
		unsigned what = dice(&m, 10);
		if (!s->is || what < 2)
			step_create(&m, (int)(s - m.slots));
		else if (what < 5)
			step_attach(&m, s, execution);
		else if (what < 7)
			step_detach(&m, s, execution);
		else if (what < 9)
			step_delete(&m, s);
		else
			step_restart(&m);
		compare(&m);
		arena_reset(m.f.arena);
	}
	end(&m.f);
}

/* ---- single things ---- */

static int attach(struct fixture *f, struct uuid id, int execution, struct store_volume *ret)
{
	const struct volume_loan loan = {.execution = execution_of(execution)};

	return volume_attach(
		&f->v, SPAN("local"), id, &loan, f->arena, ret, &f->why, DEADLINE_NONE);
}

static void body_owned(void *arg)
{
	struct volume_loan loan = {.execution = execution_of(0), .owned = true};
	struct fixture f;
	struct store_volume row;

	begin(&f);
	EXPECT_INT(create(&f, "scratch", 1, &row), 0);
	EXPECT_INT(volume_attach(&f.v, SPAN("local"), row.id, &loan, f.arena, &row, &f.why,
			   DEADLINE_NONE),
		0);
	EXPECT(on_disk(&f, row.id));
	/* Its end dies in between: it has expired, and the reaper finds it. */
	f.disk.error = -ECANCELED;
	EXPECT_INT(volume_detach(&f.v, row.id, loan.execution, DEADLINE_NONE), -ECANCELED);
	err_clear();
	EXPECT(on_disk(&f, row.id));
	EXPECT_INT(volumes_settle(&f.v, NULL, NULL, DEADLINE_NONE), 0);
	EXPECT(!on_disk(&f, row.id));
	EXPECT_INT(create(&f, "scratch", 1, &row), 0);
	EXPECT_INT(volume_attach(&f.v, SPAN("local"), row.id, &loan, f.arena, &row, &f.why,
			   DEADLINE_NONE),
		0);
	EXPECT_INT(volume_detach(&f.v, row.id, loan.execution, DEADLINE_NONE), 0);
	EXPECT(!on_disk(&f, row.id));
	end(&f);
}

/* No more readers than there is room for in its row. */
static void body_readers(void *arg)
{
	struct volume_loan loan = {.read_only = true};
	struct fixture f;
	struct store_volume a, row;
	struct volume_loans loans;

	begin(&f);
	EXPECT_INT(create(&f, "shared", 0, &a), 0);
	for (int i = 0; i <= LIMIT_VOLUME_HOLDERS; i++) {
		loan.execution = execution_of(i);
		EXPECT_INT(volume_attach(&f.v, SPAN("local"), a.id, &loan, f.arena, &row, &f.why,
				   DEADLINE_NONE),
			i < LIMIT_VOLUME_HOLDERS ? 0 : VOLUME_CONFLICT);
	}
	EXPECT_INT(volume_loans(&row, f.arena, &loans), 0);
	EXPECT_INT((int)loans.count, LIMIT_VOLUME_HOLDERS);
	for (int i = 0; i < LIMIT_VOLUME_HOLDERS; i++)
		EXPECT_INT(volume_detach(&f.v, a.id, execution_of(i), DEADLINE_NONE), 0);
	EXPECT_INT(attach(&f, a.id, 0, &row), 0);
	end(&f);
}

static AWAITS int nobody_lives(void *ctx, struct uuid execution, bool *ret)
{
	*ret = false;
	return 0;
}

/* More rows than one round, of which some cannot be settled: the others are. */
static void body_many(void *arg)
{
	enum { MANY = 130 };
	struct fixture f;
	struct store_volume rows[MANY], row;
	char name[16];

	begin(&f);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		EXPECT_INT(create(&f, name, 0, &rows[i]), 0);
		EXPECT_INT(attach(&f, rows[i].id, i, &row), 0);
	}
	EXPECT_INT(volumes_settle(&f.v, nobody_lives, NULL, DEADLINE_NONE), 0);
	for (int i = 0; i < MANY; i++) {
		EXPECT_INT(volume_find(&f.v, SPAN("local"), rows[i].name, f.arena, &rows[i],
				   DEADLINE_NONE),
			0);
		EXPECT(strcmp(rows[i].status, "detached") == 0);
	}
	for (int i = 0; i < 2; i++) {
		f.disk.error = -ECANCELED;
		EXPECT_INT(
			volume_delete(&f.v, &rows[i], f.arena, &f.why, DEADLINE_NONE), -ECANCELED);
		err_clear();
	}
	f.disk.stuck = rows[1].id;
	EXPECT_INT(volumes_settle(&f.v, nobody_lives, NULL, DEADLINE_NONE), 0);
	EXPECT(!on_disk(&f, rows[0].id) && on_disk(&f, rows[1].id));
	f.disk.stuck = (struct uuid){{0}};
	EXPECT_INT(volumes_settle(&f.v, nobody_lives, NULL, DEADLINE_NONE), 0);
	EXPECT(!on_disk(&f, rows[1].id));
	end(&f);
}

static void body_expiry(void *arg)
{
	struct fixture f;
	struct store_volume free_one, held, kept, row;
	const int64_t hour_ns = 3600 * NS_PER_S;

	begin(&f);
	EXPECT_INT(create(&f, "free", 1, &free_one), 0);
	EXPECT_INT(create(&f, "held", 1, &held), 0);
	EXPECT_INT(create(&f, "kept", 0, &kept), 0);
	EXPECT_INT(attach(&f, held.id, 0, &row), 0);
	EXPECT_INT(volumes_reap(&f.v, rt_wall_ns() + hour_ns / 2, DEADLINE_NONE), 0);
	EXPECT(on_disk(&f, free_one.id));
	EXPECT_INT(volumes_reap(&f.v, rt_wall_ns() + 2 * hour_ns, DEADLINE_NONE), 0);
	EXPECT(!on_disk(&f, free_one.id) && on_disk(&f, held.id) && on_disk(&f, kept.id));
	EXPECT_INT(volume_detach(&f.v, held.id, execution_of(0), DEADLINE_NONE), 0);
	EXPECT_INT(volumes_reap(&f.v, rt_wall_ns() + 2 * hour_ns, DEADLINE_NONE), 0);
	EXPECT(!on_disk(&f, held.id) && on_disk(&f, kept.id));
	end(&f);
}

static void body_names(void *arg)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "a b", "-a", "\xc3\xa9",
		"00000000-0000-4000-8000-000000000000",
		"a234567890123456789012345678901234567890123456789012345678901234"};
	const struct volume_loan loan = {.execution = execution_of(0)};
	struct fixture f;
	struct store_volume a, b, row;

	begin(&f);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		EXPECT_INT(create(&f, bad[i], 0, &a), VOLUME_INVALID);
	EXPECT_INT(create(&f, "A.b_c-9", 0, &a), 0);
	EXPECT_INT(create(&f, "b", 0, &b), 0);
	EXPECT_INT(volume_rename(&f.v, &b, SPAN("A.b_c-9"), f.arena, &row, &f.why, DEADLINE_NONE),
		VOLUME_CONFLICT);
	EXPECT_INT(volume_rename(&f.v, &b, SPAN("c"), f.arena, &row, &f.why, DEADLINE_NONE), 0);
	EXPECT(span_is(row.name, "c"));
	/* Another tenant's is nobody's. */
	EXPECT_INT(volume_find(&f.v, SPAN("other"), SPAN("c"), f.arena, &row, DEADLINE_NONE),
		VOLUME_NOT_FOUND);
	EXPECT_INT(volume_attach(
			   &f.v, SPAN("other"), b.id, &loan, f.arena, &row, &f.why, DEADLINE_NONE),
		VOLUME_NOT_FOUND);
	end(&f);
}

static void body_usage(void *arg)
{
	struct fixture f;
	struct store_volume a;
	struct fsal_usage before, after;
	char path[160], dir[128];
	static const char text[100000] = {1};

	begin(&f);
	EXPECT_INT(create(&f, "a", 0, &a), 0);
	EXPECT_INT(volume_usage(&f.v, &a, &before, DEADLINE_NONE), 0);
	place(&f.disk, a.id, dir);
	snprintf(path, sizeof(path), "%s/file", dir);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	EXPECT_INT(write(fd, text, sizeof(text)), sizeof(text));
	EXPECT_INT(fsync(fd), 0);
	close(fd);
	EXPECT_INT(volume_usage(&f.v, &a, &after, DEADLINE_NONE), 0);
	EXPECT(after.bytes >= before.bytes + sizeof(text) && after.inodes == before.inodes + 1);
	EXPECT_INT(unlink(path), 0);
	EXPECT_INT(volume_usage(&f.v, &a, &after, DEADLINE_NONE), 0);
	EXPECT(after.inodes == before.inodes && after.bytes < before.bytes + sizeof(text));
	end(&f);
}

static void table_is_sound(void **state)
{
	assert_int_equal(state_table_check(&volume_states), 0);
}

/* ---- what uploads left ---- */

static void put_file(const struct fixture *f, struct uuid id, const char *name)
{
	char path[256];

	place(&f->disk, id, path);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	EXPECT(fd >= 0);
	close(fd);
}

static bool has_file(const struct fixture *f, struct uuid id, const char *name)
{
	char path[256];

	place(&f->disk, id, path);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", name);
	return access(path, F_OK) == 0;
}

static void sweep_later(void *arg)
{
	EXPECT_INT(volumes_sweep(arg, DEADLINE_NONE), 0);
}

static void body_sweep(void *arg)
{
	struct fixture f;
	struct store_volume a, lent, row;
	struct volume_files *open_files;
	struct group g;
	char part[VOLUME_PART_BYTES], below[16 + VOLUME_PART_BYTES], other[16 + VOLUME_PART_BYTES];
	char path[128];

	begin(&f);
	struct rule_set_builder *b = rule_set_builder_new();
	struct rule_set *rules = rule_set_seal(b);
	rule_set_builder_free(b);
	volume_part_name(part);
	snprintf(below, sizeof(below), "x/%s", part);
	snprintf(other, sizeof(other), "x/%.*s", (int)strlen(part) - 1, part);
	EXPECT_INT(create(&f, "swept", 0, &a), 0);
	EXPECT_INT(create(&f, "lent", 0, &lent), 0);
	EXPECT_INT(attach(&f, lent.id, 0, &row), 0);
	place(&f.disk, a.id, path);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/x");
	EXPECT_INT(mkdir(path, 0700), 0);
	put_file(&f, a.id, part);
	put_file(&f, a.id, below);
	put_file(&f, a.id, other);
	put_file(&f, lent.id, part);

	/* While somebody writes there, his is not touched. */
	EXPECT_INT(volume_files_open(
			   &f.v, a.id, rules, true, f.arena, &open_files, &f.why, DEADLINE_NONE),
		0);
	group_init(&g);
	EXPECT_INT(group_spawn(&g, "sweep", FIBER_LARGE, sweep_later, &f.v), 0);
	for (int i = 0; i < 20; i++)
		fiber_yield();
	EXPECT(has_file(&f, a.id, part));
	volume_files_close(open_files);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	group_close(&g);
	EXPECT(!has_file(&f, a.id, part) && !has_file(&f, a.id, below));
	EXPECT(has_file(&f, a.id, other)); /* no name of ours */
	EXPECT(has_file(&f, lent.id, part)); /* its agent's */
	rule_set_unref(rules);
	end(&f);
}

#define IN_FIBER(name) \
	static void name(void **state) \
	{ \
		in_fiber(body_##name); \
	}
IN_FIBER(walk)
IN_FIBER(owned)
IN_FIBER(readers)
IN_FIBER(many)
IN_FIBER(expiry)
IN_FIBER(names)
IN_FIBER(usage)
IN_FIBER(sweep)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_sound),
		cmocka_unit_test(walk),
		cmocka_unit_test(owned),
		cmocka_unit_test(readers),
		cmocka_unit_test(many),
		cmocka_unit_test(expiry),
		cmocka_unit_test(names),
		cmocka_unit_test(usage),
		cmocka_unit_test(sweep),
	};
	return cmocka_run_group_tests_name("daemon/volume", tests, NULL, NULL);
}
