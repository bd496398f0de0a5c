/* SPDX-License-Identifier: AGPL-3.0-only */
/* Policy at every operation, and what becomes of it when rules or names change. */
#include "tests/unit/nfs/fsal/fixture.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const char *const everything[] = {"/workspace", NULL};
static const char *const nothing[] = {NULL};
static const char *const open_parts[] = {"/workspace/open", "/workspace/w", NULL};
static const char *const w_only[] = {"/workspace/w", NULL};

/* open/: readable; w/: readable and writable; shut/: neither; all three hold a file "f". */
static void begin(struct fixture *f, enum fixture_kind kind)
{
	struct fsal_object *d, *o;

	*f = (struct fixture){.kind = kind, .options = {.rules = rules_of(everything, everything)}};
	fixture_begin(f);
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = {"open", "w", "shut"};
		EXPECT_INT(make_dir(f, root_of(f), names[i], &d), 0);
		EXPECT_INT(make_file(f, d, "f", 0644, &o), 0);
		EXPECT_INT(write_text(f, o, 0, names[i]), 0);
		fsal_unref(o);
		fsal_unref(d);
	}
	struct rule_set *rules = rules_of(open_parts, w_only);
	fsal_attachment_set_rules(f->at, rules);
	rule_set_unref(f->options.rules);
	f->options.rules = rules;
}

static bool denied(struct fixture *f, int r)
{
	return r == FSAL_DENIED && !f->decision.allowed && f->decision.policy_id.n > 0;
}

static void denied_on(enum fixture_kind kind)
{
	static const struct fsal_sattr none;
	struct fixture f;
	struct fsal_object *w, *o, *shut, *s, *l;
	struct fsal_made made;
	struct fsal_post post;
	struct fsal_wcc wcc;
	struct fsal_attr attr;
	struct fsal_sattr size = {.set_size = true};
	enum fsal_stability committed;
	char p[8];
	size_t n;
	bool eof;
	uint32_t granted;

	begin(&f, kind);
	w = walk_to(&f, "w", 0);
	o = walk_to(&f, "open/f", 0);
	shut = walk_to(&f, "shut", 0);
	s = walk_to(&f, "shut/f", 0);
	l = walk_to(&f, "open", 0);
	EXPECT(denied(&f, fsal_getattr(&f.call, s, &attr)));
	EXPECT(denied(&f, fsal_read(&f.call, s, 0, p, 8, &n, &eof, &post)));
	EXPECT(denied(&f, fsal_write(&f.call, s, 0, SPAN("x"), FSAL_UNSTABLE, &committed, &wcc)));
	EXPECT(denied(&f, fsal_access(&f.call, s, 0x3f, &granted, &post)));
	EXPECT(denied(&f, look_up(&f, shut, "f", NULL)));
	EXPECT(denied(&f, write_text(&f, o, 0, "x")));
	EXPECT(denied(&f, fsal_setattr(&f.call, o, &size, NULL, &wcc))); /* truncation */
	EXPECT(wcc.after.present && wcc.after.attr.size_bytes == 4);
	EXPECT(denied(&f, make_file(&f, l, "n", 0644, NULL)));
	EXPECT(denied(&f, make_dir(&f, l, "n", NULL)));
	EXPECT(denied(&f, fsal_symlink(&f.call, l, SPAN("n"), SPAN("t"), &none, &made)));
	EXPECT(denied(&f, fsal_mknod(&f.call, l, SPAN("n"), S_IFIFO, 0, 0, &none, &made)));
	EXPECT(denied(&f, unlink_name(&f, l, "f")));
	EXPECT(denied(&f, fsal_rmdir(&f.call, root_of(&f), SPAN("open"), &wcc)));
	EXPECT(denied(&f, rename_to(&f, w, "f", l, "g"))); /* across */
	EXPECT(denied(&f, rename_to(&f, l, "f", w, "g")));
	EXPECT(denied(&f, fsal_replace(&f.call, l, SPAN("f"), SPAN("x"))));
	/* A link would make readable, or writable, what is not. */
	EXPECT(denied(&f, fsal_link(&f.call, s, w, SPAN("n"), &post, &wcc)));
	EXPECT(denied(&f, fsal_link(&f.call, o, w, SPAN("n"), &post, &wcc)));
	EXPECT_INT(look_up(&f, w, "n", NULL), -ENOENT);
	/* What is allowed is. */
	EXPECT_INT(fsal_access(&f.call, o, 0x3f, &granted, &post), 0);
	EXPECT_INT(granted, FSAL_ACCESS_READ);
	EXPECT_INT(make_file(&f, w, "n", 0644, NULL), 0);
	EXPECT(f.decision.allowed && span_is(f.decision.policy_id, "/workspace/w"));
	EXPECT_INT(rename_to(&f, w, "n", w, "m"), 0);
	EXPECT_INT(fsal_access(&f.call, shut, 0x3f, &granted, &post), 0);
	EXPECT_INT(granted, FSAL_ACCESS_LOOKUP); /* to pass through */
	fsal_unref(w);
	fsal_unref(o);
	fsal_unref(shut);
	fsal_unref(s);
	fsal_unref(l);
	fixture_end(&f);
}

static void body_denied(void *arg)
{
	for (enum fixture_kind kind = ON_DISK; kind < FIXTURE_KINDS; kind++)
		denied_on(kind);
}

struct names {
	size_t count;
	char all[256];
};

static bool note(void *ctx, const struct fsal_dirent *e)
{
	struct names *n = ctx;
	n->count++;
	strncat(n->all, e->name.p, MIN(e->name.n, (size_t)20));
	strcat(n->all, "|");
	return strlen(n->all) < 200;
}

static bool listed(struct fixture *f, struct fsal_object *dir, bool objects, const char *name)
{
	struct names n = {0};
	uint64_t verifier = 0;
	struct fsal_post post;
	bool eof;
	char wanted[32];

	EXPECT_INT(fsal_readdir(&f->call, dir, 0, &verifier, objects, note, &n, &eof, &post), 0);
	snprintf(wanted, sizeof(wanted), "|%s|", name);
	return strstr(n.all, wanted) != NULL;
}

static void body_hidden(void *arg)
{
	struct fixture f;
	uint64_t verifier = 0;
	struct fsal_post post;
	bool eof;
	struct names n = {0};

	begin(&f, ON_DISK);
	struct fsal_object *shut = walk_to(&f, "shut", 0);
	EXPECT(denied(&f, fsal_readdir(&f.call, shut, 0, &verifier, false, note, &n, &eof, &post)));
	fsal_unref(shut);
	/* The root is not readable either; with the root, all of it is. */
	EXPECT(denied(&f,
		fsal_readdir(&f.call, root_of(&f), 0, &verifier, false, note, &n, &eof, &post)));
	fixture_end(&f);
	/* Some names of a folder that itself is readable: "?" stands for one byte. */
	static const char *const some[] = {"/workspac?", "/workspace/w", "/workspace/o*", NULL};
	struct rule_set *rules = rules_of(some, nothing);
	begin(&f, ON_DISK);
	fsal_attachment_set_rules(f.at, rules);
	for (int objects = 0; objects < 2; objects++) {
		EXPECT(listed(&f, root_of(&f), objects, "w"));
		EXPECT(listed(&f, root_of(&f), objects, "open"));
		EXPECT(!listed(&f, root_of(&f), objects, "shut"));
	}
	rule_set_unref(rules);
	fixture_end(&f);
}

/* The next operation knows, objects look changed, and what was learned before is forgotten. */
static void body_tightened(void *arg)
{
	struct fixture f;
	struct fsal_attr before, after;

	begin(&f, ON_DISK);
	struct fsal_object *o = walk_to(&f, "w/f", 0);
	EXPECT_INT(write_text(&f, o, 0, "1"), 0);
	before = attr_of(&f, o);
	struct rule_set *rules = rules_of(open_parts, nothing);
	fsal_attachment_set_rules(f.at, rules);
	EXPECT(denied(&f, write_text(&f, o, 0, "2")));
	after = attr_of(&f, o);
	EXPECT(after.ctime_ns > before.ctime_ns);
	rule_set_unref(rules);
	rules = rules_of(nothing, nothing);
	fsal_attachment_set_rules(f.at, rules);
	EXPECT(denied(&f, fsal_getattr(&f.call, o, &after)));
	fsal_attachment_set_rules(f.at, f.options.rules);
	rule_set_unref(rules);
	EXPECT_INT(write_text(&f, o, 0, "3"), 0);
	fsal_attachment_set_read_only(f.at, true);
	EXPECT_INT(write_text(&f, o, 0, "4"), -EROFS);
	struct fsal_object *w = walk_to(&f, "w", 0);
	EXPECT_INT(unlink_name(&f, w, "f"), -EROFS);
	EXPECT(has_text(&f, o, "3"));
	fsal_unref(w);
	fsal_unref(o);
	fixture_end(&f);
}

/* Names carry rights: moving a folder must not give what is in it any. */
static void body_moved(void *arg)
{
	static const char *const read[] = {"/workspace/a", "/workspace/b", NULL};
	static const char *const write[] = {"/workspace/a", "/workspace/b", NULL};
	struct fixture f = {.options = {.rules = rules_of(everything, everything)}};
	struct fsal_object *a, *b, *in, *deep;

	fixture_begin(&f);
	EXPECT_INT(make_dir(&f, root_of(&f), "a", &a), 0);
	EXPECT_INT(make_dir(&f, root_of(&f), "b", &b), 0);
	EXPECT_INT(make_dir(&f, root_of(&f), "c", &in), 0);
	EXPECT_INT(make_dir(&f, in, "deep", &deep), 0);
	EXPECT_INT(make_file(&f, deep, "secret", 0644, NULL), 0);
	EXPECT_INT(make_dir(&f, a, "sub", NULL), 0);
	struct rule_set *rules = rules_of(read, write);
	struct rule_set *first = f.options.rules;
	fsal_attachment_set_rules(f.at, rules);
	f.options.rules = rules;
	rule_set_unref(first);
	EXPECT(denied(&f, rename_to(&f, root_of(&f), "c", a, "c")));
	EXPECT_INT(rename_to(&f, a, "sub", b, "sub"), 0);
	f.call.may_park = false; /* which may look at much */
	EXPECT_INT(rename_to(&f, b, "sub", a, "sub"), FSAL_WOULD_PARK);
	f.call.may_park = true;
	/* A verdict goes by the name that the object has now. */
	struct fsal_object *x;
	EXPECT_INT(make_file(&f, a, "x", 0644, &x), 0);
	EXPECT_INT(write_text(&f, x, 0, "1"), 0);
	EXPECT_INT(renameat(f.folder_fd, "a/x", f.folder_fd, "c/x"), 0);
	(void)look_up(&f, in, "x", NULL);
	EXPECT(denied(&f, write_text(&f, x, 0, "2")));
	fsal_unref(x);
	fsal_unref(a);
	fsal_unref(b);
	fsal_unref(in);
	fsal_unref(deep);
	fixture_end(&f);
}

/* A folder that may be written only in part is not moved into one that may be written. */
static void body_gain(void *arg)
{
	static const char *const write[] = {"/workspace/p", "/workspace/q", "/workspace/t", NULL};
	static const char *const read[] = {"/workspace/t", "/workspace/p/open", NULL};
	struct fixture f = {.options = {.rules = rules_of(everything, everything)}};
	struct fsal_object *p, *t;

	fixture_begin(&f);
	EXPECT_INT(make_dir(&f, root_of(&f), "p", &p), 0);
	EXPECT_INT(make_dir(&f, root_of(&f), "t", &t), 0);
	EXPECT_INT(make_dir(&f, p, "open", NULL), 0);
	EXPECT_INT(make_file(&f, p, "shut", 0644, NULL), 0);
	struct rule_set *rules = rules_of(read, write), *first = f.options.rules;
	fsal_attachment_set_rules(f.at, rules);
	f.options.rules = rules;
	rule_set_unref(first);
	/* p/shut may be written, and would become readable. */
	EXPECT(denied(&f, rename_to(&f, root_of(&f), "p", t, "p")));
	EXPECT(denied(&f, rename_to(&f, p, "shut", t, "shut")));
	EXPECT_INT(rename_to(&f, p, "open", t, "open"), 0);
	EXPECT_INT(rename_to(&f, root_of(&f), "p", root_of(&f), "q"), 0);
	fsal_unref(p);
	fsal_unref(t);
	fixture_end(&f);
}

static void denied_operations(void **state)
{
	in_fiber(body_denied);
}

static void hidden_names(void **state)
{
	in_fiber(body_hidden);
}

static void tightened(void **state)
{
	in_fiber(body_tightened);
}

static void moved(void **state)
{
	in_fiber(body_moved);
}

static void no_gain(void **state)
{
	in_fiber(body_gain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(denied_operations),
		cmocka_unit_test(hidden_names),
		cmocka_unit_test(tightened),
		cmocka_unit_test(moved),
		cmocka_unit_test(no_gain),
	};
	return cmocka_run_group_tests_name("nfs/fsal/policy", tests, NULL, NULL);
}
