/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A table with one field of each kind: what it accepts, what it fills in, and every refusal word by
 * word; then what else is made of it: the dump, the effects, the reference, the sample.
 */
#include "tests/tap.h"
#include "daemon/schema/schema.h"
#include <errno.h>
#include <stdlib.h>

struct part {
	const char *name;
	int64_t size;
};
struct shape {
	int kind; /* circle, square */
	double radius;
	int64_t side;
};
struct thing {
	const char *text, *code;
	int color;
	bool flag, quiet;
	int64_t count;
	double share;
	int64_t wait_ns, room_bytes;
	TABLE_LIST_OF(const char *) tags;
	TABLE_MAP_OF(int64_t) scores;
	TABLE_LIST_OF(struct part) parts;
	struct part main_part;
	struct part *spare;
	struct shape shape;
	int64_t one;
	TABLE_LIST_OF(const char *) many;
	const struct json *any;
	struct table_secret key;
	const char *left, *right;
};

#define AT(type, member) .offset = offsetof(struct type, member)

static const struct table_field text_item = {.name = "t", .type = TABLE_STRING, .min = 1};
static const struct table_field score_item = {.name = "s", .type = TABLE_INT, .min = 0, .max = 9};

static const struct table_field part_fields[] = {{.name = "name",
							 .type = TABLE_STRING,
							 AT(part, name),
							 .flags = TABLE_REQUIRED,
							 .doc = "Its name."},
	{.name = "size", .type = TABLE_INT, AT(part, size), .otherwise = "7", .doc = "Its size."},
	{0}};
static void check_part(struct table_run *run, const struct doc *d, void *object)
{
	const struct part *p = object;
	if (p->size == 13)
		table_problem(run, d, "size", "13 brings bad luck");
	if (p->size == 12)
		table_warning(run, d, "size", "close to 13");
}
static const struct table part_table = {.name = "Part",
	.doc = "A part.",
	.bytes = sizeof(struct part),
	.fields = part_fields,
	.shorthand = "name",
	.check = check_part};
static const struct table_field part_item = {
	.name = "p", .type = TABLE_OBJECT, .table = &part_table};

static const char *const kinds[] = {"circle", "square", NULL};
static const struct table_field shape_fields[] = {{.name = "kind",
							  .type = TABLE_ENUM,
							  AT(shape, kind),
							  .values = kinds,
							  .otherwise = "circle",
							  .doc = "Which."},
	{.name = "radius",
		.type = TABLE_NUMBER,
		AT(shape, radius),
		.least = 0,
		.most = 10,
		.only = 1 << 0,
		.flags = TABLE_REQUIRED,
		.doc = "Of a circle."},
	{.name = "side",
		.type = TABLE_INT,
		AT(shape, side),
		.min = 1,
		.only = 1 << 1,
		.flags = TABLE_REQUIRED,
		.doc = "Of a square."},
	{0}};
static const struct table shape_table = {.name = "Shape",
	.doc = "A shape.",
	.bytes = sizeof(struct shape),
	.fields = shape_fields,
	.discriminator = "kind"};

static const char *const colors[] = {"red", "green", "blue", NULL};
static const struct table_field forms[] = {{.name = "one", .type = TABLE_INT, AT(thing, one)},
	{.name = "many",
		.type = TABLE_LIST,
		.item = &text_item,
		.item_bytes = sizeof(char *),
		AT(thing, many)},
	{0}};

static const struct table_field thing_fields[] = {{.name = "text",
							  .type = TABLE_STRING,
							  AT(thing, text),
							  .flags = TABLE_REQUIRED,
							  .min = 1,
							  .max = 8,
							  .example = "hello",
							  .doc = "A text."},
	{.name = "code",
		.type = TABLE_STRING,
		AT(thing, code),
		.pattern = "[a-z]+(-[a-z]+)*",
		.pattern_says = "lower-case words with hyphens",
		.doc = "A code."},
	{.name = "color",
		.type = TABLE_ENUM,
		AT(thing, color),
		.values = colors,
		.otherwise = "green",
		.effect = TABLE_GUARDED,
		.effect_values = 1 << 2,
		.doc = "A color."},
	{.name = "flag",
		.type = TABLE_BOOL,
		AT(thing, flag),
		.otherwise = "true",
		.effect = TABLE_NOTED,
		.effect_says = "nobody looks",
		.doc = "A flag."},
	{.name = "quiet",
		.type = TABLE_BOOL,
		AT(thing, quiet),
		.flags = TABLE_HIDDEN,
		.doc = "Hidden."},
	{.name = "count",
		.type = TABLE_INT,
		AT(thing, count),
		.otherwise = "3",
		.min = 1,
		.max = 20,
		.doc = "A count."},
	{.name = "share",
		.type = TABLE_NUMBER,
		AT(thing, share),
		.least = 0,
		.most = 1,
		.doc = "A share."},
	{.name = "wait",
		.type = TABLE_DURATION,
		AT(thing, wait_ns),
		.otherwise = "90s",
		.min = NS_PER_S,
		.max = 3600 * NS_PER_S,
		.doc = "A wait."},
	{.name = "room",
		.type = TABLE_SIZE,
		AT(thing, room_bytes),
		.otherwise = "512Mi",
		.min = 1024,
		.doc = "Room."},
	{.name = "tags",
		.type = TABLE_LIST,
		AT(thing, tags),
		.item = &text_item,
		.item_bytes = sizeof(char *),
		.max = 3,
		.otherwise = "[a, b]",
		.effect = TABLE_NOTED,
		.doc = "Tags."},
	{.name = "scores",
		.type = TABLE_MAP,
		AT(thing, scores),
		.item = &score_item,
		.item_bytes = sizeof(int64_t),
		.doc = "Scores."},
	{.name = "parts",
		.type = TABLE_LIST,
		AT(thing, parts),
		.item = &part_item,
		.item_bytes = sizeof(struct part),
		.flags = TABLE_UNIQUE,
		.doc = "Parts."},
	{.name = "main_part",
		.type = TABLE_OBJECT,
		AT(thing, main_part),
		.table = &part_table,
		.doc = "The main part."},
	{.name = "spare",
		.type = TABLE_OBJECT,
		AT(thing, spare),
		.table = &part_table,
		.flags = TABLE_POINTER,
		.effect = TABLE_NOTED,
		.doc = "A spare part."},
	{.name = "shape",
		.type = TABLE_OBJECT,
		AT(thing, shape),
		.table = &shape_table,
		.doc = "A shape."},
	{.name = "either", .type = TABLE_FORMS, .forms = forms, .doc = "One or many."},
	{.name = "any", .type = TABLE_JSON, AT(thing, any), .doc = "Anything."},
	{.name = "key", .type = TABLE_SECRET, AT(thing, key), .doc = "A secret."},
	{.name = "left", .type = TABLE_STRING, AT(thing, left), .doc = "One side."},
	{.name = "right",
		.type = TABLE_STRING,
		AT(thing, right),
		.flags = TABLE_PLAIN,
		.doc = "The other."},
	{0}};
static const struct table_renamed thing_renamed[] = {
	{"colour", "color", true}, {"size", "room", false}, {0}};
static const struct table_rule thing_rules[] = {
	{TABLE_RULE_APART, "left", "right", "one side"}, {0}};
static const struct table thing_table = {.name = "Thing",
	.doc = "A thing.",
	.bytes = sizeof(struct thing),
	.fields = thing_fields,
	.renamed = thing_renamed,
	.rules = thing_rules,
	.credentials = true};

struct loaded {
	struct arena *arena;
	struct report report;
	struct table_secrets secrets;
	const struct doc *doc;
	struct thing thing;
	int result;
	struct buf text;
};

static const char *env(void *ctx, const char *name)
{
	return strcmp(name, "SET") == 0 ? "from-env" : strcmp(name, "BAD") == 0 ? "\xff" : NULL;
}

static struct loaded load_as(const char *text, bool may_be_unset)
{
	struct loaded l = {.arena = arena_new(16 << 20), .text = buf_init(1 << 20)};
	memset(&l.thing, 0xee, sizeof(l.thing));
	assert_int_equal(report_init(&l.report, l.arena, "t"), 0);
	assert_int_equal(doc_parse_yaml(&l.report, span_cstr(text), &l.doc), 0);
	struct table_run run = {.report = &l.report,
		.env = env,
		.secrets = &l.secrets,
		.env_may_be_unset = may_be_unset};
	l.result = table_load(&run, &thing_table, l.doc, &l.thing);
	report_text(&l.report, &l.text);
	return l;
}

static struct loaded load(const char *text)
{
	return load_as(text, false);
}

static void loaded_fini(struct loaded *l)
{
	table_secrets_fini(&l->secrets);
	buf_fini(&l->text);
	arena_free(l->arena);
}

static const char *report_of(struct loaded *l)
{
	return l->text.len ? buf_cstr(&l->text) : "";
}

static void tables_are_sound(void **state)
{
	int r = table_selfcheck(&thing_table);
	if (r)
		print_message("# %s\n", err_message(r));
	assert_int_equal(r, 0);
}

static void silence_means_the_defaults(void **state)
{
	struct loaded l = load("text: hi");
	assert_int_equal(l.result, 0);
	assert_string_equal(l.thing.text, "hi");
	assert_null(l.thing.code);
	assert_int_equal(l.thing.color, 1);
	assert_true(l.thing.flag);
	assert_false(l.thing.quiet);
	assert_int_equal(l.thing.count, 3);
	assert_int_equal(l.thing.wait_ns, 90 * NS_PER_S);
	assert_int_equal(l.thing.room_bytes, 512 << 20);
	assert_int_equal(l.thing.tags.count, 2);
	assert_string_equal(l.thing.tags.items[1], "b");
	assert_int_equal(l.thing.scores.count, 0);
	assert_int_equal(l.thing.main_part.size, 7);
	assert_null(l.thing.main_part.name);
	assert_null(l.thing.spare);
	assert_int_equal(l.thing.shape.kind, 0);
	assert_int_equal(l.thing.many.count, 0);
	assert_null(l.thing.any);
	assert_int_equal(l.thing.key.from, TABLE_SECRET_NONE);
	loaded_fini(&l);
}

static void null_means_silence(void **state)
{
	struct loaded l = load("text: hi\ncount:\nmain_part: ~\nspare: null\ntags: null\nleft: ~\n"
			       "right: r\nshape:\n");
	assert_string_equal(report_of(&l), "");
	assert_int_equal(l.thing.count, 3);
	assert_int_equal(l.thing.tags.count, 2);
	assert_null(l.thing.spare);
	loaded_fini(&l);
}

static void everything_can_be_said(void **state)
{
	struct loaded l = load("text: env:SET\n"
			       "code: literal:a-b\n"
			       "colour: blue\n"
			       "flag: false\n"
			       "count: 2e1\n"
			       "share: 0.25\n"
			       "wait: 1m30s\n"
			       "room: 64Ki\n"
			       "tags: []\n"
			       "scores: {x: 1, y: 9}\n"
			       "parts: [short, {name: long, size: 8}]\n"
			       "main_part: only\n"
			       "spare: {name: s}\n"
			       "shape: {kind: square, side: 4}\n"
			       "either: [p, q]\n"
			       "any: {a: [1, null]}\n"
			       "key: env:SET\n"
			       "right: env:SET\n");
	assert_string_equal(
		report_of(&l), "t:3:1: warning: colour: another name for \"color\"; write that\n");
	assert_int_equal(l.result, 0);
	assert_string_equal(l.thing.text, "from-env");
	assert_string_equal(l.thing.code, "a-b");
	assert_int_equal(l.thing.color, 2);
	assert_false(l.thing.flag);
	assert_int_equal(l.thing.count, 20);
	assert_true(l.thing.share == 0.25);
	assert_int_equal(l.thing.wait_ns, 90 * NS_PER_S);
	assert_int_equal(l.thing.room_bytes, 65536);
	assert_int_equal(l.thing.tags.count, 0);
	assert_string_equal(l.thing.scores.keys[1], "y");
	assert_int_equal(l.thing.scores.values[1], 9);
	assert_string_equal(l.thing.parts.items[0].name, "short");
	assert_int_equal(l.thing.parts.items[0].size, 7);
	assert_int_equal(l.thing.parts.items[1].size, 8);
	assert_string_equal(l.thing.main_part.name, "only");
	assert_string_equal(l.thing.spare->name, "s");
	assert_int_equal(l.thing.shape.side, 4);
	assert_int_equal(l.thing.many.count, 2);
	assert_int_equal(json_get(l.thing.any, "a")->count, 2);
	assert_int_equal(l.thing.key.from, TABLE_SECRET_ENV);
	assert_true(span_is(secret_reveal(l.thing.key.value), "from-env"));
	/* TABLE_PLAIN */
	assert_string_equal(l.thing.right, "env:SET");
	loaded_fini(&l);

	l = load("text: hi\neither: 5\nwait: 5\nroom: 2048\nkey: secret:a/b\n");
	assert_int_equal(l.result, 0);
	assert_int_equal(l.thing.one, 5);
	assert_int_equal(l.thing.wait_ns, 5 * NS_PER_S);
	assert_int_equal(l.thing.room_bytes, 2048);
	assert_int_equal(l.thing.key.from, TABLE_SECRET_STORE);
	assert_string_equal(l.thing.key.name, "a/b");
	assert_null(l.thing.key.value);
	loaded_fini(&l);
}

static void refusals(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"[]", "t:1:1: wanted a mapping, found a list\n"},
		{"{}", "t:1:1: the field \"text\" is required: A text.\n"},
		{"text: ~", "t:1:1: text: the field \"text\" is required: A text.\n"},
		{"text: 3.10",
			"t:1:7: text: wanted a string, found the number 3.10; write it in "
			"quotes: \"3.10\"\n"},
		{"text: true",
			"t:1:7: text: wanted a string, found true; write it in quotes: "
			"\"true\"\n"},
		{"text: [a]", "t:1:7: text: wanted a string, found a list\n"},
		{"text: ''", "t:1:7: text: \"\" is not accepted; accepted: 1 to 8 bytes\n"},
		{"text: 123456789x",
			"t:1:7: text: \"123456789x\" is not accepted; accepted: 1 to 8 bytes\n"},
		{"text: hi\ncode: A b",
			"t:2:7: code: \"A b\" is not accepted; accepted: lower-case words with "
			"hyphens\n"},
		{"text: hi\ncode: \"a\\n\"",
			"t:2:7: code: \"a \" is not accepted; accepted: lower-case words with "
			"hyphens\n"},
		{"text: env:UNSET",
			"t:1:7: text: the environment variable UNSET is not set; set it, or write "
			"the value\n"},
		{"text: env:BAD", "t:1:7: text: the environment variable's value is not UTF-8\n"},
		{"text: secret:x",
			"t:1:7: text: this field is no secret, so it cannot come from the secret "
			"store; accepted: a text, env:NAME, literal:TEXT\n"},
		{"text: hi\ncolor: grean",
			"t:2:8: color: \"grean\" is not accepted; accepted: red, green, blue; did "
			"you mean \"green\"?\n"},
		{"text: hi\ncolor: {}",
			"t:2:8: color: wanted one of red, green, blue, found a mapping\n"},
		{"text: hi\nflag: yes",
			"t:2:7: flag: wanted true or false, found the string \"yes\"; YAML 1.2 "
			"reads yes, no, on and off as text: write true\n"},
		{"text: hi\nflag: 'off'",
			"t:2:7: flag: wanted true or false, found the string \"off\"; without "
			"quotes: write false\n"},
		{"text: hi\nflag: 0", "t:2:7: flag: wanted true or false, found the number 0\n"},
		{"text: hi\ncount: 25", "t:2:8: count: 25 is out of range; accepted: 1 to 20\n"},
		{"text: hi\ncount: 99999999999999999999",
			"t:2:8: count: 99999999999999999999 is out of range; accepted: 1 to 20\n"},
		{"text: hi\ncount: '5'",
			"t:2:8: count: wanted an integer, found the string \"5\"; write it without "
			"quotes\n"},
		{"text: hi\ncount: 1.5", "t:2:8: count: wanted an integer, found the number 1.5\n"},
		{"text: hi\nshare: 1.01", "t:2:8: share: 1.01 is out of range; accepted: 0 to 1\n"},
		{"text: hi\nshare: 1e999",
			"t:2:8: share: 1e999 is out of range; accepted: 0 to 1\n"},
		{"text: hi\nshare: '1'",
			"t:2:8: share: wanted a number, found the string \"1\"; numbers are "
			"written without quotes\n"},
		{"text: hi\nwait: soon",
			"t:2:7: wait: \"soon\" is not accepted; accepted: a duration like 90s, 5m, "
			"1h30m or 250ms, or a number of seconds\n"},
		{"text: hi\nwait: 2h", "t:2:7: wait: 2h is out of range; accepted: 1s to 3600s\n"},
		{"text: hi\nwait: []",
			"t:2:7: wait: wanted a duration like 90s, 5m, 1h30m or 250ms, or a number "
			"of seconds, found a list\n"},
		{"text: hi\nroom: 1Xi",
			"t:2:7: room: \"1Xi\" is not accepted; accepted: a size like 512Mi, 1Gi or "
			"64Ki, or a number of bytes\n"},
		{"text: hi\nroom: 1023",
			"t:2:7: room: 1023 is out of range; accepted: at least 1024 bytes\n"},
		{"text: hi\nroom: 9999999999Ti",
			"t:2:7: room: \"9999999999Ti\" is not accepted; accepted: a size like "
			"512Mi, 1Gi or 64Ki, or a number of bytes\n"},
		{"text: hi\ntags: a", "t:2:7: tags: wanted a list, found the string \"a\"\n"},
		{"text: hi\ntags: [a, b, c, d]",
			"t:2:7: tags: 4 items are not accepted; accepted: 0 to 3\n"},
		{"text: hi\ntags: [a, 2, '']",
			"t:2:11: tags[1]: wanted a string, found the number 2; write it in quotes: "
			"\"2\"\n"
			"t:2:14: tags[2]: \"\" is not accepted; accepted: a text that is not "
			"empty\n"},
		{"text: hi\nscores: {a: 10}",
			"t:2:13: scores.a: 10 is out of range; accepted: 0 to 9\n"},
		{"text: hi\nparts: [a, {name: b, sizes: 1}, {name: a}, 3, {size: 1}]",
			"t:2:22: parts[1].sizes: unknown field; did you mean \"size\"?\n"
			"t:2:44: parts[3]: wanted a mapping or a string, found the number 3\n"
			"t:2:47: parts[4]: the field \"name\" is required: Its name.\n"
			"t:2:40: parts[2]: \"a\" is taken by the one on line 2; accepted: a `name` "
			"of its own\n"},
		{"text: hi\nspare: {name: s, size: 13}",
			"t:2:18: spare.size: 13 brings bad luck\n"},
		{"text: hi\nshape: {kind: square, radius: 1}",
			"t:2:23: shape.radius: belongs to kind: circle; this one is kind: square\n"
			"t:2:8: shape: the field \"side\" is required: Of a square.\n"},
		{"text: hi\nshape: {}",
			"t:2:8: shape: the field \"radius\" is required: Of a circle.\n"},
		{"text: hi\nshape: {kind: cube, side: 1}",
			"t:2:15: shape.kind: \"cube\" is not accepted; accepted: circle, square\n"},
		{"text: hi\neither: x",
			"t:2:9: either: wanted an integer or a list, found the string \"x\"\n"},
		{"text: hi\nkey: 12345",
			"t:2:6: key: wanted a secret (the value found is not shown); accepted: "
			"env:NAME, secret:PATH, literal:TEXT, or a text in quotes\n"},
		{"text: hi\nsize: 1", "t:2:1: size: unknown field; write room instead\n"},
		{"text: hi\ncolor: red\ncolour: blue",
			"t:3:1: colour: another name for \"color\", which is written too; keep "
			"one\n"},
		{"text: hi\nzzzzzzzz: 1",
			"t:2:1: zzzzzzzz: unknown field; accepted: text, code, color, flag, count, "
			"share, wait, room, tags, scores, parts, main_part, spare, shape, either, "
			"any, key, left, right\n"},
		{"text: hi\nleft: a\nright: b",
			"t:3:1: right: excludes \"left\"; accepted: one side\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loaded l = load(cases[i].text);
		assert_string_equal(report_of(&l), cases[i].want);
		assert_int_equal(l.result, DOC_BAD);
		loaded_fini(&l);
	}
}

static void warnings_do_not_refuse(void **state)
{
	struct loaded l = load("text: hi\nspare: {name: s, size: 12}");
	assert_string_equal(report_of(&l), "t:2:18: warning: spare.size: close to 13\n");
	assert_int_equal(l.result, 0);
	loaded_fini(&l);
}

static void unset_variables_can_be_tolerated(void **state)
{
	struct loaded l = load_as("text: env:UNSET\nkey: env:UNSET", true);
	assert_int_equal(l.result, 0);
	assert_string_equal(report_of(&l),
		"t:1:7: warning: text: the environment variable UNSET is not set here\n"
		"t:2:6: warning: key: the environment variable UNSET is not set here\n");
	assert_string_equal(l.thing.text, "env:UNSET");
	assert_int_equal(l.thing.key.from, TABLE_SECRET_ENV);
	assert_null(l.thing.key.value);
	loaded_fini(&l);
}

static const char *dump(struct loaded *l, struct buf *b)
{
	struct json_writer w = json_writer(b);
	table_dump(&thing_table, &l->thing, &w);
	return buf_cstr(b);
}

static void dumps_hold_what_holds_and_no_secret(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	struct loaded l = load("text: hi\nkey: literal:hush\nspare: {name: s}\neither: [x]\n"
			       "any: [1]\nscores: {a: 1}\nwait: 250s");
	assert_int_equal(l.result, 0);
	assert_true(span_is(secret_reveal(l.thing.key.value), "hush"));
	assert_string_equal(dump(&l, &b),
		"{\"text\":\"hi\",\"color\":\"green\",\"flag\":true,\"quiet\":false,\"count\":3,"
		"\"share\":0,\"wait\":\"250s\",\"room\":536870912,\"tags\":[\"a\",\"b\"],"
		"\"scores\":{\"a\":1},\"main_part\":{\"size\":7},\"spare\":{\"name\":\"s\","
		"\"size\":7},\"shape\":{\"kind\":\"circle\",\"radius\":0,\"side\":0},"
		"\"either\":0,\"any\":[1],\"key\":\"(redacted)\"}");
	loaded_fini(&l);
}

/* What was written of a secret is gone from the document when the secrets go. */
static void secrets_are_wiped(void **state)
{
	struct loaded l = load("text: hi\nkey: &k literal:hush\nany: *k\n");
	assert_int_equal(l.result, 0);
	const struct doc *d = doc_at(l.doc, "key");
	assert_true(span_is(d->text, "literal:hush"));
	table_secrets_fini(&l.secrets);
	for (size_t i = 0; i < d->text.n; i++)
		assert_int_equal(d->text.p[i], 0);
	loaded_fini(&l);
}

static void collect(
	void *ctx, const char *path, const struct table_field *f, const struct doc *value)
{
	buf_printf(
		ctx, "%s:%d:%s ", path, value->key_at.line, f->effect_says ? f->effect_says : "-");
}

static void effects_are_found(void **state)
{
	struct loaded l = load("text: hi\n"
			       "colour: blue\n"
			       "flag: false\n"
			       "tags: []\n"
			       "spare: {name: s}\n");
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	table_effects(&thing_table, l.doc, collect, &b);
	assert_string_equal(buf_cstr(&b), "colour:2:- flag:3:nobody looks spare:5:- ");
	loaded_fini(&l);

	l = load("text: hi\ncolor: red\nflag: true\ntags:\nspare: ~\n");
	buf_reset(&b);
	table_effects(&thing_table, l.doc, collect, &b);
	assert_int_equal(b.len, 0);
	loaded_fini(&l);
}

static void samples_load(void **state)
{
	for (int all = 0; all <= 1; all++) {
		struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
		table_sample(&thing_table, all, &b);
		struct loaded l = load(buf_cstr(&b));
		assert_string_equal(report_of(&l), "");
		assert_int_equal(l.result, 0);
		loaded_fini(&l);
	}
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	table_sample(&thing_table, true, &b);
	assert_non_null(strstr(buf_cstr(&b), "# A count.\n# count: 3\n"));
	assert_non_null(strstr(buf_cstr(&b), "# parts:\n  # Its name.\n  # - name:\n"));
	assert_null(strstr(buf_cstr(&b), "quiet"));
}

static void references_name_everything(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	table_reference(&thing_table, &b);
	const char *text = buf_cstr(&b);
	assert_non_null(strstr(text, "| `text` | string | yes |  |  | A text. |\n"));
	assert_non_null(strstr(text, "| `count` | integer |  | `3` | 1 to 20 | A count. |\n"));
	assert_non_null(strstr(text, "`red` \\| `green` \\| `blue`"));
	assert_non_null(strstr(text, "*No effect yet.*"));
	assert_non_null(strstr(text, "## Part\n"));
	assert_non_null(strstr(text, "- `colour`: write `color`\n"));
}

static void near_names_are_found(void **state)
{
	const char *const names[] = {"max_iterations", "mode", "memory", "name", NULL};
	assert_string_equal(table_nearest("max_iteration", names), "max_iterations");
	assert_string_equal(table_nearest("maxIterations", names), "max_iterations");
	assert_string_equal(table_nearest("mdoe", names), "mode");
	assert_string_equal(table_nearest("Memory", names), "memory");
	assert_null(table_nearest("x", names));
	assert_null(table_nearest("delivery", names));
	char longest[200];
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_null(table_nearest(longest, names));
}

static void unsound_tables_are_found(void **state)
{
	static const struct table_field twice[] = {
		{.name = "a", .type = TABLE_BOOL}, {.name = "a", .type = TABLE_BOOL}, {0}};
	static const struct table_field bad_default[] = {
		{.name = "a", .type = TABLE_INT, .min = 1, .max = 2, .otherwise = "3"}, {0}};
	static const struct table_field bad_pattern[] = {
		{.name = "a", .type = TABLE_STRING, .pattern = "(", .pattern_says = "x"}, {0}};
	const struct table tables[] = {
		{.name = "T", .bytes = 8, .fields = twice},
		{.name = "T", .bytes = 8, .fields = bad_default},
		{.name = "T", .bytes = 8, .fields = bad_pattern},
		{.name = "T", .bytes = 8, .fields = twice + 1, .shorthand = "b"},
	};
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		assert_int_equal(table_selfcheck(&tables[i]), -EINVAL);
	err_clear();
}

static void envelopes_are_told_apart(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"apiVersion: x\nkind: Agent\n", ""},
		{"kind: agent\n", "f:1:7: kind: \"agent\" is not accepted; accepted: Agent\n"},
		{"kind: Workflow\n",
			"f:1:7: kind: \"Workflow\" is not accepted here: this document describes "
			"something else; accepted: Agent\n"},
		{"name: x\n",
			"f:1:1: this is no manifest: apiVersion and kind are missing; accepted: "
			"apiVersion: 100monkeys.ai/v1, kind: Agent, metadata and spec, with "
			"everything else below them\n"},
		{"- x\n",
			"f:1:1: wanted a mapping with apiVersion, kind, metadata and spec, found "
			"a list\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
		struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
		struct report r;
		const struct doc *d;
		assert_int_equal(report_init(&r, a, "f"), 0);
		assert_int_equal(doc_parse_yaml(&r, span_cstr(cases[i].text), &d), 0);
		assert_int_equal(table_envelope(&r, d, "Agent"), *cases[i].want ? DOC_BAD : 0);
		report_text(&r, &b);
		assert_string_equal(b.len ? buf_cstr(&b) : "", cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_sound),
		cmocka_unit_test(silence_means_the_defaults),
		cmocka_unit_test(null_means_silence),
		cmocka_unit_test(everything_can_be_said),
		cmocka_unit_test(refusals),
		cmocka_unit_test(warnings_do_not_refuse),
		cmocka_unit_test(unset_variables_can_be_tolerated),
		cmocka_unit_test(dumps_hold_what_holds_and_no_secret),
		cmocka_unit_test(secrets_are_wiped),
		cmocka_unit_test(effects_are_found),
		cmocka_unit_test(samples_load),
		cmocka_unit_test(references_name_everything),
		cmocka_unit_test(near_names_are_found),
		cmocka_unit_test(unsound_tables_are_found),
		cmocka_unit_test(envelopes_are_told_apart),
	};
	return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
