/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Warnings of text that reads as something else than it is: characters that turn the direction of
 * what follows, and letters of alphabets that look alike beside each other. Names of types cannot
 * hold such; strings, patterns, ids and attributes can.
 */
#include "policy/cedar/validate.h"

enum { SCRIPT_LATIN = 1, SCRIPT_GREEK = 2, SCRIPT_CYRILLIC = 4 };

/* Decodes what the lexer or the JSON reader has found to be UTF-8. */
static uint32_t next_code(struct span s, size_t *at)
{
	unsigned char lead = (unsigned char)s.p[(*at)++];
	uint32_t code = lead;
	if (lead >= 0xc0)
		code = lead & (lead < 0xe0 ? 0x1fu : lead < 0xf0 ? 0x0fu : 0x07u);
	while (*at < s.n && ((unsigned char)s.p[*at] & 0xc0) == 0x80)
		code = code << 6 | ((unsigned char)s.p[(*at)++] & 0x3f);
	return code;
}

static bool turns_direction(uint32_t code)
{
	return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* Of the three alphabets whose letters are taken for each other; 0 for any other character. */
static unsigned script(uint32_t code)
{
	bool ascii_letter = (code | 0x20) >= 'a' && (code | 0x20) <= 'z' && code < 0x80;
	if (ascii_letter || (code >= 0xc0 && code <= 0x24f && code != 0xd7 && code != 0xf7))
		return SCRIPT_LATIN;
	if (code >= 0x370 && code <= 0x3ff)
		return SCRIPT_GREEK;
	return code >= 0x400 && code <= 0x52f ? SCRIPT_CYRILLIC : 0;
}

static void check_text(struct report *report, uint32_t pos, struct span s)
{
	unsigned scripts = 0;
	for (size_t at = 0; at < s.n;) {
		uint32_t code = next_code(s, &at);
		if (turns_direction(code)) {
			cedar_report_warning(report, pos,
				"a text holds U+%04X, which turns the direction of what is shown "
				"behind it",
				code);
			return;
		}
		scripts |= script(code);
	}
	if (scripts & (scripts - 1))
		cedar_report_warning(report, pos,
			"\"" SPAN_FMT "\" mixes letters of alphabets that look alike (Latin, "
			"Greek, Cyrillic)",
			SPAN_ARG(span_sub(s, 0, 80)));
}

static void check_names(struct report *report, const struct expr *e)
{
	for (size_t i = 0; i < e->name_count; i++)
		if (e->op == EXPR_LIKE)
			check_text(report, e->pos, e->pieces[i].text);
		else
			check_text(report, e->pos, e->names[i]);
}

void validate_text(const struct expr *e, struct report *report)
{
	switch (e->op) {
	case EXPR_STRING:
	case EXPR_ATTR:
		check_text(report, e->pos, e->string);
		break;
	case EXPR_UID:
		check_text(report, e->pos, e->uid.id);
		break;
	case EXPR_HAS:
	case EXPR_RECORD:
	case EXPR_LIKE:
		check_names(report, e);
		break;
	default:
		break;
	}
	for (size_t i = 0; i < e->count; i++)
		validate_text(e->kids[i], report);
}
