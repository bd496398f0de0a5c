/* SPDX-License-Identifier: AGPL-3.0-only */
/* verify, anchor and keys: what can be proved of a journal, and with what. */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS_MAX = 64, KEYS_FILE_BYTES = 64 * 1024 };

/* ---- reading keys and anchors ---- */

static int bad_key(const char *path)
{
	return tool_fail(CLI_INVALID,
		"%s: accepted are Ed25519 public keys, one a line (64 hexadecimal digits or "
		"base64), or one of 32 bytes; `aegis-audit keys --bare` prints those that signed",
		path);
}

/* Room for as many as a journal may have been signed with. */
struct trusted {
	uint8_t keys[KEYS_MAX][HEAD_PUBLIC_KEY_BYTES];
	size_t count;
};

static bool parse_key(struct span text, uint8_t ret[HEAD_PUBLIC_KEY_BYTES])
{
	struct buf raw CLEANUP(buf_fini) = buf_init(4096);

	if (hex_decode(text, ret, HEAD_PUBLIC_KEY_BYTES) >= 0)
		return true;
	err_clear();
	bool good =
		base64_decode(&raw, text, BASE64_STANDARD) >= 0 && raw.len == HEAD_PUBLIC_KEY_BYTES;
	err_clear();
	if (good)
		memcpy(ret, raw.data, HEAD_PUBLIC_KEY_BYTES);
	return good;
}

static int read_key(const char *path, struct trusted *t)
{
	struct buf file CLEANUP(buf_fini) = buf_init(KEYS_FILE_BYTES);
	int r = fd_read_file(path, &file);
	struct span rest = buf_view(&file), line;
	size_t before = t->count;
	bool done = false;

	if (r < 0)
		return tool_fail_errno(r);
	bool raw = file.len == HEAD_PUBLIC_KEY_BYTES;
	while (raw ? !done : span_split(&rest, '\n', &done, &line)) {
		struct span text = raw ? rest : span_trim(line);
		done = done || raw;
		if (!text.n)
			continue;
		if (t->count == KEYS_MAX)
			return tool_fail(CLI_INVALID, "more than %d keys", KEYS_MAX);
		if (raw)
			memcpy(t->keys[t->count], text.p, HEAD_PUBLIC_KEY_BYTES);
		else if (!parse_key(text, t->keys[t->count]))
			return bad_key(path);
		t->count++;
	}
	return t->count > before ? CLI_OK : bad_key(path);
}

/* A file holds one anchor, or one a line. */
static int read_anchors(const char *path, struct audit_anchor *anchors, size_t max, size_t *count)
{
	struct buf file CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_ANCHOR_BYTES);
	int r = fd_read_file(path, &file);

	if (r < 0)
		return tool_fail_errno(r);
	struct span rest = span_trim(buf_view(&file));
	bool lines = span_find(rest, SPAN("}\n{"), 0) >= 0;
	bool done = false;
	struct span piece = rest;
	while (lines ? span_split(&rest, '\n', &done, &piece) : !done) {
		done = done || !lines;
		if (span_trim(piece).n == 0)
			continue;
		if (*count == max)
			return tool_fail(CLI_INVALID, "more than %zu anchors", max);
		r = audit_anchor_parse(piece, &anchors[*count]);
		if (r < 0) {
			r = err_wrap(r, "%s", path);
			return tool_fail(tool_fail_errno(r),
				"accepted: a file that `aegis-audit anchor` wrote");
		}
		++*count;
	}
	return CLI_OK;
}

/* ---- verify ---- */

enum { ANCHORS_MAX = 256 };

static void put_verdict_json(
	struct json_writer *w, const struct tool *t, const struct audit_verdict *v)
{
	size_t kept = MIN(v->finding_count, (size_t)AUDIT_FINDINGS);
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = {{"consistent_through", v->records}, {"heads", v->heads},
		{"signed_through", v->signed_through}, {"anchored_through", v->anchored_through},
		{"lost_before_recording", v->gaps}, {"incomplete_bytes", v->rest_bytes},
		{"finding_count", v->finding_count}};

	json_object(w);
	json_field_cstr(w, "directory", t->dir);
	json_field_bool(w, "consistent", v->consistent);
	json_field_bool(w, "newest_proven", v->newest_proven);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		json_key(w, numbers[i].key);
		json_put_u64(w, numbers[i].value);
	}
	json_key(w, "findings");
	json_array(w);
	for (size_t i = 0; i < kept; i++) {
		json_object(w);
		json_key(w, "record");
		json_put_u64(w, v->findings[i].number);
		json_field_cstr(w, "text", v->findings[i].text);
		json_end(w);
	}
	json_end(w);
	json_end(w);
}

static void print_verdict(const struct tool *t, const struct audit_verdict *v)
{
	unsigned long long records = v->records;

	if (!v->consistent)
		printf("NOT CONSISTENT: %zu findings; consistent up to record %llu\n",
			v->finding_count, records);
	else if (v->newest_proven)
		printf("consistent up to record %llu; newest proven by an anchor\n", records);
	else if (v->anchored_through)
		printf("consistent up to record %llu; proven by an anchor up to record %llu; "
		       "newest not proven\n",
			records, (unsigned long long)v->anchored_through);
	else
		printf("consistent up to record %llu; newest not proven\n", records);
	for (size_t i = 0; i < MIN(v->finding_count, (size_t)AUDIT_FINDINGS); i++)
		printf("  record %llu: %s\n", (unsigned long long)v->findings[i].number,
			v->findings[i].text);
	if (v->finding_count > AUDIT_FINDINGS)
		printf("  and %zu more\n", v->finding_count - AUDIT_FINDINGS);
	if (v->heads)
		printf("%llu signed head%s, through record %llu%s\n", (unsigned long long)v->heads,
			v->heads == 1 ? "" : "s", (unsigned long long)v->signed_through,
			cli_value(t->cli, "key") ? ""
						 : "; give --key to say whose signature counts "
						   "(aegis-audit help keys)");
	else
		printf("no signed heads\n");
	if (v->gaps)
		printf("%llu records were lost by their producers before they came here, and are "
		       "recorded as lost\n",
			(unsigned long long)v->gaps);
	if (v->rest_bytes)
		printf("%llu bytes behind the newest record are no complete record: a write that "
		       "was torn, or is going on\n",
			(unsigned long long)v->rest_bytes);
}

static int show_verdict(const struct tool *t, const struct audit_verdict *v)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_ANCHOR_BYTES);
	struct json_writer w = json_writer(&b);
	struct cli print = {.format = t->format};
	int code = CLI_OK;

	if (t->format == CLI_TEXT) {
		print_verdict(t, v);
	} else {
		put_verdict_json(&w, t, v);
		code = cli_print_text(&print, buf_view(&b), NULL);
	}
	return v->consistent ? code : CLI_CONFLICT;
}

/* Every --key on the command line. */
static int read_keys(const struct tool *t, struct trusted *ret)
{
	int code = CLI_OK;

	ret->count = 0;
	for (int i = 0; code == CLI_OK && i < t->cli->given_count; i++)
		if (strcmp(t->cli->given[i].name, "key") == 0)
			code = read_key(t->cli->given[i].value, ret);
	return code;
}

static int verify(const struct tool *t)
{
	struct trusted trusted;
	struct audit_anchor *anchors = calloc(ANCHORS_MAX, sizeof(*anchors));
	struct audit_verdict *verdict = calloc(1, sizeof(*verdict));
	struct audit_verify_options o = {.anchors = anchors, .keys = trusted.keys};
	int code = anchors && verdict ? CLI_OK : tool_fail(CLI_INTERNAL, "out of memory");

	if (code == CLI_OK)
		code = read_keys(t, &trusted);
	o.key_count = code == CLI_OK ? trusted.count : 0;
	for (int i = 0; code == CLI_OK && i < t->cli->given_count; i++)
		if (strcmp(t->cli->given[i].name, "anchor") == 0)
			code = read_anchors(
				t->cli->given[i].value, anchors, ANCHORS_MAX, &o.anchor_count);
	if (code == CLI_OK) {
		int r = audit_verify(t->dir, &o, verdict);
		code = r < 0 ? tool_fail_errno(r) : show_verdict(t, verdict);
	}
	free(verdict);
	free(anchors);
	return code;
}

static int run_verify(struct cli *c)
{
	struct tool t;
	int code = tool_begin(&t, c);

	return code ? code : verify(&t);
}

static const struct cli_option verify_options[] = {
	{"anchor", 0, "FILE", "Heads exported earlier; may be repeated", NULL},
	{"key", 0, "FILE",
		"Public keys that are trusted, as `keys --bare` printed them when the node was "
		"new; may be repeated; without one any key counts",
		NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_verify = {
	.name = "verify",
	.arguments = "",
	.options = verify_options,
	.summary = "Check the chain, the signed heads, and anchors kept elsewhere",
	.help = "Reads the whole journal and names every place where it contradicts itself, a "
		"signed\n"
		"head, a key or an anchor. Exits 4 if there is one. The key and the anchors are to "
		"come from\n"
		"outside the host: who can rewrite the journal could make both anew.",
	.examples = "aegis-audit keys --bare > /mnt/elsewhere/signer.pub   (when the node is "
		    "new)\n"
		    "aegis-audit anchor > /mnt/elsewhere/aegis-2026-03-01.json   (now and then)\n"
		    "aegis-audit verify --key /mnt/elsewhere/signer.pub --anchor "
		    "/mnt/elsewhere/aegis-2026-03-01.json",
	.run = run_verify,
};

/* ---- anchor ---- */

static int print_anchor(const struct tool *t, const struct audit_anchor *a)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_ANCHOR_BYTES);
	struct json_writer w = json_writer(&b);
	struct cli print = {.format = t->format};

	audit_anchor_put(&w, a);
	if (t->format == CLI_TEXT || t->format == CLI_JSON) { /* a file that verify reads */
		buf_puts(&b, "\n");
		return cli_write(buf_view(&b));
	}
	return cli_print_text(&print, buf_view(&b), NULL);
}

/* Walks all heads. */
static int each_head(struct audit_reader *reader,
	int (*fn)(void *ctx, const struct audit_anchor *a, uint64_t at), void *ctx)
{
	struct audit_record r;
	struct audit_anchor a;
	int outcome;

	while ((outcome = audit_reader_next(reader, &r)) == 0) {
		if (r.source != AUDIT_JOURNAL || !span_is(r.kind, "Head"))
			continue;
		if (audit_anchor_of_record(&r, &a) < 0) {
			err_clear();
			continue;
		}
		int code = fn(ctx, &a, r.number);
		if (code)
			return code;
	}
	return outcome < 0 ? tool_fail_errno(outcome) : CLI_OK;
}

struct newest {
	const struct tool *tool;
	struct audit_anchor anchor;
	bool any;
};

static int take_head(void *ctx, const struct audit_anchor *a, uint64_t at)
{
	struct newest *n = ctx;

	n->any = true;
	n->anchor = *a;
	return cli_value(n->tool->cli, "all") ? print_anchor(n->tool, a) : CLI_OK;
}

static int anchor(const struct tool *t)
{
	struct newest n = {.tool = t};
	struct audit_reader *reader;
	int code = tool_open(t, &reader);

	if (code)
		return code;
	code = each_head(reader, take_head, &n);
	audit_reader_close(reader);
	if (code)
		return code;
	if (!n.any)
		return tool_fail(CLI_NOT_FOUND, "no signed head in %s", t->dir);
	return cli_value(t->cli, "all") ? CLI_OK : print_anchor(t, &n.anchor);
}

static int run_anchor(struct cli *c)
{
	struct tool t;
	int code = tool_begin(&t, c);

	return code ? code : anchor(&t);
}

static const struct cli_option anchor_options[] = {
	{"all", 0, NULL, "Every signed head, not only the newest", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_anchor = {
	.name = "anchor",
	.arguments = "",
	.options = anchor_options,
	.summary = "Print the newest signed head, to be kept elsewhere",
	.help = "Prints what `verify --anchor` reads. Whoever holds it can prove later that "
		"nothing\n"
		"before it was removed or changed.",
	.examples = "aegis-audit anchor > /mnt/elsewhere/aegis-$(date +%F).json",
	.run = run_anchor,
};

/* ---- keys ---- */

struct key_use {
	uint8_t key[HEAD_PUBLIC_KEY_BYTES];
	uint64_t first;
	uint64_t last;
	uint64_t heads;
	uint64_t invalid;
};

struct keys {
	struct key_use uses[KEYS_MAX];
	size_t count;
};

static int count_key(void *ctx, const struct audit_anchor *a, uint64_t at)
{
	struct keys *k = ctx;
	size_t i = 0;

	while (i < k->count && memcmp(k->uses[i].key, a->key, sizeof(a->key)) != 0)
		i++;
	if (i == KEYS_MAX)
		return tool_fail(CLI_INTERNAL, "more than %d keys", KEYS_MAX);
	struct key_use *u = &k->uses[i];
	if (i == k->count) {
		memcpy(u->key, a->key, sizeof(a->key));
		u->first = at;
		k->count++;
	}
	u->last = at;
	u->heads++;
	u->invalid += !head_verify(&a->head, a->key);
	return CLI_OK;
}

static void put_key(struct json_writer *w, const struct key_use *u, const struct trusted *t)
{
	struct buf hex CLEANUP(buf_fini) = buf_init(2 * HEAD_PUBLIC_KEY_BYTES);
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = {{"first_record", u->first}, {"last_record", u->last}, {"heads", u->heads},
		{"invalid", u->invalid}};
	bool known = false;

	hex_encode(&hex, span_of(u->key, sizeof(u->key)));
	for (size_t i = 0; i < t->count; i++)
		known |= memcmp(t->keys[i], u->key, sizeof(u->key)) == 0;
	json_object(w);
	json_field_span(w, "key", buf_view(&hex));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		json_key(w, numbers[i].key);
		json_put_u64(w, numbers[i].value);
	}
	json_field_cstr(w, "trusted", !t->count ? "not asked" : known ? "yes" : "no");
	json_end(w);
}

/* A file that --key reads. A key no signature of which holds is nobody's. */
static int print_bare(const struct tool *t, const struct keys *k)
{
	struct buf b CLEANUP(buf_fini) = buf_init(KEYS_FILE_BYTES);

	for (size_t i = 0; i < k->count; i++) {
		if (k->uses[i].invalid == k->uses[i].heads)
			continue;
		hex_encode(&b, span_of(k->uses[i].key, sizeof(k->uses[i].key)));
		buf_putc(&b, '\n');
	}
	return b.len ? cli_write(buf_view(&b))
		     : tool_fail(CLI_NOT_FOUND, "no signed head in %s", t->dir);
}

static int keys_used(const struct tool *t)
{
	static const struct cli_column columns[] = {{"KEY", "key"}, {"FIRST", "first_record"},
		{"LAST", "last_record"}, {"HEADS", "heads"}, {"INVALID", "invalid"},
		{"TRUSTED", "trusted"}, {NULL, NULL}};
	struct trusted trusted;
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_ANCHOR_BYTES);
	struct json_writer w = json_writer(&b);
	struct cli print = {.format = t->format == CLI_TEXT ? CLI_TABLE : t->format};
	struct keys *k = calloc(1, sizeof(*k));
	struct audit_reader *reader = NULL;
	int code = k ? CLI_OK : tool_fail(CLI_INTERNAL, "out of memory");

	if (code == CLI_OK)
		code = read_keys(t, &trusted);
	if (code == CLI_OK)
		code = tool_open(t, &reader);
	if (code == CLI_OK)
		code = each_head(reader, count_key, k);
	if (code == CLI_OK && cli_value(t->cli, "bare")) {
		code = print_bare(t, k);
	} else if (code == CLI_OK) {
		json_array(&w);
		for (size_t i = 0; i < k->count; i++)
			put_key(&w, &k->uses[i], &trusted);
		json_end(&w);
		code = cli_print_text(&print, buf_view(&b), columns);
	}
	audit_reader_close(reader);
	free(k);
	return code;
}

static int run_keys(struct cli *c)
{
	struct tool t;
	int code = tool_begin(&t, c);

	return code ? code : keys_used(&t);
}

static const struct cli_option keys_options[] = {
	{"bare", 0, NULL, "Only the keys, one a line: the file that --key takes", NULL},
	{"key", 0, "FILE", "Public keys that are trusted; may be repeated", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_keys = {
	.name = "keys",
	.arguments = "",
	.options = keys_options,
	.summary = "Say which keys signed heads",
	.help = "Prints the public keys that signed heads of the journal, and which heads.\n"
		"The helper makes the node's signing key at its first start and keeps the private "
		"half in a\n"
		"folder that only root can read (STATE_DIR/helper/key, /var/lib/aegis-helper by "
		"default).\n"
		"The public half stands in every signed head. Print it with --bare when the node "
		"is new,\n"
		"and keep the file off the host, where whoever takes the host over cannot change "
		"it: from\n"
		"then on `verify --key FILE` counts no other signature. Keep an `anchor` beside it "
		"from\n"
		"time to time.",
	.examples = "aegis-audit keys\n"
		    "aegis-audit keys --bare > /mnt/elsewhere/signer.pub\n"
		    "aegis-audit keys --key /mnt/elsewhere/signer.pub",
	.run = run_keys,
};
