/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/template/template.h"
#include "tests/tap.h"
#include "tests/unit/mutate.h"
#include <stdio.h>

static const char context_text[] =
	"{\"a\":\"A<&>\",\"n\":0,\"t\":true,\"nil\":null,\"empty\":\"\",\"none\":[],"
	"\"list\":[\"x\",\"y\"],\"o\":{\"k\":{\"l\":\"deep\"}},\"rows\":[{\"s\":\"hi\",\"f\":1},"
	"{\"s\":\"lo\",\"f\":2}],\"num\":1.50}";

static int render(const char *text, char *out, size_t bytes)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 << 20);
	struct buf b CLEANUP(buf_fini) = buf_init(bytes - 1);
	const struct template *t;
	const struct json *context;

	if (json_parse(a, span_cstr(context_text), NULL, &context) < 0)
		fail_msg("context");
	int r = template_parse(a, span_cstr(text), &t);
	if (r == 0)
		r = template_render(t, context, &b);
	snprintf(out, bytes, "%s", r < 0 ? err_message(r) : b.len ? buf_cstr(&b) : "");
	err_clear();
	return r;
}

static void good(const char *text, const char *wanted)
{
	char out[512];

	if (render(text, out, sizeof(out)) < 0 || strcmp(out, wanted) != 0)
		fail_msg("%s gives '%s', not '%s'", text, out, wanted);
}

static void bad(const char *text, const char *message)
{
	char out[512];

	if (render(text, out, sizeof(out)) == 0 || !strstr(out, message))
		fail_msg("%s gives '%s', not '...%s...'", text, out, message);
}

static void values(void **state)
{
	good("", "");
	good("{{a}}|{{{a}}}|{{&a}}|{{ a }}", "A<&>|A<&>|A<&>|A<&>");
	good("{{missing}}{{nil}}{{o.missing.x}}{{a.b}}", "");
	good("{{o.k.l}} {{list.1}} {{list.9}} {{num}} {{t}}", "deep y  1.50 true");
	good("{{list}} {{o}}", "[\"x\",\"y\"] {\"k\":{\"l\":\"deep\"}}");
	good("{{o.[k].l}}", "deep");
	good("\\{{a}} {{a}}", "{{a}} A<&>");
	good("x \\{{{{a}}", "x {{A<&>");
	good("a{{! no }}b{{!-- {{not}} --}}c", "abc");
	good("a  {{~a~}}  b", "aA<&>b");
}

static void blocks(void **state)
{
	good("{{#if a}}y{{else}}n{{/if}}{{#if empty}}y{{else}}n{{/if}}", "yn");
	good("{{#if n}}y{{/if}}{{#if none}}y{{/if}}{{#if nil}}y{{/if}}{{#if list}}z{{/if}}", "z");
	good("{{#unless n}}u{{/unless}}{{#unless a}}u{{else}}v{{/unless}}", "uv");
	good("{{#if n}}1{{else if a}}2{{else}}3{{/if}}", "2");
	good("{{#if n}}1{{else if nil}}2{{else}}3{{/if}}.", "3.");
	good("{{#with o.k}}{{l}}{{../a}}{{@root.t}}{{/with}}{{#with nil}}x{{else}}-{{/with}}",
		"deepA<&>true-");
	good("{{#each list}}{{@index}}{{this}}{{#unless @last}},{{/unless}}{{/each}}", "0x,1y");
	good("{{#each rows}}{{this.s}}={{f}}{{#if @first}};{{/if}}{{/each}}", "hi=1;lo=2");
	good("{{#each o}}{{@key}}:{{this.l}}{{/each}}", "k:deep");
	good("{{#each none}}x{{else}}nothing{{/each}}{{#each a}}x{{/each}}", "nothing");
	good("{{#each rows}}{{#each ../list}}{{../s}}{{this}} {{/each}}{{/each}}",
		"hix hiy lox loy ");
}

/* A line with one block tag and nothing else is gone whole. */
static void lines(void **state)
{
	good("a\n{{#if t}}\nb\n{{/if}}\nc\n", "a\nb\nc\n");
	good("a\n  {{#each list}}  \n- {{this}}\n  {{/each}}\nc", "a\n- x\n- y\nc");
	good("a\n{{! remark }}\nb", "a\nb");
	good("a\n{{a}}\nb", "a\nA<&>\nb");
	good("a {{#if t}}\nb{{/if}}", "a \nb");
	good("{{#if a}}Task: {{a}}\n\n{{/if}}{{#if list}}Input: {{list.0}}{{/if}}",
		"Task: A<&>\n\nInput: x");
}

static void refused(void **state)
{
	bad("{{a", "line 1 column 1: a tag is not closed");
	bad("x\n{{#if a}}", "inside the block 'if'");
	bad("{{/if}}", "no block is open");
	bad("{{#if a}}{{/each}}", "another name");
	bad("{{#loop a}}{{/loop}}", "blocks are if, unless, with and each");
	bad("{{> part}}", "partials");
	bad("{{upper a}}", "helpers, partials and literals are not supported");
	bad("{{#if a}}{{else}}{{else}}{{/if}}", "a second {{else}}");
	bad("{{else}}", "outside of a block");
	bad("{{}}", "a name is expected");
	bad("{{@what}}", "@root");
}

static void bounded(void **state)
{
	char text[4096] = "", out[64];
	for (int i = 0; i < 40; i++)
		strcat(text, "{{#if a}}");
	bad(text, "nested more than");
	assert_int_equal(render("{{#each rows}}{{a}}{{s}}0123456789012345678901234567890123456789"
				"{{/each}}",
				 out, sizeof(out)),
		-E2BIG);
	text[0] = '\0';
	for (int i = 0; i < 22; i++)
		strcat(text, "{{#each @root.list}}");
	for (int i = 0; i < 22; i++)
		strcat(text, "{{/each}}");
	bad(text, "more than 1000000 steps");
}

static void damaged(struct span bytes, const char *what, void *arg)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 << 20);
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	const struct template *t;
	const struct json *context;

	if (json_parse(a, span_cstr(context_text), NULL, &context) == 0 &&
		template_parse(a, bytes, &t) == 0)
		assert_true(template_render(t, context, &b) <= 0);
	err_clear();
}

static void mutated(void **state)
{
	static const char text[] =
		"a {{~#if t~}}\n{{#each rows}}{{s}} \\{{ {{{f}}}{{else}}x{{/each}}"
		"{{else if o.k}}{{!-- x --}}{{/if}} {{../a}} {{@root.a}}";
	mutate(span_cstr(text), MUTATE_ALL, damaged, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(blocks),
		cmocka_unit_test(lines),
		cmocka_unit_test(refused),
		cmocka_unit_test(bounded),
		cmocka_unit_test(mutated),
	};
	return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
