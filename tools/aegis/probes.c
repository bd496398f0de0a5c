/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/probes.h"
#include "daemon/doctor/doctor.h"
#include <stdio.h>

static bool known(const char *const *ids, const char *name)
{
	for (; *ids; ids++)
		if (strcmp(*ids, name) == 0)
			return true;
	return false;
}

void probes_check(struct report *report, const char *field, const char *const *names, size_t count,
	const char *other)
{
	const char *ids[DOCTOR_PROBES_MAX + 1];
	char path[256];

	doctor_probe_ids(ids);
	for (size_t i = 0; i < count; i++) {
		if (known(ids, names[i]) || (other && strcmp(names[i], other) == 0))
			continue;
		const char *nearest = table_nearest(names[i], ids);
		snprintf(path, sizeof(path), "%s.%s", field, names[i]);
		report_error(report, (struct report_place){0}, path,
			"there is no such probe%s%s%s; accepted are those that `aegis doctor` "
			"lists",
			nearest ? "; did you mean \"" : "", nearest ? nearest : "",
			nearest ? "\"?" : "");
	}
}
