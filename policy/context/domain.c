/* SPDX-License-Identifier: AGPL-3.0-only */
/* One spelling for each domain name: the ASCII form in lower case, as the resolver sees it. */
#include "policy/context/context.h"
#include <idn2.h>

enum { DOMAIN_BYTES_MAX = 253, LABEL_BYTES_MAX = 63 };

static int refuse(struct span domain, const char *why)
{
	return err_raise(
		-EINVAL, "domain '" SPAN_FMT "' %s", SPAN_ARG(span_sub(domain, 0, 200)), why);
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static int check_labels(struct span domain)
{
	struct span rest = domain, label = {0};
	bool done = false;

	while (span_split(&rest, '.', &done, &label)) {
		if (label.n == 0)
			return refuse(domain, "has an empty label");
		if (label.n > LABEL_BYTES_MAX)
			return refuse(domain, "has a label of more than 63 bytes");
		if (label.p[0] == '-' || label.p[label.n - 1] == '-')
			return refuse(domain, "has a label that begins or ends with '-'");
		for (size_t i = 0; i < label.n; i++)
			if (!is_letter_or_digit(label.p[i]) && label.p[i] != '-' &&
				label.p[i] != '_')
				return refuse(domain,
					"has a character that is none of a domain name: "
					"letters, digits, '-', '_' and '.' are accepted");
	}
	for (size_t i = 0; i < label.n; i++)
		if (label.p[i] < '0' || label.p[i] > '9')
			return 0;
	return refuse(domain, "ends in a number: it is an address, not a name");
}

/* Text beyond ASCII, by IDNA 2008. */
static int to_ascii(struct span domain, struct arena *a, struct span *ret)
{
	char *text = arena_cstr(a, domain);
	uint8_t *ascii = NULL;

	if (!text)
		return err_raise(-ENOMEM, "domain: request memory used up");
	if (strlen(text) != domain.n)
		return refuse(domain, "has a NUL byte");
	int r = idn2_lookup_u8(
		(const uint8_t *)text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (r == IDN2_MALLOC)
		return err_raise(-ENOMEM, "domain: out of memory");
	if (r != IDN2_OK)
		return err_raise(-EINVAL, "domain '" SPAN_FMT "': %s",
			SPAN_ARG(span_sub(domain, 0, 200)), idn2_strerror(r));
	*ret = arena_span(a, span_cstr((const char *)ascii));
	idn2_free(ascii);
	return ret->p ? 0 : err_raise(-ENOMEM, "domain: request memory used up");
}

int context_canonical_domain(struct span domain, struct arena *a, struct span *ret)
{
	struct span name = domain;
	bool plain = true;
	int r;

	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n == 0)
		return err_raise(-EINVAL, "domain is empty");
	if (name.n > (size_t)4 * DOMAIN_BYTES_MAX)
		return refuse(domain, "is too long");
	for (size_t i = 0; i < name.n; i++)
		plain = plain && (signed char)name.p[i] > 0;
	if (!plain) {
		r = to_ascii(name, a, &name);
		if (r < 0)
			return err_trace(r);
	}
	if (name.n > DOMAIN_BYTES_MAX)
		return refuse(domain, "is too long: at most 253 bytes are accepted");
	char *lower = arena_bytes(a, name.n);
	if (!lower)
		return err_raise(-ENOMEM, "domain: request memory used up");
	for (size_t i = 0; i < name.n; i++)
		lower[i] =
			name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] + 32) : name.p[i];
	name = span_of(lower, name.n);
	r = check_labels(name);
	if (r == 0)
		*ret = name;
	return err_trace(r);
}
