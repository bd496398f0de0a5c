/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/policy_sets.h"
#include "tools/aegis/policy_source.h"
#include <errno.h>
#include <sys/stat.h>

enum { HASH_CHARS = 64 };

static bool is_hash(const char *name)
{
	return strlen(name) == HASH_CHARS && strspn(name, "0123456789abcdef") == HASH_CHARS;
}

static int need_session(struct policy_sets *p)
{
	if (p->open)
		return CLI_OK;
	p->open = true;
	return session_open(&p->session, p->cli);
}

static int from_daemon(struct policy_sets *p, const char *hash, struct rule_set **ret)
{
	const struct json *v;
	int code = need_session(p);

	if (code == CLI_OK)
		code = session_call(&p->session, "GET",
			session_path(&p->session, "/v1/policy/sets/", hash, ""), NULL, SPAN(""),
			&v);
	if (code)
		return code;
	int r = rule_set_load(json_str(v, "text", SPAN("")), ret);
	return r < 0 ? cli_fail_errno(r) : CLI_OK;
}

static int current(struct policy_sets *p, struct rule_set **ret)
{
	const struct json *v;
	int code = need_session(p);

	if (code == CLI_OK)
		code = session_call(&p->session, "GET", "/v1/policy", NULL, SPAN(""), &v);
	if (code)
		return code;
	const char *hash = arena_cstr(p->session.arena, json_str(v, "policy_set", SPAN("")));
	return hash ? from_daemon(p, hash, ret) : cli_fail(CLI_INTERNAL, "no memory");
}

static int from_file(const char *name, struct rule_set **ret)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	struct rule_set_builder *b = rule_set_builder_new();
	int code = cli_read(name, &text);

	if (code == CLI_OK) {
		int r = b ? rule_add_cedar(b, buf_view(&text), name) : -ENOMEM;
		*ret = r == 0 ? rule_set_seal(b) : NULL;
		code = *ret ? CLI_OK : cli_fail_errno(r < 0 ? r : -EINVAL);
	}
	rule_set_builder_free(b);
	return code;
}

static int from_folder(struct policy_sets *p, const char *name, struct rule_set **ret)
{
	struct policy_source s;
	int code = policy_source_make(&s, p->cli, name, NULL, NULL);

	if (code == CLI_OK)
		*ret = TAKE_PTR(s.rules);
	policy_source_close(&s);
	return code;
}

int policy_sets_get(struct policy_sets *p, const char *name, struct rule_set **ret)
{
	struct stat st;

	if (strcmp(name, "current") == 0)
		return current(p, ret);
	if (is_hash(name))
		return from_daemon(p, name, ret);
	if (stat(name, &st) < 0 && errno == ENOENT && strcmp(name, "-") != 0)
		return cli_fail(CLI_NOT_FOUND,
			"there is no set '%s': accepted: current, the hash of a set (64 "
			"hexadecimal digits), a file or a folder",
			name);
	if (stat(name, &st) == 0 && S_ISDIR(st.st_mode))
		return from_folder(p, name, ret);
	return from_file(name, ret);
}

void policy_sets_close(struct policy_sets *p)
{
	if (p->open)
		session_close(&p->session);
}
