/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Rules about files looked up in a tree of the test's own, which stands in for a runtime: which
 * inodes they come to, and what is refused.
 */
#include "daemon/sensor/lsm.h"
#include "policy/context/context.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tests/tap.h"

static struct arena *arena;
static char dir[64], usr[96], opt[96];
static struct lsm_place places[3];

static void must(int r, const char *what)
{
	if (r < 0)
		fail_msg("%s: %s", what, strerror(errno));
}

static const char *in(const char *folder, const char *name)
{
	return arena_printf(arena, "%s/%s", folder, name);
}

static void put(const char *folder, const char *name, mode_t mode)
{
	int fd = open(in(folder, name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	must(fd, name);
	close(fd);
}

/* /usr with bin, lib and share, /opt/x from elsewhere, /bin a link to usr/bin. */
static int setup(void **state)
{
	(void)state;
	arena = arena_new(64 << 20);
	snprintf(dir, sizeof(dir), "/tmp/aegis-lsm-table-XXXXXX");
	if (!arena || !mkdtemp(dir))
		return -1;
	snprintf(usr, sizeof(usr), "%s/usr", dir);
	snprintf(opt, sizeof(opt), "%s/models", dir);
	static const char *const folders[] = {
		"usr", "usr/bin", "usr/lib", "usr/share", "usr/share/deep", "models"};
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		must(mkdir(in(dir, folders[i]), 0755), folders[i]);
	put(usr, "bin/curl", 0755);
	put(usr, "bin/python3.11", 0755);
	put(usr, "bin/notes", 0644);
	put(usr, "lib/ld-linux-x86-64.so.2", 0755);
	put(usr, "lib/libc.so.6", 0755);
	put(usr, "share/deep/secret", 0644);
	put(opt, "tool", 0755);
	must(symlink("python3.11", in(usr, "bin/python3")), "symlink");
	must(symlink("/usr/bin/curl", in(usr, "bin/fetch")), "symlink");
	must(link(in(usr, "bin/curl"), in(usr, "bin/curl-again")), "link");
	must(symlink("usr/bin", in(dir, "bin")), "symlink");
	must(symlink("/tmp", in(usr, "tmp")), "symlink");
	must(symlink("../../opt/x", in(usr, "share/more")), "symlink");
	must(symlink("nowhere", in(usr, "share/mood")), "symlink");
	must(symlink("../workspace/files", in(usr, "files")), "symlink");
	places[0] = (struct lsm_place){usr, "/usr"};
	places[1] = (struct lsm_place){opt, "/opt/x"};
	places[2] = (struct lsm_place){in(dir, "bin"), "/bin"};
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	arena = arena_free(arena);
	return 0;
}

static int make(const char *policy, const char *const *programs, struct lsm_table *ret)
{
	static const struct decision_request who = {
		.execution_id = {"e", 1}, .agent = {"a", 1}, .tenant = {"t", 1}};
	struct rule_set_builder *b = rule_set_builder_new();
	struct kernel_rules rules = {0};
	assert_int_equal(rule_add_cedar(b, span_cstr(policy), "p.cedar"), 0);
	struct rule_set *s = rule_set_seal(b);
	assert_non_null(s);
	rule_set_builder_free(b);
	assert_int_equal(rule_set_path_rules(s, &who, arena, &rules), 0);
	rule_set_unref(s); /* rules stand by themselves */
	*ret = (struct lsm_table){0};
	return lsm_table_make(&rules, places, ARRAY_LEN(places), programs, arena, ret);
}

static uint32_t rights_of(const struct lsm_table *t, const char *folder, const char *name)
{
	struct stat st;
	must(stat(in(folder, name), &st), name);
	for (size_t i = 0; i < t->count; i++)
		if (t->entries[i].key.inode == st.st_ino)
			return t->entries[i].value.rights;
	return 0;
}

#define EXEC_FORBIDDEN (LSM_FORBID_EXEC | LSM_FORBID_READ)

static void one_program_by_all_its_names(void **state)
{
	static const char *const names[] = {"/usr/bin/curl", "/usr/bin/curl-again",
		"/usr/bin/fetch", "/bin/curl", "/bin/../bin/fetch"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct lsm_table t;
		const char *policy = arena_printf(arena,
			"@id(\"c\") forbid (principal, action == Action::\"exec\", resource == "
			"Path::\"%s\");",
			names[i]);
		assert_int_equal(make(policy, NULL, &t), 0);
		assert_int_equal(t.flags, 0);
		assert_int_equal(t.count, 1);
		assert_int_equal(rights_of(&t, usr, "bin/curl"), EXEC_FORBIDDEN);
		assert_true(span_is(t.policies[t.entries[0].value.rule - 1], "c"));
		assert_true(span_is(t.paths[0], "/usr/bin/curl") ||
			span_is(t.paths[0], "/usr/bin/curl-again"));
	}
}

static void folders_and_patterns(void **state)
{
	struct lsm_table t;
	assert_int_equal(make("forbid (principal, action == Action::\"exec\", resource in "
			      "Path::\"/opt\");"
			      "forbid (principal, action == Action::\"fs:read\", resource) when { "
			      "resource in PathPattern::\"/usr/**/sec*\" };"
			      "forbid (principal, action == Action::\"fs:write\", resource in "
			      "Path::\"/usr/lib\");",
				 NULL, &t),
		0);
	assert_int_equal(rights_of(&t, opt, "tool"), EXEC_FORBIDDEN);
	assert_int_equal(rights_of(&t, usr, "share/deep/secret"), LSM_FORBID_READ);
	assert_int_equal(rights_of(&t, usr, "lib/libc.so.6"), LSM_FORBID_WRITE);
	assert_int_equal(rights_of(&t, usr, "bin/curl"), 0);
	assert_int_equal(t.count, 5); /* the folder lib and the loader, too */
}

/* A link is a name of what it leads to, for patterns that forbid; not for what they except. */
static void patterns_match_links(void **state)
{
	static const char *const whens[] = {"resource.path like \"/usr/bin/fet*\"",
		"resource in PathPattern::\"/usr/bin/f*ch\"",
		"resource in Path::\"/usr\" && resource.path like \"*/fetch\"",
		"resource.path like \"/usr/bin/fet*\" || resource == Path::\"/usr/bin/notes\""};
	struct lsm_table t;
	for (size_t i = 0; i < ARRAY_LEN(whens); i++) {
		const char *policy = arena_printf(arena,
			"forbid (principal, action == Action::\"exec\", resource) when { %s };",
			whens[i]);
		assert_int_equal(make(policy, NULL, &t), 0);
		assert_int_equal(rights_of(&t, usr, "bin/curl"), EXEC_FORBIDDEN);
		assert_int_equal(rights_of(&t, usr, "bin/python3.11"), 0);
	}
	assert_int_equal(make("forbid (principal, action == Action::\"exec\", resource) unless { "
			      "resource.path like \"/usr/bin/fet*\" };",
				 NULL, &t),
		0);
	assert_int_equal(t.flags, LSM_LISTED_PROGRAMS);
	assert_int_equal(rights_of(&t, usr, "bin/curl"), 0);
	/* Of what the real name excepts nothing is forbidden by another. */
	assert_int_equal(make("forbid (principal, action == Action::\"exec\", resource) when { "
			      "resource.path like \"/usr/bin/*\" && resource != "
			      "Path::\"/usr/bin/python3.11\" };",
				 NULL, &t),
		0);
	assert_int_equal(rights_of(&t, usr, "bin/python3.11"), 0);
}

static void a_list(void **state)
{
	static const char *const programs[] = {"/usr/bin/python3", NULL};
	const char *policy =
		"@id(\"list\") forbid (principal, action == Action::\"exec\", resource) "
		"unless { resource in Path::\"/usr/lib\" || resource == "
		"Path::\"/usr/bin/curl\" || resource == Path::\"/usr/bin/notes\" };";
	struct lsm_table t;
	assert_int_equal(make(policy, programs, &t), 0);
	assert_int_equal(t.flags, LSM_LISTED_PROGRAMS);
	assert_true(span_is(t.policies[t.rule - 1], "list"));
	assert_int_equal(rights_of(&t, usr, "bin/curl"), LSM_PERMIT_EXEC);
	assert_int_equal(rights_of(&t, usr, "lib/libc.so.6"), LSM_PERMIT_EXEC);
	assert_int_equal(rights_of(&t, usr, "bin/python3.11"), LSM_PERMIT_EXEC); /* its own */
	assert_int_equal(rights_of(&t, usr, "bin/notes"), 0); /* nothing to execute */
	assert_int_equal(rights_of(&t, usr, "lib/ld-linux-x86-64.so.2"), 0); /* runs anything */
	assert_int_equal(rights_of(&t, opt, "tool"), 0);

	assert_int_equal(
		make("forbid (principal, action == Action::\"exec\", resource);", programs, &t), 0);
	assert_int_equal(t.flags, LSM_LISTED_PROGRAMS);
	assert_int_equal(t.count, 1);

	/* Two of them: what is on both. */
	policy = "forbid (principal, action == Action::\"exec\", resource) unless { resource in "
		 "Path::\"/usr\" };"
		 "forbid (principal, action == Action::\"exec\", resource) unless { resource in "
		 "[Path::\"/usr/bin/curl\", Path::\"/opt/x/tool\"] };";
	assert_int_equal(make(policy, NULL, &t), 0);
	assert_int_equal(t.count, 1);
	assert_int_equal(rights_of(&t, usr, "bin/curl"), LSM_PERMIT_EXEC);

	/* Where an agent writes, all may run: then it is about the rest of the runtime. */
	policy = "forbid (principal, action == Action::\"exec\", resource) unless { resource in "
		 "[Path::\"/usr\", Path::\"/workspace\", Path::\"/tmp\", Path::\"/dev/shm\"] };";
	assert_int_equal(make(policy, NULL, &t), 0);
	assert_int_equal(t.flags, 0);
	assert_int_equal(t.count, 1);
	assert_int_equal(rights_of(&t, opt, "tool"), EXEC_FORBIDDEN);

	/* All but what a name tells apart is asked of each file. */
	policy = "forbid (principal, action == Action::\"exec\", resource) when { "
		 "!(resource in Path::\"/opt\") || resource.path like \"/opt/y/*\" };";
	assert_int_equal(make(policy, NULL, &t), 0);
	assert_int_equal(rights_of(&t, opt, "tool"), LSM_PERMIT_EXEC);
	assert_int_equal(rights_of(&t, usr, "bin/curl"), 0);
}

static void what_is_refused(void **state)
{
	static const char *const programs[] = {"/usr/bin/python3", NULL};
	static const struct {
		const char *policy;
		int code;
		const char *says;
	} rows[] = {
		{"forbid (principal, action == Action::\"exec\", resource in Path::\"/tmp\");",
			-EOPNOTSUPP, "p.cedar:1: the kernel knows programs by their inode"},
		{"forbid (principal, action == Action::\"exec\", resource) when { resource.name == "
		 "\"curl\" };",
			-EOPNOTSUPP, "cannot foresee"},
		{"forbid (principal, action == Action::\"exec\", resource) unless { resource in "
		 "Path::\"/workspace/bin\" };",
			-EOPNOTSUPP, "cannot foresee"},
		{"forbid (principal, action == Action::\"fs:write\", resource in "
		 "Path::\"/tmp/x\");",
			-EOPNOTSUPP, "file by file in /tmp"},
		{"forbid (principal, action == Action::\"exec\", resource) when { "
		 "[\"/x\"].contains(resource.path) };",
			-EOPNOTSUPP, "cannot check this of a file"},
		{"forbid (principal, action == Action::\"exec\", resource) when { "
		 "resource in Path::\"/var/tmp\" };",
			-EOPNOTSUPP, "cannot foresee"},
		{"forbid (principal, action == Action::\"exec\", resource) when { "
		 "resource == Path::\"/var/tmp/x\" };",
			-EOPNOTSUPP, "cannot foresee"},
		{"forbid (principal, action == Action::\"fs:write\", resource) when { "
		 "resource in Path::\"/var/tmp\" };",
			-EOPNOTSUPP, "file by file in /tmp"},
		{"forbid (principal, action == Action::\"exec\", resource) when { "
		 "resource in Path::\"/usr/tmp\" };",
			-EOPNOTSUPP, "cannot foresee"},
		{"forbid (principal, action == Action::\"fs:write\", resource) when { "
		 "resource in Path::\"/usr/tmp\" };",
			-EOPNOTSUPP, "file by file in /tmp"},
		{"forbid (principal, action == Action::\"fs:read\", resource) when { "
		 "resource == Path::\"/usr/tmp/x\" };",
			-EOPNOTSUPP, "file by file in /tmp"},
		{"forbid (principal, action == Action::\"exec\", resource) when { "
		 "resource.path like \"/bin/cu*\" };",
			-EOPNOTSUPP, "/bin is in truth /usr/bin: begin the pattern"},
		{"forbid (principal, action == Action::\"exec\", resource) when { "
		 "resource in PathPattern::\"/bin/cu*\" };",
			-EOPNOTSUPP, "begin the pattern with that"},
		{"forbid (principal, action == Action::\"fs:read\", resource) when { "
		 "resource in PathPattern::\"/bin/cu*\" };",
			-EOPNOTSUPP, "begin the pattern with that"},
		{"forbid (principal, action == Action::\"fs:write\", resource) when { "
		 "resource in PathPattern::\"/usr/tmp/*\" };",
			-EOPNOTSUPP, "begin the pattern with that"},
		{"forbid (principal, action == Action::\"fs:write\", resource) when { "
		 "resource in Path::\"/\" };",
			-EOPNOTSUPP, "file by file in /tmp"},
		{"forbid (principal, action == Action::\"fs:write\", resource) when { "
		 "resource in Path::\"/dev\" };",
			-EOPNOTSUPP, "file by file in /tmp"},
		{"forbid (principal, action == Action::\"fs:write\", resource) when { "
		 "resource in PathPattern::\"/**\" };",
			-EOPNOTSUPP, "file by file in /tmp"},
		{"forbid (principal, action == Action::\"fs:write\", resource) when { "
		 "resource.path like \"/t*\" };",
			-EOPNOTSUPP, "file by file in /tmp"},
		{"forbid (principal, action == Action::\"fs:write\", resource) when { "
		 "resource.name like \"*\" };",
			-EOPNOTSUPP, "file by file in /tmp"},
		{"forbid (principal, action == Action::\"fs:read\", resource) when { "
		 "resource == Path::\"/etc/passwd\" };",
			-EOPNOTSUPP, "/etc/passwd is made for each sandbox"},
		{"forbid (principal, action == Action::\"fs:read\", resource) when { "
		 "resource in Path::\"/etc\" };",
			-EOPNOTSUPP, "is made for each sandbox"},
		{"forbid (principal, action == Action::\"fs:read\", resource) when { "
		 "resource.name == \"passwd\" };",
			-EOPNOTSUPP, "is made for each sandbox"},
		{"forbid (principal, action == Action::\"fs:read\", resource) when { "
		 "resource in Path::\"/proc\" };",
			-EOPNOTSUPP, "each sandbox's own"},
		{"forbid (principal, action == Action::\"fs:write\", resource) when { "
		 "resource in Path::\"/proc/self\" };",
			-EOPNOTSUPP, "each sandbox's own"},
		{"forbid (principal, action == Action::\"fs:read\", resource) when { "
		 "resource == Path::\"/etc/mtab\" };",
			-EOPNOTSUPP, "each sandbox's own"},
		{"forbid (principal, action == Action::\"fs:read\", resource) when { "
		 "resource == Path::\"/dev/null\" };",
			-EOPNOTSUPP, "each sandbox's own"},
		{"forbid (principal, action == Action::\"fs:read\", resource) when { "
		 "resource in Path::\"/run/aegis\" };",
			-EOPNOTSUPP, "each sandbox's own"},
		{"forbid (principal, action == Action::\"exec\", resource) when { "
		 "resource == Path::\"/proc/self/root/usr/bin/curl\" };",
			-EOPNOTSUPP, "each sandbox's own"},
		{"forbid (principal, action == Action::\"exec\", resource) when { "
		 "resource in Path::\"/run\" };",
			-EOPNOTSUPP, "each sandbox's own"},
		{"forbid (principal, action == Action::\"fs:read\", resource) when { "
		 "resource in Path::\"/usr/files\" };",
			-EOPNOTSUPP, "/usr/files is in truth /workspace/files"},
		{"@id(\"l\") forbid (principal, action == Action::\"fs:read\", resource) when { "
		 "resource in PathPattern::\"/usr/share/mo*\" };",
			-EOPNOTSUPP, "matches /usr/share/more, which leads to /opt/x"},
		{"@id(\"own\") forbid (principal, action == Action::\"exec\", resource) when { "
		 "resource in PathPattern::\"/usr/bin/python?\" };",
			-EPERM, "policy 'own' of p.cedar:1 forbids /usr/bin/python3.11"},
		{"@id(\"own\") forbid (principal, action == Action::\"exec\", resource) when { "
		 "resource in PathPattern::\"/usr/bin/py*\" };",
			-EPERM, "policy 'own' of p.cedar:1 forbids /usr/bin/python3.11"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lsm_table t;
		assert_int_equal(make(rows[i].policy, programs, &t), rows[i].code);
		if (!strstr(err_message(rows[i].code), rows[i].says))
			fail_msg("%s", err_message(rows[i].code));
		err_clear();
	}
}

/* What speaks of volumes, or of what no sandbox has, stays allowed; the runtime's part holds. */
static void what_is_about_volumes(void **state)
{
	static const char *const nothing[] = {
		"resource in Path::\"/workspace/secret\"",
		"resource in PathPattern::\"/workspace/**/x\"",
		"resource in Path::\"/secret\"",
		"resource == Path::\"/etc/shadow\"",
		"resource in Path::\"/etc/ssl\"",
		"resource.name like \"*.key\"",
		"resource.name == \".env\"",
		"resource in PathPattern::\"/**/.ssh/**\"",
		"resource in Path::\"/workspace\" && resource.name like \"*\"",
	};
	struct lsm_table t;
	for (size_t i = 0; i < ARRAY_LEN(nothing); i++) {
		const char *policy = arena_printf(arena,
			"forbid (principal, action in Action::\"fs\", resource) when { %s };",
			nothing[i]);
		if (make(policy, NULL, &t) < 0)
			fail_msg("%s: %s", nothing[i], err_message(-EOPNOTSUPP));
		assert_true(lsm_table_is_empty(&t));
	}
	assert_int_equal(
		make("forbid (principal, action == Action::\"fs:write\", resource in "
		     "Path::\"/etc\");"
		     "forbid (principal, action == Action::\"fs:read\", resource) when { "
		     "resource.name like \"sec*\" };"
		     "forbid (principal, action == Action::\"fs:write\", resource) unless { "
		     "resource in Path::\"/workspace\" };",
			NULL, &t),
		0);
	assert_int_equal(t.count, 1);
	assert_int_equal(rights_of(&t, usr, "share/deep/secret"), LSM_FORBID_READ);
}

static void links_that_lead_nowhere(void **state)
{
	struct lsm_table t;
	must(symlink("loop", in(usr, "bin/loop")), "symlink");
	must(symlink("/nowhere/else", in(usr, "bin/gone")), "symlink");
	assert_int_equal(make("forbid (principal, action == Action::\"exec\", resource == "
			      "Path::\"/usr/bin/loop\");",
				 NULL, &t),
		-ELOOP);
	err_clear();
	assert_int_equal(make("forbid (principal, action == Action::\"exec\", resource) "
			      "when { resource in "
			      "[Path::\"/usr/bin/gone\", Path::\"/usr/bin/none\"] };",
				 NULL, &t),
		0);
	assert_true(lsm_table_is_empty(&t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_program_by_all_its_names, setup, teardown),
		cmocka_unit_test_setup_teardown(folders_and_patterns, setup, teardown),
		cmocka_unit_test_setup_teardown(patterns_match_links, setup, teardown),
		cmocka_unit_test_setup_teardown(a_list, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_about_volumes, setup, teardown),
		cmocka_unit_test_setup_teardown(links_that_lead_nowhere, setup, teardown),
	};
	return cmocka_run_group_tests_name("daemon/sensor: files", tests, NULL, NULL);
}
