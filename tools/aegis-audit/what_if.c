/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * what-if: recorded decisions, made again under other policies by the matcher that makes them live.
 * Each execution had a set of its own: operators' files, a security context, and what its manifest
 * allows. Other files take the place of the files in every such set; the rest stays as recorded.
 *
 * What cannot be decided again counts as well, so that a pipeline that asks is never told "nothing
 * changes" by a journal that does not know.
 */
#include "tools/aegis-audit/what_if.h"
#include "daemon/policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
	FINDINGS_BYTES = 1024 * 1024,
	ASK_BYTES = 256 * 1024 * 1024,
	MEMO_MAX = 64 * 1024,
	MEMO_BYTES = 256 * 1024 * 1024
};

struct changed {
	char hash[64]; /* of the recorded set */
	struct rule_set *rules;
};

/* ---- the other policies ---- */

int other_open(struct other *o, const char *policy, const char *set)
{
	map_init(&o->by_hash, 100 * 1000);
	o->whole = set;
	if (set)
		return other_read(set, false, &o->files);
	struct stat st;
	if (stat(policy, &st) < 0)
		return tool_fail(tool_fail_errno(err_sys(-errno, "--policy %s", policy)),
			"accepted: a folder of *.cedar files, such as /etc/aegis/policy.d, or one "
			"such file");
	if (!S_ISDIR(st.st_mode))
		return other_read(policy, true, &o->files);
	struct buf findings CLEANUP(buf_fini) = buf_init(FINDINGS_BYTES);
	struct policy_snapshot *snapshot = NULL;
	int r = policy_load(policy, NULL, &findings, &snapshot);
	if (r >= 0)
		fprintf(stderr, "%s", buf_cstr(&findings));
	if (r == 0)
		o->files = rule_set_ref((struct rule_set *)(uintptr_t)policy_rules(snapshot));
	policy_unref(snapshot);
	return r < 0 ? tool_fail_errno(r) : r > 0 ? CLI_INVALID : CLI_OK;
}

/* A file of policies as an operator writes them, or a whole set as `aegis policy show` prints it.
 */
int other_read(const char *file, bool as_written, struct rule_set **ret)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	int code = cli_read(file, &text);

	if (code)
		return code;
	if (!as_written) {
		int r = rule_set_load(buf_view(&text), ret);
		return r < 0 ? tool_fail_errno(err_wrap(r, "%s", file)) : CLI_OK;
	}
	struct rule_set_builder *b = rule_set_builder_new();
	int r = b ? rule_add_cedar(b, buf_view(&text), file) : err_raise(-ENOMEM, "out of memory");
	if (r == 0)
		*ret = rule_set_seal(b);
	rule_set_builder_free(b);
	return r < 0 || !*ret ? tool_fail_errno(r < 0 ? r : -EINVAL) : CLI_OK;
}

void other_close(struct other *o)
{
	map_for_each (slot, &o->by_hash) {
		struct changed *c = slot->value;
		rule_set_unref(c->rules);
		free(c);
	}
	map_fini(&o->by_hash);
	o->files = rule_set_unref(o->files);
}

static int change(struct other *o, const struct rule_set *recorded, struct rule_set **ret)
{
	struct rule_set_builder *b = rule_set_builder_new();
	struct changed *c = calloc(1, sizeof(*c));
	int r = b && c ? rule_add_set(b, o->files) : err_raise(-ENOMEM, "out of memory");

	if (r == 0)
		r = rule_add_set_parts(b, recorded, RULE_PART_CONTEXTS | RULE_PART_OTHERS);
	if (r == 0) {
		c->rules = rule_set_seal(b);
		r = c->rules ? 0 : -EINVAL;
	}
	if (r == 0) {
		memcpy(c->hash, rule_set_hash(recorded).p, sizeof(c->hash));
		r = map_put(&o->by_hash, span_of(c->hash, sizeof(c->hash)), c);
	}
	rule_set_builder_free(b);
	if (r < 0) {
		if (c)
			rule_set_unref(c->rules);
		free(c);
		return err_trace(r);
	}
	*ret = c->rules;
	return 0;
}

int other_set(struct other *o, struct kept_sets *sets, struct span hash, struct rule_set **ret)
{
	struct rule_set *recorded;

	if (o->whole) {
		*ret = o->files;
		return 0;
	}
	struct changed *known = map_get(&o->by_hash, hash);
	if (known) {
		*ret = known->rules;
		return 0;
	}
	int r = kept_get(sets, hash, &recorded);
	return r != 0 ? r : err_trace(change(o, recorded, ret));
}

/* ---- one decision ---- */

/* Verdicts by recorded set and question: a run asks few things many times. */
struct memo {
	struct arena *arena;
	struct map by_question;
	struct buf key;
};

struct replay {
	const struct tool *tool;
	struct runs *runs;
	struct runs *later; /* of the whole journal, once something was met before it was said */
	struct kept_sets *sets;
	struct told *told;
	struct memo memo;
	struct other other;
	struct arena *facts, *ask;
	uint64_t decisions, same, now_denied, now_allowed, unknown, limited;
};

/* A packet is permitted by its address, or by the name under which that was given out. */
static int decide_again(struct replay *y, const struct rule_set *set, const struct asked *asked,
	struct decision *ret)
{
	struct decision_request q = asked->q;

	arena_reset(y->ask);
	int r = policy_decide(set, NULL, &q, 0, y->ask, ret);
	if (r < 0 || ret->allowed || !q.domain.n || !q.address.n ||
		!span_is(q.action, "net:connect"))
		return err_trace(r);
	q.domain = SPAN("");
	return err_trace(policy_decide(set, NULL, &q, 0, y->ask, ret));
}

static void put_place(struct json_writer *w, const struct rule_set *set, struct span id)
{
	json_field_span(w, "policy", id);
	for (size_t i = 0; i < rule_set_count(set); i++) {
		struct rule_policy p = rule_set_policy(set, i);
		if (!span_eq(p.id, id))
			continue;
		if (p.file.n)
			json_field_span(w, "file", p.file);
		if (p.line)
			json_field_i64(w, "line", p.line);
		return;
	}
}

static void put_flip(struct json_writer *w, const struct audit_record *r, const struct asked *q,
	const struct rule_set *set, const struct decision *d)
{
	char text[CLOCK_RFC3339_BYTES];
	char id[UUID_TEXT_BYTES];

	json_object(w);
	json_key(w, "record");
	json_put_u64(w, r->number);
	clock_rfc3339(r->wall_ns, 3, text);
	json_field_cstr(w, "time", text);
	json_field_span(w, "kind", r->kind);
	if (!uuid_is_nil(r->execution_id)) {
		uuid_text(r->execution_id, id);
		json_field_cstr(w, "execution_id", id);
	}
	json_field_cstr(w, "recorded", q->allowed ? "allowed" : "denied");
	json_field_cstr(w, "then", d->allowed ? "allowed" : "denied");
	put_place(w, set, d->policy_id);
	if (!d->allowed)
		json_field_span(w, "reason", d->reason);
	json_key(w, "request");
	decision_request_put(w, &q->q);
	json_end(w);
}

/* ---- for people ---- */

static void put_what(struct buf *b, const struct decision_request *q)
{
	cli_put_safe(b, q->action, false);
	for (size_t i = 0; i < q->path_count; i++) {
		buf_puts(b, " ");
		cli_put_safe(b, q->paths[i], false);
	}
	for (size_t i = 0; i < q->argv_count; i++) {
		buf_puts(b, " ");
		cli_put_safe(b, q->argv[i], false);
	}
	if (q->domain.n || q->address.n) {
		buf_puts(b, " ");
		cli_put_safe(b, q->domain.n ? q->domain : q->address, false);
	}
	if (q->port)
		buf_printf(b, ":%u", q->port);
}

static void put_flip_text(struct buf *b, const struct audit_record *r, const struct asked *q,
	const struct rule_set *set, const struct decision *d)
{
	char text[CLOCK_RFC3339_BYTES];

	clock_rfc3339(r->wall_ns, 3, text);
	buf_printf(b, "%llu %s %s -> %s ", (unsigned long long)r->number, text,
		q->allowed ? "allowed" : "denied", d->allowed ? "allowed" : "denied");
	put_what(b, &q->q);
	buf_puts(b, " by ");
	cli_put_safe(b, d->policy_id, false);
	for (size_t i = 0; i < rule_set_count(set); i++) {
		struct rule_policy p = rule_set_policy(set, i);
		if (!span_eq(p.id, d->policy_id) || !p.file.n)
			continue;
		buf_puts(b, " (");
		cli_put_safe(b, p.file, false);
		buf_printf(b, ":%d)", p.line);
		break;
	}
	buf_puts(b, "\n");
}

static int print_flip(struct replay *y, const struct audit_record *r, const struct asked *q,
	const struct rule_set *set, const struct decision *d)
{
	struct buf json CLEANUP(buf_fini) = buf_init(RECORD_TEXT_BYTES);
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)RECORD_TEXT_BYTES);
	struct json_writer w = json_writer(&json);
	int res = 0;

	if (y->tool->format == CLI_JSON || y->tool->format == CLI_YAML) {
		put_flip(&w, r, q, set, d);
		res = buf_error(&json);
		if (res == 0)
			res = put_document(&b, y->tool, buf_view(&json));
	} else {
		put_flip_text(&b, r, q, set, d);
		res = buf_error(&b);
	}
	if (res < 0)
		return err_trace(res);
	return tool_write(buf_view(&b)) ? 0 : AUDIT_END;
}

/* ---- verdicts that are known ---- */

static struct span memo_key(struct memo *m, const struct json *decision)
{
	buf_reset(&m->key);
	buf_span(&m->key, json_str(decision, "policy_set", SPAN("")));
	buf_putc(&m->key, ' ');
	buf_span(&m->key, json_str(decision, "request", SPAN("")));
	return buf_error(&m->key) < 0 ? (err_clear(), SPAN("")) : buf_view(&m->key);
}

static const bool *memo_find(struct memo *m, const struct facts *f)
{
	return f->decision ? map_get(&m->by_question, memo_key(m, f->decision)) : NULL;
}

/* What there is no memory for is asked again. */
static void memo_keep(struct memo *m, const struct facts *f, bool allowed)
{
	if (!f->decision)
		return;
	if (m->by_question.count == MEMO_MAX || arena_left(m->arena) < MEMO_BYTES / 4) {
		map_fini(&m->by_question);
		map_init(&m->by_question, MEMO_MAX);
		arena_reset(m->arena);
	}
	struct span key = arena_span(m->arena, memo_key(m, f->decision));
	bool *kept = arena_make(m->arena, bool);
	if (!key.p || !key.n || !kept)
		return;
	*kept = allowed;
	if (map_put(&m->by_question, key, kept) < 0)
		err_clear();
}

/* ---- one record ---- */

/* What a record needs may stand further on, since events come to the journal by another way than
 * files and packets: then the whole is read ahead, once. */
static int read_ahead(struct replay *y)
{
	y->later = runs_new();
	return y->later && survey(y->tool, y->later, y->sets) == CLI_OK ? 0 : -ENOMEM;
}

static int ask(struct replay *y, const struct facts *f, const struct audit_record *r,
	struct asked *ret, struct rule_set **ret_set)
{
	int res = asked_of(y->facts, f, r, y->runs, ret);

	if (res == ASKED_UNKNOWN && y->later)
		res = asked_of(y->facts, f, r, y->later, ret);
	if (res == ASKED_NOTHING || res < 0 || (res == 0 && ret->limited))
		return res;
	if (res == 0)
		res = other_set(&y->other, y->sets, ret->policy_set, ret_set);
	return res == KEPT_NOT_HERE ? ASKED_UNKNOWN : res;
}

static int replay_record(struct replay *y, const struct audit_record *r)
{
	struct facts f = facts_unasked(y->facts, r);
	struct rule_set *set = NULL;
	struct asked asked;
	struct decision d;

	if (told_again(y->told, r, &f))
		return 0;
	const bool *known = memo_find(&y->memo, &f);
	if (known && *known == !f.denied) {
		y->decisions++;
		y->same++;
		return 0;
	}
	f = facts_of(y->facts, r);
	int res = ask(y, &f, r, &asked, &set);
	if (res == ASKED_UNKNOWN && !y->later) {
		res = read_ahead(y);
		if (res == 0)
			res = ask(y, &f, r, &asked, &set);
	}
	if (res == ASKED_NOTHING || res < 0)
		return res < 0 ? err_trace(res) : 0;
	y->decisions++;
	if (res == ASKED_UNKNOWN) {
		y->unknown++;
		return 0;
	}
	if (asked.limited) {
		y->limited++;
		return 0;
	}
	res = decide_again(y, set, &asked, &d);
	if (res < 0)
		return err_trace(res);
	memo_keep(&y->memo, &f, d.allowed);
	if (d.allowed == asked.allowed) {
		y->same++;
		return 0;
	}
	*(d.allowed ? &y->now_allowed : &y->now_denied) += 1;
	return print_flip(y, r, &asked, set, &d);
}

static int replay_all(struct replay *y, struct audit_reader *reader)
{
	struct audit_record record;
	int r = audit_reader_seek(reader, 1);

	while (r == 0 && (r = audit_reader_next(reader, &record)) == 0) {
		r = runs_note(y->runs, y->facts, &record); /* the set that held then */
		if (r == 0)
			r = kept_note(y->sets, y->facts, &record);
		if (r == 0 && filter_takes(&y->tool->filter, y->facts, &record))
			r = replay_record(y, &record);
	}
	return r < 0 ? err_trace(r) : 0;
}

static int sum_up(const struct replay *y)
{
	struct buf json CLEANUP(buf_fini) = buf_init(4096);
	struct buf b CLEANUP(buf_fini) = buf_init(8192);
	struct json_writer w = json_writer(&json);
	const struct {
		const char *name;
		uint64_t n;
	} counts[] = {{"decisions", y->decisions}, {"same", y->same}, {"now_denied", y->now_denied},
		{"now_allowed", y->now_allowed}, {"not_decided_again", y->unknown},
		{"by_rate_limits", y->limited}};

	if (y->tool->format == CLI_TEXT || y->tool->format == CLI_TABLE) {
		printf("%llu decisions: %llu stay, %llu would be denied, %llu would be allowed\n",
			(unsigned long long)y->decisions, (unsigned long long)y->same,
			(unsigned long long)y->now_denied, (unsigned long long)y->now_allowed);
		if (y->limited)
			printf("%llu were denied by rate limits, which a single question does not "
			       "show\n",
				(unsigned long long)y->limited);
		if (y->unknown)
			printf("%llu could not be made again: the journal lacks their policy set "
			       "or part of the question\n",
				(unsigned long long)y->unknown);
	} else {
		json_object(&w);
		for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
			json_key(&w, counts[i].name);
			json_put_u64(&w, counts[i].n);
		}
		json_end(&w);
		if (buf_error(&json) == 0 && put_document(&b, y->tool, buf_view(&json)) == 0)
			tool_write(buf_view(&b));
	}
	return y->now_denied + y->now_allowed + y->unknown ? AUDIT_FLIPS : CLI_OK;
}

static int what_if(const struct tool *t, const char *policy, const char *set)
{
	struct arena *facts CLEANUP(arena_cleanup) = facts_arena();
	struct arena *ask CLEANUP(arena_cleanup) = arena_new(ASK_BYTES);
	struct arena *memo CLEANUP(arena_cleanup) = arena_new(MEMO_BYTES);
	struct replay y = {.tool = t,
		.runs = runs_new(),
		.sets = kept_new(),
		.told = told_new(),
		.facts = facts,
		.ask = ask,
		.memo = {.arena = memo, .key = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES)}};
	struct audit_reader *reader = NULL;
	map_init(&y.memo.by_question, MEMO_MAX);
	int code = facts && ask && memo && y.runs && y.sets && y.told
		? other_open(&y.other, policy, set)
		: tool_fail_errno(-ENOMEM);

	if (code == CLI_OK)
		code = tool_open(t, &reader);
	if (code == CLI_OK) {
		int r = replay_all(&y, reader);
		fflush(stdout);
		code = r < 0 ? tool_fail_errno(r) : sum_up(&y);
		fflush(stdout);
		if (r == 0 && !y.decisions)
			hint_at_names(t);
	}
	audit_reader_close(reader);
	other_close(&y.other);
	map_fini(&y.memo.by_question);
	buf_fini(&y.memo.key);
	runs_free(y.later);
	runs_free(y.runs);
	kept_free(y.sets);
	told_free(y.told);
	return code;
}

static int run_what_if(struct cli *c)
{
	const char *policy = cli_value(c, "policy"), *set = cli_value(c, "set");
	struct tool t;

	if (!policy == !set)
		return tool_fail(CLI_INVALID,
			"what-if needs the other policies: either --policy DIR or --set FILE");
	int code = tool_begin(&t, c);
	t.filter.policy = NULL; /* here the option means another thing */
	if (code == CLI_OK)
		code = what_if(&t, policy, set);
	tool_end(&t);
	return code;
}

static const struct cli_option what_if_options[] = {
	{"policy", 0, "DIR",
		"Policies in place of the operators' files: a folder such as policy.d, or one file",
		NULL},
	{"set", 0, "FILE", "A whole policy set, as `aegis policy show HASH` prints it", NULL},
	FILTER_OPTIONS_BUT_POLICY,
};

const struct verb verb_what_if = {
	.name = "what-if",
	.arguments = "",
	.options = what_if_options,
	.summary = "Replay recorded decisions through other policies",
	.help = "Makes each recorded decision again with other policies, by the matcher that "
		"decides\n"
		"live, and prints those that come out otherwise. Security contexts and manifests "
		"stay\n"
		"as they were recorded; rate limits are not counted.\n"
		"For CI: exits 0 if every decision stays, 6 if one comes out otherwise or cannot "
		"be\n"
		"made again, 2 if the policies are not valid.",
	.examples = "aegis-audit what-if --policy new-policy.d --from 7d\n"
		    "aegis-audit what-if --set set.cedar --agent coder --output json",
	.run = run_what_if,
};
