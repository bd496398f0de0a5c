/* SPDX-License-Identifier: AGPL-3.0-only */
/* aegis.system.info: what a caller may know of the node. It touches nothing, so it also shows what
 * a call costs that does nothing. */
#include "daemon/tool/internal.h"

int system_info_run(struct tool_call *c)
{
	return err_trace(
		tool_ok(c, SPAN("{\"name\":\"aegis\",\"version\":\"" AEGIS_VERSION "\"}")));
}
