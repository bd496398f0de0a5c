/* SPDX-License-Identifier: AGPL-3.0-only */
/* Which records a filter takes. What stands in the header is compared before a payload is parsed.
 */
#include "tools/aegis-audit/tool.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

enum { HOST_BYTES = 300 };

static bool has_text(struct span where, struct span what)
{
	if (!what.n)
		return true;
	for (size_t i = 0; i + what.n <= where.n; i++)
		if (strncasecmp(where.p + i, what.p, what.n) == 0)
			return true;
	return false;
}

/* ---- paths ---- */

static bool path_fits(const char *pattern, struct span path)
{
	struct span p = span_cstr(pattern);

	if (!path.n)
		return false;
	if (strpbrk(pattern, "*?"))
		return context_glob_match(p, path);
	while (p.n > 1 && p.p[p.n - 1] == '/')
		p.n--;
	return span_starts(path, p) && (path.n == p.n || p.n == 1 || path.p[p.n] == '/');
}

static bool has_path(const struct facts *f, const char *pattern)
{
	const struct json *list = json_get(f->request, "paths");

	if (list && list->type == JSON_ARRAY)
		json_for_each (item, list)
			if (item->type == JSON_STRING && path_fits(pattern, item->text))
				return true;
	return path_fits(pattern, json_str(f->details, "path", SPAN("")));
}

/* ---- destinations ---- */

/* Bits of an address, 16 bytes of which are compared; -1: none. */
static int address_bits(const char *text, uint8_t ret[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	memcpy(ret, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, text, ret + sizeof(mapped)) == 1)
		return 96;
	return inet_pton(AF_INET6, text, ret) == 1 ? 0 : -1;
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, int bits)
{
	uint8_t mask = (uint8_t)(0xff00 >> (bits % 8));

	return memcmp(a, b, (size_t)bits / 8) == 0 &&
		(bits % 8 == 0 || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0);
}

/* `block` is an address, or one with "/BITS". False if it is neither. */
static bool read_block(const char *block, uint8_t ret[16], int *ret_bits)
{
	char text[300];
	uint64_t more = 0;

	snprintf(text, sizeof(text), "%s", block);
	char *slash = strchr(text, '/');
	if (slash)
		*slash = '\0';
	int before = address_bits(text, ret);
	if (before < 0)
		return false;
	*ret_bits = 128;
	if (!slash)
		return true;
	if (span_to_u64(span_cstr(slash + 1), &more) < 0 || more > (uint64_t)(128 - before))
		return false;
	*ret_bits = before + (int)more;
	return true;
}

static bool in_block(const char *block, struct span address)
{
	char other[64];
	uint8_t a[16], b[16];
	int bits;

	snprintf(other, sizeof(other), SPAN_FMT, SPAN_ARG(address));
	return read_block(block, a, &bits) && address_bits(other, b) >= 0 && bits_equal(a, b, bits);
}

static bool host_fits(const char *pattern, struct span host)
{
	struct span p = span_cstr(pattern);

	if (!host.n)
		return false;
	if (span_starts(p, SPAN("*.")))
		return host.n > p.n - 1 &&
			strncasecmp(host.p + host.n - (p.n - 1), p.p + 1, p.n - 1) == 0;
	return (p.n == host.n && strncasecmp(p.p, host.p, p.n) == 0) || in_block(pattern, host);
}

/* "HOST:PORT", "[IPV6]:PORT" or HOST. The port, 0 if there is none, -1 if it is no port. */
static int split_port(const char *text, char *host, size_t size)
{
	bool bracket = text[0] == '[';
	uint64_t port = 0;

	snprintf(host, size, "%s", text + bracket);
	char *end = bracket ? strchr(host, ']') : strchr(host, ':');
	if (!end || (!bracket && strchr(end + 1, ':'))) /* an IPv6 address as it is */
		return bracket ? -1 : 0;
	const char *behind = bracket ? end + 1 : end;
	bool any = *behind == ':';
	if (any && (span_to_u64(span_cstr(behind + 1), &port) < 0 || port < 1 || port > UINT16_MAX))
		return -1;
	if (!any && *behind)
		return -1;
	*end = '\0';
	return (int)port;
}

bool filter_destination_valid(const char *text)
{
	char host[HOST_BYTES];
	uint8_t address[16];
	int bits;

	if (strlen(text) >= sizeof(host) || split_port(text, host, sizeof(host)) < 0 || !host[0])
		return false;
	return !strchr(host, '/') || read_block(host, address, &bits);
}

static bool has_destination(const struct facts *f, const char *pattern)
{
	const struct json *places[] = {f->request, f->details};
	static const char *const members[] = {"domain", "address", "name"};
	char host[HOST_BYTES];
	int port = split_port(pattern, host, sizeof(host));

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (port && json_i64(places[i], "port", 0) != port)
			continue;
		for (size_t k = 0; k < ARRAY_LEN(members); k++)
			if (host_fits(host, json_str(places[i], members[k], SPAN(""))))
				return true;
	}
	return false;
}

/* ---- whose ---- */

static bool is_text(struct span said, const char *wanted)
{
	return said.n && span_is(said, wanted);
}

static bool is_agents(const struct filter *f, const struct facts *facts, const struct run *run)
{
	if (!f->agent)
		return true;
	return is_text(json_str(facts->request, "agent", SPAN("")), f->agent) ||
		is_text(json_str(facts->details, "agent_name", SPAN("")), f->agent) ||
		(run && is_text(run->agent, f->agent));
}

static bool is_tenants(const struct filter *f, const struct facts *facts, const struct run *run)
{
	if (!f->tenant)
		return true;
	return is_text(json_str(facts->request, "tenant", SPAN("")), f->tenant) ||
		is_text(json_str(facts->payload, "tenant_id", SPAN("")), f->tenant) ||
		(run && is_text(run->tenant, f->tenant));
}

/* ---- the whole ---- */

bool filter_is_any(const struct filter *f)
{
	return uuid_is_nil(f->execution) && uuid_is_nil(f->call) && !f->iteration &&
		f->source < 0 && !f->kind && !f->agent && !f->tenant && !f->tool && !f->path &&
		!f->destination && !f->text && f->from_ns == 0 && f->to_ns == INT64_MAX &&
		f->verdict == VERDICT_ANY && !f->policy;
}

static bool header_fits(const struct filter *f, const struct audit_record *r)
{
	if (!uuid_is_nil(f->execution) && !uuid_eq(f->execution, r->execution_id))
		return false;
	if (!uuid_is_nil(f->call) && !uuid_eq(f->call, r->call_id))
		return false;
	if (f->iteration && f->iteration != r->iteration)
		return false;
	if (f->source >= 0 && f->source != (int)r->source)
		return false;
	if (f->kind && !span_is(r->kind, f->kind))
		return false;
	return r->wall_ns >= f->from_ns && r->wall_ns < f->to_ns;
}

static bool verdict_fits(const struct filter *f, const struct facts *facts)
{
	if (f->verdict == VERDICT_ANY)
		return true;
	return facts_have_verdict(facts) && facts->denied == (f->verdict == VERDICT_DENIED);
}

bool filter_takes(const struct filter *f, struct arena *a, const struct audit_record *r)
{
	/* Executions that begin while we read: what memory lacks, no record is about. */
	if (f->runs && runs_note(f->runs, a, r) < 0)
		err_clear();
	if (!header_fits(f, r))
		return false;
	if (f->text && !has_text(r->kind, span_cstr(f->text)) &&
		!has_text(r->payload, span_cstr(f->text)))
		return false;
	if (f->verdict == VERDICT_ANY && !f->policy && !f->agent && !f->tenant && !f->tool &&
		!f->path && !f->destination)
		return true;
	struct facts facts = facts_of(a, r);
	const struct run *run = f->runs ? runs_find(f->runs, r->execution_id) : NULL;
	return verdict_fits(f, &facts) &&
		(!f->policy || facts_name_policy(&facts, span_cstr(f->policy))) &&
		is_agents(f, &facts, run) && is_tenants(f, &facts, run) &&
		(!f->tool || context_glob_match(span_cstr(f->tool), facts_tool(&facts))) &&
		(!f->path || has_path(&facts, f->path)) &&
		(!f->destination || has_destination(&facts, f->destination));
}
