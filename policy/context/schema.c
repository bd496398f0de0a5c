/* SPDX-License-Identifier: AGPL-3.0-only */
/* The vocabulary of requests. aegis.cedarschema is the source; request.c makes what it describes.
 */
#include "policy/context/context.h"
#include "policy/context/schema_text.h"

struct span context_schema(void)
{
	return span_of(schema_text, sizeof(schema_text) - 1);
}
