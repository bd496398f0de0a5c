/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Rules about files as entries by inode. What is there is asked one by one; of what may yet come,
 * in the folders where a sandbox writes, a rule about programs must say the same throughout: either
 * nothing, or that all of it is forbidden, which makes a list of what is not.
 */
#include "daemon/sensor/lsm_internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Where files come to be. */
static const struct span writable[] = {{"/workspace", 10}, {"/tmp", 4}, {"/dev/shm", 8}};
enum { SCRATCH = 1 }; /* from here on nobody's but the agent's own */

/* What each sandbox has of its own (daemon/helper/root.c): made with it, or the kernel's. */
static const struct span own_folders[] = {{"/proc", 5}, {"/dev", 4}, {"/run", 4}};
static const char *const own_files[] = {"/etc/passwd", "/etc/group", "/etc/hosts", "/etc/hostname",
	"/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/mtab"};
static const char not_the_runtimes[] =
	"what is in /proc, /dev and /run is each sandbox's own, and the kernel cannot decide file "
	"by file there: name files and folders of the runtime";

struct found {
	struct lsm_entry entry;
	struct span path;
};

struct making {
	const struct kernel_rules *rules;
	struct arena *arena;
	struct lsm_tree *tree;
	struct found *found;
	size_t count, room;
	struct lsm_table table;
	bool whole; /* each file is asked */
	const struct kernel_path_rule *rule; /* whose names are looked up */
	struct span own; /* what the agent is run by */
};

static int no_memory(void)
{
	return err_raise(-ENOMEM, "rules about files: out of memory");
}

static int cannot(const struct kernel_path_rule *r, const char *why)
{
	return err_raise(-EOPNOTSUPP, "%s: %s", r->where, why);
}

/* ---- what is to come ---- */

static int check_exec(struct making *m, const struct kernel_path_rule *r, size_t number)
{
	enum kernel_path_extent first = kernel_path_extent(r->when, writable[0]);
	bool same = first != KERNEL_PATH_SOME;

	for (size_t i = 1; i < ARRAY_LEN(writable); i++)
		same = same && kernel_path_extent(r->when, writable[i]) == first;
	if (!same)
		return cannot(r,
			"the kernel knows programs by their inode, and cannot foresee those that "
			"will be written to /workspace, /tmp and /dev/shm: forbid nothing there, "
			"or all that is not on a list of the runtime's files");
	if (first == KERNEL_PATH_ALL) {
		m->table.flags |= LSM_LISTED_PROGRAMS;
		if (!m->table.rule)
			m->table.rule = (uint32_t)number;
	}
	if (kernel_path_holds_elsewhere(r->when) != (first == KERNEL_PATH_ALL))
		m->whole = true;
	return 0;
}

/* Files that are written, and such as are not the runtime's: no table can have them. */
static int check_files(struct making *m, const struct kernel_path_rule *r)
{
	for (size_t i = SCRATCH; i < ARRAY_LEN(writable); i++)
		if (kernel_path_named_extent(r->when, writable[i]) != KERNEL_PATH_NONE)
			return cannot(r,
				"the kernel cannot decide file by file in /tmp and /dev/shm, where "
				"an agent keeps what it wrote itself: name folders that do not "
				"contain them");
	for (size_t i = 0; i < ARRAY_LEN(own_folders); i++)
		if (kernel_path_named_extent(r->when, own_folders[i]) != KERNEL_PATH_NONE)
			return cannot(r, not_the_runtimes);
	for (size_t i = 0; r->right == KERNEL_READ && i < ARRAY_LEN(own_files); i++)
		if (kernel_path_holds(r->when, span_cstr(own_files[i])) &&
			!lsm_tree_has(m->tree, own_files[i]))
			return err_raise(-EOPNOTSUPP,
				"%s: %s is made for each sandbox, and the kernel cannot forbid it: "
				"except it, or name files of the runtime",
				r->where, own_files[i]);
	return 0;
}

static int check(struct making *m, const struct kernel_path_rule *r, size_t number)
{
	return r->right == KERNEL_EXEC ? err_trace(check_exec(m, r, number))
				       : err_trace(check_files(m, r));
}

static bool lies_in(struct span path, struct span folder)
{
	return span_starts(path, folder) && (path.n == folder.n || path.p[folder.n] == '/');
}

static bool is_writable(struct span path)
{
	for (size_t i = 0; i < ARRAY_LEN(writable); i++)
		if (lies_in(path, writable[i]))
			return true;
	return false;
}

/* No program is there, but links that lead to some. */
static bool is_own(struct span path)
{
	for (size_t i = SCRATCH; i < ARRAY_LEN(writable); i++)
		if (lies_in(path, writable[i]))
			return false;
	for (size_t i = 0; i < ARRAY_LEN(own_folders); i++)
		if (lies_in(path, own_folders[i]))
			return true;
	return false;
}

/* Where names lead to, before anything is asked of them. */
static int look_up(void *ctx, struct span name, struct span *led_to)
{
	struct making *m = ctx;
	char *real = arena_bytes(m->arena, LIMIT_PATH_BYTES + 1);

	if (!real)
		return no_memory();
	int r = lsm_tree_resolve(m->tree, name, real);
	if (r < 0)
		return err_wrap(r, "%s", m->rule->where);
	struct span to = span_cstr(real);
	if (m->rule->right == KERNEL_EXEC && is_own(to))
		return cannot(m->rule, not_the_runtimes);
	if (span_eq(to, name))
		return 0;
	if (!led_to)
		return err_raise(-EOPNOTSUPP,
			"%s: a pattern is of paths as they really are, and " SPAN_FMT
			" is in truth %s: begin the pattern with that",
			m->rule->where, SPAN_ARG(name), real);
	if (m->rule->right != KERNEL_EXEC && lies_in(to, writable[0]) &&
		!lies_in(name, writable[0]))
		return err_raise(-EOPNOTSUPP,
			"%s: " SPAN_FMT " is in truth %s, and files of volumes are known by that "
			"name alone: write that",
			m->rule->where, SPAN_ARG(name), real);
	*led_to = to;
	return 0;
}

static int check_all(struct making *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->rules->path_count; i++) {
		m->rule = &m->rules->paths[i];
		if (!m->rule->when)
			return cannot(m->rule, m->rule->why);
		r = kernel_path_names(m->rule->when, look_up, m);
		if (r == 0)
			r = check(m, m->rule, i + 1);
	}
	return err_trace(r);
}

/* ---- what is there ---- */

static int add(struct making *m, const struct lsm_file_key *key, struct span path, uint32_t rights,
	uint32_t rule)
{
	if (m->count == m->room) {
		size_t room = m->room ? 2 * m->room : 64;
		struct found *items = reallocarray(m->found, room, sizeof(*items));
		if (!items)
			return no_memory();
		m->found = items;
		m->room = room;
	}
	path = arena_span(m->arena, path);
	if (!path.p)
		return no_memory();
	m->found[m->count++] = (struct found){{*key, {rights, rule}}, path};
	return 0;
}

/* Runs whatever it is given. */
static bool is_loader(struct span path)
{
	ssize_t slash = -1;

	for (size_t i = 0; i < path.n; i++)
		if (path.p[i] == '/')
			slash = (ssize_t)i;
	struct span name = span_sub(path, (size_t)(slash + 1), path.n);
	return span_starts(name, SPAN("ld-")) || span_starts(name, SPAN("ld.so")) ||
		span_starts(name, SPAN("ld64.so"));
}

static const uint32_t forbids[] = {[KERNEL_EXEC] = LSM_FORBID_EXEC | LSM_FORBID_READ,
	[KERNEL_READ] = LSM_FORBID_READ,
	[KERNEL_WRITE] = LSM_FORBID_WRITE};

/* By the name of the link alone: what the real name says is asked where the file is met. */
static int ask_of_link(struct making *m, uint32_t number, struct span link, char *real)
{
	const struct kernel_path_rule *r = &m->rules->paths[number - 1];
	struct lsm_file_key key;
	mode_t mode;

	if (!kernel_path_means_link(r->when, link))
		return 0;
	int found = lsm_tree_follow(m->tree, link, real, &key, &mode);
	if (found < 0 && found != -ENOENT)
		return err_wrap(found, "%s", r->where);
	struct span to = span_cstr(real);
	if (kernel_path_holds(r->when, to) || !kernel_path_holds_by(r->when, to, link))
		return 0;
	if (found == 0 && S_ISREG(mode))
		return err_trace(add(m, &key, to, forbids[r->right], number));
	if (found < 0 && !is_writable(to))
		return 0; /* it leads nowhere, or to what each sandbox has of its own */
	return err_raise(-EOPNOTSUPP,
		"%s: its pattern matches " SPAN_FMT ", which leads to %s: the kernel checks files "
		"of the runtime by what they are; name that, or except the link",
		r->where, SPAN_ARG(link), real);
}

static int ask_link(struct making *m, struct span link)
{
	char *real = malloc(LIMIT_PATH_BYTES + 1);
	int r = real ? 0 : no_memory();

	for (size_t i = 0; r == 0 && i < m->rules->path_count; i++)
		r = ask_of_link(m, (uint32_t)i + 1, link, real);
	free(real);
	return err_trace(r);
}

static int ask(void *ctx, struct span path, const struct lsm_file_key *key, mode_t mode)
{
	struct making *m = ctx;
	if (S_ISLNK(mode))
		return err_trace(ask_link(m, path));
	bool listed = (m->table.flags & LSM_LISTED_PROGRAMS) && S_ISREG(mode) && (mode & 0111) &&
		!is_loader(path);
	uint32_t rights = 0, by = 0;

	for (size_t i = 0; i < m->rules->path_count; i++) {
		const struct kernel_path_rule *r = &m->rules->paths[i];
		bool exec = r->right == KERNEL_EXEC, holds = kernel_path_holds(r->when, path);
		if (exec && holds)
			listed = false;
		/* What is only not on a list is a matter of the flag. */
		if (!holds ||
			(exec &&
				(!S_ISREG(mode) ||
					kernel_path_extent(r->when, writable[0]) ==
						KERNEL_PATH_ALL)))
			continue;
		rights |= forbids[r->right];
		if (!by)
			by = (uint32_t)i + 1;
	}
	rights |= listed ? LSM_PERMIT_EXEC : 0;
	return rights ? err_trace(add(m, key, path, rights, by)) : 0;
}

/* What the agent is run by is on every list, and may not be forbidden by name. */
static int ask_own(void *ctx, struct span path, const struct lsm_file_key *key, mode_t mode)
{
	struct making *m = ctx;

	if (!S_ISREG(mode) || !span_eq(path, m->own))
		return 0;
	for (size_t i = 0; i < m->count; i++) {
		const struct lsm_entry *e = &m->found[i].entry;
		if ((e->value.rights & LSM_FORBID_EXEC) && memcmp(&e->key, key, sizeof(*key)) == 0)
			return err_raise(-EPERM,
				"%s forbids " SPAN_FMT ", which the agent is run by",
				m->rules->paths[e->value.rule - 1].where, SPAN_ARG(path));
	}
	return err_trace(add(m, key, path, LSM_PERMIT_EXEC, 0));
}

static int walk_name(void *ctx, struct span name, struct span *led_to)
{
	struct making *m = ctx;
	struct span at = led_to && led_to->n ? *led_to : name;
	int r = lsm_tree_walk(m->tree, at, ask, m);

	return r < 0 ? err_wrap(r, "%s", m->rule->where) : 0;
}

static int walk(struct making *m)
{
	int r = 0;

	if (m->whole)
		return err_trace(lsm_tree_walk(m->tree, SPAN("/"), ask, m));
	for (size_t i = 0; r == 0 && i < m->rules->path_count; i++) {
		m->rule = &m->rules->paths[i];
		r = kernel_path_names(m->rule->when, walk_name, m);
	}
	return err_trace(r);
}

static int walk_own(struct making *m, const char *const *programs)
{
	int r = 0;

	if (!(m->table.flags & LSM_LISTED_PROGRAMS) && m->rules->path_count == 0)
		return 0;
	for (; r == 0 && programs && *programs; programs++) {
		char *real = arena_bytes(m->arena, LIMIT_PATH_BYTES + 1);
		if (!real)
			return no_memory();
		r = lsm_tree_resolve(m->tree, span_cstr(*programs), real);
		m->own = span_cstr(real);
		if (r == 0)
			r = lsm_tree_walk(m->tree, m->own, ask_own, m);
	}
	return err_trace(r);
}

/* ---- the table ---- */

static int by_key(const void *x, const void *y)
{
	const struct lsm_file_key *a = &((const struct found *)x)->entry.key,
				  *b = &((const struct found *)y)->entry.key;
	if (a->device != b->device)
		return a->device < b->device ? -1 : 1;
	return a->inode < b->inode ? -1 : a->inode > b->inode;
}

/* One for each file, whatever names it has. */
static void merge(struct making *m)
{
	size_t kept = 0;

	if (m->count)
		qsort(m->found, m->count, sizeof(*m->found), by_key);
	for (size_t i = 0; i < m->count; i++) {
		struct found *f = &m->found[i], *last = kept ? &m->found[kept - 1] : NULL;
		if (!last || by_key(last, f) != 0) {
			m->found[kept++] = *f;
			continue;
		}
		last->entry.value.rights |= f->entry.value.rights;
		if (!last->entry.value.rule) {
			last->entry.value.rule = f->entry.value.rule;
			last->path = f->path;
		}
	}
	m->count = kept;
}

static int finish(struct making *m)
{
	merge(m);
	if (m->count > LSM_POLICY_FILES_MAX)
		return err_raise(-E2BIG,
			"the policies speak of %zu files of the runtime; the kernel's table takes "
			"%d of one sandbox",
			m->count, LSM_POLICY_FILES_MAX);
	struct lsm_entry *entries = arena_make_array(m->arena, struct lsm_entry, m->count + 1);
	struct span *paths = arena_make_array(m->arena, struct span, m->count + 1);
	struct span *ids = arena_make_array(m->arena, struct span, m->rules->path_count + 1);
	if (!entries || !paths || !ids)
		return no_memory();
	for (size_t i = 0; i < m->count; i++) {
		entries[i] = m->found[i].entry;
		paths[i] = m->found[i].path;
	}
	for (size_t i = 0; i < m->rules->path_count; i++)
		ids[i] = m->rules->paths[i].policy_id;
	m->table.entries = entries;
	m->table.paths = paths;
	m->table.count = m->count;
	m->table.policies = ids;
	m->table.policy_count = m->rules->path_count;
	return 0;
}

int lsm_table_make(const struct kernel_rules *rules, const struct lsm_place *places,
	size_t place_count, const char *const *programs, struct arena *a, struct lsm_table *ret)
{
	struct making m = {.rules = rules, .arena = a};
	int r;

	m.tree = calloc(1, sizeof(*m.tree));
	if (!m.tree)
		return no_memory();
	m.tree->places = places;
	m.tree->place_count = place_count;
	r = check_all(&m);
	if (r == 0)
		r = walk(&m);
	if (r == 0)
		r = walk_own(&m, programs);
	if (r == 0)
		r = finish(&m);
	if (r == 0)
		*ret = m.table;
	free(m.found);
	free(m.tree);
	return err_trace(r);
}

bool lsm_table_is_empty(const struct lsm_table *t)
{
	return t->count == 0 && t->flags == 0;
}
