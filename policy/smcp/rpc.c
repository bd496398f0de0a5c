/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What stands inside an envelope: a JSON-RPC 2.0 request. The official SDKs disagree about calls
 * without an id, with a null id or with positional params; what one of them refuses is refused.
 * Numbers that no double holds are refused too, because readers behind us would take them for
 * infinity.
 */
#include "policy/smcp/internal.h"

/* A token this short cannot leave the range of doubles. */
static bool surely_in_range(struct span token)
{
	return token.n <= 300 && span_find_byte(token, 'e', 0) < 0 &&
		span_find_byte(token, 'E', 0) < 0;
}

/* The first number out of range, NULL if there is none. As deep as the parser allows. */
static const struct json *find_overflow(const struct json *v)
{
	double number;

	if (v->type == JSON_NUMBER && !surely_in_range(v->text) &&
		json_number_double(v, &number) < 0) {
		err_clear();
		return v;
	}
	if (v->type != JSON_OBJECT && v->type != JSON_ARRAY)
		return NULL;
	json_for_each (item, v) {
		const struct json *found = find_overflow(item);
		if (found)
			return found;
	}
	return NULL;
}

int smcp_rpc_check(struct smcp_envelope *e, struct smcp_refusal *why)
{
	const struct json *p = e->payload;

	if (!span_is(json_str(p, "jsonrpc", SPAN("")), "2.0"))
		return smcp_refuse(why, SMCP_MALFORMED_ENVELOPE,
			"payload.jsonrpc: \"2.0\" is expected (JSON-RPC 2.0)");
	e->method = json_str(p, "method", SPAN(""));
	if (e->method.n == 0)
		return smcp_refuse(
			why, SMCP_MALFORMED_ENVELOPE, "payload.method: a string is expected");
	e->id = json_get(p, "id");
	if (!e->id || (e->id->type != JSON_STRING && e->id->type != JSON_NUMBER))
		return smcp_refuse(why, SMCP_MALFORMED_ENVELOPE,
			"payload.id: a string or a number is expected");
	e->params = json_get(p, "params");
	if (e->params && e->params->type != JSON_OBJECT)
		return smcp_refuse(
			why, SMCP_MALFORMED_ENVELOPE, "payload.params: an object is expected");
	const struct json *overflow = find_overflow(p);
	if (overflow)
		return smcp_refuse(why, SMCP_MALFORMED_ENVELOPE,
			"payload: the number " SPAN_FMT " is beyond what a double holds",
			SPAN_ARG(span_sub(overflow->text, 0, 40)));
	return 0;
}
