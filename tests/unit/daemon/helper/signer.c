/* SPDX-License-Identifier: AGPL-3.0-only */
/* The signer signs what extends, once, and remembers it over restarts. */
#include "daemon/helper/signer.h"
#include "tests/tap.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	char dir[64];
	struct signer *signer;
};

static int setup(void **state)
{
	char path[128];
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "/tmp/aegis-signer-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(path, sizeof(path), "%s/helper", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(signer_open(f->dir, &f->signer), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	signer_close(f->signer);
	assert_int_equal(fd_remove_tree(AT_FDCWD, f->dir), 0);
	free(f);
	err_clear();
	return 0;
}

static void reopen(struct fixture *f)
{
	f->signer = signer_close(f->signer);
	assert_int_equal(signer_open(f->dir, &f->signer), 0);
}

static const char *file(const struct fixture *f, const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/helper/%s", f->dir, name);
	return path;
}

static struct head head_of(uint8_t journal, uint64_t record, uint8_t hash, uint8_t previous)
{
	return (struct head){
		.journal = {{journal}},
		.segment = record / 100,
		.record = record,
		.hash = {hash},
		.previous = {previous},
	};
}

static int sign(struct fixture *f, struct head h, struct head_signed *ret)
{
	return signer_sign(f->signer, &h, ret);
}

static void test_chain(void **state)
{
	struct fixture *f = *state;
	struct head_signed s;
	assert_null(signer_last(f->signer, (struct uuid){{1}}));
	for (uint8_t i = 1; i < 10; i++) {
		assert_int_equal(sign(f, head_of(1, i * 50U, i, (uint8_t)(i - 1)), &s), 0);
		assert_int_equal(s.counter, i);
		assert_true(head_verify(&s, signer_public_key(f->signer)));
		if (i % 3 == 0)
			reopen(f);
	}
	assert_int_equal(signer_last(f->signer, (struct uuid){{1}})->head.record, 450);
}

static void test_refuses_what_does_not_extend(void **state)
{
	struct fixture *f = *state;
	struct head_signed s;
	assert_int_equal(sign(f, head_of(1, 5, 1, 9), &s), -ESTALE); /* a first with a past */
	assert_int_equal(sign(f, head_of(1, 500, 1, 0), &s), 0);
	assert_int_equal(sign(f, head_of(1, 500, 2, 1), &s), -ESTALE); /* same record */
	assert_int_equal(sign(f, head_of(1, 400, 2, 1), &s), -ESTALE); /* back */
	assert_int_equal(sign(f, head_of(1, 600, 2, 0), &s), -ESTALE); /* a second first */
	assert_int_equal(sign(f, head_of(1, 600, 2, 3), &s), -ESTALE); /* another past */
	struct head back = head_of(1, 600, 2, 1);
	back.segment = 4;
	assert_int_equal(sign(f, back, &s), -ESTALE); /* an earlier segment */
	reopen(f);
	assert_int_equal(sign(f, head_of(1, 600, 2, 0), &s), -ESTALE);
	assert_int_equal(sign(f, head_of(1, 600, 2, 1), &s), 0);
	assert_int_equal(s.counter, 2); /* refusals count nothing */
}

/* An answer that got lost may be asked for again, and is the same. */
static void test_repeats_the_last(void **state)
{
	struct fixture *f = *state;
	struct head_signed first, again;
	assert_int_equal(sign(f, head_of(1, 5, 1, 0), &first), 0);
	reopen(f);
	assert_int_equal(sign(f, head_of(1, 5, 1, 0), &again), 0);
	assert_memory_equal(&first, &again, sizeof(first));
}

static void test_journals_are_apart(void **state)
{
	struct fixture *f = *state;
	struct head_signed s;
	for (int i = 0; i < HEAD_JOURNALS_MAX; i++)
		assert_int_equal(sign(f, head_of((uint8_t)(i + 1), 5, 1, 0), &s), 0);
	assert_int_equal(s.counter, HEAD_JOURNALS_MAX);
	assert_int_equal(sign(f, head_of(200, 5, 1, 0), &s), -ENOSPC);
	assert_int_equal(sign(f, head_of(1, 6, 2, 1), &s), 0);
	reopen(f);
	assert_int_equal(signer_last(f->signer, (struct uuid){{1}})->head.record, 6);
	assert_int_equal(signer_last(f->signer, (struct uuid){{2}})->head.record, 5);
}

static void test_files(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	struct signer *other;
	static const char *const names[] = {"key", "heads"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(stat(file(f, names[i]), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(chmod(file(f, names[i]), 0640), 0);
		assert_int_equal(signer_open(f->dir, &other), -EPERM);
		assert_int_equal(chmod(file(f, names[i]), 0600), 0);
	}
	assert_int_equal(truncate(file(f, "heads"), 10), 0);
	assert_int_equal(signer_open(f->dir, &other), -EINVAL);
	assert_int_equal(unlink(file(f, "heads")), 0);
	assert_int_equal(signer_open(f->dir, &other), -ENOENT);
	assert_int_equal(truncate(file(f, "key"), 63), 0);
}

/* Not on disk, not signed: the counter and the heads stay what they were. */
static void test_disk_fails(void **state)
{
	struct fixture *f = *state;
	struct head_signed s;
	char away[128];
	snprintf(away, sizeof(away), "%s/away", f->dir);
	assert_int_equal(rename(file(f, ""), away), 0);
	assert_int_equal(sign(f, head_of(1, 5, 1, 0), &s), -ENOENT);
	assert_null(signer_last(f->signer, (struct uuid){{1}}));
	assert_int_equal(rename(away, file(f, "")), 0);
	assert_int_equal(sign(f, head_of(1, 5, 2, 0), &s), 0);
	assert_int_equal(s.counter, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest helper[] = {
		CASE(test_chain),
		CASE(test_refuses_what_does_not_extend),
		CASE(test_repeats_the_last),
		CASE(test_journals_are_apart),
		CASE(test_files),
		CASE(test_disk_fails),
	};
	return cmocka_run_group_tests(helper, NULL, NULL);
}
