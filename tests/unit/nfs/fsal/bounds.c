/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Many objects: what the layer keeps is bounded by its options, and what it had to forget is found
 * again. The backend makes files up: each number is the name of one.
 */
#include "tests/unit/nfs/fsal/fixture.h"
#include "nfs/fsal/backend.h"
#include <stdio.h>
#include <stdlib.h>

enum { KEPT = 5000, MORE = 8192, MANY = 100 * 1000, OLD = 500 };

struct numbers {
	long nodes; /* that the layer knows */
	long most;
	uint64_t finds;
};

static struct fsal_attr attr_of_number(uint64_t n)
{
	return (struct fsal_attr){.file_id = n,
		.mode = n ? S_IFREG | 0644 : S_IFDIR | 0755,
		.nlink = 1,
		.born_ns = 1};
}

static void id_of_number(uint64_t n, struct fsal_id *ret)
{
	ret->n = sizeof(n);
	memcpy(ret->bytes, &n, sizeof(n));
}

static int root(void *v, const struct fsal_io *io, struct fsal_new *ret)
{
	struct numbers *x = v;
	*ret = (struct fsal_new){.attr = attr_of_number(0)};
	id_of_number(0, &ret->id);
	x->nodes++;
	return 0;
}

static int lookup(void *v, const struct fsal_io *io, struct fsal_node *dir, struct span name,
	struct fsal_attr *ret)
{
	uint64_t n;
	if (span_to_u64(name, &n) < 0 || n == 0)
		return -ENOENT;
	*ret = attr_of_number(n);
	return 0;
}

static int identify(void *v, const struct fsal_io *io, struct fsal_node *dir, struct span name,
	const struct fsal_attr *attr, struct fsal_id *ret)
{
	struct numbers *x = v;
	id_of_number(attr->file_id, ret);
	x->nodes++;
	x->most = MAX(x->most, x->nodes);
	return 0;
}

static int find(void *v, const struct fsal_io *io, struct span id, struct buf *ret_path)
{
	struct numbers *x = v;
	uint64_t n;
	memcpy(&n, id.p, sizeof(n));
	x->finds++;
	buf_printf(ret_path, "%llu", (unsigned long long)n);
	return 0;
}

static void forget(void *v, struct fsal_node *n)
{
	struct numbers *x = v;
	x->nodes--;
}

static int getattr(void *v, const struct fsal_io *io, struct fsal_node *n, struct fsal_attr *ret)
{
	*ret = attr_of_number(n->file_id);
	return 0;
}

static int read_(void *v, const struct fsal_io *io, struct fsal_node *n, uint64_t offset, void *p,
	size_t size, size_t *ret_n)
{
	*ret_n = 0;
	return 0;
}

static int readdir_(void *v, const struct fsal_io *io, struct fsal_node *dir, uint64_t cookie,
	fsal_backend_dirent_fn fn, void *ctx, bool *ret_eof)
{
	*ret_eof = true;
	return 0;
}

static int statfs_(void *v, const struct fsal_io *io, struct fsal_statfs *ret)
{
	*ret = (struct fsal_statfs){0};
	return 0;
}

static int usage(void *v, const struct fsal_io *io, struct fsal_usage *ret)
{
	*ret = (struct fsal_usage){0};
	return 0;
}

static void close_(void *v)
{
	struct numbers *x = v;
	EXPECT_INT(x->nodes, 0);
}

static const struct fsal_backend backend = {
	.name = "numbers",
	.root = root,
	.lookup = lookup,
	.identify = identify,
	.find = find,
	.forget = forget,
	.getattr = getattr,
	.read = read_,
	.readdir = readdir_,
	.statfs = statfs_,
	.usage = usage,
	.close = close_,
};

struct stage {
	struct fsal *fsal;
	struct numbers numbers;
	struct fsal_volume *volume;
	struct fsal_attachment *at;
	struct fsal_call call;
};

static void stage_begin(struct stage *s)
{
	struct fsal_options o = {.key = {1}, .objects_max = KEPT};
	struct fsal_attach_options a = {
		.execution_id = SPAN("e"), .mount_path = SPAN("/w"), .open = true};

	*s = (struct stage){.call = {.may_park = true, .deadline_ns = DEADLINE_NONE}};
	EXPECT_INT(fsal_start(&o, &s->fsal), 0);
	EXPECT_INT(fsal_volume_new(s->fsal, &backend, &s->numbers, SPAN("v"), &s->volume), 0);
	EXPECT_INT(fsal_attach(s->volume, &a, &s->at), 0);
}

static void stage_end(struct stage *s)
{
	fsal_detach(s->at);
	EXPECT(fsal_volume_free(s->volume) == NULL);
	fsal_stop(s->fsal);
}

static int look(struct stage *s, uint64_t n, struct fsal_object **ret)
{
	struct fsal_attr a;
	struct fsal_post post;
	char name[24];
	int k = snprintf(name, sizeof(name), "%llu", (unsigned long long)n);
	return fsal_lookup(&s->call, fsal_root(s->at), span_of(name, (size_t)k), ret, &a, &post);
}

static void body_many(void *arg)
{
	static char old[OLD][FSAL_HANDLE_BYTES];
	struct fsal_object *o;
	struct fsal_stats stats;
	struct fsal_attr a;
	struct stage s;
	size_t n = 0;

	stage_begin(&s);
	for (uint64_t i = 1; i <= MANY; i++) {
		EXPECT_INT(look(&s, i, &o), 0);
		if (i <= OLD) {
			n = fsal_handle(o).n;
			memcpy(old[i - 1], fsal_handle(o).p, n);
		}
	}
	fsal_stats_get(s.fsal, &stats);
	EXPECT(stats.objects <= KEPT + MORE);
	EXPECT(s.numbers.most <= KEPT + MORE);
	for (uint64_t i = 0; i < OLD; i++) {
		EXPECT_INT(fsal_find(s.fsal, &s.call, span_of(old[i], n), &o), 0);
		EXPECT_INT(fsal_getattr(&s.call, o, &a), 0);
		EXPECT(a.file_id == i + 1);
	}
	EXPECT(s.numbers.finds == OLD); /* all had been forgotten */
	stage_end(&s);
}

static void many_objects_are_bounded_and_found_again(void **state)
{
	in_fiber(body_many);
}

/* With everything held there is no room, which is said; then there is again. */
static void body_held(void *arg)
{
	struct fsal_object **held = calloc(2 * (KEPT + MORE), sizeof(struct fsal_object *));
	struct fsal_object *o;
	struct stage s;
	size_t n = 0;
	int r = 0;

	stage_begin(&s);
	while (n < 2 * (KEPT + MORE) && (r = look(&s, n + 1, &o)) == 0)
		held[n++] = fsal_ref(o);
	EXPECT_INT(r, -ENOMEM);
	s.numbers.nodes--; /* identified, and not kept */
	EXPECT(n >= KEPT && n <= KEPT + MORE);
	while (n > 0)
		fsal_unref(held[--n]);
	for (uint64_t i = 1; i <= KEPT; i++)
		EXPECT_INT(look(&s, MANY + i, &o), 0);
	stage_end(&s);
	free(held);
}

static void held_objects_are_bounded(void **state)
{
	in_fiber(body_held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_objects_are_bounded_and_found_again),
		cmocka_unit_test(held_objects_are_bounded),
	};
	return cmocka_run_group_tests_name("nfs/fsal/bounds", tests, NULL, NULL);
}
